//! Safe functions for the system calls that the tenders need and `rustix` does not wrap.
//!
//! No function here knows what a tender is. Each is one call, or the smallest useful group of
//! calls, and returns the kernel's result. Errors are [`Errno`]; [`strerror`] gives the text.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec};
pub use rustix::io::Errno;

use crate::seccomp::Instruction;

/// Texts that users and programs know from upstream's tenders. They are the same with every C
/// library.
const KNOWN: [(Errno, &str); 6] = [
    (Errno::NOENT, "No such file or directory"),
    (Errno::ISDIR, "Is a directory"),
    (Errno::ACCESS, "Permission denied"),
    (Errno::SPIPE, "Illegal seek"),
    (Errno::BADF, "Bad file descriptor"),
    (Errno::INVAL, "Invalid argument"),
];

/// The text for an error: upstream's where it is well known, such as `No such file or directory`,
/// else the C library's with the symbolic name, such as `Out of memory (ENOMEM)`.
pub fn strerror(errno: Errno) -> String {
    if let Some((_, text)) = KNOWN.iter().find(|(known, _)| *known == errno) {
        return (*text).to_owned();
    }
    let number = errno.raw_os_error();
    let mut text = [0u8; 128];
    // SAFETY: the pointer and length are those of `text`, which outlives the call; the XSI variant
    // that `libc` binds writes a terminated string of at most that length.
    let result = unsafe { libc::strerror_r(number, text.as_mut_ptr().cast(), text.len()) };
    match CStr::from_bytes_until_nul(&text) {
        Ok(text) if result == 0 => format!("{} ({:?})", text.to_string_lossy(), name(number)),
        _ => format!("Unknown error {number}"),
    }
}

/// The symbolic name of an error number, such as `ENOMEM`, as its `Debug` form. Does not allocate.
pub fn name(number: i32) -> impl std::fmt::Debug {
    nix::errno::Errno::from_raw(number)
}

/// The error of a C library call that has just failed.
pub(crate) fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Turns the result of a C library call, which is negative on failure, into a `Result`.
fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

/// For each of descriptors 0, 1 and 2: whether it was closed and is now `/dev/null`.
pub type Filled = [bool; 3];

/// Opens `/dev/null` on each of descriptors 0, 1 and 2 that is closed.
///
/// Call it before anything else is opened: if a disk image became descriptor 1, the guest's console
/// output would be written into it.
pub fn fill_standard_descriptors() -> Result<Filled, Errno> {
    let none = PollFlags::empty();
    // They may be closed: `poll` reports for each whether it is.
    let mut polled = [
        PollFd::from_borrowed_fd(rustix::stdio::stdin(), none),
        PollFd::from_borrowed_fd(rustix::stdio::stdout(), none),
        PollFd::from_borrowed_fd(rustix::stdio::stderr(), none),
    ];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut polled, Some(&at_once))?;
    let closed = polled.map(|fd| fd.revents().contains(PollFlags::NVAL));
    for _ in closed.iter().filter(|closed| **closed) {
        // `open` takes the lowest free number, so each turn fills the next gap below 3.
        let null =
            rustix::fs::open(c"/dev/null", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty())?;
        if null.as_raw_fd() > 2 {
            return Err(Errno::BADF);
        }
        std::mem::forget(null);
    }
    Ok(closed)
}

