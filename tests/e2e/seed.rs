//! The seed: new at every start, and nowhere in memory once the guest has wiped its copy.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Context, Outcome};
use solo5_tests::tree::Tree;
use solo5_tests::{ensure, process};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let new = |target: &'static str| {
        trial(suite, format!("seed/new-at-every-start/{target}"), move |suite| {
            new_at_every_start(suite, target)
        })
    };
    vec![
        new("spt"),
        new("hvt"),
        trial(suite, "seed/not-in-a-core/hvt", not_in_a_core),
        trial(suite, "seed/getrandom/spt", |suite| getrandom(suite, "spt")),
        trial(suite, "seed/getrandom/hvt", |suite| getrandom(suite, "hvt")),
    ]
}

/// A Rust unikernel gets random bytes from `getrandom`, or an error that tells why there are none.
fn getrandom(suite: &Suite, target: &str) -> Outcome {
    if target == "hvt" {
        suite.kvm()?.require(true)?;
    }
    let image = suite.builder.example("random", target)?;
    let name = format!("solo5-{target}");
    let run_in = |tree: &Tree, image: &Path, option: Option<&str>, word: Option<&str>| {
        let mut tender = Command::new(tree.program(&name));
        tender.arg("--mem=8").args(option).arg(image).args(word);
        process::run(tender)?.expect(0, "SUCCESS")
    };
    let run = |option, word| run_in(&suite.tree, &image, option, word);
    let mut seen = BTreeSet::new();
    for _ in 0..2 {
        let said = run(None, None)?.text();
        seen.extend(said.lines().filter(|line| line.starts_with("Random: ")).map(str::to_owned));
    }
    ensure!(seen.len() == 4, "the same bytes twice: {seen:?}");
    let zero = format!("Random: {:02x?}", [0; 40]);
    ensure!(!seen.contains(&zero), "zeroes: {seen:?}");
    let taken = run(None, Some("take"))?;
    for text in ["Seed: 32 bytes, then Err(Taken)", "Taken\n"] {
        ensure!(taken.printed(text), "{text:?} is missing: {}", taken.text());
    }
    let mut old = vec![run(Some("--offer=none"), None)?];
    let folder = tempfile::tempdir()?;
    if let Some(peer) = &suite.peer {
        let image = peer.image(&image, folder.path())?;
        old.push(run_in(&peer.tree, &image, None, None)?);
    }
    for finished in old {
        let said = finished.text();
        ensure!(said.contains("Not offered: true") && !said.contains("Random: "), "{said}");
    }
    Ok(())
}

/// The core file of a guest that has taken the seed and wiped its copy has the seed nowhere.
fn not_in_a_core(suite: &Suite) -> Outcome {
    suite.kvm()?.require(false)?;
    let image = suite.builder.image(suite.guest("seed")?, "hvt")?;
    let folder = tempfile::tempdir()?;
    let mut tender = suite.tool("solo5-hvt-debug");
    tender.arg("--mem=4").arg(format!("--dumpcore={}", folder.path().display()));
    tender.arg(image).arg("core").stdin(Stdio::null());
    let finished = process::run(tender)?.expect(255, "Seed: ")?;
    let said = finished.text();
    let digits = seed_in(&said)?;
    let seed: Vec<u8> = (0..32)
        .map(|at| u8::from_str_radix(&digits[2 * at..][..2], 16))
        .collect::<Result<_, _>>()
        .during("the seed")?;
    let mut entries = std::fs::read_dir(folder.path())?;
    let core = entries.next().ok_or_else(|| format!("no core file: {said}"))??;
    let core = std::fs::read(core.path())?;
    ensure!(core.len() > 1 << 20, "the core file has {} bytes", core.len());
    // Not even a part of it.
    for part in seed.chunks_exact(8) {
        ensure!(!core.windows(8).any(|bytes| bytes == part), "the core file has {part:x?}");
    }
    Ok(())
}

/// The seed that the guest has printed, in 64 digits.
fn seed_in(said: &str) -> Outcome<String> {
    let seed = said.lines().find_map(|line| line.strip_prefix("Seed: "));
    let seed = seed.ok_or_else(|| format!("no seed in {said}"))?.trim().to_owned();
    ensure!(seed.len() == 64 && seed.is_ascii(), "{seed} has another length");
    Ok(seed)
}

/// Eight starts give eight seeds, none of which has an obvious pattern.
fn new_at_every_start(suite: &Suite, target: &str) -> Outcome {
    if target == "hvt" {
        suite.kvm()?.require(false)?;
    }
    let image = suite.builder.image(suite.guest("seed")?, target)?;
    let mut seeds = BTreeSet::new();
    for _ in 0..8 {
        let mut tender = Command::new(suite.tree.program(&format!("solo5-{target}")));
        tender.arg("--mem=4").arg(&image);
        let said = process::succeed(tender)?;
        let seed = seed_in(&said)?;
        let bytes: BTreeSet<_> = (0..32).map(|at| &seed[2 * at..][..2]).collect();
        // 32 random bytes have fewer than 16 values once in 10^9 times.
        ensure!(bytes.len() >= 16, "{seed} is not random");
        seeds.insert(seed.clone());
    }
    ensure!(seeds.len() == 8, "a seed came twice: {seeds:?}");
    Ok(())
}
