use super::*;

fn parse(pairs: &[(&str, &str)]) -> Result<Query, BadParam> {
    Query::parse(|key| pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
}

#[test]
fn empty_parameters_are_ignored() {
    for field in Query::FIELDS {
        assert_eq!(parse(&[(field, " ")]), Ok(Query::default()), "{field}");
    }
}

#[test]
fn an_invalid_value_names_its_parameter() {
    for (field, value) in [
        ("page", "0"),
        ("page", "-1"),
        ("page", "x"),
        ("sort", "size"),
        ("order", "up"),
        ("status", "Gone"),
        ("attention", "yes"),
        ("attention", "down."),
        ("view", "list"),
        ("by", "cpu"),
        ("color", "red"),
        ("columns", "cpu,color"),
        ("columns", "cpu,"),
    ] {
        assert_eq!(parse(&[(field, value)]).unwrap_err().field, field, "{value}");
    }
    assert_eq!(parse(&[("q", &"x".repeat(254))]).unwrap_err().field, "q");
    assert_eq!(parse(&[("namespace", "a.b")]).unwrap_err().field, "namespace");
    assert_eq!(parse(&[("node", "a b")]).unwrap_err().field, "node");
}

#[test]
fn a_query_is_read_back_from_its_url() {
    let pairs = [
        ("q", "a&b=ü +"),
        ("namespace", "shop"),
        ("status", "Running"),
        ("node", "n1"),
        ("attention", "filling.shop.db-0"),
        ("sort", "cpu-used"),
        ("order", "asc"),
        ("view", "table"),
        ("by", "namespace"),
        ("color", "disk"),
        ("columns", "status,cpu"),
        ("page", "3"),
    ];
    let query = parse(&pairs).unwrap();
    assert_eq!(
        query.to_query_string(),
        "?q=a%26b%3D%C3%BC%20%2B&namespace=shop&status=Running&node=n1&attention=filling.shop.db-0&sort=cpu-used&order=asc\
         &view=table&by=namespace&color=disk&columns=status,cpu&page=3"
    );
    assert_eq!(pairs.map(|(field, _)| field), Query::FIELDS);
    for (field, value) in pairs {
        assert_eq!(query.value(field), value);
    }
    assert_eq!(parse(&Query::FIELDS.map(|field| (field, &*query.value(field).leak()))), Ok(query));
    assert_eq!(Query::default().to_query_string(), "");
}

#[test]
fn every_code_is_read_back() {
    for sort in Sort::ALL {
        assert_eq!(parse(&[("sort", sort.code())]).unwrap().sort, sort);
    }
    for status in Status::ALL {
        assert_eq!(parse(&[("status", status.name())]).unwrap().status, Some(status));
    }
    for view in ViewKind::ALL {
        assert_eq!(parse(&[("view", view.code())]).unwrap().view, Some(view));
    }
    for by in GroupBy::ALL {
        assert_eq!(parse(&[("by", by.code())]).unwrap().by, by);
    }
    for color in Measure::ALL {
        assert_eq!(parse(&[("color", color.code())]).unwrap().color, color);
    }
    for column in Column::ALL {
        let columns = Columns::parse(column.code()).unwrap();
        assert_eq!(Column::ALL.map(|it| columns.has(it)), Column::ALL.map(|it| it == column));
    }
}

#[test]
fn an_address_and_its_query_have_the_same_view() {
    for (address, want) in [
        ("?view=table", Some(ViewKind::Table)),
        ("view=%74able", Some(ViewKind::Table)),
        ("view=TABLE&q=a", Some(ViewKind::Table)),
        ("q=view=map&view=+map", Some(ViewKind::Map)),
        ("view=cards", Some(ViewKind::Cards)),
        ("", None),
        ("view=", None),
        ("view=list", None),
        ("view=map&view=map", None),
        ("view=map&q=%00", None),
    ] {
        assert_eq!(ViewKind::of_address(address), want, "{address}");
        assert_eq!(Query::of_address(address).ok().and_then(|query| query.view), want, "{address}");
    }
}

#[test]
fn the_default_view_is_no_part_of_the_address() {
    let query = Query { default_view: ViewKind::Table, ..Query::default() };
    assert_eq!((query.view(), query.address().as_str()), (ViewKind::Table, "/"));
    let chosen = Query { view: Some(ViewKind::Cards), ..query };
    assert_eq!((chosen.view(), chosen.address().as_str()), (ViewKind::Cards, "/?view=cards"));
    assert_eq!(chosen.unfiltered(), chosen, "links keep what is chosen");
}

#[test]
fn figures_sort_descending_by_default() {
    assert_eq!(parse(&[("sort", "disk")]).unwrap().order, Order::Desc);
    assert_eq!(parse(&[("sort", "age")]).unwrap().order, Order::Desc);
    assert_eq!(parse(&[("sort", "node")]).unwrap().order, Order::Asc);
    assert_eq!(parse(&[]).unwrap().order, Order::Asc);
}

#[test]
fn columns_are_written_in_the_tables_order_and_may_be_none() {
    let columns = Columns::parse("AGE,namespace").unwrap();
    assert_eq!(columns.code(), "namespace,age");
    let none = columns.toggled(Column::Age).toggled(Column::Namespace);
    assert_eq!(none.code(), "name");
    assert_eq!(Columns::parse("name"), Some(none));
    assert_eq!(Columns::parse(&Columns::ALL.code()), Some(Columns::ALL));
}

#[test]
fn clearing_the_filters_keeps_view_and_order() {
    let query = parse(&[("q", "x"), ("attention", "1"), ("view", "table"), ("sort", "disk"), ("page", "2")]);
    let query = query.unwrap();
    assert!(query.is_filtered());
    assert_eq!(query.unfiltered().to_query_string(), "?sort=disk&view=table");
    assert!(!query.unfiltered().is_filtered());
}
