//! Server functions: the calls by which pages, in the browser and on the server, read views. Each body makes
//! one call to [`PageData`].
//!
//! Arguments are the query string of a GET, answers are postcard: serde_json would cost the browser's half
//! 20 kB. Of an error the browser reads the status alone, which any proxy in front may have answered.

use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use server_fn::{
    Bytes,
    client::{Client, browser::BrowserClient},
    codec::{GetUrl, Postcard, PostcardEncoding},
    error::{FromServerFnError, ServerFnErrorErr},
    request::browser::BrowserRequest,
    response::{ClientRes, browser::BrowserResponse},
};

#[cfg(feature = "ssr")]
use futures::future::BoxFuture;
use futures::{Sink, Stream};
use model::{
    bad_param::BadParam,
    groups::GroupsView,
    map::MapNames,
    nodes::NodeView,
    query::ViewKind,
    view::{HistoryView, HomeView, InsightsView, SourcesView, TimelineView, VmView},
};
#[cfg(feature = "ssr")]
use model::{groups::GroupsQuery, history::Span, insight::InsightQuery, query::Query};

/// Why a server function returned no view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A parameter is not valid.
    BadParam(BadParam),
    /// The server did not answer, or its answer is not a view.
    NoAnswer,
    /// The server is of another build than the page, so the page could not read its answers.
    OtherBuild,
    /// The session has ended: sign in again.
    SessionEnded,
}

impl Failure {
    /// Returns what a status says. `None` if the answer is a view.
    fn of_status(status: u16) -> Option<Self> {
        match status {
            401 => Some(Self::SessionEnded),
            409 => Some(Self::OtherBuild),
            400.. => Some(Self::NoAnswer),
            _ => None,
        }
    }

    /// Reloads the page if it is of another build than the server; does nothing for other failures. The
    /// reload waits 2 to 5 s at random, so that not all pages reload at the same time, and a page does not
    /// reload in a tight loop while two builds answer side by side.
    pub fn reload_if_other_build(&self) {
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

/// The views of one request, within the viewer's scope and in the viewer's language. `server/http`
/// implements it and provides it by context.
#[cfg(feature = "ssr")]
pub trait PageData: Send + Sync {
    fn home(&self, query: &Query) -> HomeView;
    fn map_names(&self, query: &Query, group: &str, block: u32) -> MapNames;
    fn groups(&self, query: &GroupsQuery) -> GroupsView;
    fn vm(&self, namespace: &str, name: &str) -> VmView;
    fn node(&self, name: &str) -> NodeView;
    /// Returns the VM's history, for which it may have to wait for Prometheus.
    fn history<'a>(&'a self, namespace: &'a str, name: &'a str, span: Span) -> BoxFuture<'a, HistoryView>;
    /// Returns the VM's timeline, with the Events that are known, or after a wait if `wait` is set.
    fn timeline<'a>(&'a self, namespace: &'a str, name: &'a str, wait: bool) -> BoxFuture<'a, TimelineView>;
    fn insights(&self, query: &InsightQuery) -> InsightsView;
    fn sources(&self) -> SourcesView;
    /// Returns who is signed in. `None` on a server without sign-in.
    fn account(&self) -> Option<Account>;
}

/// How somebody signed in.
#[cfg(feature = "ssr")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignedInBy {
    #[default]
    Token,
    Provider,
    Proxy,
}

/// Who is signed in, and what they may see. Only the server's part of a page shows it.
#[cfg(feature = "ssr")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Equal for equal users, and tells nothing of them.
    pub mark: String,
    pub name: String,
    pub groups: Vec<String>,
    pub cluster: String,
    /// How many VMs the viewer sees.
    pub vms: u32,
    /// The namespaces of these VMs, sorted.
    pub namespaces: Vec<String>,
    pub all_vms: bool,
    /// How many of all access checks are answered; `None` once all are.
    pub checks: Option<(usize, usize)>,
    pub signed_in_by: SignedInBy,
    /// Whether a sign-out here has an effect.
    pub can_sign_out: bool,
    /// Seconds until the page loads itself again, since the identity provider is asked again then who it is. `None` if
    /// it never is.
    pub renewal_in: Option<i64>,
}

impl FromServerFnError for Failure {
    type Encoder = PostcardEncoding;

    fn from_server_fn_error(error: ServerFnErrorErr) -> Self {
        if matches!(error, ServerFnErrorErr::Args(_) | ServerFnErrorErr::MissingArg(_)) {
            respond_with(400);
        }
        Self::NoAnswer
    }

    /// [`PageClient`] has read the status.
    #[cfg(not(feature = "ssr"))]
    fn de(_: Bytes) -> Self {
        Self::NoAnswer
    }
}

/// Sends the browser's requests. An authenticating proxy in front answers 401 with a body of its own, so the status of an
/// error counts and its body does not.
pub struct PageClient;

impl Client<Failure> for PageClient {
    type Request = BrowserRequest;
    type Response = BrowserResponse;

    async fn send(request: BrowserRequest) -> Result<BrowserResponse, Failure> {
        let answer = <BrowserClient as Client<Failure>>::send(request).await?;
        Failure::of_status(ClientRes::<Failure>::status(&answer)).map_or(Ok(answer), Err)
    }

    async fn open_websocket(
        path: &str,
    ) -> Result<
        (impl Stream<Item = Result<Bytes, Bytes>> + Send + 'static, impl Sink<Bytes> + Send + 'static),
        Failure,
    > {
        <BrowserClient as Client<Failure>>::open_websocket(path).await
    }

    fn spawn(future: impl Future<Output = ()> + Send + 'static) {
        <BrowserClient as Client<Failure>>::spawn(future);
    }
}

