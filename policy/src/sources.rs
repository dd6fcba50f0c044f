//! Where policies come from: the host's folder, and the launch's `--policy`.
//!
//! The folder is fixed when the program is built: no option or variable can replace it. Its files
//! decide what may run, so only root and the caller may be able to change or replace it
//! ([`crate::trust`]). A policy that cannot be read refuses the launch; it is never skipped.

use std::fs::File;
use std::io;
use std::iter;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use solo5_launch::FileOrFd;
use solo5_report::{Diagnostic, os_text, path_text};
use solo5_signature::Digest;

use crate::admitted;
use crate::facts::Fact;
use crate::front;
use crate::model::{Layer, Policy};
use crate::trust::{self, unreadable};

/// The folder for settings of the host; the build takes it from `SOLO5_SYSCONFDIR`.
pub const SYSCONFDIR: &str = match option_env!("SOLO5_SYSCONFDIR") {
    Some(folder) => folder,
    None => "/etc",
};
const _: () =
    assert!(matches!(SYSCONFDIR.as_bytes(), [b'/', ..]), "SOLO5_SYSCONFDIR is no absolute path");

/// Most policies in the host's folder.
pub const POLICIES_MAX: usize = 1000;

/// The host's folder of policies.
pub fn folder() -> PathBuf {
    Path::new(SYSCONFDIR).join("solo5").join("policy.d")
}

/// The files in the host's folder, unread. More files than a folder may have are left out: such a folder
/// is refused when the policies are read.
pub fn of_host(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let files = iter::once_with(move || folder.read_dir()).flatten().flatten().flatten();
    files.take(POLICIES_MAX).map(|entry| entry.path())
}

