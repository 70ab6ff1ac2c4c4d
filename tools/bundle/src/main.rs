//! `bundle WASM NAME DIR`: does what the programs `wasm-split-cli` and `wasm-bindgen` do, and writes the
//! stylesheets and the tables of texts.
//!
//! Reads the browser half as cargo linked it, with relocations. Writes to DIR: `NAME_bg.wasm` and `NAME.js`
//! as wasm-bindgen makes them, the chunks of lazy routes and their loader as wasm-split makes them, the
//! stylesheets, and each table of texts that a browser fetches. It must run in the root of the repository.

#[path = "../../../build/styles.rs"]
mod styles;
#[path = "../../../crates/i18n/build/tables.rs"]
mod tables;

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::{Options, transform};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [wasm, name, out] = arguments.as_slice() else { bail!("usage: bundle WASM NAME DIR") };
    let (wasm, out) = (Path::new(wasm), Path::new(out));
    fs::create_dir_all(out)?;
    let main = split(wasm, name, out)?;
    bind(&main, name, out)?;
    // The bound module replaces it.
    fs::remove_file(&main)?;
    for (file, css) in styles::sheets()? {
        fs::write(out.join(file), css)?;
    }
    for (file, table) in tables::tables("crates/i18n/locales", &tables::PARTS[..tables::FETCHED])? {
        fs::write(out.join(file), table)?;
    }
    Ok(())
}

/// Splits off the chunks. Returns the path of the remaining module, which still has to be bound.
fn split(wasm: &Path, name: &str, out: &Path) -> Result<PathBuf> {
    let input = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let main = out.join(format!("{name}.wasm"));
    let script = format!("./{name}.js");
    let mut options = Options::new(&input);
    options.output_dir = out;
    options.main_out_path = &main;
    options.main_module = &script;
    transform(options).map_err(|error| anyhow::anyhow!("wasm-split: {error:?}"))?;
    Ok(main)
}

/// Runs wasm-bindgen. `--keep-lld-exports`: the chunks import the memory's symbols that the linker exports.
/// As in the wasm-bindgen program, and unlike the default of its library, the script knows where its module
/// is.
fn bind(main: &Path, name: &str, out: &Path) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen.web(true)?.input_path(main).out_name(name).typescript(false);
    bindgen.keep_lld_exports(true).omit_default_module_path(false);
    bindgen.generate(out).context("wasm-bindgen")
}
