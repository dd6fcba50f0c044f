//! The ring as the guest's network: real memory, a socket in place of the tap, and an eventfd.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use solo5_abi::device::Mtu;
use solo5_abi::hvt::MEMORY_GRANULE;
use solo5_abi::{Arch, Target};
use solo5_image::Image;
use solo5_image::testing::{DATA, Sample};
use vmm_sys_util::eventfd::EventFd;

use super::*;
use crate::layout::Size;

/// A guest with one interface, handle 1, and its ring.
struct Guest {
    network: &'static Network,
    ring: &'static Ring,
    memory: &'static SharedMemory,
    /// Guest address of a buffer.
    buffer: u64,
    /// The interface's other end.
    wire: UnixDatagram,
}

fn guest(kick: RawFd) -> Guest {
    let sample = Sample::new(Target::Hvt, Arch::X86_64, &[]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&sample.bytes()).unwrap();
    let image = Image::read(&file, &[Arch::X86_64]).unwrap();
    let plan = image.plan(&file, Target::Hvt).unwrap();
    let size = Size { guest: MEMORY_GRANULE, mapped: 2 * MEMORY_GRANULE };
    let loaded = Loaded::new(&plan, &file, size, None, None, "image".into()).unwrap();
    let (tap, wire) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    wire.set_nonblocking(true).unwrap();
    let tap = std::os::fd::IntoRawFd::into_raw_fd(tap);
    let devices = Box::leak(Box::new(Devices::default().with_net(1, tap, Mtu::ETHERNET)));
    let memory = loaded.shared();
    let network = shared(&loaded, memory, devices, kick).unwrap();
    let (ring, buffer) = (loaded.ring().unwrap(), sample.segments[DATA].p_vaddr);
    Guest { network, ring, memory, buffer, wire }
}

impl Guest {
    fn submit(&self, operation: Operation, handle: u32, length: u32) {
        let tail = self.ring.guest.ent_tail.load(Ordering::Relaxed);
        let entry = self.ring.submission(tail);
        entry.operation.store(operation.number(), Ordering::Relaxed);
        entry.handle.store(handle, Ordering::Relaxed);
        entry.data.store(self.buffer, Ordering::Relaxed);
        entry.len.store(length, Ordering::Relaxed);
        entry.id.store(tail + 70, Ordering::Relaxed);
        self.ring.guest.ent_tail.store(tail + 1, Ordering::Release);
    }

    /// Identifier, outcome and length of the commit with this number.
    fn commit(&self, number: u32) -> (u32, i32, u32) {
        assert!(number < self.ring.tender.com_tail.load(Ordering::Acquire), "no such commit");
        let commit = self.ring.commit(number);
        let ret = commit.ret.load(Ordering::Relaxed);
        (commit.id.load(Ordering::Relaxed), ret, commit.len.load(Ordering::Relaxed))
    }
}

#[test]
fn queued_frames_are_sent_and_received() {
    let guest = guest(-1);
    assert_eq!(guest.network.drain_if_pending(), Ok(()), "nothing is queued");
    guest.memory.store(guest.buffer, &[7u8; 60]).unwrap();
    guest.submit(Operation::NetWrite, 1, 60);
    assert_eq!(guest.network.drain_if_pending(), Ok(()));
    let mut frame = [0; 100];
    assert_eq!(guest.wire.recv(&mut frame).unwrap(), 60);
    assert_eq!(frame[59], 7);
    assert!(guest.wire.recv(&mut frame).is_err(), "one frame");

    guest.wire.send(&[9; 64]).unwrap();
    for handle in [1, 1, 2] {
        guest.submit(Operation::NetRead, handle, 1514);
    }
    assert_eq!(guest.network.drain_if_pending(), Ok(()));
    assert_eq!(guest.commit(0), (71, Outcome::Ok.number(), 64));
    assert_eq!(guest.memory.load::<[u8; 64]>(guest.buffer), Ok([9; 64]));
    assert_eq!(guest.commit(1), (72, Outcome::Again.number(), 0), "no more frames");
    assert_eq!(guest.commit(2), (73, Outcome::Invalid.number(), 0), "no such device");
}

#[test]
fn a_kick_wakes_the_thread_and_a_fault_ends_it() {
    let kick = EventFd::new(0).unwrap();
    let guest = guest(kick.as_raw_fd());
    let network = guest.network;
    let thread = std::thread::spawn(move || network.serve());
    while guest.ring.tender.needs_kick.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    guest.submit(Operation::NetWrite, 1, u32::MAX);
    kick.write(1).unwrap();
    let fault = GuestFault::Access { address: guest.buffer, size: u32::MAX.into() };
    assert_eq!(thread.join().unwrap(), fault);
}

#[test]
fn a_kick_that_cannot_be_read_is_a_fault() {
    assert_eq!(guest(-1).network.serve(), GuestFault::RingSleep);
}
