//! Traces: resolves the addresses in a tender's output or in a core file to functions and lines.

use std::ops::Range;

use solo5_abi::Arch;
use solo5_image::elf::PF_X;
use solo5_image::sections::Sections;
use solo5_image::{Image, ImageError, ReadAt};

use crate::core::Core;
use crate::info::{DebugInfo, Limits};
use crate::locate::Frame;
use crate::symbols::{Named, Symbols};
use crate::unwind::Registers;

/// Most segments with code; images have one or two.
const CODE_MAX: usize = 64;
/// Most callers followed in a core.
const CALLERS_MAX: usize = 64;
/// Most words of the stack looked through for callers.
const STACK_WORDS: usize = 16 * 1024;
/// How far above the stack pointer a frame pointer may point, in bytes.
const FRAME_MAX: u64 = 1 << 20;

/// An address in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub value: u64,
    /// Whether it is a return address: the call is the instruction before it.
    pub returns: bool,
}

impl Address {
    /// An address inside the instruction that is meant; for a return address, that is the call.
    fn inside(self) -> u64 {
        self.value.saturating_sub(u64::from(self.returns))
    }
}

/// How a call was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The instruction pointer.
    Registers,
    /// Call frame information.
    CallFrame,
    /// A frame pointer: right if the function keeps one.
    FramePointer,
    /// The nearest word on the stack that points after a call instruction: often right.
    Stack,
}

impl By {
    /// The word for it in output.
    pub const fn name(self) -> &'static str {
        match self {
            By::Registers => "registers",
            By::CallFrame => "call-frame",
            By::FramePointer => "frame-pointer",
            By::Stack => "stack",
        }
    }
}

/// What is known about an address.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The address.
    pub address: Address,
    /// The symbol it is in.
    pub symbol: Option<Named>,
    /// Functions and lines, innermost first; empty without debugging information.
    pub frames: Vec<Frame>,
}

/// What stands before an address, and whether it is one to return to.
const MARKS: [(&str, bool); 7] = [
    ("ip=", false),
    ("ip ", false),
    ("ip:", false),
    ("pc=", false),
    ("pc : ", false),
    ("lr=", true),
    ("return address? ", true),
];

/// The code addresses in a line that a tender, a guest or the kernel printed: the instruction
/// pointer (`rip=0x…`, ` ip 00…`, `ip:…`; `pc=0x…`, `pc : 00…`), the link register, and words that may be return addresses.
pub fn addresses(line: &str) -> Vec<Address> {
    let mut found = Vec::new();
    for (mark, returns) in MARKS {
        for (at, _) in line.match_indices(mark) {
            let (before, rest) = line.split_at(at);
            let rest = rest.get(mark.len()..).unwrap_or_default();
            let name =
                before.strip_suffix('r').filter(|_| mark.starts_with("ip")).unwrap_or(before);
            if !returns && name.ends_with(|c: char| c.is_ascii_alphanumeric()) {
                continue;
            }
            let digits = rest.strip_prefix("0x").unwrap_or(rest);
            let end = digits.find(|c: char| !c.is_ascii_hexdigit());
            let digits = digits.get(..end.unwrap_or(digits.len())).unwrap_or_default();
            if let Ok(value) = u64::from_str_radix(digits, 16) {
                found.push(Address { value, returns });
            }
        }
    }
    found
}

/// A segment with code.
struct Code {
    range: Range<u64>,
    /// Where it is in the file.
    offset: u64,
    /// How many of its bytes the file holds.
    held: u64,
}

/// An image with what is needed to resolve its addresses.
pub struct Tracer<'a> {
    reader: &'a dyn ReadAt,
    /// Where symbols and debugging information are.
    debug: &'a dyn ReadAt,
    arch: Arch,
    code: Vec<Code>,
    sections: Sections,
    symbols: Symbols,
    info: DebugInfo,
}

impl<'a> Tracer<'a> {
    /// Reads headers, symbols and debugging information of an image.
    pub fn new(reader: &'a dyn ReadAt, limits: Limits) -> Result<Tracer<'a>, ImageError> {
        Tracer::with_debug(reader, reader, limits)
    }

    /// As [`Tracer::new`], with symbols and debugging information from `debug`, a file of the same
    /// image. `debug` may hold nothing but debugging information.
    pub fn with_debug(
        reader: &'a dyn ReadAt,
        debug: &'a dyn ReadAt,
        limits: Limits,
    ) -> Result<Tracer<'a>, ImageError> {
        let image = Image::read(reader, &Arch::ALL)?;
        let loads = image.segments().iter();
        let code = loads
            .filter(|header| header.is_load() && header.has(PF_X))
            .filter_map(|header| {
                // A file for debugging has the addresses of code but not the code.
                let end = header.p_vaddr.checked_add(header.p_memsz.max(header.p_filesz))?;
                Some(Code {
                    range: header.p_vaddr..end,
                    offset: header.p_offset,
                    held: header.p_filesz,
                })
            })
            .take(CODE_MAX);
        let code = code.collect();
        // Without sections there are neither symbols nor debugging information.
        let header = *Image::read(debug, &Arch::ALL)?.header();
        let sections = Sections::read(debug, &header).unwrap_or_default();
        Ok(Tracer {
            reader,
            debug,
            arch: image.arch(),
            code,
            symbols: Symbols::read(debug, &sections),
            info: DebugInfo::read(debug, &sections, limits),
            sections,
        })
    }

