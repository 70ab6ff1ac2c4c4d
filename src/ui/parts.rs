//! Tracks which parts of a large page differ, so that a change redraws only those.

use leptos::prelude::*;

use model::delta::{Changed, RowKey};

/// A trigger for each part of a page.
#[derive(Clone, Copy)]
pub struct Parts {
    /// The totals, and the states of the sources.
    pub head: Trigger,
    /// The options of the filters.
    pub facets: Trigger,
    /// Which rows are on the page, and how many more there are.
    pub list: Trigger,
    rows: StoredValue<Vec<(RowKey, Trigger)>>,
}

impl Parts {
    pub fn new() -> Self {
        let [head, facets, list] = [(); 3].map(|()| Trigger::new());
        Self { head, facets, list, rows: StoredValue::new(Vec::new()) }
    }

    /// Returns a trigger for the content of one row, which lives as long as the current owner.
    pub fn row(self, key: RowKey) -> Trigger {
        let trigger = Trigger::new();
        self.rows.update_value(|rows| rows.push((key, trigger)));
        trigger
    }

    /// Notifies the triggers of the parts that differ.
    pub fn notify(self, changed: &Changed) {
        let rows = self.rows.try_update_value(|rows| {
            rows.retain(|(_, row)| !row.is_disposed());
            let differs = |key| changed.all || changed.rows.contains(key);
            rows.iter().filter(|(key, _)| differs(key)).map(|(_, row)| *row).collect::<Vec<_>>()
        });
        rows.into_iter().flatten().for_each(|row| row.notify());
        for (differs, part) in [
            (changed.totals || changed.sources, self.head),
            (changed.facets, self.facets),
            (changed.list, self.list),
        ] {
            if changed.all || differs {
                part.notify();
            }
        }
    }
}
