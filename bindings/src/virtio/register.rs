//! One access to a register of a device, of one width.
//!
//! A hypervisor emulates such an access. On aarch64 the CPU describes to it only a load or a store of one
//! register of the CPU's, to an address that the instruction does not change. A compiler may choose another
//! form for a volatile access, so it is written in assembly there.

macro_rules! accessors {
    ($read:ident, $write:ident, $number:ty, $load:literal, $store:literal) => {
        #[doc = concat!("Reads a `", stringify!($number), "`.")]
        ///
        /// # Safety
        ///
        /// `place` is a register that is mapped and aligned.
        pub(crate) unsafe fn $read(place: *mut u8) -> $number {
            #[cfg(target_arch = "aarch64")]
            {
                let value: u32;
                // SAFETY: the caller's promise. A read has effects in the device only.
                unsafe {
                    core::arch::asm!(
                        concat!($load, " {value:w}, [{place}]"),
                        value = out(reg) value,
                        place = in(reg) place,
                        options(nostack, preserves_flags),
                    );
                }
                value as $number
            }
            #[cfg(not(target_arch = "aarch64"))]
            // SAFETY: as above.
            unsafe {
                place.cast::<$number>().read_volatile()
            }
        }

        #[doc = concat!("Writes a `", stringify!($number), "`.")]
        ///
        /// # Safety
        ///
        /// `place` is a register that is mapped and aligned, and what the device does then is sound.
        pub(crate) unsafe fn $write(place: *mut u8, value: $number) {
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the caller's promise.
            unsafe {
                core::arch::asm!(
                    concat!($store, " {value:w}, [{place}]"),
                    value = in(reg) u32::from(value),
                    place = in(reg) place,
                    options(nostack, preserves_flags),
                );
            }
            #[cfg(not(target_arch = "aarch64"))]
            // SAFETY: as above.
            unsafe {
                place.cast::<$number>().write_volatile(value);
            }
        }
    };
}

accessors!(read8, write8, u8, "ldrb", "strb");
accessors!(read16, write16, u16, "ldrh", "strh");
accessors!(read32, write32, u32, "ldr", "str");
