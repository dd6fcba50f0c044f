//! A message under construction: the small formatter (`docs/reference/guest-api.md#log`).
//!
//! `core::fmt` would be larger than all of the bindings. Messages need only text and decimal and
//! hexadecimal numbers.

/// Size in bytes of a message's buffer. A message of this length or more is cut.
pub const SIZE: usize = 320;

/// Follows a message that was cut.
pub const TRUNCATED: &[u8] = b"(truncated)\n";

/// A message under construction.
#[derive(Clone, Debug)]
pub struct Message {
    bytes: [u8; SIZE],
    /// Length of the whole message, even if it does not fit.
    len: usize,
}

impl Default for Message {
    fn default() -> Message {
        Message::new()
    }
}

impl Message {
    /// An empty message.
    pub const fn new() -> Message {
        Message { bytes: [0; SIZE], len: 0 }
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Message {
        for byte in bytes {
            if let Some(slot) = self.bytes.get_mut(self.len) {
                *slot = *byte;
            }
            self.len = self.len.saturating_add(1);
        }
        self
    }

    /// Appends text.
    pub fn text(&mut self, text: &str) -> &mut Message {
        self.bytes(text.as_bytes())
    }

    /// Appends a number in decimal.
    pub fn decimal(&mut self, number: u64) -> &mut Message {
        self.digits(number, 10)
    }

    /// Appends a number in decimal, with a sign if it is negative.
    pub fn signed(&mut self, number: i32) -> &mut Message {
        if number < 0 {
            self.bytes(b"-");
        }
        self.decimal(number.unsigned_abs().into())
    }

    /// Appends `0x` and a number in lower-case hexadecimal.
    pub fn hex(&mut self, number: u64) -> &mut Message {
        self.bytes(b"0x").digits(number, 16)
    }

    fn digits(&mut self, mut number: u64, base: u64) -> &mut Message {
        let mut place = 1;
        while number.checked_div(place).is_some_and(|left| left >= base) {
            place *= base;
        }
        // After the last digit the place is 0, which ends the loop.
        while let Some(digit) = number.checked_div(place) {
            let letter = if digit < 10 { b'0' } else { b'a' - 10 };
            self.bytes(&[letter + digit as u8]);
            number -= digit * place;
            place /= base;
        }
        self
    }

    /// The bytes to print, and whether [`TRUNCATED`] follows them.
    pub fn finish(&self) -> (&[u8], bool) {
        match self.bytes.get(..self.len) {
            Some(whole) if self.len < SIZE => (whole, false),
            _ => (&self.bytes[..SIZE - 1], true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::string::String;

    use super::*;

    fn text(message: &Message) -> String {
        let (bytes, truncated) = message.finish();
        assert!(!truncated);
        String::from_utf8(bytes.into()).unwrap()
    }

    #[test]
    fn numbers_agree_with_core_fmt() {
        for number in [0, 1, 9, 10, 15, 16, 255, 4096, 1 << 32, u64::MAX - 1, u64::MAX] {
            let mut message = Message::new();
            message.decimal(number).text(" ").hex(number);
            assert_eq!(text(&message), format!("{number} {number:#x}"));
        }
        for number in [0, 7, -1, 300, i32::MIN, i32::MAX] {
            let mut message = Message::new();
            message.signed(number);
            assert_eq!(text(&message), format!("{number}"));
        }
    }

    #[test]
    fn a_message_of_319_bytes_is_whole() {
        let mut message = Message::new();
        message.bytes(&[b'x'; 319]);
        assert_eq!(message.finish(), (&[b'x'; 319][..], false));
    }

    #[test]
    fn a_message_of_320_bytes_and_more_is_cut_at_319() {
        for len in [320, 321, 5000] {
            let mut message = Message::new();
            message.bytes(&std::vec![b'x'; len]);
            assert_eq!(message.finish(), (&[b'x'; 319][..], true));
        }
    }

    #[test]
    fn a_new_message_is_empty() {
        assert_eq!(Message::default().finish(), (&b""[..], false));
    }
}
