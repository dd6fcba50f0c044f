//! Block devices.

use crate::error::{Error, Result};
use crate::ready::Handle;
use crate::sys;

/// A block device.
///
/// ```no_run
/// use solo5::Block;
///
/// # fn copy() -> Result<(), solo5::Error> {
/// let mut storage = Block::acquire("storage")?; // the name in the manifest
/// let mut block = vec![0; storage.block_size()];
/// storage.read(0, &mut block)?;
/// storage.write(storage.block_size() as u64, &block)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Block {
    handle: Handle,
    capacity: u64,
    block_size: usize,
}

impl Block {
    /// Takes the device of type `BLOCK_BASIC` that the manifest calls `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the manifest has no such device or it was taken before.
    /// [`Error::Unspecified`] if it is optional and the operator did not attach it.
    pub fn acquire(name: &str) -> Result<Block> {
        let (handle, info) = sys::block_acquire(name)?;
        let block_size = usize::try_from(info.block_size).map_err(|_| Error::Unspecified)?;
        if block_size == 0 {
            return Err(Error::Unspecified);
        }
        Ok(Block { handle: Handle::new(handle), capacity: info.capacity, block_size })
    }

    /// The device's handle. Block devices never become ready: each call waits for the host.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The size of the device in bytes, a multiple of [`block_size`](Block::block_size).
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The size of one block in bytes.
    #[must_use]
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// Fills `buffer` from `offset` on; both are whole numbers of blocks.
    ///
    /// One call transfers any number of blocks (docs/reference/guest-api.md#many); under a tender
    /// older than this suite, the bindings transfer them one by one.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `offset` or the length is not a multiple of the block size, or if the
    /// end lies beyond [`capacity`](Block::capacity); nothing is read then. [`Error::Unspecified`]
    /// if the device failed: the buffer may be filled in part.
    pub fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.check(offset, buffer.len())?;
        if buffer.is_empty() {
            return Ok(());
        }
        sys::block_read(self.handle.index(), offset, buffer)
    }

    /// Writes `data` at `offset`; both are whole numbers of blocks. The data is durable after a
    /// [`flush`](Block::flush).
    ///
    /// # Errors
    ///
    /// As [`read`](Block::read). After [`Error::Unspecified`] some of the blocks may be written. A
    /// device attached for reading only also gives [`Error::Unspecified`].
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.check(offset, data.len())?;
        if data.is_empty() {
            return Ok(());
        }
        sys::block_write(self.handle.index(), offset, data)
    }

    /// Waits until all that was written before is durable (docs/reference/guest-api.md#flush). On a
    /// device that is attached for reading only there is nothing to do.
    ///
    /// # Errors
    ///
    /// [`Error::Unspecified`] if the host failed. Data may be lost then, and every later call fails
    /// in the same way. Also if the device cannot be flushed, because the manifest does not have
    /// `flush: true` for it or the tender is older; the device goes on working. A program can flush
    /// once at its start to find out.
    pub fn flush(&mut self) -> Result<()> {
        sys::block_flush(self.handle.index())
    }

    /// Whether `length` bytes at `offset` are whole blocks of this device.
    fn check(&self, offset: u64, length: usize) -> Result<()> {
        let size = self.block_size as u64;
        let length = length as u64;
        let end = offset.checked_add(length).ok_or(Error::Invalid)?;
        if !offset.is_multiple_of(size) || !length.is_multiple_of(size) || end > self.capacity {
            return Err(Error::Invalid);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unattached_and_read_only_devices_give_unspecified() {
        assert_eq!(Block::acquire("nowhere").unwrap_err(), Error::Invalid);
        assert_eq!(Block::acquire("declined").unwrap_err(), Error::Unspecified);
        let mut constant = Block::acquire("constant").unwrap();
        constant.read(0, &mut [0; 512]).unwrap();
        assert_eq!(constant.write(0, &[0; 512]), Err(Error::Unspecified));
        assert_eq!(constant.flush(), Err(Error::Unspecified), "not in the manifest");
    }

    #[test]
    fn blocks_keep_what_is_written() {
        let mut storage = Block::acquire("storage").unwrap();
        assert_eq!((storage.block_size(), storage.capacity()), (512, 4096));
        assert_eq!(storage.handle().index(), 2);
        let mut data = [7; 1536];
        data[512..1024].fill(8);
        data[1024..].fill(9);
        storage.write(2560, &data).unwrap();
        storage.flush().unwrap();
        let mut read = [0; 2048];
        storage.read(2048, &mut read).unwrap();
        assert_eq!(read[..512], [0; 512]);
        assert_eq!(read[512..], data);
    }

    #[test]
    fn only_whole_blocks_inside_the_device() {
        let mut storage = Block::acquire("storage").unwrap();
        assert_eq!(storage.read(0, &mut []), Ok(()));
        assert_eq!(storage.read(4096, &mut []), Ok(()));
        for (offset, length) in
            [(1, 512), (0, 511), (0, 513), (4096, 512), (0, 4608), (u64::MAX - 511, 512)]
        {
            let mut buffer = vec![0; length];
            assert_eq!(storage.read(offset, &mut buffer), Err(Error::Invalid));
            assert_eq!(storage.write(offset, &buffer), Err(Error::Invalid));
        }
    }
}
