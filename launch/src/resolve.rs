//! Devices as options name them, resolved against a manifest. Each is looked up once.

use std::collections::BTreeMap;
use std::ffi::OsString;

use solo5_abi::device::{Mtu, SectorSize};
use solo5_abi::mft1::{DeviceType, Mft1};
use solo5_abi::mft2::Mft2;
use solo5_report::os_text;

use super::devices::{attaching, undeclared};
use super::error::OptionError;
use super::launch::{Access, Backing, Block, Interface, Launch, Net};
use super::value::Mac;

/// Settings of devices, by the device's name. One may precede or follow the option that attaches the
/// device; the last one of a kind wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) macs: BTreeMap<String, Option<Mac>>,
    pub(super) sector_sizes: BTreeMap<String, SectorSize>,
    pub(super) accesses: BTreeMap<String, Access>,
}

/// The devices to attach, in argument order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) nets: Vec<NetWish>,
    pub(super) blocks: Vec<BlockWish>,
    /// The devices whose place among the options decides which one of the manifest they are.
    pub(super) placed: Vec<Placed>,
    /// Settings by name, for the devices that have none yet.
    pub(super) settings: Settings,
}

/// A device to attach as the next one of the manifest that no option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) argument: usize,
    pub(super) option: OsString,
    pub(super) what: Attachment,
}

/// The host's side of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attachment {
    /// An interface, and the MTU to announce.
    Net(Interface, Option<Mtu>),
    Block(Backing),
}

impl Attachment {
    fn kind(&self) -> DeviceType {
        match self {
            Attachment::Net(..) => DeviceType::NetBasic,
            Attachment::Block(_) => DeviceType::BlockBasic,
        }
    }
}

/// A network interface that options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetWish {
    pub(super) name: String,
    pub(super) interface: Interface,
    pub(super) mac: Option<Mac>,
    pub(super) mtu: Option<Mtu>,
}

/// A block device that options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockWish {
    pub(super) name: String,
    pub(super) backing: Backing,
    pub(super) sector_size: Option<SectorSize>,
    pub(super) access: Access,
}

impl Wishes {
    /// Gives each device without a name that of the next device of the manifest that no option names,
    /// as Solo5 0.12 attaches devices by their order.
    pub(super) fn placed(
        mut self,
        launch: &Launch,
        manifest: &Mft1<'_>,
    ) -> Result<Wishes, OptionError> {
        let placed = std::mem::take(&mut self.placed);
        let is_named = |kind, name: &str| match kind {
            DeviceType::NetBasic => {
                self.nets.iter().any(|net| net.name == name)
                    || launch.without_nets.iter().any(|net| net == name)
            }
            DeviceType::BlockBasic => {
                self.blocks.iter().any(|block| block.name == name)
                    || launch.without_blocks.iter().any(|block| block == name)
            }
        };
        let free: Vec<_> = manifest
            .devices()
            .filter_map(|(index, entry)| Some((index, entry.kind()?, entry.name())))
            .filter(|(_, kind, name)| !is_named(*kind, name))
            .collect();
        let mut free = free.into_iter();
        for Placed { argument, option, what } in placed {
            let wrong = |why: String, advice: String| {
                OptionError::invalid(argument, &option, Some(why), Some(advice))
            };
            let Some((index, kind, name)) = free.next() else {
                let option = os_text(&option).into_owned();
                let why = "The manifest declares no further device".to_owned();
                return Err(wrong(why, format!("leave {option} out")));
            };
            if kind != what.kind() {
                let why = format!("Device {index} of the manifest, '{name}', is {}", kind.name());
                let advice = format!(
                    "give the devices in the order of the manifest, or by name: --{}",
                    attaching(kind, name)
                );
                return Err(wrong(why, advice));
            }
            let name = name.to_owned();
            match what {
                Attachment::Net(interface, mtu) => {
                    self.nets.push(NetWish { name, interface, mac: None, mtu });
                }
                Attachment::Block(backing) => self.blocks.push(BlockWish {
                    name,
                    backing,
                    sector_size: None,
                    access: Access::ReadWrite,
                }),
            }
        }
        self.settle();
        Ok(self)
    }

    /// Applies settings to the devices that are attached; there may be thousands of both.
    pub(super) fn settle(&mut self) {
        let Wishes { nets, blocks, settings, .. } = self;
        // As upstream: a setting does not attach a device.
        for net in nets {
            net.mac = settings.macs.get(&net.name).copied().flatten();
        }
        for block in blocks {
            block.sector_size = settings.sector_sizes.get(&block.name).copied();
            block.access = settings.accesses.get(&block.name).copied().unwrap_or(block.access);
        }
    }

    /// Returns `launch` with the devices as they will be attached.
    pub(super) fn resolve(
        self,
        launch: Launch,
        manifest: &Mft1<'_>,
        properties: Option<&Mft2<'_>>,
    ) -> Result<Launch, OptionError> {
        let declared = |kind, name: &str| {
            let (index, _) = manifest.find(name, kind).ok_or_else(|| OptionError {
                argument: 0,
                lines: vec![undeclared(name)],
                usage: false,
                advice: None,
            })?;
            let declared = properties.map(|all| all.device(index)).unwrap_or_default();
            Ok((index, declared))
        };
        let nets = self.nets.into_iter().map(|NetWish { name, interface, mac, mtu }| {
            let (index, declared) = declared(DeviceType::NetBasic, &name)?;
            Ok(Net { index, name, interface, mac, mtu_minimum: declared.mtu_minimum, mtu })
        });
        let blocks = self.blocks.into_iter().map(|wish| {
            let BlockWish { name, backing, sector_size, access } = wish;
            let (index, declared) = declared(DeviceType::BlockBasic, &name)?;
            let exact = declared.sector_size.and_then(|size| SectorSize::new(size.into()));
            Ok(Block {
                index,
                name,
                backing,
                access: if declared.read_only { Access::ReadOnly } else { access },
                sector_size: sector_size.or(exact).unwrap_or(SectorSize::DEFAULT),
                sector_size_exact: declared.sector_size,
                capacity_minimum: declared.capacity_minimum,
                flush: declared.flush,
            })
        });
        let (nets, blocks) = (nets.collect::<Result<_, _>>()?, blocks.collect::<Result<_, _>>()?);
        Ok(Launch { nets, blocks, ..launch })
    }
}
