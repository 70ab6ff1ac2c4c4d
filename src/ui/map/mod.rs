//! The map: every VM of the list as a square, in groups. Squares of one kind are one SVG path, so that 10,000
//! of them need only a few thousand elements. Their names are fetched when somebody points at them.

mod cells;
mod legend;
mod pieces;
mod point;
mod show;

pub use show::MapView;
