//! A page's title. No other file may set one: `leptos_meta` 0.8.7 writes titles into the page as they are
//! (`ServerMetaContextOutput::inject_meta_context`), so that a name with markup in it would be markup.

use leptos::prelude::*;
use leptos_meta::Title;

use model::markup::escape;

/// In the browser it follows its signals, and is a text (`document.title`). The server reads them at once: Leptos renders
/// titles after the page, outside of the request's own signals and on whatever thread comes (`leptos_integration_utils`
/// 0.8.9, where `inject_meta_context` is not sandboxed), so that a signal would be gone then, or be another request's.
pub fn title(text: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    let first = cfg!(feature = "ssr").then(|| escape(&untrack(&text)));
    let text = move || first.clone().unwrap_or_else(&text);
    view! { <Title text /> }
}
