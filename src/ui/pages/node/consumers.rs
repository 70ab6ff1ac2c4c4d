//! The VMs of a node that use the most.

use leptos::prelude::*;

use crate::ui::{
    address,
    components::card::vm_address,
    pages::groups::words::{at_least, with_unit},
};
use i18n::t;
use model::{
    figure::Unit,
    format,
    groups::Consumer,
    nodes::{NodeReport, Ranking, TopBy},
    query::{Query, ViewKind},
    rates::Rate,
};

pub fn consumers(node: &NodeReport, by: TopBy) -> impl IntoView + use<> {
    let name = &node.group.name;
    let ranking = &node.top[by as usize];
    let rows: Vec<_> = ranking.vms.iter().map(|consumer| row(consumer, by)).collect();
    let none = rows.is_empty().then(|| view! { <p class="small">{t!(groups.none_known)}</p> });
    view! {
        <div class="head">
            <h2 id="largest">{t!(groups.largest)}</h2>
            {choices(name, by)}
        </div>
        <div class="rankings">
            <section aria-labelledby="largest">{none} <ol>{rows} {more(name, ranking)}</ol></section>
        </div>
    }
}

fn choices(name: &str, chosen: TopBy) -> impl IntoView + use<> {
    let page = address::node(name).unwrap_or_default();
    let link = |by: TopBy| {
        let query = if by == TopBy::default() { String::new() } else { ["?top=", by.code()].concat() };
        view! {
            <a href=[&*page, &query].concat() aria-current=(by == chosen).then_some("true")>
                {word(by)}
            </a>
        }
    };
    view! {
        <nav class="seg" aria-label=t!(node.largest_by)>
            {TopBy::ALL.map(link)}
        </nav>
    }
}

fn word(by: TopBy) -> &'static str {
    match by {
        TopBy::Memory => t!(figure.memory),
        TopBy::Cpu => t!(figure.cpu),
        TopBy::Network => t!(list.network),
        TopBy::DiskIo => t!(list.storage),
    }
}

fn row(consumer: &Consumer, by: TopBy) -> impl IntoView + use<> {
    let Consumer { namespace, name, used, of, stale, partial } = consumer;
    let used = match by {
        TopBy::Memory => with_unit(*used, Unit::Bytes),
        TopBy::Cpu => with_unit(*used, Unit::Nanocores),
        TopBy::Network | TopBy::DiskIo => {
            let format::Amount { digits, unit } = format::bytes_per_second(Rate(*used));
            [&digits, " ", unit].concat()
        }
    };
    let unit = if by == TopBy::Cpu { Unit::Nanocores } else { Unit::Bytes };
    let used = at_least((*partial).into(), used);
    let used = match of {
        Some(of) => t!(groups.of, some = used, all = with_unit(*of, unit)),
        None => used,
    };
    view! {
        <li>
            <a href=vm_address(namespace, name)>{name.clone()}</a>
            <span>{namespace.clone()}</span>
            <b>{used}</b>
            {stale.then(|| view! { <small class="warn">{t!(groups.old)}</small> })}
        </li>
    }
}

/// A link to the list, which has the others too.
fn more(name: &str, ranking: &Ranking) -> Option<impl IntoView + use<>> {
    let address = address::list(&vms_query(name));
    (ranking.more > 0).then(|| {
        view! {
            <li>
                <a href=address>{t!(node.more, n = ranking.more)}</a>
            </li>
        }
    })
}

/// The query of the list that has the node's VMs.
pub fn vms_query(name: &str) -> Query {
    Query { view: Some(ViewKind::Table), node: name.to_owned(), ..Query::default() }
}
