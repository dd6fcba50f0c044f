//! Disks of `solo5-virtio-mkimage`, booted by a BIOS and UEFI from every kind of controller and in every
//! format (`docs/reference/disk-image.md`). That damaged disks are reported is tested in crate `mkimage`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::process::{self, Finished, Running};
use solo5_tests::{ensure, namespace};

use crate::{Suite, trial};

/// A controller with the boot disk: its name, the machine, its devices in QEMU's words.
const CONTROLLERS: &[(&str, &str, &[&str])] = &[
    ("ide", "pc", &["ide-hd,drive=boot"]),
    ("ahci", "q35", &["ide-hd,drive=boot"]),
    ("virtio-blk", "pc", &["virtio-blk-pci,drive=boot"]),
    ("virtio-scsi", "q35", &["virtio-scsi-pci", "scsi-hd,drive=boot"]),
    ("nvme", "q35", &["nvme,drive=boot,serial=1"]),
    ("usb", "pc", &["usb-ehci", "usb-storage,drive=boot"]),
];

/// Debian's firmware for UEFI, package ovmf.
const OVMF: &str = "/usr/share/ovmf/OVMF.fd";

/// A format and its name in QEMU.
const FORMATS: &[(&str, &str)] =
    &[("raw", "raw"), ("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc"), ("tar", "raw")];

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![
        trial(suite, "disk/its-own-is-none-of-the-manifest", |suite| boot_disk(suite, &[])),
        trial(suite, "disk/uefi-its-own-is-none-of-the-manifest", |suite| {
            boot_disk(suite, &uefi()?)
        }),
        trial(suite, "disk/uefi-ends-by-acpi", ends),
        trial(suite, "disk/http-answers-curl", answers_curl),
    ];
    for (name, machine, devices) in CONTROLLERS {
        let bios = format!("disk/from-{name}");
        trials.push(trial(suite, bios, move |suite| from(suite, machine, devices, &[])));
        let uefi_name = format!("disk/uefi-from-{name}");
        trials.push(trial(suite, uefi_name, move |suite| from(suite, machine, devices, &uefi()?)));
    }
    for (format, qemu) in FORMATS {
        let name = format!("disk/as-{format}");
        trials.push(trial(suite, name, move |suite| format_boots(suite, format, qemu)));
    }
    trials
}

/// Makes a disk of the test unikernel `guest`.
fn make(suite: &Suite, guest: &str, format: &str, to: &Path, arguments: &[&str]) -> Outcome {
    let image = suite.builder.image(suite.guest(guest)?, "virtio")?;
    make_of(suite, &image, format, to, arguments)
}

fn make_of(suite: &Suite, image: &Path, format: &str, to: &Path, arguments: &[&str]) -> Outcome {
    let mut mkimage = Command::new(suite.tree.program("solo5-virtio-mkimage"));
    mkimage.args(["-f", format]).arg(to).arg(image).args(arguments);
    process::succeed(mkimage)?;
    Ok(())
}

/// Boots a machine and returns what was printed; it ends through the debug port.
fn boot(machine: &str, options: &[String]) -> Outcome<String> {
    let Finished { status, output } = process::run(qemu(machine, options)?)?;
    let output = String::from_utf8_lossy(&output).replace("\r\n", "\n");
    ensure!(status == 83, "QEMU ended with {status}:\n{output}");
    Ok(output)
}

fn qemu(machine: &str, options: &[String]) -> Outcome<Command> {
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        return Err(Stop::Skip("qemu-system-x86_64 is not installed".into()));
    }
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio"])
        .args(["-no-reboot", "-device", "isa-debug-exit", "-m", "64", "-M", machine])
        .args(options)
        .stdin(Stdio::null());
    Ok(qemu)
}

/// QEMU's options for a machine with UEFI instead of a BIOS.
fn uefi() -> Outcome<[String; 4]> {
    if !Path::new(OVMF).exists() {
        return Err(Stop::Skip(format!("{OVMF} is not installed")));
    }
    Ok(["-bios".into(), OVMF.into(), "-m".into(), "128".into()])
}

fn drive(id: &str, file: &Path, format: &str) -> [String; 2] {
    ["-drive".into(), format!("id={id},if=none,file={},format={format}", file.display())]
}

fn from(suite: &Suite, machine: &str, devices: &[&str], firmware: &[String]) -> Outcome {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    make(suite, "hello", "raw", &disk, &["Hello_Solo5"])?;
    let mut options = drive("boot", &disk, "raw").to_vec();
    options.extend(devices.iter().flat_map(|device| ["-device".into(), (*device).into()]));
    options.extend_from_slice(firmware);
    let output = boot(machine, &options)?;
    ensure!(output.contains("Command line is: 'Hello_Solo5'\n"), "{output}");
    ensure!(output.contains("SUCCESS\n"), "{output}");
    Ok(())
}

