//! Programs on a C library: musl, as `cargo xtask libc` adds it to the tree.
//!
//! Those that take more than seconds to compile are made by name only: SQLite (a minute).
//! `cargo test -p solo5-tests --test e2e -- --ignored libc/`

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::{self, Running};
use solo5_tests::tree::repository;
use solo5_tests::{ensure, fail};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let slow =
        |name: &str, body: fn(&Suite) -> Outcome| trial(suite, name, body).with_ignored_flag(true);
    vec![
        trial(suite, "libc/basics", basics),
        trial(suite, "libc/basics-on-virtio", on_virtio),
        trial(suite, "libc/ends", ends),
        trial(suite, "libc/files", files),
        trial(suite, "libc/no-system-calls", no_system_calls),
        trial(suite, "libc/stub", stub),
        trial(suite, "libc/lua", lua),
        trial(suite, "libc/c++", plus_plus),
        trial(suite, "libc/service", service),
        trial(suite, "libc/rust-std", rust_std),
        slow("libc/sqlite", sqlite),
        slow("libc/sqlite-killed", sqlite_killed),
    ]
}

/// What `-z solo5-libc=` finds in the tree.
fn installed(suite: &Suite) -> Outcome<PathBuf> {
    let folder = suite.tree.lib().join("musl");
    if !folder.join("lib/libc.a").exists() {
        return Err(Stop::Lacking("the tree has no C library; `cargo xtask libc` adds it".into()));
    }
    Ok(folder)
}

/// An archive of sources that `cargo xtask sources` fetched.
fn sources(package: &str) -> Outcome<PathBuf> {
    let folder = repository().join("target/sources").join(package);
    for entry in std::fs::read_dir(&folder).into_iter().flatten() {
        let path = entry?.path();
        let is_signature = path.extension().is_some_and(|suffix| suffix == "asc");
        if path.to_string_lossy().contains(".orig.tar.") && !is_signature {
            return Ok(path);
        }
    }
    let text = format!("{package} is not there; `cargo xtask sources {package}` fetches it");
    Err(Stop::Lacking(text))
}

