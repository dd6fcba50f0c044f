//! Tests of policies: a file of cases. A case is a launch and the decision that is expected.
//!
//! [`read`] is the front end: bytes → checked [`Suite`], or every error in them at once. The caller reads
//! the files that a suite names. The keys read here are those of [`crate::schema`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use solo5_abi::Target;
use solo5_abi::mft1::is_name;
use solo5_report::{Diagnostic, SourceText};
use solo5_signature::Proof;
use solo5_source::reader::{excerpt, list};
use solo5_source::{Fields, Kind, Node, Pair, Reader};

use crate::codes;
use solo5_policy::date::Date;
use solo5_policy::decision::Outcome;
use solo5_policy::facts::{BlockFacts, BlockKind, Fact, NetFacts};
use solo5_policy::fields::{
    at, date, digest, header, is_plain_path, one_or_many, path, public_key,
};
use solo5_policy::model::{At, NO_BRIDGE};

/// `type` of such a file.
pub const TYPE: &str = "solo5.policy-test";
/// Its one version.
pub const VERSION: u64 = 1;

/// Cases for policies that are used together.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Its text, which every span refers to.
    pub source: Arc<SourceText>,
    /// Paths of the policies, relative to the suite's folder.
    pub policies: Vec<At<String>>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A launch and the decision that is expected.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it shows.
    pub name: At<String>,
    /// What is launched.
    pub subject: Subject,
    /// Options of the tender.
    pub options: At<Vec<String>>,
    /// Arguments of the guest.
    pub arguments: Vec<String>,
    /// The day that waivers are compared with; `None` is today.
    pub today: Option<Date>,
    /// What the host says.
    pub host: Host,
    /// The decision that is expected.
    pub decision: At<Outcome>,
    /// The codes of the reasons for a denial, each once; for any other decision none.
    pub codes: At<Vec<&'static str>>,
}

/// What is launched.
#[derive(Clone, Debug)]
pub enum Subject {
    /// An image.
    Image(At<String>),
    /// A manifest; its image need not exist.
    Manifest {
        /// Path of the manifest's source.
        path: At<String>,
        /// The target the image would be for.
        target: Target,
        /// What is proven of the image; `None` if its content is not examined.
        proof: Option<Proof>,
        /// Codes of findings of an audit.
        findings: Vec<At<String>>,
    },
}

/// Facts of the host. By default the tender does not run as root and has its sandbox, and nothing is
/// known about devices.
#[derive(Clone, Debug)]
pub struct Host {
    /// Whether the tender runs as root.
    pub root: Fact<bool>,
    /// Whether the host can confine it.
    pub sandbox: Fact<bool>,
    /// For each list of admitted images, by path: whether the image is in it.
    pub admitted: BTreeMap<String, Fact<bool>>,
    /// Facts of network interfaces, by the device's name and with its place.
    pub nets: Vec<(At<String>, NetFacts)>,
    /// Facts of block devices.
    pub blocks: Vec<(At<String>, BlockFacts)>,
}

impl Default for Host {
    fn default() -> Host {
        Host {
            root: Fact::Known(false),
            sandbox: Fact::Known(true),
            admitted: BTreeMap::new(),
            nets: Vec::new(),
            blocks: Vec::new(),
        }
    }
}

/// Reads `bytes`, which are called `name` in diagnostics, as tests of policies.
///
/// # Errors
///
/// Everything wrong with it, in order of position.
pub fn read(name: &str, bytes: &[u8]) -> Result<Suite, Vec<Diagnostic>> {
    let (document, mut reader) = solo5_source::read(name, bytes)?;
    let suite = suite(&document.root, &mut reader);
    reader.checked(suite)
}

