//! Debugging information, and its use for traces and cores. An input is an image, then a core or
//! any text; the last four bytes say how long the image is.

use std::sync::LazyLock;

use solo5_dwarf::core::Core;
use solo5_dwarf::testing::{Compiled, core};
use solo5_dwarf::trace::{Address, Tracer, addresses};
use solo5_dwarf::{Limits, Registers};

use crate::Target;

pub(crate) const TARGET: Target = Target { name: "dwarf", run, seeds, words };

const LIMITS: Limits = Limits { bytes: 1 << 20, reads: 1 << 18 };

fn run(data: &[u8]) -> bool {
    let Some((rest, length)) = data.split_last_chunk() else {
        return false;
    };
    let length = u32::from_le_bytes(*length) as usize;
    let Some((image, other)) = rest.split_at_checked(length) else {
        return false;
    };
    let (image, other) = (image.to_vec(), other.to_vec());
    let Ok(tracer) = Tracer::new(&image, LIMITS) else {
        return false;
    };
    let mut asked = addresses(&String::from_utf8_lossy(&other));
    asked.truncate(64);
    if let Ok(core) = Core::read(&other) {
        let _ = tracer.fits(&core);
        let calls = tracer.backtrace(&core);
        for (address, _) in calls.iter().skip(1) {
            assert!(tracer.is_code(address.value.saturating_sub(1)), "{address:x?}");
        }
        assert!(calls.len() <= 64);
        let first = calls.first().map(|(address, _)| address.value);
        assert_eq!(first, core.registers.get(Registers::RIP));
        asked.extend(calls.iter().map(|(address, _)| *address));
    }
    // Addresses throughout the code.
    let start = 0x40_0000;
    asked.extend(
        (0..64).map(|index| Address { value: start + index * 16, returns: index % 2 == 0 }),
    );
    let resolved = tracer.resolve(&asked);
    assert_eq!(resolved.len(), asked.len());
    for (resolved, asked) in resolved.iter().zip(&asked) {
        assert_eq!(resolved.address, *asked);
        for frame in &resolved.frames {
            assert!(frame.source.as_ref().is_none_or(|source| source.line > 0));
        }
    }
    let _ = tracer.info().variable(0x40_3000);
    let mut functions = 0;
    tracer.info().visit_units(|unit| functions += unit.functions.len());
    functions > 0
}

/// Programs by each C compiler that is installed, with debugging information in several forms.
static PROGRAMS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let clang = std::process::Command::new("clang").arg("--version").output();
    let compilers = std::iter::once("cc").chain(clang.is_ok().then_some("clang"));
    let forms: [&[&str]; 4] = [
        &["-gdwarf-5"],
        &["-gdwarf-4", "-O2"],
        &["-gdwarf-3", "-O0"],
        &["-g0", "-fno-asynchronous-unwind-tables"],
    ];
    let mut out = Vec::new();
    for compiler in compilers {
        for form in forms {
            out.push(Compiled::new(compiler, form).bytes());
        }
    }
    out
});

fn seeds() -> Vec<Vec<u8>> {
    let mut registers = Registers::default();
    registers.set(Registers::RIP, Some(0x40_0128));
    registers.set(Registers::RSP, Some(0x7000));
    registers.set(Registers::RBP, Some(0x7010));
    let stack = (0..16).flat_map(|word: u64| (0x40_0100 + word * 8).to_le_bytes());
    let dump = core(11, &registers, &[(0x7000, stack.collect())]);
    let trace = b"rip=0x400128 rsp=0x7000\nreturn address? 0x400140 at rsp+0x8\n".to_vec();
    let mut out = vec![vec![0; 4]];
    for image in PROGRAMS.iter() {
        for other in [&dump, &trace] {
            let length = (image.len() as u32).to_le_bytes();
            out.push([&image[..], other, &length].concat());
        }
    }
    out
}

fn words() -> Vec<Vec<u8>> {
    let words = ["rip=0x", "return address? 0x", " ip ", "CORE\0", "_ZN", "_R"];
    words.map(|word| word.as_bytes().to_vec()).into()
}
