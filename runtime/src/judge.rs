//! The host's policies asked about a launch, before anything of the container exists.
//!
//! The tender asks the same policies again inside the container, with facts that are not known here.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use solo5_launch::{Modules, read_for};
use solo5_policies::examine::{AskError, examine};
use solo5_policy::{
    Asked, Fact, HostFacts, Phase, Policy, admission_lists, decide, keys_to_prove, sources,
};
use solo5_signature::proof::IMAGE_MAX;
use solo5_signature::{Proof, PublicKey, Signatures, locate, prove, trailer};

use crate::codes;
use crate::failure::Failure;
use crate::options::Container;
use crate::rootfs::Rootfs;
use crate::unikernel::Unikernel;

/// A launch that the host's policies do not deny.
#[derive(Debug)]
pub struct Judged {
    /// The tender's options.
    pub options: Vec<String>,
    /// Lists of admitted images that the tender will ask.
    pub lists: Vec<PathBuf>,
}

/// The host's policies.
///
/// # Errors
///
/// One of them cannot be used.
pub fn policies() -> Result<Vec<Policy>, Failure> {
    let none = |_| Err(std::io::Error::other("no descriptor is named"));
    sources::load(sources::Host::Folder(&sources::folder()), &[], none)
        .map_err(|found| Failure::policies(&found))
}

/// Compares the launch with the image and asks `policies` about it. `container` makes
/// the tender's options; `is_root` says whether the guest's user is root.
///
/// # Errors
///
/// The unikernel would not start, or may not.
pub fn judge(
    policies: &[Policy],
    unikernel: &Unikernel,
    rootfs: &Rootfs,
    is_root: Fact<bool>,
    container: &Container<'_>,
) -> Result<Judged, Failure> {
    let (asked, made) = ask(&unikernel.file, unikernel, container)?;
    let keys = keys_to_prove(policies, &asked.launch.labels);
    let (asked, made) = match keys {
        None => (asked, made),
        Some(keys) => {
            // The bytes that are hashed are examined again.
            let (bytes, proof) = proven(unikernel, rootfs, &keys).map_err(|why| {
                Failure::new(codes::UNIKERNEL, format!("{}: {why}", name(unikernel)))
            })?;
            let (asked, made) = ask(&bytes, unikernel, container)?;
            (Asked { proof: Some(proof), ..asked }, made)
        }
    };
    let digest = asked.proof.as_ref().map(|proof| proof.digest);
    let lists = admission_lists(policies, &asked).into_iter();
    let lists: Vec<&str> = lists.filter(|_| digest.is_some()).collect();
    let admitted = lists.iter().filter_map(|list| {
        digest.map(|digest| ((*list).to_owned(), sources::admitted(list, &digest)))
    });
    let facts = HostFacts { root: is_root, admitted: admitted.collect(), ..HostFacts::default() };
    if !policies.is_empty() {
        let decision =
            decide(policies, &asked, &facts, Phase::Strings, asked.launch.require_policy);
        if decision.is_denied() {
            return Err(Failure::denied(&decision));
        }
    }
    Ok(Judged { options: made, lists: lists.into_iter().map(PathBuf::from).collect() })
}

/// Examines the image with the options for it in this container.
fn ask<R: solo5_image::ReadAt>(
    image: &R,
    unikernel: &Unikernel,
    container: &Container<'_>,
) -> Result<(Asked, Vec<String>), Failure> {
    let mut made = Ok(Vec::new());
    let examined = examine(image, |target, manifest, properties| {
        made = container.options(target, properties);
        let options = made.as_deref().unwrap_or_default();
        let mut words: Vec<OsString> = options.iter().map(OsString::from).collect();
        words.push("--".into());
        words.extend(unikernel.arguments.iter().map(OsString::from));
        let request = read_for(unikernel.path.as_os_str(), &words, &Modules::ordinary(target));
        request.check(manifest, properties)
    });
    let made = made?;
    let asked = examined.map_err(|why| {
        let code = match why {
            AskError::Image(_) | AskError::Target(_) => codes::UNIKERNEL,
            AskError::Options(_) | AskError::Launch(_) => codes::CANNOT,
        };
        Failure::new(code, format!("{}: {why}", name(unikernel)))
    })?;
    Ok((asked, made))
}

fn name(unikernel: &Unikernel) -> String {
    solo5_report::path_text(&unikernel.path).into_owned()
}

/// The image's content, and what is proven of it.
fn proven(
    unikernel: &Unikernel,
    rootfs: &Rootfs,
    keys: &[PublicKey],
) -> Result<(Vec<u8>, Proof), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut bytes = Vec::new();
    let read = (&unikernel.file).take(IMAGE_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| text(&error))?;
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if size > IMAGE_MAX {
        return Err(format!("is larger than {} MiB, so no tender proves it", IMAGE_MAX >> 20));
    }
    let (mut attached, mut note) = (Vec::new(), Vec::new());
    if let Some(found) = locate(&bytes, size).map_err(|error| text(&error))? {
        bytes.truncate(usize::try_from(found.content).unwrap_or(usize::MAX));
        (attached, note) = (found.signatures, found.note);
    }
    let (detached, unread) = match keys.is_empty() {
        true => (Vec::new(), None),
        false => detached(unikernel, rootfs)
            .map_or_else(|why| (Vec::new(), Some(why)), |all| (all, None)),
    };
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let signatures = Signatures { attached: &attached, detached: &detached, note: &note };
    let proof = prove(&bytes, size, signatures, keys).map_err(|error| text(&error))?;
    Ok((bytes, Proof { unread, ..proof }))
}

/// The signatures in the file beside the image.
fn detached(
    unikernel: &Unikernel,
    rootfs: &Rootfs,
) -> Result<Vec<solo5_signature::Signature>, String> {
    let mut beside = OsString::from(&unikernel.path);
    beside.push(".minisig");
    let file: Option<File> = rootfs.file(Path::new(&beside)).map_err(|error| error.to_string())?;
    let Some(file) = file else { return Ok(Vec::new()) };
    trailer::read_detached(file).map(|(all, _)| all).map_err(|error| error.to_string())
}
