//! The same launches through a tender and through `solo5-elftool check`: whatever the tender refuses for
//! its options, and for files that can be looked at, `check` refuses too, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use libtest_mimic::Trial;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use solo5_abi::mft1::DeviceType;
use solo5_abi::{Arch, Target};
use solo5_image::testing::{Sample, TEXT};
use solo5_tests::namespace;
use solo5_tests::outcome::{Context, Outcome};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![trial(suite, "launches/disks", disks), trial(suite, "launches/interfaces", interfaces)]
}

/// An image with these devices. Its guest ends by a signal at once.
fn image(at: &Path, devices: &[(&str, DeviceType)]) -> Outcome {
    let sample = Sample::new(Target::Spt, Arch::HOST.unwrap_or(Arch::X86_64), devices);
    let text = sample.segments.get(TEXT).ok_or("no text")?;
    let entry = sample.header.e_entry - text.p_vaddr + text.p_offset;
    let (start, end) = (entry as usize, (text.p_offset + text.p_filesz) as usize);
    let mut bytes = sample.bytes();
    // No instruction, or one that uses address 0.
    bytes.get_mut(start..end).ok_or("no code")?.fill(0);
    // As a disk it has whole sectors.
    bytes.resize(bytes.len().next_multiple_of(4096), 0);
    Ok(fs::write(at, bytes)?)
}

/// Whether `solo5-spt` and `check` start the image with these options, and what they say.
fn judged(suite: &Suite, folder: &Path, options: &str) -> Outcome<([bool; 2], String)> {
    let options: Vec<&str> = options.split_whitespace().collect();
    let run = |program: &str, words: &[&str]| -> Outcome<_> {
        let mut command = suite.tool(program);
        let output = command.args(words).current_dir(folder).stdin(Stdio::null()).output()?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
    };
    let (spt, told) = run("solo5-spt", &[&options[..], &["--", IMAGE]].concat())?;
    let (check, said) = run("solo5-elftool", &[&["check", IMAGE, "--"], &options[..]].concat())?;
    if !matches!(spt, None | Some(1)) {
        return Err(format!("{options:?}: {spt:?} {told}").into());
    }
    Ok(([spt.is_none(), check == Some(0)], format!("{options:?}\n{told}{said}")))
}

const IMAGE: &str = "image.spt";

/// Compares both on each row: whether the launch starts, and its options.
fn compare(suite: &Suite, folder: &Path, rows: &[(bool, &str)]) -> Outcome {
    let mut wrong = Vec::new();
    for (starts, options) in rows {
        let (judged, said) = judged(suite, folder, options)?;
        if judged != [*starts; 2] {
            wrong.push(format!("tender and check: {judged:?}, not {starts}: {said}"));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn disks(suite: &Suite) -> Outcome {
    let place = tempfile::tempdir()?;
    let at = |name: &str| place.path().join(name);
    image(&at(IMAGE), &[("a", DeviceType::BlockBasic), ("b", DeviceType::BlockBasic)])?;
    for (name, size) in [("a", 8192), ("b", 8192), ("half", 1000), ("empty", 0), ("small", 512)] {
        fs::write(at(name), vec![0; size])?;
    }
    fs::hard_link(at("a"), at("hard"))?;
    symlink("a", at("soft"))?;
    fs::create_dir(at("folder"))?;
    let owner = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, at("fifo"), FileType::Fifo, owner, 0).during("making a pipe")?;
    let read_only = "--block-access:a=read-only --block-access:b=read-only";
    let rows = [
        (true, "--block:a=a --block:b=b".to_owned()),
        (false, "--block:a=a --block:b=a".to_owned()),
        (false, "--block:a=a --block:b=hard".to_owned()),
        (false, "--block:a=soft --block:b=a".to_owned()),
        (false, "--block:a=a --block:b=folder/../a --block-access:a=read-only".to_owned()),
        (true, format!("--block:a=a --block:b=soft {read_only}")),
        (false, "--block:a=a --block:b=image.spt".to_owned()),
        (true, format!("--block:a=a --block:b=image.spt {read_only}")),
        (false, "--block:a=a --block-fd:b=0".to_owned()),
        (false, "--block:a=a --block-fd:b=1".to_owned()),
        (false, "--block:a=a --block-fd:b=2".to_owned()),
        (false, "--block-fd:a=9 --block-fd:b=9".to_owned()),
        (false, "--block:a=a --block:b=folder".to_owned()),
        (false, "--block:a=a --block:b=fifo".to_owned()),
        (false, "--block:a=a --block:b=/dev/null".to_owned()),
        (false, "--block:a=a --block:b=half".to_owned()),
        (false, "--block:a=a --block:b=empty".to_owned()),
        (true, "--block:a=a --block:b=small".to_owned()),
        (false, "--block:a=a --block:b=small --block-sector-size:b=1024".to_owned()),
        (false, "--block:a=a --block:b=b --mem=17592186044415".to_owned()),
        (false, "--block:a=a --block:b=b --mem=134217729".to_owned()),
        (false, "--block:a=a --block:b=b --mem=1".to_owned()),
        (true, "--block:a=a --block:b=b --report=new".to_owned()),
        (false, "--block:a=a --block:b=b --report=a".to_owned()),
        (false, "--block:a=a --block:b=b --report=hard".to_owned()),
        (false, "--block:a=a --block:b=b --report=image.spt".to_owned()),
        (false, "--block:a=a --block:b=b --report=folder".to_owned()),
        (false, "--block:a=a --block:b=b --report=fifo".to_owned()),
        (false, "--block:a=a --block-fd:b=9 --report=9".to_owned()),
    ];
    let rows: Vec<_> = rows.iter().map(|(starts, options)| (*starts, options.as_str())).collect();
    compare(suite, place.path(), &rows)
}

fn interfaces(suite: &Suite) -> Outcome {
    let place = tempfile::tempdir()?;
    let devices = [("n", DeviceType::NetBasic), ("m", DeviceType::NetBasic)];
    image(&place.path().join(IMAGE), &devices)?;
    let rows = [
        (true, "--net:n=t0 --net:m=t1"),
        (false, "--net:n=t0 --net:m=t0"),
        (false, "--net:n=t0 --net:m=a-name-of-16-byte"),
        (false, "--net:n=t0 --net:m="),
        (false, "--net:n=t0 --net:m=t1/"),
        (false, "--net:n=t0 --net:m=t1:0"),
        (false, "--net:n=t0 --net:m=@0"),
        (false, "--net:n=t0 --net:m=@2"),
        (false, "--net:n=@9 --net:m=@9"),
        (false, "--net:n=t0 --net:m=@9 --report=9"),
    ];
    namespace::with_network(|| {
        for (tap, address) in [("t0", "10.9.0.1/24"), ("t1", "10.9.1.1/24")] {
            namespace::add_tap(tap, None)?;
            namespace::bring_up(tap, address)?;
        }
        compare(suite, place.path(), &rows)
    })
}