/// Whether descriptor `fd` is open.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// The status of the file that descriptor `fd` is open on; `EBADF` if it is not open.
pub fn status_of(fd: RawFd) -> Result<rustix::fs::Stat, Errno> {
    if !is_open(fd) {
        return Err(Errno::BADF);
    }
    // SAFETY: it is open, and a tender has one thread, so it stays open during the call.
    rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Takes over descriptor `fd`, which the launcher passed on.
///
/// # Safety
///
/// `fd` is open, and nothing else in this process owns it or will close it.
pub unsafe fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: the caller makes exactly the promise that `from_raw_fd` needs.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The execution domain of this process, as `personality(2)` reports it.
pub fn personality() -> Result<u32, Errno> {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: this argument only queries.
    check(unsafe { libc::personality(QUERY) }).map(|bits| bits as u32)
}

/// The user IDs of this process: real, effective, saved, and that for files.
pub fn user_ids() -> [u32; 4] {
    let (mut real, mut effective, mut saved) = (0, 0, 0);
    // The call fails only for bad addresses. Were it to fail, the IDs would stay 0, which is root.
    // SAFETY: the three numbers outlive the call, which writes one into each.
    unsafe { libc::getresuid(&mut real, &mut effective, &mut saved) };
    [real, effective, saved, file_user(NO_USER)]
}

/// Sets the user ID for file access to `user`, and returns the one before. [`NO_USER`] changes
/// nothing.
fn file_user(user: u32) -> u32 {
    // SAFETY: the call takes a number and touches no memory.
    unsafe { libc::setfsuid(user) }.cast_unsigned()
}

/// As [`file_user`], for the group ID.
fn file_group(group: u32) -> u32 {
    // SAFETY: the call takes a number and touches no memory.
    unsafe { libc::setfsgid(group) }.cast_unsigned()
}

/// An invalid user or group ID.
const NO_USER: u32 = u32::MAX;

/// While this value lives, files are opened with the caller's rights. These differ from the
/// program's rights only in a set-user-ID program.
#[derive(Debug)]
pub struct CallersRights {
    user: u32,
    group: u32,
}

impl CallersRights {
    /// Switches to the caller's rights.
    pub fn take() -> CallersRights {
        // The group comes first: after the change of user the process may lack the right to change
        // the group.
        let group = file_group(rustix::process::getgid().as_raw());
        let user = file_user(rustix::process::getuid().as_raw());
        CallersRights { user, group }
    }
}

impl Drop for CallersRights {
    fn drop(&mut self) {
        file_user(self.user);
        file_group(self.group);
    }
}

/// Bit of [`personality`]: every readable mapping is executable.
pub const READ_IMPLIES_EXEC: u32 = libc::READ_IMPLIES_EXEC as u32;

/// Closes every descriptor from 3 on that is not in `keep`.
///
/// # Safety
///
/// The caller never again uses any other descriptor from 3 on, not even by dropping its owner.
pub unsafe fn close_all_but(keep: &mut [RawFd]) -> Result<(), Errno> {
    keep.sort_unstable();
    let mut first: libc::c_uint = 3;
    for fd in keep.iter().filter_map(|fd| libc::c_uint::try_from(*fd).ok()) {
        if fd > first {
            close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    close_range(first, libc::c_uint::MAX)
}

/// Whether [`close_all_but`] works here.
pub fn can_close_ranges() -> bool {
    let last = libc::c_uint::MAX;
    // SAFETY: only numbers are passed; no descriptor has this one.
    let result = unsafe { libc::syscall(libc::SYS_close_range, last, last, 0) };
    result == 0 || last_error() == Errno::NOSYS
}

fn close_range(first: libc::c_uint, last: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: only numbers are passed. The only caller is `close_all_but`, whose own caller
    // promises that the descriptors are not needed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result == 0 {
        return Ok(());
    }
    match last_error() {
        // Kernels before 5.9 lack the call. There the descriptor limit bounds the loop.
        Errno::NOSYS => {
            let most = 1 << 20;
            let limit = limit(libc::RLIMIT_NOFILE as libc::c_int).ok().flatten();
            let limit = limit.unwrap_or(most).min(most) as libc::c_uint;
            for fd in first..=last.min(limit) {
                // SAFETY: as above; closing a number that is not open does nothing.
                unsafe { libc::close(fd as RawFd) };
            }
            Ok(())
        }
        error => Err(error),
    }
}

/// The soft limit on a resource, such as `RLIMIT_DATA`; `None` if there is none.
///
/// Unlike `rustix`'s function it can fail: a filter around the tender may forbid the call.
pub fn limit(resource: libc::c_int) -> Result<Option<u64>, Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call fills in the structure it is given, which outlives it.
    check(unsafe { libc::getrlimit(resource as _, &mut limit) })?;
    Ok(Some(limit.rlim_cur).filter(|limit| *limit != libc::RLIM_INFINITY))
}

/// Whether this process may install system call filters: the kernel supports them, and no outer
/// filter forbids the call.
pub fn check_filters() -> Result<(), Errno> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    let none = std::ptr::null::<Instruction>();
    // SAFETY: without a program nothing is installed.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, none) };
    match last_error() {
        // The kernel got as far as reading the program, so it would have accepted one.
        Errno::FAULT if result != 0 => Ok(()),
        error => Err(error),
    }
}

