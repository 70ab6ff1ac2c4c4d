//! Sets the folder that the executable embeds as its browser half.
//!
//! `WUKONG_SITE_DIR` names the folder that `make build` fills: `manifest.json`, `pkg/HASH/…` and the public
//! files, each with its `.br` and `.gz`. Without it only the stylesheets and the public files are taken from
//! the sources. Pages then work as they do without JavaScript, so that a plain `cargo build` needs no other
//! tool.

#[path = "build/styles.rs"]
mod styles;

use std::{
    env, fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-env-changed=WUKONG_SITE_DIR");
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_SSR").is_none() {
        return Ok(());
    }
    let site = match env::var_os("WUKONG_SITE_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => given(Path::new(&dir))?,
        None => from_sources()?,
    };
    println!("cargo:rustc-env=WUKONG_SITE_DIR={}", site.display());
    Ok(())
}

fn given(dir: &Path) -> io::Result<PathBuf> {
    println!("cargo:rerun-if-changed={}", dir.display());
    if !dir.join("manifest.json").is_file() {
        return Err(io::Error::other(format!("WUKONG_SITE_DIR={} holds no manifest.json", dir.display())));
    }
    dir.canonicalize()
}

fn from_sources() -> io::Result<PathBuf> {
    println!("cargo:rerun-if-changed=style");
    println!("cargo:rerun-if-changed=public");
    let site = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?).join("site");
    if site.exists() {
        fs::remove_dir_all(&site)?;
    }
    let public = files(Path::new("public"))?;
    let sheets = styles::sheets()?;
    let folder = format!("pkg/{}", hash(&sheets, &public)?);
    fs::create_dir_all(site.join(&folder))?;
    for (name, css) in &sheets {
        fs::write(site.join(&folder).join(name), css)?;
    }
    for file in &public {
        let name = file.file_name().unwrap_or_default();
        // Browsers and robots request these at the root, whatever a page says.
        let at_root = ["favicon.ico", "robots.txt"].iter().any(|asked| name == *asked);
        fs::copy(file, site.join(if at_root { "" } else { &folder }).join(name))?;
    }
    fs::write(site.join("manifest.json"), format!(r#"{{"css": "/{folder}/app.css"}}"#))?;
    Ok(site)
}

/// Returns a hash of the names and contents. It is part of each file's address, which may be cached forever.
fn hash(sheets: &[(&str, String)], public: &[PathBuf]) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    sheets.hash(&mut hasher);
    for path in public {
        (path, fs::read(path)?).hash(&mut hasher);
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// Returns the files of a folder, sorted; none if there is no such folder.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(dir)?.collect::<Result<Vec<_>, _>>()?;
    let mut paths: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|p| p.is_file()).collect();
    paths.sort();
    Ok(paths)
}
