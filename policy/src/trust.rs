//! Checks that only root and the caller can change or replace a file.
//!
//! A path is followed as the kernel does, link by link, and every folder on the way is checked: a
//! process that can write to one of them can replace the next entry.

use std::fs::Metadata;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use solo5_report::{Diagnostic, path_text};

use crate::codes;

/// Most links on the way: the kernel's limit.
const LINKS_MAX: usize = 40;

/// The real place of `path`; `None` if it does not exist. A dangling link is an error.
pub(crate) fn real(path: &Path) -> Result<Option<PathBuf>, Diagnostic> {
    let name = path_text(path);
    let failed = |error: &io::Error| unreadable(&name, error);
    let path = std::path::absolute(path).map_err(|error| failed(&error))?;
    let mut place = PathBuf::from("/");
    // What is known of `place`.
    let mut folder = None;
    let mut way = parts(&path);
    let mut links = 0;
    while let Some(part) = way.pop() {
        if part == Path::new("..") {
            place.pop();
            folder = None;
            continue;
        }
        let entry = place.join(&part);
        let found = match entry.symlink_metadata() {
            Ok(found) => Some(found),
            // A dangling link is a mistake of the operator, not an absent folder.
            Err(error) if error.kind() == ErrorKind::NotFound && links == 0 => None,
            Err(error) => return Err(failed(&error)),
        };
        let above = match folder.take() {
            Some(above) => above,
            None => place.symlink_metadata().map_err(|error| failed(&error))?,
        };
        holds(&place, &above, found.as_ref())?;
        let Some(found) = found else { return Ok(None) };
        if !found.is_symlink() {
            place = entry;
            folder = Some(found);
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(failed(&io::Error::other("too many links")));
        }
        let target = entry.read_link().map_err(|error| failed(&error))?;
        if target.is_absolute() {
            place = PathBuf::from("/");
        }
        way.extend(parts(&target));
    }
    Ok(Some(place))
}

/// The parts of a path in reverse order, for a stack.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path
        .components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// Refuses a folder on the way if another user can replace its entry. Others may write to it only if it
/// is sticky and the entry belongs to root or the caller, as in `/tmp` and in a Nix store.
fn holds(place: &Path, folder: &Metadata, entry: Option<&Metadata>) -> Result<(), Diagnostic> {
    let name = path_text(place);
    let sticky = folder.mode() & 0o1000 != 0;
    let ours = |metadata: &Metadata| is_trusted(metadata.uid());
    if !ours(folder) && !is_unmapped(folder.uid()) {
        return Err(belongs(&name, folder.uid()));
    }
    if folder.mode() & 0o022 != 0 && !(sticky && entry.is_none_or(ours)) {
        return Err(changeable(&name));
    }
    Ok(())
}

/// Refuses a file or folder that a user other than root and the caller could have written.
pub(crate) fn check(name: &str, metadata: &Metadata) -> Result<(), Diagnostic> {
    if !is_trusted(metadata.uid()) {
        Err(belongs(name, metadata.uid()))
    } else if metadata.mode() & 0o022 != 0 {
        Err(changeable(name))
    } else {
        Ok(())
    }
}

