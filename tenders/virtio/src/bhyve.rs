//! The commands that start a guest under FreeBSD's bhyve. They are shown by `--explain`: this program
//! runs on Linux, where there is no bhyve.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use solo5_launch::{Backing, Interface, Launch, Unfit};
use solo5_report::os_text;
use solo5_tender::attach;
use solo5_tender::error::Error;
use solo5_tender::explain::Command;

use crate::vector::{command_words, joined, short_name};

/// The machine's name.
const NAME: &str = "solo5";

/// The loader, the machine, and what removes it afterwards.
///
/// # Errors
///
/// A device is a descriptor, which bhyve cannot take, or the command line is too long.
pub fn commands(
    launch: &Launch,
    memory: u64,
    devices: &[attach::Device],
    knows_features: bool,
) -> Result<Vec<Command>, Error> {
    let memory = (memory >> 20).to_string();
    let by_name = knows_features && have_addresses(devices);
    let arguments = joined(&command_words(&launch.arguments, devices, by_name))?;
    // The first word is dropped by the guest.
    let kernel = os_text(&launch.kernel);
    let load = format!("multiboot {kernel} placeholder {}\nboot\n", os_text(&arguments));
    let loader = ["grub-bhyve", "-M", &memory, NAME];
    let mut bhyve: Vec<OsString> = [
        "bhyve",
        "-u",
        "-m",
        &memory,
        "-H",
        "-s",
        "0:0,hostbridge",
        "-s",
        "1:0,lpc",
        "-l",
        "com1,stdio",
    ]
    .iter()
    .map(OsString::from)
    .collect();
    for (slot, device) in (2..).zip(devices) {
        bhyve.push("-s".into());
        bhyve.push(format!("{slot}:0,{}", emulation(launch, device)?).into());
    }
    bhyve.push(NAME.into());
    let words = |words: &[&str]| words.iter().map(OsString::from).collect();
    Ok(vec![
        Command { words: words(&loader), input: Some(load) },
        Command { words: bhyve, input: None },
        Command { words: words(&["bhyvectl", "--destroy", &format!("--vm={NAME}")]), input: None },
    ])
}

/// The device as bhyve's `-s` takes it.
fn emulation(launch: &Launch, device: &attach::Device) -> Result<String, Error> {
    let index = device.index;
    let name = short_name(&device.name, index);
    match &device.backing {
        attach::Backing::Block { sector_size, access, .. } => {
            let block = launch.blocks.iter().find(|block| block.index == index);
            let path = match block.map(|block| &block.backing) {
                Some(Backing::Path(path)) => plain(path)?,
                _ => return Err(no_descriptor(&device.name)),
            };
            let read_only = if *access == attach::Access::ReadOnly { ",ro" } else { "" };
            let sectors = match sector_size.bytes() {
                512 => String::new(),
                size => format!(",sectorsize={size}"),
            };
            Ok(format!("virtio-blk,{path},ser={name}{read_only}{sectors}"))
        }
        attach::Backing::Net { mac, .. } => {
            let net = launch.nets.iter().find(|net| net.index == index);
            let (tap, mtu) = match net.map(|net| (&net.interface, net.mtu)) {
                Some((Interface::Tap(tap), mtu)) => (plain(tap)?, mtu),
                _ => return Err(no_descriptor(&device.name)),
            };
            let mac = mac.map(|mac| format!(",mac={}", solo5_launch::Mac(mac))).unwrap_or_default();
            let mtu = mtu.map(|mtu| format!(",mtu={mtu}")).unwrap_or_default();
            Ok(format!("virtio-net,{tap}{mac}{mtu}"))
        }
    }
}

/// Whether every network device can be told by its address. One whose address bhyve chooses can only be
/// told by its place, and then all are.
fn have_addresses(devices: &[attach::Device]) -> bool {
    let lacks =
        |device: &attach::Device| matches!(device.backing, attach::Backing::Net { mac: None, .. });
    !devices.iter().any(lacks)
}

fn no_descriptor(name: &str) -> Error {
    Unfit::Hypervisor {
        why: format!("bhyve takes no descriptor, so '{name}' needs a name or path"),
    }
    .into()
}

/// A path that bhyve's list with commas between can hold.
fn plain(path: &OsStr) -> Result<String, Error> {
    let text = os_text(path).into_owned();
    if path.as_bytes().contains(&b',') {
        let why = format!("bhyve takes no path with a comma: {text}");
        return Err(Unfit::Hypervisor { why }.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use solo5_abi::device::Mtu;

    use super::*;

    #[test]
    fn one_unknown_address_leaves_all_devices_to_their_places() {
        let net = |mac| {
            let (interface, mtu) = (b"tap1".to_vec(), Mtu::ETHERNET);
            let backing = attach::Backing::Net { interface, mtu, mac, mtu_minimum: None };
            attach::Device { index: 1, name: "net".to_owned(), backing, fd: None }
        };
        let known = Some([2, 0, 0, 0, 0, 1]);
        assert!(have_addresses(&[]) && have_addresses(&[net(known), net(known)]));
        assert!(!have_addresses(&[net(known), net(None)]));
    }
}
