//! The project's performance targets: `make bench`. Prints each figure beside its target, and exits with 1 if
//! one is missed.
//!
//! The program runs as delivered, beside a simulated cluster in a process of its own. CPU time and memory are
//! what the kernel reports. The join and the query of a view are timed inside this process, on data collected
//! from such a cluster.

mod api;
mod crowd;
#[path = "../../tests/it/event_clients.rs"]
mod event_clients;
mod inside;
mod page;
mod people;
mod process;
mod scopes;
mod table;

use table::Table;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` only ask for names.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    if let Some(file) = api::asked_to_be_bare() {
        return api::serve_bare(&file);
    }
    let mut table = Table::default();
    let chosen = |name: &str| std::env::args().any(|argument| argument == name);
    let all = !PARTS.iter().any(|(name, _)| chosen(name));
    for (_, measure) in PARTS.iter().filter(|(name, _)| all || chosen(name)) {
        measure(&mut table);
    }
    std::process::exit(table.finish());
}

/// Measures one part.
type Measure = fn(&mut Table);

/// The parts, each of which can be chosen by its name: `cargo bench --features ssr --bench targets -- people api`.
const PARTS: [(&str, Measure); 5] = [
    ("inside", inside::measure),
    ("page", page::measure),
    ("people", people::measure),
    ("api", api::measure),
    ("crowd", crowd::measure),
];
