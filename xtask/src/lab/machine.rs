//! Runs a machine, shows what its tests print, and tells whether they passed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;

/// The machine's serial line for results. The first serial line goes to a file: it is the kernel's
/// console, whose messages would break into the tests' lines.
pub(crate) const RESULTS: &str = "/dev/ttyS1";

/// Precedes the status of the tests, which the machine prints last.
pub(crate) const STATUS: &str = "lab: status ";

/// Kernel options for every machine: a panic or a lockup ends it, and the kernel's self-tests are off.
pub(crate) const COMMAND_LINE: &str =
    "console=ttyS0,115200 panic=-1 softlockup_panic=1 watchdog_thresh=60 cryptomgr.notests";

/// What an emulator is to boot.
pub(crate) struct Boot {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    /// File for the kernel's console.
    pub(crate) log: PathBuf,
    /// File for the emulator's own messages.
    pub(crate) emulator: PathBuf,
}

/// An emulator with a time limit in seconds, so that a hanging machine does not block the run. Its
/// tests have shorter limits of their own.
pub(crate) fn limited(seconds: u32, emulator: &str) -> Command {
    let mut command = Command::new("timeout");
    // No other signal ends Bochs.
    command.args(["--foreground", "--signal=KILL"]);
    command.args([&seconds.to_string(), emulator]);
    command
}

/// Runs a machine and shows each line of its tests; false if a test failed. The emulator's standard
/// output is the line for results.
pub(crate) fn run(
    boot: &Boot,
    machine: fn(&Boot) -> Result<Command>,
    show: &mut dyn FnMut(&str),
) -> Result<bool> {
    // Empty the logs of an earlier machine.
    for log in [&boot.log, &boot.emulator] {
        File::create(log)?;
    }
    let mut emulator = machine(boot)?;
    emulator.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&boot.emulator)?);
    let mut child = emulator.spawn()?;
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
        let said = [("emulator", &boot.emulator), ("kernel", &boot.log)]
            .map(|(who, log)| last_lines(who, log));
        format!("the machine ended before its tests did ({ended}){}", said.concat()).into()
    })
}

/// The last lines of a log, under a heading.
fn last_lines(who: &str, log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log).unwrap_or_default();
    // Bochs also writes the machine's screen, with codes that move a terminal's cursor.
    let plain = |c: &char| !c.is_control() || *c == '\n';
    let text: String = String::from_utf8_lossy(&text).chars().filter(plain).collect();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let log = log.display();
    if lines.is_empty() {
        return format!("\nthe {who} said nothing: {log}");
    }
    let last = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
    format!("\nlast words of the {who}, from {log}:\n    {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_ends_early_says_what_its_emulator_said() {
        let folder = tempfile::tempdir().unwrap();
        let boot = Boot {
            kernel: PathBuf::new(),
            initramfs: PathBuf::new(),
            log: folder.path().join("log"),
            emulator: folder.path().join("emulator.log"),
        };
        fs::write(&boot.log, "of an earlier machine").unwrap();
        let machine = |_: &Boot| -> Result<Command> {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                "echo test one ... ok; printf 'no ROM \\033image file\\n' >&2; exit 3",
            ]);
            Ok(command)
        };
        let mut shown = Vec::new();
        let error = run(&boot, machine, &mut |line| shown.push(line.to_owned())).unwrap_err();
        let error = error.to_string();
        assert_eq!(shown, ["test one ... ok"]);
        assert!(error.contains("\n    no ROM image file"), "{error}");
        assert!(error.contains("the kernel said nothing"), "{error}");
        assert!(error.contains("status: 3"), "{error}");
    }
}
