//! Through the real router, with a snapshot made by hand.

mod connection;
mod files;
mod fixture;
mod http;
mod language;
mod listing;
mod pages;
mod past;
mod vms;
