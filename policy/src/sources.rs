//! Where policies come from: the host's folder, and the launch's `--policy`.
//!
//! The folder is fixed when the program is built, so no option or variable can turn it away. Who
//! can write to it decides what may run, so it must belong to root or the caller and be writable by
//! nobody else. A policy that cannot be taken is a refusal, never a policy less.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use solo5_report::Diagnostic;
use solo5_signature::Digest;

use crate::admitted;
use crate::codes;
use crate::facts::Fact;
use crate::front;
use crate::model::Policy;
use solo5_launch::FileOrFd;

/// The folder for settings of the host, as the build found it in `SOLO5_SYSCONFDIR`.
pub const SYSCONFDIR: &str = match option_env!("SOLO5_SYSCONFDIR") {
    Some(folder) => folder,
    None => "/etc",
};

/// Most policies of the host's folder.
pub const POLICIES_MAX: usize = 1000;

/// The host's folder of policies.
pub fn folder() -> PathBuf {
    Path::new(SYSCONFDIR).join("solo5").join("policy.d")
}

/// Reads every policy of a launch: those of `folder` sorted by name, then those `given`, in order.
/// `open` turns an inherited descriptor into a file; a descriptor is used up by that.
///
/// # Errors
///
/// Everything wrong with any of them.
pub fn load(
    folder: &Path,
    given: &[FileOrFd],
    mut open: impl FnMut(i32) -> io::Result<File>,
) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let mut policies = Vec::new();
    let mut diagnostics = Vec::new();
    let mut take = |name: &str, file: Result<File, Diagnostic>| match file
        .and_then(|file| bytes(name, file))
        .map_err(|found| vec![found])
    {
        Ok(bytes) => match front::read(name, &bytes) {
            Ok(policy) => policies.push(policy),
            Err(found) => diagnostics.extend(found),
        },
        Err(found) => diagnostics.extend(found),
    };
    match files(folder) {
        Ok(files) => {
            for path in files {
                take(&path.to_string_lossy(), open_trusted(&path));
            }
        }
        Err(diagnostic) => take("", Err(diagnostic)),
    }
    for source in given {
        match source {
            FileOrFd::Path(path) => {
                let name = path.to_string_lossy();
                take(&name, File::open(path).map_err(|error| unreadable(&name, &error)));
            }
            FileOrFd::Fd(fd) => {
                let name = format!("@{fd}");
                take(&name, open(*fd).map_err(|error| unreadable(&name, &error)));
            }
        }
    }
    if diagnostics.is_empty() { Ok(policies) } else { Err(diagnostics) }
}

/// Whether the image with this digest is in the list of admitted images at `path`, which must be as
/// trustworthy as a policy of the host.
pub fn admitted(path: &str, digest: &Digest) -> Fact<bool> {
    let path_of_file = Path::new(path);
    // Who can write to the folder could put an older list back.
    let folder = path_of_file.parent().unwrap_or(Path::new("/"));
    let name = folder.to_string_lossy();
    let found = folder
        .metadata()
        .map_err(|error| unreadable(&name, &error))
        .and_then(|metadata| trusted(&name, &metadata))
        .and_then(|()| open_trusted(path_of_file))
        .and_then(|file| bytes(path, file))
        .map_err(|found| vec![found])
        .and_then(|bytes| admitted::read(path, &bytes));
    match found {
        Ok(digests) => Fact::Known(digests.contains(digest)),
        Err(found) => {
            let first = found.first().map(solo5_report::line);
            Fact::Unreadable(first.unwrap_or_default())
        }
    }
}

/// The policies in `folder`, sorted by name; none if it does not exist.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let name = folder.to_string_lossy();
    let failed = |error: &io::Error| unreadable(&name, error);
    let metadata = match folder.metadata() {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    trusted(&name, &metadata)?;
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        let file_name = entry.file_name();
        let bytes = file_name.as_encoded_bytes();
        // As the shell's `*.yaml`: editors keep their own files under names with a dot in front.
        if bytes.ends_with(b".yaml") && !bytes.starts_with(b".") {
            files.push(entry.path());
        }
        if files.len() > POLICIES_MAX {
            let error = io::Error::other(format!("more than {POLICIES_MAX} policies"));
            return Err(failed(&error));
        }
    }
    files.sort();
    Ok(files)
}

/// Opens a policy of the host's folder if nobody else can change it.
fn open_trusted(path: &Path) -> Result<File, Diagnostic> {
    let name = path.to_string_lossy();
    let failed = |error: &io::Error| unreadable(&name, error);
    // Opening a pipe would wait, so what it is has to be known before; the descriptor is what
    // counts after.
    if !path.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&io::Error::other("not a regular file")));
    }
    let file = File::open(path).map_err(|error| failed(&error))?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    trusted(&name, &metadata)?;
    Ok(file)
}

