//! A policy as a value; each part has its place in the source.
//!
//! A section that is present decides its subject completely. In it, a limit or a list that is left
//! out restricts nothing. A switch for something dangerous that is left out says `forbid` (or
//! `require`, for the sandbox).

use std::ops::Range;
use std::sync::Arc;

use solo5_abi::Target;
use solo5_report::{Severity, SourceText};
use solo5_signature::{Digest, PublicKey};

use crate::date::Date;
use crate::glob::Pattern;
use solo5_launch::Access;

/// A value and its range in bytes in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place; that of the section's key if the value is a default.
    pub span: Range<usize>,
}

/// Where a policy comes from. If one of the host's applies, those of the launch can only deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The host: its folder of policies.
    Host,
    /// The launch: `--policy`.
    Launch,
}

/// A checked policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name in reasons: `name`, else that of its file without the ending.
    pub name: String,
    /// Where it comes from.
    pub layer: Layer,
    /// Its text, which every span refers to.
    pub source: Arc<SourceText>,
    /// When the policy applies.
    pub selector: Selector,
    /// The place of `otherwise: allow`, which makes every absent section a yes.
    pub otherwise_allow: Option<Range<usize>>,
    /// `image`
    pub image: Option<Image>,
    /// `process`
    pub process: Option<Process>,
    /// `memory`
    pub memory: Option<Memory>,
    /// `arguments`
    pub arguments: Option<Arguments>,
    /// `net`
    pub net: Option<Devices<NetRule>>,
    /// `block`
    pub block: Option<Devices<BlockRule>>,
    /// `debug`
    pub debug: Option<Debug>,
    /// `admitted`: a file that lists the images that may run.
    pub admitted: Option<At<String>>,
    /// `audit`, which only tools evaluate.
    pub audit: Option<Audit>,
}

impl Policy {
    /// Whether the section called `section` has `switch` without setting it. The switch then has the
    /// place of the section's key.
    pub fn leaves_out(&self, section: &str, switch: &At<bool>) -> bool {
        let written = self.source.text.get(switch.span.clone());
        written.map(|word| word.trim_matches(['"', '\''])) == Some(section)
    }
}

/// `match`: all of it must hold for the policy to apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Its place; empty if there is no `match`.
    pub span: Range<usize>,
    /// Labels, which the launcher chooses freely.
    pub labels: Vec<LabelRule>,
    /// What is proven of the image.
    pub proofs: Proofs,
}

/// What must be proven of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    /// Digests, one of which it must have.
    pub digests: Option<At<Vec<Digest>>>,
    /// Keys, one of which must have signed it.
    pub signed_by: Option<At<Vec<PublicKey>>>,
}

impl Proofs {
    /// Whether nothing has to be proven.
    pub fn is_empty(&self) -> bool {
        self.digests.is_none() && self.signed_by.is_none()
    }
}

/// A label a policy asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// Its key.
    pub key: String,
    /// The pattern that its value must fit.
    pub value: Pattern,
    /// The key's place.
    pub span: Range<usize>,
}

/// What images may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Targets, one of which it must be for.
    pub targets: Option<At<Vec<Target>>>,
    /// Least version of its manifest.
    pub minimum_manifest: Option<At<u64>>,
    /// What must be proven of it.
    pub proofs: Proofs,
    /// The section's key.
    pub span: Range<usize>,
}

/// How a tender may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Whether it may run as root.
    pub root_allowed: At<bool>,
    /// Whether it must be confined by the host.
    pub sandbox_required: At<bool>,
}

/// What memory a guest may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Most bytes.
    pub maximum: Option<At<u64>>,
    /// Whether its heap may be executable.
    pub executable_heap_allowed: At<bool>,
    /// The section's key.
    pub span: Range<usize>,
}

/// What arguments a guest may get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Most bytes of its command line.
    pub maximum_length: Option<At<u64>>,
    /// Patterns, one of which each word must fit.
    pub allow: Option<At<Vec<At<Pattern>>>>,
    /// The section's key.
    pub span: Range<usize>,
}

/// What devices of one type a guest may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices<Rule> {
    /// Most devices.
    pub maximum: Option<At<u64>>,
    /// Rules, one of which each device must fit entirely.
    pub allow: Option<At<Vec<At<Rule>>>>,
    /// The section's key.
    pub span: Range<usize>,
}

/// The value of `bridge` for a tap that is on no bridge, in rules and in tests of policies.
pub const NO_BRIDGE: &str = "none";

/// A network interface that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetRule {
    /// Its name in the manifest.
    pub name: At<Pattern>,
    /// The name of the tap.
    pub interface: Option<At<Pattern>>,
    /// The name of the bridge the tap is on; [`NO_BRIDGE`] if it must be on none.
    pub bridge: Option<At<Pattern>>,
    /// Its address, in lower case with two digits a field.
    pub mac: Option<At<Pattern>>,
    /// The interface must be a descriptor that the launcher has opened.
    pub descriptor: Option<At<()>>,
}

/// A block device that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRule {
    /// Its name in the manifest.
    pub name: At<Pattern>,
    /// What is behind the device.
    pub backing: Option<At<BackingRule>>,
    /// The widest access.
    pub access: Option<At<Access>>,
    /// Most bytes.
    pub capacity_maximum: Option<At<u64>>,
    /// Sector sizes in bytes, one of which it must have.
    pub sector_sizes: Option<At<Vec<u64>>>,
}

/// What a block device may be on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackingRule {
    /// A regular file below this folder: absolute, without `.`, `..`, or a `/` at its end.
    FileUnder(String),
    /// A block device whose name below `/dev` fits.
    Device(Pattern),
    /// A descriptor that the launcher has opened, of any file.
    Descriptor,
}

/// What debugging is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debug {
    /// Whether gdb may be attached.
    pub gdb_allowed: At<bool>,
    /// Whether the guest's memory may be dumped.
    pub dumpcore_allowed: At<bool>,
}

/// What an audit of an image may find if the image is to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The least severity of a finding that leads to a denial.
    pub fail_on: At<Severity>,
    /// Findings that are accepted for a time.
    pub waive: Vec<At<Waiver>>,
}

/// A finding that is accepted for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiver {
    /// The start of the findings' codes.
    pub rule: String,
    /// The images that it is accepted for.
    pub images: Vec<Digest>,
    /// Why.
    pub reason: String,
    /// The last day on which it is accepted.
    pub until: Date,
}
