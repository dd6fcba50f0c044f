//! Exit statuses, and how the result of a program's function becomes one.

use core::convert::Infallible;
use core::fmt::Display;

use crate::println;

/// The status a unikernel ends with: 0 to 254.
///
/// 255 means that Solo5 ended the guest itself, and everything above is reserved
/// (docs/reference/guest-api.md#results). The hvt and spt tenders exit with the guest's status; on
/// other targets it may be lost (docs/reference/guest-api.md#lifecycle).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u8);

impl Status {
    /// All went well: 0.
    pub const SUCCESS: Status = Status(0);
    /// Something went wrong: 1.
    pub const FAILURE: Status = Status(1);

    /// The status `code`; `None` for the reserved 255.
    #[must_use]
    pub const fn new(code: u8) -> Option<Status> {
        if code == 255 { None } else { Some(Status(code)) }
    }

    /// The number of the status.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

/// The types that the function given to [`main!`](crate::main!) may return.
pub trait Termination {
    /// Prints the error, if there is one, and returns the status to end with.
    fn report(self) -> Status;
}

impl Termination for () {
    fn report(self) -> Status {
        Status::SUCCESS
    }
}

impl Termination for Status {
    fn report(self) -> Status {
        self
    }
}

/// For a server that ends only with an error: `fn main(…) -> Result<Infallible, E>`.
impl Termination for Infallible {
    fn report(self) -> Status {
        match self {}
    }
}

/// An error is printed as `error: MESSAGE` and the status is [`Status::FAILURE`].
impl<T: Termination, E: Display> Termination for Result<T, E> {
    fn report(self) -> Status {
        match self {
            Ok(value) => value.report(),
            Err(error) => {
                println!("error: {error}");
                Status::FAILURE
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, host};

    #[test]
    fn the_reserved_status_cannot_be_made() {
        assert_eq!(Status::new(255), None);
        assert_eq!(Status::new(254).map(Status::code), Some(254));
    }

    #[test]
    fn results_become_statuses() {
        assert_eq!(().report(), Status::SUCCESS);
        assert_eq!(Ok::<_, Error>(Status(7)).report(), Status(7));
        host::take_output();
        assert_eq!(Err::<(), _>(Error::Unspecified).report(), Status::FAILURE);
        assert_eq!(
            host::take_output(),
            b"error: the device failed, is not attached, is read-only, or has no `flush: true` in the manifest\n"
        );
    }
}
