//! One page a file.

use leptos::prelude::*;

pub mod home;
pub mod missing;
pub mod sources;
pub mod vm;

/// While a page that was moved to is being fetched.
fn loading(failed: RwSignal<bool>) -> impl IntoView {
    let words =
        move || if failed.get() { "The dashboard does not answer. Trying again." } else { "Loading." };
    view! {
        <p class="empty" role="status">
            {words}
        </p>
    }
}
