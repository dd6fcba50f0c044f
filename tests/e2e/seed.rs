//! The seed: new at every start, and nowhere in memory once the guest has wiped its copy.

use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::Outcome;
use solo5_tests::{ensure, process};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let new = |target: &'static str| {
        trial(suite, format!("seed/new-at-every-start/{target}"), move |suite| {
            new_at_every_start(suite, target)
        })
    };
    vec![new("spt")]
}

/// Eight starts give eight seeds, none of which has an obvious pattern.
fn new_at_every_start(suite: &Suite, target: &str) -> Outcome {
    let image = suite.builder.image(suite.guest("seed")?, target)?;
    let mut seeds = std::collections::BTreeSet::new();
    for _ in 0..8 {
        let mut tender = Command::new(suite.tree.program(&format!("solo5-{target}")));
        tender.arg("--mem=4").arg(&image);
        let said = process::succeed(tender)?;
        let seed = said.lines().find_map(|line| line.strip_prefix("Seed: "));
        let seed = seed.ok_or_else(|| format!("no seed in {said}"))?.to_owned();
        ensure!(seed.len() == 64, "{seed} has another length");
        let bytes: std::collections::BTreeSet<_> = (0..32).map(|at| &seed[2 * at..][..2]).collect();
        // 32 random bytes have fewer than 16 values once in 10^9 times.
        ensure!(bytes.len() >= 16, "{seed} is not random");
        seeds.insert(seed.clone());
    }
    ensure!(seeds.len() == 8, "a seed came twice: {seeds:?}");
    Ok(())
}
