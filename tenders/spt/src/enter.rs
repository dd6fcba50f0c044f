//! The tender's last instructions: unmap the tender, install the filter, jump to the guest
//! (`docs/reference/spt.md`).
//!
//! The guest could read whatever the tender left in memory: paths, options, addresses. So before
//! the guest runs, everything except guest memory is unmapped: program, heap, stack, and the
//! kernel's vdso. The instructions that do this are copied into a mapping of their own, together
//! with the data that they read. Only this mapping stays. The two names that `ps` shows are in the
//! guest's read-only low memory; the kernel is told so.
//!
//! After the filter is installed, the registers are cleared. What they are, and the instructions, is in
//! [`crate::arch`].

use std::ops::Range;
use std::os::fd::RawFd;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use solo5_abi::spt::GUEST_MIN_BASE;
use solo5_tender::arch::publish_code;
use solo5_tender::seccomp::Instruction;
use solo5_tender::signals;
use solo5_tender::sys::{Errno, filters, image};

use crate::arch;
use crate::leave::Leave;

/// Where the guest starts.
#[derive(Clone, Debug)]
pub struct Start {
    /// Entry point.
    pub entry: u64,
    /// Initial stack pointer.
    pub stack: u64,
    /// Address of the boot information, which is the guest's only argument.
    pub boot_info: u64,
    /// End of guest memory.
    pub memory_end: u64,
    /// Where the names of program and image are: two strings in guest memory.
    pub names: Range<u64>,
    /// A descriptor to close after the filter is installed.
    pub close: Option<RawFd>,
}

/// How many pages before the start of the vdso may belong to the kernel, in ranges that are
/// unmapped one by one if the kernel seals its mappings. It then refuses every range that
/// includes one of their pages. Kernels that seal have 6 such pages.
const KERNEL_PAGES: [u64; 6] = [4, 4, 2, 2, 2, 2];

/// Upper bound, in words, of the data that the code reads, not counting the filter.
const WORDS_MAX: usize = arch::STATE + 2 * 24;

unsafe extern "C" {
    static solo5_spt_leave: u8;
    static solo5_spt_signal: u8;
    static solo5_spt_leave_end: u8;
}

/// The machine code of `arch`.
fn code() -> &'static [u8] {
    let (start, end) = (&raw const solo5_spt_leave, &raw const solo5_spt_leave_end);
    // SAFETY: the two symbols are the start and the end of one contiguous piece of code.
    unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// A filter instruction as the 8 bytes of the kernel's `struct sock_filter`.
fn word(step: &Instruction) -> u64 {
    let Instruction { code, if_true, if_false, operand } = *step;
    u64::from(code)
        | u64::from(if_true) << 16
        | u64::from(if_false) << 24
        | u64::from(operand) << 32
}

