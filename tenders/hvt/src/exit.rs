//! Decodes why the guest's CPU stopped, and finds the hypercall in it.

use solo5_abi::hvt::Hypercall;

use crate::fault::GuestFault;

/// Why the CPU stopped, independent of KVM's types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An `in` or `out` instruction.
    Port {
        /// The port.
        port: u16,
        /// Whether it is an `out`.
        write: bool,
        /// Size of the operand in bytes.
        size: u8,
        /// Number of repetitions; more than 1 for `rep outs`.
        count: u32,
        /// The value written, if `size` is 4.
        value: u32,
    },
    /// An access to an address without memory. Some KVMs also report a write to read-only memory
    /// this way.
    Mmio {
        /// Guest address.
        address: u64,
        /// Whether it is a write.
        write: bool,
    },
    /// On aarch64, an access to an address above all memory, where the hypercalls are.
    Device {
        /// Guest address.
        address: u64,
        /// Whether it is a write.
        write: bool,
        /// Length in bytes.
        size: u32,
        /// The value written, if `size` is 4.
        value: u32,
    },
    /// KVM_RUN failed with EFAULT.
    Translation,
    /// KVM_RUN failed with another error.
    Failed(i32),
    /// The CPU refuses to enter the guest's state (hardware entry failure).
    Entry(u64),
    /// KVM's internal error, with its suberror.
    Internal(u32),
    /// A hardware breakpoint, watchpoint or single step of the debugger.
    Debug {
        /// On x86_64 the value of DR6, on aarch64 the syndrome (ESR).
        cause: u64,
        /// On aarch64 the address whose access a watchpoint stopped.
        address: u64,
    },
    /// A signal interrupted KVM_RUN; run again.
    Again,
    /// Any other exit, by KVM's exit reason.
    Other(u32),
}

/// `KVM_EXIT_MMIO`.
pub const REASON_MMIO: u32 = 6;
/// `KVM_EXIT_HLT`: the CPU has executed `hlt`.
pub const REASON_HALT: u32 = 5;

/// A hypercall: its kind, and the unchecked address of its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which hypercall.
    pub kind: Hypercall,
    /// Guest address of its argument, as given by the guest.
    pub argument: u64,
}

/// Finds the hypercall in an exit; `None` if there is nothing to answer. `memory` is the size of
/// guest memory in bytes.
pub fn decode(exit: Exit, memory: u64) -> Result<Option<Call>, GuestFault> {
    match exit {
        Exit::Port { port, write: true, size: 4, count: 1, value } => {
            match Hypercall::from_port(port) {
                Some(Ok(kind)) => Ok(Some(Call { kind, argument: value.into() })),
                Some(Err(number)) => Err(GuestFault::Hypercall(number)),
                None => Err(GuestFault::Port(port)),
            }
        }
        Exit::Port { port, .. } => Err(GuestFault::Port(port)),
        Exit::Device { address, write: true, size: 4, value } => {
            match Hypercall::from_mmio(address) {
                Some(Ok(kind)) => Ok(Some(Call { kind, argument: value.into() })),
                Some(Err(number)) => Err(GuestFault::Hypercall(number)),
                None => Err(GuestFault::Mmio { address, size: 4 }),
            }
        }
        Exit::Device { address, size, .. } => Err(GuestFault::Mmio { address, size }),
        Exit::Mmio { address, write: true } if address < memory => Err(GuestFault::Translation),
        Exit::Mmio { .. } => Err(GuestFault::Exit(REASON_MMIO)),
        Exit::Translation => Err(GuestFault::Translation),
        Exit::Failed(error) => Err(GuestFault::Run(error)),
        Exit::Entry(reason) => Err(GuestFault::Entry(reason)),
        Exit::Internal(suberror) => Err(GuestFault::Internal(suberror)),
        Exit::Debug { .. } | Exit::Again => Ok(None),
        Exit::Other(reason) => Err(GuestFault::Exit(reason)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use solo5_abi::hvt::aarch64::{HYPERCALL_BASE, KICK};

    use super::*;

    const MEMORY: u64 = 1 << 25;

    fn out(port: u16, size: u8, count: u32) -> Exit {
        Exit::Port { port, write: true, size, count, value: 0x1234 }
    }

    #[test]
    fn only_a_single_32_bit_write_to_a_known_port_is_a_hypercall() {
        for kind in Hypercall::ALL {
            let call = decode(out(kind.port(), 4, 1), MEMORY).unwrap().unwrap();
            assert_eq!(call, Call { kind, argument: 0x1234 });
        }
        for port in [0x80, 0x4ff, 0x509, 0x600, 0xffff] {
            assert_eq!(decode(out(port, 4, 1), MEMORY), Err(GuestFault::Port(port)));
        }
        assert_eq!(decode(out(0x500, 4, 1), MEMORY), Err(GuestFault::Hypercall(0)));
        for (size, count) in [(1, 1), (2, 1), (4, 2), (4, 0), (1, 4)] {
            let found = decode(out(0x502, size, count), MEMORY);
            assert_eq!(found, Err(GuestFault::Port(0x502)), "{size} {count}");
        }
        let input = Exit::Port { port: 0x502, write: false, size: 4, count: 1, value: 0 };
        assert_eq!(decode(input, MEMORY), Err(GuestFault::Port(0x502)));
    }

    #[test]
    fn only_a_32_bit_store_to_a_known_address_is_a_hypercall() {
        let access = |address, write, size| {
            decode(Exit::Device { address, write, size, value: 0x1234 }, MEMORY)
        };
        for kind in Hypercall::ALL {
            let call = access(kind.mmio(), true, 4);
            assert_eq!(call, Ok(Some(Call { kind, argument: 0x1234 })));
            for (write, size) in [(false, 4), (true, 1), (true, 2), (true, 8)] {
                let refused = GuestFault::Mmio { address: kind.mmio(), size };
                assert_eq!(access(kind.mmio(), write, size), Err(refused));
            }
        }
        assert_eq!(access(HYPERCALL_BASE, true, 4), Err(GuestFault::Hypercall(0)));
        // The kick without a ring, and addresses far away.
        for address in [KICK, HYPERCALL_BASE - 4, HYPERCALL_BASE + 9 * 8, u64::MAX - 3] {
            assert_eq!(access(address, true, 4), Err(GuestFault::Mmio { address, size: 4 }));
        }
    }

    #[test]
    fn an_mmio_write_to_existing_memory_is_a_protection_fault() {
        let mmio = |address, write| decode(Exit::Mmio { address, write }, MEMORY);
        assert_eq!(mmio(0x10_0000, true), Err(GuestFault::Translation));
        assert_eq!(mmio(0x10_0000, false), Err(GuestFault::Exit(6)));
        assert_eq!(mmio(MEMORY, true), Err(GuestFault::Exit(6)));
        assert_eq!(decode(Exit::Translation, MEMORY), Err(GuestFault::Translation));
        assert_eq!(decode(Exit::Other(8), MEMORY), Err(GuestFault::Exit(8)));
        assert_eq!(decode(Exit::Again, MEMORY), Ok(None));
    }

    proptest! {
        #[test]
        fn any_port_access_is_a_call_or_a_fault(
            port: u16, write: bool, size: u8, count: u32, value: u32,
        ) {
            let exit = Exit::Port { port, write, size, count, value };
            match decode(exit, MEMORY) {
                Ok(Some(call)) => prop_assert_eq!(call.kind.port(), port),
                Ok(None) => prop_assert!(false, "not answered"),
                Err(fault) => prop_assert!(
                    matches!(fault, GuestFault::Port(_) | GuestFault::Hypercall(0))
                ),
            }
        }
    }
}