fn is_trusted(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

/// Whether an owner has no number in this user namespace. In a namespace of an ordinary user, the
/// host's root is such an owner, and the folders on the way often belong to it. If the namespace maps
/// every owner, the answer is no.
fn is_unmapped(owner: u32) -> bool {
    let shown = |file| std::fs::read_to_string(file).ok();
    let overflow = shown("/proc/sys/kernel/overflowuid");
    let overflow = overflow.and_then(|text| text.trim().parse().ok());
    let map = || shown("/proc/self/uid_map");
    let is_whole = |map: String| map.split_whitespace().nth(2) == Some("4294967295");
    overflow == Some(owner) && map().is_some_and(|map| !is_whole(map))
}

/// The error of a file that cannot be read.
pub(crate) fn unreadable(name: &str, error: &io::Error) -> Diagnostic {
    let message = format!("{name} cannot be read: {error}");
    let help = "nothing starts while a policy cannot be read; mend or remove it";
    Diagnostic::error(codes::UNREADABLE, message).with_help(help)
}

fn belongs(name: &str, owner: u32) -> Diagnostic {
    let help = format!("run `chown root {name}`");
    untrusted(format!("{name} belongs to user {owner}"), help)
}

fn changeable(name: &str) -> Diagnostic {
    untrusted(format!("{name} can be changed by others"), format!("run `chmod go-w {name}`"))
}

fn untrusted(message: String, help: String) -> Diagnostic {
    let note = "whoever can change a policy decides what may run";
    Diagnostic::error(codes::NOT_TRUSTED, message).with_note(note).with_help(help)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn code(path: &Path) -> Result<Option<PathBuf>, &'static str> {
        real(path).map_err(|found| found.code)
    }

    #[test]
    fn every_folder_on_the_way_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (above, folder) = (root.join("above"), root.join("above/folder"));
        fs::create_dir_all(&folder).unwrap();
        for open in [0o777, 0o775, 0o757] {
            mode(&above, open);
            assert_eq!(code(&folder), Err("P202"), "{open:o}");
            assert_eq!(code(&above.join("absent")), Err("P202"), "it may have been taken away");
        }
        mode(&above, 0o1777);
        assert_eq!(code(&folder), Ok(Some(folder.clone())), "sticky, and ours");
        mode(&above, 0o755);
        assert_eq!(code(&folder), Ok(Some(folder.clone())));
        assert_eq!(code(&folder.join("none/at/all")), Ok(None));
    }

    #[test]
    fn links_are_followed_and_what_they_pass_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (real_folder, links) = (root.join("real"), root.join("links"));
        fs::create_dir(&real_folder).unwrap();
        fs::create_dir(&links).unwrap();
        fs::write(real_folder.join("file"), "x").unwrap();
        symlink("../real", links.join("relative")).unwrap();
        symlink(links.join("relative/file"), links.join("file")).unwrap();
        symlink("nowhere", links.join("broken")).unwrap();
        symlink("loop", links.join("loop")).unwrap();
        let file = Ok(Some(real_folder.join("file")));
        assert_eq!(code(&links.join("file")), file);
        assert_eq!(code(&links.join("../links/relative/file")), file);
        assert_eq!(code(&links.join("broken")), Err("P201"));
        assert_eq!(code(&links.join("broken/below")), Err("P201"));
        assert_eq!(code(&links.join("loop")), Err("P201"));
        for open in [&real_folder, &links] {
            mode(open, 0o777);
            assert_eq!(code(&links.join("file")), Err("P202"));
            mode(open, 0o755);
        }
    }

    /// Gives `path` to another user. Only root may do that; the test is skipped by name otherwise.
    fn give_away(path: &Path, test: &str) -> bool {
        use std::io::Write;
        let given = std::os::unix::fs::chown(path, Some(OTHER), None);
        if given.is_err() {
            // The test harness captures `println!`.
            let _ = writeln!(io::stdout(), "skip: {test}: only root can give a file away");
        }
        given.is_ok()
    }

    /// A user that is neither root nor the caller.
    const OTHER: u32 = 54321;

    #[test]
    fn what_belongs_to_another_user_is_refused_with_its_number() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (folder, file) = (root.join("folder"), root.join("folder/file"));
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let trusted = check("file", &file.metadata().unwrap());
        assert!(trusted.is_ok(), "{trusted:?}");
        if !give_away(&file, "what_belongs_to_another_user_is_refused_with_its_number") {
            return;
        }
        let found = check("file", &file.metadata().unwrap()).unwrap_err();
        assert_eq!(found.message, "file belongs to user 54321");
        assert_eq!(found.help.as_deref(), Some("run `chown root file`"));
        assert_eq!(code(&file), Ok(Some(file.clone())), "the way to it is ours");
        mode(&folder, 0o1777);
        assert_eq!(code(&file), Err("P202"), "its owner could replace it");
        mode(&folder, 0o755);
        std::os::unix::fs::chown(&folder, Some(OTHER), None).unwrap();
        let found = real(&file).unwrap_err();
        assert_eq!(found.message, format!("{} belongs to user 54321", folder.display()));
    }

    #[test]
    fn an_owner_with_a_number_is_not_unmapped() {
        assert!(!is_unmapped(0));
        assert!(!is_unmapped(rustix::process::geteuid().as_raw()));
    }

    #[test]
    fn a_way_of_too_many_links_ends() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        fs::write(root.join("0"), "").unwrap();
        for link in 1..=LINKS_MAX + 1 {
            symlink((link - 1).to_string(), root.join(link.to_string())).unwrap();
        }
        let end = |links: usize| real(&root.join(links.to_string()));
        assert_eq!(end(LINKS_MAX).unwrap(), Some(root.join("0")));
        let found = end(LINKS_MAX + 1).unwrap_err();
        assert!(found.message.ends_with("cannot be read: too many links"), "{}", found.message);
    }
}
