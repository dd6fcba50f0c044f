//! The hypercalls of a guest under hvt: what its CPU's exits and its memory say, without KVM.

use std::fs::File;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::AtomicBool;
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::event::epoll;
use rustix::time::{TimerfdClockId, TimerfdFlags};
use solo5_abi::device::Mtu;
use solo5_abi::hvt::{GUEST_MIN_BASE, Hypercall, Poll};
use solo5_abi::mft1::Flush;
use solo5_hvt::devices::{BlockDevice, Devices, Events, TIMER};
use solo5_hvt::exit::{Exit, decode};
use solo5_hvt::fault::GuestFault;
use solo5_hvt::hypercall::{Host, Next};
use solo5_hvt::memory::testing::memory;
use solo5_hvt::memory::{LOW, NO_ACCESS, SharedMemory, Use};
use solo5_tender::attach::Access;
use solo5_tender::memory::Allegation;

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "hypercall", run, seeds, words };

/// Size of guest memory.
const SIZE: u64 = GUEST_MIN_BASE + 0x1_0000;
/// A page in it that nobody may access.
const GUARD: u64 = GUEST_MIN_BASE + 0x8000;
const PAGE: usize = 0x1000;
/// What fills memory and disks that must not change.
const KEPT: u8 = 0xa5;
/// Sectors of each file; the disks end in the middle.
const SECTOR: usize = 512;
const DISK: u64 = 2 * SECTOR as u64;
const MTU: u64 = 1500;
/// Handles: a network interface, a disk, a disk that is read-only.
const NET: u64 = 1;
const WRITABLE: u64 = 2;
const READ_ONLY: u64 = 3;

/// A tender that has the devices above, and what it must not change.
struct Machine {
    host: Host,
    /// All of guest memory.
    all: SharedMemory,
    network: UnixDatagram,
    /// The disks' files: the writable one and the other.
    files: [File; 2],
}

static MACHINE: LazyLock<Mutex<Machine>> = LazyLock::new(|| Mutex::new(machine()));

fn machine() -> Machine {
    let (tap, network) = UnixDatagram::pair().expect("a socket pair");
    for end in [&tap, &network] {
        end.set_nonblocking(true).expect("a socket");
    }
    let file = || {
        let made = rustix::fs::memfd_create("disk", rustix::fs::MemfdFlags::CLOEXEC);
        let file = File::from(made.expect("a file in memory"));
        file.write_all_at(&[KEPT; 4 * SECTOR], 0).expect("memory");
        file
    };
    let files = [file(), file()];
    let events = epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll set");
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags).expect("a timer");
    for (fd, data) in [(timer.as_fd(), TIMER), (tap.as_fd(), NET)] {
        let data = epoll::EventData::new_u64(data);
        epoll::add(&events, fd, data, epoll::EventFlags::IN).expect("an event");
    }
    let disk = |file: &File, access| BlockDevice {
        fd: OwnedFd::from(file.try_clone().expect("a descriptor")).into_raw_fd(),
        capacity: DISK,
        access,
        flush: Flush::Available,
        failed: AtomicBool::new(false),
    };
    let devices = Devices::default()
        .with_net(NET, tap.into_raw_fd(), Mtu::new(MTU).expect("a valid MTU"))
        .with_block(WRITABLE, disk(&files[0], Access::ReadWrite))
        .with_block(READ_ONLY, disk(&files[1], Access::ReadOnly));
    let all = memory(SIZE as usize, Vec::new());
    for at in (0..SIZE).step_by(PAGE) {
        all.store(at, &[KEPT; PAGE]).expect("in memory");
    }
    let guard = (GUARD..GUARD + PAGE as u64, NO_ACCESS);
    let nowhere = File::options().write(true).open("/dev/null").expect("/dev/null");
    let host = Host {
        memory: Box::leak(Box::new(all.protecting(vec![LOW, guard]))),
        devices: Box::leak(Box::new(devices)),
        events: Events { epoll: events.into_raw_fd(), timer: timer.into_raw_fd() },
        ring: None,
        console: nowhere.into_raw_fd(),
    };
    Machine { host, all, network, files }
}

/// Bytes of one step of the guest.
const STEP: usize = 48;
/// Steps of one guest at most.
const STEPS: usize = 16;

/// Steps of a guest. Each is 8 bytes on the exit (flags, size of the operand, port, operand) and 40
/// bytes that the guest has stored where the operand points to.
fn run(data: &[u8]) -> bool {
    let mut machine = MACHINE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut answered = false;
    for step in data.as_chunks::<STEP>().0.iter().take(STEPS) {
        match machine.step(step) {
            Ok(true) => answered = true,
            Ok(false) => {}
            Err(()) => break,
        }
    }
    machine.check();
    answered
}

