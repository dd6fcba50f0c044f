//! Devices of virtio unikernels, on QEMU's machines without KVM (`docs/reference/virtio.md#devices`):
//! legacy ports, version 1 on PCI, both versions of virtio-mmio.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::directive::Ping;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::Running;
use solo5_tests::{ensure, http, namespace, ping};

use crate::virtio::{image, qemu, run};
use crate::{Suite, trial};

/// A kind of registers, as a machine has them.
pub(crate) struct Registers {
    pub(crate) name: &'static str,
    /// The machine.
    pub(crate) options: &'static [&'static str],
    /// A device's model behind `virtio-blk` and `virtio-net`, and what follows it.
    pub(crate) model: &'static str,
    /// What a message says about a device's place.
    pub(crate) place: &'static str,
}

pub(crate) const LEGACY: Registers = Registers {
    name: "pc-legacy",
    options: &["-M", "pc", "-m", "64"],
    model: "-pci,disable-modern=on",
    place: "Solo5: PCI:00:02: virtio-",
};
const MODERN: Registers = Registers {
    name: "q35-modern",
    options: &["-M", "q35", "-m", "64", "-device", "pcie-root-port,id=root,chassis=1"],
    model: "-pci,disable-legacy=on,bus=root",
    place: "Solo5: PCI:01:00: virtio-",
};
const MMIO: Registers = Registers {
    name: "microvm-legacy",
    options: &["-M", "microvm,acpi=off", "-m", "64"],
    model: "-device",
    place: "Solo5: MMIO:0xfeb00e00: virtio-",
};
const MMIO_2: Registers = Registers {
    name: "microvm-modern",
    options: &["-M", "microvm,acpi=off", "-m", "64", "-global", "virtio-mmio.force-legacy=false"],
    model: "-device",
    place: "Solo5: MMIO:0xfeb00e00: virtio-",
};
const ALL: [&Registers; 4] = [&LEGACY, &MODERN, &MMIO, &MMIO_2];

/// A disk of a test: a guest, what follows the device's model, its size in KiB and the argument.
pub(crate) struct Disk {
    pub(crate) guest: &'static str,
    pub(crate) case: &'static str,
    options: &'static str,
    kib: u64,
    argument: &'static str,
    read_only: bool,
}

const fn disk(guest: &'static str, case: &'static str, kib: u64) -> Disk {
    Disk { guest, case, options: "", kib, argument: "", read_only: false }
}

pub(crate) const DISKS: &[Disk] = &[
    disk("blk", "", 4096),
    disk("blk_many", "", 4096),
    Disk {
        options: ",logical_block_size=4096,physical_block_size=4096",
        ..disk("blk_many", "-sector-size-4096", 4096)
    },
    Disk { read_only: true, argument: "read-only", ..disk("blk_many", "-read-only", 4096) },
    Disk { read_only: true, ..disk("blk_readonly", "", 64) },
];

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![
        trial(suite, "virtio-devices/largest-queue", largest_queue),
        trial(suite, "virtio-devices/large-frames", large_frames),
        trial(suite, "virtio-devices/two-interfaces", two_interfaces),
        trial(suite, "virtio-devices/flush", flush),
        trial(suite, "virtio-devices/http", serves_http),
    ];
    for registers in ALL {
        for disk in DISKS {
            let name = format!("virtio-devices/{}/{}{}", registers.name, disk.guest, disk.case);
            trials.push(trial(suite, name, move |suite| check_disk(suite, registers, disk)));
        }
        let name = format!("virtio-devices/{}/net", registers.name);
        trials.push(trial(suite, name, move |suite| check_net(suite, registers)));
    }
    trials
}

/// Options of a block device with this identifier, and what follows the device's model.
pub(crate) fn block(registers: &Registers, id: &str, file: &Path, more: &str) -> Vec<String> {
    let drive = format!("id={id},file={},if=none,format=raw", file.display());
    let device = format!("virtio-blk{},drive={id}{more}", registers.model);
    ["-drive", &drive, "-device", &device].map(str::to_owned).to_vec()
}

/// A file of zeros.
pub(crate) fn zeros(path: &Path, kib: u64) -> Outcome {
    Ok(fs::File::create(path)?.set_len(kib << 10)?)
}

