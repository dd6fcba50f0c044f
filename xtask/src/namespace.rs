//! A network namespace for a program, made by `unshare`.

use std::path::Path;
use std::process::Command;

/// Options of `unshare` to try. Root needs no user namespace, and cannot make one in a chroot. Other
/// users become root of a user namespace.
const WAYS: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];

/// A command that runs the arguments added to it in a new network namespace, as root there.
///
/// # Errors
/// No namespace can be made; the text says why.
pub(crate) fn unshare() -> Result<Command, String> {
    by(Path::new("unshare"))
}

fn by(program: &Path) -> Result<Command, String> {
    let mut why = String::new();
    for way in WAYS {
        let probe = Command::new(program).args(way).args(["ip", "link"]).output();
        let output = probe
            .map_err(|error| format!("unshare cannot be started: {error}; install util-linux"))?;
        if output.status.success() {
            let mut command = Command::new(program);
            command.args(way);
            return Ok(command);
        }
        why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(format!("no network namespace can be made here: {why}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The result of [`by`] with an `unshare` that succeeds only if the shell's `condition` holds.
    fn with(condition: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("unshare");
        let script =
            format!("#!/bin/sh\n{condition} && exit 0\necho 'not permitted' >&2\nexit 1\n");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let command = by(&program)?;
        Ok(command.get_args().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn root_without_user_namespaces_and_users_without_root_both_find_a_way() {
        assert_eq!(with("[ \"$2\" != --map-root-user ]").unwrap(), ["--net"]);
        assert_eq!(with("[ \"$2\" = --map-root-user ]").unwrap(), ["--net", "--map-root-user"]);
        assert_eq!(
            with("false").unwrap_err(),
            "no network namespace can be made here: not permitted"
        );
        let missing = by(Path::new("/nonexistent/unshare")).unwrap_err();
        assert!(missing.contains("install util-linux"), "{missing}");
    }
}
