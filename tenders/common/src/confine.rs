//! What both tenders give up for good before their guest runs.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use crate::sys::Errno;

/// Gives up the chance to gain privileges by executing a program.
pub fn no_new_privileges() -> Result<(), Errno> {
    set_no_new_privs(true)
}

/// Makes the process write no core file and refuse debuggers of the same user.
pub fn undumpable() -> Result<(), Errno> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Gives up every capability of the calling thread. The ambient set follows the others. The bounding
/// set stays: it matters only to a program that is executed, which [`no_new_privileges`] covers.
pub fn capabilities() -> Result<(), Errno> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
