//! Block and network devices of spt: operations a second as the guest counts them, and the processor
//! time that they cost the host.
//!
//! For the network this program starts itself once more, in a network namespace.

use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::UdpGsoSegment;

use super::measure::{Bench, Row, median, times};
use crate::run::{output, run, show, this_program};
use crate::{Result, namespace};

/// The argument that makes `bench` run inside the namespace.
pub(super) const INSIDE: &str = "inside-the-namespace";
/// Runs of each kind, ours and the peer's in turns; the median counts.
const RUNS: usize = 25;
/// Tolerance: ours and the peer's make the same system calls, which take nearly all the time. Two
/// series of one program differ by this much.
const NOISE: f64 = 0.01;
/// The disk's size in bytes, which the page cache holds.
const DISK: u64 = 16 << 20;
const TAP: &str = "bench0";
const HOST: &str = "10.0.0.1/24";
const GUEST: (&str, u16) = ("10.0.0.2", 9);
const GUEST_MAC: &str = "02:00:00:00:00:02";
/// With the headers of UDP, IP and Ethernet, frames of 1514 bytes.
const DATAGRAM: u16 = 1472;
/// Datagrams that the kernel makes of one message. Sent one at a time, datagrams would arrive more
/// slowly than guests take them. Guests would then sleep, and every wake-up would take time.
const DATAGRAMS: usize = 40;
/// A guest that takes longer is taken to hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// The result of one run or of several.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    /// Operations a second.
    pub(super) rate: f64,
    /// Processor time in seconds for each second that passed, guest and tender together.
    load: f64,
    /// Processor time in seconds for each operation, with the start's share.
    pub(super) cost: f64,
}

impl Measured {
    /// The median of several runs, of each number separately.
    pub(super) fn of(runs: &[Measured]) -> Measured {
        Measured {
            rate: median(runs.iter().map(|run| run.rate).collect()),
            load: median(runs.iter().map(|run| run.load).collect()),
            cost: median(runs.iter().map(|run| run.cost).collect()),
        }
    }
}

/// Runs a guest that prints how many operations it did and how long they took.
pub(super) fn measure(tender: &mut Command) -> Result<Measured> {
    let used = || -> Result<f64> {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let times = [usage.user_time(), usage.system_time()];
        let seconds =
            |time: &nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
        Ok(times.iter().map(seconds).sum())
    };
    let (before, start) = (used()?, Instant::now());
    let text = String::from_utf8(output(tender.stdin(Stdio::null()))?)?;
    let (used, passed) = (used()? - before, start.elapsed().as_secs_f64());
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<f64>().ok())
            .ok_or(format!("no {name} printed by {}", show(tender)))
    };
    let operations = value("operations:")?;
    Ok(Measured {
        rate: operations / value("microseconds:")?.max(1.0) * 1e6,
        load: used / passed,
        cost: used / operations.max(1.0),
    })
}

/// A row for the runs of ours and, if there is one, the peer's, in pairs.
fn row(what: &str, ours: &[Measured], peers: Option<&[Measured]>) -> Row {
    let ratio = peers.map(|peers| {
        let pairs = ours.iter().zip(peers);
        median(pairs.map(|(ours, peers)| ours.rate / peers.rate).collect())
    });
    let Measured { rate, load, .. } = Measured::of(ours);
    Row {
        what: format!("{what}, at {:.0} % of a CPU", load * 100.0),
        measured: match ratio {
            Some(ratio) => format!("{rate:.0}/s, {}", times(ratio)),
            None => format!("{rate:.0}/s"),
        },
        bar: ">= 1.0 x, -1 %".to_owned(),
        held: ratio.map(|ratio| ratio >= 1.0 - NOISE),
    }
}

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let prefixes: Vec<&Path> =
        std::iter::once(bench.ours.as_path()).chain(bench.peer.as_deref()).collect();
    let mut rows = vec![block(bench, &prefixes)?];
    rows.extend(net(bench, &prefixes)?);
    Ok(rows)
}

