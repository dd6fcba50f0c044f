//! Queries and requests about network interfaces.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::errno::{Errno, check};

/// Longest interface name in bytes, terminator included.
pub const NAME_SIZE: usize = libc::IFNAMSIZ;
/// Interface flag: administratively up.
pub const IFF_UP: u32 = libc::IFF_UP as u32;
/// Tun device flag: frames of layer 2.
pub const IFF_TAP: u32 = libc::IFF_TAP as u32;
/// Tun device flag: no packet information in front of a frame.
pub const IFF_NO_PI: u32 = libc::IFF_NO_PI as u32;
/// Tun device flag: a virtio header in front of a frame.
pub const IFF_VNET_HDR: u32 = libc::IFF_VNET_HDR as u32;

/// Its number depends on the architecture.
const TUNGETDEVNETNS: libc::Ioctl = rustix::ioctl::opcode::none(b'T', 227) as libc::Ioctl;
const ETHTOOL_SGSO: u32 = 0x24;
const ETHTOOL_SGRO: u32 = 0x2c;

/// A request about the interface `name`; `None` if the name is too long or has a NUL in it.
fn request(name: &[u8]) -> Option<libc::ifreq> {
    if name.len() >= NAME_SIZE || name.contains(&0) {
        return None;
    }
    // SAFETY: `ifreq` consists of integers, pointers and unions of these, so all zeros is a
    // valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    Some(request)
}

fn name_of(request: &libc::ifreq) -> Vec<u8> {
    #[allow(clippy::unnecessary_cast, reason = "only on some architectures")]
    let name = request.ifr_name.iter().map(|c| *c as u8);
    name.take_while(|c| *c != 0).collect()
}

fn ioctl(fd: BorrowedFd<'_>, number: libc::Ioctl, request: &mut libc::ifreq) -> Result<(), Errno> {
    // SAFETY: every number passed by this module reads and writes one `ifreq`, which outlives
    // the call.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number, request as *mut libc::ifreq) }).map(drop)
}

/// A socket for interface ioctls.
pub fn control_socket() -> Result<OwnedFd, Errno> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

/// The flags of an interface, such as [`IFF_UP`]. `ENODEV` if there is none of that name.
pub fn flags(control: BorrowedFd<'_>, name: &[u8]) -> Result<u32, Errno> {
    let mut request = request(name).ok_or(Errno::NAMETOOLONG)?;
    ioctl(control, libc::SIOCGIFFLAGS as libc::Ioctl, &mut request)?;
    // SAFETY: SIOCGIFFLAGS fills in this member, and any bits are a short.
    Ok(u32::from(unsafe { request.ifr_ifru.ifru_flags } as u16))
}

/// The MTU of an interface in bytes.
pub fn mtu(control: BorrowedFd<'_>, name: &[u8]) -> Result<u32, Errno> {
    let mut request = request(name).ok_or(Errno::NAMETOOLONG)?;
    ioctl(control, libc::SIOCGIFMTU as libc::Ioctl, &mut request)?;
    // SAFETY: SIOCGIFMTU fills in this member, and any bits are an int.
    Ok(unsafe { request.ifr_ifru.ifru_mtu }.max(0) as u32)
}

/// Switches generic receive and segmentation offload off, so that no frame is longer than the
/// MTU. Best effort, as in upstream: not every driver has both.
pub fn offload_off(control: BorrowedFd<'_>, name: &[u8]) {
    #[repr(C)]
    struct EthtoolValue {
        command: u32,
        data: u32,
    }
    for command in [ETHTOOL_SGRO, ETHTOOL_SGSO] {
        let mut value = EthtoolValue { command, data: 0 };
        if let Some(mut request) = request(name) {
            request.ifr_ifru.ifru_data = (&raw mut value).cast();
            let _ = ioctl(control, libc::SIOCETHTOOL as libc::Ioctl, &mut request);
        }
    }
}

/// The driver of an interface.
pub struct Driver {
    /// Name of the driver, such as `tun`, `bridge` or `veth`.
    pub name: Vec<u8>,
    /// Bus information. The driver `tun` puts `tun` or `tap` here.
    pub bus: Vec<u8>,
}

