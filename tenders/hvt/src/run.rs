//! The KVM tender as an implementation of `solo5_tender::boot::Tender`.

use rustix::thread::CapabilitySet;
use solo5_abi::Target;
use solo5_abi::offer::Features;
use solo5_tender::attach::Device;
use solo5_tender::boot::{self, Guest, Launch, Modules, Tender};
use solo5_tender::console::Console;
use solo5_tender::error::{Error, Refusal, Warning};
use solo5_tender::report::Reporter;
use solo5_tender::safeguard::{self, Safeguard};
use solo5_tender::seccomp::Rule;
use solo5_tender::sys::landlock;

use crate::filter::{self, Descriptors};
use crate::prepare::{has_net, prepare};
use crate::{dumpcore, gdb, sandbox, vm};

/// The KVM tender; with `DEBUG`, the debug tender.
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

    fn rules(&self, launch: &Launch, features: Features, devices: &[Device]) -> Vec<Rule> {
        let own = Descriptors {
            vcpu: -1,
            epoll: -1,
            timer: -1,
            kick: has_net(devices).then_some(-1),
            report: None,
        };
        let mut rules = filter::guest_thread(&own, features, devices);
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
        let kvm = vm::probe();
        let lack = kvm.as_ref().err().copied();
        let mut rows = vec![Safeguard::kvm("a machine of its own", "KVM", lack)];
        rows.extend(safeguard::common(
            "a seccomp filter for each thread that ends the process and cannot be removed",
        ));
        let no_execute = "page tables with the no-execute bit";
        // With that option, pages that are writable and executable are intended.
        if !launch.exec_heap {
            let lack = match &kvm {
                Ok(support) if support.has_no_execute() => None,
                Ok(_) => Some("the CPU has none"),
                Err(lack) => Some(*lack),
            };
            rows.push(Safeguard::kvm("no page writable and executable", no_execute, lack));
        }
        rows.extend([
            Safeguard::host(
                "no file or socket can be opened",
                "Landlock",
                landlock::can_deny_all(),
            ),
            Safeguard::tender(
                "code and constants cannot be changed",
                "mprotect of the host's mapping",
            ),
        ]);
        let may = |wanted| {
            rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
        };
        if launch.user.is_some() {
            let may = may(CapabilitySet::SETUID | CapabilitySet::SETGID);
            rows.push(Safeguard::host("a user of its own", "--user", may));
        }
        if launch.chroot.is_some() {
            let may = may(CapabilitySet::SYS_CHROOT);
            rows.push(Safeguard::host("a root directory of its own", "--chroot", may));
        }
        rows
    }

    fn check_places(&self, launch: &Launch) -> Result<(), Error> {
        if let Some(directory) = &launch.chroot {
            sandbox::check_root(directory)?;
        }
        if let Some(directory) = &launch.dumpcore {
            dumpcore::check(directory)?;
        }
        launch.gdb.as_ref().map_or(Ok(()), gdb::check)
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
