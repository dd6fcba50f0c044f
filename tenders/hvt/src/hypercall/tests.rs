//! Hypercalls of a guest that keeps to the interface, and of one that does not.

use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{TimerfdClockId, TimerfdFlags};
use solo5_abi::hvt::ring;
use solo5_abi::mft1::Flush;
use solo5_tender::attach::Access;

use super::*;
use crate::devices::{BlockDevice, TIMER};
use crate::memory::testing::memory;

const SIZE: usize = 1 << 16;

/// A host with one interface (handle 1) and one block device (handle 2) of two sectors.
struct Fixture {
    host: Host,
    network: UnixDatagram,
}

fn fixture() -> Fixture {
    let (tap, network) = UnixDatagram::pair().unwrap();
    tap.set_nonblocking(true).unwrap();
    let file = tempfile::tempfile().unwrap();
    file.set_len(1024).unwrap();
    let set = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let timer = rustix::time::timerfd_create(
        TimerfdClockId::Monotonic,
        TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
    )
    .unwrap();
    epoll::add(&set, timer.as_fd(), EventData::new_u64(TIMER), EventFlags::IN).unwrap();
    epoll::add(&set, tap.as_fd(), EventData::new_u64(1), EventFlags::IN).unwrap();
    let block = BlockDevice {
        fd: file.into_raw_fd(),
        capacity: 1024,
        access: Access::ReadWrite,
        flush: Flush::Available,
        failed: AtomicBool::new(false),
    };
    let devices = Devices::default()
        .with_net(1, tap.into_raw_fd(), solo5_abi::device::Mtu::ETHERNET)
        .with_block(2, block);
    let host = Host {
        memory: Box::leak(Box::new(memory(SIZE, Vec::new()))),
        devices: Box::leak(Box::new(devices)),
        events: Events { epoll: set.into_raw_fd(), timer: timer.into_raw_fd() },
        ring: None,
        console: std::fs::File::options().write(true).open("/dev/null").unwrap().into_raw_fd(),
    };
    Fixture { host, network }
}

fn call<T: IntoBytes + zerocopy::Immutable>(
    host: &Host,
    kind: Hypercall,
    at: u64,
    value: &T,
) -> Result<Next, GuestFault> {
    host.memory.store(at, value).unwrap();
    host.handle(Call { kind, argument: at })
}

#[test]
fn the_guest_reads_the_hosts_wall_clock() {
    let Fixture { host, .. } = fixture();
    let at = SIZE as u64 - 8;
    call(&host, Hypercall::Walltime, at, &Walltime::default()).unwrap();
    let told: Walltime = host.memory.load(at).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let difference = now.as_nanos() as u64 - told.nsecs.get();
    assert!(difference < 10_000_000_000, "{difference}");
}

#[test]
fn a_poll_returns_ready_devices_and_waits_no_longer_than_its_timeout() {
    let Fixture { host, network } = fixture();
    let poll = |timeout: u64| {
        let ask = Poll { timeout_nsecs: timeout.into(), ..Poll::default() };
        assert_eq!(call(&host, Hypercall::Poll, 64, &ask), Ok(Next::Run));
        let told: Poll = host.memory.load(64).unwrap();
        (told.ready_set.get(), told.ret.get())
    };
    assert_eq!(poll(0), (0, 0));
    let before = std::time::Instant::now();
    assert_eq!(poll(20_000_000), (0, 0));
    assert!(before.elapsed().as_millis() >= 20);
    assert_eq!(poll(0), (0, 0), "an old expiration is no event");
    network.send(&[0; 60]).unwrap();
    assert_eq!(poll(u64::MAX), (2, 1));
    assert_eq!(poll(0), (2, 1));
}

#[test]
fn a_deleted_tap_ends_one_wait() {
    let Fixture { mut host, .. } = fixture();
    let (tap, network) = std::io::pipe().unwrap();
    let tap = tap.into_raw_fd();
    // SAFETY: the descriptor has just been taken from its owner and stays open.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(tap) };
    // SAFETY: as above; it is the set of `fixture`.
    let set = unsafe { std::os::fd::BorrowedFd::borrow_raw(host.events.epoll) };
    epoll::add(set, fd, EventData::new_u64(3), EventFlags::IN).unwrap();
    host.devices =
        Box::leak(Box::new(Devices::default().with_net(3, tap, solo5_abi::device::Mtu::ETHERNET)));
    let wait = |timeout| host.events.wait(host.devices, timeout);
    assert_eq!(wait(0), 0);
    drop(network);
    assert_eq!(wait(u64::MAX), 1 << 3, "the guest learns of it once");
    let before = std::time::Instant::now();
    assert_eq!(wait(20_000_000), 0);
    assert!(before.elapsed().as_millis() >= 20, "later waits sleep");
}