/// Unregisters the calling thread's area for restartable sequences (rseq), so that it can be
/// unmapped: while it is registered, the kernel may write to it at any time. Only glibc registers
/// one.
#[cfg(target_env = "gnu")]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    const UNREGISTER: libc::c_uint = 1;
    const SIGNATURE: libc::c_uint = 0x5305_3053;
    const AT_RSEQ_FEATURE_SIZE: libc::c_ulong = 27;
    // SAFETY: a terminated string; the call only looks it up.
    let offset = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__rseq_offset".as_ptr()) };
    if offset.is_null() {
        return Ok(());
    }
    // SAFETY: glibc's variable of this name is a `ptrdiff_t`.
    let offset = unsafe { *offset.cast::<isize>() };
    let thread: usize;
    // SAFETY: the first word of the thread's control block is its own address.
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) thread, options(nostack, readonly)) };
    let area = thread.wrapping_add_signed(offset);
    // SAFETY: the call looks a number up.
    let size = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) };
    // The size must be the registered one, which depends on glibc's version.
    let sizes = [32, size.next_multiple_of(32), size];
    let leave = |size: libc::c_ulong| {
        // SAFETY: only numbers are passed; the kernel unregisters the area if it is this one.
        unsafe { libc::syscall(libc::SYS_rseq, area, size, UNREGISTER, SIGNATURE) == 0 }
    };
    if sizes.into_iter().any(leave) { Ok(()) } else { Err(last_error()) }
}

/// musl registers none.
#[cfg(not(target_env = "gnu"))]
pub fn leave_restartable_sequences() -> Result<(), Errno> {
    Ok(())
}

/// Address of the vdso.
pub fn vdso() -> Option<u64> {
    // SAFETY: the call looks a number up.
    let address = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    (address != 0).then_some(address)
}

/// Installs a system call filter for the calling thread and the threads that it starts.
///
/// `no_new_privs` must be set, or the kernel refuses.
pub fn install_filter(filter: &[Instruction]) -> Result<(), Errno> {
    /// The kernel's `struct sock_fprog`.
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const Instruction,
    }
    const SET_MODE_FILTER: libc::c_uint = 1;
    let program = Program {
        length: u16::try_from(filter.len()).map_err(|_| Errno::INVAL)?,
        instructions: filter.as_ptr(),
    };
    // SAFETY: the call copies the program, whose pointer and length are those of `filter`.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, 0, &raw const program) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Landlock: a thread gives up rights to files and sockets.
pub mod landlock {
    use super::*;

    /// The kernel's `struct landlock_ruleset_attr`, up to version 6.
    #[repr(C)]
    #[derive(Default)]
    struct Ruleset {
        files: u64,
        network: u64,
        scopes: u64,
    }

    /// The kernel's Landlock ABI version; `None` without Landlock.
    fn version() -> Option<u32> {
        const VERSION: libc::c_uint = 1;
        let none = std::ptr::null::<Ruleset>();
        // SAFETY: with this flag the call only returns a number.
        let result = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0, VERSION) };
        u32::try_from(result).ok().filter(|version| *version > 0)
    }

    /// Gives up opening, creating and changing files, binding and connecting TCP sockets, and
    /// reaching other processes by signals or abstract sockets, as far as the kernel's version
    /// supports each. Open descriptors stay usable, and files in `removable` can still be removed.
    /// `false` if the kernel has no Landlock.
    pub fn deny_all(removable: Option<RawFd>) -> Result<bool, Errno> {
        let Some(version) = version() else {
            return Ok(false);
        };
        let made = ruleset(version)?;
        if let Some(directory) = removable {
            allow_removal(&made, directory)?;
        }
        restrict_self(made.as_raw_fd()).map(|()| true)
    }

    /// Whether [`deny_all`] works here. Like `deny_all`, it needs `no_new_privs` to be set.
    pub fn can_deny_all() -> bool {
        let made = version().is_some_and(|version| ruleset(version).is_ok());
        // The kernel checks the descriptor last, so `EBADF` means that all else is fine.
        made && restrict_self(-1) == Err(Errno::BADF)
    }

    /// A ruleset that allows nothing.
    fn ruleset(version: u32) -> Result<OwnedFd, Errno> {
        // How many rights to files each version knows.
        let files = match version {
            1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        let ruleset = Ruleset {
            files: (1 << files) - 1,
            network: if version >= 4 { 3 } else { 0 },
            scopes: if version >= 6 { 3 } else { 0 },
        };
        let size = match version {
            1..4 => 8,
            4 | 5 => 16,
            _ => size_of::<Ruleset>(),
        };
        // SAFETY: the kernel only reads `size` bytes of the structure.
        let made = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0)
        };
        let made = check(made as libc::c_int)?;
        // SAFETY: the call has just made this descriptor.
        Ok(unsafe { OwnedFd::from_raw_fd(made) })
    }

    fn restrict_self(ruleset: RawFd) -> Result<(), Errno> {
        // SAFETY: only numbers are passed.
        let result = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) };
        if result == 0 { Ok(()) } else { Err(last_error()) }
    }

    fn allow_removal(ruleset: &OwnedFd, directory: RawFd) -> Result<(), Errno> {
        /// The kernel's `struct landlock_path_beneath_attr`.
        #[repr(C, packed)]
        struct PathBeneath {
            allowed: u64,
            parent: i32,
        }
        const RULE_PATH_BENEATH: libc::c_uint = 1;
        const REMOVE_FILE: u64 = 1 << 5;
        let rule = PathBeneath { allowed: REMOVE_FILE, parent: directory };
        // SAFETY: a complete structure, which the kernel only reads.
        let result = unsafe {
            libc::syscall(
                libc::SYS_landlock_add_rule,
                ruleset.as_raw_fd(),
                RULE_PATH_BENEATH,
                &raw const rule,
                0,
            )
        };
        if result == 0 { Ok(()) } else { Err(last_error()) }
    }
}

