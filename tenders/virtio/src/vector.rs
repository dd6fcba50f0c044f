//! QEMU's arguments, one word each: no shell reads them, and no file name is among them.
//!
//! QEMU reads most of its options as lists with commas between. So what a user chooses is a number, a
//! name of letters and digits, an address, or has its commas doubled; the guest's command line stands
//! in a word of its own, which QEMU passes on as it is.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::FileType;
use solo5_abi::device::Mtu;
use solo5_launch::{Launch, Mac, Machine};
use solo5_report::{one_line, os_text};
use solo5_tender::attach::{Access, Backing, Device};
use solo5_tender::error::Error;

use crate::places::places;

/// Longest serial of a virtio block device, in bytes.
const SERIAL_MAX: usize = 20;
/// The port that the guest writes its status to, and what it reads there.
const STATUS_PORT: u16 = 0x504;
const STATUS_READ: u8 = 0x53;
/// Longest name of a machine, in bytes.
const NAME_MAX: usize = 64;

/// A descriptor that QEMU inherits; under `--explain` there is none, and its name is shown instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handle {
    /// Its number.
    Open(RawFd),
    /// What it would be of.
    Named(String),
}

impl Handle {
    fn of(device: &Device, what: &str) -> Handle {
        match device.fd_number() {
            -1 => Handle::Named(what.to_owned()),
            fd => Handle::Open(fd),
        }
    }
}

impl Handle {
    /// A path by which QEMU opens it again.
    fn path(&self) -> String {
        match self {
            Handle::Open(fd) => format!("/proc/self/fd/{fd}"),
            Handle::Named(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Handle::Open(fd) => fd.fmt(f),
            Handle::Named(name) => write!(f, "{{{name}}}"),
        }
    }
}

/// What the machine is made of.
#[derive(Clone, Debug)]
pub struct Parts<'p> {
    /// The kind of machine.
    pub machine: Machine,
    /// Whether KVM runs the guest.
    pub kvm: bool,
    /// Whether QEMU confines itself.
    pub sandbox: bool,
    /// Guest memory in bytes.
    pub memory: u64,
    /// The image's file, for the machine's name.
    pub kernel: &'p OsStr,
    /// The image.
    pub image: Handle,
    /// The pipe for the guest's status.
    pub status: Handle,
    /// QEMU's end of the monitor.
    pub monitor: Handle,
    /// The guest's command line.
    pub command_line: OsString,
    /// Whether the bindings know more than those of Solo5 0.12.
    pub knows_features: bool,
    /// The devices, in the order of the manifest.
    pub devices: &'p [Device],
    /// For each device the MTU that the launch names.
    pub mtus: &'p [Option<Mtu>],
}

/// What names a device of the manifest to the guest (`docs/reference/virtio.md#names`).
pub fn short_name(name: &str, index: usize) -> String {
    if name.len() <= SERIAL_MAX { name.to_owned() } else { format!("#{index}") }
}

fn mac(mac: Option<[u8; 6]>) -> String {
    mac.map_or_else(|| "{random}".to_owned(), |mac| Mac(mac).to_string())
}

/// The guest's command line: for bindings that understand them, the words that name its network
/// devices, and then its arguments.
pub fn command_words(
    arguments: &[OsString],
    devices: &[Device],
    knows_features: bool,
) -> Vec<OsString> {
    let names = devices.iter().filter(|_| knows_features).filter_map(|device| {
        let Backing::Net { mac: address, .. } = &device.backing else { return None };
        let name = short_name(&device.name, device.index);
        Some(OsString::from(format!("--solo5:net={name}@{}", mac(*address))))
    });
    names.chain(arguments.iter().cloned()).collect()
}

/// The MTU that a launch names for each of `devices`.
pub fn mtus(launch: &Launch, devices: &[Device]) -> Vec<Option<Mtu>> {
    let of = |device: &Device| launch.nets.iter().find(|net| net.index == device.index)?.mtu;
    devices.iter().map(of).collect()
}

/// The machine's name, which `ps` shows: the image's file name. Commas are doubled.
fn name(kernel: &OsStr) -> String {
    let base = kernel.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    let text = os_text(OsStr::from_bytes(base));
    let mut text: String = one_line(&text).chars().take(NAME_MAX).collect();
    if text.is_empty() {
        text.push_str("solo5");
    }
    text.replace(',', ",,")
}

