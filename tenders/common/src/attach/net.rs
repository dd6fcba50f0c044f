//! Network interfaces: taps by name or by inherited descriptor
//! (`docs/reference/downstream.md#attach-net`).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use solo5_abi::device::Mtu;
use solo5_launch::{Interface, Net};
use solo5_policy::{Fact, NetFacts};

use super::{Backing, Device, Inherited, check_no_standard};
use crate::error::Error;
use crate::gate::name_fact;
use crate::netlink;
use crate::sys::{Errno, strerror, tap};

/// Driver and bus of a tap, as the kernel says.
const TAP: (&[u8], &[u8]) = (b"tun", b"tap");

/// MTU of an inherited tap whose interface cannot be asked, as that of one in another network namespace.
pub const MTU_UNKNOWN: Mtu = Mtu::ETHERNET;

/// What is known of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub name: Vec<u8>,
    /// Longest frame, its header not counted.
    pub mtu: Mtu,
    /// Whether the name is one of the tender's own network namespace; if not, why not, or why nobody
    /// knows. In another one the same name is another interface.
    pub is_here: Result<(), String>,
}

fn checked_mtu(interface: &str, mtu: u32) -> Result<Mtu, Error> {
    Mtu::new(mtu.into()).ok_or_else(|| Error::Mtu { interface: interface.to_owned(), mtu })
}

/// Whether the interface called `name` exists and is up.
fn check_up(control: &OwnedFd, name: &OsStr) -> Result<(), Error> {
    match tap::flags(control.as_fd(), name.as_bytes()) {
        Ok(flags) if flags & tap::IFF_UP != 0 => Ok(()),
        Ok(_) => Err(tap_problem(name, Errno::NETDOWN)),
        // Upstream's text for a name nobody has.
        Err(Errno::NODEV) => Err(tap_problem(name, Errno::NOENT)),
        Err(error) => Err(tap_problem(name, error)),
    }
}

fn mtu_of(control: &OwnedFd, name: &OsStr) -> Result<Mtu, Error> {
    let mtu = tap::mtu(control.as_fd(), name.as_bytes());
    let mtu = mtu.map_err(|error| tap_problem(name, error))?;
    checked_mtu(&name.to_string_lossy(), mtu)
}

fn tap_problem(name: &OsStr, error: Errno) -> Error {
    Error::Tap { interface: name.to_string_lossy().into_owned(), error }
}

/// What is wrong with an interface that exists and cannot be attached, if the kernel says what it is.
fn no_plain_tap(control: &OwnedFd, name: &OsStr) -> Option<Error> {
    let interface = name.to_string_lossy().into_owned();
    let driver = tap::driver(control.as_fd(), name.as_bytes()).ok()?;
    let driver = (driver.name.as_slice(), driver.bus.as_slice());
    let make = format!("make one with `ip tuntap add mode tap name {interface}`");
    let what = match driver {
        (b"tun", b"tap") => format!("a tap of several queues, not of one; {make}"),
        (b"tun", _) => format!("a tun, which has no Ethernet frames, not a tap; {make}"),
        (b"bridge", _) => "a bridge, not a tap; attach a tap that is a port of it".to_owned(),
        (other, _) => {
            format!("an interface of the driver {}, not a tap", String::from_utf8_lossy(other))
        }
    };
    Some(Error::NotATap { interface, what })
}

/// Looks at the interface called `name`: it exists, is up, and has an MTU of Ethernet's.
pub fn look(name: &OsStr) -> Result<Seen, Error> {
    let control = control(name)?;
    check_up(&control, name)?;
    let driver = tap::driver(control.as_fd(), name.as_bytes());
    if driver.is_ok_and(|driver| (driver.name.as_slice(), driver.bus.as_slice()) != TAP)
        && let Some(error) = no_plain_tap(&control, name)
    {
        return Err(error);
    }
    Ok(Seen { name: name.as_bytes().to_owned(), mtu: mtu_of(&control, name)?, is_here: Ok(()) })
}

fn control(name: &OsStr) -> Result<OwnedFd, Error> {
    tap::control_socket().map_err(|error| tap_problem(name, error))
}

