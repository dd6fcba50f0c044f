//! Waiting for devices.

use core::fmt;

use crate::sys;
use crate::time::Instant;

/// A device's number in the manifest (docs/reference/guest-api.md#acquire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle(u64);

impl Handle {
    pub(crate) const fn new(number: u64) -> Handle {
        Handle(number)
    }

    /// The index of the device in the manifest, counted from 1.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }

    const fn bit(self) -> u64 {
        // A set has 64 places. A higher number would be a fault of the bindings; no set contains it.
        match 1u64.checked_shl(self.0 as u32) {
            Some(bit) if self.0 < 64 => bit,
            _ => 0,
        }
    }
}

/// The devices that have input.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct HandleSet(u64);

impl HandleSet {
    /// Whether the device `handle` has input.
    #[must_use]
    pub const fn contains(self, handle: Handle) -> bool {
        self.0 & handle.bit() != 0
    }

    /// Whether no device has input.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The handles of the set, lowest first.
    pub fn iter(self) -> impl Iterator<Item = Handle> {
        (0..64).map(Handle).filter(move |&handle| self.contains(handle))
    }
}

impl fmt::Debug for HandleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Sleeps until a network device has input or `deadline` has come, and says which devices have
/// input.
///
/// If the deadline has passed, it only polls. The set is empty at the deadline and, on some targets,
/// when the sleep ends early (docs/reference/guest-api.md#yield), so callers check the
/// clock again. A device stays in the set until all its frames are read.
///
/// ```no_run
/// use solo5::{Instant, Net, println, yield_until};
///
/// # fn echo() -> Result<(), solo5::Error> {
/// let mut net = Net::acquire("service")?;
/// let mut buffer = [0; 2048];
/// loop {
///     yield_until(Instant::MAX);
///     while let Some(frame) = net.read(&mut buffer)? {
///         println!("{} bytes", frame.len());
///     }
/// }
/// # }
/// ```
pub fn yield_until(deadline: Instant) -> HandleSet {
    HandleSet(sys::yield_until(deadline.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let set = HandleSet(1 << 1 | 1 << 63);
        assert!(set.contains(Handle(1)));
        assert!(!set.contains(Handle(2)));
        assert_eq!(set.iter().map(Handle::index).collect::<Vec<_>>(), [1, 63]);
        assert!(HandleSet(0).is_empty());
        for beyond in [64, 65, 1 << 32, u64::MAX] {
            assert!(!HandleSet(u64::MAX).contains(Handle(beyond)));
        }
    }

    #[test]
    fn a_device_is_ready_while_it_has_frames() {
        let mut net = crate::Net::acquire("service").unwrap();
        assert!(yield_until(Instant::MIN).is_empty());
        net.write(&[0; 60]).unwrap();
        let ready = yield_until(Instant::MAX);
        assert!(ready.contains(net.handle()));
        assert_eq!(format!("{ready:?}"), "{Handle(1)}");
        net.read(&mut [0; 1514]).unwrap();
        assert_eq!(yield_until(Instant::MIN), HandleSet::default());
    }
}
