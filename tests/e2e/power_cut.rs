//! What a guest has flushed survives a power cut.
//!
//! A recorder notes every write and flush of a journaling guest's disk. A power cut is then played in
//! memory: the recording ends at any place, and of what was written since the last flush any part is
//! kept, sector by sector and in any order. Recovery must find every transaction that the guest
//! called durable before the cut, and each of them whole.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::ensure;
use solo5_tests::outcome::{Context, Outcome};
use solo5_tests::process;

use crate::{Suite, trial};

const ROUNDS: u64 = 1000;
/// So many of the rounds are also recovered by the guest itself.
const LAUNCHED: u64 = 10;
const TRANSACTIONS: u64 = 40;
/// What the guest writes for each transaction; nothing else that it writes has this length.
const DURABLE: &str = "is durable\n";
const SECTOR: usize = 512;
const DISK: usize = 64 * SECTOR;

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    ["spt", "hvt"]
        .into_iter()
        .map(|target| {
            let name = format!("robustness/power-cut/{target}");
            trial(suite, name, move |suite| power_cut(suite, target))
        })
        .collect()
}

fn power_cut(suite: &Suite, target: &str) -> Outcome {
    if target == "hvt" {
        suite.kvm()?.require(false)?;
    }
    let image = suite.builder.image(suite.guest("blk_journal")?, target)?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk");
    let tender = suite.tree.program(&format!("solo5-{target}"));
    std::fs::write(&disk, [0; DISK])?;
    let recording = folder.path().join("recording");
    let mut recorder = Command::new(suite.builder.host_program("record_disk")?);
    recorder.arg(&recording).arg(&disk).arg(&tender);
    launch(&mut recorder, &disk, &image, ["run", &TRANSACTIONS.to_string()]);
    process::succeed(recorder)?;
    let records = read(&std::fs::read(&recording)?).during("the recording")?;
    let durable = records.iter().filter(|record| matches!(record, Record::Durable)).count();
    ensure!(durable as u64 == TRANSACTIONS, "{durable} transactions were called durable");

    let mut random = Random(0x5010_0064);
    let mut torn = 0;
    for round in 0..ROUNDS {
        let cut = Cut::new(&records, true, &mut random);
        let mut content = cut.disk.clone();
        let (state, completed) = recover(&mut content).during(format!("round {round}"))?;
        cut.check(state).during(format!("round {round}"))?;
        torn += u64::from(!completed);
        if round < LAUNCHED {
            std::fs::write(&disk, &cut.disk)?;
            let mut check = Command::new(&tender);
            launch(&mut check, &disk, &image, ["check", ""]);
            let said =
                process::succeed(check).map_err(|stop| stop.during(format!("round {round}")))?;
            ensure!(said.contains(&format!("state {state}\n")), "{state} is expected:\n{said}");
            ensure!(std::fs::read(&disk)? == content, "round {round}: recovered otherwise");
        }
    }
    // Cuts in the middle of the journal's own write are among them.
    ensure!(torn > 0 && torn < ROUNDS, "{torn} of the cuts tore the journal");
    // The test would find a flush that does nothing.
    let lost = (0..ROUNDS).any(|_| {
        let cut = Cut::new(&records, false, &mut random);
        let recovered = recover(&mut cut.disk.clone());
        recovered.and_then(|(state, _)| cut.check(state)).is_err()
    });
    ensure!(lost, "without flushes nothing was lost either");
    Ok(())
}

fn launch(command: &mut Command, disk: &Path, image: &Path, arguments: [&str; 2]) {
    let mut block = OsString::from("--block:storage=");
    block.push(disk);
    command.arg("--mem=2").arg(block).arg("--").arg(image);
    command.args(arguments.into_iter().filter(|argument| !argument.is_empty()));
}

/// What the recorder has noted.
enum Record {
    Write {
        offset: usize,
        data: Vec<u8>,
    },
    Flush,
    /// The guest says that one more transaction is durable.
    Durable,
}

fn read(mut log: &[u8]) -> Result<Vec<Record>, String> {
    fn number(log: &mut &[u8]) -> Result<usize, String> {
        let (bytes, rest) = log.split_first_chunk().ok_or("it ends early")?;
        *log = rest;
        usize::try_from(u64::from_ne_bytes(*bytes)).map_err(|error| error.to_string())
    }
    let mut records = Vec::new();
    while let Some((kind, rest)) = log.split_first() {
        log = rest;
        records.push(match kind {
            b'W' => {
                let (offset, length) = (number(&mut log)?, number(&mut log)?);
                let (data, rest) = log.split_at_checked(length).ok_or("it ends early")?;
                log = rest;
                Record::Write { offset, data: data.to_vec() }
            }
            b'F' => Record::Flush,
            b'C' if number(&mut log)? == DURABLE.len() => Record::Durable,
            b'C' => continue,
            _ => return Err("it is none".to_owned()),
        });
    }
    Ok(records)
}

