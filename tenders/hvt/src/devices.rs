//! The devices of a running guest, by handle, and waiting for input on them.

use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;

use solo5_abi::device::Mtu;
use solo5_abi::mft1::Flush;
use solo5_abi::offer::Features;
use solo5_tender::attach::{Access, Backing, Device};

use crate::memory::Piece;
use solo5_tender::arch::system_call;
use solo5_tender::sys::Errno;

/// A network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetDevice {
    /// Its tap, non-blocking.
    pub fd: RawFd,
    /// Longest frame in bytes, without the Ethernet header.
    pub mtu: Mtu,
}

/// A block device.
#[derive(Debug)]
pub struct BlockDevice {
    /// Its file.
    pub fd: RawFd,
    /// Its size in bytes.
    pub capacity: u64,
    /// What the guest may do.
    pub access: Access,
    /// Whether the guest can flush it.
    pub flush: Flush,
    /// Whether a flush has failed. The host may then have lost any data that it had not written, so
    /// the device fails for ever.
    pub failed: AtomicBool,
}

#[derive(Debug)]
enum Entry {
    Net(NetDevice),
    Block(BlockDevice),
}

/// Every device of a guest. Their descriptors stay open until the process ends.
#[derive(Debug, Default)]
pub struct Devices(Vec<(u64, Entry)>);

impl Devices {
    /// Takes over attached devices, for a guest that is offered `features`.
    pub fn new(devices: Vec<Device>, features: Features) -> Devices {
        let entries = devices.into_iter().filter_map(|device| {
            let flush = device.flush(features);
            let fd = std::os::fd::IntoRawFd::into_raw_fd(device.fd?);
            let entry = match device.backing {
                Backing::Net { mtu, .. } => Entry::Net(NetDevice { fd, mtu }),
                Backing::Block { capacity, access, .. } => {
                    let failed = AtomicBool::new(false);
                    Entry::Block(BlockDevice { fd, capacity, access, flush, failed })
                }
            };
            Some((device.index as u64, entry))
        });
        Devices(entries.collect())
    }

    fn entry(&self, handle: u64) -> Option<&Entry> {
        self.0.iter().find(|(index, _)| *index == handle).map(|(_, entry)| entry)
    }

    /// The network interface with this handle.
    pub fn net(&self, handle: u64) -> Option<NetDevice> {
        match self.entry(handle)? {
            Entry::Net(net) => Some(*net),
            Entry::Block(_) => None,
        }
    }

    /// The block device with this handle.
    pub fn block(&self, handle: u64) -> Option<&BlockDevice> {
        match self.entry(handle)? {
            Entry::Block(block) => Some(block),
            Entry::Net(_) => None,
        }
    }

    /// Whether there is a network interface.
    pub fn has_net(&self) -> bool {
        self.0.iter().any(|(_, entry)| matches!(entry, Entry::Net(_)))
    }

    /// Whether there is a block device.
    pub fn has_block(&self) -> bool {
        self.0.iter().any(|(_, entry)| matches!(entry, Entry::Block(_)))
    }

    /// Whether there is a block device that the guest can flush.
    pub fn has_flush(&self) -> bool {
        let flushes = |block: &BlockDevice| block.flush != Flush::Unavailable;
        self.0.iter().any(|(_, entry)| matches!(entry, Entry::Block(block) if flushes(block)))
    }

    /// Adds a device, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn with_net(mut self, handle: u64, fd: RawFd, mtu: Mtu) -> Devices {
        self.0.push((handle, Entry::Net(NetDevice { fd, mtu })));
        self
    }

    /// Adds a device, for tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn with_block(mut self, handle: u64, device: BlockDevice) -> Devices {
        self.0.push((handle, Entry::Block(device)));
        self
    }
}

