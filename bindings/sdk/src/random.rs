//! The `custom` backend of the crate `getrandom` (feature `getrandom`).
//!
//! A generator takes the seed at the first call. Each call makes a ChaCha20 key stream from the
//! generator's key: its first 32 bytes become the next key, the rest is the output. So nobody who
//! sees the memory later can compute earlier output. If there is no seed, each call fails.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::seed::{SEED_SIZE, SeedError, seed};

/// The error of `getrandom` for [`SeedError::NotOffered`].
pub const NOT_OFFERED: getrandom::Error = getrandom::Error::new_custom(1);
/// The error of `getrandom` for [`SeedError::Taken`]: the program has called [`seed`] itself.
pub const TAKEN: getrandom::Error = getrandom::Error::new_custom(2);

const WORDS: usize = SEED_SIZE / 8;

/// A generator of random bytes. There is one thread; atomics only make it a static.
struct Generator {
    seeded: AtomicBool,
    key: [AtomicU64; WORDS],
}

impl Generator {
    const fn new() -> Generator {
        Generator { seeded: AtomicBool::new(false), key: [const { AtomicU64::new(0) }; WORDS] }
    }

    fn set_key(&self, key: &[u8; SEED_SIZE]) {
        let (words, _) = key.as_chunks();
        for (place, word) in self.key.iter().zip(words) {
            place.store(u64::from_le_bytes(*word), Relaxed);
        }
    }

    fn key(&self) -> Zeroizing<[u8; SEED_SIZE]> {
        let mut key = Zeroizing::new([0; SEED_SIZE]);
        let (words, _) = key.as_chunks_mut();
        for (word, place) in words.iter_mut().zip(&self.key) {
            *word = place.load(Relaxed).to_le_bytes();
        }
        key
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), SeedError> {
        if !self.seeded.load(Relaxed) {
            self.set_key(&Zeroizing::new(seed()?));
            self.seeded.store(true, Relaxed);
        }
        let mut stream = ChaCha20Rng::from_seed(*self.key());
        let mut next = Zeroizing::new([0; SEED_SIZE]);
        stream.fill_bytes(next.as_mut());
        self.set_key(&next);
        stream.fill_bytes(output);
        Ok(())
    }
}

static GENERATOR: Generator = Generator::new();

/// What the crate `getrandom` calls.
///
/// # Safety
///
/// `len` bytes at `dest` are the caller's to write.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    dest: *mut u8,
    len: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: by this function's contract. The bytes may be uninitialised, so they are set first.
    unsafe { dest.write_bytes(0, len) };
    // SAFETY: likewise, and now they are initialised.
    let output = unsafe { core::slice::from_raw_parts_mut(dest, len) };
    GENERATOR.fill(output).map_err(|error| match error {
        SeedError::NotOffered => NOT_OFFERED,
        SeedError::Taken => TAKEN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn without_a_seed_there_is_no_output() {
        let generator = Generator::new();
        let mut output = [1; 16];
        assert_eq!(generator.fill(&mut output), Err(SeedError::NotOffered));
        assert_eq!(output, [1; 16]);
        host::offer_seed([9; SEED_SIZE]);
        assert_eq!(generator.fill(&mut output), Ok(()));
        assert_eq!(Generator::new().fill(&mut output), Err(SeedError::Taken));
    }

    #[test]
    fn output_is_the_key_stream_behind_the_next_key() {
        host::offer_seed([9; SEED_SIZE]);
        let generator = Generator::new();
        let mut key = [9; SEED_SIZE];
        for length in [1, 100, 0, 32] {
            let mut stream = ChaCha20Rng::from_seed(key);
            let mut expected = [0; SEED_SIZE + 100];
            stream.fill_bytes(&mut expected);
            let mut output = [0; 100];
            generator.fill(&mut output[..length]).unwrap();
            assert_eq!(output[..length], expected[SEED_SIZE..SEED_SIZE + length]);
            key.copy_from_slice(&expected[..SEED_SIZE]);
        }
    }
}
