//! Pages whose code and texts are fetched when they are first needed.

use core::marker::PhantomData;

use leptos::prelude::*;
use leptos_router::LazyRoute;

use super::{pages::loading, ready::ready};

/// A lazy route whose texts are fetched before its code. Leptos fetches only the code, and panics if there is
/// none, as after an upgrade of the server.
pub struct LazyPage<T>(PhantomData<T>);

impl<T: LazyRoute> LazyRoute for LazyPage<T> {
    fn data() -> Self {
        Self(PhantomData)
    }

    async fn view(_this: Self) -> AnyView {
        if load::<T>().await { T::view(T::data()).await } else { load_document() }
    }
}

/// Fetches the texts and the code of a page. Returns false if they cannot be fetched.
pub async fn load<T: LazyRoute>() -> bool {
    let loaded = i18n::later().await;
    if loaded {
        T::preload().await;
    }
    loaded
}

/// Loads the current address as a new document, because the server is down or of another version. The server
/// then renders the page, or the browser shows the error.
pub fn load_document() -> AnyView {
    #[cfg(not(feature = "ssr"))]
    leptos_router::hooks::use_url().with_untracked(|url| {
        let _ = window().location().assign(&[url.path(), "?", url.search()].concat());
    });
    ready(loading(RwSignal::new(false))).into_any()
}
