//! Every rule: its page, the images it accepts and refuses (`fixtures`); and what *error* means.

mod fixtures;

use std::collections::BTreeSet;

use fixtures::{DEVICES, Example, examples};

use proptest::prelude::*;
use solo5_abi::{Arch, Target, mft2};
use solo5_audit::{Budget, Measure, RULES, Rule, Selection, Subject, audit, loads};
use solo5_dwarf::testing::Compiled;
use solo5_image::Image;
use solo5_image::elf::{self, PF_R, PF_W, PF_X, ProgramHeader, SectionHeader, Symbol};
use solo5_image::sections::Sections;
use solo5_image::testing::{self, DATA, HOME, INTERP, Sample, TEXT};
use solo5_report::{Diagnostic, Severity};

fn spt() -> Sample {
    Sample::new(Target::Spt, Arch::X86_64, &DEVICES)
}

fn properties(records: &[(u32, u16, &[u8])]) -> Vec<u8> {
    testing::properties_note(DEVICES.len() + 1, records)
}

fn segment(kind: u32, flags: u32) -> ProgramHeader {
    ProgramHeader { p_type: kind, p_flags: flags, ..ProgramHeader::default() }
}

fn section(kind: u32, flags: u64, like: &ProgramHeader) -> SectionHeader {
    SectionHeader {
        sh_type: kind,
        sh_flags: flags,
        sh_addr: like.p_vaddr,
        sh_offset: like.p_offset,
        sh_size: 8,
        ..SectionHeader::default()
    }
}

fn push_section(sample: &mut Sample, name: &str, kind: u32, flags: u64, in_segment: usize) {
    let header = section(kind, flags, &sample.segments[in_segment]);
    sample.sections.push((name.into(), header));
}

/// A valid image with one change.
fn changed(change: impl FnOnce(&mut Sample)) -> Vec<u8> {
    let mut sample = spt();
    change(&mut sample);
    sample.bytes()
}

/// An image with this text in its data.
fn with_text(text: &str) -> Vec<u8> {
    changed(|s| {
        let data = &mut s.contents[1].1;
        let end = data.len();
        data[end - 32..end - 32 + text.len()].copy_from_slice(text.as_bytes());
    })
}

const PROTECTED: &str = "-fstack-protector-strong";

/// A program of two files in C, of which `app.c` has a stack protector.
fn two_files(compiler: &str, options: &[&str]) -> Vec<u8> {
    let app = include_str!("fixtures/S408/app.c");
    let library = include_str!("fixtures/S408/library.c");
    let files = [("app.c", app, &[PROTECTED][..]), ("library.c", library, options)];
    Compiled::linked(compiler, &files).bytes()
}

fn codes(findings: &[Diagnostic]) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.code).collect()
}

#[test]
fn every_rule_finds_something_in_what_it_refuses_and_nothing_in_what_it_accepts() {
    let all = Selection { all: true, ..Selection::default() };
    for example in examples() {
        let Example { code, name, bytes, .. } = &example;
        let rule = Rule::find(code).unwrap();
        let found = example.audit(&all);
        let ours: Vec<_> = found.iter().filter(|finding| finding.code == code).collect();
        if !example.refused {
            assert!(ours.is_empty(), "fixtures/{name}: {ours:#?}");
            continue;
        }
        assert!(!ours.is_empty(), "fixtures/{name}: not refused, but {:?}", codes(&found));
        for finding in ours {
            assert_eq!(finding.severity, rule.severity_in(&Subject::new("", bytes)), "{name}");
            assert!(finding.place.is_some() && finding.help.is_some(), "{name}");
            let first = finding.message.chars().next().unwrap();
            assert!(!finding.message.ends_with('.'), "{}", finding.message);
            assert!(
                !first.is_uppercase()
                    || finding.message.starts_with("PT_")
                    || finding.message.starts_with("OpenBSD")
            );
        }
    }
}

