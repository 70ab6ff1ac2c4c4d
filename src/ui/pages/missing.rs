//! Pages for addresses without content, with the matching HTTP status.

use leptos::prelude::*;

use crate::{
    server_fns::respond_with,
    ui::{
        address,
        components::{card::vm_address, title::title},
        ready::ready,
    },
};
use i18n::{MARK, around, expected, t};
use model::bad_param::BadParam;

fn all_vms() -> impl IntoView {
    view! { <a href=address::at("/")>{t!(page.all_vms)}</a> }
}

/// There is no page at this address.
#[component]
pub fn NotFound() -> impl IntoView {
    respond_with(404);
    ready(view! {
        {title(|| [t!(page.not_found), " · wukong-dashboard"].concat())}
        <div class="empty">
            <h1>{t!(page.not_found)}</h1>
            <p>{t!(page.not_found_text)} " " {all_vms()}</p>
        </div>
    })
}

/// There is no VM with this name. `similar` has namespace and name of those that may be meant.
pub fn no_vm(namespace: String, name: String, similar: Vec<(String, String)>) -> impl IntoView {
    let link = |(namespace, name): &(String, String)| {
        view! {
            <li>
                <a href=vm_address(namespace, name)>{name.clone()}</a>
                " "
                <small>{namespace.clone()}</small>
            </li>
        }
    };
    let links: Vec<_> = similar.iter().map(link).collect();
    let similar = (!links.is_empty()).then(|| {
        view! {
            <p>{t!(vm.similar)}</p>
            <ul>{links}</ul>
        }
    });
    let (before, after) = around(&t!(page.no_vm_text, name = MARK, namespace = namespace));
    view! {
        <div class="empty">
            <h1>{t!(page.no_vm)}</h1>
            <p>
                {before} <b>{name}</b> {after} " " {all_vms()}
            </p>
            {similar}
        </div>
    }
}

/// The query is not valid.
pub fn bad_query(bad: BadParam) -> impl IntoView {
    let (before, after) = around(&t!(page.bad_query_text, field = MARK, expected = expected(&bad.expected)));
    view! {
        <div class="empty">
            <h1>{t!(page.bad_query)}</h1>
            <p>
                {before} <code>{bad.field}</code> {after} " " {all_vms()}
            </p>
        </div>
    }
}
