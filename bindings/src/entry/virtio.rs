//! The entry of a virtio guest: what a PC and a machine of Arm have in common, in order
//! (`docs/reference/virtio.md#boot`).
//!
//! A loader enters [`pc`] or [`virt`], which copies what it says out of the memory that the heap will be, and
//! goes on here with [`begin`].

use core::ffi::{CStr, c_char};
use core::ops::Range;
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use solo5_abi::mft1::{self, ENTRIES_MAX, Entry, HEADER_SIZE};
use solo5_abi::note::Header;
use solo5_abi::offer::{Feature, Features, Offer, Record, SEED_SIZE, TRANSFER_MAX};
use solo5_abi::stack::GUARD;

use crate::abort::abort;
use crate::arch::{self, control, symbol};
use crate::memory::Heap;
use crate::virtio::info::{LINE_MAX, RANGES};
use crate::virtio::ram::{BASE, PAGE, Ram};
use crate::virtio::setup::{self, Global, Setup};
use crate::virtio::transports::{MOST, Transport};
use crate::virtio::{clock, devices, pages};
use crate::{attached, start, target};

#[cfg(target_arch = "x86_64")]
mod pc;
#[cfg(target_arch = "x86_64")]
use pc as machine;
#[cfg(target_arch = "aarch64")]
mod virt;
#[cfg(target_arch = "aarch64")]
use virt as machine;

/// The command line, with the terminator that the application expects.
static LINE: Global<[u8; LINE_MAX + 1]> = Global::new([0; LINE_MAX + 1]);
/// The transports that the firmware's tables announce, and how many there are.
static DESCRIBED: Global<[Transport; MOST]> =
    Global::new([Transport { base: 0, size: 0, line: 0 }; MOST]);
static DESCRIBED_COUNT: AtomicUsize = AtomicUsize::new(0);
/// What the bindings offer the application, as a tender would.
static RECORD: Global<Record> = Global::new(Record::NONE);
/// A page of its own for the seed.
#[repr(C, align(4096))]
struct SeedPage {
    seed: [u64; SEED_SIZE / 8],
    _rest: [u8; PAGE as usize - SEED_SIZE],
}

/// Random numbers of the CPU, until the application takes them.
static SEED: Global<SeedPage> =
    Global::new(SeedPage { seed: [0; SEED_SIZE / 8], _rest: [0; PAGE as usize - SEED_SIZE] });
/// What the second part of the start needs.
static HEAP: Global<Heap> = Global::new(Heap { start: 0, size: 0 });
static BOOT_DISK: Global<Option<u32>> = Global::new(None);
static REST: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

/// What the loader said.
struct Machine {
    /// Usable memory.
    ranges: [Range<u64>; RANGES],
    /// Whether the command line was too long.
    cut: bool,
    /// The disk that the loader was on, if it says so.
    boot_disk: Option<u32>,
    /// Random bytes for the application, if the CPU makes none.
    seed: Option<[u8; SEED_SIZE]>,
}

/// The first part, on the stack of the start. Never returns: the rest runs on another stack.
fn begin(machine: Machine) -> ! {
    // SAFETY: the reference is the only one, and nothing writes there from now on.
    let line: &'static [u8] = unsafe { LINE.get() };
    // SAFETY: the last byte was never written, so there is a terminator.
    let line = unsafe { CStr::from_ptr(line.as_ptr().cast()) };
    if machine.cut {
        target::console_write(b"Solo5: warning: command line too long, truncated\n");
    }
    let rest = start::greet(line);
    REST.store(rest.cast_mut(), Relaxed);
    // SAFETY: the reference is the only one and ends here.
    *unsafe { BOOT_DISK.get() } = machine.boot_disk;
    let Some(ram) = Ram::new(BASE, &machine.ranges) else { machine::no_memory() };
    setup::set_ram(ram);
    let end = ram.end();
    let stack = offer(end, machine.seed);
    if ram.physical(symbol!("_end")).is_none_or(|(physical, _)| physical != symbol!("_end")) {
        abort!("Not enough memory");
    }
    let heap = start::memory(end, |heap| {
        let guard = (stack != 0).then(|| {
            let start = end.wrapping_sub(stack).wrapping_sub(GUARD);
            start..start.wrapping_add(GUARD)
        });
        if pages::map_memory(&ram, heap, guard, machine::registers()).is_none() {
            abort!("Not enough memory");
        }
    });
    // SAFETY: the reference is the only one and ends here.
    *unsafe { HEAP.get() } = heap;
    // SAFETY: the stack's pages are mapped, and nothing uses them.
    unsafe { control::go_on(end, on_its_stack) }
}

