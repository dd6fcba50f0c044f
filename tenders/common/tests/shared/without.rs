//! Runs a tender as on a host that lacks something: a filter around it makes a system call fail. The
//! launch tests of each tender include this file.

use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// A safeguard's name, and the call without which the host lacks it, with its first argument.
pub(crate) type Row = (&'static str, libc::c_long, Option<u64>);

/// The safeguards of every tender.
pub(crate) const COMMON: [Row; 5] = [
    ("a seccomp filter", libc::SYS_seccomp, Some(1)),
    ("capset", libc::SYS_capset, None),
    ("no_new_privs", libc::SYS_prctl, Some(libc::PR_SET_NO_NEW_PRIVS as u64)),
    ("PR_SET_DUMPABLE", libc::SYS_prctl, Some(libc::PR_SET_DUMPABLE as u64)),
    ("close_range", libc::SYS_close_range, None),
];

/// Each row with each way in which its call can fail, except what a tender does without: it then
/// closes descriptors one by one.
pub(crate) fn failures(rows: &[Row]) -> impl Iterator<Item = (Row, i32)> {
    let each = rows.iter().flat_map(|row| [(*row, libc::EPERM), (*row, libc::ENOSYS)]);
    each.filter(|((_, call, _), error)| (*call, *error) != (libc::SYS_close_range, libc::ENOSYS))
}

/// A filter under which `call` fails with `error`, if its first argument is `first`.
fn filter(call: libc::c_long, first: Option<u64>, error: i32) -> BpfProgram {
    let condition = |value| {
        let (length, equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompCondition::new(0, length, equal, value).unwrap()
    };
    let rules = first.map(|value| SeccompRule::new(vec![condition(value)]).unwrap());
    let table = [(call, rules.into_iter().collect())].into();
    let (other, fit) = (SeccompAction::Allow, SeccompAction::Errno(error as u32));
    SeccompFilter::new(table, other, fit, TargetArch::x86_64).unwrap().try_into().unwrap()
}

/// The program of `command` runs as if `call` failed with `error`, if its first argument is `first`.
pub(crate) fn without(
    command: &mut Command,
    call: libc::c_long,
    first: Option<u64>,
    error: i32,
) -> &mut Command {
    let filter = filter(call, first, error);
    let install =
        move || seccompiler::apply_filter(&filter).map_err(|_| std::io::ErrorKind::Other.into());
    // SAFETY: the closure makes two calls and does not allocate.
    unsafe { command.pre_exec(install) }
}

/// A policy that only says whether the tender must be confined: `require` or `optional`.
pub(crate) fn sandbox_policy(sandbox: &str) -> String {
    format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\n\
         process: {{ root: allow, sandbox: {sandbox} }}\n"
    )
}