/// Asks for the driver of an interface. Not every driver answers.
pub fn driver(control: BorrowedFd<'_>, name: &[u8]) -> Result<Driver, Errno> {
    const ETHTOOL_GDRVINFO: u32 = 0x3;
    /// The kernel's `struct ethtool_drvinfo`.
    #[repr(C)]
    struct DriverInfo {
        command: u32,
        driver: [u8; 32],
        versions: [[u8; 32]; 2],
        bus_info: [u8; 32],
        rest: [u8; 64],
    }
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        versions: [[0; 32]; 2],
        bus_info: [0; 32],
        rest: [0; 64],
    };
    let mut request = request(name).ok_or(Errno::NAMETOOLONG)?;
    request.ifr_ifru.ifru_data = (&raw mut info).cast();
    ioctl(control, libc::SIOCETHTOOL as libc::Ioctl, &mut request)?;
    let text = |bytes: [u8; 32]| bytes.into_iter().take_while(|byte| *byte != 0).collect();
    Ok(Driver { name: text(info.driver), bus: text(info.bus_info) })
}

/// Attaches an open `/dev/net/tun` to the tap called `name`; returns the name the kernel gave.
pub fn attach(tun: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut request = request(name).ok_or(Errno::NAMETOOLONG)?;
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    ioctl(tun, libc::TUNSETIFF as libc::Ioctl, &mut request)?;
    Ok(name_of(&request))
}

/// The network namespace of the interface behind `fd`. Needs Linux 5.7.
pub fn namespace(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: the request has no argument.
    let made = check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNGETDEVNETNS) })?;
    // SAFETY: the call has just made this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(made) })
}

/// An ioctl about the packet filter of the tap behind `fd`.
fn filter_ioctl(
    fd: BorrowedFd<'_>,
    number: libc::Ioctl,
    filter: &mut libc::sock_fprog,
) -> Result<(), Errno> {
    // SAFETY: every number passed by this module reads or writes one `sock_fprog`, which
    // outlives the call. The kernel only reads the instructions.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), number, filter as *mut libc::sock_fprog) }).map(drop)
}

/// Whether the kernel puts packet information in front of the frames of the tap behind `fd`,
/// whose flags are `flags`.
///
/// The kernel reports two facts in one bit: [`IFF_NO_PI`], and that the tap has no packet
/// filter. So this function attaches a filter, which lets every frame pass, asks for the flags
/// again, and removes the filter at once.
pub fn has_packet_information(fd: BorrowedFd<'_>, flags: u32) -> bool {
    if flags & IFF_NO_PI == 0 {
        return true;
    }
    let mut accept = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: u32::MAX };
    let mut filter = libc::sock_fprog { len: 0, filter: std::ptr::null_mut() };
    // If the launcher has attached a filter, `flags` already tells the truth, and the filter
    // must stay. A length of 1 may be left from an earlier call of this function, because the
    // kernel's record outlives the filter.
    let known = filter_ioctl(fd, libc::TUNGETFILTER as libc::Ioctl, &mut filter);
    if known.is_err() || filter.len > 1 {
        return false;
    }
    filter = libc::sock_fprog { len: 1, filter: &raw mut accept };
    if filter_ioctl(fd, libc::TUNATTACHFILTER as libc::Ioctl, &mut filter).is_err() {
        return false;
    }
    let flags = identify(fd).map(|(_, flags)| flags);
    // If the filter cannot be removed, it still lets every frame pass.
    let _ = filter_ioctl(fd, libc::TUNDETACHFILTER as libc::Ioctl, &mut filter);
    flags.is_ok_and(|flags| flags & IFF_NO_PI == 0)
}

/// Name and tun device flags of the interface behind `fd`. `ENOTTY` or `EINVAL` if `fd` is not
/// an attached interface. The flag [`IFF_NO_PI`] says nothing: see [`has_packet_information`].
pub fn identify(fd: BorrowedFd<'_>) -> Result<(Vec<u8>, u32), Errno> {
    let mut request = request(b"").ok_or(Errno::NAMETOOLONG)?;
    ioctl(fd, libc::TUNGETIFF as libc::Ioctl, &mut request)?;
    // SAFETY: TUNGETIFF fills in this member, and any bits are a short.
    let flags = u32::from(unsafe { request.ifr_ifru.ifru_flags } as u16);
    Ok((name_of(&request), flags))
}
