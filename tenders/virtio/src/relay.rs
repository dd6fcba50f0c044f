//! What the guest says while it runs: its console, copied to standard output, and its status.
//!
//! The guest's driver of the serial port sends a carriage return before each line feed
//! (`docs/reference/virtio.md#runner`). [`Unreturn`] undoes exactly that, so the console has the same
//! bytes as that of the other tenders.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionread, read, retry_on_intr, write};
use rustix::stdio::stdout;

/// Bytes that are copied at once.
const CHUNK: usize = 4096;

/// What a guest has said until its machine ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it wrote to its console.
    pub anything: bool,
    /// Its status: the last byte that it wrote to the status port. One that goes on after a status has
    /// not exited with it.
    pub status: Option<u8>,
}

/// A pipe that QEMU writes to.
struct Pipe {
    end: OwnedFd,
    is_open: bool,
    /// How many bytes are still read, once QEMU has ended.
    left: Option<u64>,
}

impl Pipe {
    fn of(end: OwnedFd) -> Pipe {
        Pipe { end, is_open: true, left: None }
    }

    /// Ends the pipe behind what is in it now, even if something that QEMU has started keeps it open.
    fn end_here(&mut self) {
        self.left = Some(ioctl_fionread(&self.end).unwrap_or(0));
        self.is_open &= self.left != Some(0);
    }

    /// Reads what there is. Nothing is read at the end.
    fn read<'c>(&mut self, chunk: &'c mut [u8; CHUNK]) -> &'c [u8] {
        let most = self.left.and_then(|left| usize::try_from(left).ok()).unwrap_or(CHUNK);
        let wanted = chunk.get_mut(..most.min(CHUNK)).unwrap_or_default();
        let count = retry_on_intr(|| read(&self.end, &mut *wanted)).unwrap_or(0);
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        self.is_open = count > 0 && self.left != Some(0);
        wanted.get(..count).unwrap_or_default()
    }
}

/// Copies the console to standard output until both pipes end, or until `ended` says that QEMU has, and
/// then what is left in them. A reader of standard output that goes away does not end the guest: the rest
/// is dropped.
pub fn relay(console: OwnedFd, status: OwnedFd, ended: OwnedFd) -> Said {
    let (mut said, mut filter) = (Said::default(), Unreturn::default());
    let (mut console, mut status, mut ended) = (Pipe::of(console), Pipe::of(status), Some(ended));
    let (mut chunk, mut out) = ([0; CHUNK], Vec::with_capacity(CHUNK + 1));
    let mut has_reader = true;
    while console.is_open || status.is_open {
        // A pipe that has ended stays ready for ever, so it is left out.
        let pipes = [&console, &status].map(|pipe| pipe.is_open.then_some(&pipe.end));
        let [console_ready, status_ready, has_ended] =
            match ready([pipes[0], pipes[1], ended.as_ref()]) {
                Ok(ready) => ready,
                Err(_) => break,
            };
        if has_ended {
            ended = None;
            console.end_here();
            status.end_here();
        }
        if console.is_open && console_ready {
            out.clear();
            let bytes = console.read(&mut chunk);
            said.anything |= !bytes.is_empty();
            filter.pass(bytes, &mut out);
            has_reader = has_reader && write_all(&out).is_ok();
        }
        if status.is_open && status_ready {
            said.status = status.read(&mut chunk).last().copied().or(said.status);
        }
    }
    out.clear();
    filter.end(&mut out);
    if has_reader {
        // Nothing follows that an error could keep away.
        let _ = write_all(&out);
    }
    said
}

/// Waits until one of these can be read, and says which.
fn ready(from: [Option<&OwnedFd>; 3]) -> Result<[bool; 3], Errno> {
    let polled = from.iter().flatten();
    let mut polled: Vec<_> =
        polled.map(|one| PollFd::from_borrowed_fd(one.as_fd(), PollFlags::IN)).collect();
    retry_on_intr(|| poll(&mut polled, None))?;
    let mut found = polled.iter().map(|one| !one.revents().is_empty());
    Ok(from.map(|one| one.is_some() && found.next() == Some(true)))
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

    /// The pipes of a guest that has said this much, with their other ends.
    fn pipes(status: &[u8]) -> [(OwnedFd, OwnedFd); 3] {
        let pipes = std::array::from_fn(|_| rustix::pipe::pipe().unwrap());
        let [_, (_, to_status), _] = &pipes;
        write(to_status, status).unwrap();
        pipes
    }

    #[test]
    fn the_last_status_counts_and_the_console_may_end_before() {
        let [(console, to_console), (status, to_status), (ended, _open)] = pipes(&[7, 8]);
        drop((to_console, to_status));
        assert_eq!(relay(console, status, ended), Said { anything: false, status: Some(8) });
    }

    #[test]
    fn pipes_that_stay_open_are_read_up_to_qemus_end() {
        let [(console, _to_console), (status, _to_status), (ended, open)] = pipes(&[0; 5000]);
        drop(open);
        assert_eq!(relay(console, status, ended), Said { anything: false, status: Some(0) });
    }
}
