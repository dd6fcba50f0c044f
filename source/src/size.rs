//! Sizes with a unit, `KiB`, `MiB` or `GiB`: 1024, 1024² and 1024³ bytes.

use std::fmt;

/// The units, largest first.
pub const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Why a text is not a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A number without a unit.
    NoUnit,
    /// A number and something that is not one of [`UNITS`].
    Unit(String),
    /// It does not start with a whole number.
    Number,
    /// More bytes than 64 bits can count.
    TooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoUnit => write!(f, "a number without a unit"),
            Error::Unit(unit) => write!(f, "unknown unit `{unit}`"),
            Error::Number => write!(f, "it does not start with a whole number"),
            Error::TooLarge => write!(f, "larger than 64 bits can count"),
        }
    }
}

impl std::error::Error for Error {}

/// The number of bytes that `text`, such as `32MiB`, means.
///
/// # Errors
///
/// See [`Error`].
pub fn parse(text: &str) -> Result<u64, Error> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if number.is_empty() || (number.len() > 1 && number.starts_with('0')) {
        return Err(Error::Number);
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    if unit.is_empty() {
        return Err(Error::NoUnit);
    }
    if unit.starts_with(['.', ',']) {
        return Err(Error::Number);
    }
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| Error::Unit(unit.to_owned()))?;
    let number: u64 = number.parse().map_err(|_| Error::TooLarge)?;
    number.checked_mul(factor).ok_or(Error::TooLarge)
}

/// `bytes` in the largest unit that gives a whole number; `None` if they are not whole KiB.
pub fn format(bytes: u64) -> Option<String> {
    let (name, factor) = UNITS.into_iter().find(|(_, factor)| bytes.is_multiple_of(*factor))?;
    Some(format!("{}{name}", bytes / factor))
}

/// `bytes` for people: like [`format()`], or a number of bytes if they are not whole KiB.
pub fn display(bytes: u64) -> String {
    format(bytes).unwrap_or_else(|| format!("{bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_need_a_whole_number_and_a_unit() {
        assert_eq!(parse("32MiB"), Ok(32 << 20));
        assert_eq!(parse("1 GiB"), Ok(1 << 30));
        assert_eq!(parse("64"), Err(Error::NoUnit));
        assert_eq!(parse("64MB"), Err(Error::Unit("MB".into())));
        assert_eq!(parse("64  MiB"), Err(Error::Unit(" MiB".into())));
        assert_eq!(parse("1.5GiB"), Err(Error::Number));
        assert_eq!(parse("-1MiB"), Err(Error::Number));
        assert_eq!(parse("01MiB"), Err(Error::Number));
        assert_eq!(parse("17179869184GiB"), Err(Error::TooLarge));
        assert_eq!(parse("99999999999999999999KiB"), Err(Error::TooLarge));
    }

    #[test]
    fn formatting_is_the_inverse() {
        for bytes in [0, 1 << 10, 3 << 20, 1536 << 10, 1 << 40, u64::MAX - 1023] {
            assert_eq!(parse(&format(bytes).unwrap()), Ok(bytes));
        }
        assert_eq!(format(1000), None);
        assert_eq!(display(1000), "1000 bytes");
        assert_eq!(display(3 << 20), "3MiB");
    }

    #[test]
    fn an_error_says_what_is_wrong() {
        let told = [
            ("64", "a number without a unit"),
            ("64MB", "unknown unit `MB`"),
            ("big", "it does not start with a whole number"),
            ("17179869184GiB", "larger than 64 bits can count"),
        ];
        for (text, error) in told {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }
}
