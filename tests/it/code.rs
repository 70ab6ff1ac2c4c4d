//! The program's own source, for the tests that read it.

use std::{
    fs,
    path::{Path, PathBuf},
};

pub fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The folder of a workspace member.
pub fn member(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("crates").join(name)
}

/// Returns a file's text before its tests, which stand at its end.
pub fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Returns all Rust files except tests, which may name anything.
pub fn rust_files(place: &Path) -> Vec<PathBuf> {
    if place.file_name().is_some_and(|name| name == "tests" || name == "tests.rs") {
        return Vec::new();
    }
    if place.is_file() {
        return vec![place.to_owned()];
    }
    let entries = fs::read_dir(place).unwrap_or_else(|e| panic!("{}: {e}", place.display()));
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = paths
        .flat_map(|path| rust_files(&path))
        .filter(|path| path.extension().is_some_and(|ext| ext == "rs"))
        .collect();
    files.sort();
    files
}
