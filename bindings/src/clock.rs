//! Monotonic time from the CPU's counter, disciplined by the host's clock.
//!
//! A reading of the host's clock costs a system call, a reading of the counter nearly nothing. So
//! the host's clock is sampled now and then together with the counter, and the time in between is
//! extrapolated:
//!
//! * a *sample* is a reading of the host's clock between two readings of the counter. If those two
//!   are far apart, something interrupted the sample: it gives the time but no rate;
//! * two samples at least [`MEASURE_MIN`] ticks apart give a rate, in nanoseconds per tick. A rate
//!   is trusted when the next pair confirms it within 1/1024. A host slews its clock by at most half
//!   of that; after a host's sleep or a guest's move to another machine the rates differ by more;
//! * a sample is valid for [`VALID_FOR`] ticks, a few milliseconds. So an error of the rate adds up
//!   to a fraction of a microsecond at most, and after any pause the host's clock is read again;
//! * a counter whose rate is refuted [`STRIKES`] times is not used again, unless [`FORGIVEN`] pairs
//!   in a row confirmed it in between: a host that sleeps now and then has a good counter.
//!
//! Readings never decrease, whatever the counter does: each is at least the one before.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

/// Fewest ticks between two samples that give a rate.
pub const MEASURE_MIN: u64 = 1 << 22;
/// Number of ticks for which a sample is valid.
pub const VALID_FOR: u64 = 1 << 24;
/// Most ticks that an uninterrupted reading of the host's clock takes.
pub const SAMPLE_MAX: u64 = 1 << 12;
/// Refutations after which the counter is given up. A host's sleep costs two.
pub const STRIKES: u32 = 4;
/// Confirmations in a row after which earlier refutations do not count.
pub const FORGIVEN: u32 = 64;
/// Fraction bits of a rate. The product of at most [`VALID_FOR`] ticks and [`RATE_MAX`] fits 64 bits.
const FRACTION: u32 = 32;
/// Highest rate accepted: 64 ns a tick.
const RATE_MAX: u64 = 64 << FRACTION;
/// Longest distance in nanoseconds between samples for which a rate is computed.
const DISTANCE_MAX: u64 = (1 << FRACTION) - 1;

/// The state of the discipline. Atomic only so that it can be a static: there is one thread.
#[derive(Debug)]
pub struct Clock {
    /// Lower bound of every further reading, in nanoseconds.
    last: AtomicU64,
    /// Whether there is a sample; its values follow.
    sampled: AtomicBool,
    ticks: AtomicU64,
    nanos: AtomicU64,
    /// Rate of the last pair of samples; 0: none.
    measured: AtomicU64,
    /// The trusted rate; 0: none.
    rate: AtomicU64,
    strikes: AtomicU32,
    /// Confirmations in a row.
    confirmed: AtomicU32,
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// A clock that knows nothing yet.
    pub const fn new() -> Clock {
        Clock {
            last: AtomicU64::new(0),
            sampled: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            nanos: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
            confirmed: AtomicU32::new(0),
        }
    }

    /// The last reading, or a later time that is known to have passed.
    pub fn last(&self) -> u64 {
        self.last.load(Relaxed)
    }

    /// Makes `nanos` the lower bound of further readings, and returns the reading for it.
    pub fn advance(&self, nanos: u64) -> u64 {
        let reading = self.last().max(nanos);
        self.last.store(reading, Relaxed);
        reading
    }

    /// The time at `ticks`; `None` if only the host can tell it.
    pub fn read(&self, ticks: u64) -> Option<u64> {
        let rate = self.rate.load(Relaxed);
        let passed = ticks.wrapping_sub(self.ticks.load(Relaxed));
        if rate == 0 || passed > VALID_FOR {
            return None;
        }
        let nanos = self.nanos.load(Relaxed).wrapping_add((passed * rate) >> FRACTION);
        Some(self.advance(nanos))
    }

    /// Whether the counter is worth reading.
    pub fn is_usable(&self) -> bool {
        self.strikes.load(Relaxed) < STRIKES
    }

    /// Gives the counter up.
    pub fn give_up(&self) {
        self.strikes.store(STRIKES, Relaxed);
    }

    /// Takes a sample: the host's clock said `nanos` between the counter's `before` and `after`.
    /// Returns the time.
    pub fn sample(&self, before: u64, nanos: u64, after: u64) -> u64 {
        let took = after.wrapping_sub(before);
        if took <= SAMPLE_MAX {
            self.learn(before.wrapping_add(took / 2), nanos);
        }
        self.advance(nanos)
    }

    fn learn(&self, ticks: u64, nanos: u64) {
        if !self.sampled.load(Relaxed) {
            self.sampled.store(true, Relaxed);
            self.anchor(ticks, nanos);
            return;
        }
        let passed = ticks.wrapping_sub(self.ticks.load(Relaxed));
        if passed < MEASURE_MIN {
            return;
        }
        let distance = nanos.wrapping_sub(self.nanos.load(Relaxed));
        self.anchor(ticks, nanos);
        if distance > DISTANCE_MAX {
            // Too long ago to say whether the counter ran evenly; begin again.
            self.measured.store(0, Relaxed);
            self.rate.store(0, Relaxed);
            return;
        }
        let rate = (distance << FRACTION).checked_div(passed).unwrap_or(0);
        let earlier = self.measured.load(Relaxed);
        self.measured.store(rate, Relaxed);
        let confirmed = rate != 0 && rate <= RATE_MAX && rate.abs_diff(earlier) <= earlier >> 10;
        let row = if confirmed { self.confirmed.load(Relaxed).saturating_add(1) } else { 0 };
        self.confirmed.store(row, Relaxed);
        if earlier != 0 && !confirmed {
            self.strikes.store(self.strikes.load(Relaxed).saturating_add(1), Relaxed);
        } else if row == FORGIVEN && self.is_usable() {
            self.strikes.store(0, Relaxed);
        }
        let trusted = confirmed && self.is_usable();
        self.rate.store(if trusted { rate } else { 0 }, Relaxed);
    }

