//! Transfers sectors between a guest and its files and block devices
//! (`docs/reference/hvt.md#block`).
//!
//! As in upstream, any range within the device is served; the bindings make sure that it is one
//! sector. An error of the host becomes an error for the guest; upstream's tender dies of it.

use std::sync::atomic::Ordering;

use solo5_abi::hvt::{Block, BlockFlush, Hypercall, Outcome};
use solo5_abi::mft1::Flush;
use solo5_tender::attach::Access;
use solo5_tender::memory::Allegation;
use solo5_tender::sys::Errno;

use crate::devices::{Devices, retry};
use crate::fault::GuestFault;
use crate::memory::{Piece, SharedMemory, Use};

/// Transfers the range that `ask` names. To the guest it succeeds as a whole or fails.
///
/// `Invalid`: there is no such device, or the range is not wholly within it. `Unspecified`: the
/// host's call fails, the device is read-only, or a flush has failed
/// (`docs/reference/guest-api.md#block`).
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
    let failed = block.failed.load(Ordering::Relaxed);
    if failed || write && block.access == Access::ReadOnly {
        return Ok(Outcome::Unspecified);
    }
    Ok(match transfer_all(piece, offset, write, block.fd) {
        Some(()) => Outcome::Ok,
        None => Outcome::Unspecified,
    })
}

/// Makes everything written to the device durable.
///
/// `Invalid`: there is no such device. `Unspecified`: the guest cannot flush it, or this flush or an
/// earlier one fails. After that the device fails for ever: the kernel reports the loss of data
/// once, and may count the data as written from then on.
pub fn flush(devices: &Devices, ask: &BlockFlush) -> Outcome {
    let Some(block) = devices.block(ask.handle.get()) else {
        return Outcome::Invalid;
    };
    if block.flush == Flush::Unavailable || block.failed.load(Ordering::Relaxed) {
        return Outcome::Unspecified;
    }
    if block.flush == Flush::Needless || retry(|| sync_data(block.fd)).is_ok() {
        return Outcome::Ok;
    }
    block.failed.store(true, Ordering::Relaxed);
    Outcome::Unspecified
}

fn sync_data(fd: i32) -> Result<(), Errno> {
    // SAFETY: only a number is passed.
    if unsafe { libc::fdatasync(fd) } == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
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
    use std::sync::atomic::AtomicBool;

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
        with_flush(file.as_raw_fd(), capacity, access, Flush::Unavailable)
    }

    fn with_flush(fd: i32, capacity: u64, access: Access, flush: Flush) -> Devices {
        let failed = AtomicBool::new(false);
        Devices::default().with_block(1, BlockDevice { fd, capacity, access, flush, failed })
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
    fn the_most_that_is_offered_is_one_transfer() {
        const MOST: u64 = solo5_abi::offer::TRANSFER_MAX;
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * MOST).unwrap();
        let devices = devices(&file, 3 * MOST, Access::ReadWrite);
        let memory = memory(2 * MOST as usize, Vec::new());
        memory.store(MOST - 8, &[1u8; 16]).unwrap();
        memory.store(2 * MOST - 8, &[2u8; 8]).unwrap();
        let write = ask(1, MOST, MOST, MOST);
        let outcome = transfer(&devices, &memory, Hypercall::BlockWrite, &write);
        assert_eq!(outcome, Ok(Outcome::Ok));
        let outcome = transfer(&devices, &memory, Hypercall::BlockRead, &ask(1, MOST, 0, MOST));
        assert_eq!(outcome, Ok(Outcome::Ok));
        assert_eq!(memory.load::<[u8; 9]>(0), Ok([1, 1, 1, 1, 1, 1, 1, 1, 0]));
        assert_eq!(memory.load::<[u8; 8]>(MOST - 8), Ok([2; 8]));
        let past = transfer(&devices, &memory, Hypercall::BlockRead, &ask(1, 0, MOST + 1, MOST));
        assert_eq!(past, Err(GuestFault::Access { address: MOST + 1, size: MOST }));
    }

    fn flush_of(devices: &Devices, handle: u64) -> Outcome {
        flush(devices, &BlockFlush { handle: handle.into(), ..BlockFlush::default() })
    }

    #[test]
    fn only_a_device_that_the_guest_can_flush_is_flushed() {
        let file = file(1);
        let with = |flush| with_flush(file.as_raw_fd(), 512, Access::ReadWrite, flush);
        assert_eq!(flush_of(&with(Flush::Available), 1), Outcome::Ok);
        assert_eq!(flush_of(&with(Flush::Available), 2), Outcome::Invalid);
        assert_eq!(flush_of(&with(Flush::Unavailable), 1), Outcome::Unspecified);
        // The descriptor is not open, so a call would fail.
        let closed = with_flush(-1, 512, Access::ReadOnly, Flush::Needless);
        assert_eq!(flush_of(&closed, 1), Outcome::Ok, "without a call");
        let closed = with_flush(-1, 512, Access::ReadWrite, Flush::Unavailable);
        assert_eq!(flush_of(&closed, 1), Outcome::Unspecified);
        assert!(!closed.block(1).unwrap().failed.load(Ordering::Relaxed), "nothing has failed");
    }

    #[test]
    fn after_a_failed_flush_the_device_fails_for_ever() {
        // A pipe cannot be flushed (EINVAL).
        let (reader, writer) = std::io::pipe().unwrap();
        let (file, memory) = (file(2), memory(4096, Vec::new()));
        let devices = with_flush(writer.as_raw_fd(), 1024, Access::ReadWrite, Flush::Available);
        assert_eq!(flush_of(&devices, 1), Outcome::Unspecified);
        drop(reader);
        // From here on the device would work again.
        rustix::io::dup2(
            &file,
            &mut std::mem::ManuallyDrop::new(std::os::fd::OwnedFd::from(writer)),
        )
        .unwrap();
        assert_eq!(flush_of(&devices, 1), Outcome::Unspecified);
        for kind in [Hypercall::BlockRead, Hypercall::BlockWrite] {
            let outcome = transfer(&devices, &memory, kind, &ask(1, 0, 0, 512));
            assert_eq!(outcome, Ok(Outcome::Unspecified), "{kind:?}");
        }
        let mut sector = [9; 512];
        file.read_exact_at(&mut sector, 512).unwrap();
        assert_eq!(sector, [1; 512]);
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
