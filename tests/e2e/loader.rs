//! The tender and the audit agree on damaged images.
