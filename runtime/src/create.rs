//! `create` and `run`: from the bundle to the new one.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use solo5_abi::Target;
use solo5_policy::Fact;
use solo5_report::path_text;

use crate::bundle::Bundle;
use crate::codes;
use crate::failure::Failure;
use crate::judge::{self, judge};
use crate::options::Container;
use crate::rewrite::{self, Process};
use crate::rootfs::Rootfs;
use crate::words::Words;
use crate::{labels, places, unikernel};

/// Longest name of a container, as of a file.
const ID_MAX: usize = 255;

/// The bundle to hand on in place of the one that `words` name; `None` if its process is no unikernel.
///
/// # Errors
///
/// The container cannot be created, or the host's policies deny it.
pub fn prepare(words: &Words) -> Result<Option<PathBuf>, Failure> {
    let id = words.id.as_deref().map(|id| id.to_str().filter(|id| is_name(id)));
    let Some(id) = id else { return Ok(None) };
    let folder = words.bundle.as_deref().unwrap_or(Path::new("."));
    let bundle = Bundle::read(folder)?;
    let Some(root) = bundle.root()? else { return Ok(None) };
    let failed = |error: Errno| {
        Failure::new(
            codes::UNIKERNEL,
            format!("the root file system {}: {error}", path_text(&root)),
        )
    };
    let rootfs = Rootfs::open(&root).map_err(failed)?;
    let Some(unikernel) = unikernel::find(&bundle, &rootfs)? else { return Ok(None) };
    let text = "the container's name has other characters than letters, digits and _+-.";
    let id = id.ok_or_else(|| Failure::new(codes::WORDS, text))?;

    let (name, tender) = tender(unikernel.target)?;
    let policies = judge::policies()?;
    let labels = labels::options(&bundle.annotations()?);
    let container = Container {
        memory_limit: bundle.memory_limit()?,
        labels: &labels,
        has_policies: !policies.is_empty(),
    };
    let judged = judge(&policies, &unikernel, &rootfs, is_root(&bundle)?, &container)?;
    places::check(&rootfs, &bundle.mounts()?, &unikernel.path, &judged.lists)?;

    let kernel = unikernel.path.to_str().ok_or_else(|| {
        let name = path_text(&unikernel.path);
        Failure::new(codes::UNIKERNEL, format!("{name}: the name is not UTF-8"))
    })?;
    let mut line = judged.options;
    line.extend(["--".to_owned(), kernel.to_owned()]);
    line.extend(unikernel.arguments);
    let process = Process { tender: &tender, name, target: unikernel.target, words: line };
    rewrite::write(&bundle, id, &process, &policies, &judged.lists).map(Some)
}

/// Whether runc takes this as a container's name, and it can be a folder's.
fn is_name(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    !matches!(id, "" | "." | "..") && id.len() <= ID_MAX && id.bytes().all(fits)
}

/// The tender for `target`: its name, and its program, which is installed beside this one.
fn tender(target: Target) -> Result<(&'static str, PathBuf), Failure> {
    let name = match target {
        Target::Spt | Target::Hvt => target.starter(),
        Target::Virtio | Target::Muen | Target::Genode | Target::Xen => None,
    };
    let name = name.ok_or_else(|| {
        let target = target.name();
        let text =
            format!("a unikernel for {target} cannot run in a container; link it for spt or hvt");
        Failure::new(codes::TENDER, text)
    })?;
    let own = std::env::current_exe().and_then(fs::canonicalize);
    let place = own.map(|own| own.with_file_name(name)).and_then(fs::canonicalize);
    match place {
        Ok(place) if place.is_file() => Ok((name, place)),
        _ => {
            let text = format!("{name} is not installed beside solo5-run");
            Err(Failure::new(codes::TENDER, text))
        }
    }
}

/// Whether the guest's user is root of this host. Behind a user namespace only the tender knows.
fn is_root(bundle: &Bundle) -> Result<Fact<bool>, Failure> {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let is_whole = map.split_whitespace().nth(2) == Some("4294967295");
    Ok(match bundle.has_user_namespace() || !is_whole {
        true => Fact::Unknown,
        false => Fact::Known(bundle.user()? == 0),
    })
}

/// The words for the runtime underneath.
///
/// # Errors
///
/// As [`prepare`].
pub fn words(words: &Words) -> Result<Vec<OsString>, Failure> {
    // Help on the verb needs no bundle.
    if words.rest.iter().any(|word| word == "--help" || word == "-h") {
        return Ok(words.handed_on(None));
    }
    let bundle = prepare(words)?;
    Ok(words.handed_on(bundle.as_deref().map(Path::as_os_str)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_name_is_a_folders() {
        for good in ["a", "shop_1", "0f-3.x+", "..."] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\n", "é", &"x".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn other_targets_have_no_tender_in_a_container() {
        for target in [Target::Virtio, Target::Muen, Target::Xen, Target::Genode] {
            let failure = tender(target).unwrap_err();
            assert!(failure.line().starts_with("error[R708]: "), "{}", failure.line());
        }
    }
}
