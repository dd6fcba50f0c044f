//! Unikernels without a tender: every row of a table on every machine of another, in QEMU, without
//! KVM (`docs/reference/virtio.md`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::{self, Finished};
use solo5_tests::{ensure, fail};

use crate::{Suite, trial};

/// A machine.
pub(crate) struct Machine {
    pub(crate) name: &'static str,
    /// Its options.
    pub(crate) options: &'static [&'static str],
    /// Whether it enters by PVH: QEMU prefers Multiboot, so it gets an image without that header.
    pvh: bool,
    /// Whether it runs every row, or only those that concern the start.
    all: bool,
}

/// The end of memory below the hole for devices, and as much above it.
const SPLIT: &[&str] = &["-M", "pc,max-ram-below-4g=64M", "-m", "128"];

const MACHINES: &[Machine] = &[
    Machine { name: "pc", options: &["-M", "pc", "-m", "64"], pvh: false, all: true },
    Machine { name: "q35", options: &["-M", "q35", "-m", "64"], pvh: false, all: true },
    Machine { name: "microvm", options: &["-M", "microvm", "-m", "64"], pvh: false, all: true },
    Machine { name: "pc-pvh", options: &["-M", "pc", "-m", "64"], pvh: true, all: false },
    Machine { name: "q35-pvh", options: &["-M", "q35", "-m", "64"], pvh: true, all: false },
    Machine { name: "microvm-pvh", options: &["-M", "microvm", "-m", "64"], pvh: true, all: false },
    Machine { name: "split", options: SPLIT, pvh: false, all: false },
    Machine { name: "split-pvh", options: SPLIT, pvh: true, all: false },
    // The least memory, and the least CPU.
    Machine { name: "tiny", options: &["-M", "pc", "-m", "3"], pvh: false, all: false },
    Machine {
        name: "old-cpu",
        options: &["-M", "pc", "-m", "64", "-cpu", "Conroe,-nx"],
        pvh: false,
        all: false,
    },
    // A CPU that refuses more: SMEP, UMIP, and states an invariant counter.
    Machine {
        name: "new-cpu",
        options: &["-M", "q35", "-m", "64", "-cpu", "max"],
        pvh: false,
        all: false,
    },
];

/// How a unikernel ends.
pub(crate) enum End {
    /// Status 0 and SUCCESS.
    Success,
    /// This status.
    Status(u8),
    /// An abort after this exception, or for this reason.
    Abort(&'static str),
}

/// A unikernel with its arguments.
pub(crate) struct Row {
    pub(crate) guest: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) end: End,
    pub(crate) output: &'static [&'static str],
    pub(crate) absent: &'static [&'static str],
    /// Whether it concerns the start, so that every machine runs it.
    pub(crate) start: bool,
}

const fn row(guest: &'static str, arguments: &'static str, end: End) -> Row {
    Row { guest, arguments, end, output: &[], absent: &[], start: false }
}

impl Row {
    /// The guest, and the first word of its arguments.
    pub(crate) fn name(&self) -> String {
        let case = self.arguments.split_whitespace().next().unwrap_or_default();
        let case = case.trim_start_matches("--solo5:");
        let dash = if case.is_empty() { "" } else { "-" };
        format!("{}{dash}{case}", self.guest)
    }
}

/// A page fault: the page is absent; it is, but must not be written; it must not be executed.
const ABSENT: End = End::Abort("trap: type=#PF ec=0x2 ");
const READ_ONLY: End = End::Abort("trap: type=#PF ec=0x3 ");
const NOT_CODE: End = End::Abort("trap: type=#PF ec=0x11 ");

