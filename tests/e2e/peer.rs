//! Another Solo5, named by `SOLO5_PEER`: its unikernels under our tenders, and its tools on our
//! output. Our unikernels under its tenders are the runs `guest/…/peer`; those of virtio are here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use solo5_tests::elf::Image;
use solo5_tests::guest::C_FLAGS;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::peer::Peer;
use solo5_tests::tree::{Tree, repository};
use solo5_tests::{directive, ensure, guest, namespace, process, run};

use crate::{Suite, cores, trial};

/// Upstream's test-suite for these targets (`docs/reference/toolchain.md#tests`): a unikernel, and
/// how it is run. Nothing here is specific to our unikernels, so those of any release must pass;
/// `peer=` is the first release that has the unikernel.
const UNIKERNELS: &[(&str, &str)] = &[
    ("hello", "run spt hvt: args=Hello_Solo5 expect=success"),
    ("quiet", "run spt hvt: args=--solo5:quiet expect=success absent=Solo5:"),
    ("output", "run spt hvt: args=Hello_Solo5 expect=exit:0 peer=0.11.0"),
    ("globals", "run spt hvt: expect=success"),
    ("exception", "run spt: expect=exit:139"),
    ("exception", "run hvt: expect=abort"),
    ("zeropage", "run spt: expect=exit:139"),
    ("zeropage", "run hvt: expect=abort"),
    ("xnow", "run spt: expect=exit:139"),
    ("xnow", "run hvt: expect=exit:1 output=\"host/guest translation fault\""),
    ("wnox", "run spt: expect=exit:139"),
    // Upstream's own tender permits it on Linux; our page tables have the segments' rights.
    ("wnox", "run hvt: expect=abort"),
    ("notls", "run spt: expect=exit:139"),
    ("notls", "run hvt: expect=abort"),
    ("tls", "run spt hvt: expect=success"),
    ("ssp", "run spt hvt: expect=abort"),
    ("fpu", "run spt hvt: expect=success needs=processor"),
    ("time", "run spt hvt: expect=success"),
    ("seccomp", "run spt: expect=exit:159"),
    ("dumpcore", "run spt hvt: expect=exit:255 output=\"solo5_abort() called\""),
    ("blk", "run spt hvt: block.storage=4MiB expect=success"),
    (
        "blk",
        "run spt hvt sector-size-4096: block.storage=4MiB sector-size.storage=4096 expect=success",
    ),
    ("mft_maxdevices", "run spt hvt: block.storage{0..62}=4096 expect=success"),
    (
        "net",
        "run spt hvt: tap.service0=10.0.0.1/24 args=limit ping=10.0.0.2*100000 expect=success \
         output=\"Limit reached, exiting\" needs=processor",
    ),
    (
        "net_2if",
        "run spt hvt: tap.service0=10.0.0.1/24 tap.service1=10.1.0.1/24 args=limit \
         ping=10.0.0.2*50000 ping=10.1.0.2*50000 expect=success output=\"Limit reached, exiting\" \
         needs=processor",
    ),
    (
        "net_mtu",
        "run spt hvt: tap.service0=10.0.0.1/24,mtu=9000 expect=success output=\"MTU is 9000\" peer=0.10.0",
    ),
    (
        "net_ring",
        "run spt hvt: tap.service0=10.0.0.1/24 ping=10.0.0.2*10000 ping-pattern=deadbeef \
         expect=success output=\"Verified 10000 packets, 0 corrupted\" needs=processor \
         peer=0.11.0",
    ),
];

/// The same for virtio: in QEMU, on the machine that `solo5-virtio-run` of any release makes, whose
/// devices are legacy ones and found by position. QEMU ends with 83 whatever the unikernel's status.
/// Upstream's page tables have no rights, so `xnow` and `wnox` print FAILURE there.
const VIRTIO: &[(&str, &str)] = &[
    ("hello", "args=Hello_Solo5 output=SUCCESS"),
    ("quiet", "args=--solo5:quiet output=SUCCESS absent=Solo5:"),
    ("globals", "output=SUCCESS"),
    ("tls", "output=SUCCESS"),
    ("fpu", "output=SUCCESS"),
    ("time", "output=SUCCESS"),
    ("exception", "output=\"trap: type=#PF ec=0x2 \" output=ABORT"),
    ("zeropage", "output=\"trap: cr2=0x8\" output=ABORT"),
    ("notls", "output=\"trap: type=#PF ec=0x0 \" output=ABORT"),
    ("ssp", "output=\"Stack corruption detected\""),
    ("dumpcore", "output=\"solo5_abort() called\""),
    ("blk", "block.storage=4MiB output=SUCCESS"),
    // Its unikernel ends at the last ping, and its machine with it; frames that the device has not sent
    // then are lost.
    (
        "net",
        "tap.service0=10.0.0.1/24 args=limit ping=10.0.0.2*100000~16 output=\"Limit reached, exiting\"",
    ),
    // 0.7.2 has one network; the change that brought several is of 2024.
    (
        "net_2if",
        "tap.service0=10.0.0.1/24 tap.service1=10.1.0.1/24 args=limit ping=10.0.0.2*50000~16 \
         ping=10.1.0.2*50000~16 output=\"Limit reached, exiting\" peer=0.10.0",
    ),
    ("net_mtu", "tap.service0=10.0.0.1/24,mtu=9000 output=\"MTU is 9000\" peer=0.10.0"),
];

