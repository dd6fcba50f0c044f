//! The PC's real-time clock as registers (`docs/reference/virtio.md#clock`).

/// The registers that are read: seconds, minutes, hours, day, month, year.
pub const REGISTERS: [u8; 6] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09];

/// Register B: numbers are binary; hours go to 24.
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
/// Bit of the hours register: after noon.
const AFTERNOON: u8 = 1 << 7;

/// Seconds since 1970. `None` if the registers have no date, as where there is no clock.
pub fn seconds(registers: [u8; 6], mode: u8) -> Option<u64> {
    let [second, minute, hour, day, month, year] = registers;
    let value = |register: u8| {
        if mode & BINARY != 0 {
            return Some(u64::from(register));
        }
        let (tens, ones) = (register >> 4, register & 15);
        (tens < 10 && ones < 10).then(|| u64::from(tens) * 10 + u64::from(ones))
    };
    let mut hours = value(hour & if mode & HOURS_24 != 0 { 0xff } else { !AFTERNOON })?;
    if mode & HOURS_24 == 0 {
        hours = hours % 12 + if hour & AFTERNOON != 0 { 12 } else { 0 };
    }
    let (second, minute, day) = (value(second)?, value(minute)?, value(day)?);
    let (month, year) = (value(month)?, value(year)?);
    let valid = second < 60
        && minute < 60
        && hours < 24
        && (1..=31).contains(&day)
        && (1..=12).contains(&month)
        && year < 100;
    if !valid {
        return None;
    }
    // Years begin in March here, so that the day of a leap year is the last. 2000 was a leap year,
    // and 2100 is beyond two digits.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.wrapping_sub(1), month + 9) };
    // From 1 March 1968 on, which was 671 days before 1970.
    let years = year.wrapping_add(32);
    let days = years * 365 + years / 4 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(671)?;
    Some(((days * 24 + hours) * 60 + minute) * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        // As `date -u -d @N` prints them.
        for (registers, mode, expected) in [
            ([0x00, 0x00, 0x00, 0x01, 0x01, 0x00], 2, 946_684_800),
            ([0x59, 0x59, 0x23, 0x29, 0x02, 0x24], 2, 1_709_251_199),
            ([0x00, 0x00, 0x00, 0x01, 0x03, 0x24], 2, 1_709_251_200),
            ([0x00, 0x00, 0x00, 0x01, 0x01, 0x17], 2, 1_483_228_800),
            ([13, 20, 0x80 | 1, 29, 11, 26], 4, 1_795_958_413),
            ([13, 20, 12, 29, 11, 26], 4, 1_795_911_613),
            ([0x13, 0x20, 0x92, 0x29, 0x11, 0x26], 0, 1_795_954_813),
        ] {
            assert_eq!(seconds(registers, mode), Some(expected), "{registers:x?}");
        }
        assert_eq!(seconds([0xff; 6], 0xff), None);
        assert_eq!(seconds([0; 6], 2), None);
        assert_eq!(seconds([0x0a, 0, 0, 1, 1, 0], 2), None);
    }

    proptest::proptest! {
        #[test]
        fn any_registers_are_read(registers: [u8; 6], mode: u8) {
            seconds(registers, mode);
        }
    }
}
