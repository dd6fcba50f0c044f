//! Which device of a virtio unikernel belongs to which entry of its manifest
//! (`docs/reference/virtio.md#names`).

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Outcome, Stop};
use solo5_tests::{ensure, fail, guest, process};

use crate::virtio::{image, run, run_disk};
use crate::virtio_devices::{LEGACY, block, with, zeros};
use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![
        trial(suite, "virtio-names/refused", refused),
        trial(suite, "virtio-names/optional", optional),
        trial(suite, "virtio-names/boot-disk", boot_disk),
    ];
    for (name, machine, guest) in [
        ("pc", Shape::Pc, "virtio_devices"),
        ("q35", Shape::Q35, "virtio_devices"),
        ("microvm", Shape::Microvm, "virtio_devices_few"),
    ] {
        for order in 1..=2 {
            let name = format!("virtio-names/{name}-{order}");
            let body = move |suite: &Suite| by_name(suite, machine, guest, order);
            trials.push(trial(suite, name, body));
        }
    }
    trials
}

/// A machine for many devices.
#[derive(Clone, Copy)]
enum Shape {
    /// Legacy devices, eight functions in a slot, and 14 behind a bridge.
    Pc,
    /// Version 1 devices, eight functions behind each root port.
    Q35,
    Microvm,
}

impl Shape {
    fn machine(self) -> Vec<String> {
        let text = match self {
            Shape::Pc => "-M pc -m 64 -device pci-bridge,id=bridge,chassis_nr=1,addr=1e".to_owned(),
            Shape::Q35 => (0..6).fold("-M q35 -m 64".to_owned(), |text, port| {
                format!("{text} -device pcie-root-port,id=port{port},chassis={port},slot={port}")
            }),
            Shape::Microvm => "-M microvm,acpi=off -m 64".to_owned(),
        };
        text.split(' ').map(str::to_owned).collect()
    }

    /// What follows the model of the device that is attached as number `index`.
    fn model(self, index: usize) -> String {
        let (slot, function) = (index / 8, index % 8);
        match self {
            Shape::Pc if index < 32 => {
                let addr = 2 + slot;
                format!("-pci,disable-modern=on,multifunction=on,bus=pci.0,addr={addr}.{function}")
            }
            Shape::Pc => format!("-pci,disable-modern=on,bus=bridge,addr={:x}.0", index - 31),
            Shape::Q35 => format!("-pci,multifunction=on,bus=port{slot},addr=0.{function}"),
            Shape::Microvm => "-device".to_owned(),
        }
    }
}

/// An order of `count` things, another one for each `seed`.
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = seed;
    for last in (1..count).rev() {
        // The generator of Knuth's MMIX.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (state >> 33) as usize % (last + 1));
    }
    order
}

/// A device of the manifest: its name, the name that the machine is told, and its number.
struct Named {
    name: String,
    told: String,
    number: usize,
    is_block: bool,
}

