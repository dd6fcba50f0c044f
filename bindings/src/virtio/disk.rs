//! Driver of a virtio block device (`docs/reference/virtio.md#block`).
//!
//! One request at a time, and the driver waits for it without interrupts. A device that does not answer
//! within [`PATIENCE`], or answers what was not asked, is reset, so that it no longer writes into the
//! application's memory; from then on every call fails.

use super::ring::{Buffer, Ring};
use super::shared::Shared;
use super::transport::{self, Failure, Machine, Transport};

/// Longest wait for an answer in nanoseconds: what Linux grants a disk.
pub const PATIENCE: u64 = 30_000_000_000;
/// Most bytes in one request.
pub const TRANSFER_MAX: usize = 1 << 20;
/// Length of a serial in bytes; shorter ones end with a NUL.
pub const SERIAL_SIZE: usize = 20;

/// Features: largest segment, read-only, sector size, flush.
const SIZE_MAX: u64 = 1 << 1;
const RO: u64 = 1 << 5;
const BLK_SIZE: u64 = 1 << 6;
const FLUSH: u64 = 1 << 9;

/// Offsets of the device's registers.
const CAPACITY: u32 = 0;
const SEGMENT_SIZE: u32 = 8;
const SECTOR_SIZE: u32 = 20;

/// The unit of the device's addresses and capacity in bytes, whatever its sector size.
const UNIT: u64 = 512;
const PAGE: usize = 4096;

/// Offsets in the scratch memory: request header, status, serial, and one sector.
const HEADER: usize = 0;
const STATUS: usize = 16;
const SERIAL: usize = 32;
const SECTOR: usize = PAGE;
/// A status that no device writes.
const NO_STATUS: u8 = 0xff;

/// A request, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Data from the device.
    Read = 0,
    /// Data to the device.
    Write = 1,
    /// Makes everything written permanent.
    Flush = 4,
    /// The serial.
    Serial = 8,
}

/// Memory of the caller's, as the device sees it: its address, and how many bytes follow without a gap.
pub type Physical = fn(*const u8) -> Option<(u64, u64)>;

/// The request has failed, or the device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed;

/// A block device.
#[derive(Debug)]
pub struct Disk<T> {
    transport: T,
    ring: Ring,
    token: u32,
    scratch: Shared,
    /// What the device offers.
    pub offered: u64,
    accepted: u64,
    /// In bytes, a multiple of the sector size.
    pub capacity: u64,
    /// In bytes, a power of two from 512 to 32768.
    pub sector_size: u16,
    /// Most bytes in one request, a multiple of the sector size.
    request_max: usize,
    failed: bool,
}

impl<T: Transport> Disk<T> {
    /// Takes over a device.
    pub fn new(transport: T, machine: &mut impl Machine) -> Result<Disk<T>, Failure> {
        let wanted = SIZE_MAX | RO | BLK_SIZE | FLUSH;
        let (offered, accepted) = transport::negotiate(&transport, machine, wanted)?;
        let (units, sector_size, segment) = transport::consistent(&transport, || {
            let low = transport.config32(CAPACITY);
            let high = transport.config32(CAPACITY + 4);
            let has = |feature| accepted & feature != 0;
            let sector = if has(BLK_SIZE) { transport.config32(SECTOR_SIZE) } else { UNIT as u32 };
            let segment = if has(SIZE_MAX) { transport.config32(SEGMENT_SIZE) } else { u32::MAX };
            (u64::from(high) << 32 | u64::from(low), sector, segment)
        });
        let sector_size = u16::try_from(sector_size)
            .ok()
            .filter(|size| size.is_power_of_two() && (512..=1 << 15).contains(size))
            .ok_or(Failure::Properties)?;
        let capacity = units.checked_mul(UNIT).ok_or(Failure::Properties)?;
        let mask = usize::from(sector_size).wrapping_sub(1);
        let request_max = usize::try_from(segment).unwrap_or(usize::MAX).min(TRANSFER_MAX) & !mask;
        if request_max == 0 {
            return Err(Failure::Properties);
        }
        let (ring, token) = transport::make_queue(&transport, machine, 0)?;
        ring.suppress_interrupts();
        let pages = 1 + usize::from(sector_size).div_ceil(PAGE);
        let scratch = machine.pages(pages).ok_or(Failure::Memory)?;
        transport::start(&transport);
        Ok(Disk {
            transport,
            ring,
            token,
            scratch,
            offered,
            accepted,
            capacity: capacity & !(mask as u64),
            sector_size,
            request_max,
            failed: false,
        })
    }

