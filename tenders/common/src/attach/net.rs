//! Network interfaces: taps by name or by inherited descriptor
//! (`docs/reference/downstream.md#attach-net`).

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use solo5_abi::device::Mtu;
use solo5_launch::{Interface, Net, Unfit};
use solo5_policy::{Fact, NetFacts};
use solo5_report::os_text;

use super::{Backing, Device, Inherited, NAMED_TWICE, check_not_standard};
use crate::error::Error;
use crate::netlink;
use crate::sys::{Errno, strerror, tap};

/// Driver and bus that the kernel reports for a tap.
const TAP: (&[u8], &[u8]) = (b"tun", b"tap");

/// MTU assumed for an inherited tap whose interface cannot be queried, for example because it is in
/// another network namespace.
pub const MTU_UNKNOWN: Mtu = Mtu::ETHERNET;

/// What the kernel reports about an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapInfo {
    /// Its name.
    pub name: Vec<u8>,
    /// Longest frame in bytes, without the Ethernet header.
    pub mtu: Mtu,
    /// `Ok` if the interface is in the tender's own network namespace. `Err` says that it is not,
    /// or why this cannot be determined. In another namespace the same name belongs to another
    /// interface.
    pub in_own_namespace: Result<(), String>,
}

fn checked_mtu(interface: &str, mtu: u32) -> Result<Mtu, Error> {
    Mtu::new(mtu.into()).ok_or_else(|| Error::Mtu { interface: interface.to_owned(), mtu })
}

/// Checks that the interface called `name` exists and is up.
fn check_up(control: &OwnedFd, name: &OsStr) -> Result<(), Error> {
    match tap::flags(control.as_fd(), name.as_bytes()) {
        Ok(flags) if flags & tap::IFF_UP != 0 => Ok(()),
        Ok(_) => Err(tap_problem(name, Errno::NETDOWN)),
        // Upstream's text when no interface has this name.
        Err(Errno::NODEV) => Err(tap_problem(name, Errno::NOENT)),
        Err(error) => Err(tap_problem(name, error)),
    }
}

fn mtu_of(control: &OwnedFd, name: &OsStr) -> Result<Mtu, Error> {
    let mtu = tap::mtu(control.as_fd(), name.as_bytes());
    let mtu = mtu.map_err(|error| tap_problem(name, error))?;
    checked_mtu(&os_text(name), mtu)
}

fn tap_problem(name: &OsStr, error: Errno) -> Error {
    Error::Tap { interface: os_text(name).into_owned(), error }
}

/// Explains why an existing interface cannot be attached, if the kernel reports its driver.
fn not_a_plain_tap(control: &OwnedFd, name: &OsStr) -> Option<Error> {
    let interface = os_text(name).into_owned();
    let make = format!("make one with `ip tuntap add mode tap name {interface}`");
    let driver = match tap::driver(control.as_fd(), name.as_bytes()) {
        Ok(driver) => driver,
        // A tap's driver always tells.
        Err(Errno::OPNOTSUPP) => {
            let what =
                "an interface without a driver of its own, not a tap; attach a tap".to_owned();
            return Some(Error::NotTap { interface, what });
        }
        Err(_) => return None,
    };
    let driver = (driver.name.as_slice(), driver.bus.as_slice());
    let what = match driver {
        (b"tun", b"tap") => format!("a multi-queue tap, not a plain one; {make}"),
        (b"tun", _) => format!("a tun, which has no Ethernet frames, not a tap; {make}"),
        (b"bridge", _) => "a bridge, not a tap; attach a tap that is a port of it".to_owned(),
        (other, _) => {
            format!("an interface of the driver {}, not a tap", os_text(OsStr::from_bytes(other)))
        }
    };
    Some(Error::NotTap { interface, what })
}

/// Checks, without attaching, that the interface called `name` exists, is a tap, is up, and has an
/// MTU that Ethernet allows.
pub fn inspect(name: &OsStr) -> Result<TapInfo, Error> {
    let control = control(name)?;
    check_up(&control, name)?;
    let driver = tap::driver(control.as_fd(), name.as_bytes());
    if !driver.is_ok_and(|driver| (driver.name.as_slice(), driver.bus.as_slice()) == TAP)
        && let Some(error) = not_a_plain_tap(&control, name)
    {
        return Err(error);
    }
    Ok(TapInfo {
        name: name.as_bytes().to_owned(),
        mtu: mtu_of(&control, name)?,
        in_own_namespace: Ok(()),
    })
}

