//! `--report`: one line of JSON on how a launch ended.
//!
//! ```json
//! {"outcome":"guest-exit","status":0,"reasons":[]}
//! ```
//!
//! An spt guest takes over the tender's own process, so no tender code is left in it to report. So
//! with `--report`, and only then, a tender forks at the very start. The child does the whole
//! launch. The parent only passes signals on, waits, reports, and ends exactly as the child did.
//! The two share a memfd. In it the child writes that it hands over to the guest, or why it does
//! not. The parent claims no more than it knows: if the child ends without having written either,
//! the outcome is `bug`, or `signal` if a signal from outside ended it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::fs::{Access, FileType, MemfdFlags, Mode, OFlags};
use rustix::pipe::PipeFlags;
use serde_json::{Value, json};
use solo5_launch::{FileOrFd, Request, Unfit};
use solo5_report::{json as json_text, os_text};

use crate::arch::PC;
use crate::attach::Inherited;
use crate::error::{CODE_STACK_OVERFLOW, EXIT_CANNOT, Error, Reason, Refusal, STACK_OVERFLOW};
use crate::process::{self, Pid, WaitStatus};
use crate::sys::Errno;
use crate::sys::users::CallersRights;
use crate::trace::{self, Cause, Fault};
use crate::used_files;

/// How a launch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest ended itself with its own status.
    GuestExit,
    /// The guest was ended for a fault.
    GuestFault,
    /// No guest was started: the launch is not possible.
    Cannot,
    /// No guest was started: a policy denies the launch.
    Denied,
    /// A signal from outside ended the process.
    Signal,
    /// The tender itself failed.
    Bug,
}

impl Outcome {
    /// The word in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::GuestExit => "guest-exit",
            Outcome::GuestFault => "guest-fault",
            Outcome::Cannot => "cannot",
            Outcome::Denied => "denied",
            Outcome::Signal => "signal",
            Outcome::Bug => "bug",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Exit(i32),
    Signal(i32),
}

/// The child's handle of the shared file, in which it records what becomes of the launch.
#[derive(Debug)]
pub struct Reporter {
    shared: File,
}

const STARTED: &str = "started";
/// Followed by start and end of the guard below the guest's stack.
const GUARD: &str = "guard ";

impl Reporter {
    /// Records where the guard below the guest's stack lies.
    pub fn guard(&mut self, guard: &Range<u64>) -> Result<(), Error> {
        self.line(format_args!("{GUARD}{} {}", guard.start, guard.end))
    }

    /// Records that the guest is about to start.
    pub fn started(&mut self) -> Result<(), Error> {
        self.line(format_args!("{STARTED}"))
    }

    /// Records how the guest ended, for a tender that stays beside it.
    pub fn ended(
        &mut self,
        outcome: Outcome,
        status: u8,
        reason: Option<(&str, &str)>,
    ) -> Result<(), Error> {
        let mut line = String::new();
        // Writing to a String cannot fail.
        let _ = ending(&mut line, outcome, status, reason);
        self.line(format_args!("{}", line.trim_end()))
    }

    fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Error> {
        writeln!(self.shared, "{line}").map_err(|error| Error::Host {
            what: "write()",
            error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })
    }

    /// Records why no guest is started. Best effort: the lines on standard error say the same.
    pub fn refused(&mut self, refusal: &Refusal) {
        let _ = writeln!(self.shared, "{}", json_text::text(&refusal_json(refusal)));
    }

    /// The descriptor of the shared file. It must stay open until the guest runs. A tender that
    /// stays beside its guest (hvt) writes the guest's [`ending`] there.
    pub fn fd(&self) -> RawFd {
        self.shared.as_raw_fd()
    }
}