pub(crate) const ROWS: &[Row] = &[
    Row { start: true, ..row("hello", "Hello_Solo5", End::Success) },
    // The rest of the line arrives as it is.
    Row {
        output: &["Command line is: 'a  b,c \"d\"'"],
        ..row("hello", "--solo5:debug  a  b,c \"d\"", End::Status(0))
    },
    Row { absent: &["Solo5:"], start: true, ..row("quiet", "--solo5:quiet", End::Success) },
    row("output", "", End::Status(0)),
    row("globals", "", End::Success),
    Row { output: &["cr2=0x400000000\n"], ..row("exception", "", ABSENT) },
    Row { output: &["cr2=0x8\n"], ..row("zeropage", "", ABSENT) },
    Row { absent: &["trap:"], ..row("zeropage", "--solo5:quiet", End::Abort("Fatal trap")) },
    Row { absent: &["FAILURE"], ..row("rnow", "", READ_ONLY) },
    Row { absent: &["FAILURE"], ..row("xnow", "", READ_ONLY) },
    // Pages that can be executed but not read do not exist.
    row("xnor", "", End::Status(1)),
    Row { absent: &["FAILURE"], ..row("rnox", "", NOT_CODE) },
    Row { absent: &["FAILURE"], ..row("wnox", "", NOT_CODE) },
    row("exec_bss", "", NOT_CODE),
    row("exec_heap", "", NOT_CODE),
    row("notls", "", End::Abort("trap: type=#PF ec=0x0 ")),
    row("tls", "", End::Success),
    row("tls_align", "", End::Success),
    row("tls_gap", "", End::Success),
    row("tls_mixed", "", End::Success),
    row("aligned", "", End::Success),
    row("large_bss", "", End::Success),
    row("ssp", "", End::Abort("Stack corruption detected")),
    row("fpu", "", End::Success),
    Row { start: true, ..row("time", "", End::Success) },
    row("yield_expired", "", End::Success),
    Row { start: true, ..row("memory", "used", End::Success) },
    Row { output: &["guard 65536\n"], ..row("stack", "depths 1000", End::Success) },
    row("stack", "overflow 1", End::Abort("Stack overflow")),
    row("stack", "large 1", End::Abort("Stack overflow")),
    Row { absent: &["tack overflow"], ..row("stack", "overrun", End::Abort("Fatal trap")) },
    row("seccomp", "", End::Abort("trap: type=#UD ")),
    Row { output: &["solo5_exit(7) called\n"], ..row("exit_status", "7", End::Status(7)) },
    Row { output: &["solo5_exit(300) called\n"], ..row("exit_status", "300", End::Status(44)) },
    row("exit_status", "abort", End::Status(255)),
    Row { output: &["solo5_abort() called\n"], ..row("dumpcore", "", End::Status(255)) },
    // It declares a device that no machine here has.
    Row {
        output: &["Device 'storage' of type BLOCK_BASIC not attached.\n"],
        ..row("blk", "", End::Status(255))
    },
];

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![
        trial(suite, "virtio/longest-line", longest_line),
        trial(suite, "virtio/off-by-acpi", off_by_acpi),
        trial(suite, "virtio/off-by-reset", off_by_reset),
        trial(suite, "virtio/stripped", stripped),
        trial(suite, "virtio/seed", seed),
        trial(suite, "virtio/no-other-loader", no_other_loader),
    ];
    for machine in MACHINES {
        for row in ROWS.iter().filter(|row| machine.all || row.start) {
            let name = format!("virtio/{}/{}", machine.name, row.name());
            trials.push(trial(suite, name, move |suite| check(suite, machine, row)));
        }
    }
    trials
}

pub(crate) fn image(suite: &Suite, name: &str) -> Outcome<PathBuf> {
    suite.builder.image(suite.guest(name)?, "virtio")
}

/// A machine that prints to its serial port, and does not start again, with this kernel.
pub(crate) fn qemu(options: &[&str], image: &Path, line: &str) -> Outcome<Command> {
    let mut qemu = machine(options)?;
    qemu.arg("-kernel").arg(image).args(["-append", line]);
    Ok(qemu)
}

/// Whether the machine is QEMU's for Arm.
fn is_arm(options: &[&str]) -> bool {
    options.iter().any(|option| option.split(',').next() == Some("virt"))
}

