//! `solo5-hvt-debug` with Debian's gdb, on running guests and on core files.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use solo5_tests::directive::Signal;
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::{self, Finished, Running};
use solo5_tests::{ensure, fail};

use crate::{Suite, trial};

const TENDER: &str = "solo5-hvt-debug";

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "gdb/session/hvt", session),
        trial(suite, "gdb/floats/hvt", floats),
        trial(suite, "gdb/hardware/hvt", hardware),
        trial(suite, "gdb/interrupt/hvt", interrupt),
        trial(suite, "gdb/detach/hvt", detach),
        trial(suite, "gdb/kill/hvt", kill),
        trial(suite, "gdb/loopback/hvt", loopback),
        trial(suite, "gdb/explain/hvt", explain),
        trial(suite, "gdb/stack/hvt", stack_with_a_guard),
        trial(suite, "gdb/stack/spt", stack_of_an_spt_guest),
        trial(suite, "dumpcore/abort/hvt", core_of_an_abort),
        trial(suite, "dumpcore/trap/hvt", core_of_a_trap),
        trial(suite, "dumpcore/stack/hvt", core_of_an_overflow),
        trial(suite, "dumpcore/stack/spt", no_core_of_an_spt_guest),
        trial(suite, "dumpcore/none/hvt", no_core_of_a_good_end),
    ]
}

/// The image of a unikernel, if it can be run here.
fn image(suite: &Suite, name: &str, processor: bool) -> Outcome<PathBuf> {
    suite.kvm()?.require(processor)?;
    suite.builder.image(suite.guest(name)?, "hvt")
}

/// gdb on an image, with `commands` and without the user's configuration.
fn gdb(image: &Path, commands: &[&str]) -> Outcome<Command> {
    let asked = Command::new("gdb").arg("--version").output();
    if !asked.is_ok_and(|output| output.status.success()) {
        return Err(Stop::Skip("no `gdb` program".to_owned()));
    }
    const QUIET: [&str; 4] = [
        "set pagination off",
        "set confirm off",
        "set style enabled off",
        // An emulated machine is slow.
        "set remotetimeout 60",
    ];
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch"]).stdin(Stdio::null());
    for command in QUIET.iter().chain(commands) {
        gdb.args(["-ex", command]);
    }
    gdb.arg(image);
    Ok(gdb)
}

/// A tender that waits for a debugger, and gdb's command to connect to it.
fn waiting(
    suite: &Suite,
    image: &Path,
    options: &[&str],
    guest: &str,
) -> Outcome<(Running, String)> {
    let mut tender = suite.tool(TENDER);
    tender.args(["--mem=2", "--gdb"]).args(options);
    tender.arg(image).args(guest.split_whitespace()).stdin(Stdio::null());
    let mut running = Running::start(tender)?;
    // The line ends with the image's name.
    running.wait_for(&format!("{}\n", image.display()))?;
    let printed = String::from_utf8_lossy(&running.printed()).into_owned();
    let line = printed.lines().find_map(|line| line.strip_prefix("\tgdb --ex=\""));
    let target = line.and_then(|line| line.split_once('"'));
    match target {
        // Not every machine resolves `localhost`.
        Some((target, _)) => Ok((running, target.replace("localhost", "127.0.0.1"))),
        None => fail!("it does not say how to connect:\n{printed}"),
    }
}

/// Fails unless gdb printed these texts, in this order.
fn expect_in_order(told: &Finished, texts: &[&str]) -> Outcome {
    let whole = told.text();
    let mut rest = whole.as_str();
    for text in texts {
        match rest.split_once(text) {
            Some((_, behind)) => rest = behind,
            None => fail!("gdb did not print {text:?} where it should have:\n{whole}"),
        }
    }
    Ok(())
}

