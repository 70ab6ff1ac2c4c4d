//! All icons as SVG symbols on a grid of 12; pages refer to them by id.

use leptos::prelude::*;

#[component]
pub fn Sprite() -> impl IntoView {
    view! {
        <svg hidden aria-hidden="true">
            <symbol id="i-brand" viewBox="0 0 20 20">
                <g transform="rotate(-45 10 10)">
                    <path d="M0 7.5h20v5H0z" opacity=".3" />
                    <path d="M0 7.5h4.5v5H0zm15.5 0H20v5h-4.5zM6 7.5h5v5H6z" />
                </g>
            </symbol>
            {symbol("i-running", "M6 2a4 4 0 1 1 0 8 4 4 0 0 1 0-8z")}
            {symbol("i-stopped", "M2 2h8v8H2zm1.5 1.5v5h5v-5z")}
            {symbol("i-error", "M6 .6 11.4 6 6 11.4.6 6zM5.3 3.4v3.2h1.4V3.4zm0 4v1.3h1.4V7.4z")}
            {symbol("i-pending", "M6 1a5 5 0 0 1 5 5H9.5A3.5 3.5 0 0 0 6 2.5zM1 6a5 5 0 0 0 5 5V9.5A3.5 3.5 0 0 1 2.5 6z")}
            {symbol("i-migrating", "M7 2l4 4-4 4V7H1V5h6z")}
            {symbol("i-healthy", "m1.3 6.3 1.1-1.1 2.2 2.2 5-5 1.1 1.1-6.1 6.1z")}
            {symbol("i-warn", "M6 .8 11.6 11H.4zM5.3 4.3v3.2h1.4V4.3zm0 4.1v1.3h1.4V8.4z")}
            {symbol("i-forbidden", "M6 .8a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 6 .8zm-3 4.4v1.6h6V5.2z")}
            {symbol("i-nothing", "M2 5.3h8v1.4H2z")}
            {symbol(
                "i-live",
                "M6 3a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM6 .6a5.4 5.4 0 1 1 0 10.8A5.4 5.4 0 0 1 6 .6zm0 .9a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z",
            )}
            {symbol(
                "i-clock",
                "M6 .8a5.2 5.2 0 1 1 0 10.4A5.2 5.2 0 0 1 6 .8zm0 1.3a3.9 3.9 0 1 0 0 7.8 3.9 3.9 0 0 0 0-7.8zm-.6 1.3h1.3v2.4l1.7 1-.7 1.1-2.3-1.4z",
            )}
            {symbol("i-retry", "M6 1a5 5 0 1 1-4.7 3.3l1.3.5A3.6 3.6 0 1 0 6 2.4V4L3.4 1.8 6 0z")}
            {symbol(
                "i-search",
                "M5 .8a4.2 4.2 0 0 1 3.4 6.7l2.7 2.7-.9.9-2.7-2.7A4.2 4.2 0 1 1 5 .8zm0 1.3a2.9 2.9 0 1 0 0 5.8 2.9 2.9 0 0 0 0-5.8z",
            )}
            {symbol("i-cards", "M1 1h4.4v4.4H1zm5.6 0H11v4.4H6.6zM1 6.6h4.4V11H1zm5.6 0H11V11H6.6z")}
            {symbol("i-map", "M1 1h3v3H1zm4 0h3v3H5zm4 0h2v3H9zM1 5h3v3H1zm4 0h3v3H5zm4 0h2v3H9zM1 9h3v2H1zm4 0h3v2H5z")}
            {symbol("i-table", "M1 2h10v1.5H1zm0 3.25h10v1.5H1zM1 8.5h10V10H1z")}
            {symbol("i-download", "M5.3 1h1.4v4.6l1.8-1.8 1 1L6 8.3 2.5 4.8l1-1 1.8 1.8zM1.5 9.6h9V11h-9z")}
            {symbol("i-key", "M4 2.8a3.2 3.2 0 0 1 3.1 2.5H11v3.2H9.7V6.7H7.1A3.2 3.2 0 1 1 4 2.8zm0 1.3a1.9 1.9 0 1 0 0 3.8 1.9 1.9 0 0 0 0-3.8z")}
            {symbol("i-theme", "M6 .6a5.4 5.4 0 1 1 0 10.8A5.4 5.4 0 0 1 6 .6zm0 1.3v8.2a4.1 4.1 0 0 0 0-8.2z")}
        </svg>
    }
}

fn symbol(id: &'static str, path: &'static str) -> impl IntoView {
    view! {
        <symbol id=id viewBox="0 0 12 12">
            <path d=path fill-rule="evenodd" />
        </symbol>
    }
}