/// The parts of `all` that are in none of `kept`.
fn without(all: Range<u64>, kept: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = vec![all];
    for keep in kept {
        let cut = |range: Range<u64>| {
            let before = range.start..range.end.min(keep.start);
            let after = range.start.max(keep.end)..range.end;
            [before, after].into_iter().filter(|part| part.start < part.end)
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left
}

/// The ranges of `all` to unmap: everything but the mapping `own`. The kernel unmaps a mapping of its own
/// only as a whole.
fn unmapped(all: Range<u64>, own: &Range<u64>) -> Vec<Range<u64>> {
    without(all, std::slice::from_ref(own))
}

/// The same for a kernel that seals its mappings, on a host with pages of `page` bytes: it has refused the
/// range that they are in. Pages before the `vdso` that may belong to the kernel, and the vdso itself, are
/// ranges of their own. To unmap nothing is no error.
fn unmapped_in_pieces(
    all: Range<u64>,
    page: u64,
    own: Range<u64>,
    vdso: Option<Range<u64>>,
) -> Vec<Range<u64>> {
    let vdso = vdso.unwrap_or(all.end..all.end);
    let before = KERNEL_PAGES.iter().sum::<u64>() * page;
    let kernel = vdso.start.saturating_sub(before).max(all.start)..vdso.end;
    let mut ranges = without(all, &[own.clone(), kernel.clone()]);
    let mut start = kernel.start;
    for pages in KERNEL_PAGES {
        let end = start.saturating_add(pages * page).min(vdso.start);
        ranges.extend(without(start..end, std::slice::from_ref(&own)));
        start = end;
    }
    ranges.push(vdso);
    ranges.retain(|range| range.start < range.end);
    ranges
}

/// Unmaps the tender, installs `filter` and starts the guest. Returns only on an error before
/// anything is unmapped.
///
/// # Safety
///
/// `start.entry` is guest code; `start.stack` is writable and below the end of guest memory. The
/// process has one thread and `no_new_privs` set. `filter` allows the rules of [`arch::rules`] and
/// closing `start.close`, which nothing else uses.
pub unsafe fn enter(filter: &[Instruction], start: Start) -> Errno {
    if let Err(error) = filters::check_filters().and_then(|()| image::leave_restartable_sequences())
    {
        return error;
    }
    let code = code();
    let size = 8 * (WORDS_MAX + filter.len()) + code.len();
    let page = image::page_size();
    let size = size.next_multiple_of(page as usize);
    let access = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let mapped = unsafe {
        rustix::mm::mmap_anonymous(std::ptr::null_mut(), size, access, MapFlags::PRIVATE)
    };
    let own = match mapped {
        Ok(own) => own,
        Err(error) => return error,
    };
    let base = own.expose_provenance() as u64;
    let all = start.memory_end..arch::addresses_end();
    let own_range = base..base + size as u64;
    let mut ranges = unmapped(all.clone(), &own_range);
    if image::seals_vdso() {
        ranges.extend(unmapped_in_pieces(all, page, own_range, image::vdso()));
    }

    let mut words = arch::state();
    // Ranges to unmap, and the end of this list.
    words.extend(ranges.iter().flat_map(|range| [range.start, range.end - range.start]));
    words.extend([0, 0]);
    // A `struct sock_fprog`, and the filter that it points to.
    let program = words.len() as u64;
    words.extend([filter.len() as u64, base + 8 * (program + 2)]);
    words.extend(filter.iter().map(word));
    let entry = 8 * words.len();
    if entry + code.len() > size {
        return Errno::TOOBIG;
    }
    let at = own.cast::<u64>();
    // SAFETY: words and code fit into the mapping, as checked above; it is writable and nothing
    // else uses it. Words are aligned, because mappings start at a page.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), at, words.len()) };
    // SAFETY: as above; the code follows the words.
    let at = unsafe { at.add(words.len()) }.cast::<u8>();
    // SAFETY: as above.
    unsafe { std::ptr::copy_nonoverlapping(code.as_ptr(), at, code.len()) };
    // SAFETY: the code was just written there.
    unsafe { publish_code(at.addr(), code.len()) };
    let rights = MprotectFlags::READ | MprotectFlags::EXEC;
    // SAFETY: this is the mapping made above, which is never written again.
    if let Err(error) = unsafe { rustix::mm::mprotect(own, size, rights) } {
        return error;
    }
    let signal = (&raw const solo5_spt_signal).addr() - (&raw const solo5_spt_leave).addr();
    // SAFETY: this is the copied code that ends the process; it uses no stack and stays mapped.
    if let Err(error) = unsafe { signals::end_elsewhere(base as usize + entry + signal) } {
        return error;
    }
    // If the kernel refuses, `ps` shows the program's file name only.
    let _ = image::show_names(start.names, GUEST_MIN_BASE..start.memory_end);
    // SAFETY: the jump goes to the copy of the code. The copy uses no stack, and all data that it
    // reads is in the same mapping. It never returns, so nothing that it unmaps is used again; `ranges`
    // contains neither guest memory nor the copy's own mapping. The filter allows the calls that it
    // makes once the filter is installed. The last jump starts the guest on its own stack, as the
    // caller promises.
    unsafe {
        arch::leave(&Leave {
            code: base + entry as u64,
            state: base,
            ranges: base + 8 * arch::STATE as u64,
            program: base + 8 * program,
            page,
            entry: start.entry,
            stack: start.stack,
            boot_info: start.boot_info,
            close: i64::from(start.close.unwrap_or(-1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 0x4000;
    const ADDRESSES_END: u64 = 1 << 47;

    #[test]
    fn unmapped_covers_everything_except_the_kept_ranges() {
        let kernel = 0x7_0000_0000..0x7_0000_2000;
        let (from, own) = (0x20_0000, 0x6_0000_0000..0x6_0000_3000);
        let all = from..ADDRESSES_END;
        let pieces =
            |own: &Range<u64>, vdso| unmapped_in_pieces(all.clone(), PAGE, own.clone(), vdso);
        assert_eq!(pieces(&own, Some(kernel.clone())).len(), 3 + KERNEL_PAGES.len() + 1);
        let whole = |mut ranges: Vec<Range<u64>>, own: Range<u64>| {
            ranges.push(own);
            ranges.sort_by_key(|range| range.start);
            assert_eq!(ranges.first().unwrap().start, from);
            assert_eq!(ranges.last().unwrap().end, ADDRESSES_END);
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start), "{ranges:x?}");
        };
        assert_eq!(unmapped(all.clone(), &own), [from..own.start, own.end..ADDRESSES_END]);
        // The vdso's address may be unknown, and the tender's mapping may lie among the kernel's
        // pages.
        for own in [own, kernel.start - PAGE..kernel.start, kernel.end..kernel.end + PAGE] {
            whole(unmapped(all.clone(), &own), own.clone());
            whole(pieces(&own, None), own.clone());
            let ranges = pieces(&own, Some(kernel.clone()));
            assert!(2 * (2 + ranges.len() + 2) <= WORDS_MAX - arch::STATE, "{}", ranges.len());
            whole(ranges, own);
        }
        let own = kernel.start - 5 * PAGE..kernel.start - PAGE;
        whole(pieces(&own, Some(kernel)), own);
    }
}
