//! What a file is that is no ELF file, by its first bytes.
//!
//! It is asked only after an image was refused, and its answer is only shown.

use std::fmt;

use crate::read::ReadAt;

/// Bytes that are looked at: as many as a disk's first sector has.
const LOOKED_AT: usize = 512;

/// A kind of file that is sometimes given in place of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the texts say what they are")]
pub enum Foreign {
    Empty,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
    Zip,
    Archive,
    Script,
    Windows,
    MachO,
    WebAssembly,
    Bitcode,
    Qcow2,
    Vmdk,
    Vhd,
    Tar,
    Disk,
    Json,
    Text,
}

/// Where a kind of file has which bytes. The first that fits counts.
const MAGIC: [(usize, &[u8], Foreign); 21] = [
    (0, b"\x1f\x8b", Foreign::Gzip),
    (0, b"\x28\xb5\x2f\xfd", Foreign::Zstd),
    (0, b"\xfd7zXZ\0", Foreign::Xz),
    (0, b"BZh", Foreign::Bzip2),
    (0, b"PK\x03\x04", Foreign::Zip),
    (0, b"!<arch>\n", Foreign::Archive),
    (0, b"!<thin>\n", Foreign::Archive),
    (0, b"#!", Foreign::Script),
    (0, b"MZ", Foreign::Windows),
    (0, b"\xcf\xfa\xed\xfe", Foreign::MachO),
    (0, b"\xca\xfe\xba\xbe", Foreign::MachO),
    (0, b"\0asm", Foreign::WebAssembly),
    (0, b"BC\xc0\xde", Foreign::Bitcode),
    (0, b"QFI\xfb", Foreign::Qcow2),
    (0, b"KDMV", Foreign::Vmdk),
    (0, b"# Disk DescriptorFile", Foreign::Vmdk),
    (0, b"conectix", Foreign::Vhd),
    (257, b"ustar", Foreign::Tar),
    (510, b"\x55\xaa", Foreign::Disk),
    (0, b"{", Foreign::Json),
    (0, b"[", Foreign::Json),
];

impl Foreign {
    /// What `reader` starts with; `None` if that is not known, or cannot be read.
    pub fn of<R: ReadAt + ?Sized>(reader: &R) -> Option<Foreign> {
        let mut bytes = [0; LOOKED_AT];
        let got = reader.read_at(0, &mut bytes).ok()?;
        let bytes = bytes.get(..got)?;
        if bytes.is_empty() {
            return Some(Foreign::Empty);
        }
        let fits =
            |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
        let known = MAGIC.iter().find(|(at, magic, _)| fits(*at, magic));
        let is_text = || {
            let plain = |byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~');
            bytes.iter().all(plain).then_some(Foreign::Text)
        };
        known.map(|(_, _, kind)| *kind).or_else(is_text)
    }
}

impl fmt::Display for Foreign {
    /// A noun, as in "it is …".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Empty => "an empty file",
            Foreign::Gzip => "a gzip file",
            Foreign::Zstd => "a zstd file",
            Foreign::Xz => "an xz file",
            Foreign::Bzip2 => "a bzip2 file",
            Foreign::Zip => "a zip archive",
            Foreign::Archive => "an archive of objects (ar)",
            Foreign::Script => "a script",
            Foreign::Windows => "a program for Windows, DOS or UEFI (PE)",
            Foreign::MachO => "a program for macOS (Mach-O)",
            Foreign::WebAssembly => "a WebAssembly module",
            Foreign::Bitcode => "LLVM bitcode",
            Foreign::Qcow2 => "a disk in QEMU's format qcow2",
            Foreign::Vmdk => "a disk in VMware's format VMDK",
            Foreign::Vhd => "a disk in the format VHD",
            Foreign::Tar => "a tar archive",
            Foreign::Disk => "a disk with a boot sector",
            Foreign::Json => "JSON",
            Foreign::Text => "a text",
        })
    }
}
