//! `audit` over many images: names, folders, patterns and lists; order; every format; files of any
//! kind and size.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{DEVICES, Place};
use serde_json::Value;
use solo5_abi::{Arch, Target};
use solo5_dwarf::testing::Compiled;
use solo5_image::elf::{PF_R, PF_W, PF_X};
use solo5_image::testing::{DATA, Sample};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn good() -> Vec<u8> {
    Sample::new(Target::Spt, Arch::X86_64, &DEVICES).bytes()
}

fn write_exec() -> Vec<u8> {
    let mut sample = Sample::new(Target::Spt, Arch::X86_64, &DEVICES);
    sample.segments[DATA].p_flags = PF_R | PF_W | PF_X;
    sample.bytes()
}

/// A folder `fleet` with two good images, a bad one, a text, a link and an empty file.
fn fleet() -> Place {
    let place = Place::new();
    std::fs::create_dir_all(place.path("fleet/old")).unwrap();
    place.write("fleet/b.spt", &write_exec());
    place.write("fleet/a.spt", &good());
    place.write("fleet/old/c.spt", &good());
    place.write("fleet/notes.txt", b"not an image");
    place.write("fleet/empty", b"");
    symlink("a.spt", place.path("fleet/link.spt")).unwrap();
    place
}

fn files(report: &Value) -> Vec<&str> {
    let images = report["images"].as_array().unwrap().iter();
    images.map(|image| image["file"].as_str().unwrap()).collect()
}

#[test]
fn folders_patterns_and_lists_name_images() {
    let place = fleet();
    let audit = |arguments: &[&str], stdin: &[u8]| {
        let all = [&["audit", "--format=json"], arguments].concat();
        let run = place.run_with(&all, stdin);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""), "{arguments:?}");
        json(&run.stdout)
    };
    let all = ["fleet/a.spt", "fleet/b.spt", "fleet/old/c.spt"];
    for (arguments, stdin, skipped) in [
        (&["fleet"][..], "", 2),
        (&["fleet/**/[abc].spt"], "", 0),
        (&["fleet/[ab].*", "fleet/old"], "", 0),
        (&["--files-from=-"], "fleet\n\n", 2),
        (&["fleet/a.spt", "--files-from=-"], "fleet/b.spt\nfleet/old/c.spt", 0),
        (&["-0", "--files-from=-"], "fleet/a.spt\0fleet/b.spt\0fleet/old/c.spt\0", 0),
    ] {
        let report = audit(arguments, stdin.as_bytes());
        assert_eq!(files(&report), all, "{arguments:?}");
        assert_eq!(report["summary"]["skipped"], skipped, "{arguments:?}");
    }
    // A name with the characters of a pattern is a name if there is such a file.
    place.write("b[1].spt", &write_exec());
    assert_eq!(files(&audit(&["b[1].spt"], b"")), ["b[1].spt"]);
}

#[test]
fn one_broken_file_does_not_stop_the_rest() {
    let place = fleet();
    let long = format!("{}\nfleet/a.spt\n", "x".repeat(5000));
    for (arguments, stdin, message) in [
        (&["none", "fleet"][..], "", "none: No such file or directory\n"),
        (&["n*", "fleet"], "", "n*: no file fits this pattern\n"),
        (&["[a", "fleet"], "", "[a: not a pattern: "),
        (&["fleet", "--files-from=none"], "", "none: No such file or directory\n"),
        (&["fleet", "--files-from=-"], &long, "-: a name in it is too long\n"),
    ] {
        let all = [&["audit", "--format=json"], arguments].concat();
        let run = place.run_with(&all, stdin.as_bytes());
        assert_eq!(run.status, 2, "{arguments:?}");
        let expected = format!("solo5-elftool: {message}");
        assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
        let report = json(&run.stdout);
        assert_eq!(files(&report).len(), 3);
        assert_eq!(report["summary"]["unreadable"], 1);
    }
    // A file that is named is audited, whatever it is.
    let run = place.run(&["audit", "fleet/notes.txt"]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.contains("S101"), "{}", run.stdout);
}

