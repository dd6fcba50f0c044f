//! A machine: starting it, showing what its tests print, and what became of them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The machine's line for results. The first one is the kernel's console, which breaks into any
/// line it likes; that one goes to a file.
pub(crate) const RESULTS: &str = "/dev/ttyS1";

/// What the machine prints before the status of its tests.
pub(crate) const STATUS: &str = "lab: status ";

/// What every kernel is told. One that is stuck ends the machine; no time goes to its own tests.
pub(crate) const COMMAND_LINE: &str =
    "console=ttyS0,115200 panic=-1 softlockup_panic=1 watchdog_thresh=60 cryptomgr.notests";

/// What an emulator is to boot.
pub(crate) struct Boot {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    /// Where the kernel's console goes.
    pub(crate) log: PathBuf,
}

/// An emulator that is ended after so many seconds: a machine that hangs must not hang us. Its
/// tests have their own, shorter limits.
pub(crate) fn limited(seconds: u32, emulator: &str) -> Command {
    let mut command = Command::new("timeout");
    // Bochs does not end by another signal.
    command.args(["--foreground", "--signal=KILL"]);
    command.args([&seconds.to_string(), emulator]);
    command
}

/// Runs a machine, whose standard output is its line for results, and shows each line of its
/// tests; false if a test failed.
pub(crate) fn run(mut emulator: Command, log: &Path, show: &mut dyn FnMut(&str)) -> Result<bool> {
    let mut child = emulator.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let results = child.stdout.take().ok_or("the machine has no line for results")?;
    let mut status = None;
    for line in BufReader::new(results).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        match line.strip_prefix(STATUS) {
            Some(code) => status = code.parse::<u8>().ok(),
            None => show(&line),
        }
    }
    let ended = child.wait()?;
    status.map(|code| code == 0).ok_or_else(|| {
        let log = log.display();
        format!("the machine ended before its tests did ({ended}); its console: {log}").into()
    })
}