/// Makes a call, and repeats it as long as signals interrupt it.
pub fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Writes all of `piece` to a stream. Waits while the stream is full; drops the rest if the reader
/// has closed it.
pub fn write_stream(fd: RawFd, piece: Piece) {
    let mut left = piece;
    while left.length() > 0 {
        match left.write_to(fd) {
            Ok(0) => return,
            Ok(count) => left = left.skip(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => wait_writable(fd),
            // Above all EPIPE: a console without a reader must not end the guest.
            Err(_) => return,
        }
    }
}

/// Waits until a non-blocking descriptor is writable.
pub(crate) fn wait_writable(fd: RawFd) {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one complete `pollfd`, no time limit, no signal mask.
    unsafe { libc::ppoll(&mut poll, 1, std::ptr::null(), std::ptr::null()) };
}

/// Nanoseconds since 1970, by the host's clock.
pub fn wall_clock() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// The epoll set, which holds every tap (events carry the handle) and the timer.
#[derive(Clone, Copy, Debug)]
pub struct Events {
    /// The set.
    pub epoll: RawFd,
    /// The timer.
    pub timer: RawFd,
}

/// Data of the timer's event, in place of a handle.
pub const TIMER: u64 = 0xffff_fffe;

/// Data of the debugger's event. No device has it as its handle, so it makes none readable.
pub const DEBUGGER: u64 = 0xffff_fffd;

/// Event flags of a deleted tap.
const GONE: u32 = (libc::EPOLLERR | libc::EPOLLHUP) as u32;

/// Maximum number of events in one wait: every device and the timer.
pub const EVENTS_MAX: usize = 64;

impl Events {
    /// Waits up to `timeout` nanoseconds until a device is readable. Returns the readable devices:
    /// bit N for handle N.
    ///
    /// A deleted tap counts as readable once, so that the guest reads it and gets the error. It
    /// ends no later wait.
    pub fn wait(&self, devices: &Devices, timeout: u64) -> u64 {
        // Often a frame is there already, and the timer need not be set.
        if timeout == 0 || devices.has_net() {
            let (ready, is_debugger) = self.poll(devices, 0);
            // The debugger's event comes only once, so this look has to end the wait.
            if timeout == 0 || ready != 0 || is_debugger {
                return ready;
            }
        }
        // The timer ends the wait.
        self.set_timer(timeout);
        self.poll(devices, -1).0
    }

    /// As [`Events::wait`]; a `timeout` of 0 does not wait, and one of -1 waits for an event.
    /// The second value tells whether the debugger's event came.
    fn poll(&self, devices: &Devices, timeout: libc::c_int) -> (u64, bool) {
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; EVENTS_MAX];
        let place = events.as_mut_ptr().expose_provenance();
        let mask_size = size_of::<u64>();
        let arguments = [self.epoll as usize, place, EVENTS_MAX, timeout as usize, 0, mask_size];
        let count = loop {
            // SAFETY: `events` has room for the given number of events; no signal mask.
            let result = unsafe { system_call(libc::SYS_epoll_pwait, arguments) };
            if result != -(libc::EINTR as isize) {
                break usize::try_from(result).unwrap_or(0);
            }
        };
        // SAFETY: the kernel has written that many events.
        let events = events.iter().take(count).map(|event| unsafe { event.assume_init() });
        let mut is_debugger = false;
        let ready = events.filter(|event| event.u64 != TIMER).fold(0, |set, event| {
            let (handle, flags) = (event.u64, event.events);
            is_debugger |= handle == DEBUGGER;
            if flags & GONE != 0 && flags & libc::EPOLLIN as u32 == 0 {
                self.forget(devices, handle);
            }
            set | 1u64.checked_shl(u32::try_from(handle).unwrap_or(u32::MAX)).unwrap_or(0)
        });
        (ready, is_debugger)
    }

    /// Removes this device from the epoll set.
    fn forget(&self, devices: &Devices, handle: u64) {
        if let Some(net) = devices.net(handle) {
            let none = std::ptr::null_mut();
            // SAFETY: only numbers are passed; EPOLL_CTL_DEL ignores the event.
            unsafe { libc::epoll_ctl(self.epoll, libc::EPOLL_CTL_DEL, net.fd, none) };
        }
    }

    /// Sets the timer to expire once, after `timeout` nanoseconds; this discards an earlier
    /// expiration.
    fn set_timer(&self, timeout: u64) {
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let new = libc::itimerspec {
            it_interval: zero,
            it_value: libc::timespec {
                tv_sec: (timeout / 1_000_000_000) as i64,
                tv_nsec: (timeout % 1_000_000_000) as libc::c_long,
            },
        };
        // SAFETY: a complete structure that is only read; a null pointer asks for no old value.
        unsafe { libc::timerfd_settime(self.timer, 0, &new, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::{AsRawFd, OwnedFd};

    use solo5_abi::device::SectorSize;
    use solo5_tender::attach::FileId;
    use solo5_tender::memory::Allegation;

    use super::*;
    use crate::memory::Use;
    use crate::memory::testing::memory;

    fn device(index: usize, backing: Backing, fd: Option<OwnedFd>) -> Device {
        Device { index, name: "device".to_owned(), backing, fd }
    }

    fn net() -> Backing {
        let interface = b"tap0".to_vec();
        Backing::Net { interface, mtu: Mtu::ETHERNET, mac: None, mtu_minimum: None }
    }

    fn block() -> Backing {
        Backing::Block {
            path: "disk".to_owned(),
            file: FileId::Inode(0, 0),
            capacity: 4096,
            sector_size: SectorSize::DEFAULT,
            access: Access::ReadOnly,
            capacity_minimum: None,
            flush: false,
        }
    }

    #[test]
    fn a_handle_finds_the_device_of_its_kind_only() {
        let fd = || OwnedFd::from(tempfile::tempfile().unwrap());
        let (tap, disk) = (fd(), fd());
        let (tap_fd, disk_fd) = (tap.as_raw_fd(), disk.as_raw_fd());
        let attached = vec![
            device(1, net(), Some(tap)),
            device(2, block(), Some(disk)),
            device(3, net(), None),
        ];
        let devices = Devices::new(attached, Features::ALL);
        assert!(devices.has_net() && devices.has_block());
        assert_eq!(devices.net(1), Some(NetDevice { fd: tap_fd, mtu: Mtu::ETHERNET }));
        let found = devices.block(2).unwrap();
        assert_eq!((found.fd, found.capacity, found.access), (disk_fd, 4096, Access::ReadOnly));
        assert!(!devices.has_flush() && found.flush == Flush::Unavailable, "not asked for");
        assert!(devices.net(2).is_none() && devices.block(1).is_none(), "the other kind");
        assert_eq!((devices.net(3), devices.net(u64::MAX)), (None, None), "not attached");
        let none = Devices::default();
        assert!(!none.has_net() && !none.has_block());
    }

    #[test]
    fn a_full_console_is_waited_for_and_a_closed_one_is_dropped() {
        let memory = memory(64, Vec::new());
        memory.store(0, b"guest output").unwrap();
        let text = memory.piece(Allegation::new(0, 12), Use::Read).unwrap();
        let (mut from, to) = std::os::unix::net::UnixStream::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        let mut filled = 0;
        while let Ok(count) = (&to).write(&[0; 4096]) {
            filled += count;
        }
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            from.read_to_end(&mut all).unwrap();
            all
        });
        write_stream(to.as_raw_fd(), text);
        drop(to);
        assert_eq!(reader.join().unwrap()[filled..], *b"guest output");
        let (closed, writer) = std::io::pipe().unwrap();
        drop(closed);
        write_stream(writer.as_raw_fd(), text);
    }

    #[test]
    fn an_interrupted_call_is_repeated() {
        let mut results = [Err(Errno::INTR), Err(Errno::INTR), Err(Errno::IO)].into_iter();
        assert_eq!(retry(|| results.next().unwrap_or(Ok(()))), Err(Errno::IO));
        assert_eq!(retry(|| results.next().unwrap_or(Ok(()))), Ok(()));
    }
}
