//! The one time in an image. The clock is never read, so the same input gives the same image at any
//! time (reproducible-builds.org, `SOURCE_DATE_EPOCH` specification 1.1).

use std::ffi::OsStr;

/// The variable that sets the time.
pub const VARIABLE: &str = "SOURCE_DATE_EPOCH";
/// The last second of the year 9999: RFC 3339 has no later year.
const LAST: u64 = 253_402_300_799;
const DAY: u64 = 86_400;

/// The time that `value` of the variable names, in seconds since 1970; without a value, 1970 begins.
/// `None` if it is no number of seconds before the year 10000.
pub fn read(value: Option<&OsStr>) -> Option<u64> {
    let Some(value) = value else { return Some(0) };
    let text = value.to_str()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|time| is_number && *time <= LAST)
}

/// `time` as RFC 3339 writes it, in UTC. A later time than the year 9999 is its end.
pub fn rfc3339(time: u64) -> String {
    let time = time.min(LAST);
    let (mut days, second) = (time / DAY, time % DAY);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute) = (days + 1, second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_date_writes_them() {
        for time in [0, 951_782_400, 951_868_799, 1_709_164_800, 1_735_689_599, 4_107_542_400, LAST]
        {
            let date = std::process::Command::new("date")
                .args(["-u", "-d", &format!("@{time}"), "+%Y-%m-%dT%H:%M:%SZ"])
                .output()
                .unwrap();
            assert_eq!(rfc3339(time), String::from_utf8(date.stdout).unwrap().trim());
        }
    }

    #[test]
    fn only_a_number_of_seconds_is_a_time() {
        let read = |text: &str| super::read(Some(OsStr::new(text)));
        assert_eq!(super::read(None), Some(0));
        assert_eq!(read("1735689600"), Some(1_735_689_600));
        for text in ["", "-1", "+1", "now", "1.5", "253402300800", "99999999999999999999"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
