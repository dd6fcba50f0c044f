//! Error numbers: the kernel's results, their texts and names.

use std::ffi::CStr;

pub use rustix::io::Errno;

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
pub(crate) fn check(result: libc::c_int) -> Result<libc::c_int, Errno> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}
