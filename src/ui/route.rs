//! Pages as the router has them, all of one type: the router's code is compiled once for each type of page.

use core::{future::Future, pin::Pin};

use leptos::prelude::*;
use leptos_router::{ChooseView, LazyRoute, hooks::use_url};

use super::{pages::loading, ready::ready};

pub type Coming<T> = Pin<Box<dyn Future<Output = T>>>;

/// A page, and what brings its code and words where they are not there yet.
#[derive(Clone, Copy)]
pub struct Page {
    bring: fn(&str) -> Coming<bool>,
    view: fn() -> Coming<AnyView>,
}

impl Page {
    /// A page that is part of the first download; `bring` gets what an address with this query string needs besides,
    /// and says whether it is there.
    pub fn first(bring: fn(&str) -> Coming<bool>, view: fn() -> Coming<AnyView>) -> Self {
        Self { bring, view }
    }

    /// A page whose code and words come when it is first needed.
    pub fn lazy<T: LazyRoute>() -> Self {
        Self {
            bring: |_| {
                Box::pin(async {
                    let there = i18n::later().await;
                    if there {
                        T::preload().await;
                    }
                    there
                })
            },
            view: || Box::pin(async { T::view(T::data()).await }),
        }
    }

    /// Until all of it is there: what the server rendered is then taken over in one go. Hydration that may wait would be
    /// a second copy of most of the code. False where it cannot be had.
    pub async fn bring(self, search: &str) -> bool {
        (self.bring)(search).await
    }
}

impl ChooseView for Page {
    async fn choose(self) -> AnyView {
        let url = use_url().get_untracked();
        if self.bring(url.search()).await {
            return (self.view)().await;
        }
        // The server is away, or another version of it: it can render the page, or the browser says why not.
        #[cfg(not(feature = "ssr"))]
        let _ = window().location().assign(&[url.path(), "?", url.search()].concat());
        ready(loading(RwSignal::new(false))).into_any()
    }

    async fn preload(&self) {}
}
