//! Answers hypercalls. This code needs guest memory and devices, but no KVM.
//!
//! Each argument is copied out of guest memory once. The tender checks the copy, acts on it, and
//! copies the answer back. So another thread cannot change an argument between check and use.
//! Mistakes that a correct guest can make are returned as an outcome; anything else ends the guest.

use std::os::fd::RawFd;

#[cfg(feature = "block")]
use solo5_abi::hvt::{Block, BlockFlush};
use solo5_abi::hvt::{HALT_COOKIE_MAX, Halt, Hypercall, Poll, Puts, Walltime};
#[cfg(feature = "net")]
use solo5_abi::hvt::{Net, Outcome};
use solo5_tender::memory::Allegation;
use zerocopy::{FromBytes, IntoBytes};

use crate::arch::TrapFrame;
use crate::devices::{self, Devices, Events};
use crate::exit::Call;
use crate::fault::GuestFault;
use crate::memory::{Piece, SharedMemory, Use};
use crate::ring::Network;

/// Everything that hypercalls act on.
#[derive(Debug)]
pub struct Host {
    /// Guest memory.
    pub memory: &'static SharedMemory,
    /// The devices.
    pub devices: &'static Devices,
    /// The epoll set and timer.
    pub events: Events,
    /// The network ring, if the guest was offered one.
    pub ring: Option<&'static Network>,
    /// What the guest prints to: standard output.
    pub console: RawFd,
}

/// What to do next.
#[allow(clippy::large_enum_variant, reason = "a guest ends once, and then nothing may allocate")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Continue the guest.
    Run,
    /// The guest has ended itself.
    End(End),
}

/// How a guest has ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Its exit status.
    pub status: i32,
    /// The fatal trap, if the guest reports one.
    pub trap: Option<TrapFrame>,
}

impl Host {
    /// Answers a hypercall.
    pub fn handle(&self, call: Call) -> Result<Next, GuestFault> {
        let Call { kind, argument } = call;
        match kind {
            Hypercall::Walltime => {
                let nsecs = devices::wall_clock().into();
                self.memory.store(argument, &Walltime { nsecs })?;
            }
            Hypercall::Puts => {
                let puts: Puts = self.memory.load(argument)?;
                let text = Allegation::new(puts.data.get(), puts.len.get());
                let text = self.memory.piece(text, Use::Read)?;
                devices::write_stream(self.console, text);
            }
            Hypercall::Poll => {
                let (mut poll, place) = self.load_argument::<Poll>(argument)?;
                // Frames that the guest has queued should not wait until it wakes up.
                self.drain_ring()?;
                let ready = self.events.wait(self.devices, poll.timeout_nsecs.get());
                poll.ready_set = ready.into();
                poll.ret = (ready.count_ones() as i32).into();
                place.copy_from(poll.as_bytes());
            }
            #[cfg(feature = "block")]
            Hypercall::BlockWrite | Hypercall::BlockRead if self.devices.has_block() => {
                let (mut block, place) = self.load_argument::<Block>(argument)?;
                let outcome = crate::block::transfer(self.devices, self.memory, kind, &block)?;
                block.ret = outcome.number().into();
                place.copy_from(block.as_bytes());
            }
            #[cfg(feature = "block")]
            Hypercall::BlockFlush if self.devices.has_flush() => {
                let (mut flush, place) = self.load_argument::<BlockFlush>(argument)?;
                flush.ret = crate::block::flush(self.devices, &flush).number().into();
                place.copy_from(flush.as_bytes());
            }
            #[cfg(feature = "net")]
            Hypercall::NetWrite if self.devices.has_net() => {
                let (mut net, place) = self.load_argument::<Net>(argument)?;
                // Frames in the ring are older, so they go first.
                self.drain_ring()?;
                let data = Allegation::new(net.data.get(), net.len.get());
                let outcome = crate::net::send(self.devices, self.memory, net.handle.get(), data)?;
                net.ret = outcome.number().into();
                place.copy_from(net.as_bytes());
            }
            #[cfg(feature = "net")]
            Hypercall::NetRead if self.devices.has_net() => {
                let (mut net, place) = self.load_argument::<Net>(argument)?;
                let data = Allegation::new(net.data.get(), net.len.get());
                let handle = net.handle.get();
                let got = crate::net::receive(self.devices, self.memory, handle, data)?;
                if got.outcome == Outcome::Ok {
                    net.len = got.length.into();
                }
                net.ret = got.outcome.number().into();
                place.copy_from(net.as_bytes());
            }
            Hypercall::Halt => return self.halt(argument).map(Next::End),
            // Without a device of that kind in the manifest, its hypercalls do not exist.
            other => return Err(GuestFault::Hypercall(other.number())),
        }
        Ok(Next::Run)
    }

    /// Copies the argument of a call that writes its answer over the argument, and says where that is.
    /// If the answer cannot be written there, the call fails before it has any effect.
    #[inline]
    fn load_argument<T: FromBytes + IntoBytes>(&self, at: u64) -> Result<(T, Piece), GuestFault> {
        let place = self.memory.piece(Allegation::of::<T>(at), Use::Write)?;
        // Memory that can be written and not be read does not exist on all hosts.
        Ok((self.memory.load(at)?, place))
    }

    fn halt(&self, argument: u64) -> Result<End, GuestFault> {
        let halt: Halt = self.memory.load(argument)?;
        let cookie = halt.cookie.get();
        let trap = if cookie == 0 {
            None
        } else {
            self.memory.piece(Allegation::new(cookie, HALT_COOKIE_MAX as u64), Use::Read)?;
            Some(self.memory.load(cookie)?)
        };
        // Queued frames are sent before the guest ends.
        self.drain_ring()?;
        Ok(End { status: halt.exit_status.get(), trap })
    }

    /// Processes the submissions queued in the ring.
    fn drain_ring(&self) -> Result<(), GuestFault> {
        self.ring.map_or(Ok(()), Network::drain_if_pending)
    }
}

#[cfg(test)]
mod tests;
