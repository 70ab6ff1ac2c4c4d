//! Joins stylesheets into the two of a build. `build.rs` and `tools/bundle` use it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Stylesheets on which the others build.
const FIRST: [&str; 2] = ["tokens.css", "base.css"];
/// Stylesheets that override the others.
const LAST: [&str; 1] = ["print.css"];

/// Returns the two stylesheets of a build: what the first page needs, and what the other pages need in
/// addition.
pub fn sheets() -> io::Result<[(&'static str, String); 2]> {
    Ok([("app.css", join("style")?), ("later.css", join("style/later")?)])
}

/// Joins a folder's stylesheets: [`FIRST`], then the others by name, then [`LAST`].
fn join(folder: &str) -> io::Result<String> {
    let entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    let mut sheets: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    sheets.retain(|path| path.extension().is_some_and(|extension| extension == "css"));
    sheets.sort_by_cached_key(|path| (rank(path), path.clone()));
    sheets.iter().map(|path| Ok(fs::read_to_string(path)? + "\n")).collect()
}

fn rank(path: &Path) -> usize {
    let at = |list: &[&str]| list.iter().position(|name| path.ends_with(name));
    match (at(&FIRST), at(&LAST)) {
        (Some(place), _) => place,
        (None, None) => FIRST.len(),
        (None, Some(place)) => FIRST.len() + 1 + place,
    }
}