#[test]
fn reports_fit_their_schema() {
    let place = fleet();
    let validator = jsonschema::validator_for(&solo5_audit::schema::report()).unwrap();
    for folder in ["fleet", "/usr/bin"] {
        let run = place.run(&["audit", "--format=json", folder]);
        let report = json(&run.stdout);
        let errors: Vec<String> = validator
            .iter_errors(&report)
            .take(3)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

/// The errors that the official schema finds in a log.
fn sarif_errors(log: &Value) -> Vec<String> {
    // Two patterns in it have one bracket too many, which not every regex engine accepts.
    let schema = include_str!("../schemas/sarif-2.1.0.json").replace("{2}]?$", "{2}$");
    let options = jsonschema::options().should_validate_formats(true);
    let validator = options.build(&json(&schema)).unwrap();
    let errors = validator.iter_errors(log);
    errors.map(|error| error.to_string()).collect()
}

#[test]
fn sarif_fits_the_official_schema_and_another_reader() {
    let place = fleet();
    let run = place.run(&["audit", "--format=sarif", "fleet", "none"]);
    assert_eq!(run.status, 2);
    let log = json(&run.stdout);
    let errors = sarif_errors(&log);
    assert!(errors.is_empty(), "{errors:?}");
    // The schema does find errors.
    let mut odd = log.clone();
    odd["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(!sarif_errors(&odd).is_empty());

    let read: serde_sarif::sarif::Sarif = serde_json::from_str(&run.stdout).unwrap();
    let results = read.runs[0].results.as_ref().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].rule_id.as_deref(), Some("S201"));
    let location = &results[0].locations.as_ref().unwrap()[0];
    let physical = location.physical_location.as_ref().unwrap();
    let artifact = physical.artifact_location.as_ref().unwrap();
    assert_eq!(artifact.uri.as_deref(), Some("fleet/b.spt"));
    let rules = read.runs[0].tool.driver.rules.as_ref().unwrap();
    assert!(rules.iter().any(|rule| rule.id == "S201"));
    let invocations = read.runs[0].invocations.as_ref().unwrap();
    assert!(!invocations[0].execution_successful);
}

#[test]
fn lines_of_source_are_in_every_format() {
    let place = Place::new();
    let text = "__attribute__((section(\".data.jit,\\\"awx\\\"#\"))) char jit[64] = { 1 };
        int _start(void) { return jit[3]; }";
    let program = Compiled::linked("cc", &[("jit.c", text, &[])]);
    place.write("jit", &program.bytes());
    let audit = |format: &str| {
        let format = format!("--format={format}");
        let run = place.run(&["audit", "--select=S201", &format, "jit"]);
        assert_eq!((run.status, run.stderr.as_str()), (1, ""));
        run.stdout
    };
    for format in ["human", "github", "junit"] {
        let text = audit(format);
        assert!(text.contains("(jit) at jit.c:1"), "{format}: {text}");
    }
    let report = json(&audit("json"));
    let source = &report["images"][0]["findings"][0]["place"]["source"];
    assert_eq!((&source["file"], &source["line"]), (&"jit.c".into(), &1.into()));
    let validator = jsonschema::validator_for(&solo5_audit::schema::report()).unwrap();
    assert!(validator.is_valid(&report));
    let text = audit("sarif");
    let errors = sarif_errors(&json(&text));
    assert!(errors.is_empty(), "{errors:?}");
    let read: serde_sarif::sarif::Sarif = serde_json::from_str(&text).unwrap();
    let result = &read.runs[0].results.as_ref().unwrap()[0];
    let related = &result.related_locations.as_ref().unwrap()[0];
    let physical = related.physical_location.as_ref().unwrap();
    let artifact = physical.artifact_location.as_ref().unwrap();
    assert_eq!(artifact.uri.as_deref(), Some("jit.c"));
    assert_eq!(physical.region.as_ref().unwrap().start_line, Some(1));
}

/// A terminal sees colours, and a count of images on standard error if results go elsewhere. The
/// terminal is one that `script` (util-linux) makes.
#[test]
fn terminals_see_colours_and_a_count() {
    let place = fleet();
    let program = env!("CARGO_BIN_EXE_solo5-elftool");
    let on_terminal = |command: String| {
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
        script.current_dir(place.path(".")).env("TERM", "xterm");
        script.env_remove("NO_COLOR").env_remove("CLICOLOR").stdin(Stdio::null());
        match script.output() {
            Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
            Err(error) => {
                println!("skip: terminals_see_colours_and_a_count: script: {error}");
                None
            }
        }
    };
    let Some(text) = on_terminal(format!("{program} audit fleet/b.spt")) else {
        return;
    };
    assert!(text.contains("\u{1b}[1m\u{1b}[31merror"), "{text:?}");
    assert!(!text.contains(" images, "), "{text:?}");
    let silent = on_terminal(format!("NO_COLOR=1 {program} audit fleet/b.spt")).unwrap();
    assert!(!silent.contains("\u{1b}["), "{silent:?}");
    // Enough images for the count to be drawn.
    let list: String = (0..3000).map(|_| "fleet/a.spt\n").collect();
    place.write("list", list.as_bytes());
    let command = format!("{program} audit --files-from=list > report");
    let text = on_terminal(command).unwrap();
    let rates: Vec<_> =
        text.split(" images, ").skip(1).filter_map(|rest| rest.split_once(" a second")).collect();
    assert!(!rates.is_empty(), "{text:?}");
    for (rate, _) in rates {
        assert!(rate.chars().all(|c| c.is_ascii_digit() || c == ','), "{rate:?}");
    }
    let report = std::fs::read_to_string(place.path("report")).unwrap();
    assert!(!report.contains('\u{1b}') && report.contains("3000 images"));
}

#[test]
fn junit_is_xml_with_a_test_for_each_rule() {
    let place = fleet();
    let run = place.run(&["audit", "--format=junit", "--select=S2", "fleet", "none"]);
    let document = roxmltree::Document::parse(&run.stdout).unwrap();
    let suites = document.root_element().children();
    let suites: Vec<_> = suites.filter(roxmltree::Node::is_element).collect();
    let attribute = |index: usize, name| suites[index].attribute(name).unwrap();
    let names: Vec<_> = (0..suites.len()).map(|index| attribute(index, "name")).collect();
    assert_eq!(names, ["fleet/a.spt", "fleet/b.spt", "fleet/old/c.spt", "none"]);
    let failures: Vec<_> = (0..3).map(|index| attribute(index, "failures")).collect();
    assert_eq!(failures, ["0", "1", "0"]);
    assert_eq!((attribute(0, "tests"), attribute(3, "errors")), ("9", "1"));
}

#[test]
fn github_shows_commands() {
    let place = fleet();
    let run = place.run(&["audit", "--format=github", "fleet", "none"]);
    let lines: Vec<&str> = run.stdout.lines().collect();
    let [found, unreadable] = lines[..] else { panic!("{lines:?}") };
    let start = "::error file=fleet/b.spt,title=S201::segment 2 is writable and executable%0A";
    assert!(found.starts_with(start), "{found}");
    assert!(unreadable.starts_with("::error file=none::none: No such file"), "{unreadable}");
}

#[test]
fn many_images_keep_their_order() {
    let place = Place::new();
    let (good, bad) = (good(), write_exec());
    let mut names = String::new();
    for index in 0..600 {
        let name = format!("{:03}.spt", (index * 7) % 600);
        place.write(&name, if index % 5 == 0 { &bad } else { &good });
        names.push_str(&name);
        names.push('\n');
    }
    for jobs in ["1", "3", "16"] {
        let arguments = ["audit", "--format=json", "--jobs", jobs, "--files-from=-"];
        let run = place.run_with(&arguments, names.as_bytes());
        let report = json(&run.stdout);
        assert_eq!(files(&report), names.lines().collect::<Vec<_>>());
        assert_eq!(report["summary"]["errors"], 120);
    }
}

/// A valid image followed by a hole, `size` bytes in all.
fn sparse(place: &Place, name: &str, size: u64) -> PathBuf {
    let path = place.write(name, &good());
    let mut file = File::options().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(size - 1)).unwrap();
    file.write_all(&[0]).unwrap();
    path
}

