//! Days of the calendar as policies write them. Nothing here reads the clock.

use std::fmt;

/// A day, such as 2026-12-31. Later days are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Reads `YYYY-MM-DD`, a day that exists.
    pub fn parse(text: &str) -> Option<Date> {
        let mut parts = text.split('-');
        let mut part = |digits| {
            let part = parts.next()?;
            let plain = part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| part.parse::<u16>().ok())?
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let month = u8::try_from(month).ok()?;
        let day = u8::try_from(day).ok()?;
        let exists = parts.next().is_none() && (1..=days(year, month)?).contains(&day);
        exists.then_some(Date { year, month, day })
    }

    /// The day this many days after 1970-01-01, but at most 9999-12-31.
    pub fn from_days(mut rest: u64) -> Date {
        let mut year = 1970;
        while year < 9999 {
            let length = if is_leap(year) { 366 } else { 365 };
            if rest < length {
                break;
            }
            rest -= length;
            year += 1;
        }
        for month in 1..=12 {
            let length = days(year, month).unwrap_or(31);
            if let Ok(day) = u8::try_from(rest + 1)
                && day <= length
            {
                return Date { year, month, day };
            }
            rest = rest.saturating_sub(u64::from(length));
        }
        let (month, day) = (12, 31);
        Date { year, month, day }
    }
}

/// Days of a month; `None` if there is no such month.
fn days(year: u16, month: u8) -> Option<u8> {
    Some(match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        1..=12 => 31,
        _ => return None,
    })
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_that_exist() {
        for text in ["2026-12-31", "2024-02-29", "2000-02-29", "0001-01-01"] {
            assert_eq!(Date::parse(text).map(|date| date.to_string()).as_deref(), Some(text));
        }
        for text in [
            "",
            "2026",
            "2026-1-1",
            "2026-13-01",
            "2026-02-29",
            "1900-02-29",
            "2026-00-01",
            "2026-01-00",
            "2026-01-32",
            "2026-01-01-01",
            "+026-01-01",
            "2026-01-01 ",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
        assert!(Date::parse("2026-12-31") < Date::parse("2027-01-01"));
    }

    #[test]
    fn days_are_counted_from_1970() {
        // `date -d @$((DAYS * 86400))`
        for (days, text) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (789, "1972-02-29"),
            (11_016, "2000-02-29"),
            (20_779, "2026-11-22"),
            (u64::MAX, "9999-12-31"),
        ] {
            assert_eq!(Date::from_days(days).to_string(), text);
        }
    }
}