/// Returns the list page. `query` is the query string of the page's address, and is validated in the same
/// way.
#[server(name = GetHome, prefix = "/fn", endpoint = "home", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn home(#[server(default)] query: String) -> Result<HomeView, Failure> {
    let query = request::query(&query)?;
    Ok(request::page_data()?.home(&query))
}

/// Returns the names of the VMs in one block of cells of the list's map. `query` is that of the page.
#[server(name = GetMapNames, prefix = "/fn", endpoint = "map-names", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn map_names(
    #[server(default)] query: String,
    #[server(default)] group: String,
    #[server(default)] block: u32,
) -> Result<MapNames, Failure> {
    let query = request::query(&query)?;
    Ok(request::page_data()?.map_names(&query, &group, block))
}

/// Returns the page of nodes or of namespaces. `query` is the query string of the page's address.
#[server(name = GetGroups, prefix = "/fn", endpoint = "groups", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn groups(#[server(default)] query: String) -> Result<GroupsView, Failure> {
    let query = request::groups_query(&query)?;
    Ok(request::page_data()?.groups(&query))
}

/// Returns the page of one VM.
#[server(name = GetVm, prefix = "/fn", endpoint = "vm", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn vm(namespace: String, name: String) -> Result<VmView, Failure> {
    request::check_vm(&namespace, &name)?;
    Ok(request::page_data()?.vm(&namespace, &name))
}

/// Returns the page of one node.
#[server(name = GetNode, prefix = "/fn", endpoint = "node", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn node(name: String) -> Result<NodeView, Failure> {
    request::check_node(&name)?;
    Ok(request::page_data()?.node(&name))
}

/// Returns the history of one VM over a span of `1h`, `24h`, `7d` or `30d`. It may have to wait for Prometheus.
#[server(name = GetHistory, prefix = "/fn", endpoint = "history", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn history(
    namespace: String,
    name: String,
    #[server(default)] span: String,
) -> Result<HistoryView, Failure> {
    request::check_vm(&namespace, &name)?;
    let span = request::span(&span)?;
    Ok(request::page_data()?.history(&namespace, &name, span).await)
}

/// Returns the timeline of one VM. With `wait` it waits a little for the VM's Events, which are listed now; without, they
/// are those that were listed before.
#[server(name = GetTimeline, prefix = "/fn", endpoint = "timeline", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn timeline(
    namespace: String,
    name: String,
    #[server(default)] wait: bool,
) -> Result<TimelineView, Failure> {
    request::check_vm(&namespace, &name)?;
    Ok(request::page_data()?.timeline(&namespace, &name, wait).await)
}

/// Returns the list of findings from the VMs' histories. `query` is the query string of the page's address.
#[server(name = GetInsights, prefix = "/fn", endpoint = "insights", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn insights(#[server(default)] query: String) -> Result<InsightsView, Failure> {
    let query = request::insights_query(&query)?;
    Ok(request::page_data()?.insights(&query))
}

/// Returns the sources page, and what every page shows around its content.
#[server(name = GetSources, prefix = "/fn", endpoint = "sources", input = GetUrl, output = Postcard, client = PageClient)]
pub async fn sources() -> Result<SourcesView, Failure> {
    Ok(request::page_data()?.sources())
}

/// Sets the status of the response that is being rendered. Does nothing in the browser.
pub fn respond_with(status: u16) {
    #[cfg(feature = "ssr")]
    request::set_status(status);
    #[cfg(not(feature = "ssr"))]
    let _ = status;
}

/// The cookie with the view of the list that was last chosen.
pub const VIEW_COOKIE: &str = "view";

/// Returns how the list is shown if its address does not say: as the reader last chose.
pub fn default_view() -> ViewKind {
    read_cookie(VIEW_COOKIE).and_then(|code| ViewKind::of_code(&code)).unwrap_or_default()
}

/// Returns the value of a cookie, on the server from the request, in the browser from `document.cookie`.
pub fn read_cookie(name: &str) -> Option<String> {
    #[cfg(feature = "ssr")]
    let cookies = request::cookies()?;
    #[cfg(not(feature = "ssr"))]
    let cookies = js_sys::Reflect::get(&document(), &"cookie".into()).ok()?.as_string()?;
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Sets a cookie that the browser keeps for a year, for all addresses below the path. The value must not need quoting.
pub fn write_cookie(name: &str, value: &str, path: &str) {
    let cookie = [name, "=", value, "; Path=", path, "; Max-Age=31536000; SameSite=Lax"].concat();
    #[cfg(feature = "ssr")]
    request::set_cookie(&cookie);
    #[cfg(not(feature = "ssr"))]
    let _ = js_sys::Reflect::set(&document(), &"cookie".into(), &cookie.into());
}

#[cfg(feature = "ssr")]
mod request {
    use std::sync::Arc;

    use leptos::prelude::use_context;
    use leptos_axum::ResponseOptions;

    use super::{BadParam, Failure, GroupsQuery, InsightQuery, PageData, Query, Span};
    use model::name;

    /// Fails if the context has no data, as when leptos_axum lists the routes.
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

    pub fn check_node(name: &str) -> Result<(), Failure> {
        name::check_node(name).map_err(refuse)
    }

    fn refuse(bad: BadParam) -> Failure {
        set_status(400);
        Failure::BadParam(bad)
    }

    /// Returns the `Cookie` header of the current request.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_alone_says_that_a_session_has_ended() {
        // oauth2-proxy answers `{}`, nginx a page.
        for (status, want) in [
            (200, None),
            (401, Some(Failure::SessionEnded)),
            (403, Some(Failure::NoAnswer)),
            (409, Some(Failure::OtherBuild)),
            (502, Some(Failure::NoAnswer)),
        ] {
            assert_eq!(Failure::of_status(status), want, "{status}");
        }
    }
}
