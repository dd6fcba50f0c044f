//! The guard below a stack: what is left of the heap when a stack has overflowed, and what the tender
//! reports.

use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use libtest_mimic::Trial;
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use solo5_tests::outcome::Outcome;
use solo5_tests::process::Running;
use solo5_tests::{ensure, fail};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    vec![
        trial(suite, "stack/overflow-spares-the-heap/spt", overflow_spares_the_heap),
        trial(suite, "stack/safe-rust/spt", |suite| safe_rust(suite, "spt", 139, "")),
        trial(suite, "stack/safe-rust/hvt", |suite| {
            suite.kvm()?.require(true)?;
            safe_rust(suite, "hvt", 255, "Stack overflow")
        }),
        trial(suite, "stack/report/spt", |suite| reports(suite, "spt", 139)),
        trial(suite, "stack/report/hvt", |suite| {
            suite.kvm()?.require(false)?;
            reports(suite, "hvt", 255)
        }),
    ]
}

/// Guests whose stacks overflow, by frames of other sizes each time.
const OVERFLOWS: u32 = 300;

/// What `guests/stack.c` fills its heap with.
const PATTERN: u64 = 0x5afe_0b7e_c7ed_0001;

/// Ends unikernels in the guard, and looks at their heaps before they are gone.
fn overflow_spares_the_heap(suite: &Suite) -> Outcome {
    let image = suite.spt_image("stack")?;
    for seed in 0..OVERFLOWS {
        one_overflow(&suite.tree.program("solo5-spt"), &image, seed)
            .map_err(|stop| stop.during(format!("overflow {seed}")))?;
    }
    Ok(())
}

fn one_overflow(tender: &Path, image: &Path, seed: u32) -> Outcome {
    // It stops before it becomes the tender, so that it is traced from the start.
    let mut command = Command::new("sh");
    command.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(tender);
    command.args(["--mem=2", "--"]).arg(image).args(["overflow", &seed.to_string()]);
    let folder = tempfile::tempdir()?;
    let printed = folder.path().join("printed");
    let output = std::fs::File::create(&printed)?;
    command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
    let child = command.spawn()?;
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED))?;
    ensure!(matches!(stopped, WaitStatus::Stopped(..)), "it did not stop: {stopped:?}");
    ptrace::seize(pid, ptrace::Options::PTRACE_O_EXITKILL)?;
    kill(pid, Signal::SIGCONT)?;
    loop {
        match waitpid(pid, None)? {
            WaitStatus::Stopped(_, Signal::SIGSEGV) => break,
            WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal)?,
            WaitStatus::PtraceEvent(..) => ptrace::cont(pid, None)?,
            ended => fail!("{ended:?}; it printed:\n{}", std::fs::read_to_string(&printed)?),
        }
    }
    let text = std::fs::read_to_string(&printed)?;
    let checked = heap(&text).and_then(|heap| {
        let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
        check_heap(&memory, heap)
    });
    ptrace::cont(pid, Signal::SIGSEGV)?;
    let ended = waitpid(pid, None)?;
    checked?;
    let expected = WaitStatus::Signaled(pid, Signal::SIGSEGV, false);
    ensure!(ended == expected, "ended with {ended:?}");
    Ok(())
}

/// The heap, as the bindings print it: `heap >= START < END, stack`.
fn heap(text: &str) -> Outcome<Range<u64>> {
    let bounds = text.split_once("heap >= ").and_then(|(_, rest)| rest.split_once(", stack"));
    let (start, end) = bounds.and_then(|(heap, _)| heap.split_once(" < ")).ok_or("no heap")?;
    let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
    Ok(number(start)?..number(end)?)
}

fn check_heap(memory: &std::fs::File, heap: Range<u64>) -> Outcome {
    let mut bytes = vec![0; usize::try_from(heap.end - heap.start)?];
    memory.read_exact_at(&mut bytes, heap.start)?;
    for (at, word) in (heap.start..).step_by(8).zip(bytes.chunks_exact(8)) {
        let is = word == (PATTERN ^ at).to_le_bytes();
        ensure!(is, "{at:#x}, below a heap that ends at {:#x}, was overwritten", heap.end);
    }
    Ok(())
}

/// An overflow is reported by its name. An access to the guard from anywhere else is not called one.
fn reports(suite: &Suite, target: &str, status: i32) -> Outcome {
    let image = suite.builder.image(suite.guest("stack")?, target)?;
    for (mode, overflow) in [("overflow 1", true), ("large", true), ("overrun", false)] {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("report");
        let mut command = suite.tool(&format!("solo5-{target}"));
        command.arg("--mem=2").arg(format!("--report={}", path.display()));
        command.arg("--").arg(&image).args(mode.split(' ')).stdin(Stdio::null());
        let finished = Running::start(command)?.finish()?;
        ensure!(finished.status == status, "{mode}: {}:\n{}", finished.status, finished.text());
        let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let reason = &report["reasons"][0];
        let said = reason["message"].as_str().unwrap_or_default();
        let is = reason["code"] == "T445" && said.starts_with("stack overflow");
        ensure!(is == overflow, "{mode}: {report}");
        ensure!(report["status"] == status, "{mode}: {report}");
        ensure!(!overflow || report["outcome"] == "guest-fault", "{mode}: {report}");
        if overflow {
            let mut elftool = suite.tool("solo5-elftool");
            elftool.arg("symbolize").arg(&image).arg(&path).stdin(Stdio::null());
            let named = Running::start(elftool)?.finish()?;
            let is = named.status == 0 && named.printed("+0x");
            ensure!(is, "{mode}: no function: {}", named.text());
        }
    }
    Ok(())
}

/// A recursion in safe Rust, and a frame that is larger than stack and guard together.
fn safe_rust(suite: &Suite, target: &str, status: i32, text: &str) -> Outcome {
    let image = suite.builder.example("deep", target)?;
    let cases = [("10", 0, "SUCCESS"), ("300", status, text), ("large", status, text)];
    for (argument, status, text) in cases {
        let mut command = suite.tool(&format!("solo5-{target}"));
        command.args(["--mem=4", "--"]).arg(&image).arg(argument).stdin(Stdio::null());
        let finished = Running::start(command)?.finish()?;
        let is = finished.status == status && finished.printed(text);
        ensure!(is, "{argument}: {}:\n{}", finished.status, finished.text());
        ensure!(status == 0 || !finished.printed("SUCCESS"), "{argument}: {}", finished.text());
    }
    Ok(())
}