/// Our unikernels on the machine of the peer's script: its options, the unikernel, arguments and
/// what is printed.
const UNDER_SCRIPT: &[(&str, &str, &str, &[&str])] = &[
    ("hello", "", "Hello_Solo5", &["SUCCESS", "solo5_exit(0) called"]),
    ("exit_status", "", "7", &["solo5_exit(7) called"]),
    ("memory", "-m 64", "used", &["SUCCESS"]),
    ("blk", "-d DISK", "", &["SUCCESS"]),
    ("net_mtu", "-n TAP", "", &["MTU is 1500"]),
];

pub(crate) fn trials(suite: &Arc<Suite>) -> Outcome<Vec<Trial>> {
    let Some(peer) = &suite.peer else {
        return Ok(Vec::new());
    };
    let mut trials = vec![
        trial(suite, "peer/tools/queries", queries),
        trial(suite, "peer/tools/gen-manifest", gen_manifest),
        trial(suite, "peer/tools/objects", objects),
        trial(suite, "peer/core/hvt", core),
    ];
    for row in UNDER_SCRIPT {
        let name = format!("peer/virtio-run/{}", row.0);
        trials.push(trial(suite, name, |suite| under_script(suite, row)));
    }
    let virtio = VIRTIO.iter().map(|(name, line)| {
        let options = "options=\"--quiet --hypervisor=qemu\" mem=64 expect=exit:83";
        (*name, format!("run virtio: {options} {line}"))
    });
    let tenders = UNIKERNELS.iter().map(|(name, line)| (*name, (*line).to_owned()));
    for (name, line) in tenders.chain(virtio) {
        let runs = directive::parse(&format!("//@ {line}")).during(&line)?.runs;
        // Older releases do not have the unikernel.
        for run in runs.into_iter().filter(|run| run.peer <= Some(peer.release)) {
            let case = run.case.as_ref();
            let case = case.map_or(String::new(), |case| format!("/{case}"));
            for target in &run.targets {
                let tender = suite.tree.program(
                    match target.as_str() {
                        "virtio" => "solo5-virtio-run".to_owned(),
                        tender => format!("solo5-{tender}"),
                    }
                    .as_str(),
                );
                let (run, target) = (run.clone(), target.clone());
                let image = peer.unikernel(name, &target);
                let name = format!("peer/{name}/{target}{case}");
                trials.push(trial(suite, name, move |suite| {
                    if target == "hvt" {
                        suite.kvm()?.require(run.processor)?;
                    }
                    let image = present(&image)?;
                    let mut run = run.clone();
                    // Layouts differ: hvt images of 0.8.0 and later need 4 MiB.
                    let need = Image(std::fs::read(&image)?).least_memory()?;
                    run.memory = run.memory.map(|memory| memory.max(need));
                    run::execute(&run, &tender, &image, &suite.builder)
                }));
            }
        }
    }
    Ok(trials)
}

/// The peer's own `solo5-virtio-run` starts one of our images.
fn under_script(suite: &Suite, row: &(&str, &str, &str, &[&str])) -> Outcome {
    let (name, options, argument, texts) = *row;
    let peer = peer(suite)?;
    let script = present(&peer.tree.program("solo5-virtio-run"))?;
    let image = suite.builder.image(suite.guest(name)?, "virtio")?;
    let folder = tempfile::tempdir()?;
    let disk = folder.path().join("disk");
    std::fs::File::create(&disk)?.set_len(4 << 20)?;
    namespace::with_network(|| {
        if options.contains("TAP") {
            namespace::add_tap("tap100", None)?;
            namespace::bring_up("tap100", "10.0.0.1/24")?;
        }
        let mut run = Command::new(script);
        run.args(["-q", "-H", "qemu"]).args(options.split_whitespace().map(|word| match word {
            "DISK" => disk.as_os_str(),
            "TAP" => "tap100".as_ref(),
            word => word.as_ref(),
        }));
        run.arg("--").arg(&image).args(argument.split_whitespace());
        let finished = process::run(run)?;
        for text in texts {
            ensure!(finished.printed(text), "no {text:?} in:\n{}", finished.text());
        }
        finished.expect(83, "").map(drop)
    })
}

/// An installed Solo5 has no unikernels; `cargo xtask peer` puts them there.
fn present(image: &Path) -> Outcome<PathBuf> {
    if image.exists() {
        return Ok(image.to_owned());
    }
    Err(Stop::Skip(format!("no {}", image.display())))
}

fn peer(suite: &Suite) -> Outcome<&Peer> {
    suite.peer.as_ref().ok_or_else(|| "no SOLO5_PEER".into())
}

