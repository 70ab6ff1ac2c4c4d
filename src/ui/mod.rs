//! The user interface, for both halves: the server renders it completely, the browser keeps it up to date.
//!
//! A view is a plain function of a part of the model. Closures around those parts make it reactive, and an
//! update writes only the differences into the document, so that focus and scroll position stay. Numbers are
//! formatted by `model::format`, sentences with numbers in them by [`words`].

pub mod address;
pub mod chart;
pub mod components;
pub mod feed;
pub mod lazy_page;
pub mod live;
pub mod map;
pub mod pages;
pub mod ready;
mod stream;
pub mod words;

#[cfg(all(test, feature = "ssr"))]
mod tests;