fn format_boots(suite: &Suite, format: &str, qemu: &str) -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut disk = folder.path().join("disk");
    make(suite, "hello", format, &disk, &["Hello_Solo5"])?;
    if format == "tar" {
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--file"]).arg(&disk).arg("--directory");
        process::succeed({
            tar.arg(folder.path());
            tar
        })?;
        disk = folder.path().join("disk.raw");
    }
    let mut options = drive("boot", &disk, qemu).to_vec();
    options.extend(["-device".into(), "ide-hd,drive=boot".into()]);
    let output = boot("pc", &options)?;
    ensure!(output.contains("SUCCESS\n"), "{format}:\n{output}");
    Ok(())
}

/// A unikernel with one disk in its manifest gets the second of two virtio disks, and never writes to the
/// one that it was booted from.
fn boot_disk(suite: &Suite, firmware: &[String]) -> Outcome {
    let folder = tempfile::tempdir()?;
    let (disk, data) = (folder.path().join("disk.img"), folder.path().join("data.img"));
    make(suite, "blk", "raw", &disk, &[])?;
    std::fs::File::create(&data)?.set_len(4 << 20)?;
    let before = std::fs::read(&disk)?;
    for machine in ["pc", "q35"] {
        let mut options = drive("boot", &disk, "raw").to_vec();
        options.extend(drive("data", &data, "raw"));
        for device in ["virtio-blk-pci,drive=boot,bootindex=1", "virtio-blk-pci,drive=data"] {
            options.extend(["-device".into(), device.into()]);
        }
        options.extend_from_slice(firmware);
        let output = boot(machine, &options)?;
        ensure!(output.contains("boot disk, not a device of the manifest"), "{output}");
        ensure!(output.contains("SUCCESS\n"), "{machine}:\n{output}");
        ensure!(std::fs::read(&disk)? == before, "{machine}: it wrote to its boot disk");
    }
    ensure!(std::fs::read(&data)?.iter().any(|byte| *byte != 0), "it wrote nothing");
    Ok(())
}

/// A disk of `examples/http` boots from a BIOS and serves curl: a thousand requests, whose answers are
/// compared.
fn answers_curl(suite: &Suite) -> Outcome {
    const REQUESTS: u32 = 1000;
    let image = suite.builder.example("http", "virtio")?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    make_of(suite, &image, "raw", &disk, &["--ipv4=10.0.0.2/24"])?;
    let mut options = drive("boot", &disk, "raw").to_vec();
    let tap = "tap,id=net,ifname=tap0,script=no,downscript=no";
    for word in ["-device", "ide-hd,drive=boot", "-netdev", tap] {
        options.push(word.into());
    }
    options.extend(["-device".into(), "virtio-net-pci,netdev=net".into()]);
    namespace::with_network(|| {
        namespace::add_tap("tap0", None)?;
        namespace::bring_up("tap0", "10.0.0.1/24")?;
        let mut server = Running::start(qemu("pc", &options)?)?;
        server.wait_for("serving http://10.0.0.2/")?;
        // Each answer becomes a file, which is named by its number.
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--output", "#1"]);
        curl.arg(format!("http://10.0.0.2/echo/[1-{REQUESTS}]")).current_dir(folder.path());
        process::succeed(curl)?;
        for number in 1..=REQUESTS {
            let answer = std::fs::read_to_string(folder.path().join(number.to_string()))?;
            ensure!(answer == format!("{number}\n"), "/echo/{number} answered {answer:?}");
        }
        server.kill();
        Ok(())
    })
}

/// Without a debug port, a unikernel switches the machine off: it finds ACPI's tables though no BIOS is
/// there to say where they are.
fn ends(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk.img");
    make(suite, "hello", "raw", &disk, &["Hello_Solo5"])?;
    for machine in ["pc", "q35"] {
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "stdio"])
            .args(["-no-reboot", "-M", machine])
            .args(uefi()?)
            .args(drive("boot", &disk, "raw"))
            .args(["-device", "ide-hd,drive=boot"])
            .stdin(Stdio::null());
        let Finished { status, output } = process::run(qemu)?;
        let output = String::from_utf8_lossy(&output).replace("\r\n", "\n");
        ensure!(status == 0, "{machine}: QEMU ended with {status}:\n{output}");
        ensure!(output.contains("SUCCESS\n"), "{machine}:\n{output}");
        let last = output.trim_end().lines().last().unwrap_or_default();
        ensure!(last.starts_with("Solo5: ACPI: power off via PM1a="), "{machine}:\n{output}");
    }
    Ok(())
}