fn session(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    let told = process::run(gdb(
        &image,
        &[
            &target,
            "break solo5_app_main",
            "continue",
            "backtrace",
            "info registers rip",
            "print/x $cs",
            "print counter",
            // Steps past the breakpoint, which must be in place again afterwards.
            "stepi",
            "stepi",
            "info symbol $pc",
            "set variable counter = 5",
            "print counter",
            // A software watchpoint: gdb makes single steps and needs no debug registers.
            "break inner",
            "continue",
            "set can-use-hw-watchpoints 0",
            "watch counter",
            "continue",
            "backtrace",
            "delete",
            "continue",
        ],
    )?)?;
    expect_in_order(
        &told,
        &[
            "Breakpoint 1, solo5_app_main",
            "#0  solo5_app_main",
            "in _start",
            "<solo5_app_main>",
            "$1 = 0x8",
            "$2 = 0",
            "solo5_app_main + ",
            "$3 = 5",
            "Breakpoint 2, inner",
            "Watchpoint 3: counter",
            "Old value = 5",
            "New value = 47",
            "outer",
            "solo5_app_main",
            "exited normally",
        ],
    )?;
    let printed = tender.finish()?.expect(0, "counter 47\n")?;
    ensure!(printed.printed("SUCCESS\n"), "{}", printed.text());
    Ok(())
}

/// Floating-point and vector registers, which guests have only on a real processor.
fn floats(suite: &Suite) -> Outcome {
    let image = image(suite, "fpu", true)?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    let told = process::run(gdb(
        &image,
        &[
            &target,
            "print $fctrl",
            "print/x $mxcsr",
            "set variable $xmm3.v2_int64[1] = 0x1122334455667788",
            "set variable $st5 = 2.5",
            // Any command after which gdb reads the registers again.
            "stepi",
            "print/x $xmm3.v2_int64[1]",
            "print $st5",
            "continue",
        ],
    )?)?;
    let expected =
        ["$1 = 895", "$2 = 0x1f80", "$3 = 0x1122334455667788", "$4 = 2.5", "exited normally"];
    expect_in_order(&told, &expected)?;
    tender.finish()?.expect(0, "SUCCESS\n").map(drop)
}

/// Hardware breakpoints and watchpoints.
fn hardware(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    let is_processor = suite.kvm()?.require(true).is_ok();
    let mut commands = vec![target.as_str(), "hbreak inner", "continue", "backtrace"];
    let mut expected = vec!["Hardware assisted breakpoint 1", "Breakpoint 1, inner", "outer"];
    if is_processor {
        commands.extend(["watch counter", "continue"]);
        expected.extend(["Hardware watchpoint 2", "Old value = 0", "New value = 42"]);
    }
    commands.extend(["delete", "continue"]);
    expected.push("exited normally");
    let told = process::run(gdb(&image, &commands)?)?;
    expect_in_order(&told, &expected)?;
    tender.finish()?.expect(0, "counter 42\n").map(drop)
}

/// Ctrl-C while the guest spins and never exits to its tender.
fn interrupt(suite: &Suite) -> Outcome {
    let image = image(suite, "hostile", false)?;
    let (mut tender, target) = waiting(suite, &image, &["--gdb-port=0"], "spin")?;
    let mut debugger = Running::start(gdb(&image, &[&target, "continue", "backtrace", "kill"])?)?;
    tender.wait_for("Waiting for a signal\n")?;
    // Time for gdb to take over the terminal's interrupts.
    std::thread::sleep(Duration::from_millis(500));
    debugger.signal(Signal::Interrupt)?;
    let told = debugger.finish()?;
    expect_in_order(&told, &["received signal SIGINT", "solo5_app_main", "_start"])?;
    tender.finish()?.expect(1, "solo5-hvt-debug: GDB: Killed by the debugger.\n").map(drop)
}

fn detach(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("gdb");
    let option = format!("--gdb-socket={}", path.display());
    let (tender, target) = waiting(suite, &image, &[&option], "")?;
    ensure!(target.ends_with(&path.display().to_string()), "{target}");
    let told = process::run(gdb(
        &image,
        &[&target, "stepi", "break outer", "continue", "backtrace", "print by", "detach"],
    )?)?;
    let expected = ["Breakpoint 1, outer", "in solo5_app_main", "$1 = 41", "detached"];
    expect_in_order(&told, &expected)?;
    tender.finish()?.expect(0, "counter 42\n")?;
    ensure!(!path.exists(), "the socket was left behind");
    Ok(())
}

fn kill(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    process::run(gdb(&image, &[&target, "kill"])?)?;
    let finished = tender.finish()?.expect(1, "solo5-hvt-debug: GDB: Killed by the debugger.\n")?;
    ensure!(!finished.printed("counter"), "{}", finished.text());
    Ok(())
}

