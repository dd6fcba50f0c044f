//! Random bytes of the host.

use core::fmt;

pub use solo5_abi::offer::SEED_SIZE;

use crate::error::Error;
use crate::sys;

/// Takes the seed: random bytes that the host makes anew for every start. There is one.
///
/// The manifest has to declare `seed: true`. No copy stays in memory but the returned one, which is
/// to be kept secret and wiped after use.
///
/// With the feature `getrandom`, the crate of that name takes the seed. A program uses one of the two.
///
/// # Errors
///
/// [`SeedError::NotOffered`] if the manifest does not declare it, or if the tender has none, as those
/// of Solo5 0.12. There is no substitute. [`SeedError::Taken`] if it was taken before.
pub fn seed() -> Result<[u8; SEED_SIZE], SeedError> {
    sys::seed().map_err(|error| match error {
        Error::Invalid => SeedError::Taken,
        Error::Unspecified => SeedError::NotOffered,
    })
}

/// Why there is no seed (docs/reference/features.md#seed).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SeedError {
    /// The tender offers no seed: the manifest does not declare `seed: true`, or the tender is too
    /// old, or its operator has switched seeds off.
    NotOffered,
    /// It was taken before.
    Taken,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SeedError::NotOffered => {
                "no seed: the manifest has no `seed: true`, or the tender offers none"
            }
            SeedError::Taken => "the seed was taken before",
        })
    }
}

impl core::error::Error for SeedError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn there_is_one_seed_or_none() {
        let error = seed().unwrap_err();
        assert_eq!(error, SeedError::NotOffered);
        assert!(std::format!("{error}").contains("`seed: true`"), "names the manifest's key");
        host::offer_seed([7; SEED_SIZE]);
        assert_eq!(seed(), Ok([7; SEED_SIZE]));
        assert_eq!(seed(), Err(SeedError::Taken));
    }
}