fn machine(options: &[&str]) -> Outcome<Command> {
    let program = if is_arm(options) { "qemu-system-aarch64" } else { "qemu-system-x86_64" };
    if Command::new(program).arg("--version").output().is_err() {
        return Err(Stop::Skip(format!("{program} is not installed")));
    }
    let mut qemu = Command::new(program);
    qemu.args([
        "-accel",
        "tcg",
        "-nodefaults",
        "-display",
        "none",
        "-serial",
        "stdio",
        "-no-reboot",
    ]);
    qemu.args(options);
    qemu.stdin(std::process::Stdio::null());
    Ok(qemu)
}

/// Runs it with the ports of `solo5-virtio-run`; returns what was printed and the unikernel's status.
pub(crate) fn run(options: &[&str], image: &Path, line: &str) -> Outcome<(String, Option<u8>)> {
    finish(qemu(options, image, line)?, is_arm(options))
}

/// Runs a machine that boots from a disk, likewise.
pub(crate) fn run_disk(options: &[&str]) -> Outcome<(String, Option<u8>)> {
    finish(machine(options)?, false)
}

fn finish(mut qemu: Command, is_arm: bool) -> Outcome<(String, Option<u8>)> {
    let folder = tempfile::tempdir()?;
    let status = folder.path().join("status");
    qemu.arg("-chardev").arg(format!("file,id=status,path={}", status.display()));
    let expected = if is_arm {
        qemu.args(["-device", "pci-serial,chardev=status"]);
        0
    } else {
        qemu.args(["-device", "isa-debugcon,iobase=0x504,readback=0x53,chardev=status"]);
        qemu.args(["-device", "isa-debug-exit"]);
        83
    };
    let Finished { status: ended, output } = process::run(qemu)?;
    let output = String::from_utf8_lossy(&output).replace("\r\n", "\n");
    ensure!(ended == expected, "QEMU ended with {ended}:\n{output}");
    let status = std::fs::read(&status).during("reading the status")?;
    ensure!(status.len() < 2, "{} statuses", status.len());
    Ok((output, status.first().copied()))
}

fn check(suite: &Suite, machine: &Machine, row: &Row) -> Outcome {
    let image = image(suite, row.guest)?;
    let folder = tempfile::tempdir()?;
    let image = if machine.pvh { without_multiboot(&image, folder.path())? } else { image };
    check_run(machine.options, &image, row, str::to_owned)
}

/// Runs a row's image. `translated` says how this architecture writes what an x86_64 guest prints.
pub(crate) fn check_run(
    options: &[&str],
    image: &Path,
    row: &Row,
    translated: impl Fn(&str) -> String,
) -> Outcome {
    let (output, status) = run(options, image, row.arguments)?;
    let (expected, texts) = match row.end {
        End::Success => (0, vec!["SUCCESS"]),
        End::Status(status) => (status, vec![]),
        End::Abort(reason) => (255, vec!["Solo5: ABORT: ", reason]),
    };
    ensure!(status == Some(expected), "status {status:?}:\n{output}");
    for text in texts.iter().chain(row.output) {
        let text = translated(text);
        ensure!(output.contains(&text), "no {text:?} in:\n{output}");
    }
    for text in row.absent {
        ensure!(!output.contains(text), "{text:?} in:\n{output}");
    }
    Ok(())
}

/// A copy of the image that a Multiboot loader does not know.
fn without_multiboot(image: &Path, folder: &Path) -> Outcome<PathBuf> {
    const MAGIC: [u8; 4] = 0x1bad_b002u32.to_le_bytes();
    let mut bytes = std::fs::read(image)?;
    let place = (0..8192).step_by(4).find(|at| bytes.get(*at..at + 4) == Some(&MAGIC[..]));
    let Some(place) = place.and_then(|at| bytes.get_mut(at..at + 4)) else {
        fail!("no Multiboot header in the first 8 KiB");
    };
    place.fill(0);
    let copy = folder.join("image");
    std::fs::write(&copy, bytes)?;
    Ok(copy)
}

