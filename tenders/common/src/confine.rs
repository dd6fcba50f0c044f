//! Privileges that both tenders drop for good before the guest runs.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};

use crate::sys::Errno;

/// Sets `no_new_privs`: executing a program can no longer gain privileges.
pub fn no_new_privileges() -> Result<(), Errno> {
    set_no_new_privs(true)
}

/// Makes the process undumpable: it writes no core file, and a debugger of the same user cannot
/// attach.
pub fn undumpable() -> Result<(), Errno> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
}

/// Drops every capability of the calling thread. The kernel then empties the ambient set too. The
/// bounding set stays: it matters only when a program is executed, and [`no_new_privileges`] covers
/// that.
pub fn capabilities() -> Result<(), Errno> {
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
