//! The views of one request, within its viewer's scope and in its language. `pages` provides them to
//! components and server functions.

use std::{collections::HashSet, time::Duration};

use axum::http::request::Parts;
use futures::{FutureExt, future::BoxFuture};

use super::{
    history,
    language::last_view,
    limits::RenderPermit,
    reader::Reader,
    sign_in::{SignedIn, Viewer},
    state::App,
    vm_events::{EventsViewer, REQUEST_WAITS},
};
use crate::{
    server::config::SignInMode,
    server_fns::{Account, PageData, SignedInBy},
};
use collector::long_term::Requester;
use i18n::{Lang, Localize};
use model::{
    groups::{GroupsQuery, GroupsView},
    history::Span,
    insight::InsightQuery,
    map::MapNames,
    nodes::NodeView,
    query::{Query, ViewKind},
    view::{HistoryView, HomeView, InsightsView, SourcesView, TimelineView, VmView},
};
use wukong_core::Scope;

/// Implements [`PageData`] for one request.
pub struct RequestViews {
    reader: Reader,
    scope: Scope,
    /// The viewer, if there is sign-in.
    user: Option<SignedIn>,
    lang: Lang,
    /// The view of the list that the reader last chose.
    last_view: ViewKind,
    requester: Requester,
    /// The permit under which the answer is computed.
    permit: Option<RenderPermit>,
}

impl RequestViews {
    pub fn new(reader: Reader, scope: Scope, lang: Lang) -> Self {
        Self {
            reader,
            scope,
            user: None,
            lang,
            last_view: ViewKind::default(),
            requester: Requester::default(),
            permit: None,
        }
    }

    /// Returns the views for a request. For none, as when Leptos lists its routes, they are empty.
    pub fn of_request(app: &App, parts: Option<&Parts>) -> Self {
        let lang = parts.and_then(|parts| parts.extensions.get().copied()).unwrap_or_default();
        let viewer = parts.and_then(|parts| parts.extensions.get::<Viewer>());
        let scope = viewer.map_or_else(Scope::none, |viewer| viewer.scope().clone());
        Self {
            user: viewer.and_then(Viewer::user).cloned(),
            requester: parts.map_or_else(Requester::default, |parts| history::requester(&parts.extensions)),
            permit: parts.and_then(|parts| parts.extensions.get().cloned()),
            last_view: parts.map_or_else(ViewKind::default, |parts| last_view(&parts.headers)),
            ..Self::new(app.reader.clone(), scope, lang)
        }
    }
}

impl PageData for RequestViews {
    fn home(&self, query: &Query) -> HomeView {
        let query = Query { default_view: self.last_view, ..query.clone() };
        self.reader.home(&self.scope, &query, self.lang).localized(self.lang)
    }

    fn map_names(&self, query: &Query, group: &str, block: u32) -> MapNames {
        self.reader.map_names(&self.scope, query, group, block)
    }

    fn groups(&self, query: &GroupsQuery) -> GroupsView {
        self.reader.groups(&self.scope, query).localized(self.lang)
    }

    fn vm(&self, namespace: &str, name: &str) -> VmView {
        self.reader.vm(&self.scope, namespace, name).localized(self.lang)
    }

    fn node(&self, name: &str) -> NodeView {
        self.reader.node(&self.scope, name).localized(self.lang)
    }

    fn history<'a>(&'a self, namespace: &'a str, name: &'a str, span: Span) -> BoxFuture<'a, HistoryView> {
        let history = self.reader.history(self.requester, &self.scope, namespace, name, span);
        let permit = self.permit.as_ref().filter(|_| span.is_long());
        async move {
            match permit {
                Some(permit) => permit.release_during(history).await,
                None => history.await,
            }
            .localized(self.lang)
        }
        .boxed()
    }

    fn timeline<'a>(&'a self, namespace: &'a str, name: &'a str, wait: bool) -> BoxFuture<'a, TimelineView> {
        let viewer = EventsViewer {
            requester: self.requester,
            rights: self.user.as_ref().map(|user| &user.rights),
            waits: if wait { REQUEST_WAITS } else { Duration::ZERO },
        };
        let timeline = self.reader.timeline(viewer, &self.scope, namespace, name);
        let permit = self.permit.as_ref().filter(|_| wait);
        async move {
            match permit {
                Some(permit) => permit.release_during(timeline).await,
                None => timeline.await,
            }
            .localized(self.lang)
        }
        .boxed()
    }

    fn insights(&self, query: &InsightQuery) -> InsightsView {
        self.reader.insights(&self.scope, query).localized(self.lang)
    }

    fn sources(&self) -> SourcesView {
        self.reader.sources(&self.scope).localized(self.lang)
    }

    fn account(&self) -> Option<Account> {
        let user = self.user.as_ref()?;
        let visible = self.reader.visible(&self.scope);
        let namespaces: HashSet<&String> = visible.vms().iter().map(|vm| &vm.summary.namespace).collect();
        let mut namespaces: Vec<String> = namespaces.into_iter().cloned().collect();
        namespaces.sort_unstable();
        let access_status = &user.access_status;
        Some(Account {
            mark: format!("{:016x}", user.hash()),
            name: user.user().name.clone(),
            groups: user.user().groups.clone(),
            cluster: self.reader.cluster(),
            vms: visible.totals().counts.total,
            namespaces,
            all_vms: self.scope.has_all_vms(),
            checks: (!access_status.is_complete()).then_some((access_status.checked, access_status.places)),
            signed_in_by: match user.mode() {
                SignInMode::Token => SignedInBy::Token,
                SignInMode::Oidc => SignedInBy::Provider,
                SignInMode::Proxy => SignedInBy::Proxy,
            },
            can_sign_out: user.can_sign_out(),
            renewal_in: user.renewal_in().map(|due| due.max(0)),
        })
    }
}