/// Every byte of a command line arrives, up to 8191 of them. What is longer is cut, with a warning
/// before the banner.
fn longest_line(suite: &Suite) -> Outcome {
    let image = image(suite, "long_cmdline")?;
    let letters: String = ('a'..='z').cycle().take(8192).collect();
    let pc = ["-M", "pc", "-m", "64"];
    let (output, status) = run(&pc, &image, letters.get(..8191).unwrap_or_default())?;
    ensure!(status == Some(0) && output.contains("\n8191 letters\n"), "{status:?}:\n{output}");
    ensure!(!output.contains("truncated"), "{output}");
    let (output, status) = run(&pc, &image, &letters)?;
    ensure!(status == Some(0) && output.contains("\n8191 letters\n"), "{status:?}:\n{output}");
    let warning = "Solo5: warning: command line too long, truncated\n";
    ensure!(output.starts_with(warning), "{output}");
    Ok(())
}

/// Without the debug ports, ACPI switches the machine off: QEMU ends with status 0.
fn off_by_acpi(suite: &Suite) -> Outcome {
    let image = image(suite, "hello")?;
    let log = "Solo5: ACPI: power off via PM1a=";
    for (machine, text) in
        [("pc", "0x604 "), ("q35", "0x604 "), ("microvm", "0x0 PM1b=0x0 SLP_TYPa=5")]
    {
        // A reset would end QEMU too if it may not start again, so it may.
        let mut qemu = qemu(&["-M", machine, "-m", "64"], &image, "Hello_Solo5")?;
        qemu.args(["-action", "reboot=reset"]);
        let finished = process::run(qemu)?;
        let output = finished.text();
        ensure!(finished.status == 0, "{machine}: status {}:\n{output}", finished.status);
        ensure!(output.contains(&format!("{log}{text}")), "{machine}:\n{output}");
        ensure!(output.matches("SUCCESS").count() == 1, "{machine} started again:\n{output}");
    }
    Ok(())
}

/// Without ACPI either, the machine is reset.
fn off_by_reset(suite: &Suite) -> Outcome {
    let image = image(suite, "hello")?;
    for machine in ["pc,acpi=off", "microvm,acpi=off"] {
        let finished = process::run(qemu(&["-M", machine, "-m", "64"], &image, "Hello_Solo5")?)?;
        let output = finished.text();
        ensure!(finished.status == 0, "{machine}: status {}:\n{output}", finished.status);
        let log = "Solo5: ACPI: RSDP not found, cannot power off";
        ensure!(output.contains(log), "{machine}:\n{output}");
    }
    Ok(())
}

/// The seed comes from the CPU, and is another one at each start. A CPU without random numbers offers
/// none.
fn seed(suite: &Suite) -> Outcome {
    let image = image(suite, "seed")?;
    let seed = |cpu| {
        let (output, status) = run(&["-M", "pc", "-m", "64", "-cpu", cpu], &image, "elsewhere")?;
        ensure!(status == Some(0), "{cpu}: {status:?}:\n{output}");
        let line = output.lines().find(|line| line.starts_with("Seed: ")).map(str::to_owned);
        ensure!(line.is_some() != output.contains("No seed"), "{output}");
        Ok::<_, Stop>(line)
    };
    let (first, second) = (seed("max")?, seed("max")?);
    ensure!(first.is_some() && first != second, "{first:?} and {second:?}");
    ensure!(seed("qemu64")?.is_none(), "a seed without RDRAND");
    Ok(())
}

/// A stripped image ends where its data ends, and that is all that a Multiboot loader reads.
fn stripped(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    for name in ["hello", "tls"] {
        let copy = folder.path().join(name);
        let mut objcopy = Command::new(suite.tree.program("solo5-objcopy"));
        objcopy.arg("-S").arg(image(suite, name)?).arg(&copy);
        process::succeed(objcopy)?;
        let (output, status) = run(&["-M", "pc", "-m", "64"], &copy, "Hello_Solo5")?;
        ensure!(status == Some(0), "{status:?}:\n{output}");
    }
    Ok(())
}

/// A host's kernel refuses to run the image as a program.
fn no_other_loader(suite: &Suite) -> Outcome {
    let error = Command::new(image(suite, "hello")?).spawn();
    ensure!(error.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound), "it runs");
    Ok(())
}
