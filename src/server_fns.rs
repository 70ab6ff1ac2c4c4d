//! The browser's door to the server. Each body is one call of the reader, so that a call costs the cluster nothing.
//!
//! Arguments come in the query string of a GET, answers go out in postcard: serde_json in the browser costs 20 kB.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::{
    codec::{GetUrl, Postcard, PostcardEncoding},
    error::{FromServerFnError, ServerFnErrorErr},
};

use crate::model::{
    query::BadParam,
    view::{HomeView, SourcesView, VmView},
};

/// Why a view could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A parameter that cannot be understood.
    BadParam(BadParam),
    /// The server did not answer, or not with a view.
    NoAnswer,
}

impl FromServerFnError for Failure {
    type Encoder = PostcardEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        if matches!(error, ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_)) {
            respond_with(400);
        }
        Self::NoAnswer
    }
}

/// The list page. Parameters are those of the page's own address, and are checked alike.
#[server(name = GetHome, prefix = "/fn", endpoint = "home", input = GetUrl, output = Postcard)]
pub async fn home(
    #[server(default)] q: String,
    #[server(default)] namespace: String,
    #[server(default)] status: String,
    #[server(default)] node: String,
    #[server(default)] sort: String,
    #[server(default)] order: String,
    #[server(default)] page: String,
) -> Result<HomeView, Failure> {
    let get = |field: &str| match field {
        "q" => Some(q.clone()),
        "namespace" => Some(namespace.clone()),
        "status" => Some(status.clone()),
        "node" => Some(node.clone()),
        "sort" => Some(sort.clone()),
        "order" => Some(order.clone()),
        "page" => Some(page.clone()),
        _ => None,
    };
    let query = crate::model::query::Query::parse(get).map_err(door::refuse)?;
    door::with_reader(|reader, scope| reader.home(scope, &query))
}

/// One VM's page.
#[server(name = GetVm, prefix = "/fn", endpoint = "vm", input = GetUrl, output = Postcard)]
pub async fn vm(namespace: String, name: String) -> Result<VmView, Failure> {
    door::with_reader(|reader, scope| reader.vm(scope, &namespace, &name))
}

/// The sources page, and what every page shows around its content.
#[server(name = GetSources, prefix = "/fn", endpoint = "sources", input = GetUrl, output = Postcard)]
pub async fn sources() -> Result<SourcesView, Failure> {
    door::with_reader(|reader, scope| reader.sources(scope))
}

/// Gives the page that is being rendered its status. In the browser there is none to give.
pub fn respond_with(status: u16) {
    #[cfg(feature = "ssr")]
    door::set_status(status);
    #[cfg(not(feature = "ssr"))]
    let _ = status;
}

#[cfg(feature = "ssr")]
mod door {
    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;

    use super::{BadParam, Failure};
    use crate::server::{serve::reader::Reader, snapshot::Scope};

    /// Without a reader or a viewer's scope in context (as when routes are listed) there is no answer.
    pub fn with_reader<T>(read: impl FnOnce(&Reader, &Scope) -> T) -> Result<T, Failure> {
        match (use_context::<Reader>(), use_context::<Scope>()) {
            (Some(reader), Some(scope)) => Ok(read(&reader, &scope)),
            _ => Err(Failure::NoAnswer),
        }
    }

    pub fn refuse(bad: BadParam) -> Failure {
        set_status(400);
        Failure::BadParam(bad)
    }

    pub fn set_status(status: u16) {
        if let (Some(response), Ok(status)) =
            (use_context::<ResponseOptions>(), http::StatusCode::from_u16(status))
        {
            response.set_status(status);
        }
    }
}
