//! The figures of a VM in full: CPU with what it waits for, memory as the guest and as the host see it, disk, and traffic.

use leptos::{either::Either, prelude::*};

use super::amounts::{activity_part, both, dash, latency, lines, part, speed};
use crate::ui::{
    components::{
        figure::{Notes, figure, known, source_line, why_unknown},
        meter::Gauge,
    },
    ready::IntoReadyAny,
    words,
};
use i18n::t;
use model::{
    Millis,
    activity::{Activity, GuestActivity, Origin, Storage, Swap, Traffic},
    details::VmDetails,
    figure::{Sample, Unit},
    format,
    rates::{OperationRates, Rate},
    vm::{Status, Vm},
    vm_health::Level,
};

pub fn figures(vm: &Vm, details: &VmDetails, now: Millis) -> impl IntoView + use<> {
    let (summary, activity) = (&vm.summary, &details.activity);
    let gauge = |label, unit, figure, allocated, level| Gauge {
        label,
        name: label,
        unit,
        figure,
        allocated,
        running: summary.status == Status::Running,
        level,
        sparkline: None,
        why: None,
    };
    let usage = &summary.usage;
    let memory_level = usage.guest_memory.map(Level::of_space);
    let disk_level = usage.fullest_disk.map(Level::of_space);
    let memory_gauge = gauge(t!(figure.memory), Unit::Bytes, &usage.memory, summary.memory, memory_level);
    view! {
        <div class="figures">
            {figure(gauge(t!(figure.cpu), Unit::Nanocores, &usage.cpu, summary.cpu, None), cpu_notes(vm, details), now)}
            {figure(memory_gauge, memory_notes(vm, activity, memory_gauge, now), now)}
            {figure(gauge(t!(figure.disk), Unit::Bytes, &usage.disk, Some(summary.disk), disk_level), disk_notes(vm), now)}
            {traffic(vm, activity, now)}
        </div>
    }
}

fn cpu_notes(vm: &Vm, details: &VmDetails) -> Notes {
    let after = is_running(vm).then(|| {
        let percent = |thousandths: &u32| format::percent(u64::from(*thousandths)) + " %";
        let pressure = match &details.pressure_gap {
            Some(missing) => dash(missing).into_ready_any(),
            None => details.pressure.text().into_ready_any(),
        };
        let contention = part(&details.activity, |of| &of.contention, percent);
        lines(vec![(t!(vm.contention), contention), (t!(vm.pressure), pressure)]).into_ready_any()
    });
    Notes { after, ..Notes::default() }
}

/// The guest's own figure comes first, because it decides; the host's follows, with the reason why it is higher.
fn memory_notes(vm: &Vm, activity: &Activity, host: Gauge<'_>, now: Millis) -> Notes {
    if !is_running(vm) {
        return Notes::default();
    }
    let guest = vm.guest.memory.as_ref();
    let before = guest.map(|sample| {
        let level = Some(Level::of_space(sample.percent()));
        known(Gauge { level, ..host }, sample, (String::new(), t!(vm.in_guest)), now).into_ready_any()
    });
    let is_higher = |guest: &Sample| host.figure.sample().is_some_and(|host| host.used > guest.used);
    let why = guest.filter(|guest| is_higher(guest)).map(|_| {
        view! { <p class="reason">{t!(vm.host_higher)}</p> }
    });
    let mut rows = Vec::new();
    if guest.is_none() {
        rows.push((t!(list.guest_memory), part(activity, |of| &of.memory, |_| String::new())));
    }
    let swapped = |Swap { r#in, out }: &Swap| both(speed(*r#in), speed(*out));
    let faults = |rate: &Rate| t!(vm.per_second, amount = format::per_second(*rate));
    rows.push((t!(vm.swap), part(activity, |of| &of.swap, swapped)));
    rows.push((t!(vm.major_faults), part(activity, |of| &of.major_faults, faults)));
    let after = view! {
        {why}
        {lines(rows)}
    };
    let place = if guest.is_some() { t!(vm.on_host) } else { "" };
    Notes { place, before, after: Some(after.into_ready_any()), ..Notes::default() }
}

fn disk_notes(vm: &Vm) -> Notes {
    let usage = &vm.summary.usage;
    let amount = if usage.disk_known < usage.disk_volumes {
        t!(vm.counted, known = usage.disk_known.to_string(), volumes = words::volumes(usage.disk_volumes))
    } else {
        String::new()
    };
    let basis = usage.disk.sample().map_or("", words::basis);
    let basis = (!basis.is_empty())
        .then(|| view! { <p class="reason">{t!(figure.basis, basis = basis)}</p> }.into_ready_any());
    Notes { amount, after: basis, ..Notes::default() }
}

/// The traffic of all network interfaces, and of all drives. A VM that does not run has none.
fn traffic(vm: &Vm, activity: &Activity, now: Millis) -> Option<impl IntoView + use<>> {
    is_running(vm).then(|| {
        let content = match activity {
            Activity::Known(of) => Either::Left(known_traffic(activity, of, now)),
            Activity::Missing(missing) => Either::Right(why_unknown(missing)),
        };
        view! {
            <section class="figure">
                <h3>{t!(vm.traffic)}</h3>
                {content}
            </section>
        }
    })
}

fn known_traffic(activity: &Activity, of: &GuestActivity, now: Millis) -> impl IntoView + use<> {
    let network = part(activity, |of| &of.network, |of| all(Some(of.receive), Some(of.transmit)));
    let disks = part(activity, |of| &of.storage, |of| all(of.read.bytes, of.write.bytes));
    let rows = vec![
        (
            t!(vm.network_in_out),
            part(activity, |of| &of.network, |of| both(speed(of.receive), speed(of.transmit))),
        ),
        (t!(vm.read_write), storage(activity, |of| speed(of.bytes.unwrap_or_default()))),
        (t!(vm.iops), storage(activity, |of| format::per_second(of.operations.unwrap_or_default()))),
        (t!(vm.latency), storage(activity, latency)),
    ];
    let partly = of.network.as_ref().ok().filter(|Traffic { uncounted, .. }| *uncounted > 0).map(|of| {
        view! { <p class="reason">{t!(vm.uncounted, count = of.uncounted.to_string())}</p> }
    });
    let line = |Origin { source, at, window_ms, stale }: Origin| {
        source_line(words::origin(source, window_ms), at, stale, now)
    };
    view! {
        <div class="pair">{large(t!(list.network), network)} {large(t!(list.storage), disks)}</div>
        {lines(rows)}
        {partly}
        {line(of.origin())}
        {of.network_from.map(|from| view! { <div>{t!(list.network)} {line(from)}</div> })}
    }
}

/// Reads and writes of all drives.
fn storage(activity: &Activity, text: fn(&OperationRates) -> String) -> AnyView {
    match activity_part(activity, |of| &of.storage) {
        Ok(Storage { read, write }) => both(text(read), text(write)).into_ready_any(),
        Err(missing) => dash(missing).into_ready_any(),
    }
}

fn all(a: Option<Rate>, b: Option<Rate>) -> String {
    let [a, b] = [a, b].map(Option::unwrap_or_default);
    speed(Rate(a.0.saturating_add(b.0)))
}

fn large(name: &'static str, amount: AnyView) -> impl IntoView {
    view! {
        <p>
            <b class="big">{amount}</b>
            <span class="fig">{name}</span>
        </p>
    }
}

fn is_running(vm: &Vm) -> bool {
    vm.summary.status == Status::Running
}
