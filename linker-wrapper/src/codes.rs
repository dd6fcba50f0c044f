//! The codes of the wrapper's own errors; each has a page in `docs/codes`.

solo5_report::codes! {
    /// An ABI that is not installed.
    UNKNOWN_ABI = "L501";
    /// An unknown wrapper option, or a value that it does not take.
    OPTION = "L502";
    /// More than one manifest.
    TWO_MANIFESTS = "L503";
    /// A tool that cannot be run.
    TOOL = "L504";
    /// A temporary file that cannot be written.
    TEMPORARY = "L505";
    /// An output that cannot be audited.
    UNREADABLE = "L506";
    /// A manifest that cannot be read.
    MANIFEST = "L507";
    /// A library that only the host has.
    LIBRARY = "L508";
    /// A symbol that only a library of the host defines.
    HOST_SYMBOL = "L509";
    /// A manifest in a link that names no target.
    NO_TARGET = "L510";
    /// Headers or bindings of the architecture that are not installed.
    NOT_INSTALLED = "L511";
    /// A C library that is not installed.
    UNKNOWN_LIBC = "L512";
}
