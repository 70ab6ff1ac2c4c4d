//! Why figures are unknown: cause, detail, fix, and commands with which people can check it themselves.

use leptos::prelude::*;

use super::figure::{last_of, last_words};
use crate::ui::words;
use i18n::{self as names, MARK, around, t, text};
use model::{
    Millis,
    figure::Missing,
    name::in_command,
    source::SourceId,
    vm::{Kind, Status, Vm},
};

/// Figures of one VM that are missing for the same reason.
struct MissingFigures {
    what: Vec<String>,
    missing: Missing,
}

/// What is missing of a running guest's activity, by name.
pub type UnknownAmount<'a> = (String, &'a Missing);

pub fn why(vm: &Vm, activity: &[UnknownAmount], now: Millis) -> Option<impl IntoView + use<>> {
    let gaps = gaps(vm, activity);
    let items: Vec<_> = gaps.iter().map(|gap| item(gap, now)).collect();
    (!items.is_empty()).then(|| {
        view! {
            <h2 id="why">
                {heading(vm)} " "
                <small>{vm.summary.name.clone()}</small>
            </h2>
            <section class="panel" aria-labelledby="why">
                {items}
            </section>
        }
    })
}

fn heading(vm: &Vm) -> &'static str {
    match (&vm.summary.fault, &vm.failure) {
        (Some(_), _) => t!(why.paused),
        (None, Some(_)) => t!(why.idle),
        (None, None) => t!(why.title),
    }
}

/// Names what is missing of a running VM.
pub fn unknown_figures(vm: &Vm, activity: &[UnknownAmount]) -> Vec<String> {
    let gaps = if vm.summary.status == Status::Running { unknown(vm, activity) } else { Vec::new() };
    gaps.into_iter().flat_map(|gap| gap.what).collect()
}

/// Commands that show the objects behind this page.
pub fn commands(vm: &Vm) -> impl IntoView + use<> {
    let text = command_lines(vm).join("\n");
    view! {
        <h2>{t!(why.commands)}</h2>
        <div class="command">
            <pre class="code" tabindex="0" role="region" aria-label=t!(why.commands_label)>
                <code>{text}</code>
            </pre>
            {copy()}
        </div>
    }
}

/// People paste these commands into a shell, so a text that is not a valid Kubernetes name is replaced by a
/// placeholder.
fn command_lines(vm: &Vm) -> Vec<String> {
    let summary = &vm.summary;
    let namespace = ["kubectl -n ", in_command(&summary.namespace, "NAMESPACE"), " "].concat();
    let object = match summary.kind {
        Kind::Wukong => "wukong ",
        Kind::VirtualMachine => "virtualmachine ",
        Kind::VirtualMachineInstance => "virtualmachineinstance ",
    };
    let get = |object: &str, name: &str| {
        [&namespace, "get ", object, in_command(name, "NAME"), " -o yaml"].concat()
    };
    let mut lines = vec![get(object, &summary.name)];
    if !vm.vm_name.is_empty() {
        lines.push(get("virtualmachineinstance ", &vm.vm_name));
    }
    if !vm.pod.is_empty() {
        lines.push([&namespace, "top pod ", in_command(&vm.pod, "POD"), " --containers"].concat());
    }
    if !summary.node.is_empty() {
        let node = in_command(&summary.node, "NODE");
        lines.push(["kubectl get --raw /api/v1/nodes/", node, "/proxy/stats/summary"].concat());
    }
    lines
}

/// Returns what is missing: why the VM does not run, its size, and the figures and volumes of a running VM.
/// The disk figure has an entry of its own only if no volume explains it.
fn gaps(vm: &Vm, activity: &[UnknownAmount]) -> Vec<MissingFigures> {
    let mut gaps = Vec::new();
    let all = words::list(&[t!(figure.cpu), t!(figure.memory), t!(figure.disk)]);
    let halted = if vm.summary.fault.is_some() { t!(why.guest) } else { all.as_str() };
    push(&mut gaps, halted, vm.failure.as_deref());
    let size = words::list(&[t!(figure.vcpu), t!(figure.memory)]);
    push(&mut gaps, &size, vm.allocation_gap.as_deref());
    if vm.summary.status == Status::Running {
        for gap in unknown(vm, activity) {
            gap.what.iter().for_each(|what| push(&mut gaps, what, Some(&gap.missing)));
        }
    }
    gaps
}

