//! Collects the pages of `docs/codes` and `docs/rules` into one table.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    // In a checkout; a published package has the pages in itself.
    let checkout = Path::new(&here).join("../docs/codes");
    let root = Path::new(&here).join(if checkout.is_dir() { "../docs" } else { "pages" });
    println!("cargo::rerun-if-env-changed=SOLO5_VERSION");
    let mut pages = Vec::new();
    for folder in ["codes", "rules"] {
        let folder = root.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        for file in fs::read_dir(&folder).expect("the folder is checked in") {
            let path = file.expect("a readable folder").path();
            if path.extension().is_some_and(|suffix| suffix == "md") {
                let name = path.file_stem().expect("it has a suffix").to_string_lossy();
                pages.push((name.into_owned(), fs::canonicalize(&path).expect("it exists")));
            }
        }
    }
    pages.sort();
    let mut table = String::from("const PAGES: &[(&str, &str)] = &[\n");
    for (name, path) in pages.iter().filter(|(name, _)| name != "README") {
        writeln!(table, "    ({name:?}, include_str!({path:?})),").expect("a String takes it");
    }
    table.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("pages.rs");
    fs::write(out, table).expect("the output folder is writable");
}
