//! Files and disks after a bad end: a tender killed in the middle of writing, a full disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Context, Outcome};
use solo5_tests::process::{self, Running};
use solo5_tests::{ensure, fail, guest, namespace};

use crate::{Suite, trial};

/// How often the writing unikernel is killed, over all block sizes.
const KILLS: u32 = 200;

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials: Vec<Trial> = [512, 4096]
        .into_iter()
        .map(|size| {
            let name = format!("robustness/killed-while-writing/{size}");
            trial(suite, name, move |suite| killed_while_writing(suite, size))
        })
        .collect();
    for (name, step, keeps) in STEPS {
        trials.push(trial(suite, format!("robustness/full-disk/{name}"), move |suite| {
            full_disk(suite, step, keeps)
        }));
    }
    trials
}

/// Kills the guest at times from a fixed seed. After each kill every block is whole: it is of the pass
/// that the guest was in, or as it was before.
fn killed_while_writing(suite: &Suite, block_size: usize) -> Outcome {
    const DISK: usize = 128 * 1024;
    let image = suite.spt_image("blk_writer")?;
    namespace::with_network(|| {
        namespace::add_tap("tap100", None)?;
        namespace::bring_up("tap100", "10.0.0.1/24")?;
        let interfaces = namespace::interfaces()?;
        let directory = tempfile::tempdir()?;
        let disk = directory.path().join("disk");
        std::fs::File::create(&disk)?.set_len(DISK as u64)?;
        let mut random = Random(0x5010_0000 + block_size as u64);
        let mut generations = Vec::new();
        for kill in 0..KILLS / 2 {
            let mut command = suite.tool("solo5-spt");
            let mut block = OsString::from("--block:storage=");
            block.push(&disk);
            command.args(["--mem=2", "--net:service0=tap100"]).arg(block);
            command.arg(format!("--block-sector-size:storage={block_size}"));
            command.arg("--").arg(&image);
            command.current_dir(&directory);
            let mut running = Running::start(command)?;
            std::thread::sleep(Duration::from_micros(500 + random.below(12_000)));
            running.kill();
            let finished = running.finish()?;
            ensure!(
                finished.status == 137,
                "ended by itself with {}:\n{}",
                finished.status,
                finished.text()
            );
            let content = std::fs::read(&disk)?;
            ensure!(content.len() == DISK, "the disk has {} bytes", content.len());
            generations = check_blocks(&content, block_size, &generations)
                .during(format!("after kill {kill}"))?;
        }
        // With fewer passes the signals came while nothing was being written.
        let passes = generations.first().copied().unwrap_or(0);
        ensure!(passes > u64::from(KILLS) / 4, "only {passes} passes in all");
        let left = files(directory.path())?;
        ensure!(left == BTreeSet::from(["disk".into()]), "left behind: {left:?}");
        let left = namespace::interfaces()?;
        ensure!(left == interfaces, "interfaces before {interfaces:?}, after {left:?}");
        Ok(())
    })
}

