//! The types of `solo5.h` (`docs/reference/guest-api.md#results`).

use core::ffi::c_char;
use core::sync::atomic::{AtomicPtr, AtomicUsize};

pub use solo5_abi::guest::{BlockInfo, NetFrame, NetInfo};

/// `solo5_result_t`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// Not possible now.
    Again = 1,
    /// An argument is not valid.
    Invalid = 2,
    /// Any other failure.
    Unspecified = 3,
}

/// A failure, the part of [`Status`] that is not `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not possible now.
    Again,
    /// An argument is not valid.
    Invalid,
    /// Any other failure.
    Unspecified,
}

impl From<Result<(), Error>> for Status {
    fn from(result: Result<(), Error>) -> Status {
        match result {
            Ok(()) => Status::Ok,
            Err(Error::Again) => Status::Again,
            Err(Error::Invalid) => Status::Invalid,
            Err(Error::Unspecified) => Status::Unspecified,
        }
    }
}

/// `struct solo5_start_info`. Filled in once before the application reads it; atomic only so that
/// it can be a static.
#[derive(Debug)]
#[repr(C)]
pub struct StartInfo {
    /// NUL-terminated command line.
    pub cmdline: AtomicPtr<c_char>,
    /// First address of heap and stack.
    pub heap_start: AtomicUsize,
    /// Size in bytes of heap and stack.
    pub heap_size: AtomicUsize,
}

/// `SOLO5_EXIT_ABORT`.
pub const EXIT_ABORT: i32 = solo5_abi::EXIT_ABORT as i32;

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<Status>() == 4);
    assert!(size_of::<StartInfo>() == 24 && offset_of!(StartInfo, heap_size) == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_has_its_number_in_the_header() {
        let numbers = [
            (Ok(()), 0),
            (Err(Error::Again), 1),
            (Err(Error::Invalid), 2),
            (Err(Error::Unspecified), 3),
        ];
        for (result, number) in numbers {
            assert_eq!(Status::from(result) as i32, number, "{result:?}");
        }
    }
}