#[test]
fn fixtures_of_an_error_break_one_rule_only() {
    for example in examples().iter().filter(|example| example.refused) {
        if Rule::find(&example.code).unwrap().severity == Severity::Error {
            let errors = example.audit(&Selection::errors());
            let expected: BTreeSet<_> = [example.code.as_str()].into();
            assert_eq!(codes(&errors), expected, "fixtures/{}", example.name);
        }
    }
}

#[test]
fn every_rule_has_a_page_with_its_title() {
    for rule in RULES {
        let page = solo5_report::explain(rule.code).unwrap_or_else(|| panic!("{}", rule.code));
        assert!(page.starts_with(&format!("# {}: {}\n", rule.code, rule.title)), "{}", rule.code);
        let lines = page.lines().count();
        assert!((8..=18).contains(&lines), "{}: {lines} lines", rule.code);
    }
    let sorted: Vec<_> = RULES.iter().map(|rule| rule.code).collect();
    assert!(sorted.is_sorted());
    assert_eq!(BTreeSet::from_iter(&sorted).len(), sorted.len());
    for page in solo5_report::explain::codes().filter(|code| code.starts_with('S')) {
        assert!(Rule::find(page).is_some(), "{page} has a page and no rule");
    }
}

#[test]
fn valid_images_of_every_target_and_machine_are_clean() {
    for arch in Arch::ALL {
        for target in Target::ALL.into_iter().filter(|target| *target != Target::Genode) {
            let sample = Sample::new(target, arch, &DEVICES);
            let found = audit("a", &sample.bytes(), &Selection::default());
            assert!(found.is_empty(), "{target:?} {arch:?}: {found:#?}");
        }
    }
}

#[test]
fn evidence_names_section_and_symbol() {
    let bad = changed(|s| s.segments[DATA].p_flags |= PF_X);
    let found = audit("app.spt", &bad, &Selection::errors());
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].message, "segment 2 is writable and executable");
    assert_eq!(found[0].notes, ["writable: .data"]);
    let place = found[0].place.as_ref().unwrap();
    assert_eq!(place.part.as_deref(), Some("phdr[2]"));
    assert_eq!(place.section.as_deref(), Some(".data"));

    let bad = changed(|s| {
        s.sections[2].1.sh_flags |= elf::SHF_EXECINSTR;
        s.segments[DATA].p_flags |= PF_X;
    });
    let found = audit("app.spt", &bad, &Selection::errors());
    assert_eq!(found[0].place.as_ref().unwrap().symbol.as_deref(), Some("table"));
}

/// A linker may merge data into a section that is writable and executable, and linker scripts and
/// other sections may have symbols at the same address.
#[test]
fn what_is_writable_and_executable_is_named_and_not_its_neighbours() {
    let named = |symbols: &[(&str, Symbol)]| {
        let bad = changed(|s| {
            s.sections[2].1.sh_flags |= elf::SHF_EXECINSTR;
            s.segments[DATA].p_flags |= PF_X;
            for (name, symbol) in symbols {
                let of = s.symbols.iter().position(|(known, _)| known == "table").unwrap();
                let like = s.symbols[of].1;
                let st_value = like.st_value + symbol.st_value;
                s.symbols.insert(0, ((*name).into(), Symbol { st_value, ..*symbol }));
            }
        });
        let found = audit("a", &bad, &Selection::default());
        ["S201", "S202"].map(|code| {
            let finding = found.iter().find(|finding| finding.code == code).unwrap();
            let listed = finding.notes.iter().find(|note| note.starts_with("symbols in")).cloned();
            (finding.place.as_ref().unwrap().symbol.clone(), listed)
        })
    };
    let symbol = |kind: u8, value: u64, size: u64, section: u16| Symbol {
        st_info: 1 << 4 | kind,
        st_value: value,
        st_size: size,
        st_shndx: section,
        ..Symbol::default()
    };
    let jit = Some(String::from("jit"));
    // A label without a type or size, as assemblers make them; a mark; names of other sections.
    let neighbours = [
        ("_erodata", symbol(elf::STT_NOTYPE, 0, 0, HOME)),
        ("absolute", symbol(elf::STT_NOTYPE, 0, 8, elf::SHN_ABS)),
        ("of_text", symbol(elf::STT_NOTYPE, 0, 8, 1)),
        ("jit", symbol(elf::STT_NOTYPE, 8, 0, HOME)),
    ];
    assert_eq!(named(&neighbours), [(jit.clone(), None), (jit.clone(), None)]);
    let function = ("jit", symbol(elf::STT_FUNC, 8, 4, HOME));
    assert_eq!(named(&[function, ("label", symbol(elf::STT_NOTYPE, 0, 0, HOME))])[0], (jit, None));
    // Nothing tells two objects apart, so both are listed.
    let objects = [("code", symbol(elf::STT_OBJECT, 8, 8, HOME))];
    let listed = Some(String::from("symbols in .data: code table"));
    assert_eq!(named(&objects), [(None, listed.clone()), (None, listed)]);
}