/// The devices of a manifest in its order.
fn manifest(guest: &str) -> Outcome<Vec<Named>> {
    let path = guest::directory().join(format!("{guest}.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(path)?)?;
    let Some(devices) = manifest["devices"].as_array() else { fail!("no devices") };
    let mut named = vec![];
    for (index, device) in (1..).zip(devices) {
        let name = device["name"].as_str().unwrap_or_default().to_owned();
        let number = name.get(name.len() - 2..).unwrap_or_default().parse()?;
        let told = if name.len() > 20 { format!("#{index}") } else { name.clone() };
        named.push(Named { name, told, number, is_block: device["type"] == "BLOCK_BASIC" });
    }
    Ok(named)
}

/// Every device belongs to the entry of its name, whatever the order of both.
fn by_name(suite: &Suite, shape: Shape, guest: &str, order: u64) -> Outcome {
    let image = image(suite, guest)?;
    let folder = tempfile::tempdir()?;
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let devices = manifest(guest)?;
    let mut options = shape.machine();
    if order.is_multiple_of(2) && matches!(shape, Shape::Microvm) {
        options.extend(["-global", "virtio-mmio.force-legacy=false"].map(str::to_owned));
    }
    let mut line = String::new();
    let mut addresses = vec![];
    for (place, index) in shuffled(devices.len(), order).into_iter().enumerate() {
        let Some(Named { name, told, number, is_block }) = devices.get(index) else { continue };
        let model = shape.model(place);
        if *is_block {
            let mut content = name.clone().into_bytes();
            content.resize(64 << 10, 0);
            fs::write(path(name), content)?;
            let drive = format!("id=d{number},file={},if=none,format=raw", path(name).display());
            let device = format!("virtio-blk{model},drive=d{number},serial={told}");
            options.extend(["-drive", &drive, "-device", &device].map(str::to_owned));
        } else {
            let backend = format!("hubport,id=n{number},hubid={}", number / 2);
            let mac = format!("52:54:00:00:00:{number:02x}");
            let device = format!("virtio-net{model},netdev=n{number},mac={mac}");
            options.extend(["-netdev", &backend, "-device", &device].map(str::to_owned));
            write!(line, "--solo5:net={told}@{mac} ")?;
            addresses.push(format!("{name} is {}\n", mac.replace(':', "")));
        }
    }
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let (output, status) = run(&options, &image, &format!("{line}--solo5:warn the  rest"))?;
    ensure!(status == Some(0), "status {status:?}:\n{output}");
    ensure!(output.contains("Command line is: 'the  rest'\n"), "{output}");
    for address in addresses {
        ensure!(output.contains(&address), "no {address:?} in:\n{output}");
    }
    for Named { name, .. } in devices.iter().filter(|device| device.is_block) {
        let content = fs::read(path(name))?;
        let written = content.get(512..512 + name.len());
        ensure!(written == Some(name.as_bytes()), "{name} was not written");
    }
    Ok(())
}

/// Devices and entries that do not match end the unikernel with a message.
fn refused(suite: &Suite) -> Outcome {
    let image = image(suite, "blk_flush")?;
    let folder = tempfile::tempdir()?;
    let file = |name: &str| -> Outcome<PathBuf> {
        let file = folder.path().join(name);
        zeros(&file, 64)?;
        Ok(file)
    };
    let net = ["-device", "virtio-net-pci"].map(str::to_owned).to_vec();
    let disks = |serials: &[&str]| -> Outcome<Vec<String>> {
        let mut options = vec![];
        for (index, serial) in serials.iter().enumerate() {
            let id = format!("d{index}");
            options.extend(block(&LEGACY, &id, &file(&id)?, &format!(",serial={serial}")));
        }
        Ok(options)
    };
    let rows = [
        (
            disks(&["storage"])?,
            "",
            "Solo5: Device 'scratch' of type BLOCK_BASIC not attached.\n\
             Solo5: All declared devices must be attached. Aborting.\n",
        ),
        (disks(&["a", "b", "c"])?, "", "Solo5: Virtio blk: PCI:00:04 not in manifest\n"),
        (disks(&["storage", "other"])?, "", "Solo5: Virtio blk: PCI:00:03 not in manifest\n"),
        (
            disks(&["storage", "storage"])?,
            "",
            "Solo5: Virtio blk: PCI:00:03 has the name of another device\n",
        ),
        (
            [disks(&["a", "b"])?, net].concat(),
            "",
            "Solo5: Virtio net: PCI:00:04 not in manifest\nSolo5: PCI enumeration failed. Aborting.\n",
        ),
        (
            disks(&["a", "b"])?,
            "--solo5:net=service@52:54:00:00:00:01",
            "Solo5: --solo5:net=service@52:54:00:00:00:01: not NAME@ADDRESS with a network device of \
             the manifest. Aborting.\n",
        ),
    ];
    for (options, line, message) in rows {
        let (output, status) = run(&with(&LEGACY, &options), &image, line)?;
        ensure!(status == Some(255), "{message}: status {status:?}:\n{output}");
        ensure!(output.contains(message), "no {message:?} in:\n{output}");
        ensure!(output.contains("solo5_abort() called\n"), "{output}");
    }
    // Where no disk has the name of an entry, foreign serials do not matter.
    let foreign = disks(&["QM00001", "QM00002"])?;
    let (output, status) = run(&with(&LEGACY, &foreign), &image, "")?;
    ensure!(status == Some(0), "status {status:?}:\n{output}");
    Ok(())
}

/// An entry that is optional needs no device; the others keep their own.
fn optional(suite: &Suite) -> Outcome {
    let image = image(suite, "optional_device")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("disk");
    zeros(&file, 64)?;
    let options = block(&LEGACY, "d", &file, ",serial=storage");
    let (output, status) = run(&with(&LEGACY, &options), &image, "")?;
    ensure!(status == Some(0), "status {status:?}:\n{output}");
    Ok(())
}

/// The disk that the machine was booted from is no device, wherever it is, and is not written.
fn boot_disk(suite: &Suite) -> Outcome {
    let mkimage = suite.tree.program("solo5-virtio-mkimage");
    if !mkimage.exists() {
        return Err(Stop::Skip("there is no solo5-virtio-mkimage".into()));
    }
    let image = image(suite, "blk")?;
    let folder = tempfile::tempdir()?;
    let boot = folder.path().join("boot.raw");
    let mut command = Command::new(mkimage);
    command.arg(&boot).arg(image);
    process::succeed(command)?;
    let content = fs::read(&boot)?;
    let file = folder.path().join("disk");
    for (first, machine) in [(true, "pc"), (false, "pc"), (true, "q35"), (false, "q35")] {
        zeros(&file, 64)?;
        let disk = |id: &str, path: &Path| {
            let drive = format!("id={id},file={},if=none,format=raw", path.display());
            let index = if id == "boot" { ",bootindex=0" } else { "" };
            let device = format!("virtio-blk-pci,drive={id}{index}");
            ["-drive", &drive, "-device", &device].map(str::to_owned)
        };
        let mut disks = [disk("boot", &boot), disk("data", &file)];
        if !first {
            disks.reverse();
        }
        let disks = disks.as_flattened().iter().map(String::as_str);
        let options: Vec<&str> = ["-M", machine, "-m", "64"].into_iter().chain(disks).collect();
        let (output, status) = run_disk(&options)?;
        ensure!(status == Some(0), "{machine}: status {status:?}:\n{output}");
        ensure!(output.contains(": boot disk, not a device of the manifest\n"), "{output}");
        ensure!(fs::read(&boot)? == content, "the boot disk was written");
    }
    Ok(())
}
