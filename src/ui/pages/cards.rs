//! The list as cards: one card per VM.

use leptos::prelude::*;

use super::rows::{draw_row, row, row_keys};
use crate::ui::{components::card, feed::Feed};
use model::{delta::RowKey, view::HomeView};

/// A card keeps its element for as long as its VM is on the page.
pub fn cards(feed: Feed<HomeView>) -> impl IntoView {
    let class = move || if feed.connection.waiting.get() { "cards busy" } else { "cards" };
    view! {
        <div class=class>
            <For each=row_keys(feed) key=Clone::clone let:key>
                {one_card(feed, key)}
            </For>
        </div>
    }
}

/// Each part is redrawn separately. No part contains another, since it would be recreated with it.
fn one_card(feed: Feed<HomeView>, key: RowKey) -> impl IntoView {
    let label = card::label(&key.1, &key.2);
    let row = row(feed, key);
    let class = draw_row(row, |row, _| card::class(&row.vm));
    view! {
        <article class=move || class().unwrap_or_default() aria-labelledby=label>
            {draw_row(row, |row, _| card::card(&row.vm, row.sparklines.as_ref()))}
            <footer>{draw_row(row, |row, now| card::ages(&row.vm, now))}</footer>
        </article>
    }
}
