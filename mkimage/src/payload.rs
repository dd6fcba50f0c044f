//! Unikernel → payload: what a Multiboot 1 loader puts into memory, and where
//! (`docs/reference/disk-image.md#payload`; Multiboot Specification 0.6.96, 3.1.2 to 3.1.4).
//!
//! All of this is done here, so that the loader on the disk only copies sectors.

use std::fmt;

/// The header's first word.
const MAGIC: u32 = 0x1bad_b002;
/// The header is within this many bytes of the start of the file.
const SEARCHED: usize = 8192;
/// Bytes of the header with addresses.
const HEADER_SIZE: usize = 32;
/// Flag: the header has addresses, so the file need not be an ELF file of 32 bits.
const HAS_ADDRESSES: u32 = 1 << 16;
/// Flags that a loader must know, and this one does: modules on page boundaries, a map of memory.
const KNOWN: u32 = 0b11;
/// Flags in which a loader must know every bit.
const MUST_KNOW: u32 = 0xffff;
/// Lowest address to load to; a BIOS and the loader use what is below.
const LOWEST: u32 = 0x10_0000;
/// Most bytes from the first that is loaded to the end of the bss: below the devices of any PC.
const MEMORY_MAX: u32 = 2 << 30;

/// Most bytes that the end to load may lie behind that of the file, where zeros are meant: linker scripts
/// put it on the next page boundary, and write no padding.
const PADDING: usize = 4095;

/// What is loaded, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload {
    /// The bytes from `load_address` on; not empty.
    pub content: Vec<u8>,
    /// Physical address of the first byte.
    pub load_address: u32,
    /// Where the zeros end that follow the content.
    pub bss_end: u32,
    /// Physical address of the 32-bit entry.
    pub entry: u32,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Payload { content, load_address, bss_end, entry } = self;
        let length = content.len();
        write!(f, "Payload {{ {length} bytes, {load_address:#x}, {bss_end:#x}, {entry:#x} }}")
    }
}

/// Why a file has no payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadError {
    /// There is no header in the first 8192 bytes.
    NoHeader,
    /// The header asks for something that the loader does not do.
    Flags(u32),
    /// The header has no addresses.
    NoAddresses,
    /// Addresses that contradict each other, lie below 1 MiB, or span more than 2 GiB.
    Addresses,
    /// The file ends before the last byte to load.
    Short,
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::NoHeader => {
                f.write_str("there is no Multiboot header in its first 8192 bytes")
            }
            PayloadError::Flags(flags) => {
                write!(f, "its Multiboot header has flags {flags:#x}, which no loader here knows")
            }
            PayloadError::NoAddresses => {
                f.write_str("its Multiboot header has no addresses (flag 16)")
            }
            PayloadError::Addresses => {
                f.write_str("the addresses in its Multiboot header make no sense")
            }
            PayloadError::Short => {
                f.write_str("it ends before the last byte that its Multiboot header names")
            }
        }
    }
}

impl Payload {
    /// The payload of the unikernel in `file`.
    ///
    /// # Errors
    ///
    /// What is wrong with its Multiboot header.
    pub fn of(file: &[u8]) -> Result<Payload, PayloadError> {
        let (at, header) = find(file).ok_or(PayloadError::NoHeader)?;
        let [_, flags, _, header_address, load_address, load_end, bss_end, entry] = header;
        if flags & MUST_KNOW & !KNOWN != 0 {
            return Err(PayloadError::Flags(flags));
        }
        if flags & HAS_ADDRESSES == 0 {
            return Err(PayloadError::NoAddresses);
        }
        // The header lies in what is loaded, so it tells where that begins in the file.
        let before = header_address.checked_sub(load_address).ok_or(PayloadError::Addresses)?;
        let before = usize::try_from(before).map_err(|_| PayloadError::Addresses)?;
        let start = at.checked_sub(before).ok_or(PayloadError::Addresses)?;
        let mut content = file.get(start..).ok_or(PayloadError::Short)?.to_vec();
        // An end of 0 is that of the file.
        if load_end != 0 {
            let length = load_end.checked_sub(load_address).ok_or(PayloadError::Addresses)?;
            let length = usize::try_from(length).map_err(|_| PayloadError::Addresses)?;
            if length > content.len().saturating_add(PADDING) {
                return Err(PayloadError::Short);
            }
            content.resize(length, 0);
        }
        let length = u32::try_from(content.len()).map_err(|_| PayloadError::Addresses)?;
        let load_end = load_address.checked_add(length).ok_or(PayloadError::Addresses)?;
        let bss_end = if bss_end == 0 { load_end } else { bss_end };
        let makes_sense = load_address >= LOWEST
            && (load_address..load_end).contains(&entry)
            && bss_end >= load_end
            && bss_end - load_address <= MEMORY_MAX;
        if !makes_sense {
            return Err(PayloadError::Addresses);
        }
        Ok(Payload { content, load_address, bss_end, entry })
    }
}

