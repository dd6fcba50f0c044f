//! A filter's proof that a transfer is whole sectors on a device.
//!
//! The sum of size and offset has 64 bits, and a filter adds 32. The size has been found to be less
//! than 2³², so the sum is `offset_high : offset_low + size`, with a carry if the sum of the low
//! halves is less than the size. Nothing is added to the high half: with a carry it is compared with
//! one less than the capacity's.

use super::instruction::{
    ADD_INDEX, FROM_INDEX, JUMP_BITS, JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL_INDEX, TO_INDEX,
};
use super::program::{Label, Program};
use super::rule::Sectors;

impl Program {
    /// Tests the size whose low half is at `size`, and the offset after it. Continues at `fits` if
    /// they pass, else at `next`.
    pub(super) fn sectors(
        &mut self,
        wanted: &Sectors,
        size: u32,
        fits: Label,
        next: Label,
    ) -> Label {
        let (offset, half) = (size + 8, 4);
        let (low, high) = (wanted.capacity as u32, (wanted.capacity >> 32) as u32);

        // The low half of the sum, from the index register.
        self.compare(JUMP_GREATER, low, next, fits);
        let low_half = self.put(FROM_INDEX, 0, 0, 0);
        // The high half, which must not exceed `most`; the low half decides if they are equal.
        let mut high_half = |most: u32| {
            let equal = self.compare(JUMP_EQUAL, most, low_half, fits);
            self.compare(JUMP_GREATER, most, next, equal);
            self.load(offset + half);
            self.put(TO_INDEX, 0, 0, 0)
        };
        let plain = high_half(high);
        let carried = high.checked_sub(1).map_or(next, high_half);
        self.compare(JUMP_GREATER_EQUAL_INDEX, 0, plain, carried);
        self.put(ADD_INDEX, 0, 0, 0);
        self.load(offset);
        let sum = self.put(TO_INDEX, 0, 0, 0);

        let whole = self.compare(JUMP_BITS, wanted.sector.saturating_sub(1), next, sum);
        let some = self.compare(JUMP_EQUAL, 0, next, whole);
        self.compare(JUMP_GREATER, wanted.most, next, some);
        let below = self.load(size);
        self.compare(JUMP_EQUAL, 0, below, next);
        self.load(size + half)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use solo5_abi::Arch;

    use super::super::calls::PREAD64;
    use super::super::tests::run;
    use super::super::{
        ALLOW, Condition, Instruction, KILL_PROCESS, Rule, Test, assemble, audit_arch,
    };
    use super::*;

    const FD: i32 = 3;

    fn program(sectors: Sectors) -> Vec<Instruction> {
        let when = vec![
            Condition::descriptor(FD, "the file"),
            Condition::new(2, "size", Test::Sectors(sectors)),
        ];
        assemble(&[Rule::allow(PREAD64, when, "")], Arch::X86_64).unwrap()
    }

    fn allows(program: &[Instruction], size: u64, offset: u64) -> bool {
        let arguments = [FD as u64, 0, size, offset, 0, 0];
        match run(program, audit_arch(Arch::X86_64), 17, arguments) {
            ALLOW => true,
            KILL_PROCESS => false,
            other => panic!("{other:#x}"),
        }
    }

    /// Numbers around the places where a comparison can go wrong.
    fn edges(sectors: &Sectors) -> Vec<u64> {
        let Sectors { sector, most, capacity } = *sectors;
        let mut edges = vec![0, 1 << 31, 1 << 32, 1 << 33, 1 << 63, u64::MAX, capacity];
        edges.extend([u64::from(sector), u64::from(most), capacity << 32, capacity >> 32]);
        for step in [1, u64::from(sector)] {
            let around: Vec<u64> = edges
                .iter()
                .flat_map(|edge| [edge.wrapping_sub(step), *edge, edge.wrapping_add(step)])
                .collect();
            edges.extend(around);
        }
        edges.sort_unstable();
        edges.dedup();
        edges
    }

    #[test]
    fn every_edge_of_sector_capacity_and_halves() {
        let mut allowed = 0;
        for sector in [512, 4096, 32768] {
            for capacity in [
                u64::from(sector),
                1 << 20,
                (1 << 20) + u64::from(sector),
                (1 << 32) - u64::from(sector),
                1 << 32,
                (1 << 32) + u64::from(sector),
                (5 << 32) + (1 << 20),
                (1 << 63) - u64::from(sector),
                1 << 63,
                (1 << 63) + u64::from(sector),
                0u64.wrapping_sub(sector.into()),
            ] {
                for most in [sector, 1 << 20, 0u32.wrapping_sub(sector)] {
                    let sectors = Sectors { sector, most, capacity };
                    let (program, edges) = (program(sectors), edges(&sectors));
                    for size in &edges {
                        for offset in &edges {
                            let decided = allows(&program, *size, *offset);
                            let told = format!("{sectors:?} {size:#x} {offset:#x}");
                            assert_eq!(decided, sectors.has(*size, *offset), "{told}");
                            allowed += u32::from(decided);
                        }
                    }
                }
            }
        }
        assert!(allowed > 1000, "{allowed}");
    }

    #[test]
    fn any_device_without_a_whole_sector_permits_nothing() {
        let sectors = Sectors { sector: 512, most: 1 << 20, capacity: 511 };
        assert!(!allows(&program(sectors), 512, 0));
        let sectors = Sectors { capacity: 0, ..sectors };
        for size in [0, 512, 1024] {
            assert!(!allows(&program(sectors), size, 0));
        }
    }

    prop_compose! {
        /// A number with some of its bits set: small ones, large ones, and ones near powers of two.
        fn arb_number()(shift in 0u32..64, bits in any::<u64>(), less in 0u64..3) -> u64 {
            ((bits | 1 << 63) >> shift).wrapping_sub(less)
        }
    }

    prop_compose! {
        fn arb_sectors()(shift in 9u32..16, sectors in 1u32..4096, capacity in arb_number())
            -> Sectors {
            let sector = 1 << shift;
            Sectors { sector, most: sector * sectors, capacity }
        }
    }

    proptest! {
        #[test]
        fn a_filter_decides_as_plain_arithmetic(
            sectors in arb_sectors(),
            count in 0u64..5000,
            odd in prop_oneof![4 => Just(0u64), 1 => arb_number()],
            from_end in any::<bool>(),
            offset in arb_number(),
            less in prop_oneof![Just(0u64), Just(1), Just(512), Just(u64::MAX)],
        ) {
            let size = (count * u64::from(sectors.sector)).wrapping_add(odd);
            let last = sectors.capacity.wrapping_sub(size).wrapping_sub(less);
            let offset = if from_end { last } else { offset };
            let decided = allows(&program(sectors), size, offset);
            prop_assert_eq!(decided, sectors.has(size, offset));
        }
    }
}
