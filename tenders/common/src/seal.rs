//! Proofs about the image's content: a sealed copy, its digest, and its signers.
//!
//! They are made only if a policy needs them. All later phases then read the copy. No process can
//! change it, and it holds exactly the bytes that were hashed: signatures appended to the image are
//! cut off.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek};

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags};
use solo5_launch::Label;
use solo5_policy::{Policy, keys_to_prove};
use solo5_signature::proof::IMAGE_MAX;
use solo5_signature::{Proof, PublicKey, Signature, Signatures, Trailer, locate, prove, trailer};

use crate::error::Error;
use crate::sys::Errno;

const WHAT: &str = "copying the image to prove its content";

/// The image to use from now on, and the proof if any of `policies` needs one. `kernel` is the
/// image's name; a detached signature may lie beside it.
pub fn prove_if_asked(
    file: File,
    kernel: &OsStr,
    policies: &[Policy],
    labels: &[Label],
) -> Result<(File, Option<Proof>), Error> {
    match keys_to_prove(policies, labels) {
        None => Ok((file, None)),
        Some(keys) => proved(&file, kernel, &keys),
    }
}

/// A sealed copy of the image, and the proof with these `keys`. Not inlined: its buffers would take pages
/// of stack in every launch.
#[inline(never)]
fn proved(file: &File, kernel: &OsStr, keys: &[PublicKey]) -> Result<(File, Option<Proof>), Error> {
    check_size(file, kernel)?;
    let (copy, trailer) =
        sealed_copy(file).map_err(|error| Error::Host { what: WHAT, error: errno(&error) })?;
    let (detached, unread) = match keys.is_empty() {
        true => (Vec::new(), None),
        false => detached(kernel).map_or_else(
            |error| (Vec::new(), Some(system_text(&error))),
            |signatures| (signatures, None),
        ),
    };
    let Trailer { content, signatures, note } = trailer;
    let signatures = Signatures { attached: &signatures, detached: &detached, note: &note };
    let proof = prove(&copy, content, signatures, keys).map_err(|error| Error::Host {
        what: "hashing the image",
        error: Errno::from_raw_os_error(error.0),
    })?;
    Ok((copy, Some(Proof { unread, ..proof })))
}

/// Refuses an image that is too large to be copied. One that grows later is refused by the copy.
///
/// # Errors
///
/// It is too large.
pub fn check_size(file: &File, kernel: &OsStr) -> Result<(), Error> {
    match file.metadata() {
        Ok(found) if found.len() > IMAGE_MAX => {
            Err(Error::ImageSize { kernel: kernel.to_owned(), most: IMAGE_MAX })
        }
        _ => Ok(()),
    }
}

/// A sealed copy of the image, without signatures that follow it.
///
/// # Errors
///
/// It cannot be copied.
pub fn copy(mut file: &File) -> Result<File, Error> {
    let copied = file.rewind().and_then(|()| sealed_copy(file));
    let (copy, _) =
        copied.map_err(|error| Error::Host { what: "copying the image", error: errno(&error) })?;
    Ok(copy)
}

/// Copies `file` into memory and seals the content. Also returns the trailer that followed the
/// content; it is empty if there was none.
fn sealed_copy(file: &File) -> io::Result<(File, Trailer)> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(rustix::fs::memfd_create("image", flags)?);
    let size = io::copy(&mut file.take(IMAGE_MAX + 1), &mut copy)?;
    if size > IMAGE_MAX {
        return Err(Errno::FBIG.into());
    }
    let found = locate(&copy, size).map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let none = Trailer { content: size, signatures: Vec::new(), note: Vec::new() };
    let trailer = found.unwrap_or(none);
    copy.set_len(trailer.content)?;
    let all = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, all)?;
    Ok((copy, trailer))
}

/// The signatures in `KERNEL.minisig`; none if there is no such file.
fn detached(kernel: &OsStr) -> io::Result<Vec<Signature>> {
    let mut path = OsString::from(kernel);
    path.push(".minisig");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    match rustix::fs::open(path.as_os_str(), flags, Mode::empty()) {
        Err(Errno::NOENT) => Ok(Vec::new()),
        opened => Ok(trailer::read_detached(File::from(opened?))?.0),
    }
}

/// The system's text for an error, without its number.
fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_copy_cannot_be_changed() {
        let (copy, trailer) = sealed_copy(&file(b"image")).unwrap();
        assert_eq!((trailer.content, trailer.signatures.len()), (5, 0));
        assert!(copy.write_at(b"x", 0).is_err());
        assert!(copy.set_len(4).is_err());
        assert!(copy.set_len(6).is_err());
        let mut content = [0; 6];
        assert_eq!(copy.read_at(&mut content, 0).unwrap(), 5);
        assert_eq!(&content, b"image\0");
    }

    #[test]
    fn a_large_image_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(IMAGE_MAX + 1).unwrap();
        let error = sealed_copy(&file).unwrap_err();
        assert_eq!(errno(&error), Errno::FBIG);
        let error = check_size(&file, OsStr::new("k")).unwrap_err();
        assert!(error.line().contains("k has more than 256 MiB"), "{error}");
    }

    #[test]
    fn signatures_that_cannot_be_read_are_not_the_same_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let kernel = folder.path().join("k");
        assert_eq!(detached(kernel.as_os_str()).unwrap().len(), 0);
        let beside = folder.path().join("k.minisig");
        std::fs::write(&beside, "").unwrap();
        let why = || system_text(&detached(kernel.as_os_str()).unwrap_err());
        assert_eq!(why(), "is empty");
        std::fs::remove_file(&beside).unwrap();
        std::fs::create_dir(&beside).unwrap();
        assert_eq!(why(), "is not a regular file");
        std::fs::remove_dir(&beside).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &beside).unwrap();
        assert_eq!(why(), "is not a regular file");
        std::fs::remove_file(&beside).unwrap();
        std::os::unix::fs::symlink("k.minisig", &beside).unwrap();
        assert!(why().contains("symbolic links"), "{}", why());
        let text = "type: solo5.policy\nversion: 1\notherwise: allow\n\
                    image: { signed-by: RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3 }\n";
        let policy = solo5_policy::front::read("p.yaml", text.as_bytes()).unwrap();
        let (_, proof) =
            prove_if_asked(file(b"image"), kernel.as_os_str(), &[policy], &[]).unwrap();
        assert_eq!(proof.unwrap().unread, Some(why()));
    }

    #[test]
    fn without_a_policy_that_needs_proofs_nothing_is_copied() {
        let text = b"type: solo5.policy\nversion: 1\notherwise: allow\n";
        let policy = solo5_policy::front::read("p.yaml", text).unwrap();
        let (same, proof) =
            prove_if_asked(file(b"image"), OsStr::new("k"), &[policy], &[]).unwrap();
        assert_eq!(proof, None);
        same.write_at(b"x", 0).unwrap();
    }
}
