//! What other programs write is known for what it is.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use solo5_abi::Arch;
use solo5_image::error::HeaderField;
use solo5_image::{Foreign, Image, ImageError};

/// Commands that write `made`, and what it is then. Their tools come with Debian's build tools.
const MADE: [(&str, Foreign); 11] = [
    ("gzip -c source >made", Foreign::Gzip),
    ("xz -c source >made", Foreign::Xz),
    ("tar -cf made source", Foreign::Tar),
    ("cc -c -x c -o object.o source && ar rc made object.o", Foreign::Archive),
    ("cc -c -x c -o object.o source && ar rcT made object.o", Foreign::Archive),
    ("cc -c -x c -o object.o source && objcopy -O pei-x86-64 object.o made", Foreign::Windows),
    ("printf '#!/bin/sh\\nexit 0\\n' >made", Foreign::Script),
    ("printf '{ \"schemaVersion\": 2 }' >made", Foreign::Json),
    ("cp source made", Foreign::Text),
    (": >made", Foreign::Empty),
    ("head -c 510 /dev/zero >made; printf '\\125\\252' >>made", Foreign::Disk),
];

fn run(folder: &Path, line: &str) {
    let output = Command::new("sh").args(["-ec", line]).current_dir(folder).output();
    let output = output.expect("sh starts");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_other_programs_write_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than an ELF header.
    let source = format!("int number = 1; /* {} */\n", "x".repeat(100));
    fs::write(folder.path().join("source"), source).unwrap();
    for (line, foreign) in MADE {
        run(folder.path(), &format!("rm -f made; {line}"));
        let file = File::open(folder.path().join("made")).unwrap();
        assert_eq!(Foreign::of(&file), Some(foreign), "{line}");
        let fault = Image::read(&file, &Arch::ALL).unwrap_err();
        let what = fault.what().unwrap_or_else(|| panic!("{line}: {fault}"));
        assert!(what.starts_with(&foreign.to_string()), "{line}: {what}");
        assert!(fault.explained().starts_with(&format!("{fault}: it is ")), "{line}");
    }
}

#[test]
fn objects_and_shared_libraries_are_named_too() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("source.c"), "int number = 1;\n").unwrap();
    for (line, what) in [
        ("cc -c -o made source.c", "a relocatable object, not a linked executable"),
        (
            "cc -shared -nostdlib -o made source.c",
            "position-independent, not linked at fixed addresses",
        ),
    ] {
        run(folder.path(), line);
        let file = File::open(folder.path().join("made")).unwrap();
        let fault = Image::read(&file, &Arch::ALL).unwrap_err();
        assert_eq!(fault.what().as_deref(), Some(what), "{fault}");
    }
}

#[test]
fn nothing_is_said_of_what_is_not_known() {
    let noise = [0x9d; 600];
    assert_eq!(Foreign::of(&noise[..]), None);
    let fault = Image::read(&noise[..], &Arch::ALL).unwrap_err();
    assert_eq!(fault, ImageError::Header(HeaderField::Magic(None)));
    assert_eq!((fault.what(), fault.explained()), (None, fault.to_string()));
}
