//! The values of options. Each function takes the whole text or refuses it.

use solo5_abi::device::SectorSize;
use std::fmt;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether it is a group address, which no interface should send from.
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An Ethernet address: six fields of one or two hexadecimal digits between colons.
pub fn parse_mac(text: &[u8]) -> Option<Mac> {
    let mut fields = text.split(|byte| *byte == b':');
    let mut bytes = [0; 6];
    for byte in &mut bytes {
        let field = fields.next()?;
        if !(1..=2).contains(&field.len()) || !field.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        *byte = u8::from_str_radix(str::from_utf8(field).ok()?, 16).ok()?;
    }
    fields.next().is_none().then_some(Mac(bytes))
}

/// A decimal number: only digits.
pub(crate) fn parse_number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// Memory in MiB from `N`, `NMiB` or `NGiB`; not 0, and its size in bytes fits 64 bits.
pub(crate) fn parse_memory(text: &[u8]) -> Option<u64> {
    let (number, unit) = if let Some(number) = text.strip_suffix(b"GiB") {
        (number, 1024)
    } else {
        (text.strip_suffix(b"MiB").unwrap_or(text), 1)
    };
    let mebibytes = parse_number(number)?.checked_mul(unit)?;
    (1..=u64::MAX >> 20).contains(&mebibytes).then_some(mebibytes)
}

/// A sector size in bytes.
pub(crate) fn parse_sector_size(text: &[u8]) -> Option<SectorSize> {
    SectorSize::new(parse_number(text)?)
}

/// A descriptor number.
pub(crate) fn parse_fd(text: &[u8]) -> Option<i32> {
    i32::try_from(parse_number(text)?).ok()
}