/// lld keeps the symbol even if it has replaced every call.
#[test]
fn the_getter_of_thread_local_data_is_undefined_only_where_it_is_called() {
    let image = |name: &str, code: &[u8]| {
        changed(|s| {
            let symbol = Symbol { st_info: 1 << 4, ..Symbol::default() };
            s.symbols.push((name.into(), symbol));
            let at = (s.header.e_entry - s.segments[TEXT].p_vaddr) as usize;
            s.contents[0].1[at..at + code.len()].copy_from_slice(code);
        })
    };
    let entry = spt().header.e_entry;
    let distance = (entry as u32).wrapping_add(5).wrapping_neg().to_le_bytes();
    let call = [&[0xe8], &distance[..]].concat();
    let zero = [0xb8, 0, 0, 0, 0];
    let found = |image: &Vec<u8>| codes(&audit("a", image, &Selection::default()));
    assert!(!found(&image("__tls_get_addr", &zero)).contains("S114"));
    assert!(found(&image("__tls_get_addr", &call)).contains("S114"));
    assert!(found(&image("getrandom", &zero)).contains("S114"));
}

/// Whatever rules are selected, the report says that they could not examine sections.
#[test]
fn sections_that_cannot_be_read_are_never_skipped_silently() {
    let mut file = spt().bytes();
    file[58..60].copy_from_slice(&1u16.to_le_bytes());
    for select in ["S114", "S2", "S504"] {
        let selection = Selection { select: vec![select.into()], ..Selection::default() };
        let found = audit("a", &file, &selection);
        let [finding] = &found[..] else { panic!("{select}: {found:?}") };
        assert!(finding.code.starts_with(select), "{}", finding.code);
        assert_eq!(finding.severity, Severity::Note);
        assert!(finding.message.ends_with("e_shentsize is 1, expected 64"), "{}", finding.message);
        assert!(audit("a", &spt().bytes(), &selection).iter().all(|one| one.code == "S504"));
    }
    // If S319 is selected, only S319 reports it.
    let found = audit("a", &file, &Selection::default());
    assert_eq!(found.iter().filter(|one| one.code == "S319").count(), found.len());
}

