//! Several blocks in one call against one call for each block, in one guest of spt.
//!
//! The database mix flushes twice in each transaction. On a real disk these flushes take nearly all
//! of the time, with both kinds of calls: then the ratio is about 1. So its disk is in memory, where
//! a flush takes no time and the calls are what is measured.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::io::{Measured, measure};
use super::measure::{Bench, Row, median, times};
use crate::Result;
use crate::run::run;

/// Pairs of runs of each kind; the median ratio counts.
const RUNS: usize = 25;
/// The disk's size in bytes, which the page cache holds.
const DISK: u64 = 16 << 20;
const MANIFEST: &str = "type: solo5.manifest\nversion: 2\ndevices:\n\
                        \x20 - { name: storage, type: BLOCK_BASIC, flush: true }\n";

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let disk = bench.work.join("disk.many");
    File::create(&disk)?.set_len(DISK)?;
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let in_memory = memory.path().join("disk");
    File::create(&in_memory)?.set_len(DISK)?;
    let manifest = bench.work.join("block_many.yaml");
    fs::write(&manifest, MANIFEST)?;
    let image = bench.work.join("block_many");
    run(Command::new(bench.ours.join("bin/x86_64-solo5-none-static-cc"))
        .args(["-O2", "-z", "solo5-abi=spt", "-z"])
        .arg(format!("solo5-manifest={}", manifest.display()))
        .arg(crate::root().join("xtask/bench/block_many.c"))
        .arg("-o")
        .arg(&image))?;
    let compare = |what: &str, disk: &Path, [many, each]: [&str; 2], least: f64| -> Result<Row> {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..RUNS {
            for (kind, runs) in [many, each].into_iter().zip(&mut runs) {
                runs.push(guest(bench, &image, disk, kind)?);
            }
        }
        let [many, each] = &runs;
        let ratio =
            median(many.iter().zip(each).map(|(many, each)| many.rate / each.rate).collect());
        let rate = Measured::of(many).rate;
        Ok(Row {
            what: what.to_owned(),
            measured: format!("{rate:.0}/s, {}", times(ratio)),
            bar: format!(">= {least:.1} x"),
            held: Some(ratio >= least),
        })
    };
    Ok(vec![
        compare("spt block, bytes at 64 KiB / at one sector", &disk, ["many", "sectors"], 3.0)?,
        compare(
            "spt database mix, 4 KiB pages, many / each",
            &in_memory,
            ["mix-many", "mix-sectors"],
            1.5,
        )?,
    ])
}

fn guest(bench: &Bench, image: &Path, disk: &Path, kind: &str) -> Result<Measured> {
    let mut tender = Command::new(bench.ours.join("bin/solo5-spt"));
    tender.arg("--mem=2").arg(format!("--block:storage={}", disk.display()));
    measure(tender.arg(image).arg(kind))
}