/// Checks the blocks that `guests/blk_writer.c` writes, and returns their generations. No block is
/// older than in `before`. Every run writes from the first block on, so no block is newer than the one
/// in front of it.
fn check_blocks(disk: &[u8], block_size: usize, before: &[u64]) -> Result<Vec<u64>, String> {
    const MAGIC: u64 = 0x6b63_6f6c_4279_6d4d;
    let mut generations = Vec::new();
    for (index, block) in disk.chunks(block_size).enumerate() {
        let words: Vec<u64> = block
            .chunks_exact(8)
            .map(|word| word.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
            .collect();
        if words.iter().all(|word| *word == 0) {
            generations.push(0);
            continue;
        }
        let [MAGIC, generation, number, .., sum] = words[..] else {
            return Err(format!("block {index} is none of ours"));
        };
        let others = words.len() - 1;
        let actual = words.iter().take(others).fold(0, |sum: u64, word| sum.wrapping_add(*word));
        if sum != actual {
            return Err(format!("block {index} of generation {generation} is torn"));
        }
        if number != index as u64 {
            return Err(format!("block {number} was written to {index}"));
        }
        generations.push(generation);
    }
    let descends = generations.is_sorted_by(|a, b| a >= b);
    if !descends || generations.iter().zip(before).any(|(now, before)| now < before) {
        return Err(format!("generations {generations:?}, before {before:?}"));
    }
    Ok(generations)
}

/// Numbers from a seed, by Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A command that writes one file, given the suite, a directory with inputs, and the output.
type Step = fn(&Suite, &Path, &Path) -> Outcome<Command>;

/// Each step, and whether an earlier output survives its failure. Linkers remove the earlier output
/// first, as make and dune expect of them.
const STEPS: [(&str, Step, bool); 5] = [
    (
        "mft-compile",
        |suite, inputs, output| {
            let mut mft = suite.tool("solo5-mft");
            mft.arg("compile").arg(inputs.join("manifest.yaml")).arg("-o").arg(output);
            Ok(mft)
        },
        true,
    ),
    (
        "gen-manifest",
        |suite, inputs, output| {
            let mut elftool = suite.tool("solo5-elftool");
            elftool.arg("gen-manifest").arg(inputs.join("manifest.json")).arg(output);
            Ok(elftool)
        },
        true,
    ),
    (
        "cc",
        |suite, _, output| {
            let objects = objects(suite)?;
            let mut cc = Command::new(suite.tree.cc());
            cc.args(["-z", "solo5-abi=spt"]).args(objects).arg("-o").arg(output);
            Ok(cc)
        },
        false,
    ),
    (
        "ld",
        |suite, _, output| {
            let objects = objects(suite)?;
            let mut ld = Command::new(suite.tree.ld());
            ld.args(["-z", "solo5-abi=spt"]).args(objects).arg("-o").arg(output);
            Ok(ld)
        },
        false,
    ),
    (
        "ld-with-manifest",
        |suite, inputs, output| {
            let [program, kit, _] = objects(suite)?;
            let mut manifest = OsString::from("solo5-manifest=");
            manifest.push(inputs.join("manifest.yaml"));
            let mut ld = Command::new(suite.tree.ld());
            ld.args(["-z", "solo5-abi=spt", "-z"]).arg(manifest).arg(program).arg(kit);
            ld.arg("-o").arg(output);
            Ok(ld)
        },
        false,
    ),
];

/// The objects that hello is linked from.
fn objects(suite: &Suite) -> Outcome<[std::path::PathBuf; 3]> {
    let image = suite.spt_image("hello")?;
    Ok(["hello.o", "kit.o", "hello.manifest.o"].map(|name| image.with_file_name(name)))
}

/// With room on the disk, the step succeeds. On a full disk it fails, says so, and leaves no partial
/// file. An earlier output is as it was if `keeps`; otherwise it may be gone.
fn full_disk(suite: &Suite, step: Step, keeps: bool) -> Outcome {
    const EARLIER: &[u8] = b"an earlier output";
    let inputs = tempfile::tempdir()?;
    std::fs::copy(guest::directory().join("blk.json"), inputs.path().join("manifest.json"))?;
    std::fs::copy(
        guest::directory().join("blk_readonly.yaml"),
        inputs.path().join("manifest.yaml"),
    )?;
    let good = inputs.path().join("good.o");
    process::succeed(step(suite, inputs.path(), &good)?)?;
    ensure!(good.metadata()?.len() > 0, "nothing was written even with room");

    let disk = tempfile::tempdir()?;
    namespace::with_small_disk(disk.path(), 64 * 1024, || {
        let old = disk.path().join("old.o");
        std::fs::write(&old, EARLIER)?;
        fill(&disk.path().join("filler"))?;
        let filler = BTreeSet::from([OsString::from("filler")]);
        for output in [old.clone(), disk.path().join("new.o")] {
            let finished = process::run(step(suite, inputs.path(), &output)?)?;
            ensure!(finished.status != 0, "{} was reported as written", output.display());
            ensure!(!finished.text().trim().is_empty(), "failed without a message");
            let mut left = files(disk.path())?;
            if left.remove(old.file_name().unwrap_or_default()) {
                ensure!(std::fs::read(&old)? == EARLIER, "the earlier output was changed");
            } else {
                ensure!(!keeps, "the earlier output is gone:\n{}", finished.text());
            }
            ensure!(left == filler, "left behind: {left:?}:\n{}", finished.text());
        }
        Ok(())
    })
}

/// Writes until there is no room.
fn fill(path: &Path) -> Outcome {
    let mut file = std::fs::File::create(path)?;
    let page = [0x5a; 4096];
    for _ in 0..1024 {
        match file.write(&page) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    fail!("the small disk does not get full")
}

fn files(directory: &Path) -> Outcome<BTreeSet<OsString>> {
    std::fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name())).collect()
}
