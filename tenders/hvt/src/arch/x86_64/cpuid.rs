//! CPUID of the guest: what KVM supports, without the features that the guest's machine lacks.
//!
//! Upstream passes on KVM's whole list (`docs/reference/hvt.md#cpuid`). But the guest's machine has
//! one CPU, no interrupt controller, no timer and no performance counters, and it supports neither
//! nested virtualisation nor enclaves. Such features are masked. Everything else stays, above all
//! the instruction sets.

use kvm_bindings::kvm_cpuid_entry2;

/// A mask for one register of one leaf.
struct Mask {
    leaf: u32,
    /// `None`: every sub-leaf.
    index: Option<u32>,
    register: Register,
    /// Bits that are cleared.
    clear: u32,
}

#[derive(Clone, Copy)]
enum Register {
    Eax,
    Ebx,
    Ecx,
    Edx,
}

const fn bits<const N: usize>(list: [u32; N]) -> u32 {
    let mut out = 0;
    let mut index = 0;
    while index < N {
        out |= 1 << list[index];
        index += 1;
    }
    out
}

const MASKS: &[Mask] = &[
    // Number of CPUs and this CPU's number: cleared, which means one CPU, number 0.
    Mask { leaf: 1, index: None, register: Register::Ebx, clear: 0xffff_0000 },
    // MONITOR, VMX, SMX, PDCM, x2APIC, TSC deadline.
    Mask { leaf: 1, index: None, register: Register::Ecx, clear: bits([3, 5, 6, 15, 21, 24]) },
    // APIC, debug store, HTT.
    Mask { leaf: 1, index: None, register: Register::Edx, clear: bits([9, 21, 28]) },
    // SGX.
    Mask { leaf: 7, index: Some(0), register: Register::Ebx, clear: bits([2]) },
    // SGX launch control.
    Mask { leaf: 7, index: Some(0), register: Register::Ecx, clear: bits([30]) },
    // SVM, extended APIC space, instruction based sampling, SKINIT, performance counters.
    Mask {
        leaf: 0x8000_0001,
        index: None,
        register: Register::Ecx,
        clear: bits([2, 3, 10, 12, 23, 24, 28]),
    },
    // KVM's paravirtual devices: clocks, page faults, interrupts, stolen time.
    Mask { leaf: 0x4000_0001, index: None, register: Register::Eax, clear: u32::MAX },
];

/// Leaves that are left out, so that the CPU reports them as zero: MONITOR, power management,
/// performance counters, topology, SGX, SVM, more sampling and counters, encrypted memory.
const LEFT_OUT: &[u32] = &[
    0x5,
    0x6,
    0xa,
    0xb,
    0x12,
    0x1f,
    0x8000_000a,
    0x8000_001b,
    0x8000_001e,
    0x8000_001f,
    0x8000_0022,
];

/// The entries of `supported` that the guest is shown, masked.
pub fn masked(supported: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    let kept = supported.iter().filter(|entry| !LEFT_OUT.contains(&entry.function));
    kept.copied()
        .map(|mut entry| {
            let fits = |mask: &&Mask| {
                mask.leaf == entry.function && mask.index.is_none_or(|index| index == entry.index)
            };
            for mask in MASKS.iter().filter(fits) {
                let register = match mask.register {
                    Register::Eax => &mut entry.eax,
                    Register::Ebx => &mut entry.ebx,
                    Register::Ecx => &mut entry.ecx,
                    Register::Edx => &mut entry.edx,
                };
                *register &= !mask.clear;
            }
            entry
        })
        .collect()
}

