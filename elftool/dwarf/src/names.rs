//! Names for people.

use std::fmt::{self, Write};

use crate::meter::Meter;

/// Longest name kept, in bytes.
const NAME_MAX: usize = 1024;
/// Longest text read, in bytes. A mangled name is longer than the name it stands for.
pub(crate) const TEXT_MAX: usize = 4096;

/// A symbol's name for people: Rust's are demangled, without their hash.
pub(crate) fn demangled(name: &str, meter: &Meter) -> Option<String> {
    meter.charge(1)?;
    let mut text = Name(String::new());
    // Writing fails if the name is longer than what is kept; its start is enough.
    if let Ok(demangled) = rustc_demangle::try_demangle(name) {
        let _ = write!(text, "{demangled:#}");
        // Names contain back references, so each byte may cost a pass over the whole name.
        meter.charge((name.len() * text.0.len()) as u64 / 8)?;
    } else {
        let _ = text.write_str(name);
    }
    Some(text.0)
}

/// Work that one name may cost.
const NAME_COST: u64 = 1 << 20;

/// A symbol's name for people, of a program that reads no debugging information: Rust's are demangled,
/// without their hash. A name that is too long or too costly stays as it is.
pub fn for_people(name: String) -> String {
    if name.len() > TEXT_MAX {
        return name;
    }
    demangled(&name, &Meter::new(NAME_COST)).unwrap_or(name)
}

/// A writer that keeps a bounded length: a name of 200 bytes can expand to a megabyte.
struct Name(String);

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = text.floor_char_boundary(NAME_MAX.saturating_sub(self.0.len()));
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end < text.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_expands_to_a_megabyte_is_cut_and_charged() {
        // A pair, then pairs that each refer back to the pair before, by its place in the name.
        const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyz\
            ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut mangled = String::from("_RIC0TzzE");
        let mut last = 3;
        for _ in 0..20 {
            let [high, low] = [(last - 1) / 62, (last - 1) % 62].map(|n| char::from(DIGITS[n]));
            last = mangled.len() - 2;
            mangled += &format!("TB{high}{low}_B{high}{low}_E");
        }
        mangled += "E";
        let meter = Meter::new(1 << 20);
        let name = demangled(&mangled, &meter).unwrap();
        assert_eq!(name.len(), NAME_MAX);
        assert!(name.capacity() <= 2 * NAME_MAX, "{}", name.capacity());
        assert!(name.starts_with("::<(!, !), ((!, !), (!, !)), "), "{name}");
        assert!(meter.left() < (1 << 20) - mangled.len() as u64 * 100);
        assert_eq!(demangled(&mangled, &Meter::new(0)), None);
    }

    #[test]
    fn names_are_for_people() {
        let meter = Meter::new(1 << 20);
        for (mangled, name) in [
            ("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar"),
            ("_ZN4core3fmt5write17h0123456789abcdefE", "core::fmt::write"),
            ("solo5_app_main", "solo5_app_main"),
        ] {
            assert_eq!(demangled(mangled, &meter).as_deref(), Some(name));
            assert_eq!(for_people(mangled.to_owned()), name);
        }
        let long = "é".repeat(NAME_MAX);
        let name = demangled(&format!("x{long}"), &meter).unwrap();
        assert_eq!(name.len(), NAME_MAX - 1);
    }
}