#[test]
fn a_large_file_costs_no_more_than_a_small_one() {
    let place = Place::new();
    sparse(&place, "small.spt", 64 << 10);
    sparse(&place, "large.spt", 4 << 30);
    let time = |name: &str| {
        let runs = (0..9).map(|_| {
            let start = Instant::now();
            let run = place.run(&["audit", "--all", name]);
            assert!(run.status < 2, "{}", run.stderr);
            start.elapsed()
        });
        runs.min().unwrap()
    };
    let (small, large) = (time("small.spt"), time("large.spt"));
    // Reading 4 GiB takes a hundred times as long as starting the program.
    assert!(large < small * 10, "{small:?} {large:?}");
}

/// Every program and library this host has.
#[test]
fn every_elf_file_of_this_host_is_audited() {
    let place = Place::new();
    let run = place.run(&["audit", "--all", "--format=json", "/usr/bin", "/usr/lib"]);
    // The status is 2 if a file may not be read. A panic aborts and gives no status.
    assert!(run.status == 1 || run.status == 2, "{}", run.stderr);
    let report = json(&run.stdout);
    let elf = files(&report).len();
    assert!(elf > 100, "only {elf} ELF files");
    assert_eq!(report["summary"]["images"], elf);
}

/// Images of every kind, sound and damaged, from 64 KiB to 64 MiB.
fn generate(place: &Place, count: u64) -> Vec<u8> {
    let sound: Vec<Vec<u8>> = Target::ALL
        .into_iter()
        .flat_map(|target| Arch::ALL.map(|arch| Sample::new(target, arch, &DEVICES).bytes()))
        .collect();
    // xorshift64: the same images in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut names = Vec::new();
    for index in 0..count {
        let mut image = sound[(index % sound.len() as u64) as usize].clone();
        for _ in 0..random() % 4 {
            // Damage to the first program headers has the most effect.
            let reach = if random() % 2 == 0 { 0x240 } else { image.len() as u64 };
            image[(random() % reach) as usize] = random() as u8;
        }
        let name = format!("{index}.image");
        let path = place.write(&name, &image);
        let size = (64 << 10) << (random() % 11);
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(size.max(image.len() as u64)).unwrap();
        names.extend_from_slice(name.as_bytes());
        names.push(b'\n');
    }
    names
}

