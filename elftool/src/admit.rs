//! The list of admitted images that `check --lock` writes, for `admitted` in a policy.

use std::collections::BTreeMap;
use std::path::Path;

use solo5_policies::admitted::{self, Admission};
use solo5_policy::admitted::{TYPE, read};
use solo5_signature::Digest;

use crate::console::{Console, Exit, Failure};
use crate::files::name;
use crate::replace;

/// Why a tender would not accept the list; `None` if it would.
fn unreadable(name: &str, text: &[u8]) -> Option<String> {
    let found = read(name, text).err()?;
    Some(found.first().map(|found| found.message.clone()).unwrap_or_default())
}

/// Writes the list of admitted images. `asked` says whether a policy was asked about any image. If
/// none was, an existing list is kept, because an empty one would replace it.
pub(crate) fn record(
    console: &Console,
    path: Option<&Path>,
    admitted: &BTreeMap<Digest, Admission>,
    exit: Exit,
    asked: bool,
) -> Result<(), Failure> {
    match path {
        Some(path) if !asked && exit != Exit::Incomplete => {
            console.say_of(path, "not written: no policy could be asked about any image");
            Ok(())
        }
        _ => write(path, admitted, exit),
    }
}

/// Writes the list of admitted images if `--lock` was given and a tender can read the list.
fn write(
    path: Option<&Path>,
    admitted: &BTreeMap<Digest, Admission>,
    exit: Exit,
) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    // An image that could not be judged would be missing, so an existing list is kept.
    if exit == Exit::Incomplete {
        return Err(Failure::of(path, "not written"));
    }
    let text = admitted::text(admitted);
    if let Some(why) = unreadable(&name(path), text.as_bytes()) {
        let count = admitted.len();
        let why = format!("not written: no tender could read the list of {count} images: {why}");
        return Err(Failure::of(path, why));
    }
    replace::write(path, TYPE, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_no_tender_can_read_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.lock");
        let list = |count: u32| -> BTreeMap<Digest, Admission> {
            let images = (0..count).map(|number| {
                let file = format!("images/image-number-{number}.spt");
                let policies = vec![String::from("node")];
                (Digest::of(&number.to_le_bytes()), Admission { file, policies })
            });
            images.collect()
        };
        write(Some(&path), &list(10), Exit::Clean).unwrap();
        let before = std::fs::read(&path).unwrap();
        let failure = write(Some(&path), &list(20_000), Exit::Clean).unwrap_err().to_string();
        assert!(failure.contains("no tender could read the list of 20000 images"), "{failure}");
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }
}
