//! `solo5-hvt-debug` with Debian's gdb, on running guests.

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

pub(crate) const TENDER: &str = "solo5-hvt-debug";

/// What differs between processors: names of registers, and their values at the start.
pub(crate) struct Processor {
    pub(crate) pc: &'static str,
    /// A register with the processor's privilege.
    level: &'static str,
    level_at_start: &'static str,
    /// Two registers that control calculations.
    control: [&'static str; 2],
    control_at_start: [&'static str; 2],
    /// Two registers to set.
    vectors: [&'static str; 2],
    /// How the instruction of a hypercall begins, behind how the one before it does.
    hypercall: (&'static str, &'static str),
}

pub(crate) const PROCESSOR: Processor = if cfg!(target_arch = "aarch64") {
    Processor {
        pc: "pc",
        level: "$cpsr & 0xf",
        level_at_start: "0x5",
        control: ["$fpcr", "$fpsr"],
        control_at_start: ["0x0", "0x0"],
        vectors: ["$v3.d.u[1]", "$v31.s.u[0]"],
        hypercall: ("dsb", "str"),
    }
} else {
    Processor {
        pc: "rip",
        level: "$cs",
        level_at_start: "0x8",
        control: ["$fctrl", "$mxcsr"],
        control_at_start: ["0x37f", "0x1f80"],
        vectors: ["$xmm3.v2_int64[1]", "$xmm15.v4_int32[0]"],
        hypercall: ("", "out"),
    }
};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "gdb/session/hvt", session),
        trial(suite, "gdb/floats/hvt", floats),
        trial(suite, "gdb/hardware/hvt", hardware),
        trial(suite, "gdb/hypercall/hvt", hypercall),
        trial(suite, "gdb/own-breakpoint/hvt", own_breakpoint),
        trial(suite, "gdb/interrupt/hvt", interrupt),
        trial(suite, "gdb/detach/hvt", detach),
        trial(suite, "gdb/kill/hvt", kill),
        trial(suite, "gdb/loopback/hvt", loopback),
        trial(suite, "gdb/explain/hvt", explain),
        trial(suite, "gdb/stack/hvt", stack_with_a_guard),
        trial(suite, "gdb/stack/spt", stack_of_an_spt_guest),
    ]
}

/// The image of a unikernel, if it can be run here.
pub(crate) fn image(suite: &Suite, name: &str, processor: bool) -> Outcome<PathBuf> {
    suite.kvm()?.require(processor)?;
    suite.builder.image(suite.guest(name)?, "hvt")
}

/// gdb on an image, with `commands` and without the user's configuration.
pub(crate) fn gdb(image: &Path, commands: &[&str]) -> Outcome<Command> {
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
pub(crate) fn expect_in_order(told: &Finished, texts: &[&str]) -> Outcome {
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
            &format!("info registers {}", PROCESSOR.pc),
            &format!("print/x {}", PROCESSOR.level),
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
            "<solo5_app_main",
            &format!("$1 = {}", PROCESSOR.level_at_start),
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
    let Processor { control, control_at_start, vectors, .. } = PROCESSOR;
    let mut commands = vec![target];
    commands.extend(control.map(|register| format!("print/x {register}")));
    let values = ["0x1122334455667788", "0x99aabbcc"];
    let set = vectors.into_iter().zip(values);
    commands.extend(set.map(|(register, value)| format!("set variable {register} = {value}")));
    // Only x86 has registers like this one.
    let is_x86 = cfg!(target_arch = "x86_64");
    commands.extend(is_x86.then(|| "set variable $st5 = 2.5".to_owned()));
    // Any command after which gdb reads the registers again.
    commands.push("stepi".to_owned());
    commands.extend(vectors.map(|register| format!("print/x {register}")));
    commands.extend(is_x86.then(|| "print $st5".to_owned()));
    commands.push("continue".to_owned());
    let commands: Vec<_> = commands.iter().map(String::as_str).collect();
    let told = process::run(gdb(&image, &commands)?)?;
    let mut expected: Vec<_> = control_at_start.into_iter().chain(values).collect();
    expected.extend(is_x86.then_some("2.5"));
    let expected = expected.iter().zip(1..).map(|(value, number)| format!("${number} = {value}\n"));
    let expected: Vec<_> = expected.chain(["exited normally".to_owned()]).collect();
    expect_in_order(&told, &expected.iter().map(String::as_str).collect::<Vec<_>>())?;
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
        // x86 cannot watch only reads.
        if cfg!(target_arch = "aarch64") {
            commands.extend(["rwatch counter", "continue"]);
            expected.extend(["Hardware read watchpoint 3", "Value = 42"]);
        }
    }
    commands.extend(["delete", "continue"]);
    expected.push("exited normally");
    let told = process::run(gdb(&image, &commands)?)?;
    expect_in_order(&told, &expected)?;
    tender.finish()?.expect(0, "counter 42\n").map(drop)
}

