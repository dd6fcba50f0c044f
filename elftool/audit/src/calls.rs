//! References to the functions that tell what an image does: network, block devices, stack protector.
//! A symbol only shows that a function is linked. To see whether it is used, code and data are searched
//! for its address.

use std::ops::ControlFlow;
use std::ops::Range;

use solo5_abi::Arch;
use solo5_image::ReadAt;
use solo5_image::elf::{SHF_ALLOC, SHF_EXECINSTR, SHN_UNDEF, STT_FUNC};
use solo5_image::sections::Sections;

use crate::content::{Allowance, Window};

/// What a call of a function is evidence of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Network devices.
    Net,
    /// Block devices.
    Block,
    /// Anything else of the API.
    Other,
    /// The stack protector: a function calls this if its stack was overwritten.
    StackCheck,
}

/// The functions looked for (`docs/reference/guest-api.md`; functions that only compute are left
/// out).
const FUNCTIONS: [(&str, Use); 20] = [
    ("solo5_net_acquire", Use::Net),
    ("solo5_net_read", Use::Net),
    ("solo5_net_read_many", Use::Net),
    ("solo5_net_write", Use::Net),
    ("solo5_net_write_many", Use::Net),
    ("solo5_block_acquire", Use::Block),
    ("solo5_block_read", Use::Block),
    ("solo5_block_read_many", Use::Block),
    ("solo5_block_write", Use::Block),
    ("solo5_block_write_many", Use::Block),
    ("solo5_block_flush", Use::Block),
    ("solo5_abort", Use::Other),
    ("solo5_clock_monotonic", Use::Other),
    ("solo5_clock_wall", Use::Other),
    ("solo5_console_write", Use::Other),
    ("solo5_exit", Use::Other),
    ("solo5_seed", Use::Other),
    ("solo5_set_tls_base", Use::Other),
    ("solo5_yield", Use::Other),
    ("__stack_chk_fail", Use::StackCheck),
];

/// Most references kept; real images have a few per function.
const KEPT: usize = 64 * 1024;
/// Most functions kept.
const FUNCTIONS_MAX: usize = 256 * 1024;

/// A function of interest.
struct Wanted {
    name: &'static str,
    usage: Use,
    range: Range<u64>,
}

/// A reference to a function of interest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reference {
    /// Which function.
    pub(crate) name: &'static str,
    pub(crate) usage: Use,
    /// Address of the reference.
    pub(crate) from: u64,
}

/// The references in an image that has symbols.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// References from outside the function itself, ascending by `from`.
    pub(crate) references: Vec<Reference>,
    /// Address ranges of all functions, ascending.
    pub(crate) functions: Vec<Range<u64>>,
}

impl Calls {
    /// The first reference of a kind.
    pub(crate) fn first(&self, usage: Use) -> Option<&Reference> {
        self.references.iter().find(|found| found.usage == usage)
    }

    /// The first reference to the function with this name.
    pub(crate) fn first_to(&self, name: &str) -> Option<&Reference> {
        self.references.iter().find(|found| found.name == name)
    }
}

/// Searches symbols, code and data. `None` without symbols.
pub(crate) fn calls(reader: &dyn ReadAt, arch: Arch, sections: &Sections) -> Option<Calls> {
    if !sections.has_symbols() {
        return None;
    }
    let mut calls = Calls::default();
    let mut wanted: Vec<Wanted> = Vec::new();
    // S319 reports sections that cannot be read.
    let _ = sections.visit_named(reader, |symbol, name| {
        let defined = symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0;
        if !defined || symbol.kind() != STT_FUNC {
            return ControlFlow::Continue(());
        }
        let range = symbol.st_value..symbol.st_value.saturating_add(symbol.st_size.max(1));
        if calls.functions.len() < FUNCTIONS_MAX {
            calls.functions.push(range.clone());
        }
        let known = FUNCTIONS.iter().find(|(known, _)| *known == name);
        if let Some((name, usage)) = known
            && wanted.len() < FUNCTIONS.len()
        {
            wanted.push(Wanted { name, usage: *usage, range });
        }
        ControlFlow::Continue(())
    });
    calls.functions.sort_unstable_by_key(|function| function.start);
    if wanted.is_empty() {
        return Some(calls);
    }
    let mut allowance = Allowance::default();
    for section in sections.all().iter().filter(|section| section.has(SHF_ALLOC)) {
        let code = section.has(SHF_EXECINSTR);
        allowance.visit(reader, &section.header, |window| {
            let start = section.header.sh_addr.wrapping_add(window.at);
            let mut found = |at: usize, target: u64| {
                let from = start.wrapping_add(at as u64);
                // A jump from inside the function itself is not a use of it.
                let hit = wanted.iter().filter(|wanted| {
                    let range = &wanted.range;
                    let entry = target.wrapping_sub(range.start) <= entry_distance(arch);
                    entry && !range.contains(&from)
                });
                for wanted in hit {
                    if calls.references.len() < KEPT {
                        calls.references.push(Reference {
                            name: wanted.name,
                            usage: wanted.usage,
                            from,
                        });
                    }
                }
            };
            if code {
                search_code(arch, start, window, &mut found);
            } else {
                search_data(section.header.sh_addr, window, &mut found);
            }
        });
    }
    calls.references.sort_by_key(|reference| reference.from);
    Some(calls)
}