fn suite(root: &Node, reader: &mut Reader) -> Option<Suite> {
    let mut fields = reader.fields(root, "a file of policy tests")?;
    let what = ["a file of policy tests", "policy tests"];
    header(&mut fields, reader, TYPE, VERSION, what);
    let policies = fields.required("policies").map(|node| {
        let paths =
            one_or_many(node, reader, |item, reader| path(item, "a policy", codes::CASE, reader));
        refuse_empty(node, "`policies`", "name the policies to test", reader);
        paths
    });
    let mut cases = Vec::new();
    if let Some(node) = fields.required("cases") {
        for item in reader.items(node, "`cases`").unwrap_or_default() {
            cases.extend(case(item, reader));
        }
        refuse_empty(node, "`cases`", "write a case, with a `name`", reader);
    }
    let source = reader.source().clone();
    fields.finish(reader);
    Some(Suite { source, policies: policies?, cases })
}

/// Refuses an empty list.
fn refuse_empty(node: &Node, what: &str, help: &str, reader: &mut Reader) {
    if matches!(&node.kind, Kind::Sequence(items) if items.is_empty()) {
        let message = format!("{what} says nothing");
        reader.error(codes::EMPTY, node.span.clone(), message, "", help);
    }
}

fn texts(fields: &mut Fields<'_>, key: &'static str, reader: &mut Reader) -> Vec<String> {
    let Some(node) = fields.optional(key) else {
        return Vec::new();
    };
    let items = reader.items(node, &format!("`{key}`")).unwrap_or_default();
    let texts = items.iter().filter_map(|item| reader.text(item, "an item").map(str::to_owned));
    texts.collect()
}

fn case(node: &Node, reader: &mut Reader) -> Option<Case> {
    let mut fields = reader.fields(node, "a case")?;
    let name = fields.required("name").and_then(|node| {
        let name = reader.text(node, "`name`")?;
        Some(at(node, name.to_owned()))
    });
    let subject = subject(&mut fields, reader);
    let options = fields.pair("options").map(|(key, _)| key.span.clone());
    let options = At {
        value: texts(&mut fields, "options", reader),
        span: options.unwrap_or_else(|| fields.head()),
    };
    let arguments = texts(&mut fields, "arguments", reader);
    let today = fields.optional("today").and_then(|node| {
        let text = reader.text(node, "`today`")?;
        date(node, text, reader)
    });
    let host = fields.optional("host").map(|node| host(node, reader));
    let outcomes = [
        ("allowed", Outcome::Allowed),
        ("conditional", Outcome::Conditional),
        ("denied", Outcome::Denied),
    ];
    let decision = fields
        .required("decision")
        .and_then(|node| Some(at(node, reader.choice(node, "`decision`", &outcomes)?)));
    let listed = fields.optional("codes").map(|node| {
        let codes = one_or_many(node, reader, denial);
        at(node, codes)
    });
    if let Some(decision) = &decision {
        let denied = decision.value == Outcome::Denied;
        let any = listed.as_ref().is_some_and(|list| !list.value.is_empty());
        let (message, help) = match (denied, any) {
            (true, false) if listed.is_none() => (
                "without `codes`, a denial for any reason would pass",
                "add them, such as `codes: [P305]`; a failed test shows the right ones",
            ),
            (false, true) => {
                ("only a denial has codes", "remove `codes`, or write `decision: denied`")
            }
            _ => ("", ""),
        };
        if !message.is_empty() {
            reader.error(codes::CASE, decision.span.clone(), message, "", help);
        }
    }
    fields.finish(reader);
    let decision = decision?;
    let codes = listed.unwrap_or_else(|| At { value: Vec::new(), span: decision.span.clone() });
    Some(Case {
        name: name?,
        subject: subject?,
        options,
        arguments,
        today,
        host: host.unwrap_or_default(),
        decision,
        codes,
    })
}

/// A code that a denial can have.
fn denial(node: &Node, reader: &mut Reader) -> Option<&'static str> {
    let text = reader.text(node, "a code")?;
    let known = |code: &&&str| code.starts_with("P3");
    let all = solo5_policy::codes::ALL.iter().chain(codes::ALL);
    let found = all.filter(known).find(|code| **code == text);
    if found.is_none() {
        let message = format!("`{}` is not a code of a denial", excerpt(text));
        let help = "these codes start with P3; `solo5-elftool explain CODE` explains one";
        reader.error(codes::CASE, node.span.clone(), message, "", help);
    }
    found.copied()
}

