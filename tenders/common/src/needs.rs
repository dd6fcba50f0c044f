//! What a version 2 manifest asks of a launch, checked (`docs/reference/manifest.md#requirements`).
//!
//! Each function compares one wish with what there is and names the option that would mend it.
//! Devices that were declined or do not exist are nobody's business here.

use solo5_abi::mft2::Mft2;
use solo5_launch::Launch;

use crate::attach::{Backing, Device};
use crate::error::Error;

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

/// Whether an opened device is as large as the manifest asks.
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
