//! The program as users see it: arguments, files, exit status, limits.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use object::{Object, ObjectSection, ObjectSymbol};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_solo5-mft");

const VERSION_2: &str = r#"type: solo5.manifest
version: 2
synopsis: "--ipv4=CIDR"
memory: { minimum: 32MiB }
devices:
  - { name: service, type: NET_BASIC, mtu: { minimum: 1280 } }
  # kept by fmt
  - { name: storage, type: BLOCK_BASIC, access: read-only }
"#;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        folder.put("m.yaml", VERSION_2);
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    fn get(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, b"")
    }

    fn run_with(&self, arguments: &[&str], input: &[u8]) -> Output {
        feed(Command::new(PROGRAM).args(arguments).current_dir(self.0.path()), input)
    }

    /// Runs the program after the shell commands `setup`.
    fn run_under(&self, setup: &str, arguments: &[&str]) -> Output {
        let script = format!("{setup}; exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(PROGRAM).args(arguments).current_dir(self.0.path());
        feed(&mut command, b"")
    }
}

fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends early does not read all of its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Asserts the exit status; returns what the program wrote to standard error.
#[track_caller]
fn ends(output: &Output, status: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    text
}

fn tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").output().is_ok();
    if !found {
        println!("skip: {name}: not installed");
    }
    found
}

#[test]
fn compile_says_what_upstream_ignores_and_check_finds_errors() {
    let folder = Folder::new();
    let said = ends(&folder.run(&["compile", "m.yaml", "-o", "m.o"]), 0);
    assert!(said.contains("note[M120]") && said.contains("m.yaml:2:10"), "{said}");
    let features = "type: solo5.manifest\nversion: 2\nstack: 256KiB\nseed: true\ndevices:\n  \
                    - { name: a, type: BLOCK_BASIC, flush: true }\n";
    folder.put("features.yaml", features);
    let said = ends(&folder.run(&["compile", "features.yaml", "-o", "f.o"]), 0);
    for note in
        ["no guard below it", "solo5_block_flush returns EUNSPEC", "solo5_seed returns EUNSPEC"]
    {
        assert!(said.contains(note), "{said}");
    }
    assert!(!said.contains("requires every device"), "none is optional: {said}");
    ends(&folder.run(&["check", "m.yaml"]), 0);
    folder.put("bad.yaml", "type: solo5.manifest\nversion: 1\ndevices: [ { name: a-b } ]\n");
    let said = ends(&folder.run(&["compile", "bad.yaml", "-o", "bad.o"]), 1);
    assert!(said.contains("M106") && said.contains("Y031"), "{said}");
    assert!(!folder.path("bad.o").exists());
    ends(&folder.run(&["check", "m.yaml", "bad.yaml"]), 1);
    let said = ends(&folder.run(&["check", "m.yaml", "absent.yaml", "bad.yaml"]), 2);
    assert!(said.contains("M150") && said.contains("M106"), "goes on after a failure: {said}");
    for usage in
        [&["compile", "m.yaml"][..], &["nonsense"], &[], &["compile", "m.yaml", "-o", "m.x"]]
    {
        ends(&folder.run(usage), 2);
    }
}

