//! Through the real router, with a snapshot made by hand.

mod connection;
mod files;
mod fixture;
mod http;
mod listing;
mod pages;
mod vms;