impl Machine {
    /// One exit: whether it was a hypercall that has been answered. An error ends the guest.
    fn step(&mut self, step: &[u8; STEP]) -> Result<bool, ()> {
        let ([flags, size, port @ .., a, b, c, d], argument) =
            step.split_first_chunk::<8>().expect("more than 8 bytes");
        let (port, value) = (u16::from_le_bytes(*port), u32::from_le_bytes([*a, *b, *c, *d]));
        if flags & 1 != 0 {
            // A frame, with luck: the queue may be full.
            let length = usize::from(argument[0]) * 8;
            let _ = self.network.send(&[3; 8 * 256][..length]);
        }
        // Elsewhere than in its own memory a guest cannot store, and it does not store in the guard.
        let _ = self.host.memory.store(value.into(), argument.first_chunk::<40>().expect("40"));
        let count = u32::from(flags >> 4) + 1;
        let exit = Exit::Port { port, write: flags & 2 == 0, size: *size, count, value };
        let call = match decode(exit, SIZE) {
            Ok(call) => call.expect("an access to a port is a hypercall or a fault"),
            Err(GuestFault::Port(_) | GuestFault::Hypercall(_)) => return Err(()),
            Err(other) => panic!("{other:?}"),
        };
        assert!(*size == 4 && count == 1 && flags & 2 == 0 && call.kind.port() == port);
        if call.kind == Hypercall::Poll
            && let Ok(poll) = self.host.memory.load::<Poll>(call.argument)
        {
            // Nobody waits here.
            let _ =
                self.host.memory.store(call.argument, &Poll { timeout_nsecs: 0.into(), ..poll });
        }
        match self.host.handle(call) {
            Ok(Next::Run) => Ok(true),
            Ok(Next::End(_)) => Err(()),
            Err(GuestFault::Access { address, size }) => {
                let range = Allegation::new(address, size);
                assert!(self.host.memory.piece(range, Use::Write).is_err(), "{range:x?} is fine");
                Err(())
            }
            Err(other) => panic!("{other:?} to {call:?}"),
        }
    }

    /// Checks what must not have changed, and resets the rest for the next guest.
    fn check(&mut self) {
        for at in (0..SIZE).step_by(PAGE) {
            if at < GUEST_MIN_BASE || at == GUARD {
                let page = self.all.load::<[u8; PAGE]>(at).expect("in memory");
                assert!(page == [KEPT; PAGE], "the tender wrote to {at:#x}");
            } else {
                self.all.store(at, &[0u8; PAGE]).expect("in memory");
            }
        }
        let [writable, read_only] = &self.files;
        for (file, kept) in [(writable, DISK), (read_only, 0)] {
            let mut content = [0; 4 * SECTOR];
            file.read_exact_at(&mut content, 0).expect("all sectors");
            assert!(content[kept as usize..].iter().all(|byte| *byte == KEPT), "a disk changed");
            let length = file.metadata().expect("a file").len();
            assert_eq!(length, content.len() as u64, "a file's size changed");
        }
        writable.write_all_at(&[KEPT; DISK as usize], 0).expect("memory");
        let mut frame = [0; 2 * MTU as usize];
        while let Ok(length) = self.network.recv(&mut frame) {
            assert!((14..=MTU as usize + 14).contains(&length), "a frame of {length} bytes");
        }
        // The tap is read by the same call as a guest's.
        let place = Allegation::new(GUEST_MIN_BASE, 4096);
        while let Ok(received) =
            solo5_hvt::net::receive(self.host.devices, self.host.memory, NET, place)
            && received.length > 0
        {}
        self.all.store(GUEST_MIN_BASE, &[0u8; PAGE]).expect("in memory");
    }
}

/// A step: a hypercall with an argument of up to five words at `at`.
fn step(kind: Hypercall, at: u64, words: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0, 4];
    bytes.extend(kind.port().to_le_bytes());
    bytes.extend((at as u32).to_le_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize(STEP, 0);
    bytes
}

fn seeds() -> Vec<Vec<u8>> {
    let (at, data) = (GUEST_MIN_BASE + 0x100, GUEST_MIN_BASE + 0x1000);
    let sector = SECTOR as u64;
    let mut frame = step(Hypercall::NetRead, at, &[NET, data, 1514]);
    frame[0] = 1;
    let mut read = step(Hypercall::Puts, at, &[data, 4]);
    read[0] = 2;
    vec![
        [step(Hypercall::Walltime, at, &[]), step(Hypercall::Poll, at, &[5])].concat(),
        step(Hypercall::Puts, at, &[data, 64]),
        step(Hypercall::Puts, SIZE - 16, &[0x1000, GUEST_MIN_BASE - 0x1000]),
        [
            step(Hypercall::BlockWrite, at, &[WRITABLE, sector, data, sector]),
            step(Hypercall::BlockRead, at, &[READ_ONLY, 0, data, DISK]),
            step(Hypercall::BlockFlush, at, &[WRITABLE]),
        ]
        .concat(),
        step(Hypercall::BlockWrite, at, &[WRITABLE, DISK, data, sector]),
        step(Hypercall::BlockWrite, at, &[READ_ONLY, 0, data, sector]),
        step(Hypercall::BlockRead, at, &[WRITABLE, 0, GUARD - 8, sector]),
        step(Hypercall::BlockRead, at, &[WRITABLE, 0, GUEST_MIN_BASE - 8, sector]),
        [step(Hypercall::NetWrite, at, &[NET, data, 1514]), frame].concat(),
        step(Hypercall::Halt, at, &[0, 7]),
        step(Hypercall::Halt, at, &[SIZE - 512, 255]),
        read,
    ]
}

fn words() -> Vec<Vec<u8>> {
    let addresses = [GUEST_MIN_BASE, GUARD, SIZE, SIZE - 16, u64::MAX, DISK, MTU + 14];
    let numbers = addresses.iter().map(|number| number.to_le_bytes().to_vec());
    let ports = Hypercall::ALL.iter().map(|kind| kind.port().to_le_bytes().to_vec());
    numbers.chain(ports).collect()
}
