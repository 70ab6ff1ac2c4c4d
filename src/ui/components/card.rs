//! The card of one VM in the list: name, state, location, three meters, why a figure is missing, and the age
//! of the figures.

use leptos::prelude::*;

use super::{
    icon::{Icon, icon},
    meter::{Gauge, meter},
    state::{State, state},
};
use crate::ui::{address, words};
use i18n::{self as names, t, text};
use model::{
    Millis,
    figure::{Figure, Sample, Unit},
    history::Sparklines,
    query::encode,
    reason::Reason,
    vm::{Status, VmSummary},
    vm_health::Level,
};

/// The address of a VM's page.
pub fn vm_address(namespace: &str, name: &str) -> String {
    let mut address = address::at("/vms/");
    encode(&mut address, namespace);
    address.push('/');
    encode(&mut address, name);
    address
}

/// The id of the card's heading, by which the card is labelled (`aria-labelledby`).
pub fn label(namespace: &str, name: &str) -> String {
    [namespace, "/", name].concat()
}

/// The CSS classes of the card.
pub fn class(vm: &VmSummary) -> String {
    ["card ", State::of_vm(vm).class].concat()
}

/// The card without the ages, which change every second.
pub fn card(vm: &VmSummary, sparklines: Option<&Sparklines>) -> impl IntoView + use<> {
    view! {
        <header>
            <h3 id=label(&vm.namespace, &vm.name)>
                <a href=vm_address(&vm.namespace, &vm.name)>{vm.name.clone()}</a>
            </h3>
            {state(State::of_vm(vm))}
            {location(vm)}
        </header>
        <div class="meters">{meters(vm, sparklines)}</div>
        {reasons(vm)}
    }
}

/// The node, and the target node during a migration; empty if the VM is on no node.
pub fn node_text(vm: &VmSummary) -> String {
    match (vm.node.as_str(), vm.migrating_to.as_str()) {
        (node, "") => node.to_owned(),
        (node, target) => [node, " → ", target].concat(),
    }
}

fn location(vm: &VmSummary) -> impl IntoView + use<> {
    let node = if vm.node.is_empty() { t!(card.no_node).to_owned() } else { node_text(vm) };
    view! {
        <p class="location">
            <b>{vm.namespace.clone()}</b>
            <span>{node}</span>
            <span>{vm.ip_address.clone()}</span>
        </p>
    }
}

fn meters(vm: &VmSummary, sparklines: Option<&Sparklines>) -> impl IntoView + use<> {
    let usage = &vm.usage;
    let running = vm.status == Status::Running;
    let gauge = |label, unit, figure, allocated, sparkline, level| {
        meter(Gauge { label, name: label, unit, figure, allocated, running, level, sparkline, why: None })
    };
    (
        gauge(
            t!(figure.cpu),
            Unit::Nanocores,
            &usage.cpu,
            vm.cpu,
            sparklines.map(|sparklines| &sparklines.cpu),
            None,
        ),
        gauge(
            t!(figure.memory),
            Unit::Bytes,
            &usage.memory,
            vm.memory,
            sparklines.map(|sparklines| &sparklines.memory),
            vm.usage.guest_memory.map(Level::of_space),
        ),
        gauge(
            t!(figure.disk),
            Unit::Bytes,
            &usage.disk,
            Some(vm.disk),
            sparklines.map(|sparklines| &sparklines.disk),
            vm.usage.fullest_disk.map(Level::of_space),
        ),
    )
}

/// Why figures are missing. The link is `external`, handled by the browser, as is every link to an anchor on
/// another page: the router would scroll before the page's data has been fetched.
fn reasons(vm: &VmSummary) -> Option<impl IntoView + use<>> {
    let text = reasons_text(vm);
    let why = has_unknown(vm).then(|| {
        let address = vm_address(&vm.namespace, &vm.name) + "#why";
        view! {
            " "
            <a href=address rel="external">
                {t!(card.why)} <span class="vh">" " {vm.name.clone()}</span>
            </a>
        }
    });
    (!text.is_empty()).then(|| view! { <p class="reason">{text} {why}</p> })
}

/// Says that one disk is fuller than all of them together; `None` if that needs no attention.
pub fn full_disk(vm: &VmSummary) -> Option<String> {
    let percent = vm.usage.fullest_disk.filter(|percent| Level::of_space(*percent) > Level::Normal)?;
    let is_said = vm.usage.disk.sample().is_some_and(|sample| sample.percent() >= percent);
    (!is_said).then(|| t!(card.fullest_disk, percent = words::percent(percent)))
}

