//! The VMs that use the most CPU, memory and disk.

use leptos::prelude::*;

use super::words::at_least;
use crate::ui::{address, components::card::vm_address};
use i18n::t;
use model::{
    figure::Unit,
    format,
    groups::{Consumer, GroupsQuery, GroupsView, Top},
};

/// The VMs that use the most CPU, memory and disk, in absolute terms.
pub fn rankings(view: &GroupsView) -> impl IntoView + use<> {
    let Top { cpu, memory, disk, disk_left_out } = &view.top;
    let address = |namespace: &str| {
        address::groups(&GroupsQuery { namespace: namespace.to_owned(), page: 1, ..view.query.clone() })
    };
    let chosen = &view.query.namespace;
    let whole_cluster =
        (!chosen.is_empty()).then(|| view! { <a class="small" href=address("")>{t!(groups.whole)}</a> });
    let place = match () {
        () if !chosen.is_empty() => t!(groups.place, namespace = chosen),
        () if view.frame.all_vms => t!(groups.place_all).to_owned(),
        () => t!(groups.place_seen).to_owned(),
    };
    view! {
        <div class="row">
            <h2>{t!(groups.largest)} " " <small>{place}</small></h2>
            {form(view)}
            {whole_cluster}
        </div>
        <div class="rankings">
            {ranking(t!(map.cpu), cpu, Unit::Nanocores, 0)} {ranking(t!(map.memory), memory, Unit::Bytes, 0)}
            {ranking(t!(map.disk), disk, Unit::Bytes, *disk_left_out)}
        </div>
    }
}

/// A GET form that limits the ranking to a namespace.
fn form(view: &GroupsView) -> impl IntoView + use<> {
    let query = &view.query;
    let option = |name: &String| {
        let chosen = *name == query.namespace;
        view! {
            <option value=name.clone() selected=chosen prop:selected=chosen>
                {if name.is_empty() { t!(groups.all).to_owned() } else { name.clone() }}
            </option>
        }
    };
    let all = String::new();
    let options: Vec<_> = core::iter::once(&all).chain(&view.namespaces).map(option).collect();
    view! {
        <form class="filters" action=address::at("/groups")>
            <input type="hidden" name="by" value=query.by.code() />
            <input type="hidden" name="sort" value=query.sort.code() />
            <input type="hidden" name="order" value=query.order.code() />
            <label class="field">
                <span>{t!(map.namespace)}</span>
                <select name="namespace">{options}</select>
            </label>
            <button class="button">{t!(groups.apply)}</button>
        </form>
    }
}

/// One ranking. `left_out` is the number of VMs that have volumes which cannot be attributed to them alone.
fn ranking(name: &'static str, consumers: &[Consumer], unit: Unit, left_out: u32) -> impl IntoView + use<> {
    let rows: Vec<_> = consumers.iter().map(|consumer| ranked(consumer, unit)).collect();
    let none = rows.is_empty().then(|| view! { <p class="small">{t!(groups.none_known)}</p> });
    view! {
        <section>
            <h3>{name}</h3>
            {none}
            <ol>{rows}</ol>
            {(left_out > 0).then(|| view! { <p class="small">{t!(groups.left_out, n = left_out)}</p> })}
        </section>
    }
}

fn ranked(consumer: &Consumer, unit: Unit) -> impl IntoView + use<> {
    let used = match unit {
        Unit::Nanocores => format::vcpu(consumer.used) + " vCPU",
        Unit::Bytes => format::gi(consumer.used, 1) + " Gi",
    };
    let used = at_least(consumer.partial.into(), used);
    view! {
        <li>
            <a href=vm_address(&consumer.namespace, &consumer.name)>{consumer.name.clone()}</a>
            <span>{consumer.namespace.clone()}</span>
            <b>{used}</b>
            {consumer.stale.then(|| view! { <small class="warn">{t!(groups.old)}</small> })}
        </li>
    }
}
