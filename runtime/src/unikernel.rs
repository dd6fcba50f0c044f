//! Which file of a container is its unikernel.

use std::fs::File;
use std::path::{Path, PathBuf};

use solo5_abi::{Arch, Target};
use solo5_image::Image;

use crate::bundle::Bundle;
use crate::codes;
use crate::failure::Failure;
use crate::rootfs::Rootfs;
use crate::urunc;

/// Annotations in which engines say whether a container is a pod's pause container.
const KINDS: [&str; 2] = ["io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType"];

/// A unikernel and what it is started with.
#[derive(Debug)]
pub struct Unikernel {
    /// Its file.
    pub file: File,
    /// Its path in the container, without links.
    pub path: PathBuf,
    /// Its target.
    pub target: Target,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Finds the unikernel of `bundle`; `None` if its process is another program.
///
/// The first word of the process names it. An image that was made for urunc has only arguments in its
/// process, and names the unikernel in annotations or in `urunc.json`.
///
/// # Errors
///
/// A file that should be read cannot be.
pub fn find(bundle: &Bundle, rootfs: &Rootfs) -> Result<Option<Unikernel>, Failure> {
    let words = bundle.args()?;
    if let Some((first, arguments)) = words.split_first() {
        let environment = bundle.environment()?;
        for place in places(first, &bundle.working_folder()?, &environment) {
            if let Some((file, target)) = open(rootfs, &place)? {
                let arguments = arguments.to_vec();
                return unikernel(rootfs, &place, file, target, arguments).map(Some);
            }
        }
    }
    let annotations = bundle.annotations()?;
    // A pod's annotations reach its pause container too.
    if KINDS.iter().any(|key| annotations.get(*key).is_some_and(|kind| kind == "sandbox")) {
        return Ok(None);
    }
    let Some(named) = urunc::read(&annotations, rootfs)? else { return Ok(None) };
    let place = Path::new("/").join(&named.binary);
    let Some((file, target)) = open(rootfs, &place)? else {
        let place = solo5_report::path_text(&place);
        let text = format!("{} names {place}, which is no unikernel", named.source);
        return Err(Failure::new(codes::UNIKERNEL, text));
    };
    unikernel(rootfs, &place, file, target, named.arguments(words)).map(Some)
}

fn unikernel(
    rootfs: &Rootfs,
    place: &Path,
    file: File,
    target: Target,
    arguments: Vec<String>,
) -> Result<Unikernel, Failure> {
    let path = rootfs.real(place).map_err(|error| failed(place, error))?;
    Ok(Unikernel { file, path, target, arguments })
}

fn failed(place: &Path, error: rustix::io::Errno) -> Failure {
    let place = solo5_report::path_text(place);
    Failure::new(codes::UNIKERNEL, format!("{place} in the root file system: {error}"))
}

/// Where a runtime would look for the program `word`.
fn places(word: &str, cwd: &Path, environment: &[String]) -> Vec<PathBuf> {
    let root = Path::new("/");
    if word.contains('/') {
        return vec![root.join(cwd).join(word)];
    }
    if word.is_empty() {
        return Vec::new();
    }
    let path = environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let folders = path.unwrap_or_default().split(':').filter(|folder| folder.starts_with('/'));
    // More folders than that are no search path.
    folders.take(64).map(|folder| Path::new(folder).join(word)).collect()
}

/// Opens the file at `place` if it is a unikernel.
fn open(rootfs: &Rootfs, place: &Path) -> Result<Option<(File, Target)>, Failure> {
    let file = rootfs.file(place).map_err(|error| failed(place, error))?;
    Ok(file.and_then(|file| target(&file).map(|target| (file, target))))
}

/// The target of a unikernel; `None` if the file has no ABI note, so is something else. Other faults of
/// the image are reported later.
fn target(file: &File) -> Option<Target> {
    Image::read(file, &Arch::ALL).ok()?.abi().ok()?.target()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_looked_for_where_a_runtime_does() {
        let environment = ["PATH=/no".to_owned(), "PATH=/bin:relative::/usr/bin".to_owned()];
        let found = |word| places(word, Path::new("/work"), &environment);
        assert_eq!(found("/app.spt"), [Path::new("/app.spt")]);
        assert_eq!(found("./app.spt"), [Path::new("/work/./app.spt")]);
        assert_eq!(found("app.spt"), [Path::new("/bin/app.spt"), Path::new("/usr/bin/app.spt")]);
        assert_eq!(found(""), [] as [&Path; 0]);
        assert_eq!(places("sh", Path::new("/"), &[]), [] as [&Path; 0]);
    }
}