#[test]
fn selections_choose_rules_and_cannot_ignore_errors() {
    let bad = changed(|s| {
        s.segments[DATA].p_flags |= PF_X;
        s.segments.remove(INTERP);
        s.segments.push(segment(elf::PT_DYNAMIC, PF_R));
    });
    let with = |select: &[&str], ignore: &[&str]| {
        let strings = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
        let selection =
            Selection { select: strings(select), ignore: strings(ignore), ..Selection::default() };
        codes(&audit("a", &bad, &selection)).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(with(&[], &[]), ["S112", "S201", "S315"]);
    assert_eq!(with(&["s2"], &[]), ["S201"]);
    assert_eq!(with(&["S3", "S112"], &[]), ["S112", "S315"]);
    assert_eq!(with(&[], &["S1", "S2"]), ["S201", "S315"]);
    assert_eq!(with(&["S9"], &[]), [""; 0]);
}

#[test]
fn nothing_is_an_error_where_no_tender_loads() {
    let mut sample = Sample::new(Target::Virtio, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags |= PF_X;
    let found = audit("a.virtio", &sample.bytes(), &Selection::default());
    let ours = found.iter().find(|finding| finding.code == "S201").unwrap();
    assert_eq!(ours.severity, Severity::Warning);
    // Except what the bindings of virtio refuse themselves.
    for (target, severity) in [(Target::Virtio, Severity::Error), (Target::Muen, Severity::Warning)]
    {
        let mut sample = Sample::new(target, Arch::X86_64, &DEVICES);
        // PT_NULL, in the place of the manifest.
        sample.segments.last_mut().unwrap().p_type = 0;
        let found = audit("an image", &sample.bytes(), &Selection::default());
        let ours = found.iter().find(|finding| finding.code == "S304").unwrap();
        assert_eq!(ours.severity, severity, "{target:?}");
    }
}

#[test]
fn sizes_are_held_against_budgets() {
    let image = spt().bytes();
    let selection = Selection { select: vec![String::from("S503")], ..Selection::default() };
    let found = |what: Measure, bytes: u64| {
        let budgets = [Budget { what, bytes }];
        let subject = Subject::new("a", &image).with_budgets(&budgets);
        let findings = solo5_audit::audit_subject(&subject, &selection);
        findings.first().map(|finding| finding.message.clone())
    };
    let data = || Measure::Section(String::from(".data"));
    for (what, size) in [(Measure::Loaded, 496 + 32), (Measure::Memory, 0x10_3000), (data(), 32)] {
        assert_eq!(found(what.clone(), size), None);
        let message = found(what, size - 1).unwrap();
        assert!(message.contains(&size.to_string()), "{message}");
    }
    assert_eq!(found(Measure::Section(String::from(".none")), 0), None);
}

#[test]
fn opt_in_rules_need_to_be_asked_for() {
    let image = with_text("\0/home/me/app.c");
    let found = |all: bool, select: &[&str]| {
        let select = select.iter().map(|code| (*code).to_owned()).collect();
        let selection = Selection { select, all, ..Selection::default() };
        codes(&audit("a", &image, &selection)).contains("S402")
    };
    assert!(!found(false, &[]));
    assert!(found(true, &[]) && found(false, &["S4"]) && found(false, &["S402"]));
    for rule in RULES.iter().filter(|rule| rule.is_opt_in()) {
        assert!(rule.severity < Severity::Error, "{}", rule.code);
    }
}

#[test]
fn debugging_information_tells_which_functions_have_no_stack_protector() {
    let selection = Selection { select: vec![String::from("S408")], ..Selection::default() };
    let found = |bytes: Vec<u8>| audit("a", &bytes, &selection);
    let bare = ["-fno-stack-protector"];
    let [finding] = &found(two_files("cc", &bare))[..] else {
        panic!("one finding");
    };
    let message = "2 functions of library.c compiled without stack protector";
    assert_eq!(finding.message, message);
    let names = finding.notes[0].strip_prefix("functions: ").unwrap();
    let names: BTreeSet<&str> = names.split(' ').collect();
    assert_eq!(names, BTreeSet::from(["fill", "small"]));
    let place = finding.place.as_ref().unwrap();
    let source = place.source.as_ref().unwrap();
    assert_eq!(source.file, "library.c");
    let line = if place.symbol.as_deref() == Some("fill") { 1 } else { 9 };
    assert_eq!(source.line, line);
    // Recorded options tell more than the code: `small` has no array to check. Without them, only
    // functions with an array on the stack are reported.
    let silent = ["-fno-stack-protector", "-gno-record-gcc-switches"];
    let [finding] = &found(two_files("cc", &silent))[..] else {
        panic!("one finding");
    };
    let message = "1 function of library.c with an unchecked array on the stack";
    assert_eq!(finding.message, message);
    // If no function is checked, S401 reports it instead.
    let single = [("all.c", "void _start(void) { for (;;) {} }", &bare[..])];
    assert!(found(Compiled::linked("cc", &single).bytes()).is_empty());
}

/// A compiler adds no check to a function that needs none, so the finding does not say that the option is missing.
#[test]
fn an_image_without_arrays_is_not_said_to_lack_the_stack_protector() {
    let selection = Selection { select: vec![String::from("S401")], ..Selection::default() };
    let found = |code: &str, option: &str| {
        let files = [("all.c", code, &[option][..])];
        audit("a", &Compiled::linked("cc", &files).bytes(), &selection)
    };
    let plain = "void _start(void) { for (;;) {} }";
    for option in ["-fno-stack-protector", "-fstack-protector-strong"] {
        let [finding] = &found(plain, option)[..] else { panic!("one finding") };
        assert_eq!(finding.message, "none of 1 functions checks its stack");
        assert!(
            finding.notes.iter().any(|note| note.contains("or no function has")),
            "{finding:?}"
        );
    }
    let array = "void __stack_chk_fail(void) { for (;;) {} }
        void _start(void) { volatile char a[16]; for (int i = 0; i < 16; i++) a[i] = 1; }";
    assert!(found(array, "-fstack-protector-strong").is_empty());
}

#[test]
fn debugging_information_that_is_not_read_is_noted() {
    let selection = Selection { select: vec![String::from("S408")], ..Selection::default() };
    let image = two_files("cc", &["-fno-stack-protector"]);
    // Sets a field of the section header of `.debug_info`.
    let changed = |field: usize, value: u64| {
        let mut image = image.clone();
        let header = *Image::read(&image, &Arch::ALL).unwrap().header();
        let sections = Sections::read(&image, &header).unwrap();
        let names = sections.all().iter().map(|section| section.name.as_str());
        let index = names.into_iter().position(|name| name == ".debug_info");
        let at = header.e_shoff as usize + index.unwrap() * elf::SECTION_HEADER_SIZE + field;
        image[at..at + 8].copy_from_slice(&value.to_le_bytes());
        image
    };
    for (image, why) in [
        (changed(8, elf::SHF_COMPRESSED), "is compressed"),
        (changed(32, (32 << 20) + 1), "has more than 32 MiB"),
    ] {
        let [finding] = &audit("a", &image, &selection)[..] else {
            panic!("one finding");
        };
        let message = format!("not every function was looked at: debugging information {why}");
        assert_eq!((finding.severity, &finding.message), (Severity::Note, &message));
        let warnings = Selection { least: Some(Severity::Warning), ..selection.clone() };
        assert!(audit("a", &image, &warnings).is_empty());
    }
}

#[test]
fn evidence_names_the_line_of_source() {
    let text = "__attribute__((section(\".data.jit,\\\"awx\\\"#\"))) char jit[64] = { 1 };
        int _start(void) { return jit[3]; }";
    let files = [("jit.c", text, &[][..])];
    let bytes = Compiled::linked("cc", &files).bytes();
    let found = audit("a", &bytes, &Selection::default());
    for code in ["S201", "S202"] {
        let finding = found.iter().find(|finding| finding.code == code).unwrap();
        let place = finding.place.as_ref().unwrap();
        assert_eq!(place.symbol.as_deref(), Some("jit"), "{code}");
        let source = place.source.as_ref().unwrap();
        assert_eq!((source.file.as_str(), source.line), ("jit.c", 1));
        let shown = solo5_report::human::place_text(place);
        assert!(shown.ends_with("(jit) at jit.c:1"), "{shown}");
        let json = solo5_report::json::json(finding);
        assert_eq!(json["place"]["source"]["line"], 1);
    }
}

#[test]
fn uses_of_devices_are_found_in_tables_too() {
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES[..1]);
    let address = sample.header.e_entry + 32;
    let name = String::from("solo5_net_acquire");
    sample.symbols.push((name, testing::function(address, 8)));
    let data = &mut sample.contents[1].1;
    let end = data.len();
    data[end - 8..].copy_from_slice(&address.to_le_bytes());
    let selection = Selection { select: vec![String::from("S501")], ..Selection::default() };
    let found = audit("a", &sample.bytes(), &selection);
    assert_eq!(found.len(), 1);
    let place = found[0].place.as_ref().unwrap();
    assert_eq!(place.section.as_deref(), Some(".data"));
    assert_eq!(place.symbol.as_deref(), Some("table"));
}

#[test]
fn broken_section_headers_are_no_error() {
    let mut file = spt().bytes();
    for (offset, value) in [(60, u16::MAX), (60, 0x7fff), (62, 999), (58, 1)] {
        let saved = file.clone();
        file[offset..offset + 2].copy_from_slice(&value.to_le_bytes());
        assert_eq!(codes(&audit("a", &file, &Selection::default())), BTreeSet::from(["S319"]));
        file = saved;
    }
}

#[test]
fn symbols_whose_names_cannot_be_found_are_told() {
    let mut file = spt().bytes();
    let header = *Image::read(&file, &Arch::ALL).unwrap().header();
    let sections = Sections::read(&file, &header).unwrap();
    let table = sections.all().iter().position(|section| section.name == ".symtab").unwrap();
    let link = header.e_shoff as usize + table * elf::SECTION_HEADER_SIZE + 40;
    file[link..link + 4].copy_from_slice(&1u32.to_le_bytes());
    let [found] = &audit("a", &file, &Selection::default())[..] else { panic!("one finding") };
    assert_eq!(found.code, "S319");
    assert!(found.message.ends_with("sh_link 1 of the symbol table is not a table of names"));
}

#[test]
fn extended_numbers_change_no_finding() {
    let all = Selection { all: true, ..Selection::default() };
    let plain = spt().bytes();
    let mut extended = plain.clone();
    testing::extend_numbers(&mut extended);
    let messages = |file: &Vec<u8>| -> Vec<_> {
        audit("a", file, &all).into_iter().map(|found| (found.code, found.message)).collect()
    };
    assert!(messages(&plain).len() > 3);
    assert_eq!(messages(&extended), messages(&plain));
}

#[test]
fn a_segment_that_wraps_around_the_file_is_refused_without_a_panic() {
    let file = changed(|sample| {
        sample.segments[TEXT].p_offset = u64::MAX;
        sample.segments[TEXT].p_filesz = u64::MAX;
        sample.segments[TEXT].p_memsz = u64::MAX;
    });
    let subject = Subject::new("a", &file);
    let findings = solo5_audit::audit_subject(&subject, &Selection::default());
    assert!(findings.iter().any(|finding| finding.severity == Severity::Error));
}

#[test]
fn findings_of_one_rule_are_limited() {
    let bad = changed(|s| {
        let flags = elf::SHF_ALLOC | elf::SHF_WRITE | elf::SHF_EXECINSTR;
        for index in 0..9000 {
            push_section(s, &format!(".x{index}"), 1, flags, DATA);
        }
        for _ in 0..60_000 {
            s.symbols.push((String::from("y"), testing::object(1, 1)));
        }
    });
    let found = audit("a", &bad, &Selection::default());
    let of_rule = found.iter().filter(|finding| finding.code == "S202").count();
    assert_eq!(of_rule, solo5_audit::FINDINGS_MAX);
}

/// The number of findings is limited, but the number of segments examined is not.
#[test]
fn the_last_of_many_segments_is_looked_at() {
    const MANY: usize = 1000;
    let last = |kind: u32, harmless: u32, flags: u32| {
        changed(move |s| {
            let like = s.segments[DATA];
            for index in 0..=MANY {
                s.segments.push(ProgramHeader {
                    p_type: kind,
                    p_flags: if index < MANY { harmless } else { flags },
                    p_vaddr: (1 << 40) + ((index as u64) << 12),
                    ..like
                });
            }
            let end = s.segments.len() - 1;
            let alloc = elf::SHF_ALLOC;
            push_section(s, ".constants", 1, alloc, end);
            push_section(s, ".variables", 1, alloc | elf::SHF_WRITE, end);
            push_section(s, ".code", 1, alloc | elf::SHF_EXECINSTR, end);
        })
    };
    let load = elf::PT_LOAD;
    for (code, image, expected) in [
        ("S203", last(elf::PT_GNU_STACK, PF_R, PF_X), &["stack"][..]),
        ("S206", last(elf::PT_NOTE, PF_R, PF_X), &["notes"]),
        ("S204", last(load, PF_R, PF_R), &[".variables", ".code"]),
        ("S204", last(load, PF_R, PF_R | PF_X), &[".variables"]),
        ("S204", last(load, PF_R, PF_R | PF_W), &[".code"]),
        ("S209", last(load, PF_R, PF_R | PF_W), &[".constants"]),
        ("S209", last(load, PF_R, PF_R), &[]),
    ] {
        let selection = Selection { select: vec![String::from(code)], ..Selection::default() };
        let found = audit("a", &image, &selection);
        let found: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(found.len(), expected.len(), "{code}: {found:?}");
        for (message, expected) in found.iter().zip(expected) {
            assert!(message.contains(expected), "{code}: {message}");
        }
    }
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..64,
        (0u64..32).prop_map(|half| (1 << 20) + half * 0x800),
        (0u32..64).prop_map(|bit| 1 << bit),
        (0u32..64).prop_map(|bit| (1u64 << bit).wrapping_sub(1)),
        // A bss of this size ends near the most memory of a guest.
        (any::<bool>(), any::<bool>(), 0u64..4).prop_map(|(hvt, nets, pages)| {
            let target = if hvt { Target::Hvt } else { Target::Spt };
            target.most_memory(nets) - 0x10_2000 - 0x2000 + pages * 0x1000
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// The meaning of *error*: over images and memory sizes, loading succeeds if and only if there
    /// is no error and memory is not below the plan's minimum.
    #[test]
    fn error_means_that_no_memory_size_loads(
        hvt in any::<bool>(),
        fields in prop::collection::vec((0usize..9, 0usize..7, number()), 0..3),
        bytes in prop::collection::vec((0usize..0x1400, any::<u8>()), 0..3),
        cut in prop::option::of(0usize..0x2100),
        optional in 0u32..3,
        memory in number(),
    ) {
        let target = if hvt { Target::Hvt } else { Target::Spt };
        let mut manifest = testing::manifest_note(&DEVICES);
        // The block device or the network interface.
        if optional > 0 {
            let flags = mft2::DEVICE_OPTIONAL.to_le_bytes();
            manifest.extend(properties(&[(optional, mft2::tag::DEVICE_FLAGS, &flags)]));
        }
        let groups = [testing::openbsd_note(), testing::abi_note(target), manifest];
        let mut sample = Sample::with_notes(target, Arch::X86_64, &groups);
        for (index, field, value) in fields {
            let header = &mut sample.segments[index];
            match field {
                0 => header.p_type = value as u32,
                1 => header.p_flags = (value & 7) as u32,
                2 => header.p_offset = value,
                3 => header.p_vaddr = value,
                4 => header.p_filesz = value,
                5 => header.p_memsz = value,
                _ => header.p_align = value,
            }
        }
        let mut file = sample.bytes();
        for (at, value) in bytes {
            file[at] = value;
        }
        file.truncate(cut.unwrap_or(file.len()));

        let subject = Subject::new("a", &file);
        let findings = solo5_audit::audit_subject(&subject, &Selection::default());
        // If the note no longer names hvt or spt, no tender decides whether the image loads.
        prop_assume!(subject.target().is_none_or(Target::has_tender));
        let clean = findings.iter().all(|finding| finding.severity != Severity::Error);
        let minimum = subject.least_memory().unwrap_or(u64::MAX);
        for memory in [memory, minimum.saturating_sub(1), minimum, u64::MAX] {
            prop_assert_eq!(
                loads(&file, memory).is_ok(),
                clean && memory >= minimum,
                "{:?} at {:#x}: {:?}", loads(&file, memory), memory, codes(&findings)
            );
        }
    }
}