/// What a reader must know to read the meters correctly; empty if there is nothing to add.
pub fn reasons_text(vm: &VmSummary) -> String {
    let mut sentences: Vec<String> = Vec::new();
    if vm.status != Status::Running {
        sentences.push(idle(vm));
        return sentences.concat();
    }
    sentences.extend(missing(vm));
    let partly = disk_partly(vm);
    if !partly.is_empty() {
        sentences.push(partly);
    }
    sentences.extend(full_disk(vm));
    let basis = vm.usage.disk.sample().map_or("", words::basis);
    if !basis.is_empty() {
        sentences.push(t!(figure.basis, basis = basis));
    }
    sentences.extend(overhead(vm));
    if let Some(fault) = &vm.fault {
        sentences.push(t!(card.paused, message = fault.text()));
    }
    sentences.extend(state_text(vm));
    sentences.join(t!(card.between))
}

/// What KubeVirt says of a VM that runs, beside its status.
pub fn state_text(vm: &VmSummary) -> Option<String> {
    if !vm.migrating_to.is_empty() {
        Some(t!(card.migrating, node = vm.migrating_to))
    } else if vm.fault.is_none() && !vm.kubevirt_status.is_empty() && vm.kubevirt_status != "Running" {
        Some(t!(card.kubevirt, status = vm.kubevirt_status))
    } else {
        None
    }
}

/// Example: `Disk: 1 of 2 volumes unknown.` Empty if all volumes are known, or none is.
pub fn disk_partly(vm: &VmSummary) -> String {
    let usage = &vm.usage;
    if usage.disk.sample().is_none() || usage.disk_known >= usage.disk_volumes {
        return String::new();
    }
    let unknown = usage.disk_volumes - usage.disk_known;
    t!(card.disk_partly, unknown = unknown.to_string(), volumes = words::volumes(usage.disk_volumes))
}

/// Says why a VM that is not running has no meters.
pub fn idle(vm: &VmSummary) -> String {
    let mut text = match vm.status {
        Status::Stopped => t!(card.off),
        Status::Error => t!(card.not_running),
        _ => t!(card.not_yet),
    }
    .to_owned();
    if !vm.kubevirt_status.is_empty() && vm.kubevirt_status != vm.status.name() {
        text.push_str(t!(card.between));
        text.push_str(&t!(card.kubevirt, status = vm.kubevirt_status));
    }
    text
}

/// One sentence for each reason, naming all the figures that it affects.
fn missing(vm: &VmSummary) -> Vec<String> {
    let mut found: Vec<(Reason, Vec<&'static str>)> = Vec::new();
    for (label, figure) in labelled(vm) {
        let Some(missing) = figure.missing() else { continue };
        match found.iter_mut().find(|(reason, _)| *reason == missing.reason) {
            Some((_, labels)) => labels.push(label),
            None => found.push((missing.reason, vec![label])),
        }
    }
    let sentence = |(reason, labels): (Reason, Vec<_>)| {
        t!(card.missing, figures = words::list(&labels), reason = text(names::reason(reason)))
    };
    found.into_iter().map(sentence).collect()
}

/// Explains figures above 100 %: a launcher pod uses more than the guest alone.
fn overhead(vm: &VmSummary) -> Option<String> {
    let over = |figure: &Figure| figure.sample().is_some_and(|sample| sample.percent() > 100);
    let labels: Vec<_> =
        labelled(vm).into_iter().take(2).filter(|(_, figure)| over(figure)).map(|(label, _)| label).collect();
    (!labels.is_empty()).then(|| t!(card.overhead, figures = words::list(&labels)))
}

fn labelled(vm: &VmSummary) -> [(&'static str, &Figure); 3] {
    [
        (t!(figure.cpu), &vm.usage.cpu),
        (t!(figure.memory), &vm.usage.memory),
        (t!(figure.disk), &vm.usage.disk),
    ]
}

/// Whether the VM's page explains more about what is missing.
fn has_unknown(vm: &VmSummary) -> bool {
    matches!(vm.status, Status::Error | Status::Pending)
        || vm.fault.is_some()
        || vm.status == Status::Running
            && (vm.usage.disk_known < vm.usage.disk_volumes
                || labelled(vm).iter().any(|(_, figure)| figure.missing().is_some()))
}

/// Each source with the age of its sample: an old figure must never look like a current one.
pub fn ages(vm: &VmSummary, now: RwSignal<Millis>) -> impl IntoView + use<> {
    let now = now.get();
    let mut samples: Vec<&Sample> = Vec::new();
    for sample in labelled(vm).into_iter().filter_map(|(_, figure)| figure.sample()) {
        if !samples.iter().any(|seen| (seen.source, seen.at) == (sample.source, sample.at)) {
            samples.push(sample);
        }
    }
    samples.into_iter().enumerate().map(|(index, sample)| age(index, sample, now)).collect::<Vec<_>>()
}

fn age(index: usize, sample: &Sample, now: Millis) -> impl IntoView + use<> {
    let (class, time) =
        if sample.stale { ("warn", words::old(now, sample.at)) } else { ("", words::ago(now, sample.at)) };
    view! {
        {if index > 0 { " · " } else { "" }}
        <span class=class>
            {sample.stale.then(|| view! { {icon(Icon::Clock)} " " })}
            {[sample.source.name(), " ", &time].concat()}
        </span>
    }
}
