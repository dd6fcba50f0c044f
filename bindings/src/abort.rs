//! Abnormal ends of a guest (`docs/reference/guest-api.md#abort`). They ignore the log level and
//! print `ABORT`, which people and tests look for.

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
        $crate::target::abort($crate::abort::line!($message))
    };
}
pub(crate) use abort;
