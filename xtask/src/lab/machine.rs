//! Runs machines, two at a time, shows what their tests print, and tells whether they passed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::thread;

use crate::Result;

/// The serial line for results of a PC. The first serial line goes to a file: it is the kernel's
/// console, whose messages would break into the tests' lines.
pub(crate) const RESULTS: &str = "/dev/ttyS1";

/// Precedes the status of the tests, which the machine prints last.
pub(crate) const STATUS: &str = "lab: status ";

/// Kernel options for every machine: a panic or a lockup ends it, and the kernel's self-tests are off.
pub(crate) const OPTIONS: &str = "panic=-1 softlockup_panic=1 watchdog_thresh=60 cryptomgr.notests";

/// The kernel options of a PC.
pub(crate) fn pc_options() -> String {
    format!("console=ttyS0,115200 {OPTIONS}")
}

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

/// Makes the command that starts an emulator.
pub(crate) type Emulator = fn(&Boot) -> Result<Command>;

/// A machine that is ready to start.
pub(crate) struct Machine {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    pub(crate) name: String,
    pub(super) boot: Boot,
    pub(super) emulator: Emulator,
}

impl Machine {
    /// Runs the machine and shows each line of its tests; false if a test failed. The emulator's
    /// standard output is the line for results.
    ///
    /// # Errors
    /// The machine ends before its tests do.
    pub(crate) fn run(&self, show: &mut dyn FnMut(&str)) -> Result<bool> {
        let boot = &self.boot;
        // Empty the logs of an earlier machine.
        for log in [&boot.log, &boot.emulator] {
            File::create(log)?;
        }
        let mut emulator = (self.emulator)(boot)?;
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
}

/// How many machines run at a time: each keeps a processor busy.
const AT_A_TIME: usize = 2;

/// What comes from machines that run side by side.
pub(crate) enum Line<'a> {
    /// A line of a machine's tests.
    Said { machine: &'a Machine, text: String },
    /// The machine ended: false if a test failed, an error if it ended before its tests did.
    Ended { machine: &'a Machine, result: std::result::Result<bool, String> },
}

/// Runs `machines`, [`AT_A_TIME`], in their order, and calls `show` with each of their lines.
pub(crate) fn run_all(machines: &[Machine], show: &mut dyn FnMut(Line<'_>)) {
    let waiting = Mutex::new(machines.iter());
    let (to, from) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            let to = to.clone();
            scope.spawn(|| {
                let to = to;
                let next = || waiting.lock().map_or(None, |mut waiting| waiting.next());
                while let Some(machine) = next() {
                    let result = machine.run(&mut |text| {
                        // The receiver lives as long as the threads do.
                        let _ = to.send(Line::Said { machine, text: text.to_owned() });
                    });
                    let result = result.map_err(|error| error.to_string());
                    let _ = to.send(Line::Ended { machine, result });
                }
            });
        }
        drop(to);
        from.into_iter().for_each(show);
    });
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
        let emulator = |_: &Boot| -> Result<Command> {
            let mut command = Command::new("sh");
            command.args([
                "-c",
                "echo test one ... ok; printf 'no ROM \\033image file\\n' >&2; exit 3",
            ]);
            Ok(command)
        };
        let machine = Machine { scenario: "one", name: "one".to_owned(), boot, emulator };
        let mut shown = Vec::new();
        let error = machine.run(&mut |line| shown.push(line.to_owned())).unwrap_err();
        let error = error.to_string();
        assert_eq!(shown, ["test one ... ok"]);
        assert!(error.contains("\n    no ROM image file"), "{error}");
        assert!(error.contains("the kernel said nothing"), "{error}");
        assert!(error.contains("status: 3"), "{error}");
    }

    /// An emulator that prints `text` and ends.
    fn says(text: &str) -> Result<Command> {
        let mut command = Command::new("printf");
        command.arg(text);
        Ok(command)
    }

    #[test]
    fn every_machine_is_run_and_its_end_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let machine = |name: &str, emulator: Emulator| {
            let file = |what: &str| folder.path().join(format!("{name}.{what}"));
            let boot = Boot {
                kernel: PathBuf::new(),
                initramfs: PathBuf::new(),
                log: file("log"),
                emulator: file("emulator"),
            };
            Machine { scenario: "all", name: name.to_owned(), boot, emulator }
        };
        let passes: Emulator = |_| says("test one ... ok\\nlab: status 0\\n");
        let fails: Emulator = |_| says("test two ... FAILED\\nlab: status 1\\n");
        let hangs: Emulator = |_| says("test three");
        let machines = [machine("a", passes), machine("b", fails), machine("c", hangs)];
        let (mut said, mut ended) = (Vec::new(), Vec::new());
        run_all(&machines, &mut |line| match line {
            Line::Said { machine, text } => said.push(format!("{}: {text}", machine.name)),
            Line::Ended { machine, result } => {
                ended.push(format!("{}: {:?}", machine.name, result.map_err(|_| "early")));
            }
        });
        said.sort();
        ended.sort();
        assert_eq!(said, ["a: test one ... ok", "b: test two ... FAILED", "c: test three"]);
        assert_eq!(ended, ["a: Ok(true)", "b: Ok(false)", "c: Err(\"early\")"]);
    }
}