fn loopback(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (_tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    let port = target.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.ok_or_else(|| format!("{target}: no port"))?;
    // State 0A is one that listens.
    let sockets = std::fs::read_to_string("/proc/net/tcp").during("/proc/net/tcp")?;
    let ours = sockets.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, state) = (words.next()?, words.next()?, words.next()?);
        let (address, of) = local.split_once(':')?;
        (of == format!("{port:04X}") && state == "0A").then(|| address.to_owned())
    });
    ensure!(ours.as_deref() == Some("0100007F"), "it listens at {ours:?} and not at 127.0.0.1");
    Ok(())
}

/// Debugging widens the sandbox only when it is asked for, and the widening is reported.
fn explain(suite: &Suite) -> Outcome {
    let image = suite.builder.image(suite.guest("debuggee")?, "hvt")?;
    let reasons = |options: &[&str]| -> Outcome<Vec<String>> {
        let mut tender = suite.tool(TENDER);
        tender.args(["--explain", "--format=json"]).args(options);
        tender.arg(&image).stderr(Stdio::null());
        let told: serde_json::Value = serde_json::from_slice(&tender.output()?.stdout)?;
        let calls = told["system_calls"].as_array();
        let calls = calls.ok_or("it lists no system calls")?;
        let reasons = calls.iter().filter_map(|call| call["reason"].as_str());
        Ok(reasons.map(str::to_owned).collect())
    };
    let has = |reasons: &[String], module: &str| {
        let beginning = format!("{module}: ");
        reasons.iter().any(|reason| reason.starts_with(&beginning))
    };
    let (none, both) = (reasons(&[])?, reasons(&["--gdb", "--dumpcore=/tmp"])?);
    for module in ["gdb", "dumpcore"] {
        ensure!(!has(&none, module), "{module} was not asked for: {none:?}");
        ensure!(has(&both, module), "{module} was asked for: {both:?}");
    }
    Ok(())
}

/// A guest with a stack of its own: gdb walks its frames, and reads the stack but not the guard.
fn stack_with_a_guard(suite: &Suite) -> Outcome {
    let image = image(suite, "stack", false)?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "overflow 1")?;
    let told = process::run(gdb(
        &image,
        &[
            &target,
            "break dive",
            "continue",
            "backtrace",
            &format!("print $sp >= {0:#x} && $sp < {0:#x} + 0x20000", STACK.1),
            &format!("x/xb {:#x}", STACK.1),
            &format!("x/xb {:#x}", STACK.0),
            &format!("x/xb {:#x} - 1", STACK.1),
            "delete",
            // The guest reports its trap and aborts.
            "continue",
        ],
    )?)?;
    expect_in_order(
        &told,
        &[
            "Breakpoint 1, dive",
            "#0  dive",
            "solo5_app_main",
            "_start",
            "$1 = 1",
            &format!("{:#x}:", STACK.1),
            &format!("Cannot access memory at address {:#x}", STACK.0),
            &format!("Cannot access memory at address {:#x}", STACK.1 - 1),
            "exited with code 0377",
        ],
    )?;
    tender.finish()?.expect(255, "Stack overflow").map(drop)
}

/// `guests/stack.c` with 2 MiB of memory: where the guard starts, and where the stack does.
const STACK: (u64, u64) = (0x1d_0000, 0x1e_0000);

/// gdb starts the tender, which becomes the guest, and stops where the stack overflows.
fn stack_of_an_spt_guest(suite: &Suite) -> Outcome {
    let image = suite.spt_image("stack")?;
    let run = format!("run --mem=2 -- {} overflow 1", image.display());
    let symbols = format!("add-symbol-file {}", image.display());
    let within = format!("print $_siginfo._sifields._sigfault.si_addr >= {:#x}", STACK.0);
    let below = format!("print $_siginfo._sifields._sigfault.si_addr < {:#x}", STACK.1);
    let commands = [&run, &symbols, "backtrace -4", &within, &below, "continue"];
    let told = process::run(gdb(&suite.tree.program("solo5-spt"), &commands)?)?;
    let expected = ["SIGSEGV", "solo5_app_main", "$1 = 1", "$2 = 1", "no longer exists"];
    expect_in_order(&told, &expected)
}

