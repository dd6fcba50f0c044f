//! Features beyond Solo5 0.12 under old and new tenders, by a table
//! (`docs/reference/features.md#features`).
//!
//! A new guest knows the feature and says what it got. An old guest is one of the other Solo5's, which
//! knows no features. The new tender is ours. Old ones are ours with `--offer=none`, and the other
//! Solo5's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::guest::C_FLAGS;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::peer::Peer;
use solo5_tests::{directive, ensure, guest, process, run};

use crate::{Suite, trial};

/// A row of the table. Texts are keys of a directive (`docs/testing.md`).
struct Row {
    feature: &'static str,
    /// The new guest, which makes the same calls everywhere, and what it needs.
    new: (&'static str, &'static str),
    /// What the new guest does where the feature is offered.
    offered: &'static str,
    /// What it does elsewhere: the fallback.
    fallback: &'static str,
    /// The old guest, with what it needs and does.
    old: (&'static str, &'static str),
    /// The key of a manifest that needs the feature.
    need: Option<&'static str>,
}

/// One row for each feature.
const TABLE: &[Row] = &[
    Row {
        feature: "stack",
        new: ("stack", "args=\"depths 20\""),
        offered: "output=\"guard 65536\"",
        fallback: "output=\"guard 0\"",
        old: ("hello", "args=Hello_Solo5"),
        need: Some("stack: 64KiB"),
    },
    Row {
        feature: "seed",
        new: ("seed", ""),
        offered: "output=\"Seed: \" absent=\"No seed\"",
        fallback: "output=\"No seed\" absent=\"Seed: \"",
        old: ("hello", "args=Hello_Solo5"),
        need: Some("seed: true"),
    },
    Row {
        feature: "transfers",
        new: ("blk_many", "mem=8 block.storage=4MiB"),
        // The same sectors are read and written; only the number of calls differs.
        offered: "",
        fallback: "",
        old: ("blk", "block.storage=4MiB"),
        need: None,
    },
    Row {
        feature: "flush",
        new: ("blk_journal", "block.storage=32KiB args=probe"),
        offered: "output=\"Durable\" absent=\"Not durable\"",
        fallback: "output=\"Not durable\"",
        old: ("blk", "block.storage=4MiB"),
        // The test that uses it has no device.
        need: None,
    },
    // Works without an offer.
    Row {
        feature: "frames",
        new: ("net_many", "tap.service0=10.0.0.1/24 ping=10.0.0.2*1000 ping-pattern=deadbeef"),
        offered: "output=\"Answered 1000 pings\"",
        fallback: "output=\"Answered 1000 pings\"",
        old: ("net", "tap.service0=10.0.0.1/24 args=limit ping=10.0.0.2*100000 needs=processor"),
        need: None,
    },
];

/// The tenders: a name, the option that makes ours an old one, and whether it is ours.
const TENDERS: [(&str, &str, bool); 3] =
    [("new-tender", "", true), ("no-offer", "options=--offer=none", true), ("peer", "", false)];

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![trial(suite, "features/missing-functions", missing_functions)];
    for row in TABLE {
        for target in ["spt", "hvt"] {
            for (tender, option, ours) in TENDERS {
                for new in [true, false] {
                    let guest = if new { "new-guest" } else { "old-guest" };
                    let name = format!("features/{}/{target}/{guest}/{tender}", row.feature);
                    let (setup, expected) = match (new, ours && option.is_empty()) {
                        (true, true) => (row.new.1, row.offered),
                        (true, false) => (row.new.1, row.fallback),
                        (false, _) => (row.old.1, ""),
                    };
                    let line =
                        format!("//@ run {target}: {setup} {option} {expected} expect=success");
                    trials.push(trial(suite, name, move |suite| {
                        combination(suite, row, target, (new, ours), &line)
                    }));
                }
            }
        }
        if let Some(need) = row.need {
            let name = format!("features/{}/spt/old-bindings", row.feature);
            trials.push(trial(suite, name, move |suite| unknown_need(suite, need)));
        }
    }
    trials
}

