//! What we build, read by readelf and by our own tools: they must agree.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::Value;
use solo5_tests::outcome::Outcome;
use solo5_tests::tree::repository;
use solo5_tests::{ensure, fail, process};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let names = suite.guests.iter().map(|guest| guest.name.clone());
    let own = [
        trial(suite, "image/symbolize", symbolize),
        trial(suite, "image/without-manifest", without_manifest),
    ];
    names
        .map(|name| {
            trial(suite, format!("image/{name}"), move |suite| {
                for target in ["spt", "stub"] {
                    let image = suite.builder.image(suite.guest(&name)?, target)?;
                    agree(suite, &image).map_err(|stop| stop.during(target))?;
                }
                Ok(())
            })
        })
        .chain(own)
        .collect()
}

/// Addresses that a kernel or a tender prints for an image compiled with `-g` get functions and
/// lines.
fn symbolize(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let example = repository().join("examples/hello");
    for target in ["spt", "hvt"] {
        let image = folder.path().join(format!("hello.{target}"));
        let mut compile = Command::new(suite.tree.cc());
        compile
            .current_dir(&example)
            .args(["-g", "-O2", "-z", &format!("solo5-abi={target}")])
            .args(["-z", "solo5-manifest=manifest.yaml", "hello.c", "-o"])
            .arg(&image);
        process::succeed(compile)?;
        let mut nm = Command::new("nm");
        nm.arg(&image);
        let symbols = process::succeed(nm)?;
        let main = symbols.lines().find_map(|line| line.strip_suffix(" T solo5_app_main"));
        let Some(main) = main else {
            fail!("nm shows no solo5_app_main:\n{symbols}");
        };
        let trace = folder.path().join("trace");
        let text = format!("solo5-spt[7]: segfault at 8 ip {main} sp 3fff70 error 6\n");
        std::fs::write(&trace, text)?;
        let mut elftool = suite.tool("solo5-elftool");
        elftool.arg("symbolize").args([&image, &trace]);
        let said = process::succeed(elftool)?;
        ensure!(said.contains(" solo5_app_main+0x0 at hello.c:"), "{target}: {said}");
    }
    Ok(())
}

/// A link without a manifest ends with the rule that says so, for every target and with both linkers;
/// a manifest in an archive is found if something refers to it.
fn without_manifest(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let hello = repository().join("examples/hello/hello.c");
    let object = folder.join("manifest.o");
    let mut mft = suite.tool("solo5-mft");
    mft.args(["compile", "-o"]).arg(&object);
    mft.arg(solo5_tests::guest::directory().join("none.json"));
    process::succeed(mft)?;
    let archive = folder.join("libmanifest.a");
    let mut ar = Command::new("ar");
    ar.arg("rc").args([&archive, &object]);
    process::succeed(ar)?;
    for target in ["spt", "hvt", "virtio"] {
        for linker in ["bfd", "lld"] {
            let image = folder.join("image");
            let link = || {
                let mut cc = Command::new(suite.tree.cc());
                cc.args(["-z", &format!("solo5-abi={target}"), &format!("-fuse-ld={linker}")]);
                cc.arg(&hello).arg("-o").arg(&image);
                cc
            };
            let finished = process::run(link())?;
            let said = finished.text();
            ensure!(finished.status == 1, "{target} {linker}: status {}:\n{said}", finished.status);
            ensure!(said.contains("error[S304]"), "{target} {linker}:\n{said}");
            ensure!(said.matches("error").count() == 1, "{target} {linker}:\n{said}");
            ensure!(!image.exists(), "{target} {linker}: an image is left");
            let mut whole = link();
            whole.args(["-u", "__solo5_mft1_note"]).arg(&archive);
            process::succeed(whole)?;
            std::fs::remove_file(&image)?;
        }
    }
    Ok(())
}

fn agree(suite: &Suite, image: &Path) -> Outcome {
    let everything = readelf("--all", image)?;
    let warning = everything.lines().find(|line| line.starts_with("readelf: "));
    ensure!(warning.is_none(), "{}", warning.unwrap_or_default());
    let shown = show(suite, image)?;
    same_segments(image, &shown)?;
    same_notes(image, &shown)
}