fn subject(fields: &mut Fields<'_>, reader: &mut Reader) -> Option<Subject> {
    let head = fields.head();
    let image = fields.optional("image");
    let manifest = fields.optional("manifest");
    let target = fields.optional("target");
    let proven = ["digest", "signed-by", "findings"].map(|key| fields.optional(key));
    let (message, help) = match (image, manifest, target) {
        (Some(_), None, _) => {
            // An image contains all of this.
            for node in target.iter().chain(proven.iter().flatten()) {
                let message = "an image has its own target, digest, signatures and findings";
                let help = "remove this, or name a `manifest` in place of the image";
                reader.error(codes::CASE, node.span.clone(), message, "", help);
            }
            return path(image?, "`image`", codes::CASE, reader).map(Subject::Image);
        }
        (None, Some(manifest), Some(target)) => {
            let path = path(manifest, "`manifest`", codes::CASE, reader);
            let target = tender_target(target, reader);
            let [found_digest, signed_by, findings] = proven;
            if let (None, Some(node)) = (found_digest, signed_by) {
                let message = "`signed-by` means nothing without `digest`";
                let help = "add `digest: \"sha256:...\"`: a signature is for one content";
                reader.error(codes::CASE, node.span.clone(), message, "", help);
            }
            let digest = found_digest.and_then(|node| digest(node, reader));
            let signed_by = signed_by.map(|node| one_or_many(node, reader, public_key));
            let findings = findings.map(|node| {
                one_or_many(node, reader, |item, reader| {
                    Some(at(item, reader.text(item, "a finding")?.to_owned()))
                })
            });
            return Some(Subject::Manifest {
                path: path?,
                target: target?,
                proof: digest.map(|digest| Proof {
                    digest,
                    signed_by: signed_by.unwrap_or_default(),
                    unread: None,
                }),
                findings: findings.unwrap_or_default(),
            });
        }
        (None, Some(_), None) => (
            "a case with a manifest needs the target of its image",
            "add `target: spt`, or another one",
        ),
        (Some(_), Some(_), _) => {
            ("a case has an image and a manifest", "remove one: an image contains its manifest")
        }
        (None, None, _) => (
            "a case does not say what is launched",
            "add `manifest: FILE` with `target`, or `image: FILE`",
        ),
    };
    reader.error(codes::CASE, head, message, "", help);
    None
}

/// A target whose images this suite starts. Policies are not asked about images of other targets.
fn tender_target(node: &Node, reader: &mut Reader) -> Option<Target> {
    let (started, others): (Vec<Target>, Vec<Target>) =
        Target::ALL.iter().partition(|target| target.starter().is_some());
    let is =
        |target: &&Target| matches!(&node.kind, Kind::Scalar(found) if found.text == target.name());
    if let Some(other) = others.iter().find(is) {
        let name = other.name();
        let message = format!("no tender starts a {name} image, so no policy is asked");
        let names: Vec<_> = started.iter().map(|target| target.name()).collect();
        let help = format!("write {}", list(&names, "or"));
        reader.error(codes::CASE, node.span.clone(), message, "", help);
        return None;
    }
    let started: Vec<_> = started.iter().map(|target| (target.name(), *target)).collect();
    reader.choice(node, "`target`", &started)
}

