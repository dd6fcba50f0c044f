//! The hvt target: numbers, the bytes of arguments, and the offer of a ring.

use proptest::prelude::*;
use solo5_abi::hvt::{self, BootInfo, Hypercall, Outcome, ring, x86_64};
use solo5_abi::mft1;
use zerocopy::{FromBytes, IntoBytes};

/// Little-endian words, 8 bytes each.
fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn numbers_ports_and_addresses() {
    let table = [
        (Hypercall::Walltime, 1, 0x501, 8),
        (Hypercall::Puts, 2, 0x502, 16),
        (Hypercall::Poll, 3, 0x503, 24),
        (Hypercall::BlockWrite, 4, 0x504, 40),
        (Hypercall::BlockRead, 5, 0x505, 40),
        (Hypercall::NetWrite, 6, 0x506, 32),
        (Hypercall::NetRead, 7, 0x507, 32),
        (Hypercall::Halt, 8, 0x508, 16),
        (Hypercall::BlockFlush, 64, 0x540, 16),
    ];
    for (call, number, port, size) in table {
        assert_eq!((call.number(), call.port()), (number, port));
        assert_eq!(call.mmio(), 0x1_0000_0000 + (u64::from(number) << 3));
        assert_eq!(call.argument_size(), size);
    }
    assert_eq!(Hypercall::ALL, table.map(|(call, ..)| call));
    for (number, outcome) in (0..).zip(Outcome::ALL) {
        assert_eq!(outcome.number(), number);
        assert_eq!(Outcome::from_number(number), outcome);
    }
    assert_eq!(Outcome::from_number(-1), Outcome::Unspecified);
    assert_eq!(ring::Operation::from_number(1), Some(ring::Operation::NetWrite));
    assert_eq!(ring::Operation::from_number(2), Some(ring::Operation::NetRead));
    assert_eq!(ring::Operation::from_number(0), None);
}

