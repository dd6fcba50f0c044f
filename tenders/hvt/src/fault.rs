//! Guest faults that end the guest, and the tender's messages about them.
//!
//! Texts are upstream's where it has one (`docs/reference/hvt.md#exits`). They are formatted into a
//! buffer on the stack, because nothing may allocate once the system call filter is installed.

use std::fmt::{self, Write};

use kvm_bindings::KVM_INTERNAL_ERROR_EMULATION;
use solo5_tender::sys;

use crate::arch::PC;

/// Why a guest is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestFault {
    /// A port access that is not a single 32-bit write to a hypercall's port.
    Port(u16),
    /// An access to an address without memory that is not a 32-bit store to a hypercall's address.
    Mmio {
        /// Guest address.
        address: u64,
        /// Length in bytes.
        size: u32,
    },
    /// A hypercall that does not exist for this guest.
    Hypercall(u16),
    /// An address range outside guest memory, or without the needed rights.
    Access {
        /// Guest address.
        address: u64,
        /// Length in bytes.
        size: u64,
    },
    /// A write to a read-only page.
    Translation,
    /// The CPU stopped for a reason that the tender does not handle.
    Exit(u32),
    /// The CPU refuses to enter the guest's state.
    Entry(u64),
    /// KVM's internal error, for example an instruction that it cannot emulate.
    Internal(u32),
    /// KVM_RUN failed with this error number.
    Run(i32),
    /// The guest claims more submissions than the ring has entries.
    RingSubmissions {
        /// Number of submissions that the guest claims.
        claimed: u32,
    },
    /// The ring is full of commits that the guest has not taken.
    RingCommits,
    /// The I/O thread cannot wait for the guest. The host causes this, not the guest.
    RingSleep,
}

impl GuestFault {
    /// Writes the text; `pc` is the guest's instruction pointer if known.
    pub fn write(&self, out: &mut impl Write, pc: Option<u64>) -> fmt::Result {
        let pc = pc.unwrap_or_default();
        match self {
            GuestFault::Port(port) => write!(out, "Invalid guest port access: port={port:#x}"),
            GuestFault::Mmio { address, size } => {
                write!(out, "Invalid guest mmio access: mmio={address:#x} len={size}")
            }
            GuestFault::Hypercall(number) => {
                write!(out, "Invalid guest hypercall: num={number}")
            }
            GuestFault::Access { address, size } => {
                write!(out, "Invalid guest access: gpa={address:#x}, sz={size}")
            }
            GuestFault::Translation => {
                write!(out, "KVM: host/guest translation fault: {PC}={pc:#x}")
            }
            GuestFault::Exit(reason) => {
                write!(out, "KVM: unhandled exit: exit_reason={reason:#x}, {PC}={pc:#x}")
            }
            GuestFault::Entry(reason) => {
                write!(out, "KVM: entry failure: hw_entry_failure_reason={reason:#x}")
            }
            GuestFault::Internal(suberror) => {
                write!(out, "KVM: internal error exit: suberror={suberror:#x}")
            }
            GuestFault::Run(error) => {
                write!(out, "KVM: ioctl (RUN) failed: {:?}", sys::name(*error))
            }
            GuestFault::RingSubmissions { claimed } => {
                write!(out, "Invalid guest ring: ent_tail claims {claimed} submissions")
            }
            GuestFault::RingCommits => {
                write!(out, "Invalid guest ring: com_head leaves no room for a commit")
            }
            GuestFault::RingSleep => write!(out, "read() of the ring's eventfd failed"),
        }
    }
}

impl fmt::Display for GuestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl std::error::Error for GuestFault {}

impl GuestFault {
    /// What the fault means and what to do, if the text does not say so.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            GuestFault::Internal(KVM_INTERNAL_ERROR_EMULATION) => Some(
                "KVM had to emulate the instruction at rip and cannot. If the host's KVM \
                 interprets guests, it lacks most SSE and AVX instructions: run the guest on a \
                 host whose CPU supports virtualization, or build it for spt",
            ),
            GuestFault::Internal(_) | GuestFault::Entry(_) => {
                Some("the host's kernel log may say more: see dmesg")
            }
            _ => None,
        }
    }
}

/// A text of limited length that needs no allocation. What does not fit is cut off.
pub struct Text {
    bytes: [u8; Text::CAPACITY],
    length: usize,
}

impl Text {
    const CAPACITY: usize = 4096;

    /// An empty text.
    pub const fn new() -> Text {
        Text { bytes: [0; Text::CAPACITY], length: 0 }
    }

    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::new()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let length = text.len().min(room.len());
        let (Some(to), Some(from)) = (room.get_mut(..length), text.as_bytes().get(..length)) else {
            return Ok(());
        };
        to.copy_from_slice(from);
        self.length += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(fault: GuestFault) -> String {
        let mut text = Text::new();
        fault.write(&mut text, Some(0x10_0123)).unwrap();
        String::from_utf8(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn upstream_texts_are_kept_to_the_byte() {
        let table = [
            (GuestFault::Port(0x509), "Invalid guest port access: port=0x509"),
            (
                GuestFault::Mmio { address: 0x1_0000_0108, size: 8 },
                "Invalid guest mmio access: mmio=0x100000108 len=8",
            ),
            (GuestFault::Hypercall(4), "Invalid guest hypercall: num=4"),
            (
                GuestFault::Access { address: 0x200_0000, size: 16 },
                "Invalid guest access: gpa=0x2000000, sz=16",
            ),
            (GuestFault::Translation, "KVM: host/guest translation fault: rip=0x100123"),
            (GuestFault::Exit(5), "KVM: unhandled exit: exit_reason=0x5, rip=0x100123"),
            (
                GuestFault::Entry(0x8000_0021),
                "KVM: entry failure: hw_entry_failure_reason=0x80000021",
            ),
            (GuestFault::Internal(1), "KVM: internal error exit: suberror=0x1"),
            (GuestFault::Run(libc::ENOMEM), "KVM: ioctl (RUN) failed: ENOMEM"),
        ];
        for (fault, expected) in table {
            assert_eq!(text(fault), expected.replace("rip=", &format!("{PC}=")));
        }
    }

    #[test]
    fn advice_adds_what_upstreams_text_lacks() {
        let advice = GuestFault::Internal(1).advice().unwrap();
        assert!(advice.contains("SSE") && advice.contains("build it for spt"), "{advice}");
        assert!(GuestFault::Internal(3).advice().unwrap().contains("dmesg"));
        assert_eq!(GuestFault::Translation.advice(), None);
    }

    #[test]
    fn a_text_that_is_too_long_is_cut() {
        let mut out = Text::new();
        for _ in 0..100 {
            out.write_str(&"x".repeat(97)).unwrap();
        }
        assert_eq!(out.as_bytes().len(), Text::CAPACITY);
    }

    #[test]
    fn faults_of_the_ring_name_its_counters() {
        let claimed = GuestFault::RingSubmissions { claimed: 1025 };
        assert_eq!(claimed.to_string(), "Invalid guest ring: ent_tail claims 1025 submissions");
        let full = "Invalid guest ring: com_head leaves no room for a commit";
        assert_eq!(GuestFault::RingCommits.to_string(), full);
        assert_eq!(GuestFault::RingCommits.advice(), None);
    }
}