fn host(node: &Node, reader: &mut Reader) -> Host {
    let mut host = Host::default();
    let Some(mut fields) = reader.fields(node, "`host`") else {
        return host;
    };
    for (key, place) in [("root", &mut host.root), ("sandbox", &mut host.sandbox)] {
        if let Some(node) = fields.optional(key) {
            let found =
                fact(node, reader, |node, reader| reader.boolean(node, &format!("`{key}`")));
            *place = found.unwrap_or_default();
        }
    }
    for pair in fields.entries("admitted", reader) {
        let path = &pair.key.text;
        if !is_plain_path(path) {
            let message = format!("`{}` is not the plain path of a list", excerpt(path));
            let help = "write it as `admitted` in the policy does, from `/` on";
            reader.error(codes::FILE, pair.key.span.clone(), message, "", help);
        }
        let found = fact(&pair.value, reader, |node, reader| {
            reader.boolean(node, "whether the image is in the list")
        });
        host.admitted.insert(path.clone(), found.unwrap_or_default());
    }
    for pair in fields.entries("net", reader) {
        let (name, facts) = (device(pair, reader), net_facts(&pair.value, reader));
        host.nets.extend(name.zip(facts));
    }
    for pair in fields.entries("block", reader) {
        let (name, facts) = (device(pair, reader), block_facts(&pair.value, reader));
        host.blocks.extend(name.zip(facts));
    }
    fields.finish(reader);
    host
}

/// The key of a pair as a device's name.
pub(crate) fn device(pair: &Pair, reader: &mut Reader) -> Option<At<String>> {
    let (text, span): (_, &Range<usize>) = (&pair.key.text, &pair.key.span);
    if !is_name(text.as_bytes()) {
        let message = format!("`{}` is not a device's name", excerpt(text));
        let help = "write 1 to 67 letters and digits, as in the manifest";
        reader.error(codes::DEVICE_NAME, span.clone(), message, "", help);
        return None;
    }
    Some(At { value: text.clone(), span: span.clone() })
}

/// A fact: its value, or `{ unreadable: WHY }`.
fn fact<T>(
    node: &Node,
    reader: &mut Reader,
    value: impl FnOnce(&Node, &mut Reader) -> Option<T>,
) -> Option<Fact<T>> {
    if !matches!(node.kind, Kind::Mapping(_)) {
        return value(node, reader).map(Fact::Known);
    }
    let mut fields = reader.fields(node, "a fact that cannot be read")?;
    let why = fields.required("unreadable").and_then(|node| reader.text(node, "`unreadable`"));
    fields.finish(reader);
    Some(Fact::Unreadable(why?.to_owned()))
}

/// The fact at `key`; unknown if the key is absent.
fn known<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    reader: &mut Reader,
    value: impl FnOnce(&Node, &mut Reader) -> Option<T>,
) -> Fact<T> {
    let node = fields.optional(key);
    let found = node.and_then(|node| fact(node, reader, value));
    found.unwrap_or_default()
}

fn net_facts(node: &Node, reader: &mut Reader) -> Option<NetFacts> {
    let mut fields = reader.fields(node, "facts of an interface")?;
    let tap = known(&mut fields, "interface", reader, |node, reader| {
        Some(reader.text(node, "`interface`")?.into())
    });
    let bridge = known(&mut fields, "bridge", reader, |node, reader| {
        let name = reader.text(node, "`bridge`")?;
        Some((name != NO_BRIDGE).then(|| name.into()))
    });
    fields.finish(reader);
    Some(NetFacts { tap, bridge })
}

/// The words for kinds of files behind block devices.
pub(crate) const KINDS: [(&str, BlockKind); 3] =
    [("file", BlockKind::File), ("device", BlockKind::Device), ("other", BlockKind::Other)];

fn block_facts(node: &Node, reader: &mut Reader) -> Option<BlockFacts> {
    let mut fields = reader.fields(node, "facts of a block device")?;
    let kind =
        known(&mut fields, "kind", reader, |node, reader| reader.choice(node, "`kind`", &KINDS));
    let beneath = known(&mut fields, "under", reader, |node, reader| {
        let folder =
            |item: &Node, reader: &mut Reader| reader.text(item, "a folder").map(str::to_owned);
        Some(one_or_many(node, reader, folder))
    });
    let capacity =
        known(&mut fields, "capacity", reader, |node, reader| reader.size(node, "`capacity`"));
    fields.finish(reader);
    Some(BlockFacts { kind, beneath, capacity })
}
