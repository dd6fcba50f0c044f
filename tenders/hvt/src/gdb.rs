//! A debugger for the guest (`docs/reference/hvt.md#gdb`): `--gdb`, only in `solo5-hvt-debug`.
//!
//! The crate `gdbstub` speaks the protocol; this module connects it to the machine. The tender
//! accepts one connection, on the loopback interface or a Unix socket, before it enters the
//! sandbox. The connection lasts until the guest ends, is killed, or runs on after a detach.
//! Nothing allocates once the filter is installed.
//!
//! The debugger writes to guest memory through a mapping of its own, so that the guest's page
//! protections stay unchanged. Input from the debugger raises a signal, which also stops the
//! guest's CPU.

mod debuggee;
mod machine;
mod wire;

use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use gdbstub::common::Signal;
use gdbstub::stub::run_blocking::{BlockingEventLoop, Event, WaitForStopReasonError};
use gdbstub::stub::{BaseStopReason, DisconnectReason, GdbStubBuilder};
use rustix::fs::{Access, MemfdFlags};
use solo5_report::path_text;
use solo5_tender::boot::Gdb;
use solo5_tender::console::Console;
use solo5_tender::error::{EXIT_CANNOT, Error};
use solo5_tender::seccomp::calls::{IOCTL, READ, RECVFROM, RT_SIGRETURN, WRITE};
use solo5_tender::seccomp::{Condition, Rule, Test};
use solo5_tender::sys::Errno;

use self::debuggee::{Debuggee, Over, Stop};
pub use self::machine::Limits;
use self::machine::REQUESTS;
use self::wire::{PACKET, Wire, failed, set_immediate_exit, unavailable, watch_input};
use crate::memory::SharedMemory;
use crate::running::Running;

/// A connected debugger.
#[derive(Debug)]
pub struct Debugger {
    connection: OwnedFd,
    limits: Limits,
}

impl Debugger {
    /// Waits for a debugger to connect. From then on its input wakes `epoll`, as an event with
    /// `data`. `limits` are those of the guest's machine.
    pub fn wait(
        (place, limits): (&Gdb, Limits),
        kernel: &Path,
        epoll: &OwnedFd,
        data: u64,
        console: &Console,
    ) -> Result<Debugger, Error> {
        let invite = |target: String| {
            console.line("Waiting for a debugger. Connect to it like this:");
            let kernel = path_text(kernel);
            console.example(&format!("gdb --ex=\"target remote {target}\" {kernel}"));
        };
        let accepting = || failed("accepting a connection".to_owned());
        let connection = match place {
            Gdb::Port(port) => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
                let listener = listener.map_err(unavailable(place))?;
                let bound = listener.local_addr();
                let port = bound.map_or(*port, |address| address.port());
                invite(format!("localhost:{port}"));
                let (stream, peer) = listener.accept().map_err(accepting())?;
                let set = stream.set_nodelay(true);
                set.map_err(failed("TCP_NODELAY".to_owned()))?;
                console.line(&format!("Connection from debugger at {}", peer.ip()));
                OwnedFd::from(stream)
            }
            Gdb::Socket(path) => {
                let path = Path::new(path);
                if !fits(path) {
                    let error = Errno::NAMETOOLONG;
                    return Err(Error::GdbPlace { place: place.clone(), error });
                }
                let listener = UnixListener::bind(path);
                let shown = path_text(path);
                let listener = listener.map_err(unavailable(place))?;
                invite(shown.to_string());
                let accepted = listener.accept();
                // Only one connection is accepted, and a stale socket would make the next start
                // fail.
                let _ = std::fs::remove_file(path);
                let (stream, _) = accepted.map_err(accepting())?;
                console.line("Connection from debugger");
                OwnedFd::from(stream)
            }
        };
        watch_input(&connection, epoll, data)?;
        Ok(Debugger { connection, limits })
    }

    /// The descriptor of its connection.
    pub fn fd(&self) -> RawFd {
        self.connection.as_raw_fd()
    }

    /// Runs the guest under the debugger until it ends.
    pub(crate) fn run(self, mut running: Running, memory: &SharedMemory) -> ! {
        let immediate_exit = running.vcpu.immediate_exit();
        set_immediate_exit(immediate_exit);
        let mut target = Debuggee::new(running, self.limits, memory);
        let mut packet = [0; PACKET];
        let wire = Wire::new(self.connection);
        let built = GdbStubBuilder::new(wire).with_packet_buffer(&mut packet).build();
        let reason = match built {
            Ok(stub) => stub.run_blocking::<Loop>(&mut target).ok(),
            Err(_) => None,
        };
        // Neither a core file nor a guest that runs on has the debugger's instructions.
        target.detach();
        match (target.over, reason) {
            (Some(Over::End(end)), _) => target.running.end(end),
            (Some(Over::Fault(fault)), Some(DisconnectReason::TargetExited(_))) => {
                target.running.fault(fault)
            }
            (_, Some(DisconnectReason::Disconnect)) => target.running.run(),
            (_, Some(DisconnectReason::Kill)) => {
                target.running.quit("GDB: Killed by the debugger.", EXIT_CANNOT)
            }
            _ => {
                let line =
                    "GDB: Exiting as we could not receive the next command from the debugger.";
                target.running.quit(line, EXIT_CANNOT)
            }
        }
    }
}

