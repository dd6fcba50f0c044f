//! The diagnostic codes of this crate; each has a page in `docs/codes`.

solo5_report::codes! {
    /// The value of `type` is not that of a manifest.
    NOT_A_MANIFEST = "M101";
    /// The value of `version` is unknown.
    VERSION = "M102";
    /// More devices than MFT1 can hold.
    TOO_MANY_DEVICES = "M103";
    /// A device's name is empty.
    NAME_EMPTY = "M104";
    /// A device's name is too long.
    NAME_TOO_LONG = "M105";
    /// A device's name is not only letters and digits.
    NAME_CHARACTER = "M106";
    /// A device's type is unknown.
    DEVICE_TYPE = "M107";
    /// Two devices have the same name and type.
    DUPLICATE_DEVICE = "M108";
    /// A key of version 2 in a manifest of version 1.
    NEEDS_VERSION_2 = "M109";
    /// A property of another type of device.
    OTHER_DEVICE_TYPE = "M110";
    /// A sector size that no tender offers.
    SECTOR_SIZE = "M111";
    /// A size of 0, or recommended memory below the minimum.
    SIZE = "M112";
    /// A text that is empty, too long or of the wrong form.
    TEXT = "M113";
    /// All properties together are too long for MFT2.
    TOO_LONG = "M114";
    /// Upstream's tenders ignore the properties of version 2.
    UPSTREAM_IGNORES = "M120";
    /// The output of `compile` has no place for the package.
    PACKAGE_LEFT_OUT = "M121";
    /// The file is not an ELF image, object or note.
    NOT_AN_IMAGE = "M130";
    /// There is no manifest in the file.
    NO_MANIFEST = "M131";
    /// The notes in the file are malformed.
    BAD_NOTES = "M132";
    /// The source of a manifest cannot express the notes.
    INEXPRESSIBLE = "M133";
    /// The file is not in the standard layout.
    NOT_FORMATTED = "M140";
    /// A file cannot be read.
    CANNOT_READ = "M150";
    /// A file cannot be written.
    CANNOT_WRITE = "M151";
    /// Binary output for a terminal.
    TERMINAL = "M152";
    /// `explain` got a code that does not exist.
    NO_SUCH_CODE = "M153";
}
