//! Codes of this program's diagnostics; each has a page in `docs/codes`.

/// The command line cannot be understood.
pub const WORDS: &str = "R701";
/// No runtime to hand the container to, or it cannot be executed.
pub const ENGINE: &str = "R702";
/// `config.json` cannot be used.
pub const CONFIG: &str = "R703";
/// The unikernel's file cannot be used.
pub const UNIKERNEL: &str = "R704";
/// The unikernel would not start.
pub const CANNOT: &str = "R705";
/// `exec`.
pub const EXEC: &str = "R706";
/// A volume lies over a place that is the host's.
pub const PLACE: &str = "R707";
/// There is no tender for the unikernel.
pub const TENDER: &str = "R708";
/// The new bundle cannot be written.
pub const WRITE: &str = "R709";
