//! Transfers sectors between a guest and its files and block devices
//! (`docs/reference/hvt.md#block`).
//!
//! As in upstream, any range within the device is served; the bindings make sure that it is one
//! sector. An error of the host becomes an error for the guest; upstream's tender dies of it.

use solo5_abi::hvt::{Block, Hypercall, Outcome};
use solo5_tender::attach::Access;
use solo5_tender::memory::Allegation;

use crate::devices::{Devices, retry};
use crate::fault::GuestFault;
use crate::memory::{Piece, SharedMemory, Use};

/// Transfers the range that `ask` names. To the guest it succeeds as a whole or fails.
///
/// `Invalid`: there is no such device, or the range is not wholly within it. `Unspecified`: the
/// host's call fails, or the device is read-only (`docs/reference/guest-api.md#block`).
pub fn transfer(
    devices: &Devices,
    memory: &SharedMemory,
    kind: Hypercall,
    ask: &Block,
) -> Result<Outcome, GuestFault> {
    let write = kind == Hypercall::BlockWrite;
    let Some(block) = devices.block(ask.handle.get()) else {
        return Ok(Outcome::Invalid);
    };
    let (offset, length) = (ask.offset.get(), ask.len.get());
    let end = offset.checked_add(length).filter(|end| *end <= block.capacity);
    if end.is_none() || offset >= block.capacity {
        return Ok(Outcome::Invalid);
    }
    let wanted = if write { Use::Read } else { Use::Write };
    let piece = memory.piece(Allegation::new(ask.data.get(), length), wanted)?;
    if write && block.access == Access::ReadOnly {
        return Ok(Outcome::Unspecified);
    }
    Ok(match transfer_all(piece, offset, write, block.fd) {
        Some(()) => Outcome::Ok,
        None => Outcome::Unspecified,
    })
}

/// Transfers a whole piece; `None` if the host's call fails.
fn transfer_all(piece: Piece, offset: u64, write: bool, fd: i32) -> Option<()> {
    let mut done = 0;
    while done < piece.length() {
        let rest = piece.skip(done);
        let at = i64::try_from(offset.checked_add(done as u64)?).ok()?;
        let moved = retry(|| if write { rest.write_at(fd, at) } else { rest.read_at(fd, at) });
        match moved {
            Ok(count) if count > 0 => done += count,
            _ => return None,
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::devices::BlockDevice;
    use crate::memory::testing::memory;

    fn file(size: u8) -> File {
        let mut file = tempfile::tempfile().unwrap();
        for sector in 0..size {
            file.write_all(&[sector; 512]).unwrap();
        }
        file
    }

    fn devices(file: &File, capacity: u64, access: Access) -> Devices {
        let device = BlockDevice { fd: file.as_raw_fd(), capacity, access };
        Devices::default().with_block(1, device)
    }

    fn ask(handle: u64, offset: u64, data: u64, len: u64) -> Block {
        Block {
            handle: handle.into(),
            offset: offset.into(),
            data: data.into(),
            len: len.into(),
            ..Block::default()
        }
    }

    #[test]
    fn sectors_are_transferred_at_their_offsets() {
        let file = file(4);
        let devices = devices(&file, 2048, Access::ReadWrite);
        let memory = memory(4096, Vec::new());
        let read = ask(1, 1536, 4096 - 512, 512);
        let outcome = transfer(&devices, &memory, Hypercall::BlockRead, &read);
        assert_eq!(outcome, Ok(Outcome::Ok), "the last sector, into the end of memory");
        assert_eq!(memory.load::<u8>(4095), Ok(3));
        let write = ask(1, 0, 4096 - 512, 512);
        let outcome = transfer(&devices, &memory, Hypercall::BlockWrite, &write);
        assert_eq!(outcome, Ok(Outcome::Ok));
        let mut sector = [0; 513];
        file.read_exact_at(&mut sector, 0).unwrap();
        assert_eq!((sector[0], sector[511], sector[512]), (3, 3, 1));
    }

    #[test]
    fn ranges_not_wholly_within_the_device_are_errors() {
        let file = file(4);
        let devices = devices(&file, 2048, Access::ReadWrite);
        let memory = memory(4096, Vec::new());
        let cases = [
            (2, 0, 512),
            (0, 0, 512),
            (1, 2048, 0),
            (1, 2048, 512),
            (1, 1537, 512),
            (1, 0, 2049),
            (1, u64::MAX, 2),
            (1, 1, u64::MAX),
        ];
        for kind in [Hypercall::BlockRead, Hypercall::BlockWrite] {
            for (handle, offset, len) in cases {
                let outcome = transfer(&devices, &memory, kind, &ask(handle, offset, 0, len));
                assert_eq!(outcome, Ok(Outcome::Invalid), "{kind:?} {handle} {offset} {len}");
            }
            for data in [4096 - 511, 4096, u64::MAX] {
                let fault = transfer(&devices, &memory, kind, &ask(1, 0, data, 512));
                assert_eq!(fault, Err(GuestFault::Access { address: data, size: 512 }));
            }
        }
    }

    #[test]
    fn a_read_only_device_is_not_written_to() {
        let file = file(1);
        let devices = devices(&file, 512, Access::ReadOnly);
        let memory = memory(4096, Vec::new());
        let write = ask(1, 0, 0, 512);
        memory.store(0, &[9u8; 512]).unwrap();
        let outcome = transfer(&devices, &memory, Hypercall::BlockWrite, &write);
        assert_eq!(outcome, Ok(Outcome::Unspecified));
        let mut sector = [1; 512];
        file.read_exact_at(&mut sector, 0).unwrap();
        assert_eq!(sector, [0; 512]);
    }

    #[test]
    fn a_file_that_has_shrunk_is_an_error_for_the_guest() {
        let file = file(4);
        let devices = devices(&file, 2048, Access::ReadWrite);
        file.set_len(700).unwrap();
        let memory = memory(4096, Vec::new());
        let outcome = transfer(&devices, &memory, Hypercall::BlockRead, &ask(1, 512, 0, 512));
        assert_eq!(outcome, Ok(Outcome::Unspecified));
    }
}