fn control(name: &OsStr) -> Result<OwnedFd, Error> {
    tap::control_socket().map_err(|error| tap_problem(name, error))
}

/// Attaches the tap called `name`. It must exist and be up; the tender never creates one.
///
/// Switches receive and segmentation offload of the interface off, and leaves them off.
pub fn attach(name: &OsStr) -> Result<(TapInfo, OwnedFd), Error> {
    let control = control(name)?;
    check_up(&control, name)?;
    let failed = |error| tap_problem(name, error);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(c"/dev/net/tun", flags, Mode::empty()).map_err(failed)?;
    let given = tap::attach(fd.as_fd(), name.as_bytes()).map_err(|error| match error {
        Errno::INVAL => not_a_plain_tap(&control, name).unwrap_or_else(|| failed(error)),
        error => failed(error),
    })?;
    if given != name.as_bytes() {
        return Err(failed(Errno::INVAL));
    }
    let mtu = mtu_of(&control, name)?;
    tap::offload_off(control.as_fd(), name.as_bytes());
    Ok((TapInfo { name: given, mtu, in_own_namespace: Ok(()) }, fd))
}

/// Identifies the tap of an inherited descriptor, and checks that its frames are bare Ethernet
/// frames.
pub fn identify(fd: &OwnedFd) -> Result<TapInfo, Error> {
    let not_tap = |why| Error::Unfit(Unfit::TapFd { fd: fd.as_raw_fd(), why });
    let (name, flags) =
        tap::identify(fd.as_fd()).map_err(|_| not_tap("it is not an attached tap"))?;
    if flags & tap::IFF_TAP == 0 {
        return Err(not_tap("it is a tun, which has no Ethernet frames"));
    }
    if tap::has_packet_information(fd.as_fd(), flags) {
        return Err(not_tap("its frames start with packet information"));
    }
    if flags & tap::IFF_VNET_HDR != 0 {
        return Err(not_tap("its frames start with a virtio header"));
    }
    let in_own_namespace = check_own_namespace(fd);
    let mtu = match &in_own_namespace {
        Ok(()) => tap::control_socket().and_then(|control| tap::mtu(control.as_fd(), &name)).ok(),
        Err(_) => None,
    };
    let mtu = mtu.map(|mtu| checked_mtu(&os_text(OsStr::from_bytes(&name)), mtu));
    Ok(TapInfo { name, mtu: mtu.unwrap_or(Ok(MTU_UNKNOWN))?, in_own_namespace })
}

/// Checks that the tap behind `fd` is in the tender's own network namespace.
fn check_own_namespace(fd: &OwnedFd) -> Result<(), String> {
    let unread = |error| format!("its network namespace cannot be read: {}", strerror(error));
    if namespace(fd).map_err(unread)? == own_namespace().map_err(unread)? {
        Ok(())
    } else {
        Err("its interface is in another network namespace".to_owned())
    }
}

/// The inode of the network namespace of the tap behind `fd`.
fn namespace(fd: &OwnedFd) -> Result<u64, Errno> {
    tap::namespace(fd.as_fd()).and_then(|namespace| Ok(rustix::fs::fstat(namespace)?.st_ino))
}

/// The inode of the tender's own network namespace. `/proc/self/ns/net` is a symbolic link to
/// `net:[INODE]`. The lookup crosses no mount point, so that nothing mounted over procfs can fake
/// the answer.
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