impl Parts<'_> {
    /// The words after the program's name.
    ///
    /// # Errors
    ///
    /// The machine has no room for so many devices.
    pub fn words(&self) -> Result<Vec<OsString>, Error> {
        let mut out: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| out.extend(words.iter().map(OsString::from));
        add(&["-name", &format!("guest={}", name(self.kernel))]);
        add(&["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
        if self.sandbox {
            let filter = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";
            add(&["-sandbox", filter]);
        }
        let (accelerator, cpu) = if self.kvm { ("kvm", "host") } else { ("tcg", "max") };
        let options = match self.machine {
            Machine::Pc | Machine::Q35 => "acpi=off",
            Machine::Microvm => "acpi=off,isa-serial=on,pic=on,pit=on,rtc=on",
            // A host's own controller decides its version under KVM.
            Machine::Virt => "acpi=off,gic-version=max",
        };
        add(&["-machine", &format!("{},{options}", self.machine.name())]);
        add(&["-accel", accelerator, "-cpu", cpu, "-m", &(self.memory >> 20).to_string()]);
        // Without `signal=off` QEMU would take over the terminal's keys.
        add(&["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]);
        add(&["-chardev", &format!("file,id=status,path={}", self.status.path())]);
        match self.machine {
            Machine::Pc | Machine::Q35 | Machine::Microvm => {
                let port =
                    format!("isa-debugcon,iobase={STATUS_PORT:#x},readback={STATUS_READ:#x}");
                add(&["-device", &format!("{port},chardev=status"), "-device", "isa-debug-exit"]);
            }
            // In the slot before those of devices.
            Machine::Virt => {
                add(&["-device", "pci-serial,bus=pcie.0,addr=0x1,chardev=status"]);
            }
        }
        add(&["-chardev", &format!("socket,id=monitor,fd={}", self.monitor)]);
        add(&["-mon", "chardev=monitor,mode=control"]);
        let places = places(self.machine, self.devices.len())?;
        let mtus = self.mtus.iter().copied().chain(std::iter::repeat(None));
        for ((device, place), mtu) in self.devices.iter().zip(&places).zip(mtus) {
            for word in self.device(device, place, mtu) {
                add(&[&word]);
            }
        }
        add(&["-kernel", &self.image.path()]);
        if !self.command_line.is_empty() {
            add(&["-append"]);
            out.push(self.command_line.clone());
        }
        Ok(out)
    }

    /// The words for one device.
    fn device(&self, device: &Device, place: &str, given: Option<Mtu>) -> Vec<String> {
        let index = device.index;
        let on_pci = self.machine != Machine::Microvm;
        let driver =
            |kind: &str| format!("virtio-{kind}-{}", if on_pci { "pci" } else { "device" });
        match &device.backing {
            Backing::Block { path, sector_size, access, .. } => {
                let file = Handle::of(device, path);
                let kind = if is_block_device(device, path) { "host_device" } else { "file" };
                let read_only = if *access == Access::ReadOnly { "on" } else { "off" };
                let serial = short_name(&device.name, index);
                let size = sector_size.bytes();
                let sectors = match size {
                    512 => String::new(),
                    size => format!(",logical_block_size={size},physical_block_size={size}"),
                };
                vec![
                    "-add-fd".into(),
                    format!("fd={file},set={index}"),
                    "-blockdev".into(),
                    // The runner has locked the disk.
                    format!(
                        "driver={kind},node-name=disk{index},filename=/dev/fdset/{index},locking=off,\
                         read-only={read_only}"
                    ),
                    "-device".into(),
                    // QEMU would stop the machine when the host's disk is full.
                    format!(
                        "{},drive=disk{index},serial={serial},{place}{sectors},werror=report",
                        driver("blk")
                    ),
                ]
            }
            Backing::Net { interface, mtu, mac: address, .. } => {
                let tap = Handle::of(device, &os_text(OsStr::from_bytes(interface)));
                // The bindings of Solo5 0.12 tell the application of a larger MTU and lose its frames.
                let larger = *mtu > Mtu::ETHERNET && !self.knows_features;
                let told = given.or((*mtu != Mtu::ETHERNET && !larger).then_some(*mtu));
                let told = told.map(|mtu| format!(",host_mtu={mtu}")).unwrap_or_default();
                // Without an option ROM for booting from the network.
                let rom = if on_pci { ",romfile=" } else { "" };
                let address = mac(*address);
                vec![
                    "-netdev".into(),
                    format!("tap,id=net{index},fd={tap}"),
                    "-device".into(),
                    format!("{},netdev=net{index},mac={address},{place}{told}{rom}", driver("net")),
                ]
            }
        }
    }
}

/// Whether a disk is a block device: QEMU has another driver for these.
fn is_block_device(device: &Device, path: &str) -> bool {
    let mode = match &device.fd {
        Some(fd) => rustix::fs::fstat(fd),
        None => rustix::fs::stat(path),
    };
    mode.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::BlockDevice)
}

/// A command line as a word list for [`std::os::unix`]: arguments joined by spaces.
pub fn joined(arguments: &[OsString]) -> Result<OsString, Error> {
    let mut line = solo5_tender::start::command_line(arguments)?;
    line.pop();
    Ok(OsString::from_vec(line))
}

#[cfg(test)]
mod tests {
    use solo5_abi::device::SectorSize;
    use solo5_tender::attach::FileId;

    use super::*;

    fn net(index: usize, name: &str, mtu: u64) -> Device {
        let mtu = Mtu::new(mtu).unwrap();
        let mac = Some([2, 0, 0, 0, 0, 0xa]);
        let backing = Backing::Net { interface: b"tap1".to_vec(), mtu, mac, mtu_minimum: None };
        Device { index, name: name.into(), backing, fd: None }
    }

    fn block(index: usize, name: &str, access: Access, sector_size: u64) -> Device {
        let file = tempfile::tempfile().unwrap();
        let backing = Backing::Block {
            path: "/srv/a,b.img".into(),
            file: FileId::of(&file).unwrap(),
            capacity: 4096,
            sector_size: SectorSize::new(sector_size).unwrap(),
            access,
            capacity_minimum: None,
            flush: false,
        };
        Device { index, name: name.into(), backing, fd: Some(file.into()) }
    }

    fn parts(machine: Machine, devices: &[Device]) -> Parts<'_> {
        Parts {
            machine,
            kvm: false,
            sandbox: true,
            memory: 64 << 20,
            kernel: OsStr::new("/srv/a,b/x,y.virtio"),
            image: Handle::Open(9),
            status: Handle::Open(10),
            monitor: Handle::Open(11),
            command_line: "a,b  c".into(),
            knows_features: true,
            devices,
            mtus: &[],
        }
    }

    fn text(parts: &Parts<'_>) -> String {
        let words = parts.words().unwrap();
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_machine_has_its_devices_by_name_and_in_the_manifests_order() {
        let long = "x".repeat(21);
        let devices = [
            block(1, "storage", Access::ReadOnly, 4096),
            net(2, "service", 1500),
            block(3, &long, Access::ReadWrite, 512),
        ];
        let text = text(&parts(Machine::Pc, &devices));
        for part in [
            "-name guest=x,,y.virtio -nodefaults",
            "-machine pc,acpi=off -accel tcg -cpu max -m 64 ",
            "read-only=on -device virtio-blk-pci,drive=disk1,serial=storage,bus=pci.0,addr=0x2,\
             logical_block_size=4096,physical_block_size=4096,werror=report ",
            "-device virtio-net-pci,netdev=net2,mac=02:00:00:00:00:0a,bus=pci.0,addr=0x3,romfile= ",
            "read-only=off -device virtio-blk-pci,drive=disk3,serial=#3,bus=pci.0,addr=0x4,werror=report ",
            " -kernel /proc/self/fd/9 -append a,b  c",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("/srv"), "no path: {text}");
    }

    #[test]
    fn a_microvm_has_transports_and_no_pci() {
        let devices = [block(1, "storage", Access::ReadWrite, 512), net(2, "service", 1400)];
        let text = text(&parts(Machine::Microvm, &devices));
        assert!(text.contains(
            "-device virtio-blk-device,drive=disk1,serial=storage,bus=virtio-mmio-bus.0,werror=report "
        ));
        assert!(text.contains(",bus=virtio-mmio-bus.1,host_mtu=1400 "), "{text}");
        assert!(!text.contains("pci"));
    }

    #[test]
    fn a_machine_of_arm_has_its_status_port_on_pci() {
        let devices = [block(1, "storage", Access::ReadWrite, 512)];
        let text = text(&parts(Machine::Virt, &devices));
        for part in [
            "-machine virt,acpi=off,gic-version=max -accel tcg -cpu max -m 64 ",
            " -device pci-serial,bus=pcie.0,addr=0x1,chardev=status ",
            "-device virtio-blk-pci,drive=disk1,serial=storage,bus=pcie.0,addr=0x2,werror=report ",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("isa-debug"), "{text}");
    }

    #[test]
    fn only_bindings_that_know_more_get_words_and_a_larger_mtu() {
        let devices = [net(1, "service", 9000)];
        let arguments = [OsString::from("--solo5:quiet")];
        let words = |knows| command_words(&arguments, &devices, knows);
        assert_eq!(words(true), ["--solo5:net=service@02:00:00:00:00:0a", "--solo5:quiet"]);
        assert_eq!(words(false), ["--solo5:quiet"]);
        let mut parts = parts(Machine::Q35, &devices);
        assert!(text(&parts).contains(",host_mtu=9000,"));
        parts.knows_features = false;
        assert!(!text(&parts).contains("host_mtu"));
        let mtus = [Mtu::new(4000)];
        parts.mtus = &mtus;
        assert!(text(&parts).contains(",host_mtu=4000,"), "asked for by name");
    }
}