#[test]
fn object_c_and_raw_agree_and_show_is_the_inverse() {
    let folder = Folder::new();
    for name in ["m.o", "m.raw", "m.c"] {
        ends(&folder.run(&["compile", "m.yaml", "-o", name]), 0);
    }
    let raw = folder.get("m.raw");
    let notes = |name: &str| -> Vec<u8> {
        let bytes = folder.get(name);
        let object = object::File::parse(bytes.as_slice()).unwrap();
        let section = |name: &str| object.section_by_name(name).unwrap().data().unwrap().to_vec();
        [section(".note.solo5.manifest"), section(".note.solo5.manifest.mft2")].concat()
    };
    assert_eq!(notes("m.o"), raw);
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bindings/include");
    for compiler in ["gcc", "clang"] {
        if !tool(compiler) {
            continue;
        }
        for standard in ["-std=c11", "-std=gnu17"] {
            let mut command = Command::new(compiler);
            command.args([
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                standard,
                "-c",
                "m.c",
                "-o",
            ]);
            command.arg("c.o").arg("-I").arg(&include).current_dir(folder.0.path());
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(notes("c.o"), raw, "{compiler} {standard}");
            let bytes = folder.get("c.o");
            let object = object::File::parse(bytes.as_slice()).unwrap();
            for (symbol, size) in
                [("__solo5_mft1_note", 344), ("__solo5_mft2_note", raw.len() - 344)]
            {
                let found = object.symbol_by_name(symbol).unwrap();
                assert!(found.is_global() && found.size() == size as u64);
            }
            let shown = folder.run(&["show", "c.o"]);
            ends(&shown, 0);
        }
    }
    let shown = folder.run(&["show", "m.o"]);
    ends(&shown, 0);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(text, VERSION_2.replace("  # kept by fmt\n", ""));
    for (arguments, input) in [(["show", "m.raw"], &[][..]), (["show", "-"], &raw[..])] {
        assert_eq!(folder.run_with(&arguments, input).stdout, text.as_bytes());
    }
    folder.put("again.yaml", &text);
    ends(&folder.run(&["compile", "again.yaml", "-o", "again.raw"]), 0);
    assert_eq!(folder.get("again.raw"), raw);
}

#[test]
fn readelf_agrees_for_every_machine() {
    if !tool("readelf") {
        return;
    }
    let folder = Folder::new();
    for (arch, machine, flags) in [
        ("x86_64", "X86-64", "0x0"),
        ("aarch64", "AArch64", "0x0"),
        ("ppc64le", "PowerPC64", "0x2, abiv2"),
    ] {
        let object = format!("{arch}.o");
        ends(&folder.run(&["compile", "m.yaml", "--arch", arch, "-o", &object]), 0);
        let output = Command::new("readelf").args(["-hSsnW"]).arg(folder.path(&object)).output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let has = |parts: &[&str]| {
            let found = text.lines().any(|line| parts.iter().all(|part| line.contains(part)));
            assert!(found, "{parts:?} in\n{text}");
        };
        has(&["Type:", "REL"]);
        has(&["Machine:", machine]);
        has(&["Flags:", flags]);
        has(&[".note.solo5.manifest ", "NOTE", " 000158 00   A  0   0  4"]);
        has(&[".note.solo5.manifest.mft2 ", "NOTE", "   A  0   0  4"]);
        has(&[".note.GNU-stack", "PROGBITS", " 000000 00      0   0  1"]);
        has(&["344 OBJECT  GLOBAL DEFAULT", "__solo5_mft1_note"]);
        has(&["OBJECT  GLOBAL DEFAULT", "__solo5_mft2_note"]);
        has(&["Solo5", "0x00000144", "0x3154464d"]);
        has(&["Solo5", "0x3254464d"]);
    }
}

#[test]
fn a_linked_image_is_shown() {
    if !tool("ld") {
        return;
    }
    let folder = Folder::new();
    // Upstream's linker scripts place the notes like this: one pattern, two input sections.
    folder.put(
        "script.lds",
        "PHDRS { text PT_LOAD; mft PT_NOTE; }\nSECTIONS {\n  . = 0x100000;\n  \
         .note.solo5.manifest : { *(.note.solo5.manifest*) } :text :mft\n}\n",
    );
    ends(&folder.run(&["compile", "m.yaml", "--arch", "x86_64", "-o", "m.o"]), 0);
    let mut command = Command::new("ld");
    command.args(["-m", "elf_x86_64", "--gc-sections", "-e", "0x100000", "-T", "script.lds"]);
    let output =
        command.args(["m.o", "-o", "image"]).current_dir(folder.0.path()).output().unwrap();
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        assert!(reason.contains("emulation"), "{reason}");
        println!("skip: ld: does not link for x86_64");
        return;
    }
    assert_eq!(folder.run(&["show", "image"]).stdout, folder.run(&["show", "m.o"]).stdout);
    let said = ends(&folder.run(&["show", "m.yaml"]), 1);
    assert!(said.contains("M13"), "{said}");
    let said = ends(&folder.run(&["show", "absent"]), 2);
    assert!(said.contains("M150"), "{said}");
}

