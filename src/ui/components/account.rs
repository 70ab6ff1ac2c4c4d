//! Who is signed in: `menu` is the user menu and the bar for the end of the session, in the top bar; `notes` say above
//! the content what is still being checked, and why nothing is shown. Only the server writes them. The browser's
//! half has empty elements in their place, whose content it leaves alone. `public/keys.js` does the little that
//! needs a script.

#[cfg(feature = "ssr")]
mod server;

#[cfg(not(feature = "ssr"))]
pub use browser::{place as menu, place as notes, provide};
#[cfg(feature = "ssr")]
pub use server::{menu, notes, provide};

#[cfg(not(feature = "ssr"))]
mod browser {
    use leptos::prelude::*;

    pub fn place() -> impl IntoView {
        view! { <div class="account"></div> }
    }

    /// Only the server renders documents.
    pub fn provide() -> bool {
        false
    }
}
