//! What confines a guest, and whether this host has it: found out by asking the kernel, not assumed.
//!
//! An older kernel lacks some of it, and a filter around the tender may refuse a call that the kernel
//! knows. So each is asked for as it will be asked for at the end, in a form that changes nothing.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{capabilities, set_capabilities};

use crate::confine;
use crate::sys;

/// Something that confines a guest besides what its filter allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safeguard {
    /// What holds.
    pub what: &'static str,
    /// By which means.
    pub how: &'static str,
    /// Whose means they are.
    pub by: By,
}

/// Whose means a safeguard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The tender's own: without them it starts no guest.
    Tender,
    /// The host's, which has them or not.
    Host(bool),
}

impl Safeguard {
    /// One that the host has if `available`.
    pub fn host(what: &'static str, how: &'static str, available: bool) -> Safeguard {
        Safeguard { what, how, by: By::Host(available) }
    }

    /// One of the tender's own.
    pub fn tender(what: &'static str, how: &'static str) -> Safeguard {
        Safeguard { what, how, by: By::Tender }
    }

    /// Whether the host lacks it.
    pub fn is_missing(&self) -> bool {
        self.by == By::Host(false)
    }
}

/// Those that every tender has, after its filter, which is `filter`. Sets `no_new_privs`: nothing but
/// setting it tells whether that is possible, a tender executes nothing, and other answers depend on
/// it.
pub fn common(filter: &'static str) -> Vec<Safeguard> {
    let no_new_privileges = confine::no_new_privileges().is_ok();
    let filters = sys::check_filters().is_ok() && sys::has_seccomp_kill_process();
    vec![
        Safeguard::host("system calls", filter, filters),
        Safeguard::host("no capabilities", "capset", can_drop_capabilities()),
        Safeguard::host("no privileges by executing", "no_new_privs", no_new_privileges),
        Safeguard::host("no other descriptors", "close_range", sys::can_close_ranges()),
        Safeguard::host(
            "no core file, no debugger of the same user",
            "PR_SET_DUMPABLE",
            can_be_undumpable(),
        ),
    ]
}

/// Whether the call is there that drops capabilities: it keeps those there are.
fn can_drop_capabilities() -> bool {
    capabilities(None).and_then(|same| set_capabilities(None, same)).is_ok()
}

/// Whether core files and debuggers can be refused: refuses them and takes it back.
fn can_be_undumpable() -> bool {
    let Ok(before) = dumpable_behavior() else { return false };
    if confine::undumpable().is_err() {
        return false;
    }
    // Any other state is as strict, and cannot be asked for.
    before != DumpableBehavior::Dumpable || set_dumpable_behavior(before).is_ok()
}
