//! Nanoseconds from a counter whose frequency is known (`docs/reference/hvt.md#bindings-clock`).
//!
//! A division by the frequency becomes a multiplication and a shift. The product has 128 bits, so no
//! counter overflows it. Every reading is computed from the whole counter, so rounding errors do not
//! add up.

/// A frequency, as factor and shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// Factor.
    pub mult: u32,
    /// Number of low bits to drop from the product.
    pub shift: u32,
}

const NANOS: u64 = 1_000_000_000;

impl Scale {
    /// The scale of a counter with `frequency` ticks a second. `None` if `frequency` is 0 or beyond
    /// 2³² GHz.
    pub fn new(frequency: u64) -> Option<Scale> {
        (1..=u32::BITS).rev().find_map(|shift| {
            let mult = (NANOS << shift).checked_div(frequency)?;
            let mult = u32::try_from(mult).ok().filter(|mult| *mult != 0)?;
            Some(Scale { mult, shift })
        })
    }

    /// The nanoseconds that `ticks` take.
    pub fn nanos(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.mult)) >> self.shift) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn upstreams_scale() {
        let scale = Scale { mult: 1_654_392_086, shift: 32 };
        assert_eq!(Scale::new(2_596_100_000), Some(scale));
    }

    #[test]
    fn slow_counters_shift_less() {
        assert_eq!(Scale::new(1_000_000_000).map(|scale| scale.shift), Some(31));
        assert_eq!(Scale::new(1), Some(Scale { mult: 4_000_000_000, shift: 2 }));
        assert_eq!(Scale::new(0), None);
        assert_eq!(Scale::new(u64::MAX), None);
    }

    proptest! {
        /// For any time up to 475 years, at any frequency that a machine may have.
        #[test]
        fn nothing_overflows_and_little_is_lost(
            frequency in 1_000_000u64..100_000_000_000, seconds in 0u64..15_000_000_000,
        ) {
            let Some(ticks) = frequency.checked_mul(seconds) else { return Ok(()) };
            let scale = Scale::new(frequency).unwrap();
            let exact = u128::from(seconds) * u128::from(NANOS);
            let nanos = u128::from(scale.nanos(ticks));
            prop_assert!(nanos <= exact);
            prop_assert!(exact - nanos <= (exact >> 24) + 1, "{} {}", exact, nanos);
        }

        #[test]
        fn time_does_not_go_back(frequency in 1u64..1 << 40, first: u64, second: u64) {
            let scale = Scale::new(frequency).unwrap();
            // With a slower counter the nanoseconds may exceed 64 bits.
            if frequency >= NANOS {
                let (early, late) = (first.min(second), first.max(second));
                prop_assert!(scale.nanos(early) <= scale.nanos(late));
            }
        }
    }
}