/// A breakpoint at the instruction of a hypercall, and a step over it.
fn hypercall(suite: &Suite) -> Outcome {
    let image = image(suite, "debuggee", false)?;
    let listed = process::run(gdb(&image, &["disassemble solo5_console_write"])?)?.text();
    let (before, is) = PROCESSOR.hypercall;
    // Lines are like `   0x0000000000101234 <+28>:	out    %eax,(%dx)`.
    let instructions: Vec<_> = listed.lines().filter_map(|line| line.split_once(">:\t")).collect();
    let found = instructions
        .windows(2)
        .find(|pair| pair[0].1.starts_with(before) && pair[1].1.starts_with(is));
    let Some([_, (at, _)]) = found else {
        fail!("there is no hypercall in it:\n{listed}");
    };
    let (at, _) = at.trim_start().split_once(' ').ok_or("a line without an address")?;
    let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
    let told = process::run(gdb(
        &image,
        &[
            &target,
            "break outer",
            "continue",
            &format!("break *{at}"),
            "continue",
            "stepi",
            // Some KVMs take the next instruction together with the hypercall.
            &format!("print $pc > {at} && $pc <= {at} + 8"),
            "stepi",
            "continue",
            "delete",
            "continue",
        ],
    )?)?;
    let stop = "Breakpoint 2, ";
    expect_in_order(&told, &["Breakpoint 1, outer", stop, "$1 = 1", stop, "exited normally"])?;
    let printed = tender.finish()?.expect(0, "SUCCESS\n")?;
    ensure!(printed.text().matches("counter 42\n").count() == 1, "{}", printed.text());
    Ok(())
}

/// A breakpoint instruction of the guest's own is the guest's, also if the debugger steps over it.
fn own_breakpoint(suite: &Suite) -> Outcome {
    // A KVM that interprets guests does not know the instruction on x86.
    let image = image(suite, "breakpoint", true)?;
    // gdb skips such an instruction if it has a breakpoint there, so its breakpoint is one instruction earlier.
    let step_over: [&str; 4] = ["break *own_breakpoint", "continue", "stepi", "stepi"];
    for commands in [&[][..], &step_over] {
        let (tender, target) = waiting(suite, &image, &["--gdb-port=0"], "")?;
        let told =
            process::run(gdb(&image, &[&[target.as_str()], commands, &["continue"]].concat())?)?;
        let stop = (!commands.is_empty()).then_some("Breakpoint 1, ");
        let expected: Vec<_> = stop.into_iter().chain(["exited with code 0377"]).collect();
        expect_in_order(&told, &expected)?;
        let printed = tender.finish()?.expect(255, "Solo5: trap: type=#B")?;
        ensure!(!printed.printed("FAILURE"), "{}", printed.text());
    }
    Ok(())
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
pub(crate) const STACK: (u64, u64) = (0x1d_0000, 0x1e_0000);

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
