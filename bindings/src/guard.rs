//! The stack protector's guard (`docs/reference/guest-api.md#guard`).
//!
//! C code of the application is compiled with a *global* guard: it reads `__stack_chk_guard` when a
//! function is entered and calls `__stack_chk_fail` when a copy on the stack has changed.

/// The guard, mixed from a random number (0 if neither tender nor CPU has one) and two readings of a
/// counter. One byte is zero, so that an overflowing string cannot contain the guard.
pub const fn value(random: u64, first: u64, second: u64) -> u64 {
    (random ^ first.wrapping_add(second << 32)) & !0xff00
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn the_string_terminator_is_kept() {
        assert_eq!(value(u64::MAX, 0, 0), 0xffff_ffff_ffff_00ff);
        assert_eq!(value(0, 0x1234, 0x5678), 0x5678_0000_0034);
        assert_eq!(value(0xff, u64::MAX, 1) & 0xff00, 0);
    }
}
