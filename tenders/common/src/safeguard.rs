//! What confines a guest, and whether this host supports it. The kernel is asked; nothing is
//! assumed.
//!
//! An older kernel lacks some safeguards, and a seccomp filter around the tender may refuse calls
//! that the kernel knows. So each safeguard is probed with the same call that will set it up later,
//! in a form that changes nothing.

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::{capabilities, set_capabilities};

use crate::confine;
use crate::sys::descriptors::can_close_ranges;
use crate::sys::{Errno, filters};

/// Something that confines a guest besides what its filter allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Safeguard {
    /// The property that it ensures.
    pub what: &'static str,
    /// The mechanism.
    pub how: &'static str,
    /// Who provides it.
    pub by: By,
    /// Why there is none where the host lacks it.
    pub lack: &'static str,
}

/// What is said of a safeguard that the host simply does not have.
const MISSING: &str = "missing here";

/// Who provides a safeguard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The tender itself, which starts no guest without it.
    Tender,
    /// The host; `false` if this host lacks it.
    Host(bool),
}

impl Safeguard {
    /// A safeguard that the host provides if `available`.
    pub fn host(what: &'static str, how: &'static str, available: bool) -> Safeguard {
        Safeguard { what, how, by: By::Host(available), lack: MISSING }
    }

    /// A safeguard that KVM provides; `lack` is why it does not.
    pub fn kvm(what: &'static str, how: &'static str, lack: Option<&'static str>) -> Safeguard {
        let safeguard = Safeguard::host(what, how, lack.is_none());
        Safeguard { lack: lack.unwrap_or(MISSING), ..safeguard }
    }

    /// A safeguard that the tender itself provides.
    pub fn tender(what: &'static str, how: &'static str) -> Safeguard {
        Safeguard { what, how, by: By::Tender, lack: MISSING }
    }

    /// The mechanism, with the reason for its lack if that is a particular one.
    pub fn lacking(&self) -> String {
        match self.lack {
            MISSING => self.how.to_owned(),
            lack => format!("{} ({lack})", self.how),
        }
    }

    /// Whether the host lacks it.
    pub fn is_missing(&self) -> bool {
        self.by == By::Host(false)
    }
}

/// Why there is no KVM, if opening `/dev/kvm` gives this error.
pub const fn kvm_lack(error: Errno) -> &'static str {
    match error {
        Errno::NOENT | Errno::NODEV | Errno::NXIO => MISSING,
        Errno::ACCESS | Errno::PERM => "this user may not open /dev/kvm",
        _ => "/dev/kvm cannot be opened",
    }
}

/// The safeguards of every tender; the first is its filter, described as `filter`. Sets
/// `no_new_privs`: only setting it shows whether that is possible, and other probes depend on it.
/// It does no harm, because a tender executes no programs.
pub fn common(filter: &'static str) -> Vec<Safeguard> {
    let no_new_privileges = confine::no_new_privileges().is_ok();
    let works = filters::check_filters().is_ok() && filters::has_seccomp_kill_process();
    vec![
        Safeguard::host("system calls", filter, works),
        Safeguard::host("no capabilities", "capset", can_drop_capabilities()),
        Safeguard::host(
            "no privileges gained by executing a program",
            "no_new_privs",
            no_new_privileges,
        ),
        Safeguard::host("no other descriptors", "close_range", can_close_ranges()),
        Safeguard::host(
            "no core file, no debugger of the same user",
            "PR_SET_DUMPABLE",
            can_be_undumpable(),
        ),
    ]
}

/// Whether capabilities can be dropped. The probe sets the current ones again.
fn can_drop_capabilities() -> bool {
    capabilities(None).and_then(|same| set_capabilities(None, same)).is_ok()
}

/// Whether the process can be made undumpable. The probe does it and then restores the state.
fn can_be_undumpable() -> bool {
    let Ok(before) = dumpable_behavior() else { return false };
    if confine::undumpable().is_err() {
        return false;
    }
    // No other state has to be restored: it is strict too, and a process cannot set it.
    before != DumpableBehavior::Dumpable || set_dumpable_behavior(before).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kvm_that_may_not_be_opened_is_not_missing() {
        let row = |lack| Safeguard::kvm("a machine of its own", "KVM", lack);
        assert!(!row(None).is_missing());
        assert_eq!(row(Some(kvm_lack(Errno::NOENT))).lacking(), "KVM");
        let denied = row(Some(kvm_lack(Errno::ACCESS)));
        assert!(denied.is_missing());
        assert_eq!(denied.lacking(), "KVM (this user may not open /dev/kvm)");
    }
}
