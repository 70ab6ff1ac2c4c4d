//! VMs whose names are close to one that does not exist, for the page that says so: a name may be mistyped, or be in another
//! namespace.

use strsim::osa_distance;

use super::Visible;

/// VMs that are named.
const MOST: usize = 5;

/// Returns namespace and name of the closest VMs, closest first; of equally close ones, those of the same namespace. A
/// name is close if few characters differ: one of three, and no more than three.
pub fn similar(visible: &Visible, namespace: &str, name: &str) -> Vec<(String, String)> {
    let most_edits = (name.len() / 3).clamp(1, 3);
    let distance = |other: &str| {
        // Names of very different lengths need no comparison, which takes the time of all others.
        (other.len().abs_diff(name.len()) <= most_edits).then(|| osa_distance(other, name))
    };
    let close = visible.vms().iter().filter_map(|vm| {
        let (place, other) = vm.key();
        let edits = distance(other).filter(|edits| *edits <= most_edits)?;
        Some((edits, place != namespace, other, place))
    });
    let mut close: Vec<_> = close.collect();
    close.sort_unstable();
    // A Wukong and a VirtualMachine may share a name.
    close.dedup();
    close.into_iter().take(MOST).map(|(_, _, name, place)| (place.to_owned(), name.to_owned())).collect()
}
