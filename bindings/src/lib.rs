//! The guest side of Solo5: the code linked into every unikernel, below `solo5.h`.
//!
//! One relocatable object per target comes out of this crate (`solo5_spt.o`, …): a Cargo feature
//! chooses the target, the machine chooses the architecture. What a unikernel goes through, in
//! order, and where:
//!
//! | phase | file |
//! |---|---|
//! | entry, thread pointer and stack protector | `target/<target>.rs`, [`guard`] |
//! | options for Solo5 on the command line | [`cmdline`] |
//! | banner and messages | [`log`] |
//! | layout of memory | [`memory`] |
//! | traps, where no kernel takes them | `arch/<arch>/trap.rs` |
//! | the application, and the end | `start.rs`, `abort.rs` |
//! | calls of the application, as C sees them | `api.rs` |
//! | thread-local storage | [`tls`] |
//! | devices: which call is permitted on which | [`device`], `attached.rs` |
//! | frames queued for the tender | [`queue`] |
//! | the clock: from a counter of known frequency | [`scale`] |
//! | the clock: from a counter, where only the host's clock tells its frequency | [`clock`] |
//! | what the ELF file says of itself | `notes.rs` |
//!
//! `target/<target>.rs` is all that knows of a tender or hypervisor, `arch/<arch>.rs` all that knows
//! of a machine; adding one is adding its file. The modules that are plain logic are public and
//! need neither, so that their tests run on the host.
//!
//! The code is single-threaded and not re-entrant, as the API is. It uses no thread-local storage,
//! no memory allocation and no `core::fmt`.
//!
//! Adversary: none on this side of the tender. The boot information and the pointers an application
//! passes are trusted, because whoever could falsify them owns the guest anyway. What comes from
//! network and disk is passed on and never looked at; lengths and handles an application gives are
//! checked, because its mistakes should be told.

#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(any(all(feature = "hvt", feature = "spt"), all(feature = "stub", feature = "guest"),))]
compile_error!("bindings are built for one target: enable one of `hvt`, `spt` and `stub`");

pub mod api_types;
pub mod arch;
pub mod clock;
pub mod cmdline;
pub mod device;
pub mod guard;
pub mod log;
pub mod memory;
pub mod queue;
pub mod scale;
pub mod tls;

#[cfg(all(feature = "freestanding", not(test)))]
mod notes;
#[cfg(all(feature = "freestanding", not(test)))]
mod target;

#[cfg(all(feature = "guest", not(test)))]
mod abort;
#[cfg(all(feature = "guest", not(test)))]
mod api;
#[cfg(all(feature = "guest", not(test)))]
mod attached;
#[cfg(all(feature = "guest", not(test)))]
mod start;

/// Version of the build, printed in the banner.
pub const VERSION: &str = match option_env!("SOLO5_VERSION") {
    Some(version) => version,
    None => concat!("v", env!("CARGO_PKG_VERSION")),
};

/// Nothing in this crate panics on purpose, and the linker drops this function from objects in
/// which nothing can.
#[cfg(all(feature = "freestanding", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    target::panic()
}
