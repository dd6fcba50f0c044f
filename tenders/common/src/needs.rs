//! Checks the requirements of a version 2 manifest (`docs/reference/manifest.md#requirements`).
//!
//! Each check compares one requirement with the launch, and its error names the option that mends
//! it. Declined and undeclared devices are not checked here.

use solo5_abi::Target;
use solo5_abi::mft2::Mft2;
use solo5_launch::Launch;

use crate::attach::{Backing, Device};
use crate::error::Error;

/// Checks the requirements of the unikernel itself, for a launch with `have` bytes of memory.
pub fn check_unikernel(
    launch: &Launch,
    target: Target,
    have: u64,
    properties: Option<&Mft2<'_>>,
) -> Result<(), Error> {
    let Some(properties) = properties else {
        return Ok(());
    };
    if let Some(least) = properties.memory_minimum().filter(|least| have < *least) {
        let enough_mib = launch.enough_memory_mib(target, least);
        return Err(Error::Memory { have, least, enough_mib });
    }
    if properties.executable_heap() && !launch.exec_heap {
        return Err(Error::ExecHeap);
    }
    for block in &launch.blocks {
        if let Some(exact) =
            block.sector_size_exact.filter(|exact| *exact != u32::from(block.sector_size.bytes()))
        {
            let (name, have) = (block.name.clone(), block.sector_size);
            return Err(Error::SectorSize { name, have, exact });
        }
    }
    Ok(())
}

/// Checks an opened device against the minimum that the manifest requires.
pub fn check_device(device: &Device) -> Result<(), Error> {
    let name = || device.name.clone();
    match device.backing {
        Backing::Net { mtu: have, mtu_minimum, .. } => match mtu_minimum {
            Some(least) if u32::from(have.bytes()) < least => {
                Err(Error::MtuMinimum { name: name(), have, least })
            }
            _ => Ok(()),
        },
        Backing::Block { capacity: have, capacity_minimum, .. } => match capacity_minimum {
            Some(least) if have < least => {
                Err(Error::CapacityMinimum { name: name(), have, least })
            }
            _ => Ok(()),
        },
    }
}
