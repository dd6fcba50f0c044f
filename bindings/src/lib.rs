//! The guest side of Solo5: the code linked into every unikernel, below `solo5.h`.
//!
//! This crate becomes one relocatable object per target (`solo5_spt.o`, …): a Cargo feature chooses
//! the target, the machine chooses the architecture. The phases of a unikernel, in order, and their
//! files:
//!
//! | phase | file |
//! |---|---|
//! | entry, thread pointer and stack protector | `entry/<target>.rs`, [`guard`] |
//! | options for Solo5 on the command line | [`cmdline`] |
//! | banner and messages | [`log`], [`message`], `say.rs` |
//! | layout of memory | [`memory`] |
//! | traps, where no kernel takes them | `trap.rs`, `arch/<arch>/trap.rs` |
//! | the application, and the end | `start.rs`, `abort.rs` |
//! | calls of the application, as C sees them | `api.rs` |
//! | thread-local storage | [`tls`] |
//! | random bytes of the host | `seed.rs` |
//! | devices, and the calls that each permits | [`device`], `attached.rs` |
//! | frames queued for the tender | [`queue`] |
//! | the clock, from a counter of known frequency | [`scale`] |
//! | the clock, from a counter whose rate is measured by the host's clock | [`clock`] |
//! | the machine beneath a virtio guest | [`virtio`] |
//! | notes of the ELF file | `notes.rs` |
//!
//! Only `target/<target>.rs` and `entry/<target>.rs` know a tender or hypervisor, and only
//! `arch/<arch>.rs` knows a machine; a new one is a new file. The public modules are plain logic that
//! needs neither, so their tests run on the host.
//!
//! The code is single-threaded and not re-entrant, as the API is. It uses no thread-local storage,
//! no memory allocation and no `core::fmt`.
//!
//! Adversary: none on this side of the tender. The boot information and the application's pointers
//! are trusted: whoever could falsify them owns the guest anyway. Data from network and disk is
//! passed on and never interpreted. Lengths and handles from the application are checked, so that
//! its mistakes are reported.

#![no_std]

#[cfg(test)]
extern crate std;

#[cfg(any(
    all(feature = "hvt", feature = "spt"),
    all(feature = "virtio", any(feature = "hvt", feature = "spt")),
    all(feature = "stub", feature = "guest"),
))]
compile_error!("bindings are built for one target: enable one of `hvt`, `spt`, `virtio`, `stub`");

pub mod api_types;
pub mod arch;
pub mod clock;
pub mod cmdline;
pub mod device;
pub mod guard;
pub mod log;
pub mod memory;
pub mod message;
pub mod queue;
pub mod scale;
pub mod tls;
pub mod virtio;

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
mod entry;
#[cfg(all(feature = "virtio", not(test)))]
mod say;
#[cfg(all(feature = "guest", not(test)))]
mod seed;
#[cfg(all(feature = "guest", not(test)))]
mod start;
#[cfg(all(feature = "machine", not(test)))]
mod trap;

/// Version of the build, printed in the banner.
pub const VERSION: &str = match option_env!("SOLO5_VERSION") {
    Some(version) => version,
    None => concat!("v", env!("CARGO_PKG_VERSION")),
};

/// No code in this crate panics on purpose. If the optimised object has no panic left, the linker
/// drops this function.
#[cfg(all(feature = "freestanding", not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    target::panic()
}
