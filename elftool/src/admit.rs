//! The list of admitted images that `check --lock` writes, for `admitted` in a policy.

use std::collections::BTreeMap;
use std::path::Path;

use solo5_policies::admitted::{self, Admission};
use solo5_signature::Digest;

use crate::console::{Exit, Failure};
use crate::files::reason;

/// Writes down what is admitted, if anybody asked for it.
pub(crate) fn write(
    path: Option<&Path>,
    admitted: &BTreeMap<Digest, Admission>,
    exit: Exit,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    // What could not be asked about may be missing from the list; an older one says more.
    if exit == Exit::Incomplete {
        return Err(Failure::of(path, "not written"));
    }
    let written = solo5_output::write(path, admitted::text(admitted).as_bytes());
    written.map(drop).map_err(|error| Failure::of(path, reason(&error)))
}
