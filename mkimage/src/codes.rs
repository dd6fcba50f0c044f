//! Codes of this program's diagnostics; each has a page in `docs/codes`.

/// A file cannot be read.
pub const UNREADABLE: &str = "D601";
/// The image is for another target than the format.
pub const OTHER_TARGET: &str = "D602";
/// No machine can boot the image.
pub const NOT_BOOTABLE: &str = "D603";
/// The arguments do not fit.
pub const ARGUMENTS: &str = "D604";
/// The result cannot be written.
pub const UNWRITABLE: &str = "D605";
/// `SOURCE_DATE_EPOCH` is not a time.
pub const EPOCH: &str = "D606";
/// An option is for another format.
pub const OTHER_FORMAT: &str = "D607";
