//! A page's title.

use leptos::prelude::*;
use leptos_meta::Title;

/// In the browser it follows its signals. The server reads them at once: Leptos renders titles after the page, outside
/// of the request's own signals and on whatever thread comes (`leptos_integration_utils` 0.8.9, where
/// `inject_meta_context` is not sandboxed), so that a signal would be gone then, or be another request's.
pub fn title(text: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    let first = cfg!(feature = "ssr").then(|| untrack(&text));
    let text = move || first.clone().unwrap_or_else(&text);
    view! { <Title text /> }
}
