//! Notices about sources that fail, although no figure is missing or stale yet. What is missing needs attention, where it
//! stands with its reason and fix. One line per source, three lines at most.

use leptos::prelude::*;

use crate::ui::{
    address,
    components::icon::{Icon, icon},
};
use i18n::{self as names, t, text};
use model::source::{SourceHealth, SourceId, SourceState};

const LINES: usize = 3;

/// Returns the sources that need a notice. An API that is not installed needs none, and a second source only once
/// something is missing.
fn failing(sources: &[SourceHealth]) -> Vec<&SourceHealth> {
    let is_failing = |source: &&SourceHealth| match source.state {
        SourceState::Degraded | SourceState::Forbidden => {
            cost(source.id).is_some() && source.vms_missing + source.vms_stale == 0
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
        let count = t!(source_notice.more, n = (more + 1) as u32);
        view! {
            <p class="notice">
                {icon(Icon::Warn)}
                <span>{count} " " <a href=address::at("/sources")>{t!(source_notice.all)}</a></span>
            </p>
        }
    });
    let lines: Vec<_> = failing.iter().take(shown).map(|source| notice(source)).collect();
    (!failing.is_empty()).then(|| {
        view! {
            <aside class="notices" aria-label=t!(source_notice.label)>
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
                <b>{cost(source.id)}</b>
                " "
                {t!(source_notice.error, source = source.id.code(), error = error)}
                " "
                {fix}
                <a href=address::at("/sources#") + source.id.code() rel="external">
                    {t!(notice.how_to_fix)} <span class="vh">" " {t!(source_notice.about, source = source.id.code())}</span>
                </a>
            </span>
        </p>
    }
}

/// What a failing source costs while none of its figures is missing, such as `CPU, memory: the last known figures are
/// shown.` `None` for a second source: it costs nothing until something is missing.
fn cost(id: SourceId) -> Option<String> {
    let (figures, costs) = match id {
        SourceId::PodMetrics => (t!(source_notice.pod_metrics), t!(source_notice.last_stands)),
        SourceId::Kubelet => (t!(source_notice.kubelet), t!(source_notice.last_stands)),
        SourceId::AccessReviews => (t!(source_notice.access_reviews), t!(source_notice.rights_end)),
        SourceId::Wukongs => (t!(source_notice.wukongs), t!(source_notice.maybe_old)),
        SourceId::VirtualMachines => (t!(source_notice.virtual_machines), t!(source_notice.maybe_old)),
        SourceId::Instances => (t!(source_notice.instances), t!(source_notice.maybe_old)),
        SourceId::Pods => (t!(source_notice.pods), t!(source_notice.maybe_old)),
        SourceId::Claims => (t!(source_notice.claims), t!(source_notice.maybe_old)),
        SourceId::Migrations
        | SourceId::PersistentVolumes
        | SourceId::Nodes
        | SourceId::ClusterInstancetypes
        | SourceId::Instancetypes
        | SourceId::VirtHandler
        | SourceId::Prometheus
        | SourceId::GuestAgent
        | SourceId::Longhorn
        | SourceId::Ceph => return None,
    };
    Some(t!(source_notice.cost, figures = figures, costs = costs))
}
