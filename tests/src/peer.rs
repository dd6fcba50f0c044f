//! Another installed Solo5, to run our unikernels under and to take unikernels from.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use crate::elf::{self, Image};
use crate::outcome::{Context, Outcome, Stop};
use crate::process;
use crate::tree::Tree;

/// The release whose linker scripts gave TLS and bss segments of their own, and whose loaders skip
/// segments without content (`docs/reference/README.md#versions`).
const OWN_SEGMENTS: Release = Release([0, 8, 0]);

/// The number of a release. The default, which is the least, stands for any release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release([u32; 3]);

impl FromStr for Release {
    type Err = String;

    /// Reads `0.7.4`, or `v0.12.1-3-gdeadbee`.
    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('v').unwrap_or(text);
        let digits = digits.split('-').next().unwrap_or_default();
        let mut numbers = [0; 3];
        let mut parts = digits.split('.');
        for number in &mut numbers {
            let part = parts.next().and_then(|part| part.parse().ok());
            *number = part.ok_or_else(|| format!("`{text}` is not a release"))?;
        }
        match parts.next() {
            None => Ok(Self(numbers)),
            Some(_) => Err(format!("`{text}` is not a release")),
        }
    }
}

/// An installed Solo5 that is not the tree under test.
#[derive(Debug)]
pub struct Peer {
    /// Its programs.
    pub tree: Tree,
    /// The release that it reports.
    pub release: Release,
}

impl Peer {
    /// The Solo5 that `SOLO5_PEER` names, if it is set.
    ///
    /// # Errors
    /// The variable does not name an installed Solo5, or the release cannot be read.
    pub fn named() -> Outcome<Option<Self>> {
        let Some(prefix) = std::env::var_os("SOLO5_PEER") else {
            return Ok(None);
        };
        let tree = Tree::installed(Path::new(&prefix)).ok_or_else(|| {
            let prefix = prefix.display();
            Stop::Fail(format!("SOLO5_PEER names no installed Solo5: {prefix}"))
        })?;
        let mut version = Command::new(tree.program("solo5-spt"));
        version.arg("--version");
        let said = process::succeed(version)?;
        let word = said.split_once("version ").map_or("", |(_, rest)| rest);
        let word = word.split_whitespace().next().unwrap_or_default();
        let release = word.parse().during("SOLO5_PEER")?;
        Ok(Some(Self { tree, release }))
    }

    /// The unikernel `NAME.TARGET` of its own test-suite, where they are installed with it.
    #[must_use]
    pub fn unikernel(&self, name: &str, target: &str) -> PathBuf {
        let file = format!("test_{name}.{target}");
        self.tree.prefix().join("unikernels").join(file)
    }

    /// One of our images in a form that this release's loader accepts: the image itself, or a copy
    /// in `folder` whose program headers say the same in the way of older releases.
    ///
    /// # Errors
    /// The image cannot be read.
    pub fn image(&self, image: &Path, folder: &Path) -> Outcome<PathBuf> {
        if self.release >= OWN_SEGMENTS {
            return Ok(image.to_owned());
        }
        let mut older = Image(std::fs::read(image).during(image.display())?);
        for segment in older.headers_of(elf::PT_LOAD)? {
            // An older loader loads even an empty segment: at address 0, which it then refuses.
            let sizes = [elf::P_FILESZ, elf::P_MEMSZ].map(|size| older.field(segment, size));
            if sizes.into_iter().all(|size| size.is_ok_and(|size| size == 0)) {
                older.set_field(segment, elf::P_TYPE, u64::from(elf::PT_NULL))?;
            }
            // An older loader takes a segment that is only executable for one without rights.
            if older.field(segment, elf::P_FLAGS)? == elf::PF_X {
                older.set_field(segment, elf::P_FLAGS, elf::PF_R | elf::PF_X)?;
            }
        }
        let path = folder.join(image.file_name().unwrap_or_default());
        std::fs::write(&path, older.0)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_in_order() {
        let release = |text: &str| text.parse::<Release>();
        assert_eq!(release("v0.12.1-3-gdeadbee"), release("0.12.1"));
        assert!(release("v0.7.2") < release("0.7.4"));
        assert!(release("0.9.0") < release("0.12.0"));
        assert!(Release::default() <= release("0.0.0").expect("a release"));
        for text in ["", "v1", "0.7", "0.7.x", "0.7.2.1"] {
            assert!(release(text).is_err(), "{text}");
        }
    }
}
