//! Parses what a client of `/api/events` asks for: one view, in one format, after the event that it received
//! last.

use axum::http::HeaderMap;

use crate::server::http::{error::ApiResult, params::bad};
use i18n::Lang;
use model::{
    name::{check_node, check_vm},
    params::Params,
    query::Query,
};

/// The view that a client follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// A page of the list.
    List(Query),
    Vm {
        namespace: String,
        name: String,
    },
    Node {
        name: String,
    },
    /// The states of the sources only.
    Sources,
}

/// The format of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// JSON with the fields of the rest of the API.
    Json,
    /// `model::delta` as postcard in base64, for the dashboard's own pages, in their language.
    Postcard(Lang),
}

/// The id of an event: its channel, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    pub channel: u32,
    pub number: u64,
}

impl Id {
    /// Parses an id. `None` if it is not an id of this program; the client then gets a full state.
    pub fn parse(text: &str) -> Option<Self> {
        let (channel, number) = text.split_once('-')?;
        Some(Self { channel: u32::from_str_radix(channel, 16).ok()?, number: number.parse().ok()? })
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.channel, self.number)
    }
}

/// A parsed request for events: the view, the format, and the event that was received last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventQuery {
    pub view: View,
    pub format: Format,
    pub last: Option<Id>,
}

/// Reads the parameters: `vm=NAMESPACE/NAME`, `only=sources`, `only=node&node=NAME`, or those of the list. Fails for a value that
/// is not valid.
pub fn read(params: &Params, headers: &HeaderMap, lang: Lang) -> ApiResult<EventQuery> {
    Ok(EventQuery {
        view: view(params)?,
        format: match params.get("format").as_deref() {
            None | Some("json") => Format::Json,
            Some("postcard") => Format::Postcard(lang),
            Some(_) => return Err(bad("format", "json or postcard")),
        },
        last: last(headers, params.get("last")),
    })
}

fn view(params: &Params) -> ApiResult<View> {
    match (params.get("vm"), params.get("only").as_deref()) {
        (None, None) => Ok(View::List(Query::parse(|field| params.get(field))?)),
        (Some(vm), None) => {
            let (namespace, name) = vm.split_once('/').unwrap_or_default();
            check_vm(namespace, name).map_err(|_| bad("vm", "NAMESPACE/NAME"))?;
            Ok(View::Vm { namespace: namespace.to_owned(), name: name.to_owned() })
        }
        (None, Some("sources")) => Ok(View::Sources),
        (None, Some("node")) => {
            let name = params.get("node").unwrap_or_default();
            check_node(&name).map_err(|_| bad("node", "the name of a node"))?;
            Ok(View::Node { name })
        }
        (None, Some(_)) => Err(bad("only", "sources or node")),
        (Some(_), Some(_)) => Err(bad("only", "either vm or only")),
    }
}

/// Returns the id of the last event. Browsers send it as a header when they reconnect automatically; a
/// script that reconnects can only send it in the URL.
fn last(headers: &HeaderMap, parameter: Option<String>) -> Option<Id> {
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    Id::parse(header.map(str::to_owned).or(parameter)?.as_str())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::server::http::error::ApiError;
    use model::bad_param::BadParam;

    fn ask(url: &str, header: Option<&'static str>) -> ApiResult<EventQuery> {
        let headers = header.map(|value| ("last-event-id".parse().unwrap(), HeaderValue::from_static(value)));
        let params = Params::parse(url.trim_start_matches('/'))?;
        read(&params, &HeaderMap::from_iter(headers), Lang::default())
    }

    #[test]
    fn a_view_is_a_list_one_vm_one_node_or_the_sources() {
        let view = |url| ask(url, None).unwrap().view;
        assert_eq!(view("/"), View::List(Query::default()));
        let list = View::List(Query { q: "a b".into(), page: 2, ..Query::default() });
        assert_eq!(view("/?q=a+b&page=2&format=postcard"), list);
        assert_eq!(view("/?vm=shop/web"), View::Vm { namespace: "shop".into(), name: "web".into() });
        assert_eq!(view("/?only=sources&vm="), View::Sources);
        assert_eq!(view("/?only=node&node=n1.rack"), View::Node { name: "n1.rack".into() });
        let list = View::List(Query { node: "n1".into(), ..Query::default() });
        assert_eq!(view("/?node=n1"), list, "the list's filter");
    }

    #[test]
    fn an_invalid_parameter_names_its_field() {
        for (url, want) in [
            ("/?page=0", "page"),
            ("/?sort=nonsense", "sort"),
            ("/?vm=web", "vm"),
            ("/?vm=/web", "vm"),
            ("/?vm=shop/", "vm"),
            ("/?vm=a/b/c", "vm"),
            ("/?vm=A/b", "vm"),
            ("/?vm=a/%2e%2e", "vm"),
            ("/?vm=a/b&vm=a/b", "vm"),
            ("/?only=everything", "only"),
            ("/?only=node", "node"),
            ("/?only=node&node=N1", "node"),
            ("/?only=node&node=n1&vm=a/b", "only"),
            ("/?only=sources&vm=a/b", "only"),
            ("/?format=xml", "format"),
        ] {
            let Err(ApiError::BadField(BadParam { field, .. })) = ask(url, None) else {
                panic!("{url} is taken")
            };
            assert_eq!(field, want, "{url}");
        }
    }

    #[test]
    fn the_last_event_comes_by_header_or_parameter_and_nonsense_is_none() {
        let id = Id { channel: 0xab, number: 7 };
        assert_eq!(id.to_string(), "000000ab-7");
        assert_eq!(ask("/", Some("000000ab-7")).unwrap().last, Some(id));
        assert_eq!(ask("/?last=000000ab-7", None).unwrap().last, Some(id));
        assert_eq!(ask("/?last=000000ab-7", Some("000000ab-9")).unwrap().last, Some(Id { number: 9, ..id }));
        for nonsense in ["", "7", "x-7", "ab-x", "ab-", "-", "ab--1"] {
            assert_eq!(Id::parse(nonsense), None, "{nonsense}");
        }
    }
}
