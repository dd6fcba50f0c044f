//! Messages on the console, and their levels (`docs/reference/guest-api.md#log`).

use core::sync::atomic::{AtomicU8, Ordering};

#[cfg(all(feature = "guest", not(test)))]
use crate::message::{Message, TRUNCATED};
#[cfg(all(feature = "guest", not(test)))]
use crate::target;

/// Importance of a message. A message is printed if its level is at most the current one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Printed always.
    Error = 0,
    /// Something that the operator probably did not intend.
    Warn = 1,
    /// Start-up and exit.
    Info = 2,
    /// Details.
    Debug = 3,
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Sets the current level, initially [`Level::Info`].
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Whether a message of this level is to be printed.
pub fn enabled(level: Level) -> bool {
    level as u8 <= LEVEL.load(Ordering::Relaxed)
}

/// Prints a message if its level is enabled: in one write, or two if it is too long.
#[cfg(all(feature = "guest", not(test)))]
pub(crate) fn print(level: Level, message: &Message) {
    if !enabled(level) {
        return;
    }
    let (bytes, truncated) = message.finish();
    target::console_write(bytes);
    if truncated {
        target::console_write(TRUNCATED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered() {
        assert!(enabled(Level::Info) && !enabled(Level::Debug));
        assert!(Level::Error < Level::Warn && Level::Info < Level::Debug);
        for level in [Level::Error, Level::Debug, Level::Info] {
            set_level(level);
            for other in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
                assert_eq!(enabled(other), other <= level, "{other:?} at {level:?}");
            }
        }
    }
}
