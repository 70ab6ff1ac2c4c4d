//! What the node's own object says: its conditions, and the version of its kubelet.

use leptos::prelude::*;

use i18n::t;
use model::{
    Millis, format,
    groups::{Node, NodePressure},
    nodes::NodeReport,
};

pub fn facts(node: &NodeReport) -> Option<impl IntoView + use<>> {
    let Node { ready, ready_since, unschedulable, takes_vms, schedulable, pressure, kubelet_version, .. } =
        node.group.node.as_ref()?;
    let NodePressure { memory, disk, pids } = *pressure;
    let takes_new = match (takes_vms, unschedulable, schedulable) {
        (true, false, true) => t!(node.yes),
        (true, true, _) => t!(node.no_cordoned),
        (true, false, false) => t!(node.no_label),
        (false, ..) => t!(node.no_kubevirt),
    };
    let facts = [
        (t!(node.ready), since(*ready, *ready_since)),
        (t!(node.memory_pressure), answer(memory).to_owned()),
        (t!(node.disk_pressure), answer(disk).to_owned()),
        (t!(node.pid_pressure), answer(pids).to_owned()),
        (t!(node.takes_new_vms), takes_new.to_owned()),
        (t!(node.kubelet), kubelet_version.clone()),
    ];
    Some(view! {
        <h2>{t!(node.conditions)}</h2>
        <dl class="facts">{facts.map(|(name, value)| fact(name, value))}</dl>
    })
}

fn fact(name: &'static str, value: String) -> impl IntoView {
    let value = if value.is_empty() { t!(map.unknown).to_owned() } else { value };
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}

fn answer(condition: Option<bool>) -> &'static str {
    match condition {
        Some(true) => t!(node.yes),
        Some(false) => t!(node.no),
        None => t!(map.unknown),
    }
}

fn since(condition: Option<bool>, since: Option<Millis>) -> String {
    match since {
        Some(since) => t!(node.since, state = answer(condition), time = format::utc_minute(since)),
        None => answer(condition).to_owned(),
    }
}
