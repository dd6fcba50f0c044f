//! What the guest says while it runs: its console, copied to standard output, and its status.
//!
//! The guest's driver of the serial port sends a carriage return before each line feed
//! (`docs/reference/virtio.md#runner`). [`Unreturn`] undoes exactly that, so the console has the same
//! bytes as that of the other tenders.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::stdio::stdout;

/// Bytes that are copied at once.
const CHUNK: usize = 4096;

/// What a guest has said until its machine ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it wrote to its console.
    pub anything: bool,
    /// Its status: the first byte that it wrote to the status port.
    pub status: Option<u8>,
}

/// Copies the console to standard output until both pipes end. A reader of standard output that goes
/// away does not end the guest: the rest is dropped.
pub fn relay(console: &OwnedFd, status: &OwnedFd) -> Said {
    let (mut said, mut filter) = (Said::default(), Unreturn::default());
    let (mut open, mut has_reader) = ([true, true], true);
    let (mut chunk, mut out) = ([0; CHUNK], Vec::with_capacity(CHUNK + 1));
    while open != [false, false] {
        let mut ready = [
            PollFd::from_borrowed_fd(console.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(status.as_fd(), PollFlags::IN),
        ];
        // A pipe that has ended stays ready for ever, so it is left out.
        let ready = match open {
            [true, true] => &mut ready[..],
            [true, false] => &mut ready[..1],
            _ => &mut ready[1..],
        };
        if retry_on_intr(|| poll(ready, None)).is_err() {
            break;
        }
        let is_ready: Vec<bool> = ready.iter().map(|pipe| !pipe.revents().is_empty()).collect();
        let (first, last) = (is_ready.first() == Some(&true), is_ready.last() == Some(&true));
        if open[0] && first {
            let count = retry_on_intr(|| read(console, &mut chunk)).unwrap_or(0);
            out.clear();
            match chunk.get(..count).filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => {
                    said.anything = true;
                    filter.pass(bytes, &mut out);
                }
                None => {
                    open[0] = false;
                    filter.end(&mut out);
                }
            }
            has_reader = has_reader && write_all(&out).is_ok();
        }
        if open[1] && last {
            match retry_on_intr(|| read(status, &mut chunk)).unwrap_or(0) {
                0 => open[1] = false,
                _ => said.status = said.status.or(chunk.first().copied()),
            }
        }
    }
    said
}

/// Writes all of `bytes` to standard output. Waits for a slow reader, even if the descriptor is
/// non-blocking.
fn write_all(mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match retry_on_intr(|| write(stdout(), bytes)) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::AGAIN) => {
                let mut ready = [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)];
                retry_on_intr(|| poll(&mut ready, None))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes one carriage return out before each line feed of a stream.
#[derive(Debug, Default)]
pub struct Unreturn {
    /// Whether a carriage return came last and was not passed on yet.
    held: bool,
}

impl Unreturn {
    /// Passes `bytes` on to `out`.
    pub fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for byte in bytes {
            if self.held && *byte != b'\n' {
                out.push(b'\r');
            }
            self.held = *byte == b'\r';
            if !self.held {
                out.push(*byte);
            }
        }
    }

    /// Passes on what is held back at the end of the stream.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.held) {
            out.push(b'\r');
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_the_driver_adds_is_taken_out_however_it_is_cut(
            text in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200),
            size in 1_usize..9,
        ) {
            let mut sent = Vec::new();
            for byte in &text {
                if *byte == b'\n' {
                    sent.push(b'\r');
                }
                sent.push(*byte);
            }
            let (mut filter, mut out) = (Unreturn::default(), Vec::new());
            sent.chunks(size).for_each(|chunk| filter.pass(chunk, &mut out));
            filter.end(&mut out);
            prop_assert_eq!(out, text);
        }
    }

    #[test]
    fn the_first_status_counts_and_the_console_may_end_before() {
        let ((console, to_console), (status, to_status)) =
            (rustix::pipe::pipe().unwrap(), rustix::pipe::pipe().unwrap());
        drop(to_console);
        write(&to_status, &[7, 8]).unwrap();
        drop(to_status);
        assert_eq!(relay(&console, &status), Said { anything: false, status: Some(7) });
    }
}