/// Writes how the guest ended, for a tender that stays beside its guest. Does not allocate.
/// `message` must not need escapes in JSON.
pub fn ending(
    out: &mut impl fmt::Write,
    outcome: Outcome,
    status: u8,
    reason: Option<(&str, &str)>,
) -> fmt::Result {
    write!(out, r#"{{"outcome":"{}","status":{status},"reasons":["#, outcome.name())?;
    if let Some((code, message)) = reason {
        write!(out, r#"{{"code":"{code}","message":"{message}"}}"#)?;
    }
    writeln!(out, "]}}")
}

fn refusal_json(refusal: &Refusal) -> Value {
    let outcome = if refusal.denied { Outcome::Denied } else { Outcome::Cannot };
    let reasons = refusal.reasons.iter();
    let reasons = reasons.map(|Reason { code, text }| {
        // The code has a field of its own, so it is removed from the message.
        json!({"code": code, "message": text.replacen(&format!("error[{code}]: "), "", 1)})
    });
    json!({
        "outcome": outcome.name(),
        "status": refusal.status(),
        "reasons": reasons.collect::<Vec<_>>(),
    })
}

/// The guard that the child has recorded.
fn guard(said: &str) -> Option<Range<u64>> {
    let (start, end) = said.lines().find_map(|line| line.strip_prefix(GUARD))?.split_once(' ')?;
    Some(start.parse().ok()?..end.parse().ok()?)
}

/// The report on a child that wrote `said` to the shared file and then ended with `end`. `cause` is
/// that of its last signal.
fn conclude(end: End, said: &str, cause: Option<Cause>) -> Value {
    let last = said.lines().last().unwrap_or_default();
    if last != STARTED
        && let Ok(refusal) = serde_json::from_str::<Value>(last)
    {
        return refusal;
    }
    let sent = |signal| cause == Some(Cause::Sent(signal));
    let outcome = match end {
        End::Signal(signal) if sent(signal) => Outcome::Signal,
        End::Exit(_) if last == STARTED => Outcome::GuestExit,
        End::Signal(signal) if last == STARTED && process::is_fault(signal) => Outcome::GuestFault,
        End::Signal(signal) if !process::is_fault(signal) && signal != libc::SIGABRT => {
            Outcome::Signal
        }
        // A guest cannot abort the process. And a child that ends before the guest runs should have
        // recorded a refusal.
        _ => Outcome::Bug,
    };
    let mut reasons = Vec::new();
    if outcome == Outcome::GuestFault
        && let Some(Cause::Access(fault)) = cause
        && guard(said).is_some_and(|guard| fault.is_overflow(&guard))
    {
        let Fault { address, instruction, .. } = fault;
        // `solo5-elftool symbolize` looks for `rip=` and `pc=`.
        let message = format!("{STACK_OVERFLOW}: access to {address:#x}, {PC}={instruction:#x}");
        reasons.push(json!({"code": CODE_STACK_OVERFLOW, "message": message}));
    }
    match end {
        End::Exit(status) => json!({"outcome": outcome.name(), "status": status, "reasons": []}),
        End::Signal(signal) => json!({
            "outcome": outcome.name(),
            "status": 128 + signal,
            "signal": process::signal_name(signal),
            "reasons": reasons,
        }),
    }
}

/// Where reports go.
#[derive(Debug)]
pub struct Sink {
    place: Place,
    target: String,
}

#[derive(Debug)]
enum Place {
    /// An open file.
    Open(File),
    /// A file that is created only when there is a report to write, so that nothing is created
    /// before the policies have decided.
    ToCreate(OsString),
}

impl Sink {
    /// Opens an existing file to append to, notes the path of one to be created, or takes an
    /// inherited descriptor. Refuses a file that the launch `request` uses, such as a disk: this
    /// must be known before anything fails, because a failed launch is reported too.
    pub fn open(
        target: &FileOrFd,
        request: &Request,
        inherited: &mut Inherited,
    ) -> Result<Sink, Error> {
        let (opened, target) = match target {
            FileOrFd::Path(path) => {
                let _rights = CallersRights::take();
                let opened = match append(path, OFlags::empty()) {
                    Err(Errno::NOENT) => can_make(path).map(|()| Place::ToCreate(path.clone())),
                    opened => opened.map(Place::Open),
                };
                (opened, os_text(path.as_os_str()).into_owned())
            }
            FileOrFd::Fd(fd) => {
                let opened = inherited.take(*fd).and_then(for_writing);
                let opened = opened.map(|fd| Place::Open(File::from(fd)));
                (opened, format!("descriptor {fd}"))
            }
        };
        match opened {
            Ok(place) => {
                let used = match &place {
                    Place::Open(file) => used_files::use_of(file, request),
                    Place::ToCreate(_) => None,
                };
                match used {
                    Some(what) => Err(Unfit::ReportUsed { target, what }.into()),
                    None => Ok(Sink { place, target }),
                }
            }
            Err(error) => Err(Error::Report { target, error }),
        }
    }

    fn write(&mut self, report: &Value) -> Result<(), Error> {
        let line = json_text::text(report) + "\n";
        let write = |mut file: &File| {
            let written = file.write_all(line.as_bytes());
            written.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        };
        let written = match &self.place {
            Place::Open(file) => write(file),
            Place::ToCreate(path) => {
                let _rights = CallersRights::take();
                append(path, OFlags::CREATE).and_then(|file| write(&file))
            }
        };
        written.map_err(|error| Error::Report { target: self.target.clone(), error })
    }
}

/// Opens a file to append to. Opening a pipe would wait for a reader, so a pipe is refused, whether
/// or not it has one. An inherited pipe is already open.
fn append(path: &OsStr, further: OFlags) -> Result<File, Errno> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOCTTY;
    let opened =
        rustix::fs::open(path, flags | OFlags::NONBLOCK | further, Mode::from_raw_mode(0o644));
    let file = match opened {
        // A pipe without a reader.
        Err(Errno::NXIO) => return Err(Errno::SPIPE),
        opened => opened?,
    };
    if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Fifo {
        return Err(Errno::SPIPE);
    }
    rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
    Ok(File::from(file))
}

/// Refuses a descriptor that cannot be written to, with the error of writing.
fn for_writing(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    let reads = flags & OFlags::ACCMODE == OFlags::RDONLY || flags.contains(OFlags::PATH);
    if reads { Err(Errno::BADF) } else { Ok(fd) }
}

/// Checks that the caller may create a file at `path`.
fn can_make(path: &OsStr) -> Result<(), Errno> {
    let folder = Path::new(path).parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    // `access` checks with the real user's rights.
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)
}