/// Refuses what somebody other than root and the caller could have written.
fn trusted(name: &str, metadata: &Metadata) -> Result<(), Diagnostic> {
    let owner = metadata.uid();
    let caller = rustix::process::geteuid().as_raw();
    let (message, help) = if owner != 0 && owner != caller {
        (format!("{name} belongs to user {owner}"), format!("run `chown root {name}`"))
    } else if metadata.mode() & 0o022 != 0 {
        (format!("{name} can be changed by others"), format!("run `chmod go-w {name}`"))
    } else {
        return Ok(());
    };
    let note = "whoever can change a policy decides what may run";
    Err(Diagnostic::error(codes::NOT_TRUSTED, message).with_note(note).with_help(help))
}

fn unreadable(name: &str, error: &io::Error) -> Diagnostic {
    let message = format!("{name} cannot be read: {error}");
    let help = "nothing starts while a policy cannot be read; mend or remove it";
    Diagnostic::error(codes::UNREADABLE, message).with_help(help)
}

/// All of a file, up to one byte more than a policy may have.
fn bytes(name: &str, file: File) -> Result<Vec<u8>, Diagnostic> {
    let most = u64::try_from(solo5_source::SIZE_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(name, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Seek;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const POLICY: &str = "type: solo5.policy\nversion: 1\notherwise: allow\n";

    /// A folder like `/etc/solo5/policy.d` with these files in it.
    fn folder(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for (name, text, mode) in files {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(*mode)).unwrap();
        }
        folder
    }

    fn load_folder(folder: &Path) -> Result<Vec<String>, Vec<&'static str>> {
        load(folder, &[], |_| Err(io::Error::other("no descriptors here")))
            .map(|policies| policies.into_iter().map(|policy| policy.name).collect())
            .map_err(|found| found.into_iter().map(|found| found.code).collect())
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_policy() {
        let folder = folder(&[]);
        assert_eq!(load_folder(folder.path()), Ok(vec![]));
        assert_eq!(load_folder(&folder.path().join("none/policy.d")), Ok(vec![]));
    }

    #[test]
    fn policies_come_sorted_and_by_their_ending() {
        let files = [("b.yaml", POLICY, 0o644), ("a.yaml", POLICY, 0o600), ("c.yml", "no", 0o666)];
        let folder = folder(&files);
        fs::write(folder.path().join(".d.yaml"), "no").unwrap();
        assert_eq!(load_folder(folder.path()), Ok(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn what_others_can_change_is_refused() {
        let open = folder(&[("a.yaml", POLICY, 0o666), ("b.yaml", POLICY, 0o664)]);
        assert_eq!(load_folder(open.path()), Err(vec!["P202", "P202"]));
        let folder = folder(&[("a.yaml", POLICY, 0o644)]);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(load_folder(folder.path()), Err(vec!["P202"]));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let folder = folder(&[("a.yaml", POLICY, 0o644), ("b.yaml", "type: x", 0o644)]);
        fs::create_dir(folder.path().join("c.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("d.yaml")).unwrap();
        let codes = load_folder(folder.path()).unwrap_err();
        assert!(codes.contains(&"P203"), "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == "P201").count(), 2);
        assert_eq!(load_folder(&folder.path().join("a.yaml")), Err(vec!["P201"]));
    }

    #[test]
    fn a_launch_brings_its_own() {
        let folder = folder(&[("a.yaml", POLICY, 0o666)]);
        let mut inherited = tempfile::tempfile().unwrap();
        inherited.write_all(POLICY.as_bytes()).unwrap();
        inherited.rewind().unwrap();
        let given = [
            FileOrFd::Fd(77),
            FileOrFd::Path(folder.path().join("a.yaml").into()),
            FileOrFd::Path(folder.path().join("none.yaml").into()),
        ];
        let mut inherited = Some(inherited);
        let mut open = |fd| {
            assert_eq!(fd, 77);
            inherited.take().ok_or_else(|| io::Error::other("twice"))
        };
        let nowhere = folder.path().join("nowhere");
        let policies = load(&nowhere, &given[..2], &mut open).unwrap();
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(names, ["@77", "a"]);
        let found = load(&nowhere, &given[2..], &mut open).unwrap_err();
        assert_eq!(found[0].code, "P201");
    }

    #[test]
    fn a_policy_without_end_is_cut_off() {
        let given = [FileOrFd::Path("/dev/zero".into())];
        let found = load(Path::new("/nonexistent"), &given, |_| Err(io::Error::other("")));
        assert_eq!(found.unwrap_err().len(), 1);
    }
}