/// Whether code calls or jumps to address 0, the address that linkers give undefined functions.
pub(crate) fn calls_null(reader: &dyn ReadAt, arch: Arch, sections: &Sections) -> bool {
    let mut allowance = Allowance::default();
    let mut found = false;
    let code = sections.all().iter();
    for section in code.filter(|section| section.has(SHF_ALLOC | SHF_EXECINSTR)) {
        allowance.visit(reader, &section.header, |window| {
            let start = section.header.sh_addr.wrapping_add(window.at);
            search_code(arch, start, window, &mut |at, target| {
                // On x86 a zero is a constant more often than an address.
                let opcode = window.bytes.get(at);
                let branch = arch != Arch::X86_64 || matches!(opcode, Some(0xe8 | 0xe9 | 0x0f));
                found |= target == 0 && branch;
            });
        });
    }
    found
}

/// How far after its symbol a function may be entered: on ppc64le, calls within one file skip the two
/// instructions that set up r2.
fn entry_distance(arch: Arch) -> u64 {
    match arch {
        Arch::X86_64 | Arch::Aarch64 => 0,
        Arch::Ppc64le => 8,
    }
}

/// Searches data for pointers to functions, such as those in tables.
fn search_data(address: u64, window: &Window<'_>, found: &mut impl FnMut(usize, u64)) {
    let skew = usize::try_from(address.wrapping_add(window.at).wrapping_neg() % 8).unwrap_or(0);
    for at in (skew..window.own).step_by(8) {
        if let Some(bytes) = window.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            found(at, u64::from_le_bytes(*bytes));
        }
    }
}

fn search_code(arch: Arch, start: u64, window: &Window<'_>, found: &mut impl FnMut(usize, u64)) {
    match arch {
        Arch::X86_64 => search_x86(start, window, found),
        Arch::Aarch64 | Arch::Ppc64le => {
            let skew = usize::try_from(start.wrapping_neg() % 4).unwrap_or(0);
            for at in (skew..window.own).step_by(4) {
                let word = |at: usize| {
                    let bytes = window.bytes.get(at..)?.first_chunk()?;
                    Some(u32::from_le_bytes(*bytes))
                };
                let Some(first) = word(at) else { return };
                let here = start.wrapping_add(at as u64);
                let target = match arch {
                    Arch::Ppc64le => ppc_branch(here, first),
                    _ => arm_target(here, first, word(at + 4)),
                };
                if let Some(target) = target {
                    found(at, target);
                }
            }
        }
    }
}

