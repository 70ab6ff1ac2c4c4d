//! One function for each kind of bytes that comes from outside. Each takes any bytes, and panics should what came of them
//! break a promise. `fuzz/` calls them with what a fuzzer invents; the tests here call them with `fuzz/corpus`.

use std::str::from_utf8;

use model::{format, quantity::Quantity, query::Query};

/// A target's name, which its corpus has too, and what it runs.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 7] = [
    ("quantity", quantity),
    ("summary", collector::fuzz::summary),
    ("pod_metrics", collector::fuzz::pod_metrics),
    ("prometheus", collector::fuzz::prometheus),
    ("filesystems", collector::fuzz::filesystems),
    ("kubeconfig", collector::fuzz::kubeconfig),
    ("query", query),
];

/// Runs a target. Panics where there is none of that name.
pub fn run(target: &str, data: &[u8]) {
    let (_, check) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of that name");
    check(data);
}

/// What is written out is read back as the same, and no amount is beyond what Kubernetes counts to.
fn quantity(data: &[u8]) {
    let Ok(text) = from_utf8(data) else { return };
    let Ok(quantity) = Quantity::parse(text) else { return };
    let (units, nanos) = (quantity.units(), quantity.nanos());
    assert!(units <= 1 << 63, "{text}");
    assert_eq!(Quantity::parse(&units.to_string()).map(Quantity::units), Ok(units), "{text}");
    if nanos < u64::MAX {
        assert_eq!(Quantity::parse(&format!("{nanos}n")), Ok(quantity), "{text}");
        assert_eq!(nanos.div_ceil(1_000_000_000), units, "{text}");
    }
    assert!(!format::gi_exact(units).is_empty() && !format::grouped(units).is_empty());
}

/// An address that is read has one way to be written, which is read as the same and is no longer than an address may be.
fn query(data: &[u8]) {
    const LONGEST: usize = 4 << 10;
    let Ok(text) = from_utf8(data) else { return };
    let Ok(query) = Query::of_address(text) else { return };
    let written = query.to_query_string();
    assert_eq!(Query::of_address(&written).as_ref(), Ok(&query), "{text}");
    assert_eq!(query.to_query_string(), written);
    assert!(written.len() <= LONGEST, "{} bytes", written.len());
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()), "{written}");
    assert!(Query::FIELDS.iter().all(|field| query.value(field).len() <= 253));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn corpus() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
    }

    #[test]
    fn every_input_of_the_corpus_keeps_its_promises() {
        for (target, check) in TARGETS {
            let files: Vec<_> =
                fs::read_dir(corpus().join(target)).unwrap().map(|e| e.unwrap().path()).collect();
            assert!(files.len() >= 5, "{target} has {} inputs", files.len());
            for file in files {
                let data = fs::read(&file).unwrap();
                let checked = std::panic::catch_unwind(|| check(&data));
                assert!(checked.is_ok(), "{}", file.display());
            }
        }
    }

    /// Nothing lies in a folder that no target reads, and each target is built by `fuzz/`.
    #[test]
    fn targets_and_their_folders_are_the_same() {
        let names = |folder: std::path::PathBuf| {
            let mut names: Vec<String> = fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
                .collect();
            names.sort();
            names
        };
        let mut targets = TARGETS.map(|(name, _)| name);
        targets.sort();
        assert_eq!(names(corpus()), targets);
        assert_eq!(names(corpus().join("../fuzz_targets")), targets);
    }

    /// The entry functions are worth something: each does more than to refuse what it is given.
    #[test]
    fn the_corpus_is_read_and_not_refused() {
        let read = |target: &str, reads: fn(&[u8]) -> bool| {
            let files = fs::read_dir(corpus().join(target)).unwrap().map(|entry| entry.unwrap().path());
            let (good, bad): (Vec<bool>, Vec<bool>) =
                files.map(|file| reads(&fs::read(file).unwrap())).partition(|ok| *ok);
            assert!(
                good.len() >= 2 && !bad.is_empty(),
                "{target}: {} read, {} refused",
                good.len(),
                bad.len()
            );
        };
        read("quantity", |data| from_utf8(data).is_ok_and(|text| Quantity::parse(text).is_ok()));
        read("query", |data| from_utf8(data).is_ok_and(|text| Query::of_address(text).is_ok()));
        for (target, reads) in collector::fuzz::READERS {
            read(target, reads);
        }
    }
}
