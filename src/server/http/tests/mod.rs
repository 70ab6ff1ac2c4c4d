//! Tests through the real router, with a snapshot that the test makes.

mod attention;
mod base_path;
mod connection;
mod download;
mod files;
pub mod fixture;
mod groups;
mod history;
mod hostile;
mod html;
mod http;
mod language;
mod listing;
mod log;
mod memory;
mod names;
mod pages;
mod prefetch;
mod query;
mod search;
pub(crate) mod sign_in;
mod slow_readers;
mod tls;
mod vm_events;
mod vms;
