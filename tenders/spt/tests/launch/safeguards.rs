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
    guest.run(&[&require]).gives(5);
    let (set, dumpable) = (libc::PR_SET_NO_NEW_PRIVS as u64, libc::PR_SET_DUMPABLE as u64);
    let rows = [
        ("a seccomp filter", libc::SYS_seccomp, Some(1)),
        ("capset", libc::SYS_capset, None),
        ("no_new_privs", libc::SYS_prctl, Some(set)),
        ("PR_SET_DUMPABLE", libc::SYS_prctl, Some(dumpable)),
        ("close_range", libc::SYS_close_range, None),
    ];
    for (what, call, first) in rows {
        for error in [libc::EPERM, libc::ENOSYS] {
            // If the kernel lacks this call, the tender closes descriptors one by one.
            if (call, error) == (libc::SYS_close_range, libc::ENOSYS) {
                continue;
            }
            let start =
                |option: &str| run(&mut guest.command(&[option]), without(call, first, error));
            let denied = start(&require).gives(60).mentions("denied: P304");
            denied.mentions(&format!("cannot confine the tender: it lacks {what}"));
            // If any of these is missing, spt starts no guest, whatever the policy says.
            start(&optional).gives(1).mentions(" failed: ");
            let explained =
                run(&mut guest.command(&["--explain", &optional]), without(call, first, error));
            let shown = String::from_utf8(explained.gives(0).out).unwrap();
            let missing: Vec<_> =
                shown.lines().filter(|line| line.ends_with("(missing here)")).collect();
            assert_eq!(missing.len(), 1, "{what}: {shown}");
            assert!(missing[0].contains(what), "{missing:?}");
        }
    }
    let by_one = without(libc::SYS_close_range, None, libc::ENOSYS);
    run(&mut guest.command(&[&require]), by_one).gives(5);
}

#[test]
fn a_filter_that_refuses_limits_is_no_obstacle() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let by_report = format!("--report={}", guest.folder.path().join("report").display());
    for call in [libc::SYS_prlimit64, libc::SYS_getrlimit, libc::SYS_setrlimit] {
        for error in [libc::EPERM, libc::ENOSYS] {
            for options in [&[][..], &["--x-exec-heap"], &[by_report.as_str()]] {
                run(&mut guest.command(options), without(call, None, error)).gives(5);
            }
        }
    }
}
