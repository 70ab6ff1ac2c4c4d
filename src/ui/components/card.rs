//! One VM on the list: name, state, place, three meters, why a figure is missing, and how old the figures are.

use leptos::prelude::*;

use super::{
    icon::{Icon, icon},
    meter::{Gauge, meter},
    state::{State, state},
};
use crate::{
    model::{
        Millis,
        figure::{Figure, Sample, Unit},
        query::encode,
        reason::Reason,
        vm::{Status, VmSummary},
    },
    ui::words,
};

/// The address of a VM's page.
pub fn vm_address(namespace: &str, name: &str) -> String {
    let mut address = "/vms/".to_owned();
    encode(&mut address, namespace);
    address.push('/');
    encode(&mut address, name);
    address
}

pub fn card(vm: &VmSummary, now: Millis) -> impl IntoView + use<> {
    let what = State::of_vm(vm);
    let id = [&vm.namespace, "/", &vm.name].concat();
    let labelled_by = id.clone();
    view! {
        <article class=["card ", what.class].concat() aria-labelledby=labelled_by>
            <header>
                <h3 id=id>
                    <a href=vm_address(&vm.namespace, &vm.name)>{vm.name.clone()}</a>
                </h3>
                {state(what)}
                {place(vm)}
            </header>
            <div class="meters">{meters(vm, now)}</div>
            {reasons(vm)}
            <footer>{ages(vm, now)}</footer>
        </article>
    }
}

fn place(vm: &VmSummary) -> impl IntoView + use<> {
    let node = match (vm.node.as_str(), vm.migrating_to.as_str()) {
        ("", _) => "no node".to_owned(),
        (node, "") => node.to_owned(),
        (node, target) => [node, " → ", target].concat(),
    };
    view! {
        <p class="where">
            <b>{vm.namespace.clone()}</b>
            <span>{node}</span>
            <span>{vm.ip_address.clone()}</span>
        </p>
    }
}

fn meters(vm: &VmSummary, now: Millis) -> impl IntoView + use<> {
    let usage = &vm.usage;
    let running = vm.status == Status::Running;
    let gauge = |label, unit, figure, allocated| {
        meter(Gauge { label, name: label, unit, figure, allocated, running }, now)
    };
    (
        gauge("CPU", Unit::Nanocores, &usage.cpu, vm.cpu),
        gauge("Memory", Unit::Bytes, &usage.memory, vm.memory),
        gauge("Disk", Unit::Bytes, &usage.disk, Some(vm.disk)),
    )
}

fn reasons(vm: &VmSummary) -> Option<impl IntoView + use<>> {
    let text = reasons_text(vm);
    let why = has_unknown(vm).then(|| {
        let address = vm_address(&vm.namespace, &vm.name) + "#why";
        view! {
            " "
            <a href=address>
                "Why?" <span class="vh">" " {vm.name.clone()}</span>
            </a>
        }
    });
    (!text.is_empty()).then(|| view! { <p class="reason">{text} {why}</p> })
}

/// What a reader must know to read the meters right; empty where they say it all.
pub fn reasons_text(vm: &VmSummary) -> String {
    let mut sentences: Vec<String> = Vec::new();
    if vm.status != Status::Running {
        sentences.push(idle(vm));
        return sentences.concat();
    }
    sentences.extend(missing(vm));
    let usage = &vm.usage;
    if usage.disk.sample().is_some() && usage.disk_known < usage.disk_volumes {
        let unknown = usage.disk_volumes - usage.disk_known;
        let volumes = words::count_of(usage.disk_volumes, "volume", "volumes");
        sentences.push(["Disk: ", &unknown.to_string(), " of ", &volumes, " unknown."].concat());
    }
    let basis = usage.disk.sample().map_or("", words::basis);
    if !basis.is_empty() {
        sentences.push(["Disk: ", basis, "."].concat());
    }
    sentences.extend(overhead(vm));
    if !vm.migrating_to.is_empty() {
        sentences.push(["Figures are the source pod’s until ", &vm.migrating_to, " takes over."].concat());
    } else if !vm.kubevirt_status.is_empty() && vm.kubevirt_status != "Running" {
        sentences.push(["KubeVirt says ", &vm.kubevirt_status, "."].concat());
    }
    sentences.join(" ")
}

/// Why a VM that does not run has no meters.
fn idle(vm: &VmSummary) -> String {
    let mut text = match vm.status {
        Status::Stopped => "Not measured while off.",
        Status::Error => "Not running.",
        _ => "Not running yet.",
    }
    .to_owned();
    if !vm.kubevirt_status.is_empty() && vm.kubevirt_status != vm.status.name() {
        text.push_str(" KubeVirt says ");
        text.push_str(&vm.kubevirt_status);
        text.push('.');
    }
    text
}

/// One sentence a reason, with all the figures that it takes.
fn missing(vm: &VmSummary) -> Vec<String> {
    let mut found: Vec<(Reason, Vec<&'static str>)> = Vec::new();
    for (label, figure) in labelled(vm) {
        let Some(missing) = figure.missing() else { continue };
        match found.iter_mut().find(|(reason, _)| *reason == missing.reason) {
            Some((_, labels)) => labels.push(label),
            None => found.push((missing.reason, vec![label])),
        }
    }
    let sentence =
        |(reason, labels): (Reason, Vec<_>)| [&words::list(&labels), ": ", reason.text(), "."].concat();
    found.into_iter().map(sentence).collect()
}

/// A launcher pod holds more than the guest.
fn overhead(vm: &VmSummary) -> Option<String> {
    let over = |figure: &Figure| figure.sample().is_some_and(|sample| sample.percent() > 100);
    let labels: Vec<_> =
        labelled(vm).into_iter().take(2).filter(|(_, figure)| over(figure)).map(|(label, _)| label).collect();
    let tail = " above 100 %: the launcher pod’s overhead counts.";
    (!labels.is_empty()).then(|| words::list(&labels) + tail)
}

fn labelled(vm: &VmSummary) -> [(&'static str, &Figure); 3] {
    [("CPU", &vm.usage.cpu), ("Memory", &vm.usage.memory), ("Disk", &vm.usage.disk)]
}

fn has_unknown(vm: &VmSummary) -> bool {
    vm.status == Status::Running
        && (vm.usage.disk_known < vm.usage.disk_volumes
            || labelled(vm).iter().any(|(_, figure)| figure.missing().is_some()))
}

/// Each source with its age: an old figure must never pass for a new one.
fn ages(vm: &VmSummary, now: Millis) -> impl IntoView + use<> {
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
        if sample.stale { ("aged", words::old(now, sample.at)) } else { ("", words::ago(now, sample.at)) };
    view! {
        {if index > 0 { " · " } else { "" }}
        <span class=class>
            {sample.stale.then(|| view! { {icon(Icon::Clock)} " " })}
            {[sample.source.name(), " ", &time].concat()}
        </span>
    }
}