/// A disk after a power cut.
struct Cut {
    disk: Vec<u8>,
    /// How many transactions the guest had called durable.
    durable: u64,
    /// How many it had begun.
    begun: u64,
}

impl Cut {
    /// Cuts the power at a random place; `flushed` tells whether flushes have an effect.
    fn new(records: &[Record], flushed: bool, random: &mut Random) -> Cut {
        let (before, _) = records.split_at(random.below(records.len() as u64 + 1) as usize);
        let count = |test: fn(&&Record) -> bool| before.iter().filter(test).count() as u64;
        let last = before.iter().rposition(|record| matches!(record, Record::Flush));
        let (safe, open) = before.split_at(last.filter(|_| flushed).unwrap_or(0));
        let mut disk = vec![0; DISK];
        let mut write = |offset: usize, data: &[u8]| {
            if let Some(place) = disk.get_mut(offset..offset + data.len()) {
                place.copy_from_slice(data);
            }
        };
        for record in safe {
            if let Record::Write { offset, data } = record {
                write(*offset, data);
            }
        }
        let mut sectors: Vec<(usize, &[u8])> = open
            .iter()
            .filter_map(|record| match record {
                Record::Write { offset, data } => Some((*offset, data)),
                Record::Flush | Record::Durable => None,
            })
            .flat_map(|(offset, data)| (offset..).step_by(SECTOR).zip(data.chunks(SECTOR)))
            .collect();
        let kept = random.below(5);
        sectors.retain(|_| random.below(4) < kept);
        for at in (1..sectors.len()).rev() {
            sectors.swap(at, random.below(at as u64 + 1) as usize);
        }
        for (offset, data) in sectors {
            write(offset, data);
        }
        Cut {
            disk,
            durable: count(|record| matches!(record, Record::Durable)),
            begun: count(|record| matches!(record, Record::Write { offset: 0, .. })),
        }
    }

    fn check(&self, state: u64) -> Result<(), String> {
        let Cut { durable, begun, .. } = self;
        if (*durable..=*begun).contains(&state) {
            return Ok(());
        }
        Err(format!("{durable} durable, {begun} begun, {state} found"))
    }
}

/// The blocks of `tests/guests/blk_journal.c`, which describes them.
mod layout {
    pub(super) const MAGIC: u64 = 0x6c61_6e72_756f_4a21;
    pub(super) const PAGES: u64 = 32;
    pub(super) const MOST: u64 = 8;
    pub(super) const HOME: usize = 16;
    /// The word of the journal's first block with its sum, and the first page's number.
    pub(super) const SUM: usize = 3;
    pub(super) const NUMBERS: usize = 4;
}

fn block(disk: &[u8], index: usize) -> Vec<u64> {
    let bytes = disk.chunks_exact(SECTOR).nth(index).unwrap_or_default();
    let words = bytes.chunks_exact(8);
    words.filter_map(|word| word.first_chunk()).map(|word| u64::from_le_bytes(*word)).collect()
}

/// Completes the transaction in the journal, if it is whole, as the guest does. Then checks every
/// page. Returns the last transaction, and whether one was completed.
fn recover(disk: &mut [u8]) -> Result<(u64, bool), String> {
    let header = block(disk, 0);
    let count = header[2];
    let mut completed = false;
    if header[0] == layout::MAGIC && (1..=layout::MOST).contains(&count) {
        let words = (0..=count as usize).flat_map(|index| {
            let skipped = (index == 0).then_some(layout::SUM);
            let words = block(disk, index).into_iter().enumerate();
            words.filter(move |(at, _)| Some(*at) != skipped).map(|(_, word)| word)
        });
        let sum = words.fold(0u64, |sum, word| sum.wrapping_mul(3).wrapping_add(word));
        completed = sum == header[layout::SUM];
    }
    for which in 0..if completed { count as usize } else { 0 } {
        let number = header[layout::NUMBERS + which] as usize;
        let from = (1 + which) * SECTOR;
        disk.copy_within(from..from + SECTOR, (layout::HOME + number) * SECTOR);
    }
    let pages: Vec<_> =
        (0..layout::PAGES).map(|number| block(disk, layout::HOME + number as usize)).collect();
    let state = pages.iter().map(|page| page[0]).max().unwrap_or(0);
    for (number, page) in (0..).zip(&pages) {
        let writes = |transaction: &u64| {
            (0..1 + transaction % layout::MOST)
                .any(|which| (transaction * 7 + which * 5) % layout::PAGES == number)
        };
        // A guest makes no more transactions, so a page with a higher number is none of its own.
        let last = (1..=state.min(TRANSACTIONS)).rev().find(writes).unwrap_or(0);
        if page[0] != last || last != 0 && page[1] != number {
            return Err(format!("page {number} is of {}, not of {last} of {state}", page[0]));
        }
    }
    Ok((state, completed))
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
