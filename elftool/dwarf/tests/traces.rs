//! Functions, lines and callers, compared with what binutils say about the same program.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::sample::Index;
use solo5_dwarf::core::{Core, CoreError};
use solo5_dwarf::testing::{Compiled, core};
use solo5_dwarf::trace::{Address, By, Tracer};
use solo5_dwarf::{DebugInfo, Gap, Limits, Registers};
use solo5_image::Foreign;

/// Functions of the program by name: address and size, as `nm` has them.
fn functions(program: &Compiled) -> BTreeMap<String, (u64, u64)> {
    let listed = Command::new("nm").arg("-S").arg(program.path()).output();
    let text = String::from_utf8(listed.unwrap().stdout).unwrap();
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    text.lines()
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [address, size, "T" | "D", name] => {
                Some((name.to_owned(), (number(address), number(size))))
            }
            _ => None,
        })
        .collect()
}

/// What `addr2line` says about addresses: functions and `file:line`, innermost first.
fn addr2line(program: &Compiled, addresses: &[u64]) -> Vec<Vec<(String, String)>> {
    let mut child = Command::new("addr2line")
        .args(["-f", "-i", "-s", "-a", "-e"])
        .arg(program.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for address in addresses {
        writeln!(stdin, "{address:#x}").unwrap();
    }
    drop(stdin);
    let text = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let mut answers: Vec<Vec<(String, String)>> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            answers.push(Vec::new());
            continue;
        }
        let source = lines.next().unwrap();
        // `file:7 (discriminator 2)`
        let source = source.split(' ').next().unwrap().to_owned();
        answers.last_mut().unwrap().push((line.to_owned(), source));
    }
    answers
}

#[test]
fn every_address_has_the_functions_and_line_that_binutils_say() {
    let all: [(&str, &[&str]); 5] = [
        ("cc", &["-gdwarf-5"]),
        ("cc", &["-gdwarf-4", "-O2"]),
        ("cc", &["-gdwarf-3", "-O0"]),
        ("clang", &["-gdwarf-5"]),
        ("clang", &["-gdwarf-4", "-O2"]),
    ];
    for (compiler, options) in all {
        if Command::new(compiler).arg("--version").output().is_err() {
            println!("skipped: {compiler} is not here");
            continue;
        }
        let program = Compiled::new(compiler, options);
        let functions = functions(&program);
        let addresses: Vec<u64> = ["leaf", "outer", "_start"]
            .iter()
            .flat_map(|name| {
                let (start, size) = functions[*name];
                start..start + size
            })
            .collect();
        let bytes = program.bytes();
        let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
        let ours = tracer.info().locate(&addresses);
        let theirs = addr2line(&program, &addresses);
        assert_eq!(theirs.len(), addresses.len());
        let mut inlined = 0;
        for ((address, ours), theirs) in addresses.iter().zip(ours).zip(theirs) {
            inlined += usize::from(ours.len() > 1);
            let ours: Vec<_> = ours
                .into_iter()
                .map(|frame| {
                    let source = frame.source.map(|source| {
                        let file = source.file.rsplit('/').next().unwrap_or_default().to_owned();
                        format!("{file}:{}", source.line)
                    });
                    // Code that comes from no line has line 0, which binutils print as `?`.
                    let source = source.unwrap_or_else(|| String::from("program.c:?"));
                    (frame.function.unwrap_or_default(), source)
                })
                .collect();
            assert_eq!(ours, theirs, "{compiler} {options:?} at {address:#x}");
        }
        assert!(inlined > 0, "{compiler} {options:?}");
    }
}

#[test]
fn variables_have_lines_and_units_compilers() {
    let program = Compiled::new("cc", &[]);
    let bytes = program.bytes();
    let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
    let (table, _) = functions(&program)["table"];
    let source = tracer.info().variable(table).unwrap();
    assert_eq!(source.to_string(), "program.c:4");
    assert_eq!(tracer.info().variable(table + 4), None);
    let mut units = Vec::new();
    tracer.info().visit_units(|unit| units.push(unit));
    let [unit] = &units[..] else { panic!("{units:?}") };
    assert_eq!(unit.name, "program.c");
    assert!(unit.unchecked && !unit.producer.is_empty());
    let arrays = unit.functions.iter().map(|function| {
        let line = function.source.as_ref().unwrap().line;
        (function.name.as_str(), line, function.has_array)
    });
    let mut arrays: Vec<_> = arrays.collect();
    arrays.sort_unstable();
    assert_eq!(arrays, [("_start", 15, false), ("leaf", 5, false), ("outer", 9, true)]);
}

