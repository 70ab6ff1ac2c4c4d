//! The legend: what each kind of square means, and how many there are.

use leptos::prelude::*;

use super::cells::block;
use i18n::t;
use model::{
    format,
    map::{Cell, Map, STEPS},
    query::Measure,
    vm::Status,
};

/// The name of the figure that colours the map.
pub fn measure(color: Measure) -> &'static str {
    match color {
        Measure::Cpu => t!(map.cpu),
        Measure::Memory => t!(map.memory),
        Measure::Disk => t!(map.disk),
    }
}

/// The label of a kind of cell.
pub fn word(cell: Cell) -> &'static str {
    match cell {
        Cell::Step(0) => "0–19 %",
        Cell::Step(1) => "20–39",
        Cell::Step(2) => "40–59",
        Cell::Step(3) => "60–79",
        Cell::Step(_) => "80–89",
        Cell::Hot => "90–100",
        Cell::Over => t!(map.over),
        Cell::Old(_) => t!(map.old),
        Cell::Unknown => t!(map.unknown),
        Cell::Off(Status::Running | Status::Unknown) => t!(map.unclear),
        Cell::Off(Status::Creating | Status::Pending) => t!(map.pending),
        Cell::Off(Status::Error) => t!(map.error),
        Cell::Off(Status::Stopped) => t!(map.stopped),
    }
}

/// Returns the legend entry of a cell: kinds that the legend does not distinguish share one.
fn entry(cell: Cell) -> Cell {
    match cell {
        Cell::Old(_) => Cell::Old(STEPS / 2),
        Cell::Off(Status::Creating) => Cell::Off(Status::Pending),
        cell => cell,
    }
}

/// The entries of the legend with their counts. The steps are always shown, because they are the scale.
fn entries(map: &Map) -> Vec<(Cell, u32)> {
    let mut counts = [0; Cell::KINDS];
    for cell in map.groups.iter().flat_map(|group| &group.cells).filter_map(|byte| Cell::from_byte(*byte)) {
        counts[usize::from(entry(cell).byte())] += 1;
    }
    let kinds = (0..).map_while(Cell::from_byte).zip(counts);
    kinds.filter(|(cell, count)| *count > 0 || matches!(cell, Cell::Step(_) | Cell::Hot)).collect()
}

pub fn legend(map: &Map, color: Measure) -> impl IntoView + use<> {
    let entries: Vec<_> = entries(map)
        .into_iter()
        .map(|(cell, count)| {
            view! {
                <li>
                    {block(&[cell.byte()])} <span>{word(cell)} " " <b>{format::grouped(count.into())}</b></span>
                </li>
            }
        })
        .collect();
    let label = t!(map.legend, measure = measure(color));
    view! {
        <ul class="legend" aria-label=label>
            {entries}
        </ul>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::map::MapGroup;

    #[test]
    fn every_cell_is_counted_once() {
        let cells: Vec<u8> = (0..Cell::KINDS as u8).collect();
        let map = Map { groups: vec![MapGroup { cells: cells.clone(), ..MapGroup::default() }; 2] };
        let entries = entries(&map);
        assert_eq!(entries.iter().map(|(_, count)| count).sum::<u32>(), 2 * cells.len() as u32);
        let count = |wanted| entries.iter().find(|(cell, _)| *cell == wanted).map(|(_, count)| *count);
        assert_eq!(count(Cell::Old(STEPS / 2)), Some(2 * u32::from(STEPS)), "old ones are one entry");
        assert_eq!(count(Cell::Off(Status::Pending)), Some(4), "what is being created is pending");
        assert_eq!(count(Cell::Off(Status::Creating)), None);
    }

    #[test]
    fn the_scale_shows_without_a_vm() {
        assert_eq!(entries(&Map::default()).len(), usize::from(STEPS) + 1);
    }
}