/// Forks, and returns in the child, which does the rest of the launch. The parent never returns: it
/// reports to `sink` how the child ended, and ends the same way. `complain` prints an error. With
/// `trace`, for a tender whose process becomes the guest, the parent also finds out where it faults, and
/// which signals come from other processes.
pub fn watch(mut sink: Sink, trace: bool, complain: impl Fn(&Error)) -> Result<Reporter, Error> {
    let (shared, child, blocked) = match split(trace) {
        Ok(Split::Child(reporter)) => return Ok(reporter),
        Ok(Split::Parent(shared, child, blocked)) => (shared, child, blocked),
        Err(error) => {
            sink.write(&refusal_json(&error.clone().into()))?;
            return Err(error);
        }
    };
    let (end, cause) = match wait(child, &blocked) {
        Ok(ended) => ended,
        Err(error) => {
            let what = "waitpid()";
            complain(&Error::Host { what, error });
            process::forward(child, libc::SIGKILL);
            std::process::exit(EXIT_CANNOT.into());
        }
    };
    if let Err(error) = sink.write(&conclude(end, &read_shared(shared), cause)) {
        complain(&error);
    }
    match end {
        End::Exit(status) => std::process::exit(status),
        End::Signal(signal) => process::die_of(signal),
    }
}

enum Split {
    Child(Reporter),
    Parent(File, Pid, process::Signals),
}

/// Makes the shared file, blocks signals, and forks. With `trace` the child goes on when it is traced,
/// or when it cannot be.
fn split(trace: bool) -> Result<Split, Error> {
    let host = |what| move |error| Error::Host { what, error };
    let shared = rustix::fs::memfd_create(c"outcome", MemfdFlags::CLOEXEC);
    let shared = shared.map(File::from).map_err(host("memfd_create()"))?;
    let (blocked, before) = process::block_signals().map_err(host("sigprocmask()"))?;
    // The child waits for the end of this pipe. Later it could not be traced any more.
    let (traced, tracing) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(host("pipe2()"))?;
    match process::fork().map_err(host("fork()"))? {
        Some(child) => {
            if trace {
                // Without it, the report only says less.
                let _ = trace::seize(child);
            }
            drop(tracing);
            Ok(Split::Parent(shared, child, blocked))
        }
        None => {
            drop(tracing);
            let read = rustix::io::retry_on_intr(|| rustix::io::read(&traced, &mut [0]));
            read.map_err(host("read()"))?;
            process::restore_signals(&before).map_err(host("sigprocmask()"))?;
            Ok(Split::Child(Reporter { shared }))
        }
    }
}

fn read_shared(mut shared: File) -> String {
    let mut said = Vec::new();
    // If nothing can be read, the child counts as having written nothing.
    let _ = shared.rewind().and_then(|()| shared.read_to_end(&mut said));
    String::from_utf8_lossy(&said).into_owned()
}

/// Passes signals on to `child` until it has ended. Also returns the cause of its last signal, if it is
/// traced.
fn wait(child: Pid, blocked: &process::Signals) -> Result<(End, Option<Cause>), Errno> {
    let mut cause = None;
    loop {
        let signal = process::next_signal(blocked)?;
        if !process::is_about_children(signal) {
            process::forward(child, signal);
            continue;
        }
        // Several changes of a child may come with one signal.
        while let Some(status) = process::ended(child)? {
            if status.stopped() {
                cause = trace::resume(child, status).or(cause);
                continue;
            }
            let end = end_of(status).ok_or(Errno::CHILD)?;
            return Ok((end, cause));
        }
    }
}

fn end_of(status: WaitStatus) -> Option<End> {
    let exit = status.exit_status().map(End::Exit);
    exit.or_else(|| status.terminating_signal().map(End::Signal))
}

#[cfg(test)]
mod tests {
    use solo5_abi::Target;
    use solo5_launch::Modules;

    use super::*;