/// Checks that a debugger could be waited for at `place`.
///
/// # Errors
///
/// Why not.
pub fn check(place: &Gdb) -> Result<(), Error> {
    match place {
        Gdb::Port(port) => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, *port));
            listener.map(drop).map_err(unavailable(place))
        }
        Gdb::Socket(path) => {
            let path = Path::new(path);
            let folder = path.parent().filter(|folder| *folder != Path::new(""));
            let folder = folder.unwrap_or(Path::new("."));
            let found = match rustix::fs::lstat(path) {
                _ if !fits(path) => Err(Errno::NAMETOOLONG),
                Ok(_) => Err(Errno::ADDRINUSE),
                Err(_) => rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK),
            };
            found.map_err(|error| Error::GdbPlace { place: place.clone(), error })
        }
    }
}

/// Whether a socket's address has room for this path.
fn fits(path: &Path) -> bool {
    std::os::unix::net::SocketAddr::from_pathname(path).is_ok()
}

/// The system calls a debugger needs; a descriptor that is not open yet is -1.
pub fn rules(vcpu: RawFd, connection: RawFd) -> Vec<Rule> {
    let connection = || Condition::descriptor(connection, "the debugger");
    let mut rules = vec![
        Rule::allow(READ, vec![connection()], "gdb: requests"),
        Rule::allow(RECVFROM, vec![connection()], "gdb: checking for a request"),
        Rule::allow(WRITE, vec![connection()], "gdb: answers"),
        Rule::allow(RT_SIGRETURN, Vec::new(), "gdb: a request while the guest runs"),
    ];
    rules.extend(machine::rules());
    for (number, name) in REQUESTS {
        let request = Condition::new(1, "request", Test::low(*number)).meaning(name);
        let cpu = Condition::descriptor(vcpu, "the CPU");
        rules.push(Rule::allow(IOCTL, vec![cpu, request], "gdb: registers and breakpoints"));
    }
    rules
}

/// A memory file for guest memory, so that the debugger can map it a second time.
pub fn backing(size: u64) -> Result<OwnedFd, Error> {
    let allocate = |error| Error::Allocate { error };
    let fd = rustix::fs::memfd_create(c"guest", MemfdFlags::CLOEXEC).map_err(allocate)?;
    rustix::fs::ftruncate(&fd, size).map_err(allocate)?;
    Ok(fd)
}

/// Runs the guest between two stops.
enum Loop<'m> {
    #[expect(dead_code, reason = "the type only carries functions")]
    Never(std::convert::Infallible, &'m ()),
}

impl<'m> BlockingEventLoop for Loop<'m> {
    type Target = Debuggee<'m>;
    type Connection = Wire;
    type StopReason = Stop;

    fn wait_for_stop_reason(
        target: &mut Debuggee<'m>,
        wire: &mut Wire,
    ) -> Result<Event<Stop>, WaitForStopReasonError<Errno, std::io::Error>> {
        target.go(wire).map_err(WaitForStopReasonError::Connection)
    }

    fn on_interrupt(_: &mut Debuggee<'m>) -> Result<Option<Stop>, Errno> {
        Ok(Some(BaseStopReason::Signal(Signal::SIGINT)))
    }
}
