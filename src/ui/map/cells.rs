//! Squares as SVG: one path for each kind of cell in a block. Shapes carry as much information as colours.

use leptos::prelude::*;

use model::{
    map::{BLOCK, COLUMNS, Cell},
    vm::Status,
};

// Lengths are in half pixels: a square of 20 px at a pitch of 24 px.
const PITCH: usize = 48;
const WIDTH: usize = COLUMNS * PITCH - 8;

/// Where the squares of each column or row begin. They are 3 units in, which half the stroke fills for round
/// corners.
const STARTS: [&str; COLUMNS] = ["3", "51", "99", "147", "195", "243", "291", "339", "387", "435"];

const SQUARE: &str = "h34v34h-34z";
/// A square with a hole in the middle.
const DOT: &str = "h34v34h-34zm9 9h16v16h-16z";
/// A square with a bar across it.
const BAR: &str = "h34v34h-34zm2 11h30v12h-30z";
const HATCHED: &str = "h34v34h-34zm0 17l17-17m-17 34l34-34m0 17l-17 17";
const STOPPED: &str = "h34v34h-34zm11 11h12v12h-12z";
const FAILED: &str = "h34v34h-34zm17 8v11m0 6v1";
/// A square with a broken ring in it.
const PENDING: &str = "h34v34h-34zm17 8a9 9 0 0 1 9 9m-9 9a9 9 0 0 1-9-9";
const UNCLEAR: &str = "h34v34h-34zm10 17h14";

/// CSS class and shape of a cell.
fn appearance(cell: Cell) -> (&'static str, &'static str) {
    const STEPS: [&str; 5] = ["step1", "step2", "step3", "step4", "step5"];
    const OLD: [&str; 5] = ["step1 old", "step2 old", "step3 old", "step4 old", "step5 old"];
    match cell {
        Cell::Step(step) => (STEPS[usize::from(step)], SQUARE),
        Cell::Hot => ("hot", DOT),
        Cell::Over => ("hot over", BAR),
        Cell::Old(step) => (OLD[usize::from(step)], SQUARE),
        Cell::Unknown => ("unmeasured", HATCHED),
        Cell::Off(Status::Error) => ("unmeasured failed", FAILED),
        Cell::Off(Status::Stopped) => ("unmeasured", STOPPED),
        Cell::Off(Status::Unknown | Status::Running) => ("unmeasured", UNCLEAR),
        Cell::Off(Status::Creating | Status::Pending) => ("unmeasured", PENDING),
    }
}

/// Returns class and path of each kind of cell in `cells`.
fn paths(cells: &[u8]) -> Vec<(&'static str, String)> {
    let mut paths = [const { String::new() }; Cell::KINDS];
    for (index, byte) in cells.iter().take(BLOCK).enumerate() {
        let Some(cell) = Cell::from_byte(*byte) else { continue };
        let path = &mut paths[usize::from(*byte)];
        path.push('M');
        path.push_str(STARTS[index % COLUMNS]);
        path.push(' ');
        path.push_str(STARTS[index / COLUMNS]);
        path.push_str(appearance(cell).1);
    }
    let kinds = (0..).map_while(Cell::from_byte).map(|cell| appearance(cell).0);
    kinds.zip(paths).filter(|(_, path)| !path.is_empty()).collect()
}

/// The SVG of at most [`BLOCK`] cells.
pub fn block(cells: &[u8]) -> impl IntoView + use<> {
    let width = if cells.len() < COLUMNS { cells.len() * PITCH - 8 } else { WIDTH };
    let height = cells.len().div_ceil(COLUMNS) * PITCH - 8;
    let paths: Vec<_> =
        paths(cells).into_iter().map(|(class, d)| view! { <path class=class d=d></path> }).collect();
    view! {
        <svg
            class="squares"
            viewBox=["0 0 ", &width.to_string(), " ", &height.to_string()].concat()
            width=width / 2
            height=height / 2
            aria-hidden="true"
        >
            {paths}
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_one_kind_are_one_path() {
        let [cpu, off] = [Cell::Step(1).byte(), Cell::Off(Status::Stopped).byte()];
        let cells = [[cpu; COLUMNS].as_slice(), &[off, cpu]].concat();
        let paths = paths(&cells);
        assert_eq!(paths.iter().map(|(class, _)| *class).collect::<Vec<_>>(), ["step2", "unmeasured"]);
        assert_eq!(paths[0].1.matches('M').count(), COLUMNS + 1);
        assert!(paths[0].1.starts_with("M3 3h") && paths[0].1.contains("M435 3h"), "{}", paths[0].1);
        assert!(paths[0].1.ends_with(&["M51 51", SQUARE].concat()), "{}", paths[0].1);
        assert_eq!(paths[1].1, ["M3 51", STOPPED].concat());
    }

    #[test]
    fn states_differ_in_shape() {
        let shapes = |cells: &[Cell]| cells.iter().map(|cell| appearance(*cell).1).collect::<Vec<_>>();
        let all = shapes(&[
            Cell::Step(0),
            Cell::Hot,
            Cell::Over,
            Cell::Unknown,
            Cell::Off(Status::Error),
            Cell::Off(Status::Stopped),
            Cell::Off(Status::Pending),
            Cell::Off(Status::Unknown),
        ]);
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn an_unknown_byte_leaves_a_gap() {
        let paths = paths(&[u8::MAX, 0]);
        assert_eq!(paths, [("step1", ["M51 3", SQUARE].concat())]);
    }
}