#[test]
fn a_halt_carries_status_and_trap() {
    let Fixture { host, .. } = fixture();
    let halt = |cookie: u64, status: i32| Halt {
        cookie: cookie.into(),
        exit_status: status.into(),
        ..Halt::default()
    };
    let end = |status, trap| Ok(Next::End(End { status, trap }));
    assert_eq!(call(&host, Hypercall::Halt, 0, &halt(0, 300)), end(300, None));
    let frame = TrapFrame::read_from_bytes(&[0x28; TrapFrame::SIZE]).unwrap();
    let last = (SIZE - HALT_COOKIE_MAX) as u64;
    host.memory.store(last, &frame).unwrap();
    assert_eq!(call(&host, Hypercall::Halt, 0, &halt(last, 255)), end(255, Some(frame)));
    let fault = call(&host, Hypercall::Halt, 0, &halt(last + 1, 255));
    let expected = GuestFault::Access { address: last + 1, size: 512 };
    assert_eq!(fault, Err(expected), "the whole region counts");
}

#[test]
fn frames_and_sectors_are_transferred() {
    let Fixture { host, network } = fixture();
    network.send(&[4; 70]).unwrap();
    let net = Net { handle: 1.into(), data: 0x1000.into(), len: 1514.into(), ..Net::default() };
    call(&host, Hypercall::NetRead, 0, &net).unwrap();
    let told: Net = host.memory.load(0).unwrap();
    assert_eq!((told.ret.get(), told.len.get()), (0, 70));
    call(&host, Hypercall::NetRead, 0, &net).unwrap();
    let told: Net = host.memory.load(0).unwrap();
    assert_eq!((told.ret.get(), told.len.get()), (1, 1514), "no frame, length untouched");
    let send = Net { len: 70.into(), ..net };
    call(&host, Hypercall::NetWrite, 0, &send).unwrap();
    let mut frame = [0; 100];
    assert_eq!(network.recv(&mut frame).unwrap(), 70);
    assert_eq!(frame[69], 4);

    let block = Block {
        handle: 2.into(),
        offset: 512.into(),
        data: 0x1000.into(),
        len: 512.into(),
        ..Block::default()
    };
    call(&host, Hypercall::BlockWrite, 0, &block).unwrap();
    let told: Block = host.memory.load(0).unwrap();
    assert_eq!(told.ret.get(), 0);
    let flush = BlockFlush { handle: 2.into(), ret: 9.into(), ..BlockFlush::default() };
    call(&host, Hypercall::BlockFlush, 0, &flush).unwrap();
    let told: BlockFlush = host.memory.load(0).unwrap();
    assert_eq!(told.ret.get(), 0);
    let net_of_block = Net { handle: 2.into(), ..net };
    call(&host, Hypercall::NetRead, 0, &net_of_block).unwrap();
    let told: Net = host.memory.load(0).unwrap();
    assert_eq!(told.ret.get(), 2, "a handle of the other kind");
}

/// Queues one read in the ring, whose frame overwrites the call's own argument when the call
/// processes the ring.
fn queue_read_into(host: &mut Host, argument: u64, length: u32) {
    use crate::ring::{Shared, Wire};
    let ring: &'static ring::Ring = Box::leak(Box::default());
    let entry = ring.submission(0);
    let read = ring::Operation::NetRead.number();
    entry.operation.store(read, Ordering::Relaxed);
    entry.handle.store(1, Ordering::Relaxed);
    entry.data.store(argument, Ordering::Relaxed);
    entry.len.store(length, Ordering::Relaxed);
    ring.guest.ent_tail.store(1, Ordering::Release);
    let wire = Wire { devices: host.devices, memory: host.memory };
    host.ring = Some(Box::leak(Box::new(Shared::new(ring, wire, -1, 1))));
}

#[test]
fn an_argument_that_changes_during_its_call_has_no_effect() {
    const AT: u64 = 0x2000;
    let Fixture { mut host, network } = fixture();
    network.send(&[0xff; 32]).unwrap();
    queue_read_into(&mut host, AT, 32);
    let ask = Net { handle: 1.into(), data: 0x1000.into(), len: 60.into(), ..Net::default() };
    assert_eq!(call(&host, Hypercall::NetWrite, AT, &ask), Ok(Next::Run));
    let mut frame = [0; 100];
    assert_eq!(network.recv(&mut frame).unwrap(), 60);
    assert_eq!(host.memory.load(AT), Ok(ask), "ret is 0");

    network.send(&[0xff; 24]).unwrap();
    queue_read_into(&mut host, AT, 24);
    let before = std::time::Instant::now();
    let poll = Poll::default();
    assert_eq!(call(&host, Hypercall::Poll, AT, &poll), Ok(Next::Run));
    assert!(before.elapsed().as_secs() < 5, "the timeout that was read");

    network.send(&[0xff; 16]).unwrap();
    queue_read_into(&mut host, AT, 16);
    let halt = Halt { exit_status: 7.into(), ..Halt::default() };
    let end = End { status: 7, trap: None };
    assert_eq!(
        call(&host, Hypercall::Halt, AT, &halt),
        Ok(Next::End(end)),
        "not that of the frame"
    );
}

