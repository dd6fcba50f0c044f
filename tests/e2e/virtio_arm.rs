//! Virtio unikernels for aarch64 on QEMU's `virt`, interpreted, on a host of any architecture
//! (`docs/reference/virtio.md#aarch64`): the rows of [`virtio`](crate::virtio) on several machines, and devices on
//! each kind of registers.
//!
//! `cargo xtask lab virtio-aarch64` makes the tools and names them; without that name there are no such tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::{ensure, process};

use crate::virtio::{ROWS, Row, check_run, image, qemu, run};
use crate::virtio_devices::{DISKS, Registers, check_disk, check_net};
use crate::{Suite, trial};

/// The tools that make unikernels for aarch64.
const TOOLS: &str = "SOLO5_AARCH64";

/// A machine.
struct Machine {
    name: &'static str,
    options: &'static [&'static str],
    /// Whether it gets the raw form of the image.
    raw: bool,
    /// Whether it runs every row, or only those that concern the start.
    all: bool,
}

const fn machine(name: &'static str, options: &'static [&'static str]) -> Machine {
    Machine { name, options, raw: false, all: false }
}

const MAX: &[&str] = &["-M", "virt,gic-version=2", "-cpu", "max", "-m", "64"];

const MACHINES: &[Machine] = &[
    Machine { all: true, ..machine("elf", MAX) },
    Machine { raw: true, ..machine("raw", MAX) },
    machine("gic-3", &["-M", "virt,gic-version=3", "-cpu", "max", "-m", "64"]),
    // A start in EL2.
    machine("el2", &["-M", "virt,virtualization=on,gic-version=2", "-cpu", "max", "-m", "64"]),
    machine(
        "el2-gic-3",
        &["-M", "virt,virtualization=on,gic-version=3", "-cpu", "max", "-m", "64"],
    ),
    // A CPU without random numbers, and the least memory.
    machine("old-cpu", &["-M", "virt", "-cpu", "cortex-a57", "-m", "4"]),
    // Memory above 4 GiB.
    machine("large", &["-M", "virt", "-cpu", "max", "-m", "4G"]),
];

const PCI: Registers = Registers {
    name: "pci",
    options: MAX,
    model: "-pci,disable-legacy=on",
    place: "Solo5: PCI:00:01: virtio-",
};
const PCI_LEGACY: Registers =
    Registers { name: "pci-legacy", model: "-pci,disable-modern=on", ..PCI };
const PCI_GIC_3: Registers = Registers {
    name: "pci-gic-3",
    options: &["-M", "virt,gic-version=3", "-cpu", "max", "-m", "64"],
    ..PCI
};
const MMIO: Registers = Registers {
    name: "mmio",
    options: MAX,
    model: "-device",
    place: "Solo5: MMIO:0xa003e00: virtio-",
};
const MMIO_2: Registers = Registers {
    name: "mmio-modern",
    options: &[
        "-M",
        "virt,gic-version=2",
        "-cpu",
        "max",
        "-m",
        "64",
        "-global",
        "virtio-mmio.force-legacy=false",
    ],
    ..MMIO
};
const ALL: [&Registers; 5] = [&PCI, &PCI_LEGACY, &PCI_GIC_3, &MMIO, &MMIO_2];

pub(crate) fn trials() -> Outcome<Vec<Trial>> {
    let Some(tools) = std::env::var_os(TOOLS).map(PathBuf::from) else { return Ok(vec![]) };
    let suite = Arc::new(Suite::for_machines_of("aarch64", &tools)?);
    let suite = &suite;
    let mut trials = vec![
        trial(suite, "virtio-aarch64/off-by-firmware", off_by_firmware),
        trial(suite, "virtio-aarch64/longest-line", longest_line),
        trial(suite, "virtio-aarch64/sleeps", sleeps),
        trial(suite, "virtio-aarch64/no-disk", no_disk),
    ];
    // The runner is a program of x86_64.
    if suite.tree.program("solo5-virtio-run").exists() {
        trials.push(trial(suite, "virtio-aarch64/run", runner));
        trials.push(trial(suite, "virtio-aarch64/run-with-disk", runner_with_disk));
    }
    for machine in MACHINES {
        for row in ROWS.iter().filter(|row| machine.all || row.start) {
            let name = format!("guest/{}/virtio-aarch64/{}", row.name(), machine.name);
            trials.push(trial(suite, name, move |suite| check(suite, machine, row)));
        }
    }
    for registers in ALL {
        for disk in DISKS {
            let name =
                format!("guest/{}/virtio-aarch64/{}{}", disk.guest, registers.name, disk.case);
            trials.push(trial(suite, name, move |suite| check_disk(suite, registers, disk)));
        }
        let name = format!("guest/net_many/virtio-aarch64/{}", registers.name);
        trials.push(trial(suite, name, move |suite| check_net(suite, registers)));
    }
    Ok(trials)
}

/// What an exception of x86_64 is called here.
fn translated(text: &str) -> String {
    match text {
        "trap: type=#PF ec=0x11 " => "trap: type=#IABT ".to_owned(),
        "trap: type=#UD " => "trap: type=#SVC ".to_owned(),
        _ if text.starts_with("trap: type=#PF ") => "trap: type=#DABT ".to_owned(),
        _ => text.replace("cr2=", "far="),
    }
}

fn check(suite: &Suite, machine: &Machine, row: &Row) -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut image = image(suite, row.guest)?;
    if machine.raw {
        image = raw(suite, &image, folder.path())?;
    }
    check_run(machine.options, &image, row, translated)
}

