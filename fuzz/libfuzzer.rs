//! libFuzzer around the targets. One program has all of them, because compiling takes longest.
//! `cargo xtask fuzz` builds and runs it.
//!
//! | variable | meaning |
//! |---|---|
//! | `SOLO5_FUZZ` | the target; without it, the names of all are printed |
//! | `SOLO5_FUZZ_FOLDER` | where to leave the target's seeds (`seeds/`) and dictionary (`words`) |
//!
//! Arguments are libFuzzer's: options, folders of inputs, or single inputs to try.

#![no_main]

use std::io;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use solo5_fuzz::{TARGETS, Target};

static TARGET: OnceLock<&Target> = OnceLock::new();

fuzz_target!(init: start(), |data: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(data);
    }
});

/// Runs before libFuzzer reads its arguments.
fn start() {
    let Ok(name) = std::env::var("SOLO5_FUZZ") else {
        for target in &TARGETS {
            println!("{}", target.name);
        }
        exit(0);
    };
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("solo5-fuzz: there is no target '{name}'");
        exit(2);
    };
    TARGET.get_or_init(|| target);
    if let Some(folder) = std::env::var_os("SOLO5_FUZZ_FOLDER")
        && let Err(error) = prepare(target, Path::new(&folder))
    {
        eprintln!("solo5-fuzz: {}: {error}", folder.display());
        exit(2);
    }
}

fn prepare(target: &Target, folder: &Path) -> io::Result<()> {
    let seeds = folder.join("seeds");
    std::fs::create_dir_all(&seeds)?;
    for (number, seed) in (target.seeds)().iter().enumerate() {
        std::fs::write(seeds.join(format!("{number:04}")), seed)?;
    }
    std::fs::write(folder.join("words"), target.dictionary())
}