/// Where the header is in the file, and its words.
fn find(file: &[u8]) -> Option<(usize, [u32; 8])> {
    let last = file.len().min(SEARCHED).checked_sub(HEADER_SIZE)?;
    (0..=last).step_by(4).find_map(|at| {
        let bytes = file.get(at..at.checked_add(HEADER_SIZE)?)?;
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = u32::from_le_bytes(bytes.try_into().ok()?);
        }
        let [magic, flags, checksum, ..] = words;
        let sum = magic.wrapping_add(flags).wrapping_add(checksum);
        (magic == MAGIC && sum == 0).then_some((at, words))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLAGS: u32 = 0x10003;

    /// A file of 0x300 bytes with a header at 0x120, loaded from offset 0x100.
    fn file(words: [u32; 5], flags: u32) -> Vec<u8> {
        let mut file: Vec<u8> = (0..0x300_u32).map(|at| (at % 251) as u8).collect();
        let head = [MAGIC, flags, 0_u32.wrapping_sub(MAGIC.wrapping_add(flags))];
        for (place, word) in file[0x120..].chunks_exact_mut(4).zip(head.into_iter().chain(words)) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        file
    }

    #[test]
    fn the_bytes_between_the_addresses_are_the_payload() {
        let file = file([0x10_0020, 0x10_0000, 0x10_0180, 0x10_1000, 0x10_0040], FLAGS);
        let payload = Payload::of(&file).unwrap();
        assert_eq!(payload.content, file[0x100..0x280]);
        assert_eq!(
            (payload.load_address, payload.bss_end, payload.entry),
            (0x10_0000, 0x10_1000, 0x10_0040)
        );
    }

    #[test]
    fn an_end_of_zero_is_the_end_of_the_file_and_no_bss() {
        let file = file([0x10_0020, 0x10_0000, 0, 0, 0x10_0040], FLAGS);
        let payload = Payload::of(&file).unwrap();
        assert_eq!(payload.content, file[0x100..]);
        assert_eq!(payload.bss_end, 0x10_0200);
    }

    #[test]
    fn padding_up_to_a_page_boundary_need_not_be_in_the_file() {
        let file = file([0x10_0020, 0x10_0000, 0x10_1000, 0x10_2000, 0x10_0040], FLAGS);
        let payload = Payload::of(&file).unwrap();
        assert_eq!(payload.content.len(), 0x1000);
        assert_eq!(payload.content[..0x200], file[0x100..]);
        assert!(payload.content[0x200..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn each_error_has_its_words() {
        let good = [0x10_0020, 0x10_0000, 0x10_0180, 0x10_1000, 0x10_0040];
        let of = |at: usize, word: u32| {
            let mut words = good;
            words[at] = word;
            Payload::of(&file(words, FLAGS)).unwrap_err()
        };
        assert_eq!(of(0, 0x0f_0000), PayloadError::Addresses, "header below the load address");
        assert_eq!(of(0, 0x10_1000), PayloadError::Addresses, "before the start of the file");
        assert_eq!(of(2, 0x10_1200), PayloadError::Short);
        assert_eq!(of(2, 0x0f_0000), PayloadError::Addresses);
        assert_eq!(of(3, 0x10_0100), PayloadError::Addresses, "the bss ends in the content");
        assert_eq!(of(3, 0xf000_0000), PayloadError::Addresses, "3.8 GiB");
        assert_eq!(of(4, 0x10_0180), PayloadError::Addresses, "entry behind the content");
        let low = [0x8020, 0x8000, 0x8180, 0x9000, 0x8040];
        assert_eq!(Payload::of(&file(low, FLAGS)), Err(PayloadError::Addresses));
        assert_eq!(Payload::of(&file(good, 0x3)), Err(PayloadError::NoAddresses));
        assert_eq!(Payload::of(&file(good, 0x10007)), Err(PayloadError::Flags(0x10007)));
        assert_eq!(Payload::of(b"#!/bin/sh\n"), Err(PayloadError::NoHeader));
    }

    proptest! {
        #[test]
        fn any_header_gives_a_payload_within_the_file_or_an_error(
            words in any::<[u32; 5]>(), near in any::<[u16; 5]>(), which in any::<[bool; 5]>(),
        ) {
            let mut header = words;
            for ((word, near), which) in header.iter_mut().zip(near).zip(which) {
                if which {
                    *word = 0x10_0000 + u32::from(near) % 0x400;
                }
            }
            let file = file(header, FLAGS);
            if let Ok(payload) = Payload::of(&file) {
                let end = payload.load_address + u32::try_from(payload.content.len()).unwrap();
                prop_assert!(!payload.content.is_empty());
                prop_assert!(payload.content.len() <= file.len() + PADDING);
                prop_assert!(payload.load_address >= LOWEST && end <= payload.bss_end);
                prop_assert!((payload.load_address..end).contains(&payload.entry));
            }
        }
    }
}
