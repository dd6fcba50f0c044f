//! Transfers frames between a guest and its taps.
//!
//! No frame from the guest and no state of a tap ends the tender. Upstream's tender dies of a short
//! frame, of a frame longer than the MTU, and of a tap that is full or down.

use solo5_abi::device::ETHERNET_HEADER;
use solo5_abi::hvt::Outcome;
use solo5_tender::memory::Allegation;
use solo5_tender::sys::Errno;

use crate::devices::{Devices, retry};
use crate::fault::GuestFault;
use crate::memory::{SharedMemory, Use};

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Whether a frame was received.
    pub outcome: Outcome,
    /// Length of the frame in bytes; 0 without a frame.
    pub length: u64,
}

impl Received {
    const fn nothing(outcome: Outcome) -> Received {
        Received { outcome, length: 0 }
    }
}

/// Sends the frame at `data`.
///
/// If the tap's queue is full, the frame is dropped, as on any network. `Invalid`: there is no such
/// interface, or the length is not valid for a frame. `Unspecified`: the write to the tap failed.
pub fn send(
    devices: &Devices,
    memory: &SharedMemory,
    handle: u64,
    data: Allegation,
) -> Result<Outcome, GuestFault> {
    let Some(net) = devices.net(handle) else {
        return Ok(Outcome::Invalid);
    };
    let frame = memory.piece(data, Use::Read)?;
    if !(ETHERNET_HEADER as u64..=net.mtu.frame() as u64).contains(&data.length) {
        return Ok(Outcome::Invalid);
    }
    Ok(sent(retry(|| frame.write_to(net.fd)), frame.length()))
}

/// What a write of a frame of `length` bytes to a tap means.
fn sent(written: Result<usize, Errno>, length: usize) -> Outcome {
    match written {
        Ok(count) if count == length => Outcome::Ok,
        // The host has no room for the frame. Under spt, the bindings have the same list.
        Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Outcome::Ok,
        Err(Errno::INVAL) => Outcome::Invalid,
        Ok(_) | Err(_) => Outcome::Unspecified,
    }
}

/// Receives a frame into `data`. If the frame is longer, the rest is lost.
pub fn receive(
    devices: &Devices,
    memory: &SharedMemory,
    handle: u64,
    data: Allegation,
) -> Result<Received, GuestFault> {
    let Some(net) = devices.net(handle) else {
        return Ok(Received::nothing(Outcome::Invalid));
    };
    let room = memory.piece(data, Use::Write)?;
    Ok(match retry(|| room.read_from(net.fd)) {
        Ok(0) | Err(Errno::AGAIN) => Received::nothing(Outcome::Again),
        Ok(count) => Received { outcome: Outcome::Ok, length: count as u64 },
        Err(_) => Received::nothing(Outcome::Unspecified),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixDatagram;

    use solo5_abi::device::Mtu;

    use super::*;
    use crate::memory::testing::memory;

    fn mtu(bytes: u64) -> Mtu {
        Mtu::new(bytes).unwrap()
    }

    /// A socket pair that keeps frame boundaries, as a tap does.
    fn wire() -> (UnixDatagram, UnixDatagram) {
        let (tap, network) = UnixDatagram::pair().unwrap();
        tap.set_nonblocking(true).unwrap();
        (tap, network)
    }

    #[test]
    fn frames_are_sent_and_invalid_lengths_are_errors() {
        let (tap, network) = wire();
        network.set_nonblocking(true).unwrap();
        let devices = Devices::default().with_net(1, tap.as_raw_fd(), mtu(100));
        let memory = memory(4096, Vec::new());
        memory.store(64, &[7u8; 114]).unwrap();
        let send = |handle, length| send(&devices, &memory, handle, Allegation::new(64, length));
        for (length, outcome) in [
            (13, Outcome::Invalid),
            (14, Outcome::Ok),
            (114, Outcome::Ok),
            (115, Outcome::Invalid),
            (0, Outcome::Invalid),
        ] {
            assert_eq!(send(1, length), Ok(outcome), "{length}");
        }
        assert_eq!(send(2, 60), Ok(Outcome::Invalid), "no such device");
        assert!(send(1, 4096).is_err(), "past the end of memory");
        let mut frame = [0; 200];
        assert_eq!(network.recv(&mut frame).unwrap(), 14);
        assert_eq!(network.recv(&mut frame).unwrap(), 114);
        assert_eq!(frame[..114], [7; 114]);
        assert!(network.recv(&mut frame).is_err(), "nothing else was sent");
    }

    #[test]
    fn nothing_to_receive_is_no_error() {
        let (tap, network) = wire();
        let devices = Devices::default().with_net(3, tap.as_raw_fd(), Mtu::ETHERNET);
        let memory = memory(4096, Vec::new());
        let receive = |at, length| receive(&devices, &memory, 3, Allegation::new(at, length));
        assert_eq!(receive(0, 100), Ok(Received::nothing(Outcome::Again)));
        network.send(&[5; 60]).unwrap();
        network.send(&[6; 60]).unwrap();
        let got = Received { outcome: Outcome::Ok, length: 60 };
        assert_eq!(receive(4096 - 60, 60), Ok(got), "up to the end of memory");
        let cut = Received { length: 20, ..got };
        assert_eq!(receive(0, 20), Ok(cut), "a short buffer cuts the frame");
        assert_eq!(memory.load::<[u8; 2]>(19), Ok([6, 0]));
        assert!(receive(4095, 2).is_err());
    }

    #[test]
    fn a_full_tap_drops_frames_and_a_closed_one_is_an_error() {
        let (tap, network) = wire();
        let devices = Devices::default().with_net(1, tap.as_raw_fd(), Mtu::ETHERNET);
        let memory = memory(4096, Vec::new());
        let send = || send(&devices, &memory, 1, Allegation::new(0, 1500)).unwrap();
        for _ in 0..2000 {
            assert_eq!(send(), Outcome::Ok, "sent or dropped");
        }
        drop(network);
        assert_eq!(send(), Outcome::Unspecified);
    }

    #[test]
    fn a_frame_without_room_is_dropped_and_other_errors_are_told() {
        for error in [Errno::AGAIN, Errno::NOBUFS, Errno::NOMEM] {
            assert_eq!(sent(Err(error), 60), Outcome::Ok, "{error}");
        }
        for (written, outcome) in [
            (Ok(60), Outcome::Ok),
            (Ok(59), Outcome::Unspecified),
            (Err(Errno::INVAL), Outcome::Invalid),
            (Err(Errno::IO), Outcome::Unspecified),
            (Err(Errno::BADFD), Outcome::Unspecified),
        ] {
            assert_eq!(sent(written, 60), outcome, "{written:?}");
        }
    }

    #[test]
    fn a_short_write_is_an_error_for_the_guest() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
        (&writer).write_all(&[0; 65536 - 4096]).unwrap();
        let devices = Devices::default().with_net(1, writer.as_raw_fd(), mtu(9000));
        let memory = memory(16384, Vec::new());
        let outcome = send(&devices, &memory, 1, Allegation::new(0, 9000));
        assert_eq!(outcome, Ok(Outcome::Unspecified));
        reader.read_exact(&mut [0; 1]).unwrap();
    }
}
