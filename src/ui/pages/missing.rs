//! Pages for addresses that lead nowhere, with the status that says so.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{model::query::BadParam, server_fns::respond_with, ui::ready::ready};

/// No page of this address.
#[component]
pub fn NotFound() -> impl IntoView {
    respond_with(404);
    ready(view! {
        <Title text="Not found · wukong-dashboard" />
        <div class="empty">
            <h1>"Not found"</h1>
            <p>"There is no page at this address. " <a href="/">"See all virtual machines"</a></p>
        </div>
    })
}

/// No VM of this name.
pub fn no_vm(namespace: String, name: String) -> impl IntoView {
    view! {
        <div class="empty">
            <h1>"No such VM"</h1>
            <p>
                "There is no " <b>{name}</b> " in the namespace " <b>{namespace}</b>
                ": neither a Wukong nor a KubeVirt VirtualMachine that this dashboard can see. "
                <a href="/">"See all virtual machines"</a>
            </p>
        </div>
    }
}

/// A query that cannot be understood.
pub fn bad_query(bad: BadParam) -> impl IntoView {
    view! {
        <div class="empty">
            <h1>"This address cannot be understood"</h1>
            <p>
                "The parameter " <code>{bad.field}</code> " must be " {bad.expected} ". "
                <a href="/">"See all virtual machines"</a>
            </p>
        </div>
    }
}