#[test]
fn minus_is_standard_input_or_output() {
    let folder = Folder::new();
    let arguments = ["compile", "-", "-o", "-", "--emit", "c"];
    let output = folder.run_with(&arguments, VERSION_2.as_bytes());
    let said = ends(&output, 0);
    assert!(said.contains(" -:2:10"), "{said}");
    assert!(output.stdout.starts_with(b"/* Application manifest"));
    let output = folder.run_with(&["fmt", "-"], b"version:    1\n");
    ends(&output, 0);
    assert_eq!(output.stdout, b"version: 1\n");
    assert_eq!(folder.names(), ["m.yaml"]);
}

#[test]
fn binary_output_is_not_written_to_a_terminal() {
    if !tool("script") {
        return;
    }
    let folder = Folder::new();
    let inner = format!("{PROGRAM} compile m.yaml -o - --emit raw");
    let mut command = Command::new("script");
    command.args(["-qec", &inner, "/dev/null"]).current_dir(folder.0.path());
    let output = feed(&mut command, b"");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("M152") && !text.contains("MFT1"), "{text}");
    assert_eq!(output.status.code(), Some(2), "{text}");
}

#[test]
fn unchanged_output_keeps_its_time() {
    let folder = Folder::new();
    let stamp = |name: &str| {
        let found = fs::metadata(folder.path(name)).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec())
    };
    let compile = ["compile", "m.yaml", "-o", "m.o", "--depfile", "m.d"];
    ends(&folder.run(&compile), 0);
    let before = (stamp("m.o"), stamp("m.d"));
    ends(&folder.run(&compile), 0);
    assert_eq!((stamp("m.o"), stamp("m.d")), before);
    folder.put("m.yaml", VERSION_2.replace("service", "public"));
    ends(&folder.run(&compile), 0);
    assert_ne!(stamp("m.o"), before.0);
    assert_eq!(stamp("m.d"), before.1);
}

