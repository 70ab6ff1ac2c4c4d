//! What is wrong with the sources, what it costs, and what to do: a line a source, three lines at most.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::{
    model::source::{SourceHealth, SourceId, SourceState},
    ui::words,
};

const LINES: usize = 3;

/// The sources that people must hear of. An API that is not installed is no fault while no figure misses it, and a
/// second source none while the first one has every figure, or is to blame itself.
fn troubled(sources: &[SourceHealth]) -> Vec<&SourceHealth> {
    let costs = |source: &SourceHealth| source.vms_missing + source.vms_stale > 0;
    let first_costs = sources.iter().any(|source| !source.id.is_second() && costs(source));
    let troubled = |source: &&SourceHealth| match source.state {
        SourceState::Starting | SourceState::Healthy | SourceState::NotConfigured => false,
        SourceState::Absent => costs(source),
        SourceState::Degraded | SourceState::Forbidden if source.id.is_second() => {
            costs(source) && !first_costs
        }
        SourceState::Degraded | SourceState::Forbidden => true,
    };
    sources.iter().filter(troubled).collect()
}

pub fn notices(sources: &[SourceHealth]) -> impl IntoView + use<> {
    let troubled = troubled(sources);
    let more = troubled.len().saturating_sub(LINES);
    // The last line must hold all that have none of their own.
    let shown = if more > 0 { LINES - 1 } else { LINES };
    let rest = (more > 0).then(|| {
        let count = words::count_of((more + 1) as u32, "source", "sources");
        view! {
            <p class="notice">
                {icon(Icon::Warn)}
                <span>{count} " more in trouble. " <a href="/sources">"See all sources"</a></span>
            </p>
        }
    });
    let lines: Vec<_> = troubled.iter().take(shown).map(|source| notice(source)).collect();
    (!troubled.is_empty()).then(|| {
        view! {
            <aside class="notices" aria-label="Sources in trouble">
                {lines}
                {rest}
            </aside>
        }
    })
}

fn notice(source: &SourceHealth) -> impl IntoView + use<> {
    let error = if source.error.is_empty() {
        source.reason.map_or("", |reason| reason.text()).to_owned()
    } else {
        source.error.clone()
    };
    let mend =
        (!source.mend.is_empty()).then(|| view! { <span class="mend">{source.mend.clone()}</span> " " });
    view! {
        <p class="notice">
            {icon(Icon::Warn)}
            <span>
                <b>{cost(source)}</b>
                " "
                {[source.id.code(), ": ", &error].concat()}
                ". "
                {mend}
                <a href=["/sources#", source.id.code()].concat()>
                    "What to do" <span class="vh">" about " {source.id.code()}</span>
                </a>
            </span>
        </p>
    }
}

/// `CPU, memory: unknown for 12 VMs, old for 3 VMs.`
pub fn cost(source: &SourceHealth) -> String {
    let mut costs = Vec::new();
    if source.vms_missing > 0 {
        costs.push("unknown for ".to_owned() + &words::vms(source.vms_missing));
    }
    if source.vms_stale > 0 {
        costs.push("old for ".to_owned() + &words::vms(source.vms_stale));
    }
    if costs.is_empty() {
        costs.push(lost(source.id).to_owned());
    }
    [figure(source.id), ": ", &costs.join(", "), "."].concat()
}

fn figure(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics => "CPU, memory",
        SourceId::Kubelet => "Disk",
        SourceId::Prometheus => "Disk, guest memory",
        SourceId::GuestAgent => "File systems in guests",
        SourceId::PersistentVolumes => "Backends of claims",
        SourceId::Longhorn => "Longhorn volumes",
        SourceId::Ceph => "RBD images",
        SourceId::Wukongs => "Wukongs",
        SourceId::VirtualMachines => "VirtualMachines",
        SourceId::Instances => "Nodes and migrations",
        SourceId::Pods => "Launcher pods",
        SourceId::Claims => "Volume modes",
    }
}

/// What a source costs that gives no figure of its own, or none that is missed yet.
fn lost(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics
        | SourceId::Kubelet
        | SourceId::Prometheus
        | SourceId::GuestAgent
        | SourceId::Longhorn
        | SourceId::Ceph => "the last figures stand for now",
        SourceId::PersistentVolumes => "backends cannot be matched to claims",
        _ => "the list may be incomplete or old",
    }
}