/// Returns which figures and volumes are missing.
fn unknown(vm: &Vm, activity: &[UnknownAmount]) -> Vec<MissingFigures> {
    let mut gaps = Vec::new();
    let usage = &vm.summary.usage;
    for (what, figure) in [(t!(figure.cpu), &usage.cpu), (t!(figure.memory), &usage.memory)] {
        push(&mut gaps, what, figure.missing());
    }
    let whole_disk = vm.volumes.iter().all(|volume| volume.usage.missing().is_none());
    if whole_disk {
        push(&mut gaps, t!(figure.disk), usage.disk.missing());
    }
    for volume in &vm.volumes {
        let volume_of = |source: SourceId| t!(why.volume_of, volume = volume.name, source = source.code());
        let what = if volume.readings.is_empty() {
            t!(why.volume, volume = volume.name)
        } else {
            volume_of(volume.source)
        };
        push(&mut gaps, &what, volume.usage.missing());
        for reading in &volume.readings {
            push(&mut gaps, &volume_of(reading.source), reading.figure.missing());
        }
    }
    activity.iter().for_each(|(what, missing)| push(&mut gaps, what, Some(missing)));
    gaps
}

fn push(gaps: &mut Vec<MissingFigures>, what: &str, missing: Option<&Missing>) {
    let Some(missing) = missing else { return };
    let same = |gap: &&mut MissingFigures| {
        (gap.missing.reason, &gap.missing.detail, &gap.missing.fix)
            == (missing.reason, &missing.detail, &missing.fix)
    };
    match gaps.iter_mut().find(same) {
        Some(gap) => gap.what.push(what.to_owned()),
        None => gaps.push(MissingFigures { what: vec![what.to_owned()], missing: missing.clone() }),
    }
}

fn item(gap: &MissingFigures, now: Millis) -> impl IntoView + use<> {
    let what: Vec<&str> = gap.what.iter().map(String::as_str).collect();
    let missing = &gap.missing;
    let sentence = t!(card.missing, figures = MARK, reason = text(names::reason(missing.reason)));
    let (before, after) = around(&sentence);
    let detail = (!missing.detail.is_empty()).then(|| view! { <p>{missing.detail.text()}</p> });
    let fix = (!missing.fix.is_empty()).then(|| {
        view! {
            <div>
                <h3>{t!(why.fix)}</h3>
                {fix(&missing.fix.text())}
            </div>
        }
    });
    let last = last_of(missing).map(|last| view! { <p class="small">{last_words(&last, now)}</p> });
    view! {
        <div class="gap">
            <div>
                <p>
                    {before}
                    <b>{words::list(&what)}</b>
                    {after}
                </p>
                {detail}
                {last}
            </div>
            {fix}
        </div>
    }
}

/// How to fix it. The command stands apart, so that a click selects it.
pub fn fix(advice: &str) -> impl IntoView + use<> {
    let (before, command, after) = parts(advice);
    let paragraph = |words: &str| (!words.is_empty()).then(|| view! { <p>{words.to_owned()}</p> });
    let command = (!command.is_empty()).then(|| {
        view! {
            <div class="command">
                <pre class="code">
                    <code>{command.to_owned()}</code>
                </pre>
                {copy()}
            </div>
        }
    });
    view! {
        {paragraph(before)}
        {command}
        {paragraph(after)}
    }
}

/// A copy button. `public/keys.js` listens for clicks; the button is hidden without JavaScript.
pub fn copy() -> impl IntoView {
    view! {
        <button class="copy button" type="button" data-copied=t!(why.copied)>
            <span>{t!(why.copy)}</span>
        </button>
    }
}

/// The beginnings by which commands and queries are recognised.
const COMMANDS: [&str; 4] = ["kubectl ", "rbd ", "ceph mgr ", "kubelet_volume_stats_"];

/// Splits `Look at the nodes: kubectl get nodes; is the port open?` into text, command, text.
fn parts(text: &str) -> (&str, &str, &str) {
    let command = COMMANDS.into_iter().filter_map(|begins| text.find(begins)).min();
    let (before, rest) = text.split_at(command.unwrap_or(text.len()));
    let (command, after) = rest.split_once("; ").or_else(|| rest.split_once('；')).unwrap_or((rest, ""));
    (before.trim_end_matches([' ', ':', '：']), command, after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fix_is_words_around_a_command() {
        let fix = "Look at the nodes: kubectl get nodes; is port 10250 open?";
        assert_eq!(parts(fix), ("Look at the nodes", "kubectl get nodes", "is port 10250 open?"));
        assert_eq!(parts("kubectl get crd | grep kubevirt"), ("", "kubectl get crd | grep kubevirt", ""));
        assert_eq!(parts("Wait a little."), ("Wait a little.", "", ""));
        assert_eq!(parts("Is it there: rbd info p/i"), ("Is it there", "rbd info p/i", ""));
        assert_eq!(
            parts("检查节点：kubectl get nodes；端口是否开放？"),
            ("检查节点", "kubectl get nodes", "端口是否开放？")
        );
    }
}
