//! A guest whose tender is confined, to its last instruction.

use solo5_abi::hvt::x86_64::TrapFrame;

use crate::dumpcore::Dump;
use crate::end::Witness;
use crate::exit::{Exit, decode};
use crate::fault::GuestFault;
use crate::hypercall::{End, Host, Next};
use crate::vm::Vcpu;

/// A guest whose tender is confined.
pub(crate) struct Running {
    pub(crate) vcpu: Vcpu,
    pub(crate) host: Host,
    pub(crate) witness: &'static Witness,
    pub(crate) dump: Option<Dump>,
}

/// Status of a guest that aborts.
const EXIT_ABORT: i32 = 255;

impl Running {
    /// Runs the guest to its end, and the process with it.
    pub(crate) fn run(mut self) -> ! {
        loop {
            let exit = self.vcpu.run();
            match self.step(exit) {
                Ok(Next::Run) => {}
                Ok(Next::End(end)) => self.end(end),
                Err(fault) => self.fault(fault),
            }
        }
    }

    /// Does what an exit asks for.
    pub(crate) fn step(&self, exit: Exit) -> Result<Next, GuestFault> {
        match decode(exit, self.host.memory.size())? {
            None => Ok(Next::Run),
            Some(call) => self.host.handle(call),
        }
    }

    /// The end of a guest that has ended itself.
    pub(crate) fn end(&self, end: End) -> ! {
        self.dump(end.status == EXIT_ABORT, end.trap);
        self.witness.exit(end)
    }

    /// The end of a guest that has done what it must not.
    pub(crate) fn fault(&self, fault: GuestFault) -> ! {
        self.dump(true, None);
        self.witness.fault(fault, self.vcpu.registers())
    }

    /// The end of a guest by the debugger.
    #[cfg(feature = "debug")]
    pub(crate) fn quit(&self, line: &str, status: u8) -> ! {
        self.dump(false, None);
        self.witness.quit(line, status)
    }

    /// Dumps the guest's core if that was asked for and it did not end well.
    fn dump(&self, wanted: bool, trap: Option<TrapFrame>) {
        match &self.dump {
            Some(dump) if wanted => {
                dump.write(&self.vcpu, self.host.memory, trap, &self.witness.program);
            }
            Some(dump) => dump.remove(),
            None => {}
        }
    }
}
