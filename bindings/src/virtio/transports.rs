//! virtio-mmio transports, as machines announce them: words `virtio_mmio.device=SIZE@BASE:LINE` on
//! the command line of a Linux kernel (`docs/reference/virtio.md#mmio`).

/// Most transports that are read.
pub const MOST: usize = 64;

const KEY: &[u8] = b"virtio_mmio.device=";

/// The registers of a virtio-mmio device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    /// Physical address of the first register.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// Its interrupt line.
    pub line: u32,
}

/// The transports that `line` announces, at most [`MOST`].
pub fn announced(line: &[u8]) -> impl Iterator<Item = Transport> + '_ {
    words(line).filter_map(|word| parse(word.strip_prefix(KEY)?)).take(MOST)
}

/// The length of `line` without the words that announce transports at its end, and the blanks before
/// those.
pub fn without(line: &[u8]) -> usize {
    let mut rest = line.trim_ascii_end();
    let mut length = line.len();
    loop {
        let start = rest.iter().rposition(|byte| *byte == b' ').map_or(0, |space| space + 1);
        let (before, word) = rest.split_at_checked(start).unwrap_or((b"", b""));
        if !word.starts_with(KEY) {
            return length;
        }
        rest = before.trim_ascii_end();
        length = rest.len();
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace() || *byte == 0)
}

/// `SIZE@BASE:LINE` or `SIZE@BASE:LINE:ID`.
fn parse(text: &[u8]) -> Option<Transport> {
    let (size, text) = split(text, b'@')?;
    let (base, text) = split(text, b':')?;
    let line = split(text, b':').map_or(text, |(line, _)| line);
    let (base, size) = (number(base)?, number(size)?);
    let line = u32::try_from(number(line)?).ok()?;
    base.checked_add(size)?;
    Some(Transport { base, size, line })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// A number in decimal or, after `0x`, in hexadecimal; K, M and G multiply it.
fn number(text: &[u8]) -> Option<u64> {
    let (text, shift) = match text.split_last()? {
        (b'K' | b'k', rest) => (rest, 10),
        (b'M' | b'm', rest) => (rest, 20),
        (b'G' | b'g', rest) => (rest, 30),
        _ => (text, 0),
    };
    let (digits, base) = match text.strip_prefix(b"0x") {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    if digits.is_empty() {
        return None;
    }
    let mut number: u64 = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(base)?;
        number = number.checked_mul(base.into())?.checked_add(digit.into())?;
    }
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn machines_announce_them_like_this() {
        // QEMU's microvm, and Firecracker.
        let line = b"a=b virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=4K@0xd0000000:5 x";
        let found: Vec<_> = announced(line).collect();
        assert_eq!(
            found,
            [
                Transport { base: 0xfeb0_0e00, size: 512, line: 12 },
                Transport { base: 0xd000_0000, size: 4096, line: 5 },
            ]
        );
    }

    #[test]
    fn what_is_not_one_is_skipped() {
        for word in ["", "4K", "4K@", "4K@1", "@1:2", "4K@1:", "4K@0x:1", "1@2:4294967296", "z@1:2"]
        {
            let line = std::format!("virtio_mmio.device={word}");
            assert_eq!(announced(line.as_bytes()).count(), 0, "{word}");
        }
        let line = b"virtio_mmio.device=1@0xffffffffffffffff:1 virtio_mmio.device=99999999999G@1:1";
        assert_eq!(announced(line).count(), 0);
        assert_eq!(announced(&b"virtio_mmio.device=1@2:3 ".repeat(100)).count(), MOST);
        assert_eq!(announced(b"virtio_mmio.device=1@2:3:4").count(), 1);
    }

    #[test]
    fn the_application_does_not_see_them() {
        let cut = |line: &'static [u8]| line.get(..without(line)).unwrap();
        assert_eq!(cut(b"a  b  virtio_mmio.device=1@2:3 virtio_mmio.device=1@2:3"), b"a  b");
        assert_eq!(cut(b"virtio_mmio.device=1@2:3"), b"");
        assert_eq!(cut(b"virtio_mmio.device=1@2:3 a "), b"virtio_mmio.device=1@2:3 a ");
        assert_eq!(cut(b"a "), b"a ");
        assert_eq!(cut(b""), b"");
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line: Vec<u8>) {
            assert!(announced(&line).count() <= MOST);
            assert!(without(&line) <= line.len());
        }
    }
}
