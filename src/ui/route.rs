//! Pages as the router has them, all of one type: the router's code is compiled once for each type of page.

use core::{future::Future, pin::Pin};

use leptos::prelude::*;
use leptos_router::{ChooseView, LazyRoute};

use super::{pages::loading, ready::ready};
use crate::words;

type Coming<T> = Pin<Box<dyn Future<Output = T>>>;

/// A page, and what brings its code and words where they are not there yet.
#[derive(Clone, Copy)]
pub struct Page {
    view: fn() -> Coming<AnyView>,
    bring: fn() -> Coming<()>,
    /// It says what the first page does not.
    later: bool,
}

impl Page {
    /// A page that is part of the first download; `bring` gets what its view needs besides.
    pub fn first(view: fn() -> Coming<AnyView>, bring: fn() -> Coming<()>) -> Self {
        Self { view, bring, later: false }
    }

    /// A page whose code comes when it is first needed.
    pub fn lazy<T: LazyRoute>() -> Self {
        Self {
            view: || Box::pin(async { T::view(T::data()).await }),
            bring: || Box::pin(T::preload()),
            later: true,
        }
    }

    /// Until all of it is there: what the server rendered is then taken over in one go. Hydration that may wait would be
    /// a second copy of most of the code.
    pub async fn bring(self) {
        if !self.later || words::later().await {
            (self.bring)().await;
        }
    }
}

impl ChooseView for Page {
    /// Words first: what there are no words for is not shown.
    async fn choose(self) -> AnyView {
        if !self.later || words::later().await {
            (self.view)().await
        } else {
            ready(loading(RwSignal::new(true))).into_any()
        }
    }

    async fn preload(&self) {
        self.bring().await;
    }
}
