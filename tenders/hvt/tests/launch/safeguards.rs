//! Takes the safeguards away one by one, with a filter around the tender.

use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::guest::{Code, Guest, Ran};

/// A filter under which `call` fails with `error`, if its first argument is `first`.
fn without(call: libc::c_long, first: Option<u64>, error: i32) -> BpfProgram {
    let condition = |value| {
        let (length, equal) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        SeccompCondition::new(0, length, equal, value).unwrap()
    };
    let rules = first.map(|value| SeccompRule::new(vec![condition(value)]).unwrap());
    let table = [(call, rules.into_iter().collect())].into();
    let (otherwise, matched) = (SeccompAction::Allow, SeccompAction::Errno(error as u32));
    SeccompFilter::new(table, otherwise, matched, TargetArch::x86_64).unwrap().try_into().unwrap()
}

/// Runs a program under the filter.
fn run(command: &mut Command, filter: BpfProgram) -> Ran {
    let install =
        move || seccompiler::apply_filter(&filter).map_err(|_| std::io::ErrorKind::Other.into());
    // SAFETY: the closure makes two calls and does not allocate.
    Ran::of(unsafe { command.pre_exec(install) })
}

fn policy(guest: &Guest, sandbox: &str) -> String {
    let text = format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\n\
         process: {{ root: allow, sandbox: {sandbox} }}\n"
    );
    format!("--policy={}", guest.file(sandbox, text.as_bytes()).display())
}

#[test]
fn a_missing_safeguard_is_named_and_denies_the_launch() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let (require, optional) = (policy(&guest, "require"), policy(&guest, "optional"));
    let (set, dumpable) = (libc::PR_SET_NO_NEW_PRIVS as u64, libc::PR_SET_DUMPABLE as u64);
    let rows = [
        ("a seccomp filter", libc::SYS_seccomp, Some(1)),
        ("capset", libc::SYS_capset, None),
        ("no_new_privs", libc::SYS_prctl, Some(set)),
        ("PR_SET_DUMPABLE", libc::SYS_prctl, Some(dumpable)),
        ("close_range", libc::SYS_close_range, None),
        ("Landlock", libc::SYS_landlock_create_ruleset, None),
        ("Landlock", libc::SYS_landlock_restrict_self, None),
    ];
    let missing = |ran: &Ran| -> Vec<String> {
        let shown = String::from_utf8_lossy(&ran.out);
        let missing = shown.lines().filter(|line| line.ends_with("(missing here)"));
        missing.map(str::to_owned).collect()
    };
    // This host may lack KVM or Landlock.
    let before = missing(&guest.run(&["--mem=2", "--explain", &optional]).gives(0));
    for (what, call, first) in rows {
        for error in [libc::EPERM, libc::ENOSYS] {
            // If the kernel lacks this call, the tender closes descriptors one by one.
            if (call, error) == (libc::SYS_close_range, libc::ENOSYS) {
                continue;
            }
            let start = |options: &[&str]| {
                let mut command = guest.command(&[&["--mem=2"], options].concat());
                run(&mut command, without(call, first, error))
            };
            let denied = start(&[&require]).gives(60).mentions("denied: P304");
            denied.mentions("cannot confine the tender: it lacks ").mentions(what);
            let shown = missing(&start(&["--explain", &optional]).gives(0));
            let new: Vec<_> = shown.iter().filter(|line| !before.contains(line)).collect();
            let known = before.iter().any(|line| line.contains(what));
            assert_eq!(new.len(), usize::from(!known), "{what}: {shown:?}");
            assert!(shown.iter().any(|line| line.contains(what)), "{what}: {shown:?}");
        }
    }
}
