//! What a view shows of one snapshot, and how that and its changes are written.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;

use super::ask::{Format, View};
use crate::server::serve::{reader::Reader, rest::events as json};
use i18n::{Lang, Localize};
use model::{
    delta::Update,
    view::{HomeView, SourcesView, VmView},
    vm::{Vm, VmSummary},
};
use wukong_core::{
    Scope, Snapshot,
    delta::{self, Outcome},
};

pub enum Cut {
    /// The rows once more in full, for those who read JSON; empty for others.
    List(Box<HomeView>, Vec<Arc<Vm>>),
    Vm(Box<VmView>),
    Sources(SourcesView),
}

impl Cut {
    pub fn of(view: &View, format: Format, reader: &Reader, scope: &Scope, snapshot: &Snapshot) -> Self {
        let cut = Self::without_language(view, format, reader, scope, snapshot);
        match format {
            // JSON is in English, and renders each message where it is written.
            Format::Json => cut,
            Format::Postcard(lang) => cut.localized(lang),
        }
    }

    fn without_language(
        view: &View,
        format: Format,
        reader: &Reader,
        scope: &Scope,
        snapshot: &Snapshot,
    ) -> Self {
        match view {
            View::List(query) => {
                let home = reader.home_of(snapshot, scope, query);
                let rows = match format {
                    Format::Json => home.vms.iter().filter_map(|vm| whole(snapshot, vm)).collect(),
                    Format::Postcard(_) => Vec::new(),
                };
                Self::List(Box::new(home), rows)
            }
            View::Vm { namespace, name } => {
                Self::Vm(Box::new(reader.vm_of(snapshot, scope, namespace, name)))
            }
            View::Sources => Self::Sources(reader.sources_of(snapshot, scope)),
        }
    }

    /// All of it.
    pub fn state(&self, format: Format) -> String {
        match (format, self) {
            (Format::Json, Self::List(view, vms)) => json(&json::ListState::new(view, vms)),
            (Format::Json, Self::Vm(view)) => json(&json::VmState::new(view)),
            (Format::Json, Self::Sources(view)) => json(&json::FrameState::new(&view.frame)),
            (Format::Postcard(_), Self::List(view, _)) => postcard(&Update::<_, ()>::State(view)),
            (Format::Postcard(_), Self::Vm(view)) => postcard(&Update::<_, ()>::State(view)),
            (Format::Postcard(_), Self::Sources(view)) => postcard(&Update::<_, ()>::State(view)),
        }
    }

    /// What became of it.
    pub fn change(&self, after: &Self, format: Format) -> Outcome<String> {
        match (format, self, after) {
            (Format::Postcard(_), Self::List(before, _), Self::List(after, _)) => {
                written(delta::home(before, after))
            }
            (Format::Postcard(_), Self::Vm(before), Self::Vm(after)) => written(delta::vm(before, after)),
            (Format::Postcard(_), Self::Sources(before), Self::Sources(after)) => {
                written(delta::sources(before, after))
            }
            (Format::Json, Self::List(before, old), Self::List(after, new)) => {
                told(json::ListChange::between((before, old), (after, new)))
            }
            (Format::Json, Self::Vm(before), Self::Vm(after)) => told(json::VmChange::between(before, after)),
            (Format::Json, Self::Sources(before), Self::Sources(after)) => {
                told(json::FrameChange::between(&before.frame, &after.frame))
            }
            // A channel has one view.
            _ => Outcome::Other,
        }
    }
}

impl Localize for Cut {
    fn localize(&mut self, lang: Lang) {
        match self {
            Self::List(view, _) => view.localize(lang),
            Self::Vm(view) => view.localize(lang),
            Self::Sources(view) => view.localize(lang),
        }
    }
}

/// The VM of a row, out of the snapshot that the row was cut from. Snapshots are sorted by name, then namespace.
fn whole(snapshot: &Snapshot, row: &VmSummary) -> Option<Arc<Vm>> {
    let of = |vm: &Arc<Vm>| (vm.summary.name.clone(), vm.summary.namespace.clone());
    let wanted = (row.name.clone(), row.namespace.clone());
    let first = snapshot.vms.partition_point(|vm| of(vm) < wanted);
    snapshot.vms[first..]
        .iter()
        .take_while(|vm| of(vm) == wanted)
        .find(|vm| vm.summary.kind == row.kind)
        .cloned()
}

fn written<C: Serialize>(outcome: Outcome<C>) -> Outcome<String> {
    match outcome {
        Outcome::Same => Outcome::Same,
        Outcome::Other => Outcome::Other,
        Outcome::Change(change) => Outcome::Change(postcard(&Update::<(), _>::Change(change))),
    }
}

fn told<C: Serialize>(outcome: Outcome<C>) -> Outcome<String> {
    match outcome {
        Outcome::Same => Outcome::Same,
        Outcome::Other => Outcome::Other,
        Outcome::Change(change) => Outcome::Change(json(&change)),
    }
}

/// Views hold nothing that postcard cannot write.
fn postcard(value: &impl Serialize) -> String {
    STANDARD.encode(postcard::to_allocvec(value).unwrap_or_default())
}

/// Numbers and texts always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
