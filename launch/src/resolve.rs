//! Devices as options name them, resolved against a manifest. Each is looked up once.

use solo5_abi::device::SectorSize;
use solo5_abi::mft1::{DeviceType, Mft1};
use solo5_abi::mft2::Mft2;

use super::{Access, Backing, Block, Interface, Launch, Mac, Net, OptionError};

/// The devices to attach, in argument order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) nets: Vec<NetWish>,
    pub(super) blocks: Vec<BlockWish>,
}

/// A network interface that options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NetWish {
    pub(super) name: String,
    pub(super) interface: Interface,
    pub(super) mac: Option<Mac>,
}

/// A block device that options ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockWish {
    pub(super) name: String,
    pub(super) backing: Backing,
    pub(super) sector_size: Option<SectorSize>,
    pub(super) access: Access,
}

/// Upstream's text on a device that the manifest does not have.
pub(super) fn undeclared(name: &str) -> String {
    format!("Resource not declared in manifest: '{name}'")
}

impl Wishes {
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
        let nets = self.nets.into_iter().map(|NetWish { name, interface, mac }| {
            let (index, declared) = declared(DeviceType::NetBasic, &name)?;
            Ok(Net { index, name, interface, mac, mtu_minimum: declared.mtu_minimum })
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
