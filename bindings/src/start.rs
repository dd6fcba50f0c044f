//! From a target's entry to the application, and from there to the end
//! (`docs/reference/guest-api.md#start`).

use core::ffi::{CStr, c_char, c_int};
use core::ptr::{self, null_mut};
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

use solo5_abi::mft2;
use solo5_abi::note::Header;
use solo5_abi::offer::Feature;

use crate::abort::abort;
use crate::api_types::StartInfo;
use crate::arch::{self, symbol};
use crate::log::{self, Level};
use crate::memory::{self, Heap, Image};
use crate::message::Message;
use crate::virtio::names;
use crate::{attached, cmdline, guard, target};

const BANNER: &str = "            |      ___|
  __|  _ \\  |  _ \\ __ \\
\\__ \\ (   | | (   |  ) |
____/\\___/ _|\\___/____/
Solo5: Bindings version ";

/// Read by application code, which is compiled with a stack protector.
#[unsafe(no_mangle)]
static __stack_chk_guard: AtomicU64 = AtomicU64::new(0x00de_adbe_ef0d_0a00);

/// The argument of `solo5_app_main`.
static START_INFO: StartInfo = StartInfo {
    cmdline: AtomicPtr::new(null_mut()),
    heap_start: AtomicUsize::new(0),
    heap_size: AtomicUsize::new(0),
};

unsafe extern "C" {
    /// The application.
    fn solo5_app_main(info: *const StartInfo) -> c_int;
}

/// Sets the stack protector's guard from the tender's `random` bits, or else the CPU's. A hypervisor takes
/// long to say whether the CPU has any. No instrumented code may run before this.
pub(crate) fn guard(random: Option<u64>) {
    let random = random.or_else(arch::random).unwrap_or_default();
    let value = guard::value(random, arch::counter(), arch::counter());
    __stack_chk_guard.store(value, Relaxed);
}

/// Reads the options for Solo5, prints the banner, and returns the rest of the command line.
pub(crate) fn greet(line: &'static CStr) -> *const c_char {
    // On virtio, some words are for the drivers.
    let is_for_target = |word: &[u8]| cfg!(feature = "virtio") && names::is_option(word);
    let options = cmdline::parse(line.to_bytes(), is_for_target);
    if let Some(level) = options.level {
        log::set_level(level);
    }
    let mut banner = Message::new();
    log::print(Level::Info, banner.text(BANNER).text(crate::VERSION).text("\n"));
    if let Some(word) = options.unknown {
        let mut warning = Message::new();
        warning.text("Solo5: WARNING: Unknown option passed to the application: ");
        log::print(Level::Warn, warning.bytes(word).text("\n"));
    }
    line.as_ptr().wrapping_add(options.rest)
}

// A manifest of version 1 has no properties. The symbol is then undefined, and its value is 0.
core::arch::global_asm!(".weak __solo5_mft2_note");

/// The descriptor of the manifest's properties, empty if it has none.
pub(crate) fn properties() -> &'static [u8] {
    /// Length of the owner's name, with its padding.
    const OWNER: usize = 8;
    let note = symbol!("__solo5_mft2_note");
    if note == 0 {
        return &[];
    }
    let note: *const Header = ptr::with_exposed_provenance(note as usize);
    // SAFETY: the linker put a note there, which begins with its header and never changes.
    let length = unsafe { (*note).descsz.get() };
    let descriptor = note.wrapping_add(1).cast::<u8>().wrapping_add(OWNER);
    // SAFETY: as above; the descriptor of this length follows header and owner.
    unsafe { slice::from_raw_parts(descriptor, length as usize) }
}

/// Size in bytes of the stack that the manifest asks for, 0 if it asks for none.
pub(crate) fn stack_size() -> u64 {
    mft2::stack_asked(properties()).unwrap_or(0)
}

/// Finds the memory that image and stack leave of `mem_size` bytes, lets the target reserve its part,
/// and prints the layout. The rest is the application's. A tender that offers a guard says where the
/// heap ends; without an offer, the stack still has its size.
pub(crate) fn memory(mem_size: u64, reserve: impl FnOnce(&mut Heap)) -> Heap {
    let image = Image {
        text: symbol!("_stext"),
        text_end: symbol!("_etext"),
        rodata_end: symbol!("_erodata"),
        end: symbol!("_end"),
    };
    let stack = stack_size();
    let end = match attached::offered(Feature::Stack) {
        Some(record) => record.heap_end.get(),
        None => mem_size.saturating_sub(stack),
    };
    let Some(mut heap) = Heap::behind(&image, end, arch::PAGE_SIZE) else {
        abort!("Not enough memory");
    };
    reserve(&mut heap);
    log::print(Level::Info, &memory::describe(&image, &heap, stack, mem_size));
    heap
}

/// Runs the application.
pub(crate) fn run(cmdline: *const c_char, heap: &Heap) -> ! {
    START_INFO.cmdline.store(cmdline.cast_mut(), Relaxed);
    START_INFO.heap_start.store(heap.start as usize, Relaxed);
    START_INFO.heap_size.store(heap.size as usize, Relaxed);
    // SAFETY: a C function of this signature, called with the argument that `solo5.h` documents.
    let status = unsafe { solo5_app_main(&raw const START_INFO) };
    exit(status)
}

/// Ends the guest with the application's status.
pub(crate) fn exit(status: i32) -> ! {
    let mut message = Message::new();
    message.text("Solo5: solo5_exit(").signed(status).text(") called\n");
    log::print(Level::Info, &message);
    target::exit(status)
}

/// Ends the guest for `solo5_abort`.
pub(crate) fn abort() -> ! {
    let mut message = Message::new();
    log::print(Level::Info, message.text("Solo5: solo5_abort() called\n"));
    target::exit(crate::api_types::EXIT_ABORT)
}

/// Called by application code that finds its stack overwritten.
#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    target::abort(b"Solo5: ABORT: Stack corruption detected\n")
}
