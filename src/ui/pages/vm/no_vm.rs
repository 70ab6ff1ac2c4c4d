//! The page of a VM that does not exist.

use leptos::prelude::*;

use crate::ui::{components::card::vm_address, pages::missing::all_vms};
use i18n::{MARK, around, t};

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