fn block(bench: &Bench, prefixes: &[&Path]) -> Result<Row> {
    let disk = bench.work.join("disk");
    File::create(&disk)?.set_len(DISK)?;
    let device = r#"{"name":"storage","type":"BLOCK_BASIC"}"#;
    let images = guests(bench, prefixes, "block", device)?;
    let mut runs = vec![Vec::new(); prefixes.len()];
    for _ in 0..RUNS {
        for ((prefix, image), runs) in prefixes.iter().zip(&images).zip(&mut runs) {
            let mut tender = Command::new(prefix.join("bin/solo5-spt"));
            tender.arg("--mem=2").arg(format!("--block:storage={}", disk.display())).arg(image);
            runs.push(measure(&mut tender)?);
        }
    }
    let peers = runs.get(1).map(Vec::as_slice);
    Ok(row("spt block, 512 bytes", &runs[0], peers))
}

fn net(bench: &Bench, prefixes: &[&Path]) -> Result<Vec<Row>> {
    let device = r#"{"name":"service","type":"NET_BASIC"}"#;
    let images = guests(bench, prefixes, "net", device)?;
    let mut inside = namespace::unshare()?;
    inside.arg("--").arg(this_program()?).args(["bench", INSIDE]);
    for (prefix, image) in prefixes.iter().zip(&images) {
        inside.args([prefix, &image.as_path()]);
    }
    let text = String::from_utf8(output(&mut inside)?)?;
    let mut rows = Vec::new();
    for verb in ["send", "receive"] {
        let mut runs = vec![Vec::new(); prefixes.len()];
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let [found, index, rate, load] = words[..]
                && found == verb
            {
                let (rate, load) = (rate.parse()?, load.parse()?);
                runs[index.parse::<usize>()?].push(Measured { rate, load, cost: 0.0 });
            }
        }
        let peers = runs.get(1).map(Vec::as_slice);
        rows.push(row(&format!("spt net, {verb}"), &runs[0], peers));
    }
    Ok(rows)
}

/// The same guest, linked by each toolchain.
fn guests(bench: &Bench, prefixes: &[&Path], name: &str, device: &str) -> Result<Vec<PathBuf>> {
    let source = crate::root().join(format!("xtask/bench/{name}.c"));
    let each = prefixes.iter().enumerate();
    each.map(|(index, prefix)| {
        bench.link_for("spt", device, prefix, &source, &format!("{name}.{index}"))
    })
    .collect()
}

/// The part inside the namespace: prints rate and load of each run of each pair of prefix and image.
pub(super) fn inside(pairs: &[String]) -> Result<()> {
    let ip = |words: &str| run(Command::new("ip").args(words.split(' ')));
    ip(&format!("tuntap add {TAP} mode tap"))?;
    ip(&format!("addr add {HOST} dev {TAP}"))?;
    ip(&format!("link set {TAP} up"))?;
    let (guest, _) = GUEST;
    ip(&format!("neigh add {guest} lladdr {GUEST_MAC} dev {TAP} nud permanent"))?;
    for verb in ["send", "receive"] {
        for _ in 0..RUNS {
            for (index, pair) in pairs.chunks_exact(2).enumerate() {
                let mut tender = Command::new(Path::new(&pair[0]).join("bin/solo5-spt"));
                tender
                    .arg("--mem=2")
                    .arg(format!("--net:service={TAP}"))
                    .arg(format!("--net-mac:service={GUEST_MAC}"))
                    .args([&pair[1], verb]);
                let Measured { rate, load, .. } = if verb == "receive" {
                    flooded(|| measure(&mut tender))?
                } else {
                    measure(&mut tender)?
                };
                println!("{verb} {index} {rate} {load}");
            }
        }
    }
    Ok(())
}

/// Runs `work` while datagrams go to the guest as fast as they can.
fn flooded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(GUEST)?;
    setsockopt(&socket, UdpGsoSegment, &DATAGRAM.into())?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let start = Instant::now();
            while !done.load(Ordering::Relaxed) && start.elapsed() < PATIENCE {
                // The guest has not started, has ended, or its queue is full: keep sending.
                let _ = socket.send(&[0; DATAGRAM as usize * DATAGRAMS]);
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    })
}
