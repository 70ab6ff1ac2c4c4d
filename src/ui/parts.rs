//! Which parts of a large page differ: a change draws these again, and leaves the others alone.

use leptos::prelude::*;

use model::delta::{Changed, RowKey};

#[derive(Clone, Copy)]
pub struct Parts {
    /// Totals, and the states of the sources.
    pub head: Trigger,
    /// What can be chosen.
    pub facets: Trigger,
    /// Which rows there are, and how many more.
    pub list: Trigger,
    rows: StoredValue<Vec<(RowKey, Trigger)>>,
}

impl Parts {
    pub fn new() -> Self {
        let [head, facets, list] = [(); 3].map(|()| Trigger::new());
        Self { head, facets, list, rows: StoredValue::new(Vec::new()) }
    }

    /// The content of one row, for as long as the current owner draws it.
    pub fn row(self, key: RowKey) -> Trigger {
        let trigger = Trigger::new();
        self.rows.update_value(|rows| rows.push((key, trigger)));
        trigger
    }

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
