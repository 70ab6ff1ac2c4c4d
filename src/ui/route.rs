//! The pages of the router, all of one type: the router's code is compiled once for each type of page.

use futures::future::LocalBoxFuture;
use leptos::prelude::*;
use leptos_router::{ChooseView, LazyRoute, hooks::use_url};

use super::{pages::loading, ready::ready};

/// A page, and the function that fetches its code and texts if they are not there yet.
#[derive(Clone, Copy)]
pub struct Page {
    bring: fn(&str) -> LocalBoxFuture<'static, bool>,
    view: fn() -> LocalBoxFuture<'static, AnyView>,
}

impl Page {
    /// A page that is part of the first download. `bring` fetches what an address with this query string
    /// needs in addition, and returns whether it succeeded.
    pub fn first(
        bring: fn(&str) -> LocalBoxFuture<'static, bool>,
        view: fn() -> LocalBoxFuture<'static, AnyView>,
    ) -> Self {
        Self { bring, view }
    }

    /// A page whose code and texts are fetched when it is first needed.
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

    /// Waits until everything the page needs is there, so that hydration is synchronous: asynchronous
    /// hydration would compile a second copy of most of the code. Returns false if it cannot be fetched.
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
        // The server is down or has another version. A full page load lets it render the page, or the browser
        // show the error.
        #[cfg(not(feature = "ssr"))]
        let _ = window().location().assign(&[url.path(), "?", url.search()].concat());
        ready(loading(RwSignal::new(false))).into_any()
    }

    async fn preload(&self) {}
}
