//! The page of one VM: what is wrong with it, facts, its figures in full, volumes, networks, disks, and why figures are
//! missing.

mod amounts;
mod devices;
mod figures;
mod guest;
mod no_vm;
mod timeline;
mod unknown;
mod verdict;
mod volumes;

use leptos::{
    either::{Either, EitherOf4},
    prelude::*,
};
use leptos_router::{LazyRoute, hooks::use_params_map, lazy_route};

use super::{loading, missing::bad_query};
use crate::{
    server_fns::respond_with,
    ui::{
        address::{self, use_query},
        chart::history::history_section,
        components::{
            card::{idle, state_text, vm_address},
            state::{State, state},
            title::title,
            why::{commands, why},
        },
        feed::Feed,
        live::Live,
        ready::ready,
        words,
    },
};
use devices::{disks, drives, interfaces};
use figures::figures;
use guest::guest;
use i18n::t;
use model::{
    Millis,
    details::VmDetails,
    figure::Unit,
    format,
    groups::Consumer,
    history::Span,
    name::check_vm,
    query::Query,
    view::{HistoryView, TimelineView, VmView},
    vm::{Status, Vm, VmSummary},
};
use no_vm::no_vm;
use timeline::{last_restart, timeline_section};
use unknown::all_unknown;
use verdict::verdict;
use volumes::volumes;

/// Everything is made in `view`, whose code is fetched with the page; `data` would be part of the first
/// download.
pub struct VmRoute;

#[lazy_route]
impl LazyRoute for VmRoute {
    fn data() -> Self {
        Self
    }

    fn view(_this: Self) -> AnyView {
        let (params, span) = (use_params_map(), use_query(Span::of_address));
        let key = move || {
            let part = |name| params.with(|params| params.get(name)).unwrap_or_default();
            (part("namespace"), part("name"))
        };
        let valid_key = move || Some(key()).filter(|(namespace, name)| check_vm(namespace, name).is_ok());
        let feed = Feed::<VmView>::follow(valid_key);
        let history = Feed::<HistoryView>::follow(move || Some((valid_key()?, span.get().ok()?)));
        let timeline = Feed::<TimelineView>::follow(valid_key);
        let state = Memo::new(move |_| {
            if valid_key().is_none() {
                return Shown::NoVm;
            }
            feed.view.with(|view| match view.as_ref().map(|view| view.vm.as_ref().map(Vm::key)) {
                Some(Some((namespace, name))) if (namespace, name) == pair(&key()) => Shown::Vm,
                Some(None) => Shown::NoVm,
                _ => Shown::Loading,
            })
        });
        match (span.get_untracked(), state.get_untracked()) {
            (Err(_), _) => respond_with(400),
            (_, Shown::NoVm) => respond_with(404),
            _ => {}
        }
        let title_text = move || {
            let (namespace, name) = key();
            [&name, " · ", &namespace, " · wukong-dashboard"].concat()
        };
        ready(view! {
            {title(title_text)}
            {move || match (span.get(), state.get()) {
                (Err(bad), _) => EitherOf4::A(bad_query(bad)),
                (Ok(span), Shown::Vm) => EitherOf4::B(page(feed, history, timeline, span)),
                (_, Shown::NoVm) => {
                    let (namespace, name) = key();
                    let similar =
                        feed.view.with(|view| view.as_ref().map(|view| view.similar.clone()));
                    EitherOf4::C(no_vm(namespace, name, similar.unwrap_or_default()))
                }
                (_, Shown::Loading) => EitherOf4::D(loading(feed.connection.failed)),
            }}
        })
        .into_any()
    }
}

/// Which variant of the page is shown. The page is rebuilt only when this changes.
#[derive(Clone, Copy, PartialEq)]
enum Shown {
    Vm,
    NoVm,
    Loading,
}

fn pair((namespace, name): &(String, String)) -> (&str, &str) {
    (namespace, name)
}

/// The charts are redrawn when there is a new point, the timeline when there is news; the rest of the page each second, for its ages.
fn page(
    feed: Feed<VmView>,
    history: Feed<HistoryView>,
    timeline: Feed<TimelineView>,
    span: Span,
) -> impl IntoView {
    let restart = last_restart(timeline);
    view! {
        {move || {
            let restart = restart.get();
            feed.draw(|view| {
                view.vm.as_ref().map(|vm| (head(vm), verdict(vm, &view.details, &view.health, restart.as_ref())))
            })
        }}
        {ticking(
            feed,
            |vm, details, now| {
                view! {
                    {facts(vm, details, now)}
                    <h2>{t!(vm.usage)}</h2>
                    {figures(vm, details, now)}
                }
            },
        )}
        {history_section(feed, history, span)}
        {ticking(
            feed,
            |vm, details, now| {
                view! {
                    {volumes(vm, now)}
                    {drives(&details.drives)}
                    {interfaces(vm, &details.interfaces)}
                }
            },
        )}
        {timeline_section(timeline)}
        {ticking(
            feed,
            |vm, details, now| {
                view! {
                    {guest(&vm.guest, details, now)}
                    {why(vm, &all_unknown(vm, details), now)}
                    {disks(&vm.disks)}
                    {commands(vm)}
                }
            },
        )}
    }
}

