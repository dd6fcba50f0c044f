//! Why a call into the bindings failed.

use core::fmt;

/// A failed call (docs/reference/guest-api.md#results).
///
/// "Nothing now, perhaps later" is not an error: calls that can say so return `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bindings or this crate refused an argument: a device that the manifest does not declare, a
    /// second acquisition, an offset beyond the end, a buffer of the wrong length.
    Invalid,
    /// Any other failure: an optional device that the operator did not attach, a write to one that is
    /// attached for reading only, an error of the host's disk.
    Unspecified,
}

/// The result of a call into the bindings.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Invalid => "invalid argument, or no such device",
            Error::Unspecified => "the device failed, or is not attached for this",
        })
    }
}

impl core::error::Error for Error {}
