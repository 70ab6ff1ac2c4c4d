//! An icon from the sprite. It is decoration: a word always stands beside it.

use leptos::prelude::*;

/// The symbols in [`super::sprite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Brand,
    Running,
    Stopped,
    Error,
    Pending,
    Migrating,
    Healthy,
    Warn,
    Forbidden,
    Nothing,
    Live,
    Clock,
    Retry,
    Search,
    Cards,
    Table,
    Map,
    Download,
    Theme,
}

impl Icon {
    pub fn id(self) -> &'static str {
        match self {
            Self::Brand => "#i-brand",
            Self::Running => "#i-running",
            Self::Stopped => "#i-stopped",
            Self::Error => "#i-error",
            Self::Pending => "#i-pending",
            Self::Migrating => "#i-migrating",
            Self::Healthy => "#i-healthy",
            Self::Warn => "#i-warn",
            Self::Forbidden => "#i-forbidden",
            Self::Nothing => "#i-nothing",
            Self::Live => "#i-live",
            Self::Clock => "#i-clock",
            Self::Retry => "#i-retry",
            Self::Search => "#i-search",
            Self::Cards => "#i-cards",
            Self::Table => "#i-table",
            Self::Map => "#i-map",
            Self::Download => "#i-download",
            Self::Theme => "#i-theme",
        }
    }
}

pub fn icon(icon: Icon) -> impl IntoView {
    symbol(icon.id())
}

/// Returns the icon of a symbol, for those that only the server draws.
pub fn symbol(id: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" aria-hidden="true">
            <use_ href=id />
        </svg>
    }
}