/// Attaches the tap called `name`, which must exist and be up; it is never created.
///
/// Receive and segmentation offload of the interface are switched off and stay so.
pub fn attach(name: &OsStr) -> Result<(Seen, OwnedFd), Error> {
    let control = control(name)?;
    check_up(&control, name)?;
    let failed = |error| tap_problem(name, error);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(c"/dev/net/tun", flags, Mode::empty()).map_err(failed)?;
    let given = tap::attach(fd.as_fd(), name.as_bytes()).map_err(|error| match error {
        Errno::INVAL => no_plain_tap(&control, name).unwrap_or_else(|| failed(error)),
        error => failed(error),
    })?;
    if given != name.as_bytes() {
        return Err(failed(Errno::INVAL));
    }
    let mtu = mtu_of(&control, name)?;
    tap::offload_off(control.as_fd(), name.as_bytes());
    Ok((Seen { name: given, mtu, is_here: Ok(()) }, fd))
}

/// Finds out which tap an inherited descriptor belongs to, and whether its frames are plain ones.
pub fn identify(fd: &OwnedFd) -> Result<Seen, Error> {
    let not_tap = |why| Error::NotTap { fd: fd.as_raw_fd(), why };
    let (name, flags) =
        tap::identify(fd.as_fd()).map_err(|_| not_tap("it is not an attached tap"))?;
    if flags & tap::IFF_TAP == 0 {
        return Err(not_tap("it is a tun, which has no Ethernet frames"));
    }
    if flags & tap::IFF_NO_PI == 0 {
        return Err(not_tap("its frames start with packet information"));
    }
    if flags & tap::IFF_VNET_HDR != 0 {
        return Err(not_tap("its frames start with a virtio header"));
    }
    let is_here = check_here(fd);
    let mtu = match &is_here {
        Ok(()) => tap::control_socket().and_then(|control| tap::mtu(control.as_fd(), &name)).ok(),
        Err(_) => None,
    };
    let mtu = mtu.map(|mtu| checked_mtu(&String::from_utf8_lossy(&name), mtu));
    Ok(Seen { name, mtu: mtu.unwrap_or(Ok(MTU_UNKNOWN))?, is_here })
}

/// Compares the network namespace of the tap behind `fd` with the tender's own.
fn check_here(fd: &OwnedFd) -> Result<(), String> {
    let unread = |error| format!("its network namespace cannot be read: {}", strerror(error));
    let inode =
        tap::namespace(fd.as_fd()).and_then(|namespace| Ok(rustix::fs::fstat(namespace)?.st_ino));
    if inode.map_err(unread)? == own_namespace().map_err(unread)? {
        Ok(())
    } else {
        Err("its interface is in another network namespace".to_owned())
    }
}

/// The inode of the tender's own network namespace, of which `/proc/self/ns/net` is a link that says
/// `net:[INODE]`. Nothing that is mounted on it or in front of it counts.
fn own_namespace() -> Result<u64, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open(c"/proc", folder, Mode::empty())?;
    if rustix::fs::fstatfs(&proc)?.f_type != rustix::fs::PROC_SUPER_MAGIC {
        return Err(Errno::NOENT);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV;
    let own = rustix::fs::openat2(&proc, c"self/ns", folder, Mode::empty(), resolve)?;
    let link = rustix::fs::readlinkat(&own, c"net", Vec::new())?;
    let inode = link.to_str().ok().and_then(|link| link.strip_prefix("net:[")?.strip_suffix(']'));
    inode.and_then(|inode| inode.parse().ok()).ok_or(Errno::BADMSG)
}

