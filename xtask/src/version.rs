//! The version that every program and the bindings' banner are built with.
//!
//! It is `SOLO5_VERSION` if that is set; else what `git describe` says of a tagged checkout; else what
//! `git archive` has put into `.version`; else the packages' own version.

use std::path::Path;
use std::process::Command;

/// The version, such as `v0.12.100`.
pub(crate) fn find(root: &Path) -> String {
    let given = std::env::var("SOLO5_VERSION").ok().filter(|version| !version.is_empty());
    given
        .or_else(|| describe(root))
        .or_else(|| archived(root))
        .unwrap_or_else(|| concat!("v", env!("CARGO_PKG_VERSION")).to_owned())
}

fn describe(root: &Path) -> Option<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(["describe", "--tags", "--match", "v[0-9]*", "--dirty"]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(version.trim().to_owned()).filter(|version| !version.is_empty())
}

fn archived(root: &Path) -> Option<String> {
    let version = std::fs::read_to_string(root.join(".version")).ok()?;
    let version = version.trim();
    (version.starts_with('v') && !version.contains('$')).then(|| version.to_owned())
}