proptest! {
    #[test]
    fn only_the_hypercalls_ports_decode(port: u16) {
        let expected = match port {
            0x500 => Some(Err(0)),
            0x501..=0x508 => Some(Ok(Hypercall::ALL[usize::from(port) - 0x501])),
            0x540 => Some(Ok(Hypercall::BlockFlush)),
            _ => None,
        };
        prop_assert_eq!(Hypercall::from_port(port), expected);
    }

    #[test]
    fn only_the_hypercalls_addresses_decode(
        address in prop_oneof![any::<u64>(), 0xffff_ff00u64..0x1_0000_0300],
    ) {
        let expected = match address {
            0x1_0000_0000..0x1_0000_0008 => Some(Err(0)),
            0x1_0000_0008..0x1_0000_0048 => {
                Some(Ok(Hypercall::ALL[(address as usize - 0x1_0000_0008) / 8]))
            }
            0x1_0000_0200..0x1_0000_0208 => Some(Ok(Hypercall::BlockFlush)),
            _ => None,
        };
        prop_assert_eq!(Hypercall::from_mmio(address), expected);
    }

    #[test]
    fn arguments_have_the_specified_layout(a: u64, b: u64, c: u64, d: u64, ret: i32) {
        let last = u64::from(ret as u32);
        let bytes = words(&[a, b, c, d, last]);
        let block = hvt::Block::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!(
            (block.handle.get(), block.offset.get(), block.data.get(), block.len.get()),
            (a, b, c, d)
        );
        prop_assert_eq!(block.ret.get(), ret);
        prop_assert_eq!(block.as_bytes(), &bytes);

        let bytes = words(&[a, b, c, last]);
        let net = hvt::Net::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!((net.handle.get(), net.data.get(), net.len.get()), (a, b, c));
        prop_assert_eq!((net.ret.get(), net.as_bytes()), (ret, &bytes[..]));

        let bytes = words(&[a, b, last]);
        let poll = hvt::Poll::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!((poll.timeout_nsecs.get(), poll.ready_set.get()), (a, b));
        prop_assert_eq!((poll.ret.get(), poll.as_bytes()), (ret, &bytes[..]));

        let bytes = words(&[a, last]);
        let flush = hvt::BlockFlush::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!((flush.handle.get(), flush.ret.get()), (a, ret));
        let halt = hvt::Halt::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!((halt.cookie.get(), halt.exit_status.get()), (a, ret));
        prop_assert_eq!(halt.as_bytes(), &bytes);

        let bytes = words(&[a, b]);
        let puts = hvt::Puts::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!((puts.data.get(), puts.len.get()), (a, b));
    }

    #[test]
    fn boot_information_has_the_specified_layout(fields: [u64; 5], features: [u32; 2], net_ring: u64) {
        let [host, guest] = features.map(u64::from);
        let [mem_size, kernel_end, freq, cmdline, mft] = fields;
        let bytes = words(&[mem_size, kernel_end, freq, cmdline, mft, host | guest << 32, net_ring]);
        let info = BootInfo::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!(info.as_bytes(), &bytes);
        prop_assert_eq!((info.mem_size.get(), info.kernel_end.get()), (mem_size, kernel_end));
        prop_assert_eq!((info.cpu_cycle_freq.get(), info.cmdline.get()), (freq, cmdline));
        prop_assert_eq!((info.mft.get(), info.net_ring.get()), (mft, net_ring));
        prop_assert_eq!(
            (info.host_features.get(), info.guest_features.get()),
            (features[0], features[1])
        );
    }

    #[test]
    fn a_trap_frame_has_the_specified_layout(frame: [u64; 7]) {
        let trap = x86_64::TrapFrame::read_from_bytes(&words(&frame)).expect("its size");
        let words = [
            trap.cr2, trap.error_code, trap.rip, trap.cs, trap.rflags, trap.rsp, trap.ss,
        ];
        prop_assert_eq!(words.map(|word| word.get()), frame);
    }

    /// An older tender puts the manifest where newer ones have the fields of the ring. A guest must not
    /// take the manifest for an offer, whatever the name of the reserved entry is.
    #[test]
    fn an_older_tender_offers_no_ring(
        at in 0u64..1 << 32, count in 1u32..=mft1::ENTRIES_MAX as u32, name: u64,
    ) {
        let manifest = u64::from(mft1::VERSION) | u64::from(count) << 32;
        let mft = at + BootInfo::SIZE_WITHOUT_RING as u64;
        let bytes = words(&[1 << 25, 1 << 20, 1, 0x1_0100, mft, manifest, name]);
        let info = BootInfo::read_from_bytes(&bytes).expect("its size");
        prop_assert_eq!(info.ring_offered(at), None);
    }

    #[test]
    fn a_ring_is_offered_by_flag_and_address(
        features: u32, page in 0u64..1 << 20, skew in prop_oneof![Just(0u64), 1u64..64],
    ) {
        let net_ring = (page << 12) + skew;
        let info = BootInfo {
            mft: (hvt::BOOT_INFO_BASE + BootInfo::SIZE as u64).into(),
            host_features: features.into(),
            net_ring: net_ring.into(),
            ..BootInfo::default()
        };
        let offered = features & hvt::FEATURE_RING_IO != 0 && net_ring != 0 && skew == 0;
        prop_assert_eq!(info.ring_offered(hvt::BOOT_INFO_BASE), offered.then_some(net_ring));
    }

    #[test]
    fn counters_wrap_with_the_ring(counter: u32) {
        let ring = ring::Ring::new();
        let next = counter.wrapping_add(1);
        prop_assert_eq!(
            ring::place(next),
            (ring::place(counter) + 1) % ring::ENTRIES as usize
        );
        prop_assert!(std::ptr::eq(
            ring.submission(counter),
            &raw const ring.submissions[counter as usize % 1024]
        ));
        prop_assert!(std::ptr::eq(
            ring.commit(counter),
            &raw const ring.commits[counter as usize % 1024]
        ));
    }
}