#[test]
fn a_racing_length_is_read_only_once() {
    let Fixture { host, network } = fixture();
    // The frame ends with memory, so no greater length is valid.
    let ask =
        Net { handle: 1.into(), data: (SIZE as u64 - 60).into(), len: 60.into(), ..Net::default() };
    host.memory.store(0, &ask).unwrap();
    let (memory, start) = (host.memory, std::time::Instant::now());
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut sent, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && start.elapsed().as_secs() < 60 {
                // The two lengths differ in one byte, so no mixture of them can be read.
                for length in [60u8, 188] {
                    memory.store(16, &length).unwrap();
                }
            }
        });
        while sent < 2000 || refused < 2000 {
            let argument = 0;
            match host.handle(Call { kind: Hypercall::NetWrite, argument }) {
                Ok(_) => {
                    sent += 1;
                    let mut frame = [0; 2000];
                    let length = network.recv(&mut frame).unwrap();
                    assert_eq!(length, 60, "memory ends here");
                }
                Err(fault) => {
                    refused += 1;
                    let (address, size) = (SIZE as u64 - 60, 188);
                    assert_eq!(fault, GuestFault::Access { address, size });
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn without_a_device_its_hypercalls_do_not_exist() {
    let Fixture { mut host, .. } = fixture();
    host.devices = Box::leak(Box::default());
    for kind in [
        Hypercall::BlockRead,
        Hypercall::BlockWrite,
        Hypercall::BlockFlush,
        Hypercall::NetRead,
        Hypercall::NetWrite,
    ] {
        let argument = 0;
        let fault = host.handle(Call { kind, argument });
        assert_eq!(fault, Err(GuestFault::Hypercall(kind.number())));
    }
}

#[test]
fn an_argument_in_read_only_memory_is_a_fault_without_effect() {
    let Fixture { mut host, network } = fixture();
    let text = solo5_image::Protection { read: true, write: false, execute: true };
    let unprotected = memory(SIZE, Vec::new());
    let ask = Net { handle: 1.into(), data: 0x1000.into(), len: 60.into(), ..Net::default() };
    unprotected.store(0x800, &ask).unwrap();
    host.memory = Box::leak(Box::new(unprotected.protecting(vec![(0..0x1000, text)])));
    let argument = 0x800;
    network.set_nonblocking(true).unwrap();
    for kind in [
        Hypercall::Walltime,
        Hypercall::Poll,
        Hypercall::BlockRead,
        Hypercall::BlockFlush,
        Hypercall::NetRead,
        Hypercall::NetWrite,
    ] {
        let fault = host.handle(Call { kind, argument });
        assert!(matches!(fault, Err(GuestFault::Access { address: 0x800, .. })), "{kind:?}");
    }
    assert!(network.recv(&mut [0; 100]).is_err(), "no frame was sent");
}

proptest! {
    /// For any hypercall, argument and address, the tender answers or names the fault. It never
    /// accesses an address beyond guest memory.
    #[test]
    fn hostile_arguments_end_at_most_the_guest(
        kind in prop::sample::select(Hypercall::ALL.to_vec()),
        argument in prop_oneof![0..SIZE as u64 + 64, any::<u64>(), SIZE as u64 - 48..SIZE as u64],
        words in prop::array::uniform4(prop_oneof![
            0u64..4, any::<u64>(), SIZE as u64 - 520..SIZE as u64 + 8, Just(u64::MAX),
            (0u64..4).prop_map(|sectors| sectors * 512),
        ]),
    ) {
        let Fixture { host, .. } = fixture();
        let mut bytes = [0u8; 40];
        for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        if kind == Hypercall::Poll {
            bytes[..8].fill(0);
        }
        let _ = host.memory.store(argument, &bytes);
        let size = kind.argument_size() as u64;
        match host.handle(Call { kind, argument }) {
            Ok(_) => prop_assert!(argument.checked_add(size).unwrap() <= SIZE as u64),
            Err(GuestFault::Access { address, size }) => {
                let end = address.checked_add(size);
                prop_assert!(address >= SIZE as u64 || end.is_none_or(|end| end > SIZE as u64));
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[test]
fn a_console_without_a_reader_does_not_end_the_guest() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let memory = memory(4096, Vec::new());
    let piece = memory.piece(Allegation::new(0, 4096), Use::Read).unwrap();
    devices::write_stream(writer.as_raw_fd(), piece);
}

#[test]
fn the_tender_waits_for_a_full_console() {
    use std::io::Read;
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let memory = memory(1 << 20, Vec::new());
    let piece = memory.piece(Allegation::new(0, 1 << 20), Use::Read).unwrap();
    let thread = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        all.len()
    });
    devices::write_stream(writer.as_raw_fd(), piece);
    drop(writer);
    assert_eq!(thread.join().unwrap(), 1 << 20);
}
