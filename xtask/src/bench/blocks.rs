//! Several blocks in one call against one call for each block, in one guest of spt.
//!
//! The database mix flushes twice in each transaction. On a real disk these flushes take nearly all
//! of the time, with both kinds of calls, and vary by more than all else. So there are two rows: for a
//! disk in memory the time, and for a disk under `target` the processor's time, in which the wait for
//! the disk does not count.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use super::io::{Measured, measure};
use super::measure::{Bench, Row, median, times};
use crate::Result;
use crate::run::run;

/// Pairs of runs of each kind; the median ratio counts.
const RUNS: usize = 25;
/// The same where a run waits for a disk.
const SLOW_RUNS: usize = 9;
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
    let target = tempfile::tempdir_in(crate::root().join("target"))?;
    let on_disk = target.path().join("disk");
    // Written once, so that no run has to allocate.
    fs::write(&on_disk, vec![0; DISK as usize])?;
    File::open(&on_disk)?.sync_all()?;
    Ok(vec![
        cost(bench, &image, &on_disk)?,
        compare("spt block, bytes at 64 KiB / at one sector", &disk, ["many", "sectors"], 3.0)?,
        compare(
            "spt database mix, 4 KiB pages, many / each",
            &in_memory,
            ["mix-many", "mix-sectors"],
            1.5,
        )?,
    ])
}

/// The database mix on a real disk: the processor's time for a transaction.
fn cost(bench: &Bench, image: &Path, disk: &Path) -> Result<Row> {
    let mut ratios = Vec::new();
    let mut each = Vec::new();
    for _ in 0..SLOW_RUNS {
        let many = guest(bench, image, disk, "mix-many")?;
        let sectors = guest(bench, image, disk, "mix-sectors")?;
        ratios.push(sectors.cost / many.cost);
        each.push(many);
    }
    let ratio = median(ratios);
    let cost = Measured::of(&each).cost;
    Ok(Row {
        what: "spt database mix on a disk, CPU each / many".to_owned(),
        measured: format!("{:.0} us, {}", cost * 1e6, times(ratio)),
        bar: ">= 1.5 x".to_owned(),
        held: Some(ratio >= 1.5),
    })
}

fn guest(bench: &Bench, image: &Path, disk: &Path, kind: &str) -> Result<Measured> {
    let mut tender = Command::new(bench.ours.join("bin/solo5-spt"));
    tender.arg("--mem=2").arg(format!("--block:storage={}", disk.display()));
    measure(tender.arg(image).arg(kind))
}