    /// The machine it is for.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// Its debugging information.
    pub fn info(&self) -> &DebugInfo {
        &self.info
    }

    /// Whether it has symbols.
    pub fn has_symbols(&self) -> bool {
        self.sections.has_symbols()
    }

    /// Whether an address is one of its code.
    pub fn is_code(&self, address: u64) -> bool {
        self.code.iter().any(|code| code.range.contains(&address))
    }

    /// Functions and lines of addresses.
    pub fn resolve(&self, addresses: &[Address]) -> Vec<Resolved> {
        // Symbols first: they are cheap, and remain useful if the limits stop the rest.
        let inside: Vec<u64> = addresses.iter().map(|address| address.inside()).collect();
        let symbol_at = |address: &u64| {
            let (sections, meter) = (&self.sections, self.info.meter());
            self.symbols.at(self.debug, sections, meter, *address)
        };
        let symbols: Vec<Option<Named>> = inside.iter().map(symbol_at).collect();
        let frames = self.info.locate(&inside);
        let all = addresses.iter().zip(symbols).zip(frames);
        all.map(|((address, symbol), frames)| Resolved {
            address: *address,
            symbol: symbol.map(|symbol| Named {
                offset: symbol.offset.saturating_add(u64::from(address.returns)),
                ..symbol
            }),
            frames,
        })
        .collect()
    }

    /// Whether the code around the instruction pointer is the same in a core as in this image; true
    /// if either of them does not hold that code.
    pub fn fits(&self, core: &Core<'_>) -> bool {
        let Some(rip) = core.registers.get(Registers::RIP) else {
            return true;
        };
        let (mut ours, mut theirs) = ([0; 16], [0; 16]);
        !self.read_code(rip, &mut ours) || !core.memory(rip, &mut theirs) || ours == theirs
    }

    /// The calls in a core, the innermost first.
    pub fn backtrace(&self, core: &Core<'_>) -> Vec<(Address, By)> {
        let mut out = Vec::new();
        let mut registers = core.registers.clone();
        let mut by = By::Registers;
        let mut left = STACK_WORDS;
        while let (Some(value), true) = (registers.get(Registers::RIP), out.len() < CALLERS_MAX) {
            let address = Address { value, returns: by != By::Registers };
            out.push((address, by));
            let memory = |address| core.word(address);
            let caller = self.info.caller(address.inside(), &registers, &memory);
            let plausible = |caller: &Registers| self.is_caller(&registers, caller);
            let next = caller
                .filter(plausible)
                .map(|caller| (caller, By::CallFrame))
                .or_else(|| {
                    let caller = by_frame_pointer(core, &registers).filter(plausible)?;
                    Some((caller, By::FramePointer))
                })
                .or_else(|| Some((self.by_stack(core, &registers, &mut left)?, By::Stack)));
            let Some((caller, how)) = next else { break };
            (registers, by) = (caller, how);
        }
        out
    }

    /// Whether registers may be a caller's: further up the stack, and after a call instruction.
    fn is_caller(&self, of: &Registers, caller: &Registers) -> bool {
        let up = of.get(Registers::RSP) < caller.get(Registers::RSP);
        let returns = caller.get(Registers::RIP);
        up && returns.is_some_and(|address| self.is_after_call(address))
    }

    /// The nearest word on the stack that points after a call, among the `left` remaining words.
    fn by_stack(
        &self,
        core: &Core<'_>,
        registers: &Registers,
        left: &mut usize,
    ) -> Option<Registers> {
        let mut next = registers.get(Registers::RSP)?;
        while *left > 0 {
            *left -= 1;
            let at = next;
            next = at.checked_add(8)?;
            let word = core.word(at)?;
            if self.is_after_call(word) {
                let mut caller = registers.clone();
                caller.set(Registers::RIP, Some(word));
                caller.set(Registers::RSP, Some(next));
                return Some(caller);
            }
        }
        None
    }

    /// Whether the bytes before `address` can be decoded as a call.
    fn is_after_call(&self, address: u64) -> bool {
        const LONGEST: usize = 7;
        let mut bytes = [0; LONGEST];
        let start = address.checked_sub(LONGEST as u64);
        if !start.is_some_and(|start| self.read_code(start, &mut bytes)) {
            return false;
        }
        let direct = bytes.get(LONGEST - 5) == Some(&0xe8);
        // FF /2: through a register or memory.
        let indirect = (2..=LONGEST).any(|length| {
            let instruction = bytes.get(LONGEST - length..).unwrap_or_default();
            call_length(instruction) == Some(length)
        });
        direct || indirect
    }