pub(crate) fn with<'a>(registers: &'a Registers, more: &'a [String]) -> Vec<&'a str> {
    registers.options.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

pub(crate) fn check_disk(suite: &Suite, registers: &Registers, disk: &Disk) -> Outcome {
    let image = image(suite, disk.guest)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("disk");
    zeros(&file, disk.kib)?;
    let mut options = block(registers, "d", &file, disk.options);
    if disk.read_only
        && let Some(drive) = options.get_mut(1)
    {
        drive.push_str(",readonly=on");
    }
    let (output, status) = run(&with(registers, &options), &image, disk.argument)?;
    ensure!(status == Some(0) && output.contains("SUCCESS"), "status {status:?}:\n{output}");
    ensure!(output.contains(registers.place), "other registers:\n{output}");
    Ok(())
}

/// A flush reaches the host; a disk without `flush: true` has none.
fn flush(suite: &Suite) -> Outcome {
    let image = image(suite, "blk_flush")?;
    let folder = tempfile::tempdir()?;
    for registers in ALL.into_iter().filter(|registers| registers.name != MODERN.name) {
        let mut options = vec![];
        for id in ["storage", "scratch"] {
            let file = folder.path().join(id);
            zeros(&file, 64)?;
            // The other order than the manifest's.
            let device = block(registers, id, &file, &format!(",serial={id}"));
            options = [device, options].concat();
        }
        let (output, status) = run(&with(registers, &options), &image, "")?;
        ensure!(status == Some(0), "{}: status {status:?}:\n{output}", registers.name);
    }
    Ok(())
}

/// A legacy device decides how large its queue is: 1024 descriptors, and 4, the fewest.
fn largest_queue(suite: &Suite) -> Outcome {
    let image = image(suite, "blk_many")?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("disk");
    for size in [1024, 4] {
        zeros(&file, 4096)?;
        let queue = format!(",queue-size={size},seg-max-adjust=off");
        let options = block(&LEGACY, "d", &file, &queue);
        let (output, status) = run(&with(&LEGACY, &options), &image, "")?;
        ensure!(status == Some(0), "{size}: status {status:?}:\n{output}");
    }
    Ok(())
}

/// Options of a network device on a tap of this namespace.
fn tap(registers: &Registers, interface: &str, more: &str) -> Vec<String> {
    let backend = format!("tap,id={interface},ifname={interface},script=no,downscript=no");
    let device = format!("virtio-net{},netdev={interface}{more}", registers.model);
    ["-netdev", &backend, "-device", &device].map(str::to_owned).to_vec()
}

/// Starts a guest that answers pings, and waits until it does.
fn start(options: &[&str], image: &Path, line: &str, ready: &str) -> Outcome<Running> {
    let mut guest = Running::start(qemu(options, image, line)?)?;
    guest.wait_for(ready)?;
    Ok(guest)
}

const HOST: &str = "10.0.0.1/24";

fn ping_of(last: [u8; 2], count: u32) -> Ping {
    let [network, host] = last;
    Ping { address: [10, network, 0, host].into(), count, unanswered: 0 }
}

pub(crate) fn check_net(suite: &Suite, registers: &Registers) -> Outcome {
    let image = image(suite, "net_many")?;
    namespace::with_network(|| {
        namespace::add_tap("tap0", None)?;
        namespace::bring_up("tap0", HOST)?;
        let options = tap(registers, "tap0", ",mac=52:54:00:01:02:03");
        let guest = start(&with(registers, &options), &image, "", "test_net_many")?;
        ping::flood(ping_of([0, 2], 1000), 1, &[0xde, 0xad])?;
        let finished = guest.finish()?;
        let output = finished.text();
        ensure!(output.contains("Answered 1000 pings"), "{output}");
        ensure!(output.contains(registers.place), "other registers:\n{output}");
        ensure!(output.contains("mac=52:54:00:01:02:03, mtu=1500"), "{output}");
        Ok(())
    })
}

/// The MTU is the host's.
fn large_frames(suite: &Suite) -> Outcome {
    let image = image(suite, "net_mtu")?;
    namespace::with_network(|| {
        for registers in ALL {
            let name = registers.name;
            namespace::add_tap(name, Some(9000))?;
            let options = tap(registers, name, ",host_mtu=9000");
            let (output, status) = run(&with(registers, &options), &image, "")?;
            ensure!(status == Some(0), "{name}: status {status:?}:\n{output}");
            ensure!(output.contains("MTU is 9000\n"), "{name}:\n{output}");
        }
        Ok(())
    })
}

fn two_interfaces(suite: &Suite) -> Outcome {
    let image = image(suite, "net_2if")?;
    namespace::with_network(|| {
        let mut options = vec![];
        for (interface, address) in [("tap0", HOST), ("tap1", "10.1.0.1/24")] {
            namespace::add_tap(interface, None)?;
            namespace::bring_up(interface, address)?;
            options.extend(tap(&LEGACY, interface, ""));
        }
        let ready = "[service1] Serving ping on 10.1.0.2";
        let mut guest = start(&with(&LEGACY, &options), &image, "verbose", ready)?;
        for (identifier, network) in [(1, 0), (2, 1), (3, 0)] {
            ping::flood(ping_of([network, 2], 500), identifier, &[7])?;
        }
        guest.kill();
        Ok(())
    })
}

/// The example's server answers a thousand requests, each compared, as it does under tenders.
fn serves_http(suite: &Suite) -> Outcome {
    let image = suite.builder.example("http", "virtio")?;
    namespace::with_network(|| {
        namespace::add_tap("tap0", None)?;
        namespace::bring_up("tap0", HOST)?;
        let options = tap(&LEGACY, "tap0", "");
        let line = "--ipv4=10.0.0.2/24";
        let mut server = start(&with(&LEGACY, &options), &image, line, "serving http://10.0.0.2/")?;
        let outcome = http::sequential(([10, 0, 0, 2], 80).into(), 1000);
        let printed = server.printed();
        server.kill();
        outcome.map_err(|stop| stop.during(String::from_utf8_lossy(&printed)))
    })
}
