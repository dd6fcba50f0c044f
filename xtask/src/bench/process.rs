//! The process of an spt guest: its start against the shortest program there is, and its memory.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::disable_transparent_huge_pages;

use super::measure::{Bench, Row, median, ratio, times};
use crate::Result;
use crate::run::{output, run};

/// Starts and nothing else: the cost of a process.
const SHORTEST: &str = ".globl _start\n_start: mov $231, %eax\n syscall\n";
/// Pairs of walks with and without huge pages.
const WALKS: usize = 7;

pub(super) fn rows(bench: &Bench, hello: &Path) -> Result<Vec<Row>> {
    Ok(vec![start(bench, hello)?, walk(bench)?, resident(bench)?])
}

/// `exit_group` is the program's second instruction. Its status is 0, as `rdi` is at a start.
fn start(bench: &Bench, hello: &Path) -> Result<Row> {
    let (source, program) = (bench.work.join("shortest.s"), bench.work.join("shortest"));
    fs::write(&source, SHORTEST)?;
    run(Command::new("cc").args(["-nostdlib", "-static"]).arg(&source).arg("-o").arg(&program))?;
    let ratio = ratio(&mut bench.spt(hello), &mut Command::new(program), bench.pairs)?;
    let what = "spt hello / program of two instructions".to_owned();
    Ok(Row { what, measured: times(ratio), bar: "<= 1.8 x".into(), held: Some(ratio <= 1.8) })
}

/// Accesses at random in 256 MiB, with the huge pages that the tender asks for and without. A process
/// hands on to its children that they get none.
fn walk(bench: &Bench) -> Result<Row> {
    let source = crate::root().join("xtask/bench/walk.c");
    let image = bench.link(&bench.ours, &source, "walk")?;
    let mut tender = Command::new(bench.ours.join("bin/solo5-spt"));
    tender.arg("--mem=512").arg(image);
    let mut access = |huge: bool| -> Result<f64> {
        disable_transparent_huge_pages(!huge)?;
        let printed = output(&mut tender);
        disable_transparent_huge_pages(false)?;
        let text = String::from_utf8(printed?)?;
        let value = text.lines().find_map(|line| line.strip_prefix("access-ps:"));
        Ok(value.ok_or("no access-ps printed")?.trim().parse()?)
    };
    let mut pairs = Vec::new();
    for _ in 0..WALKS {
        pairs.push((access(true)?, access(false)?));
    }
    let ratio = median(pairs.iter().map(|(huge, small)| huge / small).collect());
    let took = median(pairs.iter().map(|(huge, _)| *huge).collect());
    let setting = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    let has = setting.is_ok_and(|setting| !setting.contains("[never]"));
    Ok(Row {
        what: "spt walk of 256 MiB, huge / small pages".to_owned(),
        measured: format!("{:.0} ns, {}", took / 1e3, times(ratio)),
        bar: "<= 0.9 x".into(),
        held: has.then_some(ratio <= 0.9),
    })
}

/// Resident memory of a guest that waits, ours and the peer's.
fn resident(bench: &Bench) -> Result<Row> {
    let source = crate::root().join("xtask/bench/wait.c");
    let kib = |prefix: &Path, name: &str| -> Result<u64> {
        let image = bench.link(prefix, &source, name)?;
        let mut tender = Command::new(prefix.join("bin/solo5-spt"));
        tender.arg("--mem=2").arg(image).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut guest = tender.spawn()?;
        let printed = guest.stdout.as_mut().ok_or("no output")?;
        // The bindings' banner comes first.
        let mut seen = Vec::new();
        let mut byte = [0];
        while !seen.ends_with(b"waiting") && printed.read(&mut byte)? == 1 {
            seen.push(byte[0]);
        }
        let status = fs::read_to_string(format!("/proc/{}/status", guest.id()));
        guest.kill()?;
        guest.wait()?;
        let status = status?;
        let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB"));
        Ok(value.ok_or("no VmRSS")?.trim().parse()?)
    };
    let ours = kib(&bench.ours, "wait")?;
    let theirs = bench.peer.as_deref().map(|peer| kib(peer, "wait.peer")).transpose()?;
    Ok(Row {
        what: "spt resident memory of a guest that waits".to_owned(),
        measured: format!("{ours} KiB"),
        bar: theirs.map_or_else(|| "<= peer's".into(), |theirs| format!("<= {theirs} KiB")),
        held: theirs.map(|theirs| ours <= theirs),
    })
}