/// A run with `--dumpcore`, and the core files it left.
fn dump(
    suite: &Suite,
    image: &Path,
    arguments: &[&str],
) -> Outcome<(Finished, Vec<PathBuf>, tempfile::TempDir)> {
    let directory = tempfile::tempdir()?;
    let mut tender = suite.tool(TENDER);
    let mut option = std::ffi::OsString::from("--dumpcore=");
    option.push(directory.path());
    tender.arg(option).arg("--mem=2").arg(image).args(arguments).stdin(Stdio::null());
    let finished = process::run(tender)?;
    let entries = std::fs::read_dir(directory.path())?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Outcome<_>>()?;
    Ok((finished, files, directory))
}

/// The output of gdb for the only core file of a guest that ends with status 255.
pub(crate) fn backtrace(suite: &Suite, image: &Path) -> Outcome<Finished> {
    in_core(suite, image, &[], &["backtrace", "info registers rip"])
}

/// What gdb says to `commands` on the only core file of a guest that ends with status 255.
fn in_core(
    suite: &Suite,
    image: &Path,
    arguments: &[&str],
    commands: &[&str],
) -> Outcome<Finished> {
    let (finished, files, _directory) = dump(suite, image, arguments)?;
    let [core] = files.as_slice() else {
        fail!("{} core files:\n{}", files.len(), finished.text());
    };
    // Upstream's test-suite looks for the file's name at the end of a line.
    let finished = finished.expect(255, &format!("{}\n", core.display()))?;
    let name = core.file_name().unwrap_or_default().to_string_lossy();
    let number = name.strip_prefix("core.solo5-hvt.");
    ensure!(
        number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())),
        "{name}:\n{}",
        finished.text()
    );
    ensure!(!finished.printed("incomplete"), "{}", finished.text());
    let command = format!("core-file {}", core.display());
    process::run(gdb(image, &[&[command.as_str()], commands].concat())?)
}

fn core_of_an_abort(suite: &Suite) -> Outcome {
    let image = image(suite, "dumpcore", false)?;
    let told = backtrace(suite, &image)?;
    let expected = ["SIGABRT", "#0", "solo5_abort", "solo5_app_main", "_start", "rip"];
    expect_in_order(&told, &expected)
}

fn core_of_a_trap(suite: &Suite) -> Outcome {
    let image = image(suite, "exception", false)?;
    let told = backtrace(suite, &image)?;
    expect_in_order(&told, &["SIGSEGV", "#0  solo5_app_main", "_start"])
}

/// The core of a guest whose stack has overflowed has all frames, and zeroes for the guard.
fn core_of_an_overflow(suite: &Suite) -> Outcome {
    let image = image(suite, "stack", false)?;
    let commands = [
        "backtrace 2",
        "backtrace -4",
        &format!("print (char *)$sp - (char *){:#x} < 4096", STACK.1),
        &format!("x/xg {:#x}", STACK.0),
        &format!("x/xg {:#x} - 8", STACK.1),
    ];
    let told = in_core(suite, &image, &["overflow", "1"], &commands)?;
    let guard = format!("{:#x}:\t0x0000000000000000", STACK.0);
    let guards_end = format!("{:#x}:\t0x0000000000000000", STACK.1 - 8);
    let expected =
        ["SIGSEGV", "#0  ", "dive", "solo5_app_main", "_start", "$1 = ", &guard, &guards_end];
    expect_in_order(&told, &expected)
}

/// An spt guest leaves no core: its process cannot be dumped, whatever the host does with cores.
fn no_core_of_an_spt_guest(suite: &Suite) -> Outcome {
    let image = suite.spt_image("stack")?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]);
    command.arg(suite.tree.program("solo5-spt")).args(["--mem=2", "--"]).arg(&image);
    command.args(["overflow", "1"]).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status()?;
    ensure!(status.signal() == Some(11), "{status}");
    ensure!(!status.core_dumped(), "{status}");
    Ok(())
}

fn no_core_of_a_good_end(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let (finished, files, _directory) = dump(suite, &image, &[])?;
    finished.expect(0, "SUCCESS\n")?;
    ensure!(files.is_empty(), "left behind: {files:?}");
    Ok(())
}
