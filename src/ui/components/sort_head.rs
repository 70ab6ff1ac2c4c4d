//! The head of a table's column. A click sorts by the column; a second click reverses the order.

use leptos::{either::Either, prelude::*};

use model::query::Order;

/// `sorted` is the order if the table is sorted by this column. `address` is the list that a click asks for; `None` if
/// nothing sorts by this column.
pub fn sort_head(
    word: &'static str,
    class: String,
    sorted: Option<Order>,
    address: Option<String>,
) -> impl IntoView + use<> {
    let (arrow, direction) = match sorted {
        None => ("", None),
        Some(Order::Asc) => (" ↑", Some("ascending")),
        Some(Order::Desc) => (" ↓", Some("descending")),
    };
    let content = match address {
        None => Either::Left(word),
        Some(address) => Either::Right(view! {
            <a href=address data-noscroll="">
                {word} <span aria-hidden="true">{arrow}</span>
            </a>
        }),
    };
    view! {
        <th role="columnheader" scope="col" class=class aria-sort=direction>
            {content}
        </th>
    }
}