    #[test]
    fn a_report_claims_no_more_than_is_known() {
        let outcome = |end, said| {
            let report = conclude(end, said, None);
            (report["outcome"].as_str().unwrap().to_owned(), report["status"].as_i64().unwrap())
        };
        let started = "started\n";
        let is = |name: &str, status| (name.to_owned(), status);
        assert_eq!(outcome(End::Exit(3), started), is("guest-exit", 3));
        assert_eq!(outcome(End::Signal(libc::SIGSYS), started), is("guest-fault", 159));
        assert_eq!(outcome(End::Signal(libc::SIGTERM), started), is("signal", 143));
        assert_eq!(outcome(End::Signal(libc::SIGKILL), ""), is("signal", 137));
        assert_eq!(outcome(End::Signal(libc::SIGABRT), ""), is("bug", 134));
        assert_eq!(outcome(End::Signal(libc::SIGSEGV), ""), is("bug", 139));
        assert_eq!(outcome(End::Exit(0), ""), is("bug", 0));
        let mut said = started.to_owned();
        let reason = Some(("T454", "Invalid guest hypercall: num=4"));
        ending(&mut said, Outcome::GuestFault, 1, reason).unwrap();
        assert_eq!(outcome(End::Exit(1), &said), is("guest-fault", 1));
        assert_eq!(conclude(End::Exit(1), &said, None)["reasons"][0]["code"], "T454");
        let said = "guard 4096 8192\nstarted\n";
        let fault =
            |address, stack| Some(Cause::Access(Fault { address, stack, instruction: 0x10_0d21 }));
        let reasons = |end, said, cause| conclude(end, said, cause)["reasons"].clone();
        let segv = End::Signal(libc::SIGSEGV);
        let overflow = reasons(segv, said, fault(8191, 8192));
        let expected = json!([{"code": "T445", "message": format!("stack overflow: access to 0x1fff, {PC}=0x100d21")}]);
        assert_eq!(overflow, expected);
        for (end, said, fault) in [
            (segv, said, None),
            (segv, said, fault(8191, 1 << 20)),
            (segv, started, fault(8191, 8192)),
            (End::Exit(0), said, fault(8191, 8192)),
        ] {
            assert_eq!(reasons(end, said, fault), json!([]));
        }
        for (signal, said, sent, expected) in [
            (libc::SIGSEGV, said, libc::SIGSEGV, "signal"),
            (libc::SIGABRT, said, libc::SIGABRT, "signal"),
            (libc::SIGSEGV, "", libc::SIGSEGV, "signal"),
            (libc::SIGSYS, said, libc::SIGSEGV, "guest-fault"),
        ] {
            let report = conclude(End::Signal(signal), said, Some(Cause::Sent(sent)));
            assert_eq!((&report["outcome"], &report["reasons"]), (&json!(expected), &json!([])));
        }
        let refusal = Refusal::from(Error::Unmet(solo5_launch::Unmet::ExecutableHeap));
        let said = format!("started\n{}\n", refusal_json(&refusal));
        assert_eq!(outcome(End::Exit(1), &said), is("cannot", 1), "the last line counts");
        let reason = &conclude(End::Exit(1), &said, None)["reasons"][0];
        assert_eq!(reason["code"], "T432");
        let message = reason["message"].as_str().unwrap();
        assert!(!message.contains("T432") && !message.contains("error"), "{message}");
        let text = "p.yaml:1:2: error[P203]: no policy".to_owned();
        let reasons = vec![Reason { code: "P203".to_owned(), text }];
        let refusal = Refusal { reasons, ..Refusal::cannot("P203", Vec::new()) };
        assert_eq!(refusal_json(&refusal)["reasons"][0]["message"], "p.yaml:1:2: no policy");
    }

    #[test]
    fn a_report_file_is_created_by_the_first_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report");
        let mut inherited = Inherited::find([], [false; 3]);
        let modules = Modules::ordinary(Target::Spt);
        let request = solo5_launch::read(&["nosuch.spt".into()], &modules).unwrap();
        let mut open = |path: &Path| {
            Sink::open(&FileOrFd::Path(path.as_os_str().to_owned()), &request, &mut inherited)
        };
        let mut sink = open(&path).unwrap();
        assert!(!path.exists(), "not before there is a report");
        sink.write(&json!(1)).unwrap();
        open(&path).unwrap().write(&json!(2)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n");
        assert_eq!(open(&folder.path().join("none/report")).unwrap_err().code(), "T443");
        let pipe = folder.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, mode, 0).unwrap();
        let refused = open(&pipe).unwrap_err();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let _reader = rustix::fs::open(&pipe, flags, Mode::empty()).unwrap();
        assert_eq!(open(&pipe).unwrap_err(), refused, "whether or not it is read");
    }
}
