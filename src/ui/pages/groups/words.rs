//! The words of sums and groups, for the parts of the page.

use i18n::t;
use model::{figure::Unit, format, query::GroupBy};

pub fn name_of(by: GroupBy) -> &'static str {
    match by {
        GroupBy::Node => t!(groups.nodes),
        GroupBy::Namespace => t!(groups.namespaces),
    }
}

/// Marks a sum as a lower bound (`≥`) if parts of it are missing.
pub fn at_least(missing: u32, text: String) -> String {
    if missing > 0 { "≥ ".to_owned() + &text } else { text }
}

pub fn with_unit(amount: u64, unit: Unit) -> String {
    match unit {
        Unit::Nanocores => format::allocation(unit, amount) + " vCPU",
        Unit::Bytes => {
            let amount = format::total_bytes(amount);
            [&amount.digits, " ", amount.unit].concat()
        }
    }
}
