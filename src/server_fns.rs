//! The browser's door to the server. Each body is one call of [`PageData`], so that a call costs the cluster nothing.
//!
//! Arguments come in the query string of a GET, answers go out in postcard: serde_json in the browser costs 20 kB.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::{
    codec::{GetUrl, Postcard, PostcardEncoding},
    error::{FromServerFnError, ServerFnErrorErr},
};

#[cfg(feature = "ssr")]
use futures::future::BoxFuture;
use model::{
    bad_param::BadParam,
    groups::GroupsView,
    map::MapNames,
    view::{HistoryView, HomeView, InsightsView, SourcesView, VmView},
};
#[cfg(feature = "ssr")]
use model::{groups::GroupsQuery, history::Span, insight::InsightQuery, query::Query};

/// Why a view could not be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A parameter that cannot be understood.
    BadParam(BadParam),
    /// The server did not answer, or not with a view.
    NoAnswer,
    /// The server is of another build than the page: its answers would make no sense.
    OtherBuild,
}

impl Failure {
    /// What a page does about it, besides showing what it has: one of another build loads itself anew. After a moment:
    /// all pages do not come at once, and where two builds answer side by side none loads faster than every few seconds.
    pub fn heed(&self) {
        #[cfg(not(feature = "ssr"))]
        if *self == Self::OtherBuild {
            let pause = 2_000 + (js_sys::Math::random() * 3_000.0) as u64;
            set_timeout(
                || {
                    let _ = window().location().reload();
                },
                core::time::Duration::from_millis(pause),
            );
        }
    }
}

/// What pages ask of the server that renders them: the views of one request, within the viewer's scope and in the
/// viewer's language. The server provides it by context.
#[cfg(feature = "ssr")]
pub trait PageData: Send + Sync {
    fn home(&self, query: &Query) -> HomeView;
    fn map_names(&self, query: &Query, group: &str, block: u32) -> MapNames;
    fn groups(&self, query: &GroupsQuery) -> GroupsView;
    fn vm(&self, namespace: &str, name: &str) -> VmView;
    /// May have to wait for an archive, as no other view does.
    fn history<'a>(&'a self, namespace: &'a str, name: &'a str, span: Span) -> BoxFuture<'a, HistoryView>;
    fn insights(&self, query: &InsightQuery) -> InsightsView;
    fn sources(&self) -> SourcesView;
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

/// The list page. `query` is the query string of the page's own address, and is checked alike.
#[server(name = GetHome, prefix = "/fn", endpoint = "home", input = GetUrl, output = Postcard)]
pub async fn home(#[server(default)] query: String) -> Result<HomeView, Failure> {
    let query = door::query(&query)?;
    Ok(door::page_data()?.home(&query))
}

/// Who the cells of one block of the list's map are. `query` is that of the page.
#[server(name = GetMapNames, prefix = "/fn", endpoint = "map-names", input = GetUrl, output = Postcard)]
pub async fn map_names(
    #[server(default)] query: String,
    #[server(default)] group: String,
    #[server(default)] block: u32,
) -> Result<MapNames, Failure> {
    let query = door::query(&query)?;
    Ok(door::page_data()?.map_names(&query, &group, block))
}

/// Nodes or namespaces. `query` is the query string of the page's own address.
#[server(name = GetGroups, prefix = "/fn", endpoint = "groups", input = GetUrl, output = Postcard)]
pub async fn groups(#[server(default)] query: String) -> Result<GroupsView, Failure> {
    let query = door::groups_query(&query)?;
    Ok(door::page_data()?.groups(&query))
}

/// One VM's page.
#[server(name = GetVm, prefix = "/fn", endpoint = "vm", input = GetUrl, output = Postcard)]
pub async fn vm(namespace: String, name: String) -> Result<VmView, Failure> {
    door::check_vm(&namespace, &name)?;
    Ok(door::page_data()?.vm(&namespace, &name))
}

