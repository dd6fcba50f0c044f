//! Abnormal ends of a guest (`docs/reference/guest-api.md#abort`). They ignore the log level and
//! print `ABORT`, which people and tests look for.

use crate::api_types::EXIT_ABORT;
use crate::target;

/// The line `Solo5: ABORT: FILE:LINE: ` and the message given, as bytes.
macro_rules! line {
    ($message:literal) => {
        concat!("Solo5: ABORT: ", file!(), ":", line!(), ": ", $message, "\n").as_bytes()
    };
}
pub(crate) use line;

/// Prints the message as an `ABORT` line and ends the guest.
macro_rules! abort {
    ($message:literal) => {
        $crate::abort::with($crate::abort::line!($message))
    };
}
pub(crate) use abort;

/// Prints `text` and ends the guest.
#[cold]
pub(crate) fn with(text: &[u8]) -> ! {
    target::console_write(text);
    target::exit(EXIT_ABORT)
}

/// Called by application code that finds its stack overwritten.
#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    with(b"Solo5: ABORT: Stack corruption detected\n")
}