/// The second part, on the stack of the application.
extern "C" fn on_its_stack() -> ! {
    // SAFETY: the reference is the only one: the first part has ended.
    let heap = unsafe { HEAP.get() };
    // SAFETY: as above.
    let line = unsafe { LINE.get() };
    // SAFETY: as above.
    let described = unsafe { DESCRIBED.get() };
    clock::start();
    let mut setup = Setup {
        heap,
        entries: entries(),
        command_line: until_nul(line),
        // SAFETY: the reference is the only one and ends here.
        boot_disk: *unsafe { BOOT_DISK.get() },
        properties: start::properties(),
        announced: machine::announced(),
        described: described.get(..DESCRIBED_COUNT.load(Relaxed)).unwrap_or_default(),
    };
    machine::begin(&mut setup);
    devices::attach(&mut setup);
    // SAFETY: the linker put the manifest there, and it no longer changes.
    unsafe { attached::set(manifest()) };
    start::run(REST.load(Relaxed), heap)
}

fn until_nul(line: &'static [u8]) -> &'static [u8] {
    let end = line.iter().position(|byte| *byte == 0).unwrap_or(line.len());
    line.get(..end).unwrap_or_default()
}

/// Copies as much as there is room for.
fn copy(to: &mut [u8], from: &[u8]) {
    for (slot, byte) in to.iter_mut().zip(from) {
        *slot = *byte;
    }
}

/// The address of the manifest.
fn manifest() -> u64 {
    /// Length of the owner's name, with its padding.
    const OWNER: u64 = 8;
    symbol!("__solo5_mft1_note") + size_of::<Header>() as u64 + OWNER + mft1::PADDING as u64
}

/// The manifest's entries.
fn entries() -> &'static mut [Entry] {
    let manifest = ptr::with_exposed_provenance_mut::<u8>(manifest() as usize);
    // SAFETY: a manifest begins with its version and the number of its entries, 4 bytes each.
    let count = unsafe { manifest.wrapping_add(4).cast::<u32>().read_unaligned() };
    if count == 0 || count as usize > ENTRIES_MAX {
        abort!("Built-in manifest validation failed.");
    }
    let first = manifest.wrapping_add(HEADER_SIZE).cast::<Entry>();
    // SAFETY: this many entries follow, in a writable segment. They are bytes, so that every pattern
    // is one, and the start is the only one who has them: `attached` gets them when it is done.
    unsafe { slice::from_raw_parts_mut(first, count as usize) }
}

/// Offers the application what these bindings do beyond the interface of Solo5 0.12; returns the size
/// of a stack of its own, 0 if it asks for none.
fn offer(end: u64, seed: Option<[u8; SEED_SIZE]>) -> u64 {
    let stack = start::stack_size().next_multiple_of(PAGE);
    let mut features = Features::of(&[Feature::Transfers, Feature::Flush]);
    // SAFETY: the reference is the only one, and nothing writes there afterwards.
    let record = unsafe { RECORD.get() };
    record.transfer_max = TRANSFER_MAX.into();
    if stack != 0 {
        let Some(heap_end) = end.checked_sub(stack).and_then(|end| end.checked_sub(GUARD)) else {
            abort!("Not enough memory");
        };
        record.heap_end = heap_end.into();
        features = features.with(Feature::Stack);
    }
    let random = match [(); SEED_SIZE / 8].map(|()| arch::random()) {
        [Some(a), Some(b), Some(c), Some(d)] => Some([a, b, c, d]),
        _ => seed.map(words),
    };
    if let Some(seed) = random {
        // SAFETY: the reference is the only one. The application takes the seed by its address.
        let page = unsafe { SEED.get() };
        page.seed = seed;
        record.seed = (ptr::from_mut(page).expose_provenance() as u64).into();
        features = features.with(Feature::Seed);
    }
    let address = ptr::from_ref(record).expose_provenance() as u64;
    let Some(first) = entries().first_mut().filter(|entry| entry.is_reserved()) else {
        abort!("first entry in manifest is not of type MFT_RESERVED_FIRST");
    };
    first.set_offer(Offer::new(features, address));
    // SAFETY: the linker put the manifest there. The devices come later, by a second call.
    unsafe { attached::set(manifest()) };
    stack
}

/// Bytes as words.
fn words(bytes: [u8; SEED_SIZE]) -> [u64; SEED_SIZE / 8] {
    let mut words = [0; SEED_SIZE / 8];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}