    /// Whether the device refuses writes.
    pub fn is_read_only(&self) -> bool {
        self.accepted & RO != 0
    }

    /// Whether written data may be lost until a flush.
    pub fn needs_flush(&self) -> bool {
        self.accepted & FLUSH != 0 && !self.is_read_only()
    }

    /// The serial that the host gave the device, NULs at its end. All NULs if it has none.
    pub fn serial(&mut self, machine: &impl Machine) -> [u8; SERIAL_SIZE] {
        let mut serial = [0; SERIAL_SIZE];
        self.scratch.write64(SERIAL, 0);
        self.scratch.write64(SERIAL + 8, 0);
        self.scratch.write32(SERIAL + 16, 0);
        let place = self.scratch.physical(SERIAL);
        if self.request(machine, Request::Serial, 0, Some((place, SERIAL_SIZE))).is_ok() {
            let mut ended = false;
            for (byte, offset) in serial.iter_mut().zip(SERIAL..) {
                let read = self.scratch.read8(offset);
                ended |= read == 0;
                *byte = if ended { 0 } else { read };
            }
        }
        serial
    }

    /// The first sector's bytes `offset` to `offset` + 4, as a number; `None` if it cannot be read.
    pub fn first_sector(
        &mut self,
        machine: &impl Machine,
        offsets: [usize; 2],
    ) -> Option<[u32; 2]> {
        let data = (self.scratch.physical(SECTOR), usize::from(self.sector_size));
        if self.capacity == 0 || self.request(machine, Request::Read, 0, Some(data)).is_err() {
            return None;
        }
        Some(offsets.map(|offset| self.scratch.read32(SECTOR + offset)))
    }

    /// Makes everything written permanent.
    pub fn flush(&mut self, machine: &impl Machine) -> Result<(), Failed> {
        self.request(machine, Request::Flush, 0, None)
    }

    /// Transfers `size` bytes, whole sectors on the device, from `offset` on.
    ///
    /// # Safety
    ///
    /// `size` bytes at `buf` are the caller's to read, and for [`Request::Read`] to write.
    pub unsafe fn transfer(
        &mut self,
        machine: &impl Machine,
        physical: Physical,
        request: Request,
        offset: u64,
        buf: *mut u8,
        size: usize,
    ) -> Result<(), Failed> {
        if request == Request::Write && self.is_read_only() {
            return Err(Failed);
        }
        let sector_size = usize::from(self.sector_size);
        let mut done = 0;
        while done < size {
            let place = buf.wrapping_add(done);
            let left = size.wrapping_sub(done).min(self.request_max);
            // The range is on the device, so the sum does not overflow.
            let unit = offset.wrapping_add(done as u64) / UNIT;
            let reach = physical(place);
            let whole = reach.map_or(0, |(_, bytes)| {
                let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                left.min(bytes) & !sector_size.wrapping_sub(1)
            });
            done = done.wrapping_add(match reach {
                Some((address, _)) if whole > 0 => {
                    self.request(machine, request, unit, Some((address, whole)))?;
                    whole
                }
                // A sector across a gap, or in no memory of a device: by way of the scratch memory.
                _ => {
                    // SAFETY: the caller's promise, for one sector of its buffer.
                    unsafe { self.bounce(machine, request, unit, place, sector_size.min(left))? };
                    sector_size
                }
            });
        }
        Ok(())
    }

    /// Transfers one sector through the scratch memory.
    ///
    /// # Safety
    ///
    /// As for [`Disk::transfer`].
    unsafe fn bounce(
        &mut self,
        machine: &impl Machine,
        request: Request,
        unit: u64,
        place: *mut u8,
        size: usize,
    ) -> Result<(), Failed> {
        let scratch = self.scratch;
        if request == Request::Write {
            // SAFETY: the caller's promise; the scratch memory is not the caller's.
            unsafe { scratch.copy_in(SECTOR, place, size) };
        }
        self.request(machine, request, unit, Some((scratch.physical(SECTOR), size)))?;
        if request == Request::Read {
            // SAFETY: likewise.
            unsafe { scratch.copy_out(SECTOR, place, size) };
        }
        Ok(())
    }