    fn read_code(&self, address: u64, out: &mut [u8]) -> bool {
        let place = |code: &Code| {
            let at = address.checked_sub(code.range.start)?;
            let held = at.checked_add(out.len() as u64)? <= code.held;
            code.offset.checked_add(at).filter(|_| held)
        };
        let offset = self.code.iter().find_map(place);
        offset.is_some_and(|offset| self.reader.read_at(offset, out) == Ok(out.len()))
    }
}

/// The length of the call through a register or memory that `bytes` starts with.
fn call_length(bytes: &[u8]) -> Option<usize> {
    let [0xff, modrm, ..] = bytes else {
        return None;
    };
    if modrm >> 3 & 7 != 2 {
        return None;
    }
    let (mode, base) = (modrm >> 6, modrm & 7);
    if mode == 3 {
        return Some(2);
    }
    let sib = usize::from(base == 4);
    let wide = base == 5 || (base == 4 && bytes.get(2).is_some_and(|sib| sib & 7 == 5));
    let displacement = match mode {
        0 if wide => 4,
        0 => 0,
        1 => 1,
        _ => 4,
    };
    Some(2 + sib + displacement)
}

/// The caller of a function that keeps a frame pointer.
fn by_frame_pointer(core: &Core<'_>, registers: &Registers) -> Option<Registers> {
    let frame = registers.get(Registers::RBP)?;
    let distance = frame.checked_sub(registers.get(Registers::RSP)?)?;
    if distance > FRAME_MAX || !frame.is_multiple_of(8) {
        return None;
    }
    let mut caller = Registers::default();
    caller.set(Registers::RBP, core.word(frame));
    caller.set(Registers::RIP, core.word(frame.checked_add(8)?));
    caller.set(Registers::RSP, frame.checked_add(16));
    Some(caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_name_addresses() {
        let at = |value, returns| Address { value, returns };
        for (line, expected) in [
            ("solo5-hvt:   rip=0x0000000000100d21 rsp=0x1fff58", vec![at(0x10_0d21, false)]),
            ("solo5-hvt:   return address? 0x100417 at rsp+0x18", vec![at(0x10_0417, true)]),
            (
                "Solo5: trap: type=#PF ec=0x2 rip=0x101234 rsp=0x1ffff8 rflags=0x10246",
                vec![at(0x10_1234, false)],
            ),
            (
                "solo5-spt[7]: segfault at 28 ip 0000000000100a31 sp 00000000001fffd8 error 4",
                vec![at(0x10_0a31, false)],
            ),
            (
                "traps: solo5-spt[7] general protection fault ip:100a31 sp:1fffd8 error:0",
                vec![at(0x10_0a31, false)],
            ),
            (
                "audit: type=1326 sig=31 syscall=41 compat=0 ip=0x100a31 code=0x80000000",
                vec![at(0x10_0a31, false)],
            ),
            (
                "solo5-hvt: guest trap: pc=0x100040 sp=0x3fffe0 lr=0x100020 pstate=0x3c5 esr=0x0 far=0x28",
                vec![at(0x10_0040, false), at(0x10_0020, true)],
            ),
            ("pc : 0000000000100a30", vec![at(0x10_0a30, false)]),
            ("a rpc=0x100000, a trip=0x100000, a ship 12, ip=, rip=0x, skip 100000", vec![]),
            ("rip=0x11111111111111111", vec![]),
        ] {
            assert_eq!(addresses(line), expected, "{line}");
        }
    }

    /// Encodings as GNU as writes them.
    #[test]
    fn calls_have_lengths() {
        for (call, length) in [
            (&[0xff, 0xd0][..], 2),               // *%rax
            (&[0xff, 0x10], 2),                   // *(%rax)
            (&[0xff, 0x50, 8], 3),                // *8(%rax)
            (&[0xff, 0x14, 0xc8], 3),             // *(%rax,%rcx,8)
            (&[0xff, 0x54, 0x24, 8], 4),          // *8(%rsp)
            (&[0xff, 0x15, 0, 1, 0, 0], 6),       // *0x100(%rip)
            (&[0xff, 0x90, 0, 1, 0, 0], 6),       // *0x100(%rax)
            (&[0xff, 0x94, 0x24, 0, 1, 0, 0], 7), // *0x100(%rsp)
            (&[0xff, 0x14, 0xc5, 0, 1, 0, 0], 7), // *0x100(,%rax,8)
        ] {
            assert_eq!(call_length(call), Some(length), "{call:x?}");
        }
        assert_eq!(call_length(&[0xff, 0xe0]), None); // jmp *%rax
    }
}
