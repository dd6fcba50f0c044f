//! The information that a unikernel gets when it starts.

use core::ffi::CStr;
use core::str::Utf8Error;

use crate::arguments::Arguments;

/// The start information of a unikernel.
#[derive(Debug)]
pub struct Start {
    command_line: &'static CStr,
}

impl Start {
    #[cfg(feature = "runtime")]
    pub(crate) fn new(command_line: &'static CStr) -> Start {
        Start { command_line }
    }

    /// The command line without the options for Solo5 (`--solo5:…`,
    /// docs/reference/guest-api.md#options).
    ///
    /// # Errors
    ///
    /// The host may pass any bytes; see [`command_line_bytes`](Start::command_line_bytes) for a
    /// command line that is not UTF-8.
    pub fn command_line(&self) -> Result<&'static str, Utf8Error> {
        self.command_line.to_str()
    }

    /// The bytes of the command line, without the NUL at its end.
    #[must_use]
    pub fn command_line_bytes(&self) -> &'static [u8] {
        self.command_line.to_bytes()
    }

    /// The words of the command line.
    ///
    /// # Errors
    ///
    /// As [`command_line`](Start::command_line).
    pub fn arguments(&self) -> Result<Arguments<'static>, Utf8Error> {
        Ok(Arguments::new(self.command_line()?))
    }
}
