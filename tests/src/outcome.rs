//! How a test ends early: it failed, or it could not be run here.

use std::fmt::Display;

/// Why a test stopped before its end.
#[derive(Debug)]
pub enum Stop {
    /// Something is not as it must be.
    Fail(String),
    /// This host lacks something the test needs; `SOLO5_NO_SKIP=1` makes it a failure.
    Skip(String),
    /// This host cannot run it and need not: the lab runs it.
    Elsewhere(String),
    /// Sources of another project are not here, or the host makes no containers. That is no fault of this
    /// repository, so it is never a failure.
    Lacking(String),
}

impl Stop {
    /// The same with `what: ` before the message of a failure.
    #[must_use]
    pub fn during(self, what: impl Display) -> Self {
        match self {
            Stop::Fail(message) => Stop::Fail(format!("{what}: {message}")),
            other @ (Stop::Skip(_) | Stop::Elsewhere(_) | Stop::Lacking(_)) => other,
        }
    }
}

/// What a test returns.
pub type Outcome<T = ()> = Result<T, Stop>;

impl<E: Display> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Fail(error.to_string())
    }
}

/// Adds to an error what was being done.
pub trait Context<T> {
    /// Fails with `what: error`.
    ///
    /// # Errors
    /// The error it was called on.
    fn during(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn during(self, what: impl Display) -> Outcome<T> {
        self.map_err(|error| Stop::Fail(format!("{what}: {error}")))
    }
}

/// Fails with a message made by `format!`.
#[macro_export]
macro_rules! fail {
    ($($message:tt)*) => {
        return Err($crate::outcome::Stop::Fail(format!($($message)*)))
    };
}

/// Fails with a message made by `format!` unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($message:tt)*) => {
        if !$condition {
            $crate::fail!($($message)*)
        }
    };
}
