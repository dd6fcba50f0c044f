//! Limits that an operator sets for the sizes of images.

/// A limit for a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is measured.
    pub what: Measure,
    /// The most bytes it may have.
    pub bytes: u64,
}

/// Something with a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The bytes of the file that are loaded.
    Loaded,
    /// The smallest guest memory it can be loaded into.
    Memory,
    /// The section of this name.
    Section(String),
}
