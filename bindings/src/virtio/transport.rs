//! How a driver speaks to a device, whichever bus it is on, and how both agree on features
//! (`docs/reference/virtio.md#negotiation`).

use super::ring::Ring;
use super::shared::Shared;

/// A device's registers.
pub trait Transport {
    /// Whether the device follows version 1 of the standard; else it is a legacy device.
    fn is_modern(&self) -> bool;
    /// The device's status.
    fn status(&self) -> u8;
    /// Sets the device's status; 0 resets it.
    fn set_status(&self, status: u8);
    /// 32 of the features that the device offers: word 0 has bits 0 to 31.
    fn offered(&self, word: u32) -> u32;
    /// Accepts 32 of the features.
    fn accept(&self, word: u32, features: u32);
    /// Most descriptors of a queue; 0 if there is no such queue.
    fn queue_size(&self, queue: u16) -> u16;
    /// Whether a driver can choose fewer descriptors.
    fn can_shrink(&self) -> bool;
    /// Gives the device a queue. Returns what [`Transport::notify`] needs, or `None` if the device cannot
    /// use the queue.
    fn set_queue(&self, queue: u16, ring: &Ring) -> Option<u32>;
    /// Tells the device of something in a queue.
    fn notify(&self, queue: u16, token: u32);
    /// Ends the device's interrupt.
    fn acknowledge(&self);
    /// A byte of the device's own registers.
    fn config8(&self, offset: u32) -> u8;
    /// Two bytes of them.
    fn config16(&self, offset: u32) -> u16;
    /// Four bytes of them.
    fn config32(&self, offset: u32) -> u32;
    /// A number that differs after the device has changed its own registers.
    fn generation(&self) -> u32;
}

/// What a driver needs of the machine.
pub trait Machine {
    /// Monotonic time in nanoseconds.
    fn now(&self) -> u64;
    /// Lets the device run for an instant.
    fn pause(&self);
    /// `count` pages that a device can reach, all zeros; `None` if memory is too scarce.
    fn pages(&mut self, count: usize) -> Option<Shared>;
}

/// Why a device cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It does not finish a reset in time.
    Reset,
    /// It is on a modern bus and does not offer version 1.
    Version,
    /// It refuses the features that the driver accepts.
    Features,
    /// A queue is missing, too small or refused.
    Queue,
    /// Too little memory is left.
    Memory,
    /// Its properties are not possible.
    Properties,
}

impl Failure {
    /// The failure in words, behind the device's place.
    pub fn text(self) -> &'static str {
        match self {
            Failure::Reset => ": not configured: it does not finish its reset",
            Failure::Version => ": not configured: it does not offer version 1 of virtio",
            Failure::Features => ": not configured: it refuses the features accepted",
            Failure::Queue => ": not configured: it has no queue that can be used",
            Failure::Memory => ": not configured: it needs more memory than is left",
            Failure::Properties => {
                ": not configured: it has a size, sector size or MTU that is not possible"
            }
        }
    }
}

/// Bits of the status.
pub mod status {
    /// The driver has found the device.
    pub const ACKNOWLEDGE: u8 = 1;
    /// The driver can drive it.
    pub const DRIVER: u8 = 2;
    /// The device may run.
    pub const DRIVER_OK: u8 = 4;
    /// Features are agreed on.
    pub const FEATURES_OK: u8 = 8;
    /// The driver has given up.
    pub const FAILED: u8 = 128;
}

/// Feature: the device follows version 1 of the standard.
const VERSION_1: u64 = 1 << 32;
/// Longest reset in nanoseconds.
pub const RESET_PATIENCE: u64 = 1_000_000_000;
/// Most descriptors that the driver asks for, where it has a choice.
const SIZE_WANTED: u16 = 256;
const PAGE: usize = 4096;

/// Resets the device. Returns whether it did so in time; until then it may write to memory.
pub fn reset(transport: &impl Transport, machine: &impl Machine) -> bool {
    transport.set_status(0);
    wait(machine, RESET_PATIENCE, || transport.status() == 0)
}

/// Waits until `done`, for up to `patience` nanoseconds; returns whether it is.
pub fn wait(machine: &impl Machine, patience: u64, mut done: impl FnMut() -> bool) -> bool {
    let start = machine.now();
    while !done() {
        if machine.now().saturating_sub(start) > patience {
            // What happened while the machine was not running counts.
            return done();
        }
        machine.pause();
    }
    true
}

/// Resets the device and agrees on features: those of `wanted` that it offers. Returns what it offers,
/// and what was accepted.
pub fn negotiate(
    transport: &impl Transport,
    machine: &impl Machine,
    wanted: u64,
) -> Result<(u64, u64), Failure> {
    if !reset(transport, machine) {
        return Err(Failure::Reset);
    }
    add_status(transport, status::ACKNOWLEDGE);
    add_status(transport, status::DRIVER);
    let modern = transport.is_modern();
    let high = if modern { transport.offered(1) } else { 0 };
    let offered = u64::from(high) << 32 | u64::from(transport.offered(0));
    let mut accepted = offered & wanted;
    if modern {
        if offered & VERSION_1 == 0 {
            return Err(Failure::Version);
        }
        accepted |= VERSION_1;
    }
    transport.accept(0, accepted as u32);
    if modern {
        transport.accept(1, (accepted >> 32) as u32);
        add_status(transport, status::FEATURES_OK);
        if transport.status() & status::FEATURES_OK == 0 {
            return Err(Failure::Features);
        }
    }
    Ok((offered, accepted))
}

/// Makes queue `queue` of a device. Returns it with what notifying needs.
pub fn make_queue(
    transport: &impl Transport,
    machine: &mut impl Machine,
    queue: u16,
) -> Result<(Ring, u32), Failure> {
    let most = transport.queue_size(queue);
    let size = if transport.can_shrink() {
        // A power of two, whatever the device says.
        most.min(SIZE_WANTED).checked_ilog2().map_or(0, |log| 1 << log)
    } else {
        most
    };
    let bytes = Ring::bytes(size).ok_or(Failure::Queue)?;
    let memory = machine.pages(bytes.div_ceil(PAGE)).ok_or(Failure::Memory)?;
    let ring = Ring::new(memory, size).ok_or(Failure::Memory)?;
    let token = transport.set_queue(queue, &ring).ok_or(Failure::Queue)?;
    Ok((ring, token))
}

/// Lets the device run.
pub fn start(transport: &impl Transport) {
    add_status(transport, status::DRIVER_OK);
}

fn add_status(transport: &impl Transport, bits: u8) {
    transport.set_status(transport.status() | bits);
}

/// Reads several registers of the device's own until it does not change them in between.
pub fn consistent<T>(transport: &impl Transport, read: impl Fn() -> T) -> T {
    /// Attempts; a device that changes its registers all the time gets the last reading.
    const TRIES: u32 = 8;
    let mut value = None;
    for _ in 0..TRIES {
        let before = transport.generation();
        let reading = read();
        if transport.generation() == before {
            return reading;
        }
        value = Some(reading);
    }
    value.unwrap_or_else(read)
}
