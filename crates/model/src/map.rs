//! The map view: every VM of a query as one cell of one byte, in groups. Names are sent separately, one block
//! of cells at a time. `core::map` makes it; the browser draws it.

use serde::{Deserialize, Serialize};

use super::{
    figure::{Figure, Sample},
    reason::Reason,
    totals::Measured,
    vm::{Status, VmSummary},
};

/// Cells in a row.
pub const COLUMNS: usize = 10;
/// Cells that are drawn and named together, in a square.
pub const BLOCK: usize = COLUMNS * COLUMNS;

/// All cells of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    pub groups: Vec<MapGroup>,
}

impl Map {
    /// Packs the map into bytes for a view, so that code without the map view need not know its format.
    pub fn pack(&self) -> Vec<u8> {
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Unpacks the bytes; `None` if they are not a map.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// The VMs of one node or namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapGroup {
    /// Empty for VMs that are on no node.
    pub name: String,
    /// One [`Cell`] byte per VM, sorted by namespace and name.
    pub cells: Vec<u8>,
    /// A hash of the names in each block of cells. Names that were fetched belong to these cells as long as
    /// it is the same.
    pub marks: Vec<u32>,
    /// The coloured figure over those of the group's VMs that are measured.
    pub used: Measured,
    /// VMs that need attention.
    pub attention: u32,
}

/// The names behind the cells of one block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapNames {
    /// See [`MapGroup::marks`].
    pub mark: u32,
    pub vms: Vec<MapVm>,
}

/// The VM behind one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapVm {
    pub namespace: String,
    pub name: String,
    pub status: Status,
    /// The coloured figure, or why it is missing.
    pub figure: Result<Sample, Reason>,
}

/// What a cell shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// 0–19, 20–39, 40–59, 60–79, 80–89 %.
    Step(u8),
    /// 90–100 %.
    Hot,
    Over,
    /// The step of an old figure; 80 % and more share the last step.
    Old(u8),
    /// Running, but the figure is not known.
    Unknown,
    /// Not running.
    Off(Status),
}

/// Steps below [`Cell::Hot`].
pub const STEPS: u8 = 5;
const HOT: u8 = STEPS;
const OVER: u8 = HOT + 1;
const OLD: u8 = OVER + 1;
const UNKNOWN: u8 = OLD + STEPS;
const OFF: u8 = UNKNOWN + 1;

impl Cell {
    /// The number of distinct bytes; all are below this.
    pub const KINDS: usize = OFF as usize + Status::ALL.len();

    /// Returns the cell of a VM, coloured by `figure`.
    pub fn of(vm: &VmSummary, figure: &Figure) -> Self {
        match figure {
            _ if vm.status != Status::Running => Self::Off(vm.status),
            Figure::Missing(_) => Self::Unknown,
            Figure::Known(sample) => Self::of_sample(sample),
        }
    }

    fn of_sample(sample: &Sample) -> Self {
        let percent = sample.percent();
        let step = (percent / 20).min(u64::from(STEPS) - 1) as u8;
        match percent {
            _ if sample.stale => Self::Old(step),
            0..90 => Self::Step(step),
            90..=100 => Self::Hot,
            _ => Self::Over,
        }
    }

    /// Returns the byte that stands for the cell.
    pub fn byte(self) -> u8 {
        match self {
            Self::Step(step) => step,
            Self::Hot => HOT,
            Self::Over => OVER,
            Self::Old(step) => OLD + step,
            Self::Unknown => UNKNOWN,
            Self::Off(status) => OFF + Status::ALL.iter().position(|own| *own == status).unwrap_or(0) as u8,
        }
    }

    /// Returns the cell of a byte; `None` for a byte of a newer program.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0..HOT => Self::Step(byte),
            HOT => Self::Hot,
            OVER => Self::Over,
            OLD..UNKNOWN => Self::Old(byte - OLD),
            UNKNOWN => Self::Unknown,
            _ => Self::Off(*Status::ALL.get(usize::from(byte - OFF))?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Basis, Source, Unit};

    fn sample(used: u64, stale: bool) -> Sample {
        let (unit, source, basis) = (Unit::Bytes, Source::PodMetrics, Basis::Own);
        Sample { unit, used, of: 1000, at: 0, window_ms: 0, source, basis, stale }
    }

    #[test]
    fn every_cell_has_its_own_byte() {
        let cells: Vec<Cell> = (0..=u8::MAX).map_while(Cell::from_byte).collect();
        assert_eq!(cells.len(), Cell::KINDS);
        for (byte, cell) in cells.iter().enumerate() {
            assert_eq!(usize::from(cell.byte()), byte, "{cell:?}");
        }
        assert_eq!(Cell::from_byte(Cell::KINDS as u8), None);
        for status in Status::ALL {
            assert!(cells.contains(&Cell::Off(status)));
        }
    }

    #[test]
    fn steps_match_the_colours_of_meters() {
        for (used, want) in [
            (0, Cell::Step(0)),
            (199, Cell::Step(0)),
            (200, Cell::Step(1)),
            (599, Cell::Step(2)),
            (799, Cell::Step(3)),
            (899, Cell::Step(4)),
            (900, Cell::Hot),
            (1009, Cell::Hot),
            (1010, Cell::Over),
            (u64::MAX, Cell::Over),
        ] {
            assert_eq!(Cell::of_sample(&sample(used, false)), want, "{used}");
        }
        for (used, step) in [(0, 0), (450, 2), (950, 4), (9000, 4)] {
            assert_eq!(Cell::of_sample(&sample(used, true)), Cell::Old(step), "old is never shown as fresh");
        }
    }
}
