//! hvt against the peer in an emulated machine: the same guest source, one kind of call at a time.
//!
//! Programs of both run in turns in one boot. The machine's clock counts instructions, those of its
//! kernel included, so a run has the same result on every host. An instruction is no time: a processor
//! takes much longer for some, above all for entries and exits of a guest.

use std::path::Path;

use super::measure::{Bench, Row, median, times};
use crate::Result;
use crate::lab;

/// Pairs of runs of each kind; the median ratio counts. They differ by less than a percent, except pings.
const RUNS: usize = 7;
/// Begins a line of the script; the kind and the number of the prefix follow.
const RUN: &str = "run ";

/// A kind of call, its device, and the tender's options for it.
struct Kind {
    name: &'static str,
    what: &'static str,
    device: &'static str,
    options: &'static str,
}

const BLOCK: (&str, &str) =
    (r#"{"name":"storage","type":"BLOCK_BASIC"}"#, "--block:storage=/tmp/disk");
const NET: (&str, &str) = (
    r#"{"name":"service","type":"NET_BASIC"}"#,
    "--net:service=bench0 --net-mac:service=02:00:00:00:00:02",
);

const KINDS: [Kind; 4] = [
    Kind { name: "read", what: "hvt block read, 512 bytes", device: BLOCK.0, options: BLOCK.1 },
    Kind { name: "write", what: "hvt block write, 512 bytes", device: BLOCK.0, options: BLOCK.1 },
    Kind { name: "console", what: "hvt console, 64 bytes", device: "", options: "" },
    Kind { name: "ping", what: "hvt ping, 1472 bytes", device: NET.0, options: NET.1 },
];

/// What the machine does before the first run: a disk in its memory, and a tap. Busybox's own `ip` cannot
/// make taps. The host's address is
/// constant, and so is the guest's, so that neither asks for it.
const BEFORE: &str = "truncate -s 4M /tmp/disk
/sbin/ip tuntap add bench0 mode tap
echo 1 >/proc/sys/net/ipv6/conf/bench0/disable_ipv6
/sbin/ip link set bench0 address 02:00:00:00:00:01
/sbin/ip addr add 10.0.0.1/24 dev bench0
/sbin/ip link set bench0 up
/sbin/ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev bench0 nud permanent
";

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let prefixes: Vec<&Path> =
        std::iter::once(bench.ours.as_path()).chain(bench.peer.as_deref()).collect();
    let source = crate::root().join("xtask/bench/each.c");
    let mut files = Vec::new();
    for (index, prefix) in prefixes.iter().enumerate() {
        files.push((prefix.join("bin/solo5-hvt"), format!("/bench/tender.{index}")));
        for Kind { name, device, .. } in &KINDS {
            let name = format!("{name}.{index}");
            let image = bench.link_for("hvt", device, prefix, &source, &name)?;
            files.push((image, format!("/bench/{name}")));
        }
    }
    let mut script = String::from(BEFORE);
    for Kind { name, options, .. } in &KINDS {
        for run in 0..RUNS {
            // The order alternates, so that neither always benefits from warm caches.
            for turn in 0..prefixes.len() {
                let index = (run + turn) % prefixes.len();
                script += &format!(
                    "echo '{RUN}{name} {index}'\n/bench/tender.{index} --mem=8 {options} \
                     /bench/{name}.{index} {name} >/tmp/out || exit 1\ntail -n 3 /tmp/out\n"
                );
            }
        }
    }
    let lines = lab::measure(&files, &script)?;
    KINDS.iter().map(|kind| row(kind, &lines, prefixes.len())).collect()
}

/// The row of one kind, from everything that the script has printed.
fn row(kind: &Kind, lines: &[String], prefixes: usize) -> Result<Row> {
    let mut times_of = vec![Vec::new(); prefixes];
    for run in lines.chunk_by(|_, next| !next.starts_with(RUN)) {
        let Some(index) = run.iter().find_map(|line| {
            line.strip_prefix(RUN)?.strip_prefix(kind.name)?.trim().parse::<usize>().ok()
        }) else {
            continue;
        };
        let value = |name: &str| {
            let found = run.iter().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
            found.ok_or_else(|| format!("no {name} printed: {run:?}"))
        };
        let taken: f64 = value("microseconds:")?;
        times_of[index].push(taken / value("operations:")?);
    }
    let held = |ratio: f64| ratio <= 1.0;
    // Microseconds of a clock whose nanoseconds are instructions.
    let instructions = median(times_of[0].clone()) * 1e3;
    let ratio = times_of.get(1).map(|peers| {
        median(times_of[0].iter().zip(peers).map(|(ours, peers)| ours / peers).collect())
    });
    Ok(Row {
        what: format!("{}, instructions", kind.what),
        measured: match ratio {
            Some(ratio) => format!("{instructions:.0}, {}", times(ratio)),
            None => format!("{instructions:.0}"),
        },
        bar: "<= 1.0 x".to_owned(),
        held: ratio.map(held),
    })
}
