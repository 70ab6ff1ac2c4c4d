//! A cut is what a view shows of one snapshot. This module makes cuts, compares them, and writes them and
//! their changes. `channel` uses it.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::{
    ask::{Format, View},
    size,
};
use crate::server::http::{json::events as json, reader::Reader};
use i18n::{Lang, Localize};
use model::{
    delta::Update,
    nodes::NodeView,
    view::{Facets, HomeView, SourcesView, VmView},
    vm::Vm,
};
use wukong_core::{
    Visible,
    delta::{self, Outcome},
    view::of_summary,
};

/// What a view shows of one snapshot.
pub enum Cut {
    /// For JSON, the rows are VMs of the snapshot, and the view holds only what JSON shows. For postcard
    /// there are no rows.
    List(Box<HomeView>, Vec<Arc<Vm>>),
    Vm(Box<VmView>),
    Node(Box<NodeView>),
    Sources(SourcesView),
}

impl Cut {
    /// Cuts the view from what is visible, in the language of the format.
    pub fn of(view: &View, format: Format, reader: &Reader, visible: &Visible) -> Self {
        let lang = match format {
            Format::Json => Lang::English,
            Format::Postcard(lang) => lang,
        };
        Self::without_language(view, format, reader, visible).localized(lang)
    }

    fn without_language(view: &View, format: Format, reader: &Reader, visible: &Visible) -> Self {
        match view {
            View::List(query) => {
                let home = reader.home_of(visible, query);
                match format {
                    Format::Json => {
                        let rows =
                            home.vms.iter().filter_map(|vm| of_summary(visible, vm).cloned()).collect();
                        Self::List(Box::new(shown_in_json(home)), rows)
                    }
                    Format::Postcard(lang) => {
                        let attention = reader.attention(visible, lang);
                        Self::List(Box::new(HomeView { attention, ..home }), Vec::new())
                    }
                }
            }
            View::Vm { namespace, name } => Self::Vm(Box::new(reader.vm_of(visible, namespace, name))),
            View::Node { name } => Self::Node(Box::new(reader.node_of(visible, name))),
            View::Sources => Self::Sources(reader.sources_of(visible)),
        }
    }

    /// Returns the approximate bytes of the cut while its snapshot is the newest, which holds the rows as
    /// well.
    pub fn bytes(&self) -> usize {
        match self {
            Self::List(view, rows) => size::of_list(view) + size_of_val(&rows[..]),
            Self::Vm(view) => {
                let vm = view.vm.as_ref().map_or(0, size::of_vm);
                size::of_frame(&view.frame) + vm + size::of_details(&view.details)
            }
            Self::Node(view) => size::of_node(view),
            Self::Sources(view) => size::of_frame(&view.frame),
        }
    }

    /// Returns the approximate bytes of the cut after its snapshot is gone, including the rows.
    pub fn bytes_alone(&self) -> usize {
        let rows = match self {
            // The rows belong to the snapshot and have no language.
            Self::List(_, rows) => {
                rows.iter().map(|vm| size::of_vm(&Vm::clone(vm).localized(Lang::English))).sum()
            }
            Self::Vm(_) | Self::Node(_) | Self::Sources(_) => 0,
        };
        self.bytes() + rows
    }

    /// Returns the whole view, written.
    pub fn state(&self, format: Format) -> String {
        match (format, self) {
            (Format::Json, Self::List(view, vms)) => json(&json::ListState::new(view, vms)),
            (Format::Json, Self::Vm(view)) => json(&json::VmState::new(view)),
            (Format::Json, Self::Node(view)) => json(&json::NodeState::new(view)),
            (Format::Json, Self::Sources(view)) => json(&json::FrameState::new(&view.frame)),
            (Format::Postcard(_), Self::List(view, _)) => postcard(&Update::<_, ()>::State(view)),
            (Format::Postcard(_), Self::Vm(view)) => postcard(&Update::<_, ()>::State(view)),
            (Format::Postcard(_), Self::Node(view)) => postcard(&Update::<_, ()>::State(view)),
            (Format::Postcard(_), Self::Sources(view)) => postcard(&Update::<_, ()>::State(view)),
        }
    }

