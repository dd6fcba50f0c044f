//! Clocks and waits of a guest that is stopped and continued, or whose clock has an offset.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};
use solo5_tests::outcome::{Context, Outcome, Stop};
use solo5_tests::process::Running;
use solo5_tests::{ensure, process};

use crate::{Suite, trial};

pub(crate) fn trials(suite: &Arc<Suite>) -> Vec<Trial> {
    let mut trials = vec![trial(suite, "clock/offset/spt", offset)];
    for target in ["spt", "hvt"] {
        trials.extend([
            trial(suite, format!("clock/stopped-while-it-computes/{target}"), move |suite| {
                computing(suite, target)
            }),
            trial(suite, format!("clock/stopped-while-it-waits/{target}"), move |suite| {
                waiting(suite, target)
            }),
        ]);
    }
    trials
}

fn start(suite: &Suite, target: &str, word: &str) -> Outcome<Running> {
    if target == "hvt" {
        suite.kvm()?.require(false)?;
    }
    let image = suite.builder.image(suite.guest("clock_jump")?, target)?;
    let mut tender = suite.tool(&format!("solo5-{target}"));
    tender.arg("--mem=4").arg(image).arg(word).stdin(Stdio::null());
    Running::start(tender)
}

/// Stops the process for this time. Returns for how long it stood still at least.
fn pause(running: &Running, time: Duration) -> Outcome<Duration> {
    let number = i32::try_from(running.id()).during("a process's number")?;
    let id = Pid::from_raw(number).ok_or("a process's number")?;
    kill_process(id, Signal::STOP).during("SIGSTOP")?;
    let state = || -> Outcome<bool> {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat"))?;
        Ok(stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
    };
    while !state()? {
        std::thread::sleep(Duration::from_millis(1));
    }
    let stopped = Instant::now();
    std::thread::sleep(time);
    let stood = stopped.elapsed();
    kill_process(id, Signal::CONT).during("SIGCONT")?;
    Ok(stood)
}

/// The clock goes on while the guest is stopped, never back, and like the wall clock.
fn computing(suite: &Suite, target: &str) -> Outcome {
    let mut running = start(suite, target, "compute")?;
    running.wait_for("Computing")?;
    let stood = pause(&running, Duration::from_millis(1500))?;
    let finished = running.finish()?.expect(0, "SUCCESS")?;
    let text = finished.text();
    let jump = text.lines().find_map(|line| line.strip_prefix("Jumped ")?.strip_suffix(" ns"));
    let jump: u64 = jump.ok_or("it did not jump")?.parse().during("the jump")?;
    // The counter's frequency is known within a percent; the host's clock runs by another.
    let least = stood * 99 / 100;
    ensure!(Duration::from_nanos(jump) >= least, "it jumped {jump} ns and stood still {stood:?}");
    Ok(())
}

/// A wait does not end early because of a stop, and ends if its deadline passed meanwhile.
fn waiting(suite: &Suite, target: &str) -> Outcome {
    let mut running = start(suite, target, "wait")?;
    running.wait_for("Waiting")?;
    for _ in 0..5 {
        pause(&running, Duration::from_millis(20))?;
    }
    pause(&running, Duration::from_millis(1100))?;
    running.finish()?.expect(0, "SUCCESS").map(drop)
}

/// In a time namespace the monotonic clock is the namespace's, and deadlines count by it.
fn offset(suite: &Suite) -> Outcome {
    const SECONDS: &str = "100000000";
    let unshare = || {
        let mut command = Command::new("unshare");
        command.args(["--time", "--fork", "--monotonic", SECONDS]);
        command
    };
    let mut probe = unshare();
    probe.arg("true");
    if !probe.output().is_ok_and(|output| output.status.success()) {
        return Err(Stop::Skip("no time namespace can be made".to_owned()));
    }
    let mut tender = unshare();
    tender.arg(suite.tree.program("solo5-spt")).arg("--mem=4");
    tender.arg(suite.spt_image("clock_jump")?).arg(SECONDS).stdin(Stdio::null());
    process::run(tender)?.expect(0, "SUCCESS").map(drop)
}