/// The raw form of an image.
fn raw(suite: &Suite, image: &Path, folder: &Path) -> Outcome<PathBuf> {
    let to = folder.join("Image");
    let mut mkimage = Command::new(suite.tree.program("solo5-virtio-mkimage"));
    mkimage.args(["-f", "kernel", "--no-record"]).arg(&to).arg(image);
    process::succeed(mkimage)?;
    Ok(to)
}

/// A disk is for PCs.
fn no_disk(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    for format in ["raw", "tar", "qcow2", "vmdk", "vhd"] {
        let mut mkimage = Command::new(suite.tree.program("solo5-virtio-mkimage"));
        mkimage.args(["-f", format]).arg(folder.path().join("disk")).arg(image(suite, "hello")?);
        let finished = process::run(mkimage)?;
        let output = finished.text();
        ensure!(finished.status == 1, "{format}: status {}:\n{output}", finished.status);
        let text = "[D602]: hello.virtio is for aarch64, and a disk boots only x86_64 unikernels";
        ensure!(output.contains(text), "{format}:\n{output}");
    }
    Ok(())
}

/// Without a status port the firmware switches the machine off: QEMU ends with status 0.
fn off_by_firmware(suite: &Suite) -> Outcome {
    let image = image(suite, "hello")?;
    for machine in ["virt", "virt,virtualization=on"] {
        // A reset would end QEMU too if it may not start again, so it may.
        let options = ["-M", machine, "-cpu", "max", "-m", "64", "-action", "reboot=reset"];
        let finished = process::run(qemu(&options, &image, "Hello_Solo5")?)?;
        let output = finished.text();
        ensure!(finished.status == 0, "{machine}: status {}:\n{output}", finished.status);
        ensure!(output.matches("SUCCESS").count() == 1, "{machine} started again:\n{output}");
    }
    Ok(())
}

/// Every byte of a command line arrives, up to 8191 of them. What is longer is cut, with a warning.
fn longest_line(suite: &Suite) -> Outcome {
    let image = image(suite, "long_cmdline")?;
    let letters: String = ('a'..='z').cycle().take(8192).collect();
    for (length, is_cut) in [(8191, false), (8192, true)] {
        let (output, status) = run(MAX, &image, letters.get(..length).unwrap_or_default())?;
        ensure!(status == Some(0) && output.contains("\n8191 letters\n"), "{status:?}:\n{output}");
        ensure!(output.contains("command line too long, truncated\n") == is_cut, "{output}");
    }
    Ok(())
}

/// Every machine's interrupt controller starts, so waits sleep.
fn sleeps(suite: &Suite) -> Outcome {
    let image = image(suite, "time")?;
    for machine in MACHINES.iter().filter(|machine| !machine.raw) {
        let (output, status) = run(machine.options, &image, "")?;
        ensure!(status == Some(0), "{}: {status:?}:\n{output}", machine.name);
        ensure!(!output.contains("waits poll"), "{}:\n{output}", machine.name);
    }
    Ok(())
}

/// The command that runs an image under `solo5-virtio-run`.
fn under_runner(suite: &Suite, options: &[&str], guest: &str) -> Outcome<Command> {
    if Command::new("qemu-system-aarch64").arg("--version").output().is_err() {
        return Err(Stop::Skip("qemu-system-aarch64 is not installed".into()));
    }
    let mut command = suite.tool("solo5-virtio-run");
    command.args(options).arg(image(suite, guest)?);
    command.stdin(std::process::Stdio::null());
    Ok(command)
}

/// The runner takes the machine and the program that the image needs, passes its status on, and refuses what
/// cannot be.
fn runner(suite: &Suite) -> Outcome {
    for (argument, expected) in [("0", 0), ("7", 7), ("300", 44), ("abort", 255)] {
        let mut command = under_runner(suite, &[], "exit_status")?;
        let finished = process::run({
            command.arg(argument);
            command
        })?;
        let output = finished.text();
        ensure!(finished.status == expected, "status {}:\n{output}", finished.status);
        ensure!(output.contains("-machine virt,"), "{output}");
        ensure!(output.contains("Solo5: Bindings version "), "{output}");
    }
    for (options, text) in [
        (&["-H", "kvm"], "[T465]: kvm runs no unikernels for aarch64 here"),
        (&["-H", "bhyve"], "[T465]: bhyve runs no unikernels for aarch64 here"),
        (&["-M", "pc"], "[T465]: no machine pc runs unikernels for aarch64"),
        (&["-M", "microvm"], "[T465]: no machine microvm runs unikernels for aarch64"),
    ] {
        let finished = process::run(under_runner(suite, options, "hello")?)?;
        let output = finished.text();
        ensure!(finished.status == 1 && output.contains(text), "{options:?}:\n{output}");
    }
    let explained = process::run(under_runner(suite, &["--explain"], "hello")?)?;
    let output = explained.text();
    ensure!(explained.status == 0 && output.contains("qemu-system-aarch64"), "{output}");
    Ok(())
}

/// Devices are found by their names.
fn runner_with_disk(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("disk");
    std::fs::File::create(&file)?.set_len(4 << 20)?;
    let option = format!("--block:storage={}", file.display());
    let finished = process::run(under_runner(suite, &[&option], "blk")?)?;
    let output = finished.text();
    ensure!(finished.status == 0 && output.contains("SUCCESS"), "{}:\n{output}", finished.status);
    Ok(())
}
