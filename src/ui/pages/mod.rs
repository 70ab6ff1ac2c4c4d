//! Pages, one per file.

use leptos::prelude::*;

use i18n::t;

pub mod cards;
mod groups;
pub mod groups_route;
pub mod home;
pub mod insights;
pub mod missing;
mod node;
mod rows;
pub mod sources;
pub mod table;
pub mod vm;

/// The text shown while a page is being fetched after navigation, or when it cannot be fetched.
pub fn loading(failed: RwSignal<bool>) -> impl IntoView {
    let words = move || if failed.get() { t!(page.no_answer) } else { t!(page.loading) };
    view! {
        <p class="empty" role="status">
            {words}
        </p>
    }
}