/// Compiles `basics.c`.
fn program(suite: &Suite, target: &str, image: &Path) -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("libc");
    let mut manifest = std::ffi::OsString::from("solo5-manifest=");
    manifest.push(folder.join("basics.yaml"));
    let mut cc = Command::new(suite.tree.cc());
    cc.args(["-z", "solo5-libc=musl", "-z", &format!("solo5-abi={target}"), "-z"]).arg(manifest);
    cc.args(["-D_GNU_SOURCE", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2"]);
    cc.arg(folder.join("basics.c")).arg("-lm").arg("-lpthread").arg("-o").arg(image);
    process::succeed(cc).map(drop)
}

/// The command line that `basics.c` expects.
const LINE: &str = r#"one 'two  three' "a b'c" \" '\' '' x\\y 'open end"#;

fn basics(suite: &Suite) -> Outcome {
    installed(suite)?;
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("basics.spt");
    program(suite, "spt", &image)?;
    let run = |option: Option<&str>| {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=32").args(option).arg(&image).args(["--solo5:quiet", LINE]);
        process::run(tender)?.expect(0, "SUCCESS")
    };
    let (first, second) = (run(None)?, run(None)?);
    for run in [&first, &second] {
        ensure!(run.printed(" seeded\n"), "no random bytes: {}", run.text());
        ensure!(run.printed("at the end\n"), "exit handlers did not run: {}", run.text());
    }
    ensure!(first.text() != second.text(), "the same random bytes twice: {}", first.text());
    let without = run(Some("--offer=none"))?;
    ensure!(without.printed("no seed\n"), "{}", without.text());
    Ok(())
}

/// The same program and the same archive in a machine of QEMU's.
fn on_virtio(suite: &Suite) -> Outcome {
    installed(suite)?;
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("basics.virtio");
    program(suite, "virtio", &image)?;
    let mut runner = suite.tool("solo5-virtio-run");
    runner.arg("--mem=32").arg(&image).args(["--solo5:quiet", LINE]);
    process::run(runner)?.expect(0, "SUCCESS").map(drop)
}

/// Files of an image, by both linkers.
fn files(suite: &Suite) -> Outcome {
    installed(suite)?;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("libc");
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join("files").join(name);
    std::fs::create_dir_all(at("folder/deep/er"))?;
    std::fs::write(at("hello.txt"), "Hello\nWorld\n")?;
    let large: Vec<u8> =
        (0..100_000u32).map(|byte| byte.wrapping_mul(7).to_le_bytes()[0]).collect();
    std::fs::write(at("folder/large"), large)?;
    std::fs::write(at("folder/empty"), "")?;
    std::fs::write(at("folder/deep/er/file"), "one\n")?;
    for whole in [false, true] {
        let mut tar = Command::new("tar");
        tar.args(["--format=ustar", "--mtime=@1000000000", "-cf", "files.tar", "-C", "files"]);
        // With folders as entries of their own, and without.
        let names = ["hello.txt", "folder/large", "folder/empty", "folder/deep/er/file"];
        tar.args(if whole { &["."][..] } else { &names }).current_dir(&folder);
        process::succeed(tar)?;
        for linker in ["bfd", "lld"] {
            let mut manifest = std::ffi::OsString::from("solo5-manifest=");
            manifest.push(tests.join("basics.yaml"));
            let mut cc = Command::new(suite.tree.cc());
            cc.args(["-z", "solo5-libc=musl", "-z", "solo5-abi=spt", "-z"]).arg(manifest);
            cc.args(["-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O2"]);
            cc.arg(format!("-fuse-ld={linker}")).arg(tests.join("files.c"));
            cc.args(["-Wl,--format=binary,files.tar,--format=default", "-o", "files.spt"]);
            cc.arg("-Wl,--fatal-warnings").current_dir(&folder);
            process::succeed(cc)?;
            let mut tender = suite.tool("solo5-spt");
            tender.arg("--mem=32").arg(folder.path().join("files.spt")).arg("--solo5:quiet");
            // The names of a folder come in the order of the archive.
            tender.args(whole.then_some("any-order"));
            process::run(tender)?.expect(0, "SUCCESS\n")?;
        }
    }
    Ok(())
}

fn ends(suite: &Suite) -> Outcome {
    installed(suite)?;
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("basics.spt");
    program(suite, "spt", &image)?;
    for (word, status, text) in [
        ("abort", 255, ""),
        ("term", 128 + 15, ""),
        ("status", 7, ""),
        ("lock", 255, "libc: deadlock: the only thread waits for another\n"),
        ("unterminated", 0, "no line feed"),
    ] {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=32").arg(&image).args(["--solo5:quiet", word]);
        let ended = process::run(tender)?;
        ensure!(ended.status == status, "{word}: {}: {}", ended.status, ended.text());
        ensure!(ended.text() == text, "{word}: {}", ended.text());
    }
    Ok(())
}

/// No instruction in the library enters a kernel: a unikernel may not.
fn no_system_calls(suite: &Suite) -> Outcome {
    let archive = installed(suite)?.join("lib/libc.a");
    let mut objdump = Command::new("objdump");
    objdump.args(["--disassemble", "--no-show-raw-insn"]).arg(&archive);
    let output = objdump.output().during("objdump")?;
    ensure!(output.status.success(), "objdump: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.lines().count() > 10_000, "objdump shows too little");
    let mut member = "";
    for line in text.lines() {
        if line.contains("file format") {
            member = line;
        }
        // The address, the instruction, and on some machines its operands.
        let instruction = line.split('\t').nth(1).unwrap_or_default();
        let name = instruction.split_whitespace().next().unwrap_or_default();
        if ["syscall", "sysenter", "svc", "sc"].contains(&name) || instruction.starts_with("int ") {
            fail!("{member}: {line}");
        }
    }
    Ok(())
}

/// What `configure` scripts ask: does a function exist?
fn stub(suite: &Suite) -> Outcome {
    installed(suite)?;
    let folder = tempfile::tempdir()?;
    for (function, exists) in [("printf", true), ("fork", true), ("no_such_function", false)] {
        let source = folder.path().join("a.c");
        std::fs::write(
            &source,
            format!("char {function}(); int main() {{ return {function}(); }}\n"),
        )?;
        let mut cc = Command::new(suite.tree.cc());
        cc.args(["-w", "-z", "solo5-libc=musl"])
            .arg(&source)
            .arg("-o")
            .arg(folder.path().join("a"));
        let found = cc.output()?.status.success();
        ensure!(found == exists, "{function}: {found}");
    }
    Ok(())
}

/// C++ with the library of the host's compiler.
fn plus_plus(suite: &Suite) -> Outcome {
    installed(suite)?;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("libc");
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("plus_plus.spt");
    let mut manifest = std::ffi::OsString::from("solo5-manifest=");
    manifest.push(tests.join("basics.yaml"));
    let mut cc = suite.tool("solo5-c++");
    cc.args(["-z", "solo5-libc=musl", "-z", "solo5-abi=spt", "-z"]).arg(manifest);
    cc.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O1"]);
    cc.arg(tests.join("plus_plus.cpp")).arg("-o").arg(&image);
    process::succeed(cc)?;
    let run = |word: Option<&str>| {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=32").arg(&image).arg("--solo5:quiet").args(word);
        process::run(tender)
    };
    let whole = run(None)?;
    let expected = "SUCCESS\nstatic object destroyed\nstatic object destroyed\n";
    ensure!(whole.status == 0 && whole.text() == expected, "{}: {}", whole.status, whole.text());
    let thrown = run(Some("nobody-catches-it"))?.expect(255, "std::logic_error")?;
    ensure!(thrown.printed("what():  nobody-catches-it"), "{}", thrown.text());
    Ok(())
}

/// A program of Rust's standard library.
fn rust_std(suite: &Suite) -> Outcome {
    installed(suite)?;
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("libc");
    let folder = tempfile::tempdir()?;
    let image = folder.path().join("std.spt");
    let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let mut libraries = rustc();
    libraries.args(["--print", "target-libdir", "--target", RUST_TARGET]);
    let libraries = process::succeed(libraries)?;
    if cfg!(target_arch = "powerpc64") || !Path::new(libraries.trim()).is_dir() {
        return Err(Stop::Skip(format!("Rust has no library for {RUST_TARGET} here")));
    }
    let mut rustc = rustc();
    rustc.args(["--edition=2024", "--target", RUST_TARGET, "-Clink-self-contained=no"]);
    rustc.arg(format!("-Clinker={}", suite.tool("solo5-cc").get_program().display()));
    rustc.args(["-Crelocation-model=static", "-Clink-arg=-Wl,-z,solo5-libc=musl"]);
    rustc.arg("-Clink-arg=-Wl,-z,solo5-abi=spt");
    rustc.arg(format!("-Clink-arg=-Wl,-z,solo5-manifest={}", tests.join("basics.yaml").display()));
    rustc.arg(tests.join("rust_std.rs")).arg("-o").arg(&image);
    process::succeed(rustc)?;
    let mut tender = suite.tool("solo5-spt");
    tender.arg("--mem=32").arg(&image).args(["--solo5:quiet", "one 'two words'"]);
    let ran = process::run(tender)?.expect(3, "SUCCESS 19999900000\n")?;
    ensure!(ran.printed("index out of bounds"), "no message of the panic: {}", ran.text());
    ensure!(ran.printed("to standard error\n"), "{}", ran.text());
    Ok(())
}

/// Rust's target with musl, for which programs of the tree are compiled too.
const RUST_TARGET: &str = match cfg!(target_arch = "aarch64") {
    true => "aarch64-unknown-linux-musl",
    false => "x86_64-unknown-linux-musl",
};

/// The example, as its page says.
fn service(suite: &Suite) -> Outcome {
    installed(suite)?;
    let folder = tempfile::tempdir()?;
    let toolchain = format!("lib/cmake/Solo5/{}.cmake", solo5_tests::tree::TRIPLE);
    let mut option = std::ffi::OsString::from("-DCMAKE_TOOLCHAIN_FILE=");
    option.push(suite.tree.prefix().join(toolchain));
    let mut cmake = Command::new("cmake");
    cmake.arg("-S").arg(repository().join("examples/service")).arg("-B").arg(folder.path());
    cmake.arg(option);
    process::succeed(cmake)?;
    let mut cmake = Command::new("cmake");
    cmake.arg("--build").arg(folder.path());
    process::succeed(cmake)?;
    ensure!(folder.path().join("service.hvt").exists(), "no image for hvt");
    let run = |words: &[&str]| {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=32").arg(folder.path().join("service.spt")).arg("--solo5:quiet");
        tender.args(words);
        process::run(tender)
    };
    run(&["one", "two", "one"])?.expect(0, "one: 2\ntwo: 1\ntick 1\ntick 2\ntick 3\n")?;
    run(&[])?.expect(1, "service: nothing to count\n").map(drop)
}

fn make(suite: &Suite, example: &str, archive: &Path, more: &[(&str, &Path)]) -> Outcome {
    let mut make = Command::new(repository().join("examples").join(example).join("make.sh"));
    make.arg(archive).env("CC", suite.tree.cc()).envs(more.iter().copied());
    let made = process::run_within(make, process::BUILD_TIME_LIMIT)?;
    ensure!(made.status == 0, "making {example}:\n{}", made.text());
    Ok(())
}

fn lua(suite: &Suite) -> Outcome {
    installed(suite)?;
    let archive = sources("lua5.4")?;
    let folder = tempfile::tempdir()?;
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts)?;
    std::fs::write(scripts.join("part.lua"), "return function(x) return x * 2 end\n")?;
    std::fs::write(scripts.join("main.lua"), "print(require('part')(tonumber(arg[1])))\n")?;
    make(suite, "lua", &archive, &[("OUT", folder.path()), ("FILES", &scripts)])?;
    let image = folder.path().join("lua.spt");
    let run = |script: &str| {
        let mut lua = suite.tool("solo5-spt");
        lua.arg("--mem=32").arg(&image).args(["--solo5:quiet", "-e", &format!("'{script}'")]);
        process::run(lua)
    };
    let script = r##"local t = {} for i = 1, 200000 do t[i] = i * i end collectgarbage()
        local c = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end)
        print(#t, t[1000] // 7, c() + c() + c(), ("x"):rep(3, ","), 2 ^ 0.5, pcall(error, "caught"))
        print(io.open("/x"), os.time() > 1600000000, select("#", table.unpack(t, 1, 200)))"##;
    let ran = run(script)?;
    let expected = "200000\t142857\t6\tx,x,x\t1.4142135623731\tfalse\tcaught\n\
                    nil\ttrue\t200\n";
    ensure!(ran.status == 0 && ran.text() == expected, "{}: {}", ran.status, ran.text());
    let full = run(r#"local t = {} while true do t[#t + 1] = ("x"):rep(1000) .. #t end"#)?;
    full.expect(1, "unikernel: not enough memory\n")?;
    let mut file = suite.tool("solo5-spt");
    file.arg("--mem=32").arg(&image).args(["--solo5:quiet", "/main.lua", "21"]);
    process::run(file)?.expect(0, "42\n")?;
    run(r#"error("end")"#)?.expect(1, "(command line):1: end\n").map(drop)
}

/// SQLite on a disk in `folder`, and what else is to be linked with it.
fn sqlite_image(suite: &Suite, main: Option<&Path>, folder: &Path) -> Outcome<PathBuf> {
    installed(suite)?;
    let archive = sources("sqlite3")?;
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sqlite");
    std::fs::create_dir_all(&kept)?;
    // Both tests need it: the second one waits for the first.
    let lock = std::fs::File::create(kept.join("lock"))?;
    lock.lock()?;
    let more = main.map(|main| ("MAIN", main));
    let more: Vec<_> = [("OUT", folder), ("KEPT", &*kept)].into_iter().chain(more).collect();
    make(suite, "sqlite", &archive, &more)?;
    let name = main.and_then(Path::file_stem).unwrap_or("sqlite".as_ref());
    Ok(folder.join(name).with_extension("spt"))
}

/// The host's `sqlite3` on a database.
fn host(database: &Path, sql: &str) -> Outcome<String> {
    let mut sqlite = Command::new("sqlite3");
    sqlite.arg(database).arg(sql);
    process::succeed(sqlite)
}

fn disk_argument(disk: &Path) -> std::ffi::OsString {
    let mut argument = std::ffi::OsString::from("--block:disk=");
    argument.push(disk);
    argument
}

/// The unikernel and the host take turns with one database.
fn sqlite(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let image = sqlite_image(suite, None, folder.path())?;
    let disk = folder.path().join("disk");
    std::fs::File::create(&disk)?.set_len(16 << 20)?;
    let run = |sql: &str| {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=64").arg(disk_argument(&disk)).arg(&image);
        tender.args(["--solo5:quiet", &format!("\"{sql}\"")]);
        process::run(tender)
    };
    run("create table t(x, y); insert into t values(1, 'guest')")?.expect(0, "")?;
    ensure!(host(&disk, "pragma integrity_check; select * from t")? == "ok\n1|guest\n", "host");
    host(&disk, "insert into t values(2, 'host')")?;
    run("select * from t order by x; pragma integrity_check")?
        .expect(0, "1|guest\n2|host\nok\n")?;
    // More than the disk holds is refused, and what was there stays.
    run("insert into t select 0, randomblob(20000000)")?.expect(1, "sqlite: ")?;
    run("select count(*) from t; pragma integrity_check")?.expect(0, "2\nok\n").map(drop)
}

/// How often the writing unikernel is killed.
const KILLS: u64 = 100;

/// Every transaction that was committed before a kill is there, in the eyes of the host's `sqlite3`, which
/// gets the journal too where one was left.
fn sqlite_killed(suite: &Suite) -> Outcome {
    let folder = tempfile::tempdir()?;
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("libc/sqlite_writer.c");
    let image = sqlite_image(suite, Some(&main), folder.path())?;
    let disk = folder.path().join("disk");
    std::fs::File::create(&disk)?.set_len(16 << 20)?;
    let (mut committed, mut journals) = (0, 0);
    for kill in 0..KILLS {
        let mut tender = suite.tool("solo5-spt");
        tender.arg("--mem=64").arg(disk_argument(&disk)).arg(&image).arg("--solo5:quiet");
        let mut running = Running::start(tender)?;
        // Spread over the work of a few transactions.
        std::thread::sleep(Duration::from_millis(20 + kill * 7919 % 230));
        running.kill();
        let said = running.finish()?.text();
        ensure!(!said.contains("FAILURE"), "after kill {kill}: {said}");
        let last = |word: &str| {
            let whole = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let mut numbers = whole.filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
            numbers.next_back().unwrap_or(0u64)
        };
        if said.contains("found:") {
            let found = last("found:");
            ensure!(found >= committed, "{found} are left of {committed}:\n{said}");
        }
        committed = committed.max(last("committed:"));
        let copy = folder.path().join("copy");
        journals += u64::from(copy_files(&disk, &copy)?);
        if committed > 0 {
            let sql = "pragma integrity_check; select max(round) from t; select count(*) from \
                       (select 1 from t group by round having count(*) <> 20)";
            let seen =
                host(&copy, sql).map_err(|stop| stop.during(format!("after kill {kill}")))?;
            let one_more = committed + 1;
            let good = [committed, one_more].map(|last| format!("ok\n{last}\n0\n"));
            ensure!(good.contains(&seen), "after kill {kill}, {committed} were committed: {seen}");
        }
    }
    ensure!(committed > KILLS, "only {committed} transactions in all");
    ensure!(journals > KILLS / 10, "only {journals} kills left a journal");
    Ok(())
}

/// Copies the database, and its journal as a file beside it. Returns whether there is a journal.
fn copy_files(disk: &Path, copy: &Path) -> Outcome<bool> {
    let content = std::fs::read(disk)?;
    std::fs::write(copy, &content)?;
    let journal = copy.with_file_name("copy-journal");
    let _ = std::fs::remove_file(&journal);
    let last = content.len().checked_sub(512).and_then(|at| content.get(at..));
    let last = last.filter(|block| block.starts_with(b"SQLITE-JOURNAL\0\0"));
    let number = |at: usize| {
        let bytes = last.and_then(|block| block.get(at..at + 8)).unwrap_or_default();
        bytes.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte))
    };
    let (start, length) = (number(16), number(24));
    if length == 0 {
        return Ok(false);
    }
    let bytes = content
        .get(start..start + length)
        .ok_or_else(|| Stop::Fail("a journal outside the disk".into()))?;
    std::fs::write(journal, bytes)?;
    Ok(true)
}
