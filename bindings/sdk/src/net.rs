//! Network devices.

use solo5_abi::device::ETHERNET_HEADER;

use crate::error::{Error, Result};
use crate::ready::Handle;
use crate::sys;

/// A network device. It reads and writes whole Ethernet frames, and never blocks.
///
/// ```no_run
/// use solo5::Net;
///
/// # fn answer() -> Result<(), solo5::Error> {
/// let mut net = Net::acquire("service")?; // the name in the manifest
/// let mut buffer = vec![0; net.frame_length()];
/// if let Some(frame) = net.read(&mut buffer)? {
///     // Back to where it came from: the first twelve bytes are both addresses.
///     let (to, from) = frame[..12].split_at_mut(6);
///     to.swap_with_slice(from);
///     net.write(frame)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Net {
    handle: Handle,
    mac: [u8; 6],
    mtu: usize,
}

impl Net {
    /// Takes the device of type `NET_BASIC` that the manifest calls `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the manifest has no such device or it was taken before.
    /// [`Error::Unspecified`] if it is optional and the operator did not attach it.
    pub fn acquire(name: &str) -> Result<Net> {
        let (handle, info) = sys::net_acquire(name)?;
        // No buffer can hold a longer frame. The limit keeps `frame_length` from overflowing.
        if info.mtu > isize::MAX as usize {
            return Err(Error::Unspecified);
        }
        Ok(Net { handle: Handle::new(handle), mac: info.mac_address, mtu: info.mtu })
    }

    /// The device's handle, its member in a [`HandleSet`](crate::HandleSet).
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// The Ethernet address that the unikernel is to use on this device.
    #[must_use]
    pub fn mac_address(&self) -> [u8; 6] {
        self.mac
    }

    /// The longest payload of a frame in bytes, without its header.
    #[must_use]
    pub fn mtu(&self) -> usize {
        self.mtu
    }

    /// The longest frame in bytes, with its header: what a buffer for [`read`](Net::read) must
    /// hold.
    #[must_use]
    pub fn frame_length(&self) -> usize {
        self.mtu + ETHERNET_HEADER
    }

    /// Reads the next frame into `buffer` and returns it. `None` if no frame is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `buffer` is shorter than [`frame_length`](Net::frame_length): the frame
    /// might not fit. [`Error::Unspecified`] if the device failed.
    pub fn read<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Option<&'b mut [u8]>> {
        if buffer.len() < self.frame_length() {
            return Err(Error::Invalid);
        }
        Ok(sys::net_read(self.handle.index(), buffer)?.and_then(|length| buffer.get_mut(..length)))
    }

    /// Sends one frame. The network may drop it, as any network may.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `frame` has no complete header or is longer than
    /// [`frame_length`](Net::frame_length). [`Error::Unspecified`] if the device failed or, with
    /// some bindings, if its queue was full.
    pub fn write(&mut self, frame: &[u8]) -> Result<()> {
        if frame.len() < ETHERNET_HEADER || frame.len() > self.frame_length() {
            return Err(Error::Invalid);
        }
        sys::net_write(self.handle.index(), frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host;

    #[test]
    fn only_declared_devices() {
        assert_eq!(Net::acquire("storage").unwrap_err(), Error::Invalid);
        assert_eq!(Net::acquire("").unwrap_err(), Error::Invalid);
    }

    #[test]
    fn an_unattached_device_gives_unspecified() {
        assert_eq!(Net::acquire("declined").unwrap_err(), Error::Unspecified);
    }

    #[test]
    fn frames_come_back_in_order_and_then_nothing() {
        let mut net = Net::acquire("service").unwrap();
        assert_eq!((net.handle().index(), net.mtu(), net.frame_length()), (1, 1500, 1514));
        assert_eq!(net.mac_address(), host::MAC);
        net.write(&[1; 14]).unwrap();
        net.write(&[2; 1514]).unwrap();
        let mut buffer = [0; 1600];
        assert_eq!(net.read(&mut buffer).unwrap().unwrap(), [1; 14]);
        assert_eq!(net.read(&mut buffer).unwrap().unwrap(), [2; 1514]);
        assert_eq!(net.read(&mut buffer).unwrap(), None);
    }

    #[test]
    fn lengths() {
        let mut net = Net::acquire("service").unwrap();
        assert_eq!(net.read(&mut [0; 1513]), Err(Error::Invalid));
        assert_eq!(net.write(&[0; 13]), Err(Error::Invalid));
        assert_eq!(net.write(&[0; 1515]), Err(Error::Invalid));
    }
}