/// The address to which the first call of `callee` in `function` returns.
fn after_call(program: &Compiled, function: (u64, u64), callee: u64) -> u64 {
    let bytes = program.bytes();
    let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
    let offset = |address: u64| {
        // The only segment with code starts at the start of the file.
        usize::try_from(address - (function.0 & !0xfff)).unwrap()
    };
    assert!(tracer.is_code(function.0));
    (function.0 + 5..function.0 + function.1)
        .find(|next| {
            let at = offset(*next);
            let distance = i32::from_le_bytes(bytes[at - 4..at].try_into().unwrap());
            bytes[at - 5] == 0xe8 && next.wrapping_add_signed(distance.into()) == callee
        })
        .unwrap()
}

/// A core at the start of `leaf`. Its stack holds the return address into `outer`, then only the
/// one into `_start`.
fn in_leaf(program: &Compiled) -> Vec<u8> {
    let functions = functions(program);
    let in_outer = after_call(program, functions["outer"], functions["leaf"].0);
    let in_start = after_call(program, functions["_start"], functions["outer"].0);
    let mut registers = Registers::default();
    registers.set(Registers::RIP, Some(functions["leaf"].0));
    registers.set(Registers::RSP, Some(0x7000));
    let mut stack = in_outer.to_le_bytes().to_vec();
    for _ in 0..31 {
        stack.extend_from_slice(&in_start.to_le_bytes());
    }
    core(11, &registers, &[(0x7000, stack)])
}

fn names(tracer: &Tracer<'_>, calls: &[(Address, By)]) -> Vec<(String, By)> {
    let addresses: Vec<Address> = calls.iter().map(|(address, _)| *address).collect();
    let resolved = tracer.resolve(&addresses).into_iter().zip(calls);
    resolved.map(|(resolved, (_, by))| (resolved.symbol.unwrap().name, *by)).collect()
}

#[test]
fn cores_say_who_called_whom() {
    let expected = |how| {
        [
            (String::from("leaf"), By::Registers),
            (String::from("outer"), how),
            (String::from("_start"), how),
        ]
    };
    for (options, how) in [
        (&["-fasynchronous-unwind-tables"][..], By::CallFrame),
        // Call frame information only for debuggers, in `.debug_frame`.
        (&["-fno-asynchronous-unwind-tables", "-fno-unwind-tables"], By::CallFrame),
        (&["-fno-asynchronous-unwind-tables", "-g0"], By::Stack),
    ] {
        let program = Compiled::new("cc", options);
        let (bytes, dump) = (program.bytes(), in_leaf(&program));
        let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
        let core = Core::read(&dump).unwrap();
        assert_eq!(core.signal, 11);
        let calls = names(&tracer, &tracer.backtrace(&core));
        assert_eq!(calls[..3], expected(how), "{options:?}");
    }
}

#[test]
fn frame_pointers_are_followed_where_there_is_nothing_better() {
    let options = ["-fno-asynchronous-unwind-tables", "-g0", "-fno-omit-frame-pointer"];
    let program = Compiled::new("cc", &options);
    let functions = functions(&program);
    let in_start = after_call(&program, functions["_start"], functions["outer"].0);
    let mut registers = Registers::default();
    registers.set(Registers::RIP, Some(functions["outer"].0 + 8));
    registers.set(Registers::RSP, Some(0x7000));
    registers.set(Registers::RBP, Some(0x7010));
    let words = [in_start - 1, 0, 0, in_start];
    let stack = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let dump = core(6, &registers, &[(0x7000, stack)]);
    let bytes = program.bytes();
    let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
    let calls = tracer.backtrace(&Core::read(&dump).unwrap());
    let hows: Vec<By> = calls.iter().map(|(_, by)| *by).collect();
    assert_eq!(hows, [By::Registers, By::FramePointer]);
    assert_eq!(calls[1].0.value, in_start);
}

