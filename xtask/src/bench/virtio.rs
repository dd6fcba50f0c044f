//! Machines without a tender: from the start of QEMU to the application's first byte.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use super::measure::{Bench, Row, median, pairs_of, times};
use crate::Result;
use crate::run::show;

/// What hello prints first. Nothing before it, from the firmware or the bindings, has this in it.
const FIRST: &[u8] = b"Hello, World";
/// Most bytes that come before.
const BEFORE_MAX: usize = 64 << 10;
/// Fewer pairs than of tenders: a machine in software takes half a second.
const PAIRS_MAX: usize = 100;

/// The same source, linked by each toolchain, on the machine that upstream's script makes. QEMU runs it
/// in software, so that a host's KVM makes no difference.
pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let source = crate::root().join("examples/hello/hello.c");
    let ours = bench.link_for("virtio", "", &bench.ours, &source, "ours.virtio")?;
    let what = "virtio, QEMU's start to application / peer's".to_owned();
    let bar = "<= 1.0 x".to_owned();
    let mut ours = machine(&ours);
    let pairs = bench.pairs.min(PAIRS_MAX);
    let peer = bench.peer.as_ref().filter(|peer| peer.join("bin/solo5-virtio-run").exists());
    let Some(peer) = peer else {
        let all = (0..pairs).map(|_| until_application(&mut ours)).collect::<Result<Vec<_>>>()?;
        let measured = format!("{:.0} ms", median(all) * 1e3);
        return Ok(vec![Row { what, measured, bar, held: None }]);
    };
    let mut theirs = machine(&bench.link_for("virtio", "", peer, &source, "peers.virtio")?);
    let pairs =
        pairs_of(pairs, || until_application(&mut ours), || until_application(&mut theirs))?;
    let milliseconds = median(pairs.iter().map(|(ours, _)| ours * 1e3).collect());
    let ratio = median(pairs.iter().map(|(ours, theirs)| ours / theirs).collect());
    let measured = format!("{milliseconds:.0} ms, {}", times(ratio));
    Ok(vec![Row { what, measured, bar, held: Some(ratio <= 1.0) }])
}

fn machine(image: &Path) -> Command {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-machine", "pc,acpi=off", "-m", "128", "-nodefaults"]);
    qemu.args(["-display", "none", "-serial", "stdio", "-device", "isa-debug-exit"]);
    qemu.arg("-kernel").arg(image);
    qemu
}

/// Seconds from the start of the machine to the first bytes of the application, which [`FIRST`] is.
fn until_application(qemu: &mut Command) -> Result<f64> {
    let start = Instant::now();
    let mut child = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut printed = Vec::new();
    let mut part = [0; 4096];
    let mut taken = None;
    while let Some(console) = child.stdout.as_mut()
        && printed.len() < BEFORE_MAX
    {
        let size = console.read(&mut part)?;
        if size == 0 {
            break;
        }
        printed.extend_from_slice(part.get(..size).unwrap_or_default());
        if printed.windows(FIRST.len()).any(|window| window == FIRST) {
            taken = Some(start.elapsed().as_secs_f64());
            break;
        }
    }
    let _ = child.kill();
    child.wait()?;
    taken.ok_or_else(|| {
        let printed = String::from_utf8_lossy(&printed);
        format!("{}: hello did not start; the machine printed:\n{printed}", show(qemu)).into()
    })
}