#[test]
fn make_reads_the_dependency_file() {
    let folder = Folder::new();
    folder.put("a b$c.yaml", VERSION_2);
    ends(&folder.run(&["compile", "a b$c.yaml", "-o", "m.o", "--depfile", "m.d"]), 0);
    let text = String::from_utf8(folder.get("m.d")).unwrap();
    assert_eq!(text, "m.o: a\\ b$$c.yaml\na\\ b$$c.yaml:\n");
    if tool("make") {
        folder.put("Makefile", "m.o:\n\ttouch built\n-include m.d\n");
        let make = || Command::new("make").current_dir(folder.0.path()).output().unwrap();
        make();
        assert!(!folder.path("built").exists());
        fs::remove_file(folder.path("m.o")).unwrap();
        let output = make();
        assert!(folder.path("built").exists(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing() {
    let folder = Folder::new();
    let said = ends(&folder.run(&["compile", "m.yaml", "--emit=raw", "-o", "/dev/full"]), 2);
    assert!(said.contains("M151"), "{said}");
    let to_full = "exec >/dev/full";
    for arguments in [
        &["compile", "m.yaml", "--emit=raw", "-o", "-"][..],
        &["schema"],
        &["man"],
        &["check", "m.yaml", "--format=json"],
        &["explain", "M101"],
        &["--help"],
        &["compile", "--help"],
        &["--version"],
    ] {
        let said = ends(&folder.run_under(to_full, arguments), 2);
        assert!(said.contains("No space left on device"), "{arguments:?}: {said}");
        for closed in ["exec >&-", "exec 1</dev/null"] {
            let said = ends(&folder.run_under(closed, arguments), 2);
            assert!(said.contains("Bad file descriptor"), "{arguments:?}: {said}");
            assert!(!said.contains("folder"), "{arguments:?}: {said}");
        }
        ends(&folder.run_under("exec 1<>/dev/null", arguments), 0);
    }
    let said = ends(&folder.run_under("exec <&-", &["compile", "-", "--emit=raw", "-o", "x"]), 2);
    assert!(said.contains("Bad file descriptor") && said.contains("open for reading"), "{said}");
    // A file size limit of 0 acts like a full disk.
    let full = "trap '' XFSZ; ulimit -f 0";
    let said = ends(&folder.run_under(full, &["compile", "m.yaml", "-o", "m.o"]), 2);
    assert!(said.contains("M151"), "{said}");
    assert_eq!(folder.names(), ["m.yaml"]);
    folder.put("m.o", "before");
    ends(&folder.run_under(full, &["compile", "m.yaml", "-o", "m.o"]), 2);
    assert_eq!(folder.get("m.o"), b"before");
    assert_eq!(folder.names(), ["m.o", "m.yaml"]);
}

#[test]
fn fmt_rewrites_only_files_in_another_layout() {
    let folder = Folder::new();
    ends(&folder.run(&["fmt", "--check", "m.yaml"]), 0);
    let rough = "# head\u{202e}\n\n\ntype:   'solo5.manifest'\nversion: 1 # one\ndevices:\n\
                 -   {name: a,type: NET_BASIC}\n\n\n-\n      # inner\n      name:  b\n      type: NET_BASIC\n# tail\n";
    let smooth = "# head\\u202e\n\ntype: \"solo5.manifest\"\nversion: 1 # one\ndevices:\n  \
                  - { name: a, type: NET_BASIC }\n\n  # inner\n  - name: b\n    type: NET_BASIC\n# tail\n";
    folder.put("rough.yaml", rough);
    let said = ends(&folder.run(&["fmt", "--check", "rough.yaml", "m.yaml"]), 1);
    assert!(said.contains("M140") && said.contains("rough.yaml:1:7"), "{said}");
    assert_eq!(folder.get("rough.yaml"), rough.as_bytes());
    ends(&folder.run(&["fmt", "rough.yaml", "m.yaml"]), 0);
    assert_eq!(String::from_utf8(folder.get("rough.yaml")).unwrap(), smooth);
    ends(&folder.run(&["fmt", "--check", "rough.yaml"]), 0);
    // JSON stays JSON, for tools that read only JSON.
    folder.put(
        "m.json",
        r#"{"type":"solo5.manifest","version":1,"devices":[{"name":"a","type":"NET_BASIC"}]}"#,
    );
    ends(&folder.run(&["fmt", "m.json"]), 0);
    let json = "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n    \
                { \"name\": \"a\", \"type\": \"NET_BASIC\" }\n  ]\n}\n";
    assert_eq!(String::from_utf8(folder.get("m.json")).unwrap(), json);
    folder.put("broken.yaml", "a: [\n");
    ends(&folder.run(&["fmt", "broken.yaml"]), 1);
    assert_eq!(folder.get("broken.yaml"), b"a: [\n");
}

#[test]
fn json_diagnostics_are_json() {
    let folder = Folder::new();
    let output = folder.run(&["check", "--format=json", "m.yaml"]);
    ends(&output, 0);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["diagnostics"][0]["code"], "M120");
    let output = folder.run_with(&["check", "--format=json", "-"], b"type: solo5.manifest\n");
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(value["diagnostics"].as_array().unwrap().len(), 2);
    let output = folder.run_with(
        &["check", "--format=json", "-"],
        b"type: solo5.manifest\nversion: 1\ndevices: []\n",
    );
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["diagnostics"].as_array().unwrap().len(), 0);
}

#[test]
fn explain_schema_completions_and_man() {
    let folder = Folder::new();
    let text = |arguments: &[&str]| {
        let output = folder.run(arguments);
        ends(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text(&["explain", "m106"]).starts_with("# M106: "));
    let list = text(&["explain"]);
    for code in solo5_source::codes::ALL.iter().chain(solo5_manifest::codes::ALL) {
        assert!(list.contains(&format!("{code}: ")), "{code}");
    }
    ends(&folder.run(&["explain", "X999"]), 1);
    for version in ["1", "2"] {
        let schema: serde_json::Value = serde_json::from_str(&text(&["schema", version])).unwrap();
        assert_eq!(schema["properties"]["version"]["const"].to_string(), version);
    }
    assert!(text(&["completions", "bash"]).contains("solo5-mft"));
    let page = text(&["man"]);
    assert!(page.contains(".TH solo5-mft"));
    // The page covers all verbs, because no other page is installed.
    for told in [".SS compile\n", "\\-\\-depfile", ".SS fmt\n", "\\-\\-check"] {
        assert!(page.contains(told), "{told} in:\n{page}");
    }
    assert!(text(&["--version"]).contains(solo5_report::VERSION));
}

#[test]
fn hostile_sources_take_little_time_and_memory() {
    const MIB: usize = 1 << 20;
    let fill = |unit: &str| unit.repeat(MIB / unit.len());
    let bomb = (1..9000).fold("a0: &a0 [x]\n".to_owned(), |all, number| {
        let last = number - 1;
        all + &format!("a{number}: &a{number} [*a{last},*a{last},*a{last}]\n")
    });
    let keys: String = (0..90_000).map(|number| format!("k{number}: v\n")).collect();
    let device = "{name: \"é-\", type: X, y: 1},";
    let cases = [
        fill("["),
        fill("{"),
        fill("a: "),
        fill("- "),
        fill("? "),
        fill("\""),
        fill("'"),
        fill("!"),
        fill("&"),
        fill("*"),
        fill("x"),
        fill("\n"),
        fill("#\n"),
        fill("\t"),
        fill("k: v\n"),
        fill("{a: "),
        fill("[a, "),
        fill("a:\n "),
        fill("-\n"),
        fill("---\n"),
        fill("%\n"),
        fill("|\n"),
        fill("\\"),
        fill("x: |\n y\n"),
        fill("é"),
        bomb,
        keys,
        format!("[{}]", "a,".repeat(MIB / 2 - 2)),
        format!("{{{}}}", "a,".repeat(49_000)),
        format!("a: \"{}\"", "\\n".repeat(MIB / 2 - 4)),
        format!("a: \"{}\"", "\\U0010FFFF".repeat(MIB / 10 - 4)),
        format!("devices: [{}]", device.repeat(8_000)),
        format!("devices: [{}]", device.repeat(MIB / device.len() - 2)),
        format!("a: |\n{}", " x\n".repeat(MIB / 3 - 4)),
        format!("{}: x", "a".repeat(MIB - 3)),
        format!("type: {}", "é".repeat(MIB / 2 - 6)),
        "\0".repeat(MIB),
        "\u{85}".repeat(MIB / 2),
        "x".repeat(MIB + 1),
    ];
    let folder = Folder::new();
    for case in cases {
        let start: String = case.chars().take(40).collect();
        folder.put("hostile", &case);
        for verb in [&["check", "hostile"][..], &["fmt", "--check", "hostile"]] {
            let output = folder.run_under("ulimit -v 65536; ulimit -t 2", verb);
            let status = output.status;
            // Some are valid YAML, which `fmt` accepts.
            assert!(
                status.code() == Some(1) || (verb[0] == "fmt" && status.code() == Some(0)),
                "{verb:?} {start:?}: {status} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.stderr.len() < 200_000, "{verb:?} {start:?}: {}", output.stderr.len());
        }
    }
    // Endless input.
    let output = folder.run_under("ulimit -v 65536; ulimit -t 2", &["check", "/dev/zero"]);
    assert!(ends(&output, 1).contains("Y004"));
}

#[test]
fn compile_says_that_it_leaves_out_the_package() {
    let folder = Folder::new();
    folder.put("p.yaml", format!("{VERSION_2}package: {{ name: web }}\n"));
    let said = ends(&folder.run(&["compile", "p.yaml", "-o", "p.o"]), 0);
    assert!(said.contains("note[M121]") && said.contains("-z solo5-manifest=FILE"), "{said}");
    let said = ends(&folder.run(&["compile", "m.yaml", "-o", "m.o"]), 0);
    assert!(!said.contains("M121"), "{said}");
}

#[test]
fn the_manifest_is_never_the_output() {
    let folder = Folder::new();
    let manifest = r#"{ "type": "solo5.manifest", "version": 1, "devices": [] }"#;
    folder.put("m.json", manifest);
    let output = folder.run(&["compile", "--emit=c", "m.json", "-o", "./m.json"]);
    assert!(ends(&output, 2).contains("the manifest itself"));
    let output = folder.run(&["compile", "m.json", "-o", "m.c", "--depfile=m.json"]);
    assert!(ends(&output, 2).contains("the manifest itself"));
    assert_eq!(folder.get("m.json"), manifest.as_bytes());
}

#[test]
fn named_pipes_are_refused() {
    let folder = Folder::new();
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap();
    assert!(made.success());
    let said = ends(&folder.run(&["compile", "m.yaml", "-o", "pipe", "--emit=raw"]), 2);
    assert!(said.contains("cannot write pipe: it is not a regular file"), "{said}");
    let said = ends(&folder.run(&["fmt", "pipe"]), 2);
    assert!(said.contains("cannot read pipe: it is not a regular file"), "{said}");
}

/// A pipe is a source like any other, unless nobody writes to it: then the program does not wait.
#[test]
fn sources_may_be_pipes_but_none_that_nobody_writes_to() {
    let folder = Folder::new();
    let made = Command::new("mkfifo").arg(folder.path("pipe")).status().unwrap();
    assert!(made.success());
    for arguments in [&["check", "pipe"][..], &["show", "pipe"], &["compile", "pipe", "-om.o"]] {
        let said = ends(&folder.run(arguments), 2);
        let expected = "cannot read pipe: it is a named pipe that nobody writes to";
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let source = std::fs::read(folder.path("m.yaml")).unwrap();
    for input in ["-", "/dev/stdin", "/dev/fd/0"] {
        let output = folder.run_with(&["compile", input, "-om.c"], &source);
        ends(&output, 0);
    }
    let mut shell = Command::new("bash");
    shell.args(["-c", "\"$0\" check <(cat m.yaml)", PROGRAM]).current_dir(folder.path("."));
    ends(&shell.output().unwrap(), 0);
}

#[test]
fn sizes_may_be_in_double_quotes_as_json_needs() {
    let folder = Folder::new();
    let json = r#"{ "type": "solo5.manifest", "version": 2, "memory": { "minimum": "32MiB" }, "devices": [] }"#;
    folder.put("m.json", json);
    folder.put("bare.yaml", json.replace("\"32MiB\"", "32MiB"));
    ends(&folder.run(&["compile", "m.json", "-o", "m.raw"]), 0);
    ends(&folder.run(&["compile", "bare.yaml", "-o", "bare.raw"]), 0);
    assert_eq!(folder.get("m.raw"), folder.get("bare.raw"));
    ends(&folder.run(&["fmt", "m.json"]), 0);
    ends(&folder.run(&["fmt", "--check", "m.json"]), 0);
    ends(&folder.run(&["check", "m.json"]), 0);
}

#[test]
fn messages_about_the_command_line_are_escaped() {
    let folder = Folder::new();
    let said = ends(&folder.run(&["check", "--fo\u{202e}=x"]), 2);
    assert!(said.contains(r"--fo\u{202e}"), "{said}");
}
