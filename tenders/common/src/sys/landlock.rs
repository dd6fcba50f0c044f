//! Landlock: a thread gives up rights to files and sockets.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::errno::{Errno, check, last_error};

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
    let made =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0) };
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
