//! A small program with debugging information, as the host's C compiler makes it, and cores of it.
//! Only with the feature `testing`.

use std::path::PathBuf;
use std::process::Command;

use crate::unwind::Registers;

/// `leaf` is called by `outer`, with `inlined` between them; `outer` is called by `_start`.
pub const SOURCE: &str = "\
#define NEVER_INLINED __attribute__((noinline, noclone))
#define INLINED static inline __attribute__((always_inline))
typedef char text[32]; struct pair { int one, two; } pair;
int table[4] = { 1, 2, 3, 4 };
NEVER_INLINED int leaf(const char *s) { return s[0] + table[s[1] & 3]; }
INLINED int inlined(const char *s) {
    return leaf(s) * 3;
}
NEVER_INLINED int outer(int n) {
    volatile text copy;
    for (int i = 0; i < 32; i++)
        copy[i] = (char)(n + i);
    return inlined((const char *)copy) + copy[n & 31];
}
void _start(void) {
    for (int i = 0;; i++)
        outer(i);
}
";

/// A folder with `program` in it, made of [`SOURCE`].
#[derive(Debug)]
pub struct Compiled {
    folder: tempfile::TempDir,
}

impl Compiled {
    /// Compiles it with this compiler and further options. Panics if that fails.
    pub fn new(compiler: &str, options: &[&str]) -> Compiled {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("program.c"), SOURCE).expect("a source file");
        let compiled = Command::new(compiler)
            .current_dir(folder.path())
            .args(["-O1", "-g", "-ffreestanding", "-fno-pie", "-fno-stack-protector"])
            .args(["-fasynchronous-unwind-tables"])
            .args(options)
            .args(["-static", "-nostdlib", "-no-pie", "-Wl,--build-id=none"])
            .args(["-Wl,-z,noseparate-code", "-o", "program", "program.c"])
            .output();
        let compiled = compiled.unwrap_or_else(|error| panic!("{compiler}: {error}"));
        let said = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{compiler}: {said}");
        Compiled { folder }
    }

    /// Compiles several files, each with options of its own. Panics if that fails.
    pub fn linked(compiler: &str, files: &[(&str, &str, &[&str])]) -> Compiled {
        let folder = tempfile::tempdir().expect("a folder");
        let run = |arguments: &[&str]| {
            let ran = Command::new(compiler).current_dir(folder.path()).args(arguments).output();
            let ran = ran.unwrap_or_else(|error| panic!("{compiler}: {error}"));
            let said = String::from_utf8_lossy(&ran.stderr);
            assert!(ran.status.success(), "{compiler} {arguments:?}: {said}");
        };
        let mut link = vec!["-static", "-nostdlib", "-no-pie", "-o", "program"];
        for (name, text, options) in files {
            std::fs::write(folder.path().join(name), text).expect("a source file");
            let compile = ["-c", "-g", "-O1", "-ffreestanding", "-fno-pie", *name];
            run(&[&compile[..], options].concat());
        }
        let objects: Vec<String> =
            files.iter().map(|(name, ..)| name.replace(".c", ".o")).collect();
        link.extend(objects.iter().map(String::as_str));
        run(&link);
        Compiled { folder }
    }

    /// Where the program is.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("program")
    }

    /// The program.
    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).expect("the program")
    }
}

/// A core with these registers and memory (address, content), in the layout of
/// `solo5-hvt-debug --dumpcore`.
pub fn core(signal: u16, registers: &Registers, memory: &[(u64, Vec<u8>)]) -> Vec<u8> {
    // r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi, orig_rax, rip, cs, flags, rsp
    const ORDER: [u16; 20] = [15, 14, 13, 12, 6, 3, 11, 10, 9, 8, 0, 2, 1, 4, 5, 99, 16, 99, 99, 7];
    let mut status = vec![0; 336];
    status[12..14].copy_from_slice(&signal.to_le_bytes());
    for (index, number) in ORDER.into_iter().enumerate() {
        let value = registers.get(number).unwrap_or(0);
        status[112 + index * 8..][..8].copy_from_slice(&value.to_le_bytes());
    }
    let mut note = Vec::new();
    for word in [5u32, status.len() as u32, 1] {
        note.extend_from_slice(&word.to_le_bytes());
    }
    note.extend_from_slice(b"CORE\0\0\0\0");
    note.extend_from_slice(&status);
    let count = memory.len() + 1;
    let mut out = vec![0; 64];
    out[..8].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 255]);
    out[16..18].copy_from_slice(&4u16.to_le_bytes());
    out[18..20].copy_from_slice(&62u16.to_le_bytes());
    out[20..24].copy_from_slice(&1u32.to_le_bytes());
    out[32..40].copy_from_slice(&64u64.to_le_bytes());
    for (at, value) in [(52, 64), (54, 56), (56, count as u16)] {
        out[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }
    let mut offset = 64 + 56 * count as u64;
    let mut header = |kind: u32, address: u64, size: usize| {
        let mut header = vec![0; 56];
        header[..4].copy_from_slice(&kind.to_le_bytes());
        for (at, value) in [(8, offset), (16, address), (32, size as u64), (40, size as u64)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        offset += size as u64;
        header
    };
    out.extend(header(4, 0, note.len()));
    for (address, content) in memory {
        out.extend(header(1, *address, content.len()));
    }
    out.extend(note);
    for (_, content) in memory {
        out.extend_from_slice(content);
    }
    out
}
