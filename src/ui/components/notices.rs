//! Notices about sources that fail, although no figure is missing or stale yet. What is missing needs attention, where it
//! stands with its reason and fix. One line per source, three lines at most.

use leptos::prelude::*;

use super::icon::{Icon, icon};
use crate::ui::{address, words};
use i18n::{self as names, t, text};
use model::{
    attention::AttentionKind,
    query::Query,
    source::{SourceHealth, SourceId, SourceState},
};

const LINES: usize = 3;

/// Returns the sources that need a notice. An API that is not installed needs none, and a second source only once
/// something is missing.
fn failing(sources: &[SourceHealth]) -> Vec<&SourceHealth> {
    let is_failing = |source: &&SourceHealth| match source.state {
        SourceState::Degraded | SourceState::Forbidden => {
            !source.id.is_second() && source.vms_missing + source.vms_stale == 0
        }
        SourceState::Starting | SourceState::Healthy | SourceState::NotConfigured | SourceState::Absent => {
            false
        }
    };
    sources.iter().filter(is_failing).collect()
}

pub fn notices(sources: &[SourceHealth]) -> impl IntoView + use<> {
    let failing = failing(sources);
    let more = failing.len().saturating_sub(LINES);
    // The last line stands for all sources that have no line of their own.
    let shown = if more > 0 { LINES - 1 } else { LINES };
    let rest = (more > 0).then(|| {
        let count = t!(notice.more, n = (more + 1) as u32);
        view! {
            <p class="notice">
                {icon(Icon::Warn)}
                <span>{count} " " <a href=address::at("/sources")>{t!(notice.all)}</a></span>
            </p>
        }
    });
    let lines: Vec<_> = failing.iter().take(shown).map(|source| notice(source)).collect();
    (!failing.is_empty()).then(|| {
        view! {
            <aside class="notices" aria-label=t!(notice.label)>
                {lines}
                {rest}
            </aside>
        }
    })
}

fn notice(source: &SourceHealth) -> impl IntoView + use<> {
    let error = if source.error.is_empty() {
        source.reason.map_or("", |reason| text(names::reason(reason))).to_owned()
    } else {
        source.error.text()
    };
    let fix = (!source.fix.is_empty()).then(|| view! { <span class="fix">{source.fix.text()}</span> " " });
    view! {
        <p class="notice">
            {icon(Icon::Warn)}
            <span>
                <b>{cost(source)}</b>
                " "
                {t!(notice.error, source = source.id.code(), error = error)}
                " "
                {fix}
                <a href=address::at("/sources#") + source.id.code() rel="external">
                    {t!(notice.how_to_fix)} <span class="vh">" " {t!(notice.about, source = source.id.code())}</span>
                </a>
            </span>
        </p>
    }
}

/// The address of the list of VMs with unknown figures; each of them gives its own reason.
pub fn attention(source: &SourceHealth) -> String {
    let attention = Some(AttentionKind::Unknown.into());
    address::list(&Query { attention, node: source.node.clone(), ..Query::default() })
}

/// Example: `CPU, memory: incomplete for 12 VMs, stale for 3 VMs.`
pub fn cost(source: &SourceHealth) -> String {
    let mut costs = Vec::new();
    if source.vms_missing > 0 {
        costs.push(t!(notice.unknown_for, vms = words::vms(source.vms_missing)));
    }
    if source.vms_stale > 0 {
        costs.push(t!(notice.old_for, vms = words::vms(source.vms_stale)));
    }
    if costs.is_empty() {
        costs.push(consequence(source.id).to_owned());
    }
    t!(notice.cost, figures = figure(source.id), costs = costs.join(t!(notice.between)))
}

fn figure(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics => t!(notice.pod_metrics),
        SourceId::Kubelet => t!(notice.kubelet),
        SourceId::VirtHandler => t!(notice.virt_handler),
        SourceId::Prometheus => t!(notice.prometheus),
        SourceId::GuestAgent => t!(notice.guest_agent),
        SourceId::PersistentVolumes => t!(notice.persistent_volumes),
        SourceId::Nodes => t!(notice.nodes),
        SourceId::ClusterInstancetypes | SourceId::Instancetypes => t!(notice.instancetypes),
        SourceId::Longhorn => t!(notice.longhorn),
        SourceId::Ceph => t!(notice.ceph),
        SourceId::AccessReviews => t!(notice.access_reviews),
        SourceId::Wukongs => t!(notice.wukongs),
        SourceId::VirtualMachines => t!(notice.virtual_machines),
        SourceId::Instances => t!(notice.instances),
        SourceId::Migrations => t!(notice.migrations),
        SourceId::Pods => t!(notice.pods),
        SourceId::Claims => t!(notice.claims),
    }
}

/// What a failing source costs if it gives no figure of its own, or if none of its figures is missing yet.
fn consequence(id: SourceId) -> &'static str {
    match id {
        SourceId::PodMetrics
        | SourceId::Kubelet
        | SourceId::VirtHandler
        | SourceId::Prometheus
        | SourceId::GuestAgent
        | SourceId::Longhorn
        | SourceId::Ceph => t!(notice.last_stands),
        SourceId::PersistentVolumes => t!(notice.unmatched),
        SourceId::Nodes => t!(notice.overcommitted),
        SourceId::AccessReviews => t!(notice.rights_end),
        SourceId::ClusterInstancetypes | SourceId::Instancetypes => t!(notice.size_unknown),
        SourceId::Wukongs
        | SourceId::VirtualMachines
        | SourceId::Instances
        | SourceId::Migrations
        | SourceId::Pods
        | SourceId::Claims => t!(notice.maybe_old),
    }
}