/// Whether the kernel's seccomp has the action that kills the whole process.
pub fn has_seccomp_kill_process() -> bool {
    const GET_ACTION_AVAIL: libc::c_uint = 2;
    let action: u32 = crate::seccomp::KILL_PROCESS;
    // SAFETY: the call reads one number, which outlives it, and changes nothing.
    let result =
        unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) };
    result == 0
}

/// Queries and requests about network interfaces.
#[cfg(feature = "net")]
pub mod tap {
    use std::os::fd::BorrowedFd;

    use super::*;

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

    /// `_IO('T', 227)`
    const TUNGETDEVNETNS: libc::Ioctl = 0x54e3;
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
        let name = request.ifr_name.iter().map(|c| *c as u8);
        name.take_while(|c| *c != 0).collect()
    }

    fn ioctl(
        fd: BorrowedFd<'_>,
        number: libc::Ioctl,
        request: &mut libc::ifreq,
    ) -> Result<(), Errno> {
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
        check(unsafe { libc::ioctl(fd.as_raw_fd(), number, filter as *mut libc::sock_fprog) })
            .map(drop)
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
}

/// Processes and signals, for the parent that watches a guest and reports how it ended.
pub mod process {
    use super::*;

    use rustix::process::Signal;
    pub use rustix::process::{Pid, WaitStatus};

    /// A set of signals.
    #[derive(Clone, Copy)]
    pub struct Signals(libc::sigset_t);

    impl Signals {
        fn none() -> Signals {
            // SAFETY: a signal set is plain bits; all zero is the empty set.
            Signals(unsafe { std::mem::zeroed() })
        }

        fn all_but(signals: &[libc::c_int]) -> Result<Signals, Errno> {
            let mut set = Signals::none();
            // SAFETY: the call fills in the set it is given, which lives on this stack.
            check(unsafe { libc::sigfillset(&mut set.0) })?;
            for signal in signals {
                // SAFETY: the set is initialised, and a number that is no signal is an error.
                check(unsafe { libc::sigdelset(&mut set.0, *signal) })?;
            }
            Ok(set)
        }

        fn only(signal: libc::c_int) -> Result<Signals, Errno> {
            let mut set = Signals::none();
            // SAFETY: the set is initialised, and a number that is no signal is an error.
            check(unsafe { libc::sigaddset(&mut set.0, signal) })?;
            Ok(set)
        }

        /// Changes the mask of this process's only thread and returns the one before.
        fn mask(&self, how: libc::c_int) -> Result<Signals, Errno> {
            let mut before = Signals::none();
            // SAFETY: both sets are initialised and outlive the call.
            check(unsafe { libc::sigprocmask(how, &self.0, &mut before.0) })?;
            Ok(before)
        }
    }

