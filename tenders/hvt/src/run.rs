//! The KVM tender, as all tenders are seen by `solo5_tender::boot`.

use solo5_abi::Target;
use solo5_abi::hvt::MEMORY_MAX;
use solo5_tender::attach::Device;
use solo5_tender::boot::{self, Guest, Launch, Modules, Tender};
use solo5_tender::console::Console;
use solo5_tender::error::{Error, Refusal, Warning};
use solo5_tender::explain::Safeguard;
use solo5_tender::report::Reporter;
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::{self, landlock};

use crate::filter::{self, Descriptors};
use crate::prepare::{has_net, prepare};
use crate::{dumpcore, gdb, layout, vm};

/// The KVM tender; with `DEBUG`, the one for debugging.
#[derive(Clone, Copy, Debug)]
pub struct Hvt<const DEBUG: bool>;

impl<const DEBUG: bool> Tender for Hvt<DEBUG> {
    const TARGET: Target = Target::Hvt;
    const NAME: &'static str = if DEBUG { "solo5-hvt-debug" } else { "solo5-hvt" };

    fn modules(&self) -> Modules {
        Modules {
            gdb: DEBUG && cfg!(feature = "debug"),
            dumpcore: DEBUG && cfg!(feature = "debug"),
            ..boot::modules(Target::Hvt)
        }
    }

    fn memory(&self, asked: u64, launch: &Launch, console: &Console) -> Result<u64, Error> {
        let bytes = layout::rounded(asked);
        if bytes != asked {
            console.warn(&Warning::MemoryAdjusted { bytes });
        }
        let size = layout::size(bytes, !launch.nets.is_empty());
        let most = MEMORY_MAX;
        size.map(|size| size.guest).ok_or(Error::MemoryMaximum { bytes, most })
    }

    fn rules(&self, launch: &Launch, devices: &[Device]) -> Vec<Rule> {
        let own = Descriptors {
            vcpu: -1,
            epoll: -1,
            timer: -1,
            kick: has_net(devices).then_some(-1),
            report: None,
        };
        let mut rules = filter::guest_thread(&own, devices);
        let io = filter::io_thread(&own, devices);
        rules.extend(
            io.into_iter()
                .map(|rule| Rule { reason: format!("I/O thread: {}", rule.reason).into(), ..rule }),
        );
        if launch.dumpcore.is_some() {
            rules.extend(dumpcore::rules(-1, -1, -1));
        }
        if launch.gdb.is_some() {
            rules.extend(gdb::rules(-1, -1));
        }
        rules
    }

    fn safeguards(&self, launch: &Launch) -> Vec<Safeguard> {
        let row = |what, how, available| Safeguard { what, how, available };
        let mut rows = vec![
            row("a machine of its own", "KVM", vm::is_usable()),
            row(
                "system calls",
                "a seccomp filter for each thread that ends the process, never to be lifted",
                sys::has_seccomp_kill_process(),
            ),
            row(
                "no page writable and executable",
                "page tables with the no-execute bit, but for --x-exec-heap",
                true,
            ),
            row("code and constants cannot be changed", "mprotect of the host's mapping", true),
            row("no file or socket can be opened", "Landlock", landlock::version().is_some()),
            row("no capabilities", "capset, no_new_privs", true),
            row("no other descriptors", "close_range", true),
            row("no core file, no debugger of the same user", "PR_SET_DUMPABLE", true),
        ];
        if launch.user.is_some() {
            rows.push(row("a user of its own", "--user", true));
        }
        if launch.chroot.is_some() {
            rows.push(row("a root directory of its own", "--chroot", true));
        }
        rows
    }

    fn start(&self, guest: Guest, reporter: Option<&mut Reporter>, console: &Console) -> Refusal {
        if DEBUG {
            console.warn(&Warning::Debug);
        }
        let report = reporter.as_ref().map(|reporter| reporter.fd());
        let ready = prepare(guest, report, console);
        match ready.and_then(|ready| ready.confine(reporter, console)) {
            Ok((running, None)) => running.run(),
            Ok((running, Some((debugger, memory)))) => debugger.run(running, &memory),
            Err(error) => error.into(),
        }
    }
}
