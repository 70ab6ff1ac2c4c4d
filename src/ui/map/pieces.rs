//! Draws the map's groups a few at a time, each in a task of its own, so that the browser stays responsive.

use core::time::Duration;

use leptos::prelude::*;

use model::{
    map::{Map, MapGroup},
    query::Query,
};

/// Groups that are drawn in one task.
const GROUPS_PER_PIECE: usize = 50;

/// Some groups, and the query that they belong to.
#[derive(Clone, Default, PartialEq)]
pub struct Piece {
    pub query: Query,
    pub groups: Vec<MapGroup>,
}

/// The pieces that have been drawn so far.
#[derive(Clone, Copy)]
pub struct Pieces {
    map: Memo<Map>,
    query: Memo<Query>,
    drawn: RwSignal<Vec<ArcRwSignal<Piece>>>,
    /// The timer that draws the next piece.
    timer: StoredValue<Option<TimeoutHandle>>,
}

impl Pieces {
    /// Draws the map, and again whenever it or the query changes.
    pub fn follow(map: Memo<Map>, query: Memo<Query>) -> Self {
        let pieces = Self { map, query, drawn: RwSignal::new(Vec::new()), timer: StoredValue::new(None) };
        // What the server rendered is hydrated as a whole.
        let first_count = if is_rendered() { usize::MAX } else { 1 };
        (0..pieces.count().min(first_count)).for_each(|index| pieces.draw(index));
        // Effects run in the browser only.
        Effect::new(move |_| {
            map.track();
            query.track();
            pieces.draw_from(0);
        });
        on_cleanup(move || pieces.cancel_timer());
        pieces
    }

    pub fn drawn(self) -> Vec<(usize, ArcRwSignal<Piece>)> {
        self.drawn.with(|drawn| drawn.iter().cloned().enumerate().collect())
    }

    fn count(self) -> usize {
        self.map.with_untracked(|map| map.groups.len().div_ceil(GROUPS_PER_PIECE))
    }

    fn draw_from(self, index: usize) {
        self.cancel_timer();
        let count = self.count();
        if index < count {
            self.draw(index);
            let next = set_timeout_with_handle(move || self.draw_from(index + 1), Duration::ZERO);
            self.timer.set_value(next.ok());
        } else if self.drawn.with_untracked(|drawn| drawn.len() > count) {
            self.drawn.update(|drawn| drawn.truncate(count));
        }
    }

    fn draw(self, index: usize) {
        let groups = self.map.with_untracked(|map| {
            map.groups.chunks(GROUPS_PER_PIECE).nth(index).map(<[MapGroup]>::to_vec).unwrap_or_default()
        });
        let piece = Piece { query: self.query.get_untracked(), groups };
        match self.drawn.with_untracked(|drawn| drawn.get(index).cloned()) {
            Some(drawn) if drawn.with_untracked(|drawn| *drawn == piece) => {}
            Some(drawn) => drawn.set(piece),
            None => self.drawn.update(|drawn| drawn.push(ArcRwSignal::new(piece))),
        }
    }

    fn cancel_timer(self) {
        if let Some(Some(timer)) = self.timer.try_update_value(Option::take) {
            timer.clear();
        }
    }
}

/// True on the server, and in the browser during hydration.
fn is_rendered() -> bool {
    cfg!(feature = "ssr") || Owner::current_shared_context().is_some_and(|context| context.during_hydration())
}
