//! Runs a guest under a confined tender, until it ends.

use crate::arch::TrapFrame;
use crate::dumpcore::Dump;
use crate::end::EndContext;
use crate::exit::{Exit, decode};
use crate::fault::GuestFault;
use crate::hypercall::{End, Host, Next};
use crate::vm::Vcpu;

/// A guest whose tender is confined.
pub(crate) struct Running {
    pub(crate) vcpu: Vcpu,
    pub(crate) host: Host,
    pub(crate) end_context: &'static EndContext,
    pub(crate) dump: Option<Dump>,
}

/// Status of a guest that aborts.
const EXIT_ABORT: i32 = 255;

impl Running {
    /// Runs the guest until it ends, and then ends the process.
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

    /// Handles a CPU exit.
    pub(crate) fn step(&self, exit: Exit) -> Result<Next, GuestFault> {
        match decode(exit, self.host.memory.size())? {
            None => Ok(Next::Run),
            Some(call) => self.host.handle(call),
        }
    }

    /// Ends the process after the guest has ended itself.
    pub(crate) fn end(&self, end: End) -> ! {
        self.dump(end.status == EXIT_ABORT, end.trap);
        self.end_context.exit(end)
    }

    /// Ends the process after a guest fault.
    pub(crate) fn fault(&self, fault: GuestFault) -> ! {
        self.dump(true, None);
        self.end_context.fault(fault, self.vcpu.registers())
    }

    /// Ends the process on behalf of the debugger.
    #[cfg(feature = "debug")]
    pub(crate) fn quit(&self, line: &str, status: u8) -> ! {
        self.dump(false, None);
        self.end_context.quit(line, status)
    }

    /// With `--dumpcore`: writes the guest's core if `wanted`, else removes the core file.
    fn dump(&self, wanted: bool, trap: Option<TrapFrame>) {
        match &self.dump {
            Some(dump) if wanted => {
                dump.write(&self.vcpu, self.host.memory, trap, &self.end_context.program);
            }
            Some(dump) => dump.remove(),
            None => {}
        }
    }
}
