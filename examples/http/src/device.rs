//! A Solo5 network device for smoltcp.

use alloc::vec;
use alloc::vec::Vec;

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use solo5::Net;

/// The device with a buffer for each direction.
pub struct Device {
    net: Net,
    input: Vec<u8>,
    output: Vec<u8>,
    failure: Option<solo5::Error>,
}

impl Device {
    pub fn new(net: Net) -> Device {
        let buffer = vec![0; net.frame_length()];
        Device { net, input: buffer.clone(), output: buffer, failure: None }
    }

    /// Why reading failed, if it did. Such a device may stay ready for ever: a server that went on would
    /// only use up the host's processor.
    pub fn failure(&self) -> Option<solo5::Error> {
        self.failure
    }
}

impl phy::Device for Device {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Received<'_>, Sending<'_>)> {
        match self.net.read(&mut self.input) {
            Ok(Some(frame)) => {
                let sending = Sending { net: &mut self.net, buffer: &mut self.output };
                Some((Received(frame), sending))
            }
            Ok(None) => None,
            Err(error) => {
                self.failure = Some(error);
                None
            }
        }
    }

    fn transmit(&mut self, _now: Instant) -> Option<Sending<'_>> {
        Some(Sending { net: &mut self.net, buffer: &mut self.output })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.net.frame_length();
        capabilities
    }
}

/// A frame in the input buffer.
pub struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, use_frame: F) -> R {
        use_frame(self.0)
    }
}

/// The right to send one frame.
pub struct Sending<'a> {
    net: &'a mut Net,
    buffer: &'a mut Vec<u8>,
}

impl phy::TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, make_frame: F) -> R {
        // smoltcp keeps to the length that `capabilities` names, which is the buffer's.
        self.buffer.resize(length.max(self.buffer.len()), 0);
        let frame = &mut self.buffer[..length];
        let result = make_frame(frame);
        // A frame that cannot be sent is lost, as on any network; TCP sends it again.
        let _ = self.net.write(frame);
        result
    }
}