#[test]
fn other_files_are_refused_and_another_images_core_is_noticed() {
    let program = Compiled::new("cc", &[]);
    let bytes = program.bytes();
    assert_eq!(Core::read(&bytes).err(), Some(CoreError::NoCore(None)));
    assert_eq!(Core::read(&Vec::new()).err(), Some(CoreError::NoCore(Some(Foreign::Empty))));
    let mut dump = in_leaf(&program);
    dump[18] = 183;
    assert_eq!(Core::read(&dump).err(), Some(CoreError::Machine(183)));
    dump[18] = 62;
    let note = dump.windows(5).position(|bytes| bytes == b"CORE\0").unwrap();
    dump[note] = b'X';
    assert_eq!(Core::read(&dump).err(), Some(CoreError::NoRegisters));

    let tracer = Tracer::new(&bytes, Limits::ONE).unwrap();
    let (leaf, _) = functions(&program)["leaf"];
    let mut registers = Registers::default();
    registers.set(Registers::RIP, Some(leaf));
    let holding = |code: Vec<u8>| core(11, &registers, &[(leaf, code)]);
    let same = holding(bytes[(leaf & 0xfff) as usize..][..16].to_vec());
    assert!(tracer.fits(&Core::read(&same).unwrap()));
    let other = holding(vec![0x90; 16]);
    assert!(!tracer.fits(&Core::read(&other).unwrap()));
}

#[test]
fn work_is_limited() {
    let program = Compiled::new("cc", &[]);
    let bytes = program.bytes();
    let (leaf, _) = functions(&program)["leaf"];
    let mut answered = 0;
    for bits in 0..20 {
        let limits = Limits { bytes: 1 << 20, reads: 1 << bits };
        let tracer = Tracer::new(&bytes, limits).unwrap();
        let frames = tracer.info().locate(&[leaf]).concat();
        let short = tracer.info().gap() == Some(Gap::Long);
        assert_eq!(frames.is_empty() || frames[0].source.is_none(), short);
        answered += frames.len();
    }
    assert!((1..20).contains(&answered), "{answered}");
    let limits = Limits { bytes: 8, reads: 1 << 20 };
    let tracer = Tracer::new(&bytes, limits).unwrap();
    assert!(tracer.info().is_empty());
    assert_eq!(tracer.info().gap(), Some(Gap::Large(8)));
}

#[test]
fn renewed_information_has_its_full_limit() {
    let program = Compiled::new("cc", &[]);
    let bytes = program.bytes();
    let limits = Limits { bytes: 1 << 20, reads: 1 << 14 };
    let tracer = Tracer::new(&bytes, limits).unwrap();
    let info = tracer.info();
    let units = |info: &DebugInfo| {
        let mut count = 0;
        info.visit_units(|_| count += 1);
        count
    };
    while info.gap().is_none() {
        info.variable(1);
    }
    assert_eq!(units(info), 0);
    let info = info.renewed();
    assert_eq!((units(&info), info.gap()), (1, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever debugging information and cores hold, reading them ends soon and without a panic.
    #[test]
    fn damaged_files_are_read(
        changes in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        of_core in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
    ) {
        thread_local! {
            static FILES: (Vec<u8>, Vec<u8>) = {
                let program = Compiled::new("cc", &[]);
                (program.bytes(), in_leaf(&program))
            };
        }
        let (mut image, mut dump) = FILES.with(Clone::clone);
        // Damage only what follows the headers; with damaged headers it would be no image.
        for (at, byte) in changes {
            let at = 0x1000 + at.index(image.len() - 0x1000);
            image[at] = byte;
        }
        for (at, byte) in of_core {
            let at = at.index(dump.len());
            dump[at] = byte;
        }
        let limits = Limits { bytes: 1 << 20, reads: 1 << 18 };
        let Ok(tracer) = Tracer::new(&image, limits) else {
            return Ok(());
        };
        tracer.info().visit_units(drop);
        let _ = tracer.info().variable(0x40_3000);
        let mut calls = vec![(Address { value: 0x40_1010, returns: false }, By::Registers)];
        if let Ok(core) = Core::read(&dump) {
            let _ = tracer.fits(&core);
            calls.extend(tracer.backtrace(&core));
        }
        let addresses: Vec<Address> = calls.iter().map(|(address, _)| *address).collect();
        prop_assert_eq!(tracer.resolve(&addresses).len(), addresses.len());
    }
}