fn ticking<V: IntoView + 'static>(
    feed: Feed<VmView>,
    draw: impl Fn(&Vm, &VmDetails, Millis) -> V + Copy + Send + 'static,
) -> impl IntoView {
    let now = expect_context::<Live>().now;
    move || {
        let now = now.get();
        feed.draw(|view| view.vm.as_ref().map(|vm| draw(vm, &view.details, now)))
    }
}

fn head(vm: &Vm) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let list = Query { namespace: summary.namespace.clone(), ..Query::default() };
    let note = if summary.status == Status::Running { state_text(summary) } else { Some(idle(summary)) };
    let conflict = vm.conflict.as_ref().map(|conflict| view! { <p class="reason">{conflict.text()}</p> });
    view! {
        <div class="head">
            <nav class="crumbs" aria-label=t!(vm.breadcrumb)>
                <a href=address::at("/")>{t!(topbar.vms)}</a>
                " / "
                <a href=address::list(&list)>{summary.namespace.clone()}</a>
            </nav>
            <h1>{summary.name.clone()}</h1>
            {state(State::of_vm(summary))}
            {note.map(|note| view! { <p class="reason">{note}</p> })}
            {conflict}
        </div>
    }
}

fn facts(vm: &Vm, details: &VmDetails, now: Millis) -> impl IntoView + use<> {
    let summary = &vm.summary;
    let cpu = summary.cpu.map(|cpu| format::allocation(Unit::Nanocores, cpu)).unwrap_or_default();
    let memory = summary.memory.map(format::gi_exact).unwrap_or_default();
    let memory = if vm.memory_text.is_empty() || vm.memory_text == memory {
        memory
    } else {
        t!(vm.written, exact = memory, written = vm.memory_text)
    };
    let volumes = words::volumes(vm.volumes.len() as u32);
    let disks = t!(vm.disks_sum, volumes = volumes, amount = format::allocation(Unit::Bytes, summary.disk));
    let facts = [
        (t!(vm.up), details.started.map(|started| words::span(now - started)).unwrap_or_default()),
        (t!(vm.ip), summary.ip_address.clone()),
        (t!(figure.vcpu), cpu),
        (t!(figure.memory), memory),
        (t!(vm.disks), disks),
        (t!(vm.image), vm.os_image.clone()),
        (t!(vm.created), if vm.created > 0 { format::utc_minute(vm.created) } else { String::new() }),
        (t!(vm.object), [summary.kind.name(), " ", &summary.name].concat()),
        (t!(vm.kubevirt_status), summary.kubevirt_status.clone()),
        (t!(vm.virtual_machine), vm.vm_name.clone()),
        (t!(vm.launcher_pod), vm.pod.clone()),
    ];
    let facts: Vec<_> = facts.into_iter().map(|(name, value)| fact(name, value)).collect();
    let neighbours = (!details.neighbours.is_empty())
        .then(|| fact_of(t!(vm.neighbours), details.neighbours.iter().map(neighbour).collect::<Vec<_>>()));
    view! { <dl class="facts">{fact_of(t!(vm.node), node(summary))} {neighbours} {facts}</dl> }
}

/// A VM that uses much CPU of the node, and how many vCPUs it uses.
fn neighbour(consumer: &Consumer) -> impl IntoView + use<> {
    let Consumer { namespace, name, used, stale, .. } = consumer;
    let class = if *stale { "neighbour aging" } else { "neighbour" };
    view! {
        <span class=class>
            <a href=vm_address(namespace, name)>{name.clone()}</a>
            " "
            {format::allocation(Unit::Nanocores, *used)}
        </span>
    }
}

/// A link to the node, and to the one that the VM migrates to.
fn node(summary: &VmSummary) -> impl IntoView + use<> {
    let link = |name: &String| {
        (!name.is_empty()).then(|| match address::node(name) {
            Some(address) => Either::Left(view! { <a href=address>{name.clone()}</a> }),
            None => Either::Right(name.clone()),
        })
    };
    let (node, target) = (link(&summary.node), link(&summary.migrating_to));
    let arrow = target.is_some().then_some(" → ");
    let nowhere = (node.is_none() && target.is_none()).then_some("–");
    (nowhere, node, arrow, target)
}

fn fact(name: &'static str, value: String) -> impl IntoView {
    fact_of(name, if value.is_empty() { "–".to_owned() } else { value })
}

fn fact_of(name: &'static str, value: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd>{value}</dd>
        </div>
    }
}