/// Their unikernel that aborts leaves a core that gdb opens.
fn core(suite: &Suite) -> Outcome {
    suite.kvm()?.require(false)?;
    let image = present(&peer(suite)?.unikernel("dumpcore", "hvt"))?;
    let told = cores::backtrace(suite, &image)?;
    told.expect(0, "solo5_app_main").map(drop)
}

/// Both elftools print the same bytes about our images and theirs.
fn queries(suite: &Suite) -> Outcome {
    let peer = peer(suite)?;
    let theirs = std::fs::read_dir(peer.tree.prefix().join("unikernels"));
    let theirs = theirs.into_iter().flatten();
    let mut images = theirs.map(|entry| Ok(entry?.path())).collect::<Outcome<Vec<_>>>()?;
    for guest in &suite.guests {
        for target in ["spt", "hvt"] {
            images.push(suite.builder.image(guest, target)?);
        }
    }
    for image in images {
        for verb in ["query-manifest", "query-abi"] {
            let ask = |tree: &Tree| {
                let mut elftool = Command::new(tree.program("solo5-elftool"));
                elftool.arg(verb).arg(&image);
                process::succeed(elftool)
            };
            let (ours, theirs) = (ask(&suite.tree)?, ask(&peer.tree)?);
            ensure!(
                ours == theirs,
                "{verb} {}: ours says\n{ours}\ntheirs\n{theirs}",
                image.display()
            );
        }
    }
    Ok(())
}

/// Compiles a source with one tree's tools to `NAME.o` in `folder`.
fn compile(tree: &Tree, source: &Path, folder: &Path, name: &str) -> Outcome<PathBuf> {
    let object = folder.join(name).with_extension("o");
    let mut cc = Command::new(tree.cc());
    cc.args(C_FLAGS).arg("-c").arg(source).arg("-o").arg(&object);
    process::succeed(cc)?;
    Ok(object)
}

/// Generates C from a manifest with one tree's `gen-manifest`: `NAME.c` in `folder`.
fn generate(tree: &Tree, manifest: &Path, folder: &Path, name: &str) -> Outcome<PathBuf> {
    let source = folder.join(name).with_extension("c");
    let mut elftool = Command::new(tree.program("solo5-elftool"));
    elftool.arg("gen-manifest").arg(manifest).arg(&source);
    process::succeed(elftool)?;
    Ok(source)
}

/// Our generated manifests compile with their headers, theirs with ours, and all give the same
/// note.
fn gen_manifest(suite: &Suite) -> Outcome {
    let peer = peer(suite)?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let mut count = 0;
    for entry in std::fs::read_dir(guest::directory())? {
        let manifest = entry?.path();
        let is_json = manifest.extension().is_some_and(|suffix| suffix == "json");
        // Both must refuse the manifest with too many entries.
        if !is_json || manifest.ends_with("too_many_entries.json") {
            continue;
        }
        count += 1;
        let mut notes = Vec::new();
        for (generator, compiler) in [
            (&suite.tree, &suite.tree),
            (&suite.tree, &peer.tree),
            (&peer.tree, &suite.tree),
            (&peer.tree, &peer.tree),
        ] {
            let source = generate(generator, &manifest, folder, "manifest")?;
            let object = compile(compiler, &source, folder, "manifest")?;
            let note = folder.join("note");
            let mut objcopy = Command::new("objcopy");
            objcopy.args(["-O", "binary", "-j", ".note.solo5.manifest"]);
            process::succeed({
                objcopy.args([&object, &note]);
                objcopy
            })?;
            notes.push(std::fs::read(&note)?);
        }
        let first = notes.first().ok_or("no note")?;
        ensure!(
            first.len() > 20 && notes.iter().all(|note| note == first),
            "{}: the notes differ: {notes:?}",
            manifest.display()
        );
    }
    ensure!(count > 5, "{count} manifests");
    Ok(())
}

/// Objects and linkers of both trees in every combination: each image runs under our tender, and
/// under theirs.
fn objects(suite: &Suite) -> Outcome {
    let peer = peer(suite)?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let older = folder.join("older");
    std::fs::create_dir(&older)?;
    let hello = repository().join("examples/hello/hello.c");
    let none = guest::directory().join("none.json");
    for compiler in [&suite.tree, &peer.tree] {
        let manifest = generate(compiler, &none, folder, "manifest")?;
        let manifest = compile(compiler, &manifest, folder, "manifest")?;
        let object = compile(compiler, &hello, folder, "hello")?;
        for linker in [&suite.tree, &peer.tree] {
            let image = folder.join("hello.spt");
            let mut ld = Command::new(linker.cc());
            ld.args(["-z", "solo5-abi=spt"]).args([&object, &manifest]);
            process::succeed({
                ld.arg("-o").arg(&image);
                ld
            })?;
            let theirs = peer.image(&image, &older)?;
            for (tree, image) in [(&suite.tree, &image), (&peer.tree, &theirs)] {
                let mut tender = Command::new(tree.program("solo5-spt"));
                tender.arg("--mem=2").arg(image).arg("Hello_Solo5");
                process::run(tender)?.expect(0, "'Hello_Solo5'\nSUCCESS")?;
            }
        }
    }
    Ok(())
}