/// The past of one VM: `1h`, `24h`, `7d` or `30d`. The one function that may have to wait: for an archive.
#[server(name = GetHistory, prefix = "/fn", endpoint = "history", input = GetUrl, output = Postcard)]
pub async fn history(
    namespace: String,
    name: String,
    #[server(default)] span: String,
) -> Result<HistoryView, Failure> {
    door::check_vm(&namespace, &name)?;
    let span = door::span(&span)?;
    Ok(door::page_data()?.history(&namespace, &name, span).await)
}

/// What histories suggest, as a list. `query` is the query string of the page's own address.
#[server(name = GetInsights, prefix = "/fn", endpoint = "insights", input = GetUrl, output = Postcard)]
pub async fn insights(#[server(default)] query: String) -> Result<InsightsView, Failure> {
    let query = door::insights_query(&query)?;
    Ok(door::page_data()?.insights(&query))
}

/// The sources page, and what every page shows around its content.
#[server(name = GetSources, prefix = "/fn", endpoint = "sources", input = GetUrl, output = Postcard)]
pub async fn sources() -> Result<SourcesView, Failure> {
    Ok(door::page_data()?.sources())
}

/// Gives the page that is being rendered its status. In the browser there is none to give.
pub fn respond_with(status: u16) {
    #[cfg(feature = "ssr")]
    door::set_status(status);
    #[cfg(not(feature = "ssr"))]
    let _ = status;
}

/// A cookie's value: of the request that is being answered, or of the browser.
pub fn kept_cookie(name: &str) -> Option<String> {
    #[cfg(feature = "ssr")]
    let cookies = door::cookies()?;
    #[cfg(not(feature = "ssr"))]
    let cookies = js_sys::Reflect::get(&document(), &"cookie".into()).ok()?.as_string()?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Has the browser remember a choice for a year. The value must need no quoting.
pub fn keep_cookie(name: &str, value: &str) {
    let cookie = [name, "=", value, "; Path=/; Max-Age=31536000; SameSite=Lax"].concat();
    #[cfg(feature = "ssr")]
    door::set_cookie(&cookie);
    #[cfg(not(feature = "ssr"))]
    let _ = js_sys::Reflect::set(&document(), &"cookie".into(), &cookie.into());
}

#[cfg(feature = "ssr")]
mod door {
    use std::sync::Arc;

    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;

    use super::{BadParam, Failure, GroupsQuery, InsightQuery, PageData, Query, Span};
    use model::name;

    /// Where there is none in context (as when routes are listed) there is no answer.
    pub fn page_data() -> Result<Arc<dyn PageData>, Failure> {
        use_context().ok_or(Failure::NoAnswer)
    }

    pub fn query(query: &str) -> Result<Query, Failure> {
        Query::of_address(query).map_err(refuse)
    }

    pub fn groups_query(query: &str) -> Result<GroupsQuery, Failure> {
        GroupsQuery::of_address(query).map_err(refuse)
    }

    pub fn insights_query(query: &str) -> Result<InsightQuery, Failure> {
        InsightQuery::of_address(query).map_err(refuse)
    }

    pub fn span(code: &str) -> Result<Span, Failure> {
        Span::of_text(code.trim()).map_err(refuse)
    }

    pub fn check_vm(namespace: &str, name: &str) -> Result<(), Failure> {
        name::check_vm(namespace, name).map_err(refuse)
    }

    fn refuse(bad: BadParam) -> Failure {
        set_status(400);
        Failure::BadParam(bad)
    }

    /// The `Cookie` header of the request that is being answered.
    pub fn cookies() -> Option<String> {
        let parts = use_context::<http::request::Parts>()?;
        Some(parts.headers.get(http::header::COOKIE)?.to_str().ok()?.to_owned())
    }

    pub fn set_cookie(cookie: &str) {
        if let (Some(response), Ok(cookie)) =
            (use_context::<ResponseOptions>(), http::HeaderValue::from_str(cookie))
        {
            response.append_header(http::header::SET_COOKIE, cookie);
        }
    }

    pub fn set_status(status: u16) {
        if let (Some(response), Ok(status)) =
            (use_context::<ResponseOptions>(), http::StatusCode::from_u16(status))
        {
            response.set_status(status);
        }
    }
}
