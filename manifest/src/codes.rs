//! The diagnostic codes of this crate; each has a page in `docs/codes`.

/// `type` is not that of a manifest.
pub const NOT_A_MANIFEST: &str = "M101";
/// `version` is not one we know.
pub const VERSION: &str = "M102";
/// More devices than MFT1 can hold.
pub const TOO_MANY_DEVICES: &str = "M103";
/// A device's name is empty.
pub const NAME_EMPTY: &str = "M104";
/// A device's name is too long.
pub const NAME_TOO_LONG: &str = "M105";
/// A device's name has other characters than letters and digits.
pub const NAME_CHARACTER: &str = "M106";
/// A device's type is not one we know.
pub const DEVICE_TYPE: &str = "M107";
/// Two devices have the same name and type.
pub const DUPLICATE_DEVICE: &str = "M108";
/// A key of version 2 in a manifest of version 1.
pub const NEEDS_VERSION_2: &str = "M109";
/// A property of another type of device.
pub const OTHER_DEVICE_TYPE: &str = "M110";
/// A sector size that no tender offers.
pub const SECTOR_SIZE: &str = "M111";
/// Sizes of memory or capacity that make no sense.
pub const SIZE: &str = "M112";
/// A text that is empty, too long or of the wrong form.
pub const TEXT: &str = "M113";
/// All properties together are longer than MFT2 can be.
pub const TOO_LONG: &str = "M114";
/// An upstream tender does not read what version 2 says.
pub const UPSTREAM_IGNORES: &str = "M120";
/// The file is not an ELF image, object or note.
pub const NOT_AN_IMAGE: &str = "M130";
/// There is no manifest in the file.
pub const NO_MANIFEST: &str = "M131";
/// The notes in the file are malformed.
pub const BAD_NOTES: &str = "M132";
/// The notes say something that no manifest's source can.
pub const UNSAYABLE: &str = "M133";
/// The file is not in its one layout.
pub const NOT_FORMATTED: &str = "M140";
/// A file cannot be read.
pub const CANNOT_READ: &str = "M150";
/// A file cannot be written.
pub const CANNOT_WRITE: &str = "M151";
/// Binary output for a terminal.
pub const TERMINAL: &str = "M152";
/// A code that does not exist was to be explained.
pub const NO_SUCH_CODE: &str = "M153";

/// Every code of this crate.
pub const ALL: [&str; 24] = [
    NOT_A_MANIFEST,
    VERSION,
    TOO_MANY_DEVICES,
    NAME_EMPTY,
    NAME_TOO_LONG,
    NAME_CHARACTER,
    DEVICE_TYPE,
    DUPLICATE_DEVICE,
    NEEDS_VERSION_2,
    OTHER_DEVICE_TYPE,
    SECTOR_SIZE,
    SIZE,
    TEXT,
    TOO_LONG,
    UPSTREAM_IGNORES,
    NOT_AN_IMAGE,
    NO_MANIFEST,
    BAD_NOTES,
    UNSAYABLE,
    NOT_FORMATTED,
    CANNOT_READ,
    CANNOT_WRITE,
    TERMINAL,
    NO_SUCH_CODE,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_page() {
        for code in super::ALL {
            let page = solo5_report::explain(code).unwrap_or_default();
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
        }
    }
}
