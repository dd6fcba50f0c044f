//! The tender and the audit agree on damaged images (`docs/reference/elf-loading.md`): the tender
//! starts an image exactly if the audit finds no error in it and guest memory is at least its
//! minimum.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;
use solo5_tests::elf::{self, Field, Image};
use solo5_tests::outcome::Outcome;
use solo5_tests::process::{self, Running};
use solo5_tests::tree::Tree;
use solo5_tests::{ensure, fail};

use crate::{Suite, images, trial};

/// Guest memory in MiB.
const MEMORY: [u64; 5] = [1, 2, 3, 8, 64];

/// A guest that starts may loop for ever; a refusal takes a few milliseconds.
const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    ["hello", "globals", "tls_align", "large_bss"]
        .into_iter()
        .map(|name| trial(suite, format!("loader/{name}"), move |suite| agree(suite, name)))
        .collect()
}

/// The rules that upstream's loader has too (`docs/reference/elf-loading.md#segments`), for
/// segments with content: the entry point, the range, order, overlap, alignment, sizes and content
/// of segments, W and X.
const SHARED: [&str; 8] = ["S104", "S105", "S106", "S107", "S108", "S109", "S110", "S201"];

fn agree(suite: &Suite, name: &str) -> Outcome {
    let sound = Image(std::fs::read(suite.spt_image(name)?)?);
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("image.spt");
    let older = directory.path().join("older");
    std::fs::create_dir(&older)?;
    let (mut started, mut refused) = (0, 0);
    for (what, image, content) in damaged(&sound)? {
        std::fs::write(&path, &image.0)?;
        let minimum = minimum_memory(suite, &path)?;
        for memory in MEMORY {
            let expected = minimum.is_some_and(|minimum| memory << 20 >= minimum);
            let (starts, printed) = starts_under(&suite.tree, &path, memory)?;
            ensure!(
                starts == expected,
                "{what}: minimum memory {minimum:?}, so in {memory} MiB it should be {}; the \
                 tender printed:\n{printed}",
                if expected { "started" } else { "refused" }
            );
            *(if starts { &mut started } else { &mut refused }) += 1;
            let shared = minimum.is_none() && breaks_shared_rule(suite, &path)?;
            if let Some(peer) = suite.peer.as_ref().filter(|_| content && (expected || shared)) {
                let image = peer.image(&path, &older)?;
                let (peers, printed) = starts_under(&peer.tree, &image, memory)?;
                ensure!(
                    peers == expected,
                    "{what}: {memory} MiB: the other Solo5 should {} it, but printed:\n{printed}",
                    if expected { "start" } else { "refuse" }
                );
            }
        }
    }
    // The test would prove little if all images had one outcome.
    ensure!(started > 50 && refused > 50, "{started} started, {refused} refused");
    Ok(())
}

/// What the audit says: the least memory, in bytes, or `None` for an image with errors.
fn minimum_memory(suite: &Suite, image: &Path) -> Outcome<Option<u64>> {
    let mut audit = suite.tool("solo5-elftool");
    audit.args(["audit", "--fail-on", "error"]).arg(image);
    let finished = process::run(audit)?;
    match finished.status {
        0 => images::show(suite, image)?["load"]["minimum_memory"]
            .as_u64()
            .map(Some)
            .ok_or_else(|| "an image without errors has no minimum_memory".into()),
        1 => Ok(None),
        status => fail!("audit: status {status}:\n{}", finished.text()),
    }
}

/// Whether the audit finds an error for which every loader refuses an image. Errors of segments
/// without content do not count, because upstream ignores such segments.
fn breaks_shared_rule(suite: &Suite, image: &Path) -> Outcome<bool> {
    let mut audit = suite.tool("solo5-elftool");
    audit.args(["audit", "--exit-zero", "--format=json"]).arg(image);
    let report: Value = serde_json::from_str(&process::run(audit)?.text())?;
    let segments = images::show(suite, image)?;
    let findings = report["images"][0]["findings"].as_array();
    Ok(findings.into_iter().flatten().any(|finding| {
        let code = finding["code"].as_str().unwrap_or_default();
        let part = finding["place"]["part"].as_str().unwrap_or_default();
        let index = part.trim_start_matches("phdr[").trim_end_matches(']');
        let has_content = index
            .parse::<usize>()
            .map_or(true, |index| segments["segments"][index]["file_size"] != 0);
        finding["severity"] == "error" && SHARED.contains(&code) && has_content
    }))
}

