//! Sets the title of a page. No other file may do so: `leptos_meta` 0.8.7 writes titles into the page
//! unescaped (`ServerMetaContextOutput::inject_meta_context`), so markup in a name would become markup of the
//! page.

use leptos::prelude::*;
use leptos_meta::Title;

use model::markup::escape;

/// In the browser the title follows its signals and is plain text (`document.title`). On the server the
/// signals are read at once: Leptos renders titles after the page, outside the request's reactive owner and
/// on any thread (`leptos_integration_utils` 0.8.9, where `inject_meta_context` is not sandboxed), so by then
/// a signal would be gone or belong to another request.
pub fn title(text: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    let first = cfg!(feature = "ssr").then(|| escape(&untrack(&text)));
    let text = move || first.clone().unwrap_or_else(&text);
    view! { <Title text /> }
}
