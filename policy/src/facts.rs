//! What a launch asks for, and the facts of the host.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use solo5_abi::Target;
use solo5_abi::mft2::Mft2;
use solo5_signature::Proof;

use solo5_launch::Launch;

/// Everything a launch of an image asks for. Known before anything is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The launch itself, the same value from which the tender attaches devices.
    pub launch: Launch,
    /// The image's target.
    pub target: Target,
    /// What is proven of the image's content; `None` if it was not examined. A caller that sets this
    /// must have read all other fields from that same content.
    pub proof: Option<Proof>,
    /// Version of its manifest: 2 if it has properties, else 1.
    pub manifest_version: u64,
    /// Guest memory in bytes, as the guest gets it.
    pub memory: u64,
    /// Who asks for an executable heap; `None` if neither option nor manifest does.
    pub executable_heap: Option<HeapAsker>,
    /// The words of the guest's command line, as the guest will split it.
    pub arguments: Vec<OsString>,
}

/// Who asks for an executable heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeapAsker {
    /// `--x-exec-heap`
    Option,
    /// The manifest.
    Manifest,
}

impl Asked {
    /// What `launch` asks for an image of `target` with these properties.
    pub fn new(launch: Launch, target: Target, properties: Option<&Mft2<'_>>) -> Asked {
        let by_manifest = properties.is_some_and(Mft2::executable_heap);
        let executable_heap = if launch.exec_heap {
            Some(HeapAsker::Option)
        } else {
            by_manifest.then_some(HeapAsker::Manifest)
        };
        Asked {
            target,
            proof: None,
            manifest_version: if properties.is_some() { 2 } else { 1 },
            // A launch with too much memory is refused before policies are asked.
            memory: launch.guest_memory(target).unwrap_or_else(|too_much| too_much.bytes),
            executable_heap,
            arguments: words(&launch.arguments),
            launch,
        }
    }
}

/// The words of a command line. Arguments reach the guest as one line, which it splits at white space.
/// So `"--name=x --ipv4=…"` in one argument is two words, not one name.
fn words(arguments: &[OsString]) -> Vec<OsString> {
    arguments
        .iter()
        .flat_map(|argument| argument.as_bytes().split(|byte| is_space(*byte)))
        .filter(|word| !word.is_empty())
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect()
}

/// Whether C's `isspace` holds, which also takes the vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// A fact of the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fact<T> {
    /// The host says this.
    Known(T),
    /// The host was not asked yet.
    #[default]
    Unknown,
    /// The host was asked and gave no answer, for this reason.
    Unreadable(String),
}

/// The facts of the host for one launch. By default nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Whether the tender runs as root: one of its users is.
    pub root: Fact<bool>,
    /// Whether the host has everything that the tender confines itself with.
    pub sandbox: Fact<bool>,
    /// What the host lacks for that, for people.
    pub lacking: Vec<String>,
    /// For each of [`crate::admission_lists`], whether the image is in it.
    pub admitted: BTreeMap<String, Fact<bool>>,
    /// Facts of the nets of [`Asked::launch`], in that order; a missing entry is unknown.
    pub nets: Vec<NetFacts>,
    /// Facts of the blocks of [`Asked::launch`], in that order; a missing entry is unknown.
    pub blocks: Vec<BlockFacts>,
}

/// What the host says of an attached network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetFacts {
    /// The tap's name, as `TUNGETIFF` on its descriptor says.
    pub tap: Fact<OsString>,
    /// The bridge that is the tap's master, if any.
    pub bridge: Fact<Option<OsString>>,
}

/// What the host says of an opened block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockFacts {
    /// What it is.
    pub kind: Fact<BlockKind>,
    /// The folders among [`crate::directories`] from which the file was reached without leaving the
    /// folder.
    pub beneath: Fact<Vec<String>>,
    /// Its capacity in bytes.
    pub capacity: Fact<u64>,
}

/// What kind of file is behind a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockKind {
    /// A regular file.
    File,
    /// A block device.
    Device,
    /// Anything else.
    Other,
}

impl BlockKind {
    /// The words for it in reasons.
    pub const fn name(self) -> &'static str {
        match self {
            BlockKind::File => "a regular file",
            BlockKind::Device => "a block device",
            BlockKind::Other => "neither file nor block device",
        }
    }
}
