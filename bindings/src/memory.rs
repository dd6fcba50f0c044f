//! Layout of the guest's memory (`docs/reference/guest-api.md#memory`). Addresses and sizes in
//! bytes.

use solo5_abi::stack::HEAP_MIN;

use crate::message::Message;

/// The parts of the image, by the linker script's symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// `_stext`: first address of the text.
    pub text: u64,
    /// `_etext`: first address behind the text.
    pub text_end: u64,
    /// `_erodata`: first address behind read-only data.
    pub rodata_end: u64,
    /// `_end`: first address behind everything.
    pub end: u64,
}

/// The region given to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// First address, at a page boundary.
    pub start: u64,
    /// Size.
    pub size: u64,
}

impl Heap {
    /// The memory behind the image, up to `end`; `None` if that is less than [`HEAP_MIN`].
    /// `page_size` is a power of two.
    pub fn behind(image: &Image, end: u64, page_size: u64) -> Option<Heap> {
        let mask = page_size.checked_sub(1)?;
        let start = image.end.checked_add(mask)? & !mask;
        let size = end.checked_sub(start)?;
        (size >= HEAP_MIN).then_some(Heap { start, size })
    }

    /// Takes the first `len` bytes, whole pages, from the application for the bindings' own use and
    /// returns their address; `None` if less than [`HEAP_MIN`] would be left.
    pub fn reserve(&mut self, len: u64) -> Option<u64> {
        let size = self.size.checked_sub(len)?;
        if size < HEAP_MIN {
            return None;
        }
        let reserved = self.start;
        self.start = reserved.checked_add(len)?;
        self.size = size;
        Some(reserved)
    }
}

/// Whether two ranges, each of a start and a length, have an address in common.
pub fn overlap(one: (u64, u64), other: (u64, u64)) -> bool {
    one.0 < other.0.saturating_add(other.1) && other.0 < one.0.saturating_add(one.1)
}

/// The lines that print the layout, in one message so that one write suffices. `stack` is the size of
/// a stack of its own, or 0 if heap and stack share the heap's region. A guard shows as a gap between
/// them.
pub fn describe(image: &Image, heap: &Heap, stack: u64, mem_size: u64) -> Message {
    let mut message = Message::new();
    message.text("Solo5: Memory map: ").decimal(mem_size >> 20).text(" MB addressable:\n");
    let parts = [
        ("Solo5:   reserved", 0, image.text),
        ("Solo5:       text", image.text, image.text_end),
        ("Solo5:     rodata", image.text_end, image.rodata_end),
        ("Solo5:       data", image.rodata_end, image.end),
    ];
    for (name, start, end) in parts {
        message.text(name).text(" @ (").hex(start).text(" - ").hex(end.wrapping_sub(1)).text(")\n");
    }
    message.text("Solo5:       heap >= ").hex(heap.start).text(" < ");
    if stack > 0 {
        message.hex(heap.start.wrapping_add(heap.size)).text(", stack >= ");
        message.hex(mem_size.wrapping_sub(stack)).text(" < ");
    } else {
        message.text("stack < ");
    }
    message.hex(mem_size).text("\n");
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Image =
        Image { text: 0x10_0000, text_end: 0x10_3000, rodata_end: 0x10_4000, end: 0x10_6001 };

    #[test]
    fn ranges_overlap_if_they_share_a_byte() {
        let page = (0x1_f000, 0x1000);
        for (start, shares) in [
            (0x1_f000, true),
            (0x1_ffff, true),
            (0x1_f000 - 31, true),
            (0x1_f000 - 32, false),
            (0x2_0000, false),
            (0, false),
            (u64::MAX, false),
        ] {
            assert_eq!(overlap(page, (start, 32)), shares, "{start:#x}");
            assert_eq!(overlap((start, 32), page), shares, "{start:#x}");
        }
    }

    #[test]
    fn heap_begins_at_the_next_page() {
        let heap = Heap::behind(&IMAGE, 0x2000_0000, 0x1000);
        let expected = Heap { start: 0x10_7000, size: 0x2000_0000 - 0x10_7000 };
        assert_eq!(heap, Some(expected));
    }

    #[test]
    fn a_heap_has_at_least_half_a_mebibyte() {
        let least = 0x10_7000 + HEAP_MIN;
        assert!(Heap::behind(&IMAGE, least, 0x1000).is_some());
        for mem_size in [least - 1, 0x10_7000, 0x10_0000, 0] {
            assert_eq!(Heap::behind(&IMAGE, mem_size, 0x1000), None);
        }
        let image = Image { end: u64::MAX, ..IMAGE };
        assert_eq!(Heap::behind(&image, u64::MAX, 0x1000), None);
    }

    #[test]
    fn reserved_memory_is_not_the_applications() {
        let mut heap = Heap { start: 0x10_7000, size: HEAP_MIN + 0x3000 };
        assert_eq!(heap.reserve(0x4000), None);
        assert_eq!(heap.reserve(u64::MAX), None);
        assert_eq!(heap.reserve(0x2000), Some(0x10_7000));
        let left = Heap { start: 0x10_9000, size: HEAP_MIN + 0x1000 };
        assert_eq!(heap, left);
        assert_eq!(heap.reserve(0x2000), None);
        assert_eq!(heap, left);
    }

    #[test]
    fn lines() {
        let heap = Heap { start: 0x10_7000, size: 0 };
        let message = describe(&IMAGE, &heap, 0, 0x2000_0000);
        let expected = "\
Solo5: Memory map: 512 MB addressable:
Solo5:   reserved @ (0x0 - 0xfffff)
Solo5:       text @ (0x100000 - 0x102fff)
Solo5:     rodata @ (0x103000 - 0x103fff)
Solo5:       data @ (0x104000 - 0x106000)
Solo5:       heap >= 0x107000 < stack < 0x20000000
";
        assert_eq!(message.finish(), (expected.as_bytes(), false));

        let heap = Heap { start: 0x10_7000, size: 0x1fe9_9000 };
        let message = describe(&IMAGE, &heap, 0x4_0000, 0x2000_0000);
        let (text, cut) = message.finish();
        let last =
            &b"Solo5:       heap >= 0x107000 < 0x1ffa0000, stack >= 0x1ffc0000 < 0x20000000\n"[..];
        assert!(text.ends_with(last) && !cut);
    }

    /// Images lie below 4 GiB, because code refers to them with 32 bits; memory may be larger, up to
    /// half of what a program can address.
    #[test]
    fn the_longest_lines_fit_into_one_message() {
        let image = Image {
            text: 0xffff_fff0,
            text_end: 0xffff_fff1,
            rodata_end: 0xffff_fff2,
            end: 0xffff_fff3,
        };
        let heap = Heap { start: 0x1_0000_0000, size: 0 };
        assert!(!describe(&image, &heap, 0, u64::MAX).finish().1);
        let heap = Heap { start: 0x1_0000_0000, size: 0x7ffe_0000_0000 };
        assert!(!describe(&image, &heap, 0x1_0000, 0x8000_0000_0000).finish().1);
    }
}
