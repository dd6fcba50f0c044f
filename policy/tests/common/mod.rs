//! What tests of decisions share: a launch described in a few words.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;
use solo5_abi::mft1::{DeviceType, Entry, Mft1, PADDING};
use solo5_abi::mft2::{self, Mft2, tag};
use solo5_abi::target::Target;
use solo5_launch::{self as launch, Modules};
use solo5_policy::{Asked, BlockFacts, BlockKind, Fact, HostFacts, NetFacts};
use solo5_signature::{Digest, Proof, PublicKey};
use zerocopy::IntoBytes;

/// A launch and what the host says of it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct Launch {
    /// The image's target; absent: spt.
    pub(crate) target: Option<String>,
    /// Devices of the manifest, such as `block storage read-only optional sector-size=4096`.
    pub(crate) devices: Vec<String>,
    /// Whether the manifest has version 2 even if no device needs it.
    pub(crate) properties: bool,
    /// Whether the manifest asks for an executable heap.
    pub(crate) executable_heap: bool,
    /// The image's content; absent: it is not examined.
    pub(crate) content: Option<String>,
    /// The keys that signed it.
    pub(crate) signed_by: Vec<String>,
    /// Options, separated by blanks.
    pub(crate) options: String,
    /// The guest's arguments.
    pub(crate) arguments: Vec<String>,
    /// What the host says. `?` is a fact not known, `!WHY` one that cannot be read.
    pub(crate) facts: Facts,
}

/// What the host says.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Facts {
    pub(crate) root: Option<String>,
    pub(crate) sandbox: Option<String>,
    pub(crate) admitted: BTreeMap<String, String>,
    pub(crate) nets: Vec<Net>,
    pub(crate) blocks: Vec<Block>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Net {
    pub(crate) tap: Option<String>,
    pub(crate) bridge: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Block {
    pub(crate) kind: Option<String>,
    pub(crate) beneath: Option<String>,
    pub(crate) capacity: Option<String>,
}

fn fact<T>(text: Option<&str>, value: impl FnOnce(&str) -> T) -> Fact<T> {
    match text {
        None | Some("?") => Fact::Unknown,
        Some(text) => match text.strip_prefix('!') {
            Some(why) => Fact::Unreadable(why.to_owned()),
            None => Fact::Known(value(text)),
        },
    }
}

fn yes(text: &str) -> bool {
    match text {
        "yes" => true,
        "no" => false,
        _ => panic!("{text:?} is neither yes nor no"),
    }
}

impl Launch {
    /// What is asked for.
    pub(crate) fn asked(&self) -> Asked {
        let target = Target::from_name(self.target.as_deref().unwrap_or("spt")).expect("a target");
        let (mft1, mft2) = self.notes();
        let mft1 = Mft1::parse(&mft1).expect("a manifest");
        let mft2 = mft2.as_deref().map(|note| Mft2::parse(note, &mft1).expect("properties"));
        let mut words: Vec<OsString> = self.options.split_whitespace().map(Into::into).collect();
        words.push("kernel".into());
        words.extend(self.arguments.iter().map(Into::into));
        let request = launch::read(&words, &Modules::debug(target)).expect("a kernel");
        let launch = request.check(&mft1, mft2.as_ref()).expect("sound options");
        assert_eq!(launch.unattached(&mft1), Vec::<String>::new());
        let mut asked = Asked::new(launch, target, mft2.as_ref());
        asked.proof = self.content.as_ref().map(|content| Proof {
            digest: Digest::of(content.as_bytes()),
            signed_by: self
                .signed_by
                .iter()
                .map(|key| PublicKey::parse(key).expect("a key"))
                .collect(),
            unread: None,
        });
        asked
    }

    fn notes(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut entries = vec![Entry::RESERVED];
        let mut records = Vec::new();
        if self.executable_heap {
            records.push((0, tag::FLAGS, mft2::FLAG_EXECUTABLE_HEAP));
        }
        for (device, index) in self.devices.iter().zip(1..) {
            let mut words = device.split_whitespace();
            let kind = match words.next() {
                Some("net") => DeviceType::NetBasic,
                Some("block") => DeviceType::BlockBasic,
                other => panic!("{other:?} is no device type"),
            };
            entries.push(Entry::device(words.next().expect("a name"), kind).expect("a device"));
            let mut flags = 0;
            let mut sector_size = None;
            for word in words {
                match word.split_once('=') {
                    None if word == "optional" => flags |= mft2::DEVICE_OPTIONAL,
                    None if word == "read-only" => flags |= mft2::DEVICE_READ_ONLY,
                    Some(("sector-size", size)) => sector_size = size.parse().ok(),
                    _ => panic!("{word:?} is no property"),
                }
            }
            if flags != 0 {
                records.push((index, tag::DEVICE_FLAGS, flags));
            }
            records.extend(sector_size.map(|size| (index, tag::SECTOR_SIZE, size)));
        }
        let mut mft1 = vec![0; PADDING];
        mft1.extend(1u32.to_le_bytes());
        mft1.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        mft1.extend(entries.as_bytes());
        let version_2 = self.properties || !records.is_empty();
        let mft2 = version_2.then(|| {
            let mut note = vec![0; mft2::DESCRIPTOR_MAX];
            let mut writer = mft2::Writer::new(&mut note, entries.len()).unwrap();
            for (device, tag, value) in records {
                writer.push(device, tag, &value.to_le_bytes()).expect("a record");
            }
            let length = writer.finish();
            note.truncate(length);
            note
        });
        (mft1, mft2)
    }

    /// What the host says. A tender always knows how it runs itself, so by default it does not run as
    /// root and has a sandbox.
    pub(crate) fn facts(&self) -> HostFacts {
        let facts = &self.facts;
        let nets = facts.nets.iter().map(|net| NetFacts {
            tap: fact(net.tap.as_deref(), |name| name.into()),
            bridge: fact(net.bridge.as_deref(), |name| (name != "none").then(|| name.into())),
        });
        let blocks = facts.blocks.iter().map(|block| BlockFacts {
            kind: fact(block.kind.as_deref(), |kind| match kind {
                "file" => BlockKind::File,
                "device" => BlockKind::Device,
                _ => BlockKind::Other,
            }),
            beneath: fact(block.beneath.as_deref(), |folders| {
                folders.split_whitespace().map(str::to_owned).collect()
            }),
            capacity: fact(block.capacity.as_deref(), |size| {
                solo5_source::size::parse(size).expect("a size")
            }),
        });
        HostFacts {
            root: fact(facts.root.as_deref().or(Some("no")), yes),
            sandbox: fact(facts.sandbox.as_deref().or(Some("yes")), yes),
            lacking: Vec::new(),
            admitted: facts
                .admitted
                .iter()
                .map(|(path, answer)| (path.clone(), fact(Some(answer), yes)))
                .collect(),
            nets: nets.collect(),
            blocks: blocks.collect(),
        }
    }
}