/// Where the host's policies are.
#[derive(Clone, Copy, Debug)]
pub enum Host<'p> {
    /// In this folder, which only root and the caller may be able to change.
    Folder(&'p Path),
    /// In a copy of a host's folder, to find out what that host would decide. It must exist; its owner
    /// and mode do not matter.
    Model(&'p Path),
    /// Nowhere.
    None,
}

/// Reads every policy of a launch: the `host`'s sorted by name, then those `given`, in order.
/// `open` turns an inherited descriptor into a file, once for each descriptor.
///
/// # Errors
///
/// Everything wrong with any of them.
pub fn load(
    host: Host<'_>,
    given: &[FileOrFd],
    mut open: impl FnMut(i32) -> io::Result<File>,
) -> Result<Vec<Policy>, Vec<Diagnostic>> {
    let mut policies = Vec::new();
    let mut diagnostics = Vec::new();
    let mut take = |name: &str, layer, file: Result<File, Diagnostic>| {
        let bytes = file.and_then(|file| bytes(name, &file)).map_err(|found| vec![found]);
        match bytes.and_then(|bytes| front::read(name, &bytes)) {
            Ok(policy) => policies.push(Policy { layer, ..policy }),
            Err(found) => diagnostics.extend(found),
        }
    };
    match files(host) {
        Ok(files) => {
            for path in files {
                let name = path_text(&path);
                let file = match host {
                    Host::Model(_) => open_path(&path, &name),
                    _ => open_trusted(&path),
                };
                take(&name, Layer::Host, file);
            }
        }
        Err(diagnostic) => take("", Layer::Host, Err(diagnostic)),
    }
    for source in given {
        match source {
            FileOrFd::Path(path) => {
                let name = os_text(path);
                take(&name, Layer::Launch, open_path(Path::new(path), &name));
            }
            FileOrFd::Fd(fd) => {
                let name = format!("@{fd}");
                let file = open(*fd).map_err(|error| unreadable(&name, &error));
                take(&name, Layer::Launch, file);
            }
        }
    }
    if diagnostics.is_empty() { Ok(policies) } else { Err(diagnostics) }
}

/// Whether the image with this digest is in the list of admitted images at `path`. The list must be as
/// trustworthy as a policy of the host, and so must its folder: who can write to the folder could put
/// an older list back.
pub fn admitted(path: &str, digest: &Digest) -> Fact<bool> {
    let found = open_trusted(Path::new(path))
        .and_then(|file| bytes(path, &file))
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

/// The policies of a host, sorted by name; none if its folder does not exist.
fn files(host: Host<'_>) -> Result<Vec<PathBuf>, Diagnostic> {
    let folder = match host {
        Host::None => return Ok(Vec::new()),
        Host::Model(folder) => folder.to_owned(),
        Host::Folder(folder) => match trust::real(folder)? {
            None => return Ok(Vec::new()),
            Some(real) => {
                let name = path_text(folder);
                let metadata = real.metadata().map_err(|error| unreadable(&name, &error))?;
                trust::check(&name, &metadata)?;
                folder.to_owned()
            }
        },
    };
    let name = path_text(&folder);
    let failed = |error: &io::Error| unreadable(&name, error);
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(|error| failed(&error))? {
        let entry = entry.map_err(|error| failed(&error))?;
        if is_policy(entry.file_name().as_encoded_bytes()) {
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

/// Whether a file of the folder is a policy, by its name. Left-overs of editors and package managers are
/// not: `.a.yaml.swp`, `a.yaml~`, `a.yaml.dpkg-old`.
fn is_policy(name: &[u8]) -> bool {
    let ends = |ending: &str| {
        let start = name.len().saturating_sub(ending.len());
        name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(ending.as_bytes()))
    };
    !name.starts_with(b".") && [".yaml", ".yml", ".json"].into_iter().any(ends)
}

/// Opens a policy of the host's folder, or a list of admitted images, if only root and the caller can
/// change or replace it.
fn open_trusted(path: &Path) -> Result<File, Diagnostic> {
    let name = path_text(path);
    let failed = |error: &io::Error| unreadable(&name, error);
    let real = trust::real(path)?;
    let real = real.ok_or_else(|| failed(&io::Error::from(io::ErrorKind::NotFound)))?;
    let file = open_path(&real, &name)?;
    let metadata = file.metadata().map_err(|error| failed(&error))?;
    trust::check(&name, &metadata)?;
    Ok(file)
}

/// Opens the file `name`, without blocking: opening a pipe would wait for a writer.
fn open_path(path: &Path, name: &str) -> Result<File, Diagnostic> {
    let mut options = File::options();
    options.read(true).custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed());
    options.open(path).map_err(|error| unreadable(name, &error))
}

/// Reads a file from its start, whatever its offset is, and at most one byte more than a policy may
/// have. It must be a regular file, which gives the same bytes each time; a pipe may never end.
fn bytes(name: &str, file: &File) -> Result<Vec<u8>, Diagnostic> {
    let failed = |error: &io::Error| unreadable(name, error);
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(failed(&io::Error::other("not a regular file")));
    }
    let most = solo5_source::SIZE_MAX.saturating_add(1);
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < most {
        let offset = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        match file.read_at(&mut buffer, offset) {
            Ok(0) => break,
            Ok(count) => bytes.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    bytes.truncate(most);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
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
        load(Host::Folder(folder), &[], |_| Err(io::Error::other("no descriptors here")))
            .map(|policies| policies.into_iter().map(|policy| policy.name).collect())
            .map_err(|found| found.into_iter().map(|found| found.code).collect())
    }

    #[test]
    fn an_absent_folder_means_no_policies() {
        let folder = folder(&[]);
        assert_eq!(load_folder(folder.path()), Ok(vec![]));
        assert_eq!(load_folder(&folder.path().join("none/policy.d")), Ok(vec![]));
    }

    #[test]
    fn policies_come_sorted_and_by_their_ending() {
        let files = [
            ("b.yaml", POLICY, 0o644),
            ("a.yaml", POLICY, 0o600),
            ("d.YAML", POLICY, 0o644),
            ("c.yml", POLICY, 0o644),
            (
                "e.Json",
                "{\"type\": \"solo5.policy\", \"version\": 1, \"otherwise\": \"allow\"}",
                0o644,
            ),
        ];
        let folder = folder(&files);
        for leftover in [".d.yaml", "a.yaml~", "a.yaml.dpkg-old", ".a.yaml.swp", "README", "yaml"] {
            fs::write(folder.path().join(leftover), "no").unwrap();
        }
        let names = ["a", "b", "c", "d", "e"].map(str::to_owned);
        assert_eq!(load_folder(folder.path()), Ok(names.to_vec()));
        fs::write(folder.path().join("f.yml"), "no").unwrap();
        assert!(load_folder(folder.path()).is_err());
    }

    #[test]
    fn layers_are_told_apart_and_a_model_may_belong_to_anybody() {
        let folder = folder(&[("a.yaml", POLICY, 0o666)]);
        let given = [FileOrFd::Path(folder.path().join("a.yaml").into())];
        let load = |host| load(host, &given, |_| Err(io::Error::other("no descriptors here")));
        let layers = |policies: Vec<Policy>| -> Vec<_> {
            policies.into_iter().map(|policy| policy.layer).collect()
        };
        let modelled = layers(load(Host::Model(folder.path())).unwrap());
        assert_eq!(modelled, [Layer::Host, Layer::Launch]);
        assert_eq!(layers(load(Host::None).unwrap()), [Layer::Launch]);
        assert_eq!(load(Host::Folder(folder.path())).unwrap_err()[0].code, "P202");
        assert_eq!(load(Host::Model(&folder.path().join("none"))).unwrap_err()[0].code, "P201");
    }

    #[test]
    fn a_dangling_link_does_not_count_as_an_absent_folder() {
        let place = folder(&[]);
        let link = place.path().join("policy.d");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        assert_eq!(load_folder(&link), Err(vec!["P201"]));
        let above = place.path().join("solo5");
        std::os::unix::fs::symlink("nowhere", &above).unwrap();
        assert_eq!(load_folder(&above.join("policy.d")), Err(vec!["P201"]));
        let real = folder(&[("a.yaml", POLICY, 0o644)]);
        let good = place.path().join("good");
        std::os::unix::fs::symlink(real.path(), &good).unwrap();
        assert_eq!(load_folder(&good), Ok(vec!["a".to_owned()]));
    }

    #[test]
    fn pipes_are_refused_and_not_waited_for() {
        let place = folder(&[]);
        let pipe = place.path().join("p.yaml");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(load_folder(place.path()), Err(vec!["P201"]));
        let given = [FileOrFd::Path(pipe.into()), FileOrFd::Fd(7)];
        let reader = |_: i32| {
            std::io::pipe().map(|(reader, _)| File::from(std::os::fd::OwnedFd::from(reader)))
        };
        let found = load(Host::None, &given, reader).unwrap_err();
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|found| found.message.ends_with("not a regular file")));
    }

    #[test]
    fn the_folder_of_a_list_is_checked_where_its_links_lead() {
        let digest = Digest::of(b"x");
        let list = format!(
            "{{ type: solo5.admitted, version: 1, images: [ {{ digest: \"{digest}\" }} ] }}"
        );
        let (real, place) = (folder(&[("list.json", &list, 0o644)]), folder(&[]));
        let link = place.path().join("list.json");
        std::os::unix::fs::symlink(real.path().join("list.json"), &link).unwrap();
        let known = || admitted(link.to_str().unwrap(), &digest);
        assert_eq!(known(), Fact::Known(true));
        fs::set_permissions(real.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(known(), Fact::Unreadable(why) if why.contains("P202")));
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
    fn a_launch_can_bring_policies_in_files_and_descriptors() {
        let folder = folder(&[("a.yaml", POLICY, 0o666)]);
        let mut inherited = tempfile::tempfile().unwrap();
        inherited.write_all(POLICY.as_bytes()).unwrap();
        // The launcher has just written the file, so the offset is at its end.
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
        let policies = load(Host::Folder(&nowhere), &given[..2], &mut open).unwrap();
        let names: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
        assert_eq!(names, ["@77", "a"]);
        let found = load(Host::None, &given[2..], &mut open).unwrap_err();
        assert_eq!(found[0].code, "P201");
    }

    #[test]
    fn an_endless_policy_is_refused() {
        let given = [FileOrFd::Path("/dev/zero".into())];
        let found = load(Host::None, &given, |_| Err(io::Error::other("")));
        assert_eq!(found.unwrap_err().len(), 1);
    }
}