    fn set_default_action(signal: libc::c_int) {
        // SAFETY: the default action runs no code of this program.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }

    /// Signals that [`block_signals`] does not block: job control must reach the process, and a
    /// fault of the program itself must act at once.
    const NOT_BLOCKED: [libc::c_int; 12] = [
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGSYS,
        libc::SIGSTOP,
    ];

    /// Blocks signals so that [`next_signal`] can take them, and resets SIGCHLD to its default, so
    /// that the kernel does not discard it. Returns the signals blocked now and those blocked
    /// before.
    pub fn block_signals() -> Result<(Signals, Signals), Errno> {
        let wanted = Signals::all_but(&NOT_BLOCKED)?;
        set_default_action(libc::SIGCHLD);
        let before = wanted.mask(libc::SIG_SETMASK)?;
        Ok((wanted, before))
    }

    /// Blocks exactly `signals`.
    pub fn restore_signals(signals: &Signals) -> Result<(), Errno> {
        signals.mask(libc::SIG_SETMASK).map(drop)
    }

    /// Waits for the next of the blocked `signals`.
    pub fn next_signal(signals: &Signals) -> Result<i32, Errno> {
        loop {
            // SAFETY: the set is initialised and only read; a null pointer asks for no details.
            match check(unsafe { libc::sigwaitinfo(&signals.0, std::ptr::null_mut()) }) {
                Err(Errno::INTR) => {}
                result => return result,
            }
        }
    }

    /// Whether `signal` is SIGCHLD.
    pub fn is_about_children(signal: i32) -> bool {
        signal == libc::SIGCHLD
    }

    /// Forks. Returns `None` in the child, which the kernel kills when its parent ends.
    pub fn fork() -> Result<Option<Pid>, Errno> {
        let parent = rustix::process::getpid();
        // SAFETY: a tender has one thread at this point, so no lock is held and the child may do
        // anything.
        let child = check(unsafe { libc::fork() })?;
        if child != 0 {
            return Ok(Pid::from_raw(child));
        }
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if rustix::process::getppid() != Some(parent) {
            return Err(Errno::SRCH);
        }
        Ok(None)
    }

    /// Sends `signal` to `child`, which this process has not waited for yet.
    pub fn forward(child: Pid, signal: i32) {
        // SAFETY: only numbers are passed. A child that has ended in the meantime is no error.
        unsafe { libc::kill(child.as_raw_nonzero().get(), signal) };
    }

    /// The wait status of `child` if it has ended; `None` if it runs or is stopped.
    pub fn ended(child: Pid) -> Result<Option<WaitStatus>, Errno> {
        use rustix::process::{WaitOptions, waitpid};
        let found = rustix::io::retry_on_intr(|| waitpid(Some(child), WaitOptions::NOHANG))?;
        Ok(found.map(|(_, status)| status))
    }

    /// Ends this process by `signal`, as its child ended, but without a core file.
    pub fn die_of(signal: i32) -> ! {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let _ = setrlimit(Resource::Core, none);
        set_default_action(signal);
        if let Ok(only) = Signals::only(signal) {
            let _ = only.mask(libc::SIG_UNBLOCK);
        }
        // SAFETY: only a number is passed, and the signal's action is the default, so no handler
        // runs.
        unsafe { libc::raise(signal) };
        // Reached only if the signal's default action does not end a process.
        std::process::exit(128 + signal)
    }

    /// The name of a signal, such as `SIGSEGV`.
    pub fn signal_name(signal: i32) -> String {
        match nix::sys::signal::Signal::try_from(signal) {
            Ok(known) => known.as_str().to_owned(),
            Err(_) => format!("signal {signal}"),
        }
    }

    /// Whether `signal` reports a fault of the process's own instructions.
    pub fn is_fault(signal: i32) -> bool {
        [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS]
            .contains(&signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_ids_are_those_in_proc_status() {
        let shown = || {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
            line.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<u32>>()
        };
        assert_eq!(user_ids().to_vec(), shown());
        // Changes the effective ID of one thread. Without the right to do so, nothing changes.
        let before = shown();
        let changed = std::thread::spawn(move || {
            // SAFETY: the call takes numbers, and changes only this thread's IDs.
            unsafe { libc::syscall(libc::SYS_setresuid, -1, 65534, -1) };
            (user_ids().to_vec(), shown())
        });
        let (found, shown) = changed.join().unwrap();
        assert_eq!(found, shown);
        assert_eq!(found.first(), before.first());
        let rights = CallersRights::take();
        assert_eq!(user_ids()[3], user_ids()[0]);
        drop(rights);
        assert_eq!(user_ids().to_vec(), before);
    }
}