/// A program compiled with our headers whose calls their bindings do not have: their linker names
/// each missing function, and nothing else is wrong.
fn missing_functions(suite: &Suite) -> Outcome {
    const CALLS: [(&str, &str); 5] = [
        ("solo5_seed", "seed"),
        ("solo5_block_read_many", "blk_many"),
        ("solo5_block_flush", "blk_journal"),
        ("solo5_net_read_many", "net_many"),
        ("solo5_net_write_many", "net_many"),
    ];
    let peer = peer(suite)?;
    if suite.builder.is_prebuilt() {
        return Err(Stop::Skip("there is no compiler".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    for (function, name) in CALLS {
        let object = folder.path().join(format!("{name}.o"));
        let mut cc = Command::new(suite.tree.cc());
        cc.args(C_FLAGS).arg("-I").arg(guest::directory().join("kit"));
        cc.arg("-c").arg(&suite.guest(name)?.source).arg("-o").arg(&object);
        process::succeed(cc)?;
        let image = folder.path().join(name);
        let mut cc = Command::new(peer.tree.cc());
        cc.args(["-z", "solo5-abi=spt"]).arg(&object).arg("-o").arg(&image);
        let finished = process::run(cc)?;
        ensure!(finished.status != 0 && !image.exists(), "{name} was linked");
        let text = format!("undefined reference to `{function}'");
        ensure!(finished.printed(&text), "{text} is missing: {}", finished.text());
    }
    Ok(())
}

fn peer(suite: &Suite) -> Outcome<&Peer> {
    suite.peer.as_ref().ok_or_else(|| Stop::Skip("there is no other Solo5".to_owned()))
}

/// Runs the new guest or the old one under our tender or theirs, as the line says.
fn combination(
    suite: &Suite,
    row: &Row,
    target: &str,
    (new, ours): (bool, bool),
    line: &str,
) -> Outcome {
    let runs = directive::parse(line).during(line)?.runs;
    let run = runs.first().ok_or("no run")?;
    if target == "hvt" {
        suite.kvm()?.require(run.processor)?;
    }
    let image = if new {
        suite.builder.image(suite.guest(row.new.0)?, target)?
    } else {
        peer(suite)?.unikernel(row.old.0, target)
    };
    let tender = format!("solo5-{target}");
    if ours {
        return run::execute(run, &suite.tree.program(&tender), &image, &suite.builder);
    }
    let peer = peer(suite)?;
    let folder = tempfile::tempdir()?;
    let image = peer.image(&image, folder.path())?;
    run::execute(run, &peer.tree.program(&tender), &image, &suite.builder)
}

/// An image whose manifest needs the feature and whose bindings are theirs: our tender refuses it,
/// with an offer or without; theirs does not look.
fn unknown_need(suite: &Suite, need: &str) -> Outcome {
    let peer = peer(suite)?;
    if suite.builder.is_prebuilt() {
        return Err(Stop::Skip("there is no compiler".to_owned()));
    }
    let folder = tempfile::tempdir()?;
    let image = linked_by(peer, suite, folder.path(), need)?;
    for offer in ["--offer=seed", "--offer=none"] {
        let mut tender = suite.tool("solo5-spt");
        tender.args(["--mem=4", offer]).arg(&image).arg("Hello_Solo5");
        let finished = process::run(tender)?;
        ensure!(finished.status == 1, "{offer}: {}", finished.text());
        ensure!(!finished.printed("SUCCESS"), "{offer}: {}", finished.text());
        let name = need.split(':').next().unwrap_or_default();
        ensure!(finished.printed(name), "{offer}: it does not name {name}: {}", finished.text());
    }
    let theirs = peer.image(&image, &folder.path().join("older"))?;
    let mut tender = Command::new(peer.tree.program("solo5-spt"));
    tender.arg("--mem=4").arg(theirs).arg("Hello_Solo5");
    process::run(tender)?.expect(0, "SUCCESS").map(drop)
}

/// `hello` with a manifest that has this key, compiled and linked by the other Solo5.
fn linked_by(peer: &Peer, suite: &Suite, folder: &Path, need: &str) -> Outcome<PathBuf> {
    std::fs::create_dir(folder.join("older"))?;
    let yaml = folder.join("manifest.yaml");
    let text = format!("type: solo5.manifest\nversion: 2\n{need}\ndevices: []\n");
    std::fs::write(&yaml, text)?;
    let manifest = folder.join("manifest.o");
    let mut mft = suite.tool("solo5-mft");
    mft.arg("compile").arg(&yaml).arg("-o").arg(&manifest);
    process::succeed(mft)?;
    let guests = guest::directory();
    let mut objects = vec![manifest];
    for source in ["hello.c", "kit/kit.c"] {
        let object = folder.join(format!("{}.o", objects.len()));
        let mut cc = Command::new(peer.tree.cc());
        cc.args(C_FLAGS).arg("-I").arg(guests.join("kit"));
        cc.arg("-c").arg(guests.join(source)).arg("-o").arg(&object);
        process::succeed(cc)?;
        objects.push(object);
    }
    let image = folder.join("old.spt");
    let mut cc = Command::new(peer.tree.cc());
    cc.args(["-z", "solo5-abi=spt"]).args(objects).arg("-o").arg(&image);
    process::succeed(cc)?;
    Ok(image)
}
