//! Floating-point and vector registers in the format of the XSAVE instruction, which KVM uses too
//! (Intel's manual, volume 1, §13.4).
//!
//! KVM's older call (KVM_SET_FPU) leaves out MXCSR, and has no effect until the guest has used one
//! of these registers.

/// Words of the area.
const WORDS: usize = 1024;
/// Header bits: bit 0 says that the x87 state is in use, bit 1 that the SSE state is.
const IN_USE: u8 = 0b11;
/// Offsets in bytes.
const FCW: usize = 0;
const FSW: usize = 2;
const TAGS: usize = 4;
const OPCODE: usize = 6;
const LAST_IP: usize = 8;
const LAST_DP: usize = 16;
const MXCSR: usize = 24;
const ST: usize = 32;
const XMM: usize = 160;
const HEADER: usize = 512;
/// Bytes from one register to the next.
const STRIDE: usize = 16;

/// The registers that the debugger sees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Floats {
    /// x87 control word.
    pub control: u16,
    /// x87 status word.
    pub status: u16,
    /// One bit for each x87 register that is not empty.
    pub tags: u8,
    /// Opcode of the last x87 instruction.
    pub opcode: u16,
    /// Address of the last x87 instruction.
    pub last_ip: u64,
    /// Address of the last x87 operand.
    pub last_dp: u64,
    /// SSE control and status.
    pub mxcsr: u32,
    /// ST(0) to ST(7).
    pub st: [[u8; 10]; 8],
    /// XMM0 to XMM15.
    pub xmm: [[u8; 16]; 16],
}

fn get<const N: usize>(area: &[u32; WORDS], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, byte) in (at..).zip(&mut bytes) {
        let word = area.get(at / 4).copied().unwrap_or_default();
        *byte = (word >> (at % 4 * 8)) as u8;
    }
    bytes
}

fn put(area: &mut [u32; WORDS], at: usize, bytes: &[u8]) {
    for (at, byte) in (at..).zip(bytes) {
        if let Some(word) = area.get_mut(at / 4) {
            let shift = at % 4 * 8;
            *word = *word & !(0xff << shift) | u32::from(*byte) << shift;
        }
    }
}

impl Floats {
    /// Reads the registers from an XSAVE area.
    pub fn read(area: &[u32; WORDS]) -> Floats {
        Floats {
            control: u16::from_le_bytes(get(area, FCW)),
            status: u16::from_le_bytes(get(area, FSW)),
            tags: u8::from_le_bytes(get(area, TAGS)),
            opcode: u16::from_le_bytes(get(area, OPCODE)),
            last_ip: u64::from_le_bytes(get(area, LAST_IP)),
            last_dp: u64::from_le_bytes(get(area, LAST_DP)),
            mxcsr: u32::from_le_bytes(get(area, MXCSR)),
            st: std::array::from_fn(|index| get(area, ST + STRIDE * index)),
            xmm: std::array::from_fn(|index| get(area, XMM + STRIDE * index)),
        }
    }

    /// Writes the registers into an XSAVE area, and leaves the rest of it unchanged.
    pub fn write(&self, area: &mut [u32; WORDS]) {
        put(area, FCW, &self.control.to_le_bytes());
        put(area, FSW, &self.status.to_le_bytes());
        put(area, TAGS, &self.tags.to_le_bytes());
        put(area, OPCODE, &self.opcode.to_le_bytes());
        put(area, LAST_IP, &self.last_ip.to_le_bytes());
        put(area, LAST_DP, &self.last_dp.to_le_bytes());
        put(area, MXCSR, &self.mxcsr.to_le_bytes());
        for (index, register) in self.st.iter().enumerate() {
            put(area, ST + STRIDE * index, register);
        }
        for (index, register) in self.xmm.iter().enumerate() {
            put(area, XMM + STRIDE * index, register);
        }
        let [used] = get(area, HEADER);
        put(area, HEADER, &[used | IN_USE]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An area that the `fxsave` instruction fills from this CPU's registers.
    #[repr(C, align(16))]
    struct Stored([u32; WORDS]);

    #[test]
    fn the_layout_is_that_of_the_cpu() {
        let mut stored = Stored([0; WORDS]);
        let value = 0x1122_3344_5566_7788u64;
        // SAFETY: the instruction stores 512 bytes at an aligned address with room for them, and
        // the only register that it changes is declared.
        unsafe {
            std::arch::asm!(
                "movq {x}, {value}",
                "movq xmm5, {x}",
                "fxsave [{at}]",
                value = in(reg) value,
                at = in(reg) &raw mut stored.0,
                x = out(xmm_reg) _,
                out("xmm5") _,
            );
        }
        let floats = Floats::read(&stored.0);
        assert_eq!(floats.control, 0x37f);
        assert_eq!(floats.mxcsr & 0xffc0, 0x1f80, "without the flags");
        assert_eq!(floats.xmm[5][..8], value.to_le_bytes());
    }

    #[test]
    fn written_registers_read_back_and_the_rest_of_the_area_is_unchanged() {
        let mut area: [u32; WORDS] =
            std::array::from_fn(|index| (index as u32).wrapping_mul(0x0101_0101));
        let before = area;
        let floats = Floats {
            control: 0x37f,
            status: 0x1234,
            tags: 0x81,
            opcode: 0x7ff,
            last_ip: u64::MAX - 1,
            last_dp: 7,
            mxcsr: 0x1f80,
            st: std::array::from_fn(|index| [index as u8; 10]),
            xmm: std::array::from_fn(|index| [0xf0 | index as u8; 16]),
        };
        floats.write(&mut area);
        assert_eq!(Floats::read(&area), floats);
        assert_eq!(area[HEADER / 4] & 0b11, 0b11);
        assert_eq!(area[7], before[7], "MXCSR's mask");
        assert_eq!(area[104..128], before[104..128]);
        assert_eq!(area[129..], before[129..]);
    }
}
