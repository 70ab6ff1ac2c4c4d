//! A table. On a narrow screen its rows become blocks of labelled lines. That needs the labels, and explicit
//! roles, since `display: block` would remove the implicit ones.

use leptos::prelude::*;

use i18n::text;
use model::message::Key;

/// A column: its heading, and whether it holds numbers.
#[derive(Clone, Copy)]
pub struct Column(pub Key, pub bool);

pub fn sheet(caption: &'static str, columns: &[Column], rows: AnyView) -> impl IntoView + use<> {
    let heads: Vec<_> = columns
        .iter()
        .map(|Column(head, number)| {
            view! {
                <th role="columnheader" scope="col" class=if *number { "num" } else { "" }>
                    {text(*head)}
                </th>
            }
        })
        .collect();
    view! {
        <table class="sheet" role="table">
            <caption class="vh">{caption}</caption>
            <thead role="rowgroup">
                <tr role="row">{heads}</tr>
            </thead>
            <tbody role="rowgroup">{rows}</tbody>
        </table>
    }
}

/// A table cell. An empty text is shown as a dash, which a narrow screen leaves out.
pub fn cell(head: Key, content: String) -> impl IntoView {
    let none = content.is_empty();
    view! {
        <td role="cell" data-th=text(head) class=if none { "none" } else { "" }>
            {if none { "–".to_owned() } else { content }}
        </td>
    }
}

/// A table cell that holds a number.
pub fn number(head: Key, content: String) -> impl IntoView {
    let none = content.is_empty();
    view! {
        <td role="cell" data-th=text(head) class=if none { "num none" } else { "num" }>
            {if none { "–".to_owned() } else { content }}
        </td>
    }
}