/// The report of `solo5-elftool show` about one image.
pub(crate) fn show(suite: &Suite, image: &Path) -> Outcome<Value> {
    let mut elftool = suite.tool("solo5-elftool");
    elftool.args(["show", "--format", "json"]).arg(image);
    Ok(serde_json::from_str(&process::succeed(elftool)?)?)
}

fn readelf(what: &str, image: &Path) -> Outcome<String> {
    let mut readelf = Command::new("readelf");
    readelf.args(["--wide", what]).arg(image).env("LC_ALL", "C");
    process::succeed(readelf)
}

/// Compares every number of every program header.
fn same_segments(image: &Path, shown: &Value) -> Outcome {
    let text = readelf("--segments", image)?;
    let entry = text
        .lines()
        .find_map(|line| line.strip_prefix("Entry point 0x"))
        .and_then(|digits| u64::from_str_radix(digits, 16).ok());
    ensure!(entry.is_some() && entry == shown["entry"].as_u64(), "another entry point:\n{text}");

    // Columns: Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align. The flags may contain blanks.
    let theirs: Vec<String> = text
        .lines()
        .skip_while(|line| !line.starts_with("Program Headers:"))
        .skip(2)
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| !line.trim_start().starts_with('['))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |at: usize| words.get(at).copied().unwrap_or_default();
            let flags = words.get(6..words.len() - 1).unwrap_or_default().concat();
            let [offset, address, file_size, size, align] =
                [1, 2, 4, 5, words.len() - 1].map(|at| hexadecimal(number(at)));
            format!("{} {flags} {offset:x} {address:x} {file_size:x} {size:x} {align:x}", number(0))
        })
        .collect();
    let ours: Vec<String> = array(&shown["segments"])
        .iter()
        .map(|segment| {
            let number = |key: &str| segment[key].as_u64().unwrap_or(u64::MAX);
            let text = |key: &str| segment[key].as_str().unwrap_or_default().to_owned();
            // readelf writes E for executable.
            let flags = text("flags").replace('-', "").replace('X', "E");
            let (offset, address) = (number("offset"), number("address"));
            let (file_size, size) = (number("file_size"), number("memory_size"));
            let align = number("align");
            format!(
                "{} {flags} {offset:x} {address:x} {file_size:x} {size:x} {align:x}",
                text("type")
            )
        })
        .collect();
    ensure!(!theirs.is_empty() && theirs == ours, "readelf: {theirs:#?}\nshow: {ours:#?}");
    Ok(())
}

/// Compares every note: owner, size of the descriptor, type.
fn same_notes(image: &Path, shown: &Value) -> Outcome {
    let text = readelf("--notes", image)?;
    let mut theirs = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [owner, size, rest @ ..] = words.as_slice()
            && size.starts_with("0x")
        {
            // `Unknown note type: (0x3154464d)`, or the name of a type readelf knows.
            let kind = rest.last().and_then(|word| word.strip_prefix('(')?.strip_suffix(')'));
            theirs.push((owner.to_string(), hexadecimal(size), kind.map(hexadecimal)));
        }
    }
    let mut ours: Vec<_> = array(&shown["notes"])
        .iter()
        .map(|note| {
            let owner = note["owner"].as_str().unwrap_or_default().to_owned();
            (owner, note["size"].as_u64().unwrap_or(u64::MAX), note["type"].as_u64())
        })
        .collect();
    // readelf goes by sections, ours by program headers.
    theirs.sort();
    ours.sort();
    let same = theirs.len() == ours.len()
        && theirs.iter().zip(&ours).all(|(theirs, ours)| {
            let kind = theirs.2.is_none() || theirs.2 == ours.2;
            theirs.0 == ours.0 && theirs.1 == ours.1 && kind
        });
    ensure!(!theirs.is_empty() && same, "readelf: {theirs:x?}\nshow: {ours:x?}\n{text}");
    Ok(())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The number, or `u64::MAX`, which no file has, if it is none.
fn hexadecimal(text: &str) -> u64 {
    u64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(u64::MAX)
}