/// Whether a tender gets as far as the guest's first instruction. A refusal is status 1 with the
/// tender's message.
fn starts_under(tree: &Tree, image: &Path, memory: u64) -> Outcome<(bool, String)> {
    let mut tender = Command::new(tree.program("solo5-spt"));
    tender.arg(format!("--mem={memory}")).arg("--").arg(image).arg("Hello_Solo5");
    let mut running = Running::start(tender)?;
    let start = Instant::now();
    while !running.has_ended()? && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_micros(200));
    }
    running.kill();
    let finished = running.finish()?;
    let starts = finished.status != 1 || !finished.printed("solo5-spt: ");
    Ok((starts, finished.text()))
}

/// The image itself, then copies with one change each, and whether to try each under another Solo5,
/// too. That is not done for segments without content, whose faults are ignored since 0.8.0, nor for
/// alignments above a page: upstream's loader rounds to them, ours takes no memory for them.
fn damaged(sound: &Image) -> Outcome<Vec<(String, Image, bool)>> {
    let mut images = vec![("nothing changed".to_owned(), sound.clone(), true)];
    for entry in [0, 0xf_ffff, 0x10_0000, 0x1f_ffff, 0x20_0000, 1 << 40, u64::MAX] {
        let mut image = sound.clone();
        image.set(elf::E_ENTRY, 8, entry)?;
        images.push((format!("entry {entry:#x}"), image, true));
    }
    let segments = sound.headers_of(elf::PT_LOAD)?;
    let end_of_file = sound.0.len() as u64;
    for &segment in &segments {
        let address = sound.field(segment, elf::P_VADDR)?;
        let (file_size, size) =
            (sound.field(segment, elf::P_FILESZ)?, sound.field(segment, elf::P_MEMSZ)?);
        let changes: [(&str, Field, &[u64]); 7] = [
            ("type", elf::P_TYPE, &[0, 4]),
            ("flags", elf::P_FLAGS, &[0, 1, 2, 3, 4, 5, 6, 7, 0xf000_0006]),
            ("align", elf::P_ALIGN, &[0, 1, 3, 0x10, 0x2000, 0x20_0000, 1 << 63, u64::MAX]),
            ("offset", elf::P_OFFSET, &[0, end_of_file - 1, end_of_file, 1 << 63, u64::MAX]),
            (
                "address",
                elf::P_VADDR,
                &[0, 0x1000, 0xf_f000, 0x10_0000, 0x1f_f000, 0x20_0000, address + 8, u64::MAX],
            ),
            ("file size", elf::P_FILESZ, &[0, size + 1, 1 << 30, u64::MAX]),
            (
                "memory size",
                elf::P_MEMSZ,
                &[
                    0,
                    file_size.saturating_sub(1),
                    size + 1,
                    size + 0x1000,
                    0x10_0000,
                    0x20_0000,
                    1 << 40,
                    u64::MAX,
                ],
            ),
        ];
        for (what, field, values) in changes {
            for &value in values {
                let mut image = sound.clone();
                image.set_field(segment, field, value)?;
                let aligned_above_page = what == "align" && value > 0x1000;
                images.push((
                    format!("segment {segment}: {what} {value:#x}"),
                    image,
                    file_size != 0 && !aligned_above_page,
                ));
            }
        }
    }
    let mut none = sound.clone();
    for segment in segments {
        none.set_field(segment, elf::P_TYPE, 0)?;
    }
    images.push(("no segment".to_owned(), none, true));
    Ok(images)
}
