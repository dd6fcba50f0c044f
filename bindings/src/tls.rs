//! Layout of a thread-local storage block (`docs/reference/guest-api.md#tls`).
//!
//! The linker knows only the size and the alignment of the TLS segment. It computes from them how far
//! each variable is from the thread pointer. A block has to follow the same rule:
//!
//! * variant II (x86_64): the data begins the block; the thread pointer is the data's end, rounded up
//!   to the alignment; a word there holds the thread pointer itself;
//! * variant I (aarch64): the thread pointer is the block's start; two words are there, and the data
//!   follows them, rounded up to the alignment;
//! * ppc64le: the data begins the block; the thread pointer is 0x7000 bytes behind the block's start;
//!   the ABI keeps nothing there.

/// How an architecture lays out a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// x86_64.
    X86_64,
    /// aarch64.
    Aarch64,
    /// ppc64le.
    Ppc64le,
}

/// Least alignment in bytes: that of a word.
const WORD: usize = 8;
/// Size in bytes of the two words that variant I keeps at the thread pointer.
const TCB_ARM: usize = 16;
/// Distance in bytes that lets ppc64le reach 64 KiB with signed 16-bit displacements.
const BIAS_POWER: usize = 0x7000;

/// Layout of every block of one image, in bytes from the block's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Size of a block.
    pub size: usize,
    /// Alignment of a block, a power of two.
    pub align: usize,
    /// The thread pointer.
    pub thread_pointer: usize,
    /// The initialised variables.
    pub data: usize,
    /// Length of the initialised variables.
    pub data_len: usize,
    /// First byte behind all variables; those from `data + data_len` on are zero.
    pub end: usize,
    /// Whether a word at the thread pointer holds the thread pointer.
    pub self_pointer: bool,
}

fn align_up(value: usize, align: usize) -> usize {
    value.wrapping_add(align - 1) & !(align - 1)
}

impl Layout {
    /// The layout for an image with `data_len` bytes of `.tdata` and `zero_len` of `.tbss`, whose
    /// TLS segment is aligned to `align` bytes. An `align` that is below a word's or no power of two
    /// counts as a word's: under an older linker script it is 0.
    pub fn new(variant: Variant, data_len: usize, zero_len: usize, align: usize) -> Layout {
        let align = if align.is_power_of_two() && align > WORD { align } else { WORD };
        let variables = data_len.wrapping_add(zero_len);
        let (thread_pointer, data, self_pointer) = match variant {
            Variant::X86_64 => (align_up(variables, align), 0, true),
            Variant::Aarch64 => (0, align_up(TCB_ARM, align), true),
            Variant::Ppc64le => (BIAS_POWER, 0, false),
        };
        let end = data.wrapping_add(variables);
        let size = match variant {
            Variant::X86_64 => thread_pointer.wrapping_add(WORD),
            Variant::Aarch64 | Variant::Ppc64le => end.max(WORD),
        };
        Layout { size, align, thread_pointer, data, data_len, end, self_pointer }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn x86_64(data: usize, zero: usize, align: usize) -> (usize, usize) {
        let layout = Layout::new(Variant::X86_64, data, zero, align);
        (layout.size, layout.thread_pointer)
    }

    #[test]
    fn aligned_sizes_give_upstreams_results() {
        assert_eq!(x86_64(0, 0, 0), (8, 0));
        assert_eq!(x86_64(0x1000, 8, 8), (0x1010, 0x1008));
        assert_eq!(x86_64(0, 16, 0), (24, 16));
    }

    #[test]
    fn the_thread_pointer_is_rounded_up() {
        assert_eq!(x86_64(0x1000, 4, 0), (0x1010, 0x1008));
        assert_eq!(x86_64(0x1000, 4, 64), (0x1048, 0x1040));
        assert_eq!(x86_64(0, 1, 4096), (4104, 4096));
    }

    #[test]
    fn nonsense_alignments_count_as_a_word() {
        for align in [0, 1, 3, 4, 8, 24] {
            assert_eq!(Layout::new(Variant::X86_64, 4, 0, align).align, 8);
        }
    }

    #[test]
    fn variant_one_keeps_two_words_first() {
        let layout = Layout::new(Variant::Aarch64, 0x1000, 4, 8);
        assert_eq!((layout.thread_pointer, layout.data, layout.end), (0, 16, 0x1014));
        let layout = Layout::new(Variant::Aarch64, 0x1000, 4, 64);
        assert_eq!((layout.thread_pointer, layout.data), (0, 64));
        assert_eq!(Layout::new(Variant::Aarch64, 0, 0, 8).size, 16);
    }

    #[test]
    fn power_writes_nothing_at_its_distant_thread_pointer() {
        let layout = Layout::new(Variant::Ppc64le, 0, 0, 8);
        assert_eq!((layout.size, layout.thread_pointer), (8, 0x7000));
        assert!(!layout.self_pointer);
    }

    /// The linker's side of the rule: on x86_64 the address of the variable at `offset` of
    /// the TLS segment is `tp - align_up(segment size) + offset`.
    #[test]
    fn linkers_find_every_variable_in_the_block() {
        for (data, zero) in [(0, 4), (4, 0), (0x1000, 4), (0x1000, 100), (12, 12)] {
            for align in [8, 16, 64, 4096] {
                let layout = Layout::new(Variant::X86_64, data, zero, align);
                let size = (data + zero).next_multiple_of(align);
                assert_eq!(layout.thread_pointer - size, layout.data);
                assert_eq!(layout.thread_pointer % align, 0);
                assert!(layout.end <= layout.thread_pointer);
            }
        }
    }
}
