//! VMs whose names are close to one that does not exist, for the page that says so: a name may be mistyped, or be in another
//! namespace.

use strsim::osa_distance;

use super::Visible;

/// VMs that are named.
const MOST: usize = 5;
/// Characters of the longest name that is compared. Every comparison takes the time of their square, and anybody can ask
/// for a name that does not exist.
const LONGEST: usize = 63;
/// Most names that are compared: some milliseconds.
const MOST_COMPARED: usize = 500;

/// Returns namespace and name of the closest VMs, closest first; of equally close ones, those of the same namespace. A
/// name is close if few characters differ: one of three, and no more than three.
pub fn similar(visible: &Visible, namespace: &str, name: &str) -> Vec<(String, String)> {
    if name.len() > LONGEST {
        return Vec::new();
    }
    let most_edits = (name.len() / 3).clamp(1, 3);
    let letters = Letters::of(name);
    let candidates = visible.vms().iter().map(|vm| vm.key()).filter(|(_, other)| {
        other.len() <= LONGEST
            && other.len().abs_diff(name.len()) <= most_edits
            && letters.edits_to(other) <= most_edits
    });
    let mut close: Vec<_> = candidates
        .take(MOST_COMPARED)
        .filter_map(|(place, other)| {
            let edits = Some(osa_distance(other, name)).filter(|edits| *edits <= most_edits)?;
            Some((edits, place != namespace, other, place))
        })
        .collect();
    close.sort_unstable();
    // A Wukong and a VirtualMachine may share a name.
    close.dedup();
    close.into_iter().take(MOST).map(|(_, _, name, place)| (place.to_owned(), name.to_owned())).collect()
}

/// How often each byte is in a name.
struct Letters([i8; 256]);

impl Letters {
    fn of(name: &str) -> Self {
        let mut counts = [0; 256];
        name.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
        Self(counts)
    }

    /// Returns how many edits it takes at least to another name: each brings one letter and takes one away at most.
    fn edits_to(&self, other: &str) -> usize {
        let mut left = self.0;
        let mut missing = 0;
        for byte in other.bytes() {
            let left = &mut left[usize::from(byte)];
            missing += usize::from(*left <= 0);
            *left -= 1;
        }
        let unused: usize =
            left.iter().filter(|left| **left > 0).map(|left| usize::from(left.unsigned_abs())).sum();
        missing.max(unused)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Otherwise a close name would be left out.
        #[test]
        fn no_name_is_closer_than_its_letters_say(one in "[a-d]{0,8}", other in "[a-d]{0,8}") {
            prop_assert!(Letters::of(&one).edits_to(&other) <= osa_distance(&one, &other));
        }
    }
}