    /// Makes a request with `data`, an address of the device's and a length, and waits for the answer.
    fn request(
        &mut self,
        machine: &impl Machine,
        request: Request,
        unit: u64,
        data: Option<(u64, usize)>,
    ) -> Result<(), Failed> {
        if self.failed {
            return Err(Failed);
        }
        let scratch = self.scratch;
        scratch.write32(HEADER, request as u32);
        scratch.write32(HEADER + 4, 0);
        scratch.write64(HEADER + 8, unit);
        scratch.write8(STATUS, NO_STATUS);
        let header = Buffer { address: scratch.physical(HEADER), len: 16, writes: false };
        let status = Buffer { address: scratch.physical(STATUS), len: 1, writes: true };
        let published = match data {
            Some((address, len)) => {
                let len = u32::try_from(len).map_err(|_| Failed)?;
                let writes = request != Request::Write;
                self.ring.publish(0, &[header, Buffer { address, len, writes }, status])
            }
            None => self.ring.publish(0, &[header, status]),
        };
        if !published {
            return Err(Failed);
        }
        if self.ring.wants_notification() {
            self.transport.notify(0, self.token);
        }
        transport::wait(machine, PATIENCE, || self.ring.has_used());
        match self.ring.take() {
            // The status comes before the index that tells of it, and `take` has read that.
            Ok(Some(_)) => match scratch.read8(STATUS) {
                0 => Ok(()),
                _ => Err(Failed),
            },
            _ => {
                self.give_up(machine);
                Err(Failed)
            }
        }
    }

    /// Ends the device's interrupt. It was asked for none, but may send one when it changes.
    pub fn acknowledge(&self) {
        self.transport.acknowledge();
    }

    /// Resets the device for good.
    pub fn give_up(&mut self, machine: &impl Machine) {
        self.failed = true;
        transport::reset(&self.transport, machine);
    }
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::virtio::double::{Answer, Double, MEMORY, Nature, World};

    /// A device with this capacity in units, sector size and features.
    fn nature(units: u64, sector: u32, features: u64) -> Nature {
        let mut config = vec![0; 64];
        config[..8].copy_from_slice(&units.to_le_bytes());
        config[20..24].copy_from_slice(&sector.to_le_bytes());
        Nature { features, config, ..Nature::default() }
    }

