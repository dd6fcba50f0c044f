//! QEMU's monitor, over which this program asks one thing: whether the machine still runs.
//!
//! QEMU does not end when a machine cannot go on, for example at an instruction that KVM cannot
//! emulate. It stops the machine, and waits for somebody who examines it. The only sign is an event
//! on the monitor (QMP, one line of JSON each way).

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use serde_json::Value;
use solo5_tender::error::Error;
use solo5_tender::start::host;
use solo5_tender::sys::Errno;

/// Longest line that is read, in bytes.
const LINE_MAX: usize = 16 << 10;
/// Ends negotiation, after which QEMU sends events. The question is for a machine that was stopped
/// before.
const FIRST: &[u8] = b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"query-status\"}\n";
const QUESTION: &[u8] = b"{\"execute\":\"query-status\"}\n";
/// States that only somebody at the monitor could end.
const FINAL: [&str; 4] = ["internal-error", "io-error", "guest-panicked", "paused"];

/// This program's end of the monitor.
#[derive(Debug)]
pub struct Monitor {
    stream: UnixStream,
    /// What was read of a line that is not complete.
    line: Vec<u8>,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that matters.
    Nothing,
    /// The machine is in this state, and stays there.
    Stopped(&'static str),
    /// QEMU has closed the monitor, or does not speak its language.
    Closed,
}

impl Monitor {
    /// A monitor, and QEMU's end of it.
    ///
    /// # Errors
    ///
    /// A system call failed.
    pub fn pair() -> Result<(Monitor, OwnedFd), Error> {
        let failed = |error: std::io::Error| {
            host("socketpair()")(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        };
        let (mut stream, other) = UnixStream::pair().map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        stream.write_all(FIRST).map_err(failed)?;
        Ok((Monitor { stream, line: Vec::new() }, other.into()))
    }

    /// Reads what is there, and asks for the state if the machine has stopped.
    pub fn hear(&mut self) -> Heard {
        let mut chunk = [0; 4096];
        let count = match self.stream.read(&mut chunk) {
            Ok(0) => return Heard::Closed,
            Ok(count) => count,
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Heard::Nothing;
            }
            Err(_) => return Heard::Closed,
        };
        for byte in chunk.iter().take(count) {
            match byte {
                b'\n' => {
                    let line: Value = match serde_json::from_slice(&std::mem::take(&mut self.line))
                    {
                        Ok(line) => line,
                        Err(_) => return Heard::Closed,
                    };
                    if let Some(state) = FINAL.iter().find(|one| line["return"]["status"] == **one)
                    {
                        return Heard::Stopped(state);
                    }
                    if line["event"] == "STOP" && self.stream.write_all(QUESTION).is_err() {
                        return Heard::Closed;
                    }
                }
                _ if self.line.len() == LINE_MAX => return Heard::Closed,
                byte => self.line.push(*byte),
            }
        }
        Heard::Nothing
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is heard of a QEMU that says this and goes away, and what it is asked.
    fn heard(said: &[u8]) -> (Heard, String) {
        let (mut monitor, other) = Monitor::pair().unwrap();
        let mut other = UnixStream::from(other);
        other.write_all(said).unwrap();
        other.shutdown(std::net::Shutdown::Write).unwrap();
        let found = loop {
            match monitor.hear() {
                Heard::Nothing => {}
                found => break found,
            }
        };
        drop(monitor);
        let mut asked = String::new();
        other.read_to_string(&mut asked).unwrap();
        (found, asked)
    }

    #[test]
    fn a_stop_leads_to_a_question_and_its_answer_counts() {
        let greeting =
            "{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n{\"return\": {}}\r\n";
        let running = "{\"return\": {\"status\": \"running\", \"running\": true}}\r\n";
        let (found, asked) = heard(format!("{greeting}{running}").as_bytes());
        assert_eq!(found, Heard::Closed);
        assert_eq!(asked.as_bytes(), FIRST);
        let stop = "{\"timestamp\": {\"seconds\": 1}, \"event\": \"STOP\"}\r\n";
        let state = "{\"return\": {\"status\": \"internal-error\", \"running\": false}}\r\n";
        let (found, asked) = heard(format!("{greeting}{running}{stop}{state}").as_bytes());
        assert_eq!(found, Heard::Stopped("internal-error"));
        assert_eq!(asked.as_bytes(), [FIRST, QUESTION].concat());
        // Stopped to be shut down.
        let state = "{\"return\": {\"status\": \"shutdown\"}}\r\n";
        assert_eq!(heard(format!("{stop}{state}").as_bytes()).0, Heard::Closed);
    }

    #[test]
    fn a_line_without_end_closes_it() {
        assert_eq!(heard(&[b' '; LINE_MAX + 1]).0, Heard::Closed);
        assert_eq!(heard(&[b'['; 9999]).0, Heard::Closed);
        assert_eq!(heard("[".repeat(9999).as_bytes()).0, Heard::Closed);
        assert_eq!(heard(("[".repeat(9999) + "\n").as_bytes()).0, Heard::Closed);
    }

    proptest! {
        #[test]
        fn any_bytes_end(said in prop::collection::vec(any::<u8>(), 0..2000)) {
            prop_assert_eq!(heard(&said).0, Heard::Closed);
        }
    }
}
