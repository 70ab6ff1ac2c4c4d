//! Components, one per file. Each has its styles in `style/` under the same name.

pub mod account;
pub mod card;
pub mod download;
pub mod empty;
pub mod figure;
pub mod filters;
pub mod freshness;
pub mod icon;
pub mod keys;
pub mod languages;
pub mod meter;
pub mod pager;
pub mod sheet;
pub mod sort_head;
pub mod sprite;
pub mod state;
pub mod summary;
pub mod title;
pub mod topbar;
pub mod why;