/// Whether the CPU supports the no-execute bit.
pub fn has_no_execute(supported: &[kvm_cpuid_entry2]) -> bool {
    let leaf = supported.iter().find(|entry| entry.function == 0x8000_0001);
    leaf.is_some_and(|entry| entry.edx & 1 << 20 != 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_ones(function: u32, index: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            eax: u32::MAX,
            ebx: u32::MAX,
            ecx: u32::MAX,
            edx: u32::MAX,
            ..kvm_cpuid_entry2::default()
        }
    }

    fn shown(function: u32, index: u32) -> Option<kvm_cpuid_entry2> {
        masked(&[all_ones(function, index)]).pop()
    }

    #[test]
    fn no_nested_virtualisation_and_no_enclaves_are_shown() {
        let leaf = shown(1, 0).unwrap();
        assert_eq!(leaf.ecx & 1 << 5, 0, "VMX");
        assert_eq!(leaf.ecx & 1 << 21, 0, "x2APIC");
        assert_eq!(leaf.edx & 1 << 9, 0, "APIC");
        assert_eq!(shown(0x8000_0001, 0).unwrap().ecx & 1 << 2, 0, "SVM");
        assert_eq!(shown(7, 0).unwrap().ebx & 1 << 2, 0, "SGX");
        for gone in [0x12, 0x8000_000a, 0x8000_001f, 0xa, 0xb] {
            assert!(shown(gone, 0).is_none(), "{gone:#x}");
        }
    }

    #[test]
    fn instruction_sets_and_the_hypervisors_name_stay() {
        let leaf = shown(1, 0).unwrap();
        for (bit, name) in [(0, "SSE3"), (25, "AES"), (26, "XSAVE"), (30, "RDRAND"), (31, "VM")] {
            assert_ne!(leaf.ecx & 1 << bit, 0, "{name}");
        }
        assert_ne!(leaf.edx & 1 << 26, 0, "SSE2");
        assert_eq!(shown(7, 1).unwrap(), all_ones(7, 1), "sub-leaf 1");
        assert_ne!(shown(7, 0).unwrap().ebx & 1 << 5, 0, "AVX2");
        assert_eq!(shown(0x4000_0000, 0).unwrap(), all_ones(0x4000_0000, 0));
        assert_eq!(shown(0x4000_0001, 0).unwrap().eax, 0, "no paravirtual devices");
        assert_eq!(shown(0x8000_0008, 0).unwrap(), all_ones(0x8000_0008, 0));
    }

    /// Known leaves, and random ones.
    fn entry() -> impl Strategy<Value = kvm_cpuid_entry2> {
        let known = prop::sample::select(vec![1, 7, 0xa, 0xd, 0x12, 0x4000_0001, 0x8000_0001]);
        let words = prop::array::uniform4(any::<u32>());
        (prop_oneof![known, any::<u32>()], 0u32..3, words).prop_map(
            |(function, index, [eax, ebx, ecx, edx])| kvm_cpuid_entry2 {
                function,
                index,
                eax,
                ebx,
                ecx,
                edx,
                ..kvm_cpuid_entry2::default()
            },
        )
    }

    proptest! {
        /// For any host, masking only removes and adds nothing, and masking twice is the same as
        /// once.
        #[test]
        fn nothing_is_shown_that_the_host_does_not_have(
            supported in prop::collection::vec(entry(), 0..40),
        ) {
            let shown = masked(&supported);
            let mut left = supported.iter();
            for entry in &shown {
                let of = left.find(|old| (old.function, old.index) == (entry.function, entry.index));
                let of = of.expect("in the host's order");
                for (new, old) in [
                    (entry.eax, of.eax), (entry.ebx, of.ebx), (entry.ecx, of.ecx), (entry.edx, of.edx),
                ] {
                    prop_assert_eq!(new & !old, 0);
                }
                let nests = match entry.function {
                    1 => entry.ecx & 1 << 5,
                    0x8000_0001 => entry.ecx & 1 << 2,
                    7 if entry.index == 0 => entry.ebx & 1 << 2,
                    _ => 0,
                };
                prop_assert_eq!(nests, 0, "{:#x}", entry.function);
            }
            prop_assert_eq!(masked(&shown), shown);
        }
    }

    #[test]
    fn no_execute_is_bit_20_of_the_extended_leaf() {
        assert!(has_no_execute(&[all_ones(1, 0), all_ones(0x8000_0001, 0)]));
        let mut without = all_ones(0x8000_0001, 0);
        without.edx &= !(1 << 20);
        assert!(!has_no_execute(&[without]));
        assert!(!has_no_execute(&[]));
    }
}
