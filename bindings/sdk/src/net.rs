//! Network devices.

use core::fmt;

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

impl Net {
    /// Reads frames into `buffer`, as many as fit, which is one for each
    /// [`frame_length`](Net::frame_length) bytes, and at most 32. There may be none.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if `buffer` has no room for one frame. [`Error::Unspecified`] if the device
    /// failed before the first frame; a later failure comes at the next call.
    pub fn read_many<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Frames<'b>> {
        let part = self.frame_length();
        if buffer.len() < part {
            return Err(Error::Invalid);
        }
        let mut lengths = [0; sys::FRAMES_MAX];
        let count = sys::net_read_many(self.handle.index(), buffer, part, &mut lengths)?;
        Ok(Frames { rest: buffer, part, lengths, next: 0, count })
    }

    /// Sends frames in order, each as [`write`](Net::write) does. On hvt the tender is woken once for
    /// up to 32 frames.
    ///
    /// # Errors
    ///
    /// That of the first frame that was not sent. No frame after it is sent.
    pub fn write_many(&mut self, frames: &[&[u8]]) -> Result<(), Unsent> {
        let mut sent = 0;
        for part in frames.chunks(sys::FRAMES_MAX) {
            let (done, result) = sys::net_write_many(self.handle.index(), part);
            sent += done;
            result.map_err(|error| Unsent { sent, error })?;
        }
        Ok(())
    }
}

/// Frames that [`Net::read_many`] has read, in order.
#[derive(Debug)]
pub struct Frames<'b> {
    rest: &'b mut [u8],
    /// Distance from one frame to the next.
    part: usize,
    lengths: [usize; sys::FRAMES_MAX],
    next: usize,
    count: usize,
}

impl<'b> Iterator for Frames<'b> {
    type Item = &'b mut [u8];

    fn next(&mut self) -> Option<&'b mut [u8]> {
        let length = *self.lengths.get(..self.count)?.get(self.next)?;
        let (part, rest) = core::mem::take(&mut self.rest).split_at_mut_checked(self.part)?;
        self.rest = rest;
        self.next += 1;
        // A length above the part's would be a fault of the bindings; it must not become an index.
        part.get_mut(..length)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.count - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Frames<'_> {}

/// Why [`Net::write_many`] has not sent all frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsent {
    /// How many frames were sent, the first ones.
    pub sent: usize,
    /// The error of the next frame.
    pub error: Error,
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {} frames", self.error, self.sent)
    }
}

impl core::error::Error for Unsent {}

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
    fn several_frames_come_back_in_order() {
        let mut net = Net::acquire("service").unwrap();
        let frames: Vec<Vec<u8>> =
            (0..70).map(|number| vec![number; 14 + number as usize]).collect();
        let list: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        net.write_many(&list).unwrap();
        let mut buffer = vec![0; 40 * net.frame_length()];
        let mut read = Vec::new();
        for expected in [32, 32, 6, 0] {
            let got = net.read_many(&mut buffer).unwrap();
            assert_eq!(got.len(), expected);
            read.extend(got.map(|frame| frame.to_vec()));
        }
        assert_eq!(read, frames);
        net.write_many(&list[..5]).unwrap();
        let got = net.read_many(&mut buffer[..2 * 1514 + 1513]).unwrap();
        assert_eq!(got.len(), 2, "only whole parts of the buffer are used");
        assert_eq!(net.read_many(&mut buffer[..1513]).unwrap_err(), Error::Invalid);
    }

    #[test]
    fn frames_before_the_failed_one_are_sent() {
        let mut net = Net::acquire("service").unwrap();
        let good: &[u8] = &[0; 14];
        let mut list = vec![good; 50];
        list[40] = &[0; 13];
        let unsent = Unsent { sent: 40, error: Error::Invalid };
        assert_eq!(net.write_many(&list), Err(unsent));
        let mut buffer = vec![0; 64 * net.frame_length()];
        assert_eq!(net.read_many(&mut buffer).unwrap().len(), 32);
        assert_eq!(net.read_many(&mut buffer).unwrap().len(), 8);
    }

    #[test]
    fn lengths() {
        let mut net = Net::acquire("service").unwrap();
        assert_eq!(net.read(&mut [0; 1513]), Err(Error::Invalid));
        assert_eq!(net.write(&[0; 13]), Err(Error::Invalid));
        assert_eq!(net.write(&[0; 1515]), Err(Error::Invalid));
    }
}
