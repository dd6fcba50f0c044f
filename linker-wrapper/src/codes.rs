//! The codes of our own errors; each has a page in `docs/codes`.

/// An ABI that is not installed.
pub const UNKNOWN_ABI: &str = "L501";
/// An unknown option of ours, or a value that it does not take.
pub const OPTION: &str = "L502";
/// More than one manifest.
pub const TWO_MANIFESTS: &str = "L503";
/// A tool that cannot be run.
pub const TOOL: &str = "L504";
/// A file of our own that cannot be written.
pub const TEMPORARY: &str = "L505";
/// An output that cannot be audited.
pub const UNREADABLE: &str = "L506";
/// A manifest that cannot be read.
pub const MANIFEST: &str = "L507";
/// A library that only the host has.
pub const LIBRARY: &str = "L508";
/// A symbol that only a library of the host defines.
pub const HOST_SYMBOL: &str = "L509";
/// A manifest in a link that names no target.
pub const NO_TARGET: &str = "L510";
