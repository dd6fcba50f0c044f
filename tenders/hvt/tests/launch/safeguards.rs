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
    let own = [
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
    for ((what, call, first), error) in failures(&[&COMMON[..], &own].concat()) {
        let start = |options: &[&str]| {
            let mut command = guest.command(&[&["--mem=2"], options].concat());
            Ran::of(without(&mut command, call, first, error))
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
