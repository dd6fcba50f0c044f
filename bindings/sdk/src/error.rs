//! Why a call into the bindings failed.

use core::fmt;

/// A failed call (docs/reference/guest-api.md#results).
///
/// "Nothing now, perhaps later" is not an error: calls that can say so return `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The bindings or this crate refused an argument: the name of a device that the manifest does not
    /// declare or that was acquired before, an offset beyond the end, a buffer of the wrong length.
    Invalid,
    /// Any other failure: the operator did not attach an optional device, a write went to a device
    /// that is attached for reading only, the host's disk failed, the manifest does not have
    /// `flush: true` for a device that is flushed.
    Unspecified,
}

/// The result of a call into the bindings.
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::Invalid => "invalid argument, or no such device",
            Error::Unspecified => "the device failed, is not attached, is read-only, or has no `flush: true` in the manifest",
        })
    }
}

impl core::error::Error for Error {}
