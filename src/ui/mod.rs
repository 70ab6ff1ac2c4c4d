//! What people see, on both sides: the server renders it complete, the browser keeps it fresh.
//!
//! A view is a plain function of a part of the model; closures around those parts make it live, and a rebuild writes
//! only what differs into the document, so that focus and scroll stay. Numbers go through `model::format`, sentences
//! with numbers in them through [`words`].

pub mod address;
pub mod chart;
pub mod codec;
pub mod components;
pub mod feed;
pub mod live;
pub mod map;
pub mod pages;
mod parts;
pub mod ready;
pub mod route;
mod stream;
pub mod words;

#[cfg(all(test, feature = "ssr"))]
mod tests;
