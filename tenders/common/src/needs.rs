//! What a version 2 manifest asks of a launch, checked (design: MFT2 requirements).
//!
//! Each function compares one wish with what there is and names the option that would mend it.
//! Devices that were declined or do not exist are nobody's business here.

use solo5_abi::mft1::{DeviceType, Mft1};
use solo5_abi::mft2::{DeviceProperties, Mft2};
use solo5_launch::{Access, Launch};

use crate::attach::{Backing, Device};
use crate::error::Error;

/// Sector size in bytes when neither the operator nor the manifest says.
pub const SECTOR_SIZE: u16 = 512;

/// Guest memory in bytes that a launch asks for; `u64::MAX` if that does not fit.
pub fn memory(launch: &Launch) -> u64 {
    launch.memory_mib.saturating_mul(1 << 20)
}

/// Whether the unikernel itself can run as the launch wants it to, in `have` bytes of memory.
pub fn check_unikernel(
    launch: &Launch,
    have: u64,
    properties: Option<&Mft2<'_>>,
) -> Result<(), Error> {
    let Some(properties) = properties else {
        return Ok(());
    };
    if let Some(least) = properties.memory_minimum().filter(|least| have < *least) {
        return Err(Error::Memory { have, least });
    }
    if properties.executable_heap() && !launch.exec_heap {
        return Err(Error::ExecHeap);
    }
    Ok(())
}

/// The index and properties of a device that the launch attaches. Options were compared with the
/// manifest before, so it is declared; `None` otherwise.
pub fn declared<'m>(
    manifest: &Mft1<'m>,
    properties: Option<&Mft2<'m>>,
    kind: DeviceType,
    name: &str,
) -> Option<(usize, DeviceProperties<'m>)> {
    let (index, _) = manifest.find(name, kind)?;
    let properties = properties.map(|all| all.device(index));
    Some((index, properties.unwrap_or_default()))
}

/// The sector size a block device gets: what the launch says, else the manifest, else
/// [`SECTOR_SIZE`].
pub fn sector_size(
    name: &str,
    asked: Option<u16>,
    properties: &DeviceProperties<'_>,
) -> Result<u16, Error> {
    let Some(exact) = properties.sector_size else {
        return Ok(asked.unwrap_or(SECTOR_SIZE));
    };
    let offered = u16::try_from(exact).ok();
    let offered = offered.filter(|size| *size >= 512 && size.is_power_of_two());
    match (asked, offered) {
        (None, Some(exact)) => Ok(exact),
        (Some(asked), Some(exact)) if asked == exact => Ok(exact),
        (asked, _) => Err(Error::SectorSize {
            name: name.to_owned(),
            have: asked.unwrap_or(SECTOR_SIZE),
            exact,
        }),
    }
}

/// The access a block device gets: the lesser of what the launch and the manifest say.
pub fn access(asked: Access, properties: &DeviceProperties<'_>) -> Access {
    if properties.read_only { Access::ReadOnly } else { asked }
}

/// Whether an opened device is as large as the manifest asks.
pub fn check_device(device: &Device, properties: &DeviceProperties<'_>) -> Result<(), Error> {
    let name = || device.name.clone();
    match device.backing {
        Backing::Net { mtu: have, .. } => match properties.mtu_minimum {
            Some(least) if u32::from(have) < least => {
                Err(Error::MtuMinimum { name: name(), have, least })
            }
            _ => Ok(()),
        },
        Backing::Block { capacity: have, .. } => match properties.capacity_minimum {
            Some(least) if have < least => {
                Err(Error::CapacityMinimum { name: name(), have, least })
            }
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_sector_size_is_the_default_and_the_only_one() {
        let with = |sector_size| DeviceProperties { sector_size, ..DeviceProperties::default() };
        assert_eq!(sector_size("s", None, &with(None)), Ok(512));
        assert_eq!(sector_size("s", Some(4096), &with(None)), Ok(4096));
        assert_eq!(sector_size("s", None, &with(Some(4096))), Ok(4096));
        assert_eq!(sector_size("s", Some(4096), &with(Some(4096))), Ok(4096));
        for (asked, exact) in [(Some(512), 4096), (None, 65536), (None, 0), (None, 520)] {
            let error = sector_size("s", asked, &with(Some(exact))).unwrap_err();
            assert_eq!(error.code(), "T433", "{asked:?} {exact}");
        }
    }

    #[test]
    fn the_lesser_access_wins() {
        let with = |read_only| DeviceProperties { read_only, ..DeviceProperties::default() };
        assert_eq!(access(Access::ReadWrite, &with(false)), Access::ReadWrite);
        assert_eq!(access(Access::ReadWrite, &with(true)), Access::ReadOnly);
        assert_eq!(access(Access::ReadOnly, &with(false)), Access::ReadOnly);
    }
}