/// The peak memory of a run in KiB, how long it took, and its report.
fn measured(place: &Place, names: &str, jobs: &str) -> (u64, Duration, Value) {
    let start = Instant::now();
    let list = format!("--files-from={names}");
    let arguments = ["audit", "--exit-zero", "--format=json", "--jobs", jobs, &list];
    let report = place.path("report");
    let mut child = Command::new(env!("CARGO_BIN_EXE_solo5-elftool"))
        .args(arguments)
        .current_dir(place.path("."))
        .stdout(File::create(&report).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let exit = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        peak = peak.max(number.unwrap_or(0));
        if let Some(exit) = child.try_wait().unwrap() {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(exit.success(), "{exit}");
    let report = std::fs::read_to_string(report).unwrap();
    (peak, start.elapsed(), json(&report))
}

#[test]
fn ten_thousand_images_take_little_time_and_no_more_memory() {
    const COUNT: u64 = 10_000;
    let place = Place::new();
    let names = generate(&place, COUNT);
    place.write("all", &names);
    let lines = names.split_inclusive(|byte| *byte == b'\n');
    let few: Vec<u8> = lines.take(500).flatten().copied().collect();
    place.write("few", &few);
    place.write("often", &few.repeat(8));
    // The same images, so that none needs more memory than those before it.
    let (once, ..) = measured(&place, "few", "1");
    let (often, ..) = measured(&place, "often", "1");
    assert!(often < once + 1024, "{once} KiB, eight times as many images {often} KiB");
    let (much, time, report) = measured(&place, "all", "1");
    let summary = &report["summary"];
    assert_eq!((&summary["images"], &summary["unreadable"]), (&COUNT.into(), &0.into()));
    let clean = |image: &&Value| image["findings"].as_array().unwrap().is_empty();
    let clean = report["images"].as_array().unwrap().iter().filter(clean).count();
    println!("{clean} clean; {time:?}; {much} KiB of memory");
    // The test means little if almost all images are clean, or almost none.
    assert!(clean > 1000 && clean < 9000, "{clean} clean images");
    assert!(much < 64 * 1024, "{much} KiB");
    // A release does 2,000 in a second (`cargo xtask bench`); this is without optimisation, and
    // the machine may be busy.
    let rate = COUNT as f64 / time.as_secs_f64();
    assert!(rate > 200.0, "{rate} images a second");
    // The number of threads does not change the report.
    let (_, _, again) = measured(&place, "all", "3");
    assert!(again == report);
}

#[test]
fn a_lock_says_what_changed() {
    let place = fleet();
    let run = place.run(&["lock", "fleet/a.spt", "fleet/b.spt", "-o", "fleet.lock"]);
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let same = place.run(&["diff", "fleet.lock", "fleet/a.spt", "fleet/b.spt"]);
    assert_eq!(
        (same.status, same.stdout.as_str()),
        (0, "fleet/a.spt  unchanged\nfleet/b.spt  unchanged\n",)
    );
    // Another network device, and no W+X any more.
    place.write("fleet/b.spt", &{
        let devices = [DEVICES[0], ("uplink", DEVICES[1].1)];
        Sample::new(Target::Spt, Arch::X86_64, &devices).bytes()
    });
    let run = place.run(&["diff", "fleet.lock", "fleet/b.spt"]);
    assert_eq!(run.status, 1);
    for line in [
        "fleet/b.spt\n    digest: sha256:",
        "  - device: net service0\n",
        "  + device: net uplink\n",
        "  - finding: S201 segment 2 is writable and executable\n",
    ] {
        assert!(run.stdout.contains(line), "{line:?} in\n{}", run.stdout);
    }
    let run = place.run(&["diff", "--format=json", "fleet/a.spt", "fleet/b.spt"]);
    let value = json(&run.stdout);
    let changes = value["images"][0]["changes"].as_array().unwrap();
    let whats: Vec<_> = changes.iter().map(|change| change["what"].as_str().unwrap()).collect();
    assert_eq!(whats, ["digest", "device", "device", "devices"], "{}", run.stdout);
    // Between two locks, images are added and removed.
    let run = place.run(&["lock", "fleet/a.spt", "fleet/old", "-o", "new.lock"]);
    assert_eq!(run.status, 0);
    let run = place.run(&["diff", "fleet.lock", "new.lock"]);
    assert!(run.stdout.contains("fleet/old/c.spt\n  + image: sha256:"), "{}", run.stdout);
    assert!(run.stdout.contains("fleet/b.spt\n  - image: sha256:"), "{}", run.stdout);
}

/// `lock -o *.spt` makes the first image the output.
#[test]
fn a_list_replaces_no_image_and_no_input() {
    let place = fleet();
    let image = Sample::new(Target::Spt, Arch::X86_64, &[]).bytes();
    place.write("h.spt", &image);
    let policy = "type: solo5.policy\nversion: 1\notherwise: allow\n";
    place.write("p.yaml", policy.as_bytes());
    let (list, lock) = ("--lock=h.spt", "--lock=p.yaml");
    for words in [
        &["lock", "-o", "h.spt", "fleet/a.spt"][..],
        &["lock", "-o", "h.spt", "h.spt"],
        &["check", "--policy=p.yaml", list, "h.spt"],
        &["check", "--policy=p.yaml", lock, "h.spt"],
    ] {
        let run = place.run(words);
        assert_eq!(run.status, 2, "{words:?}: {}{}", run.stdout, run.stderr);
        assert!(run.stderr.contains("name another one"), "{words:?}: {}", run.stderr);
    }
    assert!(std::fs::read(place.path("h.spt")).unwrap() == image);
    assert_eq!(std::fs::read(place.path("p.yaml")).unwrap(), policy.as_bytes());
    place.write("m.json", br#"{ "type": "solo5.manifest", "version": 1, "devices": [] }"#);
    let run = place.run(&["gen-manifest", "m.json", "m.json"]);
    assert!(run.status != 0 && run.stderr.contains("the manifest itself"), "{}", run.stderr);
}

/// Other files in a folder, such as the lock itself, are not part of a lock.
#[test]
fn a_folder_is_locked_without_what_is_no_image() {
    let place = fleet();
    for _ in 0..2 {
        let run = place.run(&["lock", "fleet", "-o", "fleet/x.lock"]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        let lock = std::fs::read_to_string(place.path("fleet/x.lock")).unwrap();
        assert_eq!(files(&json(&lock)), ["fleet/a.spt", "fleet/b.spt", "fleet/old/c.spt"]);
    }
}

/// The first image is compared with each of the others, or with the entry of a lock for its path.
#[test]
fn an_image_is_compared_with_each_of_the_others() {
    let place = fleet();
    let run = place.run(&["diff", "fleet/a.spt", "fleet/old/c.spt", "fleet/b.spt"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let start = "fleet/old/c.spt  unchanged\nfleet/b.spt\n    digest: sha256:";
    assert!(run.stdout.starts_with(start), "{}", run.stdout);
    let run = place.run(&["lock", "fleet", "-o", "all.lock"]);
    assert_eq!(run.status, 0);
    let run = place.run(&["diff", "fleet/a.spt", "all.lock"]);
    assert_eq!((run.status, run.stdout.as_str()), (0, "fleet/a.spt  unchanged\n"));
    place.image("new.spt", Target::Spt);
    let run = place.run(&["diff", "new.spt", "all.lock"]);
    assert_eq!(run.status, 1);
    assert!(run.stdout.starts_with("new.spt\n  - image: sha256:"), "{}", run.stdout);
    // A lock of one image is compared whatever the path, but only if one image is given.
    let run = place.run(&["lock", "fleet/a.spt", "-o", "one.lock"]);
    assert_eq!(run.status, 0);
    let run = place.run(&["diff", "one.lock", "fleet/old/c.spt"]);
    assert_eq!(run.stdout, "fleet/old/c.spt  unchanged\n");
    let run = place.run(&["diff", "one.lock", "fleet/old/c.spt", "fleet/a.spt"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert_eq!(lines[0], "fleet/old/c.spt");
    assert!(lines[1].starts_with("  + image: "), "{}", run.stdout);
    assert_eq!(lines[2..], ["fleet/a.spt  unchanged"]);
}

/// Texts in a lock stay texts, even if they look like numbers, whose difference would overflow.
#[test]
fn texts_that_look_like_numbers_are_not_subtracted() {
    let place = fleet();
    let run = place.run(&["lock", "fleet/a.spt"]);
    let mut lock = json(&run.stdout);
    lock["images"][0]["digest"] = i128::MIN.to_string().into();
    place.write("low.lock", lock.to_string().as_bytes());
    lock["images"][0]["digest"] = i128::MAX.to_string().into();
    place.write("high.lock", lock.to_string().as_bytes());
    let run = place.run(&["diff", "low.lock", "high.lock"]);
    assert_eq!((run.status, run.stderr.as_str()), (1, ""));
    let changed = format!("    digest: {} → {}\n", i128::MIN, i128::MAX);
    assert_eq!(run.stdout, format!("fleet/a.spt\n{changed}"));
}

#[test]
fn locks_fit_their_schema() {
    let place = fleet();
    let validator = jsonschema::validator_for(&solo5_audit::schema::lock()).unwrap();
    for folder in ["fleet/a.spt", "fleet", "/bin/sh"] {
        let run = place.run(&["lock", folder]);
        assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{folder}");
        let lock = json(&run.stdout);
        let errors: Vec<String> =
            validator.iter_errors(&lock).take(3).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{folder}: {errors:?}");
    }
    // The schema refuses a lock that lacks a key or has an unknown one, and so does `diff`.
    let run = place.run(&["lock", "fleet/a.spt"]);
    let lock = json(&run.stdout);
    let keys: Vec<String> = lock["images"][0].as_object().unwrap().keys().cloned().collect();
    assert!(keys.len() >= 12, "{keys:?}");
    for key in &keys {
        let mut odd = lock.clone();
        let image = odd["images"][0].as_object_mut().unwrap();
        let value = image.remove(key).unwrap();
        let without = odd.clone();
        odd["images"][0][format!("{key}s")] = value;
        for odd in [&without, &odd] {
            assert!(!validator.is_valid(odd), "{key}");
        }
        place.write("odd.lock", odd.to_string().as_bytes());
        assert_eq!(place.run(&["diff", "odd.lock", "fleet/a.spt"]).status, 2, "{key}");
    }
}

#[test]
fn what_is_no_lock_is_refused() {
    let place = fleet();
    for (name, text) in [
        ("odd", "{}"),
        ("future", r#"{"type":"solo5.lock","version":2,"images":[]}"#),
        ("other", r#"{"type":"solo5.policy","version":1,"images":[]}"#),
    ] {
        place.write(name, text.as_bytes());
        let run = place.run(&["diff", name, "fleet/a.spt"]);
        assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{name}");
        assert!(run.stderr.contains("lock"), "{}", run.stderr);
    }
    let long = File::create(place.path("long")).unwrap();
    long.set_len((64 << 20) + 1).unwrap();
    let run = place.run(&["diff", "long", "fleet/a.spt"]);
    assert_eq!(
        (run.status, run.stderr.as_str()),
        (2, "solo5-elftool: long: all locks together are longer than 16 MiB\n")
    );
    let run = place.run(&["lock", "fleet/a.spt", "none", "-o", "x.lock"]);
    assert_eq!(run.status, 2);
    assert!(!place.path("x.lock").exists());
}
