//! Spreads the work of a join over the cores.

use std::{
    num::NonZero,
    panic,
    thread::{self, available_parallelism},
};

/// Items below which starting a thread takes longer than the work.
const LEAST_PER_THREAD: usize = 1000;

/// Applies the function to all items. The order stays.
pub(super) fn parallel<T: Send, R: Send>(mut items: Vec<T>, apply: impl Fn(T) -> R + Sync) -> Vec<R> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let at_once = items.len().div_ceil(cores).max(LEAST_PER_THREAD);
    let mut parts = Vec::new();
    while items.len() > at_once {
        parts.push(items.split_off(items.len() - at_once));
    }
    let apply = |part: Vec<T>| -> Vec<R> { part.into_iter().map(&apply).collect() };
    let apply = &apply;
    thread::scope(|threads| {
        let parts: Vec<_> = parts.into_iter().rev().map(|part| threads.spawn(move || apply(part))).collect();
        let mut results = apply(items);
        for part in parts {
            results.extend(part.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_used_once_and_in_order() {
        for count in [0, 1, LEAST_PER_THREAD, LEAST_PER_THREAD + 1, 7 * LEAST_PER_THREAD + 3] {
            let doubled: Vec<usize> = (0..count).map(|n| 2 * n).collect();
            assert_eq!(parallel((0..count).collect(), |n| 2 * n), doubled);
        }
    }
}