/// Instructions may start at any offset, so each offset is tried. Found are calls, jumps, and
/// instructions that load an address, relative or absolute. A match by accident is very unlikely.
fn search_x86(start: u64, window: &Window<'_>, found: &mut impl FnMut(usize, u64)) {
    for at in 0..window.own {
        let Some([opcode, second, rest @ ..]) = window.bytes.get(at..) else {
            return;
        };
        // The last instruction may end with the section, so no byte after its operand is needed.
        let after_one = || Some(*window.bytes.get(at + 1..)?.first_chunk::<4>()?);
        let after_two = || Some(*rest.first_chunk::<4>()?);
        let relative = |bytes: [u8; 4], length: usize| {
            let next = start.wrapping_add((at + length) as u64);
            next.wrapping_add_signed(i64::from(i32::from_le_bytes(bytes)))
        };
        let absolute = |bytes: [u8; 4]| u64::from(u32::from_le_bytes(bytes));
        let target = match *opcode {
            // call, jmp
            0xe8 | 0xe9 => after_one().map(|bytes| relative(bytes, 5)),
            // Jcc
            0x0f if second & 0xf0 == 0x80 => after_two().map(|bytes| relative(bytes, 6)),
            // lea of an address relative to the next instruction
            0x8d if second & 0xc7 == 0x05 => after_two().map(|bytes| relative(bytes, 6)),
            // mov $address, push $address
            0x68 | 0xb8..=0xbf => after_one().map(absolute),
            // mov $address with a wide register or memory
            0xc7 if second & 0xf8 == 0xc0 => after_two().map(absolute),
            _ => None,
        };
        if let Some(target) = target {
            found(at, target);
        }
    }
}

/// B and BL; ADRP followed by ADD.
fn arm_target(here: u64, first: u32, second: Option<u32>) -> Option<u64> {
    if first & 0x7c00_0000 == 0x1400_0000 {
        let words = i64::from((first << 6) as i32 >> 6);
        return Some(here.wrapping_add_signed(words * 4));
    }
    let second = second?;
    if first & 0x9f00_0000 == 0x9000_0000 && second & 0xffc0_0000 == 0x9100_0000 {
        let low = first >> 29 & 3;
        let pages = (first >> 5 & 0x7_ffff) << 2 | low;
        let pages = i64::from((pages << 11) as i32 >> 11);
        let page = (here & !0xfff).wrapping_add_signed(pages << 12);
        return Some(page.wrapping_add(u64::from(second >> 10 & 0xfff)));
    }
    None
}

/// b and bl, relative or absolute.
fn ppc_branch(here: u64, word: u32) -> Option<u64> {
    if word >> 26 != 18 {
        return None;
    }
    let distance = i64::from(((word & 0x03ff_fffc) << 6) as i32 >> 6);
    let from = if word & 2 == 0 { here } else { 0 };
    Some(from.wrapping_add_signed(distance))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_function_of_the_bindings_is_known() {
        let symbols = include_str!("../../../bindings/symbols/spt.txt");
        let api = symbols.lines().filter_map(|line| line.strip_prefix("T "));
        let only_compute = ["solo5_tls_init", "solo5_tls_size", "solo5_tls_tp_offset"];
        let api: BTreeSet<_> =
            api.filter(|name| *name != "_start" && !only_compute.contains(name)).collect();
        assert_eq!(BTreeSet::from(FUNCTIONS.map(|(name, _)| name)), api);
    }

    fn targets(arch: Arch, code: &[u8]) -> Vec<u64> {
        let mut targets = Vec::new();
        let window = Window { at: 0, bytes: code, own: code.len() };
        search_code(arch, 0x10_0000, &window, &mut |_, target| targets.push(target));
        targets
    }

    /// Encodings as GNU as writes them.
    #[test]
    fn calls_are_decoded() {
        let call = [0xe8, 0xfb, 0x0f, 0, 0, 0x90];
        assert!(targets(Arch::X86_64, &call).contains(&0x10_1000));
        // The last instruction of a section.
        assert_eq!(targets(Arch::X86_64, &call[..5]), [0x10_1000]);
        let lea = [0x48, 0x8d, 0x3d, 0xf9, 0xff, 0xff, 0xff];
        assert!(targets(Arch::X86_64, &lea).contains(&0x10_0000));
        let mov = [0xbf, 0, 0x20, 0x10, 0, 0x90];
        assert!(targets(Arch::X86_64, &mov).contains(&0x10_2000));
        // bl .-4
        let code = 0x97ff_ffff_u32.to_le_bytes();
        assert_eq!(targets(Arch::Aarch64, &code), [0xf_fffc]);
        // adrp x0, 0x102000; add x0, x0, #0x10
        let code = [0xd000_0000_u32.to_le_bytes(), 0x9100_4000_u32.to_le_bytes()].concat();
        assert_eq!(targets(Arch::Aarch64, &code), [0x10_2010]);
        // bl .+8
        let code = 0x4800_0009_u32.to_le_bytes();
        assert_eq!(targets(Arch::Ppc64le, &code), [0x10_0008]);
    }
}
