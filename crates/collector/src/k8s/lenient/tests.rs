//! What is kept of each JSON type, and what is bounded.

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Sample {
    id: Identifier,
    text: ReadableText<20>,
    scalar: Scalar,
    amount: Amount,
    flag: Flag,
    list: List<Item, 3>,
    map: Map<3>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Item {
    name: Identifier,
}

fn read(json: &str) -> Sample {
    serde_json::from_str::<Obj<Sample>>(json).unwrap_or_else(|e| panic!("{json}: {e}")).0
}

#[test]
fn what_fits_is_kept() {
    let sample = read(
        r#"{"id":"i","text":"a","scalar":4,"amount":5,"flag":true,"list":[{"name":"x","more":[1]}],"map":{"k":"v"},"x":{"y":[{}]}}"#,
    );
    assert_eq!((&*sample.id, &*sample.text, &*sample.scalar), ("i", "a", "4"));
    assert_eq!((sample.amount.0, sample.flag.0), (Some(5), true));
    assert_eq!((&*sample.list[0].name, sample.map["k"].as_str()), ("x", "v"));
}

#[test]
fn every_field_survives_every_json_type() {
    for field in ["id", "text", "scalar", "amount", "flag", "list", "map"] {
        for value in
            ["null", "true", "-1", "7", "1.5", "\"s\"", "[1,[2],{\"a\":{}}]", "{\"a\":[1,{\"b\":2}]}"]
        {
            let sample = read(&format!(r#"{{"{field}":{value},"text2":1}}"#));
            assert!(sample.list.iter().all(|item| item.name.is_empty()), "{field}: {value}");
        }
    }
}

#[test]
fn a_whole_object_of_the_wrong_type_is_its_default() {
    for json in ["null", "1", "\"s\"", "[{\"text\":\"a\"}]"] {
        assert_eq!(read(json), Sample::default(), "{json}");
    }
}

#[test]
fn scalars_are_strings_or_numbers() {
    for (json, text, count) in [
        (r#""4Gi""#, "4Gi", None),
        ("8589934592", "8589934592", Some(8_589_934_592)),
        (r#""12""#, "12", Some(12)),
        ("2.0", "2", Some(2)),
        ("1.5", "1.5", None),
        ("-3", "-3", None),
        ("true", "", None),
    ] {
        let scalar: Scalar = serde_json::from_str(json).unwrap();
        assert_eq!((&*scalar, scalar.count()), (text, count), "{json}");
    }
}

#[test]
fn invalid_amounts_are_unknown() {
    for (json, want) in [
        ("5", Some(5)),
        ("0", Some(0)),
        ("9223372036854775807", Some((1 << 63) - 1)),
        ("9223372036854775808", None),
        ("-1", None),
        ("1.5", None),
        ("1e30", None),
        ("null", None),
        (r#""5""#, None),
        ("{}", None),
        ("[[0,0],0]", None),
    ] {
        assert_eq!(serde_json::from_str::<Amount>(json).unwrap().0, want, "{json}");
    }
}

#[test]
fn a_text_is_cut_and_an_identifier_is_not() {
    let long = "x".repeat(300);
    let json = format!(
        r#"{{"id":"{long}","text":"{long}","scalar":"{long}","map":{{"{long}":"v","k":"{long}","a":"b"}}}}"#
    );
    let sample = read(&json);
    assert_eq!(&*sample.text, format!("{}…", "x".repeat(19)));
    assert_eq!((&*sample.id, &*sample.scalar), ("", ""));
    assert_eq!(sample.map.entries, BTreeMap::from([("a".into(), "b".into())]));
    let odd = read(r#"{"id":"a\u202eb","text":"a\u202eb","scalar":"4\u001b","map":{"a\u0000":"b"}}"#);
    assert_eq!((&*odd.id, &*odd.text, &*odd.scalar, odd.map.len()), ("", "a\u{fffd}b", "", 0));
    assert_eq!(&*serde_json::from_str::<Scalar>("1e300").unwrap(), "", "301 digits");
}

#[test]
fn the_first_of_a_list_are_kept_and_the_others_counted() {
    let names = |count: usize| vec![r#"{"name":"x"}"#; count].join(",");
    for (count, kept, left_out) in [(0, 0, 0), (2, 2, 0), (3, 3, 0), (4, 3, 1), (5000, 3, 4997)] {
        let sample = read(&format!(r#"{{"list":[{}]}}"#, names(count)));
        assert_eq!((sample.list.len(), sample.list.left_out), (kept, left_out), "{count}");
    }
    let sample = read(r#"{"map":{"a":"1","b":"2","c":"3","d":"4","e":5,"f":"6"}}"#);
    assert_eq!((sample.map.len(), sample.map.left_out), (3, 2));
    assert!(!sample.map.contains_key("d"));
}

#[test]
fn a_strict_list_of_too_many_elements_is_an_error() {
    #[derive(Deserialize)]
    struct Strict {
        #[serde(deserialize_with = "nullable::<_, _, 3>")]
        items: Vec<u8>,
    }
    let read = |items: &str| serde_json::from_str::<Strict>(&format!(r#"{{"items":{items}}}"#));
    assert_eq!(read("[1,2,3]").unwrap().items, [1, 2, 3]);
    assert!(read("null").unwrap().items.is_empty());
    assert!(["[1,2,3,4]", "{}", "3"].into_iter().all(|items| read(items).is_err()));
}

#[test]
fn broken_json_is_still_an_error() {
    for json in [r#"{"text":"a""#, r#"{"list":[{"name":}]}"#, ""] {
        assert!(serde_json::from_str::<Obj<Sample>>(json).is_err(), "{json}");
    }
}