/// Makes an inherited descriptor of a tap ready for frames.
pub fn adopt(fd: OwnedFd) -> Result<(Seen, OwnedFd), Error> {
    let seen = identify(&fd)?;
    let result = rustix::fs::fcntl_getfl(&fd)
        .and_then(|flags| rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
    result.map_err(|error| Error::Tap { interface: format!("@{}", fd.as_raw_fd()), error })?;
    Ok((seen, fd))
}

/// Attaches what a launch asks for, or only looks at it; with what the host says of it. Its bridge is
/// looked up only if somebody may ask for it.
pub fn open(
    net: &Net,
    only_look: bool,
    with_bridge: bool,
    inherited: &mut Inherited,
) -> Result<(Device, NetFacts), Error> {
    let (seen, fd) = match (&net.interface, only_look) {
        (Interface::Tap(name), true) => (look(name)?, None),
        (Interface::Tap(name), false) => attach(name).map(|(seen, fd)| (seen, Some(fd)))?,
        (Interface::Fd(number), only_look) => {
            check_no_standard(*number).map_err(|why| Error::NotTap { fd: *number, why })?;
            let fd = inherited
                .take(*number)
                .map_err(|error| Error::Tap { interface: format!("@{number}"), error })?;
            match only_look {
                true => (identify(&fd)?, None),
                false => adopt(fd).map(|(seen, fd)| (seen, Some(fd)))?,
            }
        }
    };
    let mac = match net.mac.map(|mac| mac.0) {
        None if !only_look => Some(random_mac()?),
        given => given,
    };
    let facts = facts(&seen, with_bridge);
    let backing =
        Backing::Net { interface: seen.name, mtu: seen.mtu, mac, mtu_minimum: net.mtu_minimum };
    Ok((Device { index: net.index, name: net.name.clone(), backing, fd }, facts))
}

/// What the host says of a tap.
fn facts(seen: &Seen, with_bridge: bool) -> NetFacts {
    if let Err(why) = &seen.is_here {
        return NetFacts {
            tap: Fact::Unreadable(why.clone()),
            bridge: Fact::Unreadable(why.clone()),
        };
    }
    let bridge = || match netlink::master(&seen.name) {
        Ok(bridge) => Fact::Known(bridge.map(OsString::from_vec)),
        Err(error) => Fact::Unreadable(format!("the kernel says: {}", strerror(error))),
    };
    NetFacts {
        tap: name_fact(seen.name.clone()),
        bridge: if with_bridge { bridge() } else { Fact::Unknown },
    }
}

/// Refuses if the device is a tap that has another name by now: interfaces can be renamed, and what
/// was judged must be what is used.
pub fn check_still(device: &Device) -> Result<(), Error> {
    let (Backing::Net { interface, .. }, Some(fd)) = (&device.backing, &device.fd) else {
        return Ok(());
    };
    match tap::identify(fd.as_fd()) {
        Ok((now, _)) if now == *interface => Ok(()),
        _ => Err(Error::NotTap {
            fd: fd.as_raw_fd(),
            why: "its interface was renamed or removed meanwhile",
        }),
    }
}

/// A random Ethernet address: unicast and locally administered.
pub fn random_mac() -> Result<[u8; 6], Error> {
    let mut mac = [0; 6];
    // A request of up to 256 bytes is answered whole.
    rustix::rand::getrandom(&mut mac, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Error::Random { error })?;
    let [first, ..] = &mut mac;
    *first = *first & 0xfe | 0x02;
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_addresses_are_unicast_local_and_differ() {
        let (one, other) = (random_mac().unwrap(), random_mac().unwrap());
        assert_ne!(one, other);
        for mac in [one, other] {
            assert_eq!(mac[0] & 3, 2);
        }
    }

    #[test]
    fn what_is_no_tap_is_refused_with_upstreams_texts() {
        let refused = |name: &str| attach(OsStr::new(name)).unwrap_err().line();
        assert_eq!(
            refused("nosuchtap0"),
            "Could not attach interface: nosuchtap0: No such file or directory"
        );
        assert_eq!(
            refused("a23456789012345x"),
            "Could not attach interface: a23456789012345x: File name too long (ENAMETOOLONG)"
        );
        let file = OwnedFd::from(tempfile::tempfile().unwrap());
        assert!(matches!(adopt(file), Err(Error::NotTap { .. })));
    }

    #[test]
    fn mtus_outside_ethernets_are_refused() {
        assert_eq!(checked_mtu("t", 68).map(Mtu::bytes), Ok(68));
        assert_eq!(checked_mtu("t", 65535).map(Mtu::bytes), Ok(65535));
        for mtu in [0, 67, 65536] {
            assert!(checked_mtu("t", mtu).is_err(), "{mtu}");
        }
    }
}
