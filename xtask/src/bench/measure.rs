//! How things are measured: pairs of commands in turns, and the rows that they make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::run::{run, show};

/// The bindings' folder under a prefix.
pub(super) const LIBRARY: &str = "lib/x86_64-solo5-none-static";

/// One line of the result.
pub(super) struct Row {
    pub(super) what: String,
    pub(super) measured: String,
    pub(super) bar: String,
    /// `None` where there was nothing to compare with.
    pub(super) held: Option<bool>,
}

#[derive(Clone)]
pub(super) struct Bench {
    pub(super) work: PathBuf,
    pub(super) ours: PathBuf,
    pub(super) peer: Option<PathBuf>,
    pub(super) pairs: usize,
}

impl Bench {
    /// Compiles and links a C guest for spt with the toolchain under `prefix`.
    pub(super) fn link(&self, prefix: &Path, source: &Path, name: &str) -> Result<PathBuf> {
        self.link_for("spt", "", prefix, source, name)
    }

    /// The same for any target, with these devices in its manifest.
    pub(super) fn link_for(
        &self,
        target: &str,
        devices: &str,
        prefix: &Path,
        source: &Path,
        name: &str,
    ) -> Result<PathBuf> {
        let cc = prefix.join("bin/x86_64-solo5-none-static-cc");
        let manifest = self.work.join("none.c");
        let json = self.work.join("none.json");
        fs::write(
            &json,
            format!(r#"{{"type":"solo5.manifest","version":1,"devices":[{devices}]}}"#),
        )?;
        let elftool = prefix.join("bin/solo5-elftool");
        run(Command::new(elftool).arg("gen-manifest").arg(&json).arg(&manifest))?;
        let image = self.work.join(name);
        run(Command::new(cc)
            .args(["-O2", "-z", &format!("solo5-abi={target}")])
            .args([source, &manifest])
            .arg("-o")
            .arg(&image))?;
        Ok(image)
    }

    pub(super) fn spt(&self, image: &Path) -> Command {
        tender(&self.ours, "spt", image)
    }

    /// The same source, linked by each toolchain and run by its own tender.
    pub(super) fn start_against_peer(&self, target: &str) -> Result<Option<Row>> {
        let Some(peer) = &self.peer else {
            return Ok(None);
        };
        let hello = crate::root().join("examples/hello/hello.c");
        let command = |prefix: &Path, name: &str| -> Result<Command> {
            let image = self.link_for(target, "", prefix, &hello, &format!("{name}.{target}"))?;
            Ok(tender(prefix, target, &image))
        };
        let (mut ours, mut theirs) = (command(&self.ours, "ours")?, command(peer, "peers")?);
        let ratio = ratio(&mut ours, &mut theirs, self.pairs)?;
        Ok(Some(Row {
            what: format!("{target} hello / peer's hello and tender"),
            measured: times(ratio),
            bar: "<= 1.0 x".into(),
            held: Some(ratio <= 1.0),
        }))
    }
}

/// The command that runs hello in `image` with the tender for `target` under `prefix`.
pub(super) fn tender(prefix: &Path, target: &str, image: &Path) -> Command {
    let mut command = Command::new(prefix.join(format!("bin/solo5-{target}")));
    command.arg("--mem=2").arg(image).arg("Hello_Solo5");
    command
}

/// A number with its limit.
pub(super) fn row(what: String, value: u64, unit: &str, most: u64) -> Row {
    Row {
        what,
        measured: format!("{value}{unit}"),
        bar: format!("<= {most}{unit}"),
        held: Some(value <= most),
    }
}

pub(super) fn times(ratio: f64) -> String {
    format!("{ratio:.3} x")
}

pub(super) fn once(command: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let taken = start.elapsed();
    if !status.success() {
        return Err(format!("{}: {status}", show(command)).into());
    }
    Ok(taken.max(Duration::from_nanos(1)).as_secs_f64())
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

pub(super) fn median_time(command: &mut Command, times: usize) -> Result<f64> {
    Ok(median((0..times).map(|_| once(command)).collect::<Result<_>>()?))
}

/// Starts two commands in turns; the times of each pair.
pub(super) fn pairs(a: &mut Command, b: &mut Command, count: usize) -> Result<Vec<(f64, f64)>> {
    pairs_of(count, || once(a), || once(b))
}

/// Takes two measurements in turns.
pub(super) fn pairs_of(
    count: usize,
    mut a: impl FnMut() -> Result<f64>,
    mut b: impl FnMut() -> Result<f64>,
) -> Result<Vec<(f64, f64)>> {
    for _ in 0..count.min(10) {
        a()?;
        b()?;
    }
    let mut pair = |index: usize| -> Result<(f64, f64)> {
        // The order alternates, so that neither always benefits from warm caches.
        if index.is_multiple_of(2) {
            let first = a()?;
            Ok((first, b()?))
        } else {
            let second = b()?;
            Ok((a()?, second))
        }
    };
    (0..count).map(&mut pair).collect()
}

pub(super) fn ratio(a: &mut Command, b: &mut Command, count: usize) -> Result<f64> {
    let pairs = pairs(a, b, count)?;
    Ok(median(pairs.into_iter().map(|(a, b)| a / b).collect()))
}

/// Seconds that `a` takes longer than `b`.
pub(super) fn difference(a: &mut Command, b: &mut Command, count: usize) -> Result<f64> {
    let pairs = pairs(a, b, count)?;
    Ok(median(pairs.into_iter().map(|(a, b)| a - b).collect()))
}