    fn anchor(&self, ticks: u64, nanos: u64) {
        self.ticks.store(ticks, Relaxed);
        self.nanos.store(nanos, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A host whose counter has `hz` ticks a second and read `offset` at time 0.
    struct Host {
        hz: u64,
        offset: u64,
        now: u64,
        asked: u32,
    }

    impl Host {
        fn new(hz: u64) -> Host {
            Host { hz, offset: 0x1234_5678_9abc, now: 5_000_000_000, asked: 0 }
        }

        fn ticks(&self) -> u64 {
            let passed = u128::from(self.now) * u128::from(self.hz) / 1_000_000_000;
            self.offset.wrapping_add(passed as u64)
        }

        /// What the guest does when its application asks for the time.
        fn monotonic(&mut self, clock: &Clock) -> u64 {
            if clock.is_usable()
                && let Some(nanos) = clock.read(self.ticks())
            {
                return nanos;
            }
            let before = self.ticks();
            self.now += 100;
            let nanos = self.now;
            self.now += 100;
            self.asked += 1;
            clock.sample(before, nanos, self.ticks())
        }

        /// Reads every microsecond for `nanos`; returns the greatest error in nanoseconds.
        fn run(&mut self, clock: &Clock, nanos: u64) -> u64 {
            let (end, mut error, mut last) = (self.now + nanos, 0, clock.last());
            while self.now < end {
                self.now += 1000;
                let reading = self.monotonic(clock);
                assert!(reading >= last, "time went back");
                last = reading;
                error = error.max(reading.abs_diff(self.now));
            }
            error
        }
    }

    #[test]
    fn time_follows_the_host_and_the_host_is_rarely_asked() {
        for hz in [20_000_000, 1_000_000_000, 2_100_000_000, 5_000_000_000] {
            let (clock, mut host) = (Clock::new(), Host::new(hz));
            let window = VALID_FOR * 1000 / (hz / 1_000_000);
            assert!(host.run(&clock, 3 * window) < 1000, "{hz}");
            host.asked = 0;
            assert!(host.run(&clock, 20 * window) < 1000, "{hz}");
            assert!(host.asked <= 21, "{hz}: asked {} times", host.asked);
        }
    }

    #[test]
    fn after_a_pause_of_any_length_the_time_is_the_hosts() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        host.run(&clock, 50_000_000);
        for pause in [10_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000_000] {
            host.now += pause;
            assert!(host.monotonic(&clock).abs_diff(host.now) <= 100);
            assert!(host.run(&clock, 50_000_000) < 1000);
        }
    }

    #[test]
    fn a_counter_that_stood_still_or_jumped_is_noticed() {
        for jump in [-400_000_000i64, 400_000_000] {
            let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
            host.run(&clock, 50_000_000);
            host.offset = host.offset.wrapping_add_signed(jump);
            assert!(host.monotonic(&clock).abs_diff(host.now) <= 100);
            assert!(host.run(&clock, 50_000_000) < 1000);
        }
    }

    /// While a host sleeps its clock stands still; the counter goes on or starts again from 0.
    #[test]
    fn a_host_that_sleeps_keeps_its_counter() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        for sleep in 0..20u64 {
            assert!(host.run(&clock, 600_000_000) < 1000);
            let (before, ticks) = (host.now, host.ticks());
            let jump = if sleep % 2 == 0 { sleep << 40 } else { ticks.wrapping_neg() };
            host.offset = host.offset.wrapping_add(jump);
            assert!(host.monotonic(&clock).abs_diff(before) <= 200, "{sleep}");
            // The rate is learnt again.
            assert!(host.run(&clock, 20_000_000) < 1000);
            host.asked = 0;
            assert!(host.run(&clock, 100_000_000) < 1000);
            assert!(clock.is_usable() && host.asked < 25, "{sleep}: asked {} times", host.asked);
        }
    }

    #[test]
    fn another_machines_rate_is_learnt() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        host.run(&clock, 50_000_000);
        host.hz = 2_000_000_000;
        host.now += 20_000_000;
        host.run(&clock, 50_000_000);
        host.asked = 0;
        assert!(host.run(&clock, 100_000_000) < 1000);
        assert!(host.asked < 20);
    }

    #[test]
    fn a_counter_without_a_steady_rate_is_given_up() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        for _ in 0..4 * STRIKES {
            host.run(&clock, 9_000_000);
            host.offset += 1_000_000;
        }
        assert!(!clock.is_usable());
        host.asked = 0;
        assert_eq!(host.run(&clock, 1_000_000), 100);
        assert!(host.asked > 800);
    }

    #[test]
    fn a_disturbed_sample_tells_only_the_time() {
        let clock = Clock::new();
        assert_eq!(clock.sample(0, 500, SAMPLE_MAX + 1), 500);
        assert!(!clock.sampled.load(Relaxed));
    }

    #[test]
    fn a_time_known_to_have_passed_is_a_lower_bound() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        host.run(&clock, 50_000_000);
        let later = host.now + 300;
        clock.advance(later);
        assert_eq!(host.monotonic(&clock), later);
        assert_eq!(clock.advance(5), later);
    }

    #[test]
    fn a_counter_given_up_is_not_used() {
        let (clock, mut host) = (Clock::new(), Host::new(2_500_000_000));
        clock.give_up();
        host.run(&clock, 50_000_000);
        assert!(!clock.is_usable() && clock.read(host.ticks()).is_none());
    }
}
