//! Takes the safeguards away one by one, with a filter around the tender.

use crate::guest::{Code, Guest, Ran};
use crate::without::{COMMON, failures, sandbox_policy, without};

fn policy(guest: &Guest, sandbox: &str) -> String {
    let text = sandbox_policy(sandbox);
    format!("--policy={}", guest.file(sandbox, text.as_bytes()).display())
}

#[test]
fn a_missing_safeguard_is_named_and_denies_the_launch() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let (require, optional) = (policy(&guest, "require"), policy(&guest, "optional"));
    guest.run(&[&require]).gives(5);
    for ((what, call, first), error) in failures(&COMMON) {
        let start =
            |options: &[&str]| Ran::of(without(&mut guest.command(options), call, first, error));
        let denied = start(&[&require]).gives(60).mentions("denied: P304");
        denied.mentions(&format!("cannot confine the tender: it lacks {what}"));
        // If any of these is missing, spt starts no guest, whatever the policy says.
        start(&[&optional]).gives(1).mentions(" failed: ");
        let shown = String::from_utf8(start(&["--explain", &optional]).gives(0).out).unwrap();
        let missing: Vec<_> =
            shown.lines().filter(|line| line.ends_with("(missing here)")).collect();
        assert_eq!(missing.len(), 1, "{what}: {shown}");
        assert!(missing[0].contains(what), "{missing:?}");
    }
    let mut by_one = guest.command(&[&require]);
    Ran::of(without(&mut by_one, libc::SYS_close_range, None, libc::ENOSYS)).gives(5);
}

#[test]
fn a_filter_that_refuses_limits_is_no_obstacle() {
    let guest = Guest::new(Code::new().exit(5), &[]);
    let by_report = format!("--report={}", guest.folder.path().join("report").display());
    for call in [libc::SYS_prlimit64, libc::SYS_getrlimit, libc::SYS_setrlimit] {
        for error in [libc::EPERM, libc::ENOSYS] {
            for options in [&[][..], &["--x-exec-heap"], &[by_report.as_str()]] {
                Ran::of(without(&mut guest.command(options), call, None, error)).gives(5);
            }
        }
    }
}