/// Identifies an inherited tap and makes its descriptor non-blocking.
pub fn adopt(fd: OwnedFd) -> Result<(TapInfo, OwnedFd), Error> {
    let info = identify(&fd)?;
    let result = rustix::fs::fcntl_getfl(&fd)
        .and_then(|flags| rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
    result.map_err(|error| Error::Tap { interface: format!("@{}", fd.as_raw_fd()), error })?;
    Ok((info, fd))
}

/// Attaches the interface that the launch names; with `only_inspect` it attaches nothing. Also
/// returns the facts that policies judge. The bridge is looked up only with `with_bridge`, because
/// only policies need it.
pub fn open(
    net: &Net,
    only_inspect: bool,
    with_bridge: bool,
    inherited: &mut Inherited,
) -> Result<(Device, NetFacts), Error> {
    let (info, fd) = match (&net.interface, only_inspect) {
        (Interface::Tap(name), true) => (inspect(name)?, None),
        (Interface::Tap(name), false) => attach(name).map(|(info, fd)| (info, Some(fd)))?,
        (Interface::Fd(number), only_inspect) => {
            check_not_standard(*number).map_err(|why| Unfit::TapFd { fd: *number, why })?;
            if inherited.is_taken(*number) {
                return Err(Unfit::TapFd { fd: *number, why: NAMED_TWICE }.into());
            }
            let fd = inherited
                .take(*number)
                .map_err(|error| Error::Tap { interface: format!("@{number}"), error })?;
            match only_inspect {
                true => (identify(&fd)?, None),
                false => adopt(fd).map(|(info, fd)| (info, Some(fd)))?,
            }
        }
    };
    let mac = match net.mac.map(|mac| mac.0) {
        None if !only_inspect => Some(random_mac()?),
        given => given,
    };
    let facts = facts(&info, with_bridge);
    let backing =
        Backing::Net { interface: info.name, mtu: info.mtu, mac, mtu_minimum: net.mtu_minimum };
    Ok((Device { index: net.index, name: net.name.clone(), backing, fd }, facts))
}

/// The facts about a tap that policies judge.
fn facts(info: &TapInfo, with_bridge: bool) -> NetFacts {
    if let Err(why) = &info.in_own_namespace {
        return NetFacts {
            tap: Fact::Unreadable(why.clone()),
            bridge: Fact::Unreadable(why.clone()),
        };
    }
    let bridge = || match netlink::master(&info.name) {
        Ok(bridge) => Fact::Known(bridge.map(OsString::from_vec)),
        Err(error) => Fact::Unreadable(format!("the kernel says: {}", strerror(error))),
    };
    NetFacts {
        tap: Fact::Known(OsString::from_vec(info.name.clone())),
        bridge: if with_bridge { bridge() } else { Fact::Unknown },
    }
}

/// Refuses one tap for two devices: each frame would reach only one of them. Two descriptors can
/// belong to the same tap, and two taps in different network namespaces can have the same name.
pub fn check_taps(devices: &[Device]) -> Result<(), Error> {
    let mut seen: Vec<(&[u8], &OwnedFd, &str)> = Vec::new();
    for device in devices {
        let (Backing::Net { interface, .. }, Some(fd)) = (&device.backing, &device.fd) else {
            continue;
        };
        let same = seen.iter().find(|(other, other_fd, _)| {
            *other == interface.as_slice() && namespace(other_fd) == namespace(fd)
        });
        if let Some((.., other)) = same {
            let names = [(*other).to_owned(), device.name.clone()];
            let interface = os_text(OsStr::from_bytes(interface)).into_owned();
            return Err(Unfit::NetTwice { names, interface }.into());
        }
        seen.push((interface, fd, &device.name));
    }
    Ok(())
}

/// Refuses a tap whose name has changed since the policy judged it: interfaces can be renamed at
/// any time.
pub fn check_name_unchanged(device: &Device) -> Result<(), Error> {
    let (Backing::Net { interface, .. }, Some(fd)) = (&device.backing, &device.fd) else {
        return Ok(());
    };
    match tap::identify(fd.as_fd()) {
        Ok((now, _)) if now == *interface => Ok(()),
        _ => {
            let why = "its interface was renamed or removed meanwhile";
            Err(Unfit::TapFd { fd: fd.as_raw_fd(), why }.into())
        }
    }
}

/// A random Ethernet address: unicast and locally administered.
pub fn random_mac() -> Result<[u8; 6], Error> {
    let mut mac = [0; 6];
    // The kernel answers a request of up to 256 bytes in full.
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
    fn attach_refuses_missing_and_overlong_names_with_upstreams_texts() {
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
        assert!(matches!(adopt(file), Err(Error::Unfit(Unfit::TapFd { .. }))));
    }

    #[test]
    fn mtus_outside_the_ethernet_range_are_refused() {
        assert_eq!(checked_mtu("t", 68).map(Mtu::bytes), Ok(68));
        assert_eq!(checked_mtu("t", 65535).map(Mtu::bytes), Ok(65535));
        for mtu in [0, 67, 65536] {
            assert!(checked_mtu("t", mtu).is_err(), "{mtu}");
        }
    }
}
