//! The views that pages follow: which server function returns each, and how its event stream changes it.

use core::future::Future;

use codee::{Decoder, binary::PostcardCodec, string::Base64};
use serde::{Serialize, de::DeserializeOwned};

use crate::server_fns::{self, Failure};
use model::{
    delta::Update,
    groups::{GroupsQuery, GroupsView},
    history::Span,
    insight::InsightQuery,
    nodes::NodeView,
    query::{Query, encode},
    view::{Frame, HistoryView, HomeView, InsightsView, SourcesView, TimelineView, VmView},
};

/// The encoding of views in a page and in the events of its stream.
pub type Embedded = Base64<PostcardCodec>;

/// A view that a server function returns.
pub trait View: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What identifies the view, such as a query.
    type Key: Clone + PartialEq + Send + Sync + 'static;

    fn fetch(key: &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static;
    fn frame(&self) -> &Frame;

    /// The query string of the view's event stream; `None` if it has no stream.
    fn stream_query(_: &Self::Key) -> Option<String> {
        None
    }

    /// Applies an event of the stream. Returns `None` if the event does not fit the view.
    fn apply_event(_: &mut Option<Self>, _event: &str) -> Option<()> {
        None
    }
}

/// Replaces the whole view, or applies a change to the current one.
fn apply_update<V: View, C: DeserializeOwned>(
    view: &mut Option<V>,
    event: &str,
    apply: impl FnOnce(&mut V, C) -> Option<()>,
) -> Option<()> {
    match Embedded::decode(event).ok()? {
        Update::State(state) => {
            *view = Some(state);
            Some(())
        }
        Update::Change(change) => apply(view.as_mut()?, change),
    }
}

impl View for HomeView {
    type Key = Query;

    fn fetch(query: &Query) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::home(query.to_query_string())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream_query(query: &Query) -> Option<String> {
        Some(query.to_query_string())
    }

    fn apply_event(view: &mut Option<Self>, event: &str) -> Option<()> {
        apply_update(view, event, Self::apply)
    }
}

impl View for GroupsView {
    type Key = GroupsQuery;

    fn fetch(query: &GroupsQuery) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        let address = query.address();
        server_fns::groups(address.split_once('?').map_or("", |(_, query)| query).to_owned())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for VmView {
    type Key = (String, String);

    fn fetch((namespace, name): &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::vm(namespace.clone(), name.clone())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream_query((namespace, name): &Self::Key) -> Option<String> {
        let mut query = "?vm=".to_owned();
        encode(&mut query, namespace);
        query.push('/');
        encode(&mut query, name);
        Some(query)
    }

    fn apply_event(view: &mut Option<Self>, event: &str) -> Option<()> {
        apply_update(view, event, Self::apply)
    }
}

impl View for NodeView {
    type Key = String;

    fn fetch(name: &String) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::node(name.clone())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream_query(name: &String) -> Option<String> {
        let mut query = "?only=node&node=".to_owned();
        encode(&mut query, name);
        Some(query)
    }

    fn apply_event(view: &mut Option<Self>, event: &str) -> Option<()> {
        apply_update(view, event, Self::apply)
    }
}

impl View for HistoryView {
    type Key = ((String, String), Span);

    fn fetch(
        ((namespace, name), span): &Self::Key,
    ) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::history(namespace.clone(), name.clone(), span.code().to_owned())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for TimelineView {
    type Key = (String, String);

    /// The server renders what it knows; the browser asks for what it does not.
    fn fetch((namespace, name): &Self::Key) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::timeline(namespace.clone(), name.clone(), cfg!(not(feature = "ssr")))
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for InsightsView {
    type Key = InsightQuery;

    fn fetch(query: &InsightQuery) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::insights(query.to_query_string())
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }
}

impl View for SourcesView {
    type Key = ();

    fn fetch((): &()) -> impl Future<Output = Result<Self, Failure>> + Send + 'static {
        server_fns::sources()
    }

    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn stream_query((): &()) -> Option<String> {
        Some("?only=sources".to_owned())
    }

    fn apply_event(view: &mut Option<Self>, event: &str) -> Option<()> {
        apply_update(view, event, Self::apply)
    }
}
