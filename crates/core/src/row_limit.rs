//! Limits how many VMs a snapshot shows, fairly by namespace: with its figures, its history and its place in every list a
//! VM takes several kilobytes, whatever the objects take that show it. `join` applies the limit.

use hashbrown::HashMap;

use super::{inventory::Entry, last_rows::OmittedRows};
use model::{source::SourceId, vm::Kind};

/// Keeps at most this many entries. The namespaces with the most entries lose their last ones, until each has as many as
/// the others may have: a namespace with fewer loses none.
pub(super) fn keep_fairly<'a, K>(
    entries: Vec<(K, Entry<'a>)>,
    most: usize,
) -> (Vec<(K, Entry<'a>)>, OmittedRows) {
    if entries.len() <= most {
        return (entries, OmittedRows::default());
    }
    let mut counts: HashMap<&'a str, usize> = HashMap::new();
    entries.iter().for_each(|(_, entry)| *counts.entry(entry.namespace()).or_default() += 1);
    let fullest = counts.iter().max_by_key(|(name, count)| (**count, **name)).map_or("", |(name, _)| name);
    let mut omitted = OmittedRows { most, fullest: fullest.to_owned(), ..OmittedRows::default() };
    let share = fair_share(counts.values().copied().collect(), most);
    let mut kept: HashMap<&'a str, usize> = HashMap::new();
    let mut shown = Vec::with_capacity(most);
    for (key, entry) in entries {
        let of_namespace = kept.entry(entry.namespace()).or_default();
        if *of_namespace < share {
            *of_namespace += 1;
            shown.push((key, entry));
        } else {
            *omitted.by_source.entry(source(entry.kind)).or_default() += 1;
        }
    }
    (shown, omitted)
}

/// Returns the largest share for which all these counts, each cut to the share, are at most `most` together.
fn fair_share(mut counts: Vec<usize>, most: usize) -> usize {
    counts.sort_unstable();
    let (mut rest, mut left) = (most, counts.len());
    for count in counts {
        if count > rest / left {
            return rest / left;
        }
        (rest, left) = (rest - count, left - 1);
    }
    most
}

fn source(kind: Kind) -> SourceId {
    match kind {
        Kind::Wukong => SourceId::Wukongs,
        Kind::VirtualMachine => SourceId::VirtualMachines,
        Kind::VirtualMachineInstance => SourceId::Instances,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_what_the_largest_may_have() {
        for (counts, most, want) in [
            (vec![10, 10], 20, 20),
            (vec![100, 3, 5], 20, 12),
            (vec![100, 100, 5], 25, 10),
            (vec![7, 7, 7], 20, 6),
            (vec![1; 50], 20, 0),
        ] {
            let share = fair_share(counts.clone(), most);
            assert_eq!(share, want, "{counts:?} of {most}");
            assert!(counts.iter().map(|count| count.min(&share)).sum::<usize>() <= most);
        }
    }
}
