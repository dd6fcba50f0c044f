//! `bench`: measures what this project promises in numbers, mostly as ratios.
//!
//! Machines are noisy, so times of different runs are not compared. Two commands are started in
//! turns, and the median of the pairs' ratios (or differences) counts. `SOLO5_PEER=PREFIX` names
//! another installed Solo5 to compare with; the default is the one that `cargo xtask peer` built. If
//! the variable is empty there is no peer, and rows that need one say so.

mod blocks;
mod hvt;
mod images;
mod io;
mod lab;
mod measure;
mod process;
mod virtio;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use self::measure::{
    Bench, LIBRARY, Row, difference, median, median_time, pairs, ratio, row, times,
};
use crate::run::{output, run};
use crate::{Arguments, Result, peer, stage};

pub(crate) const ARGUMENTS: &str = "[--pairs=N] [--only=PART] [--check]";
pub(crate) const HELP: &str = "Measure against the bars; SOLO5_PEER=PREFIX (default: target/peer) is the Solo5 to compare with; PART is programs, io, blocks, hvt, virtio, images or lab; --check fails if a bar is missed.";

/// The rows of one part of the table.
type Part = (&'static str, fn(&Bench) -> Result<Vec<Row>>);

/// The parts of the table, by their names for `--only`.
const PARTS: [Part; 7] = [
    ("programs", Bench::programs),
    ("io", io::rows),
    ("blocks", blocks::rows),
    ("hvt", hvt::rows),
    ("virtio", virtio::rows),
    ("images", images::rows),
    ("lab", lab::rows),
];

/// Starts per row and command.
const PAIRS: usize = 1000;
/// Images in one call of the audit.
const IMAGES: usize = 4000;
/// Largest text in bytes of bindings.
const TEXT_MAX: [(&str, u64); 2] = [("solo5_spt.o", 9_500), ("solo5_hvt.o", 14_600)];
/// Programs that run guests.
const TENDERS: [&str; 3] = ["solo5-spt", "solo5-hvt", "solo5-hvt-debug"];
/// Largest tender in bytes.
const TENDER_MAX: u64 = 2 << 20;
/// Most allow rules of the filter for a guest without devices (`docs/reference/spt.md#calls`).
const SPT_RULES_MAX: u64 = 7;

pub(crate) fn task(arguments: Arguments) -> Result<ExitCode> {
    if let Some((first, pairs)) = arguments.split_first()
        && first == io::INSIDE
    {
        return io::inside(pairs).map(|()| ExitCode::SUCCESS);
    }
    let (mut pairs, mut check, mut parts) = (PAIRS, false, PARTS.to_vec());
    for argument in arguments {
        match argument.split_once('=') {
            Some(("--pairs", count)) => pairs = count.parse()?,
            Some(("--only", name)) if PARTS.iter().any(|(part, _)| *part == name) => {
                parts.retain(|(part, _)| *part == name);
            }
            None if argument == "--check" => check = true,
            _ => return Err(format!("unknown argument '{argument}'; known: {ARGUMENTS}").into()),
        }
    }
    stage::build(stage::Effort::Full)?;
    let work = tempfile::tempdir()?;
    let bench =
        Bench { work: work.path().to_owned(), ours: stage::prefix(), peer: peer::there(), pairs };
    let mut rows = Vec::new();
    for (_, part) in parts {
        rows.extend(part(&bench)?);
    }
    println!("{:<44} {:>22} {:>18}  verdict", "what", "measured", "bar");
    for Row { what, measured, bar, held } in &rows {
        let verdict = match held {
            Some(true) => "holds",
            Some(false) => "OVER",
            None => "no peer",
        };
        println!("{what:<44} {measured:>22} {bar:>18}  {verdict}");
    }
    let over = rows.iter().any(|row| row.held == Some(false));
    Ok(if check && over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Bench {
    fn programs(&self) -> Result<Vec<Row>> {
        let hello =
            self.link(&self.ours, &crate::root().join("examples/hello/hello.c"), "hello")?;
        let calls = self.link(&self.ours, &crate::root().join("xtask/bench/calls.c"), "calls")?;
        let empty = self.empty()?;
        let mut rows = vec![self.start(&hello, empty)?];
        rows.extend(process::rows(self, &hello)?);
        rows.extend(self.start_against_peer("spt")?);
        rows.push(self.start_under_policy(&hello, &hello, None)?);
        let (signed, key) = self.sign(&hello)?;
        rows.push(self.start_under_policy(&signed, &hello, Some(&key))?);
        rows.push(self.query(&hello)?);
        rows.extend(self.calls(&calls)?);
        rows.push(self.audit(&hello)?);
        rows.push(self.linking()?);
        rows.extend(self.sizes(&hello)?);
        Ok(rows)
    }

    fn empty(&self) -> Result<Command> {
        let source = self.work.join("empty.c");
        let program = self.work.join("empty");
        fs::write(&source, "int main(void){return 0;}\n")?;
        run(Command::new("cc").args(["-O2", "-static"]).arg(&source).arg("-o").arg(&program))?;
        Ok(Command::new(program))
    }

    fn start(&self, hello: &Path, mut empty: Command) -> Result<Row> {
        let ratio = ratio(&mut self.spt(hello), &mut empty, self.pairs)?;
        let what = "spt hello, full banner / empty program".to_owned();
        Ok(Row { what, measured: times(ratio), bar: "<= 1.25 x".into(), held: Some(ratio <= 1.25) })
    }

    /// A copy of `image` with a signature appended, and the public key as text.
    fn sign(&self, image: &Path) -> Result<(PathBuf, String)> {
        let signed = self.work.join("hello.signed");
        fs::copy(image, &signed)?;
        let elftool = self.ours.join("bin/solo5-elftool");
        let key = self.work.join("key");
        let named = |option: &str| format!("{option}={}", key.display());
        run(Command::new(&elftool).arg("sign").arg(named("--new-key")))?;
        run(Command::new(&elftool).arg("sign").arg(named("--key")).arg(&signed))?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        let public = public.lines().nth(1).ok_or("a public key has two lines")?;
        Ok((signed, public.to_owned()))
    }

    /// The time that a policy of 50 rules adds to a start: `image` under the policy against `plain`
    /// without one. With a `key`, one of the rules requires its signature, so the tender copies, hashes
    /// and verifies the image.
    fn start_under_policy(&self, image: &Path, plain: &Path, key: Option<&str>) -> Result<Row> {
        let mut text = String::from("type: solo5.policy\nversion: 1\nname: bench\n");
        if let Some(key) = key {
            text += &format!("image: {{ signed-by: {key} }}\n");
        }
        text += "block:\n  allow:\n";
        for rule in 0..49 {
            text += &format!("    - {{ name: \"disk{rule}*\", file: {{ under: /srv/{rule} }} }}\n");
        }
        text += "otherwise: allow\n";
        let policy = self.work.join(if key.is_some() { "signed.yaml" } else { "fifty.yaml" });
        fs::write(&policy, text)?;
        let mut with = Command::new(self.ours.join("bin/solo5-spt"));
        with.arg("--mem=2").arg(format!("--policy={}", policy.display()));
        with.arg(image).arg("Hello_Solo5");
        let pairs = pairs(&mut with, &mut self.spt(plain), self.pairs.min(400))?;
        let added = median(pairs.iter().map(|(with, without)| with - without).collect());
        let ratio = median(pairs.iter().map(|(with, without)| with / without).collect());
        Ok(Row {
            what: match key {
                None => "spt start, added by a policy of 50 rules".into(),
                Some(_) => "spt start, added by 50 rules and a signature".into(),
            },
            measured: format!("{:.3} ms, {ratio:.2} x", added * 1e3),
            bar: "<= 1 ms".into(),
            held: Some(added <= 1e-3),
        })
    }

    fn query(&self, image: &Path) -> Result<Row> {
        let what = "elftool query-manifest / peer's".to_owned();
        let command = |prefix: &Path| {
            let mut command = Command::new(prefix.join("bin/solo5-elftool"));
            command.arg("query-manifest").arg(image);
            command
        };
        let bar = "<= 1.0 x".to_owned();
        let Some(peer) = &self.peer else {
            let measured = format!("{:.2} ms", median_time(&mut command(&self.ours), 200)? * 1e3);
            return Ok(Row { what, measured, bar, held: None });
        };
        let ratio = ratio(&mut command(&self.ours), &mut command(peer), self.pairs)?;
        Ok(Row { what, measured: times(ratio), bar, held: Some(ratio <= 1.0) })
    }

    /// `calls.c` prints picoseconds per call: a yield whose deadline has passed, the monotonic
    /// clock, and the same clock by a plain system call.
    fn calls(&self, ours: &Path) -> Result<Vec<Row>> {
        let measure = |prefix: &Path, image: &Path| -> Result<[f64; 3]> {
            let mut spt = Command::new(prefix.join("bin/solo5-spt"));
            let text = String::from_utf8(output(spt.arg("--mem=2").arg(image))?)?;
            let value = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name));
                line.and_then(|value| value.trim().parse().ok()).ok_or(format!("no {name} printed"))
            };
            Ok([value("yield-ps:")?, value("clock-ps:")?, value("syscall-ps:")?]
                .map(|ps: f64| ps / 1e3))
        };
        let [yielding, clock, syscall] = measure(&self.ours, ours)?;
        let rows = [
            ("spt yield, passed deadline / peer's", yielding, 0.05),
            ("spt monotonic clock / peer's", clock, 0.2),
        ];
        let peers = match &self.peer {
            None => None,
            Some(peer) => {
                let source = crate::root().join("xtask/bench/calls.c");
                let image = self.link(peer, &source, "calls.peer")?;
                let [yielding, clock, _] = measure(peer, &image)?;
                Some([yielding, clock])
            }
        };
        let mut out: Vec<Row> = rows
            .into_iter()
            .enumerate()
            .map(|(index, (what, ns, bar))| {
                let ratio = peers.map(|peers| ns / peers[index]);
                let measured = match ratio {
                    Some(ratio) => format!("{ns:.1} ns, {}", times(ratio)),
                    None => format!("{ns:.1} ns"),
                };
                Row {
                    what: what.to_owned(),
                    measured,
                    bar: format!("<= {bar} x"),
                    held: ratio.map(|ratio| ratio <= bar),
                }
            })
            .collect();
        out.push(Row {
            what: "spt monotonic clock / plain system call".to_owned(),
            measured: times(clock / syscall),
            bar: "<= 0.2 x".into(),
            held: Some(clock / syscall <= 0.2),
        });
        Ok(out)
    }

    fn audit(&self, image: &Path) -> Result<Row> {
        let folder = self.work.join("images");
        fs::create_dir(&folder)?;
        // On one core, so that the number of cores does not count.
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(self.ours.join("bin/solo5-elftool"));
        command.args(["audit", "--exit-zero", "--format", "json"]);
        for index in 0..IMAGES {
            let copy = folder.join(format!("{index}.spt"));
            fs::copy(image, &copy)?;
            command.arg(copy);
        }
        let rate = IMAGES as f64 / median_time(&mut command, 5)?;
        Ok(Row {
            what: "audit S1-S3, images/s a core, one call".to_owned(),
            measured: format!("{rate:.0}/s"),
            bar: ">= 2000/s".into(),
            held: Some(rate >= 2000.0),
        })
    }

    fn linking(&self) -> Result<Row> {
        let object = self.work.join("hello.o");
        let source = crate::root().join("examples/hello/hello.c");
        let bin = self.ours.join("bin");
        run(Command::new(bin.join("x86_64-solo5-none-static-cc"))
            .args(["-O2", "-c"])
            .arg(source)
            .arg("-o")
            .arg(&object))?;
        let manifest = self.work.join("none.o");
        run(Command::new(bin.join("solo5-mft"))
            .arg("compile")
            .arg(self.work.join("none.json"))
            .arg("-o")
            .arg(&manifest))?;
        let image = self.work.join("linked");
        let mut wrapped = Command::new(bin.join("x86_64-solo5-none-static-ld"));
        wrapped.args(["-z", "solo5-abi=spt"]).args([&object, &manifest]).arg("-o").arg(&image);
        let library = self.ours.join(LIBRARY);
        let mut plain = Command::new("ld");
        plain.args(["-nostdlib", "-z", "max-page-size=0x1000", "-static", "-T"]);
        plain.args([library.join("solo5_spt.lds"), library.join("solo5_spt.o")]);
        plain.args([&object, &manifest]).arg("-o").arg(&image);
        let added = difference(&mut wrapped, &mut plain, self.pairs.min(200))?;
        let measured = format!("{:.1} ms", added * 1e3);
        let what = "solo5-ld over the plain link".to_owned();
        Ok(Row { what, measured, bar: "<= 10 ms".into(), held: Some(added <= 10e-3) })
    }

    fn sizes(&self, hello: &Path) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (object, most) in TEXT_MAX {
            let text = text_size(&self.ours.join(LIBRARY).join(object))?;
            rows.push(row(format!("text of {object}"), text, " bytes", most));
            if let Some(peer) = &self.peer {
                let theirs = text_size(&peer.join(LIBRARY).join(object))?;
                rows.push(row(
                    format!("text of {object}, peer's as the bar"),
                    text,
                    " bytes",
                    theirs,
                ));
            }
        }
        for tender in TENDERS {
            let size = fs::metadata(self.ours.join("bin").join(tender))?.len();
            rows.push(row(format!("size of {tender}"), size, " bytes", TENDER_MAX));
        }
        let mut explain = Command::new(self.ours.join("bin/solo5-spt"));
        explain.args(["--explain", "--format=json"]).arg(hello);
        let explained: serde_json::Value = serde_json::from_slice(&output(&mut explain)?)?;
        let calls = explained["system_calls"].as_array();
        let calls = calls.ok_or("the explanation lists no system calls")?;
        let allowed = calls.iter().filter(|call| call["action"] == "allow");
        rows.push(row(
            "spt allow rules without devices".to_owned(),
            allowed.count() as u64,
            "",
            SPT_RULES_MAX,
        ));
        Ok(rows)
    }
}

/// Bytes of code in an object.
fn text_size(object: &Path) -> Result<u64> {
    let table = String::from_utf8(output(Command::new("size").arg("-A").arg(object))?)?;
    let sizes = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, size) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        name.starts_with(".text").then_some(size)
    });
    let size = sizes.sum();
    match size {
        0 => Err(format!("{} has no code", object.display()).into()),
        size => Ok(size),
    }
}