    /// Returns how `after` differs from this cut, written.
    pub fn change(&self, after: &Self, format: Format) -> Outcome<String> {
        match (format, self, after) {
            (Format::Postcard(_), Self::List(before, _), Self::List(after, _)) => {
                postcard_change(delta::home(before, after))
            }
            (Format::Postcard(_), Self::Vm(before), Self::Vm(after)) => {
                postcard_change(delta::vm(before, after))
            }
            (Format::Postcard(_), Self::Node(before), Self::Node(after)) => {
                postcard_change(delta::node(before, after))
            }
            (Format::Postcard(_), Self::Sources(before), Self::Sources(after)) => {
                postcard_change(delta::sources(before, after))
            }
            (Format::Json, Self::List(before, old), Self::List(after, new)) => {
                json_change(json::ListChange::between((before, old), (after, new)))
            }
            (Format::Json, Self::Vm(before), Self::Vm(after)) => {
                json_change(json::VmChange::between(before, after))
            }
            (Format::Json, Self::Node(before), Self::Node(after)) => {
                json_change(json::NodeChange::between(before, after))
            }
            (Format::Json, Self::Sources(before), Self::Sources(after)) => {
                json_change(json::FrameChange::between(&before.frame, &after.frame))
            }
            // Cannot happen: a channel has one view.
            _ => Outcome::Other,
        }
    }
}

impl Localize for Cut {
    fn localize(&mut self, lang: Lang) {
        match self {
            Self::List(view, _) => view.localize(lang),
            Self::Vm(view) => view.localize(lang),
            Self::Node(view) => view.localize(lang),
            Self::Sources(view) => view.localize(lang),
        }
    }
}

/// Returns the view without what JSON leaves out: the names of the filters, the map's cells, the sparklines,
/// the activity and the rows as pages show them.
fn shown_in_json(view: HomeView) -> HomeView {
    let (vms, sparklines, activity, map) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    HomeView { vms, sparklines, activity, map, facets: Facets::default(), ..view }
}

fn postcard_change<C: Serialize>(outcome: Outcome<C>) -> Outcome<String> {
    match outcome {
        Outcome::Same => Outcome::Same,
        Outcome::Other => Outcome::Other,
        Outcome::Change(change) => Outcome::Change(postcard(&Update::<(), _>::Change(change))),
    }
}

fn json_change<C: Serialize>(outcome: Outcome<C>) -> Outcome<String> {
    match outcome {
        Outcome::Same => Outcome::Same,
        Outcome::Other => Outcome::Other,
        Outcome::Change(change) => Outcome::Change(json(&change)),
    }
}

/// Cannot fail: postcard can write everything that views hold.
fn postcard(value: &impl Serialize) -> String {
    STANDARD.encode(postcard::to_allocvec(value).unwrap_or_default())
}

/// Cannot fail: numbers and strings always serialize.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::http::tests::fixture::{Server, vm};
    use model::query::{GroupBy, Query, ViewKind};
    use wukong_core::Scope;

    const NAMESPACES: usize = 3000;

    fn cut(server: &Server, query: Query, format: Format) -> Cut {
        let reader = &server.app.reader;
        Cut::of(&View::List(query), format, reader, &reader.visible(&Scope::all()))
    }

    fn facets(cut: &Cut) -> &Facets {
        let Cut::List(view, _) = cut else { panic!("a list") };
        &view.facets
    }

    /// Otherwise each of some hundred views would hold every name.
    #[test]
    fn the_names_of_filters_are_held_once_and_in_json_not_at_all() {
        let vms = |os: &str| {
            let vm = |n| Vm { os_image: os.into(), ..vm(&format!("namespace-of-team-{n:04}"), "web") };
            (0..NAMESPACES).map(vm).collect()
        };
        let server = Server::new(vms("a"));
        let of = |q: &str, view, format| {
            let query = Query { q: q.into(), view: Some(view), by: GroupBy::Namespace, ..Query::default() };
            cut(&server, query, format)
        };
        let postcard = Format::Postcard(Lang::default());
        let views = [
            of("", ViewKind::Cards, postcard),
            of("team-1", ViewKind::Table, postcard),
            of("nothing", ViewKind::Map, postcard),
        ];
        server.publish(2, vms("b"));
        let later = of("team-2", ViewKind::Cards, postcard);
        let names = &facets(&later).namespaces.names;
        assert_eq!(names.len(), NAMESPACES);
        for view in &views {
            assert!(Arc::ptr_eq(&facets(view).namespaces.names, names));
            assert!(Arc::ptr_eq(&facets(view).nodes.names, &facets(&later).nodes.names));
            assert!(view.bytes() < 128 << 10, "{} bytes", view.bytes());
        }
        for view in [ViewKind::Cards, ViewKind::Map] {
            let json = of("", view, Format::Json);
            assert_eq!(facets(&json), &Facets::default());
            assert!(json.bytes() < 8 << 10, "{} bytes", json.bytes());
        }
    }
}
