//! The rows of hvt.

use std::fs;
use std::process::{Command, Stdio};

use super::measure::{Bench, LIBRARY, Row, median_time, ratio, row, tender, times};
use crate::run::output;
use crate::{Result, namespace};

/// Largest bss of `solo5_hvt.o` in bytes.
const BSS_MAX: u64 = (64 << 10) - 1;
/// Most system calls of a guest with devices of both kinds: upstream's tender has 18.
const CALLS_MAX: u64 = 17;
/// Calls that the filter allows without a condition: those that exit.
const UNCONDITIONAL_MAX: u64 = 1;

/// A device of each kind, for a manifest.
const DEVICES: &str =
    r#"{"name":"service","type":"NET_BASIC"},{"name":"storage","type":"BLOCK_BASIC"}"#;

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = vec![bss(bench)?];
    rows.extend(calls(bench)?);
    rows.extend(starts(bench)?);
    Ok(rows)
}

fn bss(bench: &Bench) -> Result<Row> {
    let object = bench.ours.join(LIBRARY).join("solo5_hvt.o");
    let table = String::from_utf8(output(Command::new("size").arg(&object))?)?;
    let line = table.lines().nth(1).unwrap_or_default();
    let size = line.split_whitespace().nth(2).and_then(|word| word.parse().ok());
    let size = size.ok_or_else(|| format!("size printed:\n{table}"))?;
    let what = "bss of solo5_hvt.o".to_owned();
    Ok(row(what, size, " bytes", BSS_MAX))
}

/// The system calls that the filter allows to a tender with a tap and a file, by the tender's own
/// report. A test compares the report with the filter.
fn calls(bench: &Bench) -> Result<Vec<Row>> {
    let hello = crate::root().join("examples/hello/hello.c");
    let image = bench.link_for("hvt", DEVICES, &bench.ours, &hello, "devices.hvt")?;
    let disk = bench.work.join("disk");
    fs::write(&disk, [0; 4096])?;
    // A tap, in a network namespace of its own.
    let explain = |mut inside: Command| {
        inside.args(["sh", "-c"]);
        inside.arg(
            "ip tuntap add tap0 mode tap && ip link set tap0 up && \
         exec \"$0\" --explain --format=json --net:service=tap0 --block:storage=\"$1\" \"$2\"",
        );
        inside.arg(bench.ours.join("bin/solo5-hvt")).args([&disk, &image]);
        inside.stderr(Stdio::null()).output()
    };
    let asked = namespace::unshare().ok().map(explain).transpose()?;
    let (calls, unconditional) = ("hvt system calls, net and block", "hvt calls without condition");
    let Some(asked) = asked.filter(|asked| asked.status.success()) else {
        let row = |what: &str, most: u64| Row {
            what: what.to_owned(),
            measured: "no tap here".into(),
            bar: format!("<= {most}"),
            held: None,
        };
        return Ok(vec![row(calls, CALLS_MAX), row(unconditional, UNCONDITIONAL_MAX)]);
    };
    let told: serde_json::Value = serde_json::from_slice(&asked.stdout)?;
    let rules = told["system_calls"].as_array().ok_or("no system calls")?;
    let mut names: Vec<&str> = rules.iter().filter_map(|rule| rule["call"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut free: Vec<&str> = rules
        .iter()
        .filter(|rule| rule["when"].as_array().is_none_or(Vec::is_empty))
        .filter_map(|rule| rule["call"].as_str())
        .collect();
    free.sort_unstable();
    free.dedup();
    Ok(vec![
        row(calls.to_owned(), names.len() as u64, "", CALLS_MAX),
        row(unconditional.to_owned(), free.len() as u64, "", UNCONDITIONAL_MAX),
    ])
}

/// Starts on this host's own KVM: each tender's own hello, and one image under both tenders. The image
/// is the peer's, because the tender of an older peer refuses ours.
fn starts(bench: &Bench) -> Result<Vec<Row>> {
    let what = "hvt, peer's hello / peer's tender";
    let bar = "<= 1.0 x".to_owned();
    let hello = crate::root().join("examples/hello/hello.c");
    let toolchain = bench.peer.as_deref().unwrap_or(&bench.ours);
    let image = bench.link_for("hvt", "", toolchain, &hello, "hello.hvt")?;
    let mut ours = tender(&bench.ours, "hvt", &image);
    let runs = ours.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    let row = |measured, held| Row { what: what.to_owned(), measured, bar: bar.clone(), held };
    if !runs.success() {
        return Ok(vec![row("no KVM here".into(), None)]);
    }
    // Fewer pairs: where KVM interprets guests, a start takes tens of milliseconds.
    let bench = &Bench { pairs: bench.pairs.min(200), ..bench.clone() };
    let Some(peer) = &bench.peer else {
        let took = median_time(&mut ours, bench.pairs)?;
        return Ok(vec![row(format!("{:.2} ms", took * 1e3), None)]);
    };
    let ratio = ratio(&mut ours, &mut tender(peer, "hvt", &image), bench.pairs)?;
    let mut rows = vec![row(times(ratio), Some(ratio <= 1.0))];
    rows.extend(bench.start_against_peer("hvt")?);
    Ok(rows)
}
