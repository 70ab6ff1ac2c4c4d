//! A wrapper for views that never have to wait.
//!
//! Lazy routes make Leptos hydrate asynchronously, and every view then compiles a second, asynchronous copy
//! of its hydration: a quarter of the browser half. Views in this wrapper are hydrated and rendered
//! synchronously.

use leptos::{
    attr::{Attribute, any_attribute::AnyAttribute},
    prelude::*,
    tachys::{
        hydration::Cursor,
        view::{Position, PositionState},
    },
};

pub struct Ready<V>(V);

/// Wraps a view that contains no `Suspense`, resources or lazy parts.
pub fn ready<V: IntoView>(view: V) -> Ready<View<V>> {
    Ready(view.into_view())
}

/// Hides the type of a view that contains no `Suspense`, resources or lazy parts.
pub trait IntoReadyAny {
    fn into_ready_any(self) -> AnyView;
}

impl<V: IntoView + 'static> IntoReadyAny for V {
    fn into_ready_any(self) -> AnyView {
        ready(self).into_any()
    }
}

impl<V: Render> Render for Ready<V> {
    type State = V::State;

    fn build(self) -> Self::State {
        self.0.build()
    }

    fn rebuild(self, state: &mut Self::State) {
        self.0.rebuild(state);
    }
}

/// Ignores the attributes: pages and bars get none from outside.
impl<V: RenderHtml + 'static> AddAnyAttr for Ready<V> {
    type Output<SomeNewAttr: Attribute> = Self;

    fn add_any_attr<NewAttr: Attribute>(self, _: NewAttr) -> Self::Output<NewAttr> {
        self
    }
}

impl<V: RenderHtml + 'static> RenderHtml for Ready<V> {
    type AsyncOutput = Self;
    type Owned = Self;

    const MIN_LENGTH: usize = V::MIN_LENGTH;
    const EXISTS: bool = V::EXISTS;

    fn dry_resolve(&mut self) {}

    async fn resolve(self) -> Self {
        self
    }

    fn html_len(&self) -> usize {
        self.0.html_len()
    }

    fn to_html_with_buf(
        self,
        buf: &mut String,
        position: &mut Position,
        escape: bool,
        mark_branches: bool,
        extra_attrs: Vec<AnyAttribute>,
    ) {
        self.0.to_html_with_buf(buf, position, escape, mark_branches, extra_attrs);
    }

    fn hydrate<const FROM_SERVER: bool>(self, cursor: &Cursor, position: &PositionState) -> Self::State {
        self.0.hydrate::<FROM_SERVER>(cursor, position)
    }

    fn into_owned(self) -> Self {
        self
    }
}
