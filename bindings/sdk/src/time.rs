//! The two clocks.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

use crate::sys;

/// A point in time on the monotonic clock, in nanoseconds since an unspecified origin.
///
/// It has a range of 584 years. Arithmetic saturates, so "a very long time from now" is
/// [`Instant::MAX`].
///
/// ```no_run
/// use core::time::Duration;
/// use solo5::{Instant, yield_until};
///
/// // Sleeps for a second, whatever arrives in the meantime.
/// let end = Instant::now() + Duration::from_secs(1);
/// while Instant::now() < end {
///     yield_until(end);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// Later than every other point in time. As a deadline it means none.
    pub const MAX: Instant = Instant(u64::MAX);
    /// Earlier than every other point in time. As a deadline it has passed.
    pub const MIN: Instant = Instant(0);

    /// The current time. It never decreases; two readings may be equal
    /// (docs/reference/guest-api.md#time).
    #[must_use]
    pub fn now() -> Instant {
        Instant(sys::clock_monotonic())
    }

    /// The point `nanoseconds` after the origin.
    #[must_use]
    pub const fn from_nanos(nanoseconds: u64) -> Instant {
        Instant(nanoseconds)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if that is later.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Instant(self.0.saturating_add(nanoseconds))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Instant) -> Duration {
        self.since(earlier)
    }
}

/// The time since 1970-01-01 00:00 UTC by the host's clock, which may be set back and forth.
#[must_use]
pub fn wall_clock() -> Duration {
    Duration::from_nanos(sys::clock_wall())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn arithmetic_stays_in_range() {
        let one = Instant::from_nanos(1_000_000_000);
        assert_eq!((one + Duration::from_millis(5)).as_nanos(), 1_005_000_000);
        assert_eq!(one + Duration::MAX, Instant::MAX);
        assert_eq!(Instant::MIN - one, Duration::ZERO);
        assert_eq!(one - Instant::MIN, Duration::from_secs(1));
    }

    #[test]
    fn each_clock_is_read_by_its_own_call() {
        assert_eq!(Instant::now().as_nanos(), host::MONOTONIC);
        assert_eq!(wall_clock().as_nanos(), u128::from(host::WALL));
    }

    #[test]
    fn a_deadline_can_be_moved() {
        let mut deadline = Instant::from_nanos(5);
        deadline += Duration::from_nanos(7);
        assert_eq!(deadline, Instant::from_nanos(12));
        deadline += Duration::MAX;
        assert_eq!(deadline, Instant::MAX);
    }
}
