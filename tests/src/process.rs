//! A child process with a time limit, and everything it printed.

use std::io::{PipeReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::directive::Signal;
use crate::outcome::{Context, Outcome};
use crate::{ensure, fail};

/// The time that upstream's test-suite gives a unikernel (`docs/reference/toolchain.md#tests`),
/// times `SOLO5_PATIENCE`, the factor by which the machine is slower.
fn time_limit() -> Duration {
    let patience = std::env::var("SOLO5_PATIENCE").ok();
    let factor = patience.and_then(|factor| factor.parse().ok());
    Duration::from_secs(60) * factor.unwrap_or(1)
}

/// Time limit for a build of an example, dependencies included.
pub const BUILD_TIME_LIMIT: Duration = Duration::from_secs(600);

/// More output than any test prints; what comes after is dropped.
const OUTPUT_LIMIT: usize = 16 << 20;

/// A process under way. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    deadline: Instant,
}

/// A process that has ended.
#[derive(Debug)]
pub struct Finished {
    /// As a shell reports it: 128 and the signal's number for a death by signal.
    pub status: i32,
    /// Standard output and standard error, as they came.
    pub output: Vec<u8>,
}

impl Running {
    /// Starts `command` with both its outputs in one pipe, and no input unless it has one.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(command: Command) -> Outcome<Self> {
        Self::start_within(command, time_limit())
    }

    fn start_within(mut command: Command, limit: Duration) -> Outcome<Self> {
        let (reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let child =
            command.spawn().during(format!("starting {}", command.get_program().display()))?;
        // The pipe ends when the child's descriptors close, so ours must be gone first.
        drop(command);
        let output = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&output);
        let reader = std::thread::spawn(move || collect(reader, &sink));
        Ok(Self { child, output, reader: Some(reader), deadline: Instant::now() + limit })
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `text` has been printed.
    ///
    /// # Errors
    /// The process ends or the time is up before that.
    pub fn wait_for(&mut self, text: &str) -> Outcome {
        loop {
            // The status first, so that output from just before the end counts.
            let ended = self.child.try_wait()?;
            if ended.is_some()
                && let Some(reader) = self.reader.take()
            {
                // The reader does not panic; if it did, some output would be missing.
                let _ = reader.join();
            }
            if contains(&self.printed(), text.as_bytes()) {
                return Ok(());
            }
            if let Some(status) = ended {
                let output = self.printed();
                fail!("ended with {status} before printing {text:?}:\n{}", lossy(&output));
            }
            if Instant::now() > self.deadline {
                fail!("{text:?} was not printed in time:\n{}", lossy(&self.printed()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What has been printed so far.
    #[must_use]
    pub fn printed(&self) -> Vec<u8> {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it has ended.
    ///
    /// # Errors
    /// The host cannot say.
    pub fn has_ended(&mut self) -> Outcome<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Sends SIGKILL; the process may be gone already.
    pub fn kill(&mut self) {
        // This fails only for a child already reaped, which is what is wanted.
        let _ = self.child.kill();
    }

    /// Sends `signal`.
    ///
    /// # Errors
    /// The process is gone.
    pub fn signal(&mut self, signal: Signal) -> Outcome {
        let number = match signal {
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
        };
        // It has not been waited for, so the number is still its own.
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, number).during("kill()")
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// The time is up; the process is killed.
    pub fn finish(mut self) -> Outcome<Finished> {
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > self.deadline {
                self.kill();
                fail!("still running when its time was up:\n{}", lossy(&self.printed()));
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if let Some(reader) = self.reader.take() {
            ensure!(reader.join().is_ok(), "reading the output failed");
        }
        Ok(Finished { status: shell_status(status), output: self.printed() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        // Reaps it; nothing is left to report an error to.
        let _ = self.child.wait();
    }
}

impl Finished {
    /// The output for a person.
    #[must_use]
    pub fn text(&self) -> String {
        lossy(&self.output)
    }

    /// Whether the output contains `text`.
    #[must_use]
    pub fn printed(&self, text: &str) -> bool {
        contains(&self.output, text.as_bytes())
    }

    /// Fails unless the status is `status` and the output contains `text`.
    ///
    /// # Errors
    /// What it was, and the whole output.
    pub fn expect(self, status: i32, text: &str) -> Outcome<Self> {
        ensure!(
            self.status == status,
            "status {}, expected {status}:\n{}",
            self.status,
            self.text()
        );
        ensure!(self.printed(text), "no {text:?} in the output:\n{}", self.text());
        Ok(self)
    }
}

/// Runs `command` to its end.
///
/// # Errors
/// It cannot be started, or takes too long.
pub fn run(command: Command) -> Outcome<Finished> {
    Running::start(command)?.finish()
}

/// Runs `command` to its end, which may take as long as `limit`.
///
/// # Errors
/// It cannot be started, or takes too long.
pub fn run_within(command: Command, limit: Duration) -> Outcome<Finished> {
    Running::start_within(command, limit)?.finish()
}

/// Runs `command`, which must succeed, for its output.
///
/// # Errors
/// It fails; the message has the command and what it printed.
pub fn succeed(command: Command) -> Outcome<String> {
    let shown = format!("{command:?}");
    let finished = run(command)?;
    ensure!(finished.status == 0, "{shown}: status {}:\n{}", finished.status, finished.text());
    Ok(finished.text())
}

fn collect(mut reader: PipeReader, sink: &Mutex<Vec<u8>>) {
    let mut buffer = [0; 65536];
    // A read error ends the collection like the end of the pipe; the verdict is about the output.
    while let Ok(size @ 1..) = reader.read(&mut buffer) {
        let mut output = sink.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_LIMIT.saturating_sub(output.len());
        output.extend(buffer.iter().take(size.min(room)));
    }
}

fn contains(output: &[u8], text: &[u8]) -> bool {
    text.is_empty() || output.windows(text.len()).any(|window| window == text)
}

fn lossy(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn shell_status(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Finished {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command).expect("sh runs")
    }

    #[test]
    fn output_and_status() {
        let finished = sh("echo out; echo err >&2; exit 7");
        assert_eq!(finished.status, 7);
        assert_eq!(finished.text(), "out\nerr\n");
        assert_eq!(sh("kill -SEGV $$").status, 139);
    }
}