    fn disk(world: &World) -> Result<Disk<Double<'_>>, Failure> {
        Disk::new(world.transport(), &mut world.machine())
    }

    /// Every buffer is reachable, and the device sees it at the same address.
    fn same(pointer: *const u8) -> Option<(u64, u64)> {
        Some((pointer.expose_provenance() as u64, 1 << 30))
    }

    /// No buffer is reachable for more than 700 bytes, and not at all at odd hundreds of bytes.
    fn scattered(pointer: *const u8) -> Option<(u64, u64)> {
        let address = pointer.expose_provenance() as u64;
        let left = 700 - address % 700;
        (address / 100).is_multiple_of(2).then_some((address, left))
    }

    #[test]
    fn data_is_written_and_read_back() {
        for (sector, physical) in [(512, same as Physical), (512, scattered), (4096, scattered)] {
            let world = World::new(nature(8192, sector, BLK_SIZE | FLUSH));
            let mut disk = disk(&world).unwrap();
            assert_eq!((disk.capacity, u32::from(disk.sector_size)), (8192 * 512, sector));
            let mut data: Vec<u8> = (0..3u32 << 20).map(|n| (n / 7 + n) as u8).collect();
            let mut read = vec![0; data.len()];
            let (len, machine) = (data.len(), world.machine());
            // SAFETY: a buffer of the length named.
            let outcome = unsafe {
                disk.transfer(&machine, physical, Request::Write, 8192, data.as_mut_ptr(), len)
            };
            assert_eq!(outcome, Ok(()));
            // SAFETY: likewise.
            let outcome = unsafe {
                disk.transfer(&machine, physical, Request::Read, 8192, read.as_mut_ptr(), len)
            };
            assert_eq!(outcome, Ok(()));
            assert!(data == read, "{sector}");
            assert!(world.content()[8192..][..len] == data, "{sector}");
            assert_eq!(disk.flush(&machine), Ok(()));
        }
    }

    #[test]
    fn many_sectors_are_one_request() {
        let world = World::new(nature(8192, 512, FLUSH));
        let mut disk = disk(&world).unwrap();
        let mut data = vec![1; 2 << 20];
        // SAFETY: a buffer of the length named.
        let outcome = unsafe {
            let (start, len) = (data.as_mut_ptr(), data.len());
            disk.transfer(&world.machine(), same, Request::Read, 0, start, len)
        };
        assert_eq!(outcome, Ok(()));
        assert_eq!(world.requests(), 2);
    }

    #[test]
    fn a_serial_is_read() {
        let world = World::new(nature(8, 512, 0));
        let mut disk = disk(&world).unwrap();
        assert_eq!(&disk.serial(&world.machine()), b"double\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn a_read_only_device_is_not_written() {
        let world = World::new(nature(8, 512, RO | FLUSH));
        let mut disk = disk(&world).unwrap();
        assert!(disk.is_read_only() && !disk.needs_flush());
        let mut data = [7u8; 512];
        // SAFETY: a buffer of the length named.
        let outcome = unsafe {
            disk.transfer(&world.machine(), same, Request::Write, 0, data.as_mut_ptr(), 512)
        };
        assert_eq!((outcome, world.requests()), (Err(Failed), 0));
    }

    #[test]
    fn impossible_properties_are_refused() {
        for sector in [0, 1, 256, 513, 1 << 16, 1 << 31, u32::MAX] {
            let world = World::new(nature(8, sector, BLK_SIZE));
            assert_eq!(disk(&world).err(), Some(Failure::Properties), "{sector}");
        }
        for units in [1 << 55, u64::MAX] {
            let world = World::new(nature(units, 512, 0));
            assert_eq!(disk(&world).err(), Some(Failure::Properties), "{units}");
        }
        let world = World::new(nature(8, 512, SIZE_MAX));
        assert_eq!(disk(&world).err(), Some(Failure::Properties), "segments of 0 bytes");
        // A part of a sector at the end is not used.
        let world = World::new(nature(15, 4096, BLK_SIZE));
        assert_eq!(disk(&world).unwrap().capacity, 4096);
    }

    #[test]
    fn a_silent_device_is_given_up_after_the_time_stated() {
        let world = World::new(nature(8, 512, FLUSH));
        let mut disk = disk(&world).unwrap();
        world.answer(Answer::Nothing);
        let (machine, start) = (world.machine(), world.machine().now());
        assert_eq!(disk.flush(&machine), Err(Failed));
        let took = machine.now() - start;
        assert!((PATIENCE..PATIENCE + 2 * transport::RESET_PATIENCE).contains(&took), "{took}");
        assert!(world.was_reset());
        // It is not asked again, and takes no more time.
        world.answer(Answer::Honest);
        let start = machine.now();
        assert_eq!(disk.flush(&machine), Err(Failed));
        assert!(machine.now() - start < 1_000_000);
    }

    #[test]
    fn an_error_of_the_device_is_the_request_s() {
        let world = World::new(nature(8, 512, FLUSH));
        let mut disk = disk(&world).unwrap();
        for status in [1, 2, NO_STATUS] {
            world.answer(Answer::Status(status));
            assert_eq!(disk.flush(&world.machine()), Err(Failed));
        }
        world.answer(Answer::Honest);
        assert_eq!(disk.flush(&world.machine()), Ok(()), "it goes on working");
    }

    #[test]
    fn a_failed_attachment_has_a_reason() {
        for (change, failure) in [
            (Nature { queue_size: 2, ..Nature::default() }, Failure::Queue),
            (Nature { queue_size: 0, ..Nature::default() }, Failure::Queue),
            (Nature { refuses_features: true, ..Nature::default() }, Failure::Features),
            (Nature { old: true, ..Nature::default() }, Failure::Version),
            (Nature { resets: false, ..Nature::default() }, Failure::Reset),
            (Nature { pages: 1, ..Nature::default() }, Failure::Memory),
        ] {
            let world = World::new(Nature { config: vec![0; 64], ..change });
            assert_eq!(disk(&world).err(), Some(failure));
            assert!(!failure.text().is_empty());
        }
    }

    proptest! {
        /// A device that writes anything into its registers and the shared memory makes requests fail,
        /// in bounded time, and nothing else.
        #[test]
        fn a_hostile_device_makes_requests_fail(
            features: u64,
            config in prop::collection::vec(any::<u8>(), 64),
            queue_size in prop_oneof![any::<u16>(), Just(256u16)],
            seeds in prop::collection::vec(any::<u64>(), 1..12),
        ) {
            let wild = Nature { features: features | 1 << 32, config, queue_size, ..Nature::default() };
            let world = World::new(wild);
            if let Ok(mut disk) = disk(&world) {
                let machine = world.machine();
                let mut data = vec![0u8; 1 << 16];
                for seed in seeds {
                    world.answer(Answer::Wild(seed));
                    let start = machine.now();
                    disk.serial(&machine);
                    disk.first_sector(&machine, [440, 508]);
                    // SAFETY: a buffer of the length named.
                    let _ = unsafe {
                        disk.transfer(&machine, same, Request::Read, 0, data.as_mut_ptr(), 1 << 15)
                    };
                    let _ = disk.flush(&machine);
                    prop_assert!(machine.now() - start < 5 * PATIENCE);
                }
                prop_assert!(world.pages_taken() * 4096 <= MEMORY);
            }
        }
    }
}
