//! The guest as the debugger sees it: registers, memory, breakpoints.

use gdbstub::arch::Arch;
use gdbstub::common::Signal;
use gdbstub::conn::ConnectionExt;
use gdbstub::stub::run_blocking::Event;
use gdbstub::stub::{BaseStopReason, SingleThreadStopReason};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::singlethread::{
    SingleThreadBase, SingleThreadResume, SingleThreadResumeOps, SingleThreadSingleStep,
    SingleThreadSingleStepOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::{Target, TargetError, TargetResult};
use kvm_bindings::kvm_guest_debug;
use solo5_tender::error::EXIT_CANNOT;
use solo5_tender::memory::Allegation;
use solo5_tender::sys::Errno;

use super::machine::{self, BREAKPOINT, Cause, Description, HARDWARE_MAX, Hardware, Limits};
use super::wire::{Wire, set_immediate_exit};
use crate::exit::Exit;
use crate::fault::GuestFault;
use crate::hypercall::{End, Next};
use crate::memory::{SharedMemory, Use};
use crate::running::Running;

/// Maximum number of software breakpoints.
const SOFTWARE_MAX: usize = 256;
/// Why the guest cannot continue.
#[allow(clippy::large_enum_variant, reason = "as `Next`: nothing may allocate")]
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    End(End),
    Fault(GuestFault),
}

/// The guest, as the debugger sees it.
pub(super) struct Debuggee<'m> {
    pub(super) running: Running,
    /// The guest's memory, through the debugger's own mapping.
    memory: &'m SharedMemory,
    /// Software breakpoints, each with the instruction that it replaces.
    software: [Option<(u64, [u8; BREAKPOINT.len()])>; SOFTWARE_MAX],
    hardware: [Option<Hardware>; HARDWARE_MAX],
    limits: Limits,
    single_step: bool,
    /// Whether KVM has yet to finish the access that stopped the CPU last, which has been answered.
    unfinished: bool,
    pub(super) over: Option<Over>,
}

pub(super) type Stop = SingleThreadStopReason<u64>;

type Registers = <Description as Arch>::Registers;

impl<'m> Debuggee<'m> {
    /// The guest of `running`. `memory` is the debugger's own mapping of its memory.
    pub(super) fn new(running: Running, limits: Limits, memory: &'m SharedMemory) -> Debuggee<'m> {
        Debuggee {
            running,
            memory,
            software: [None; SOFTWARE_MAX],
            hardware: [None; HARDWARE_MAX],
            limits,
            single_step: false,
            unfinished: false,
            over: None,
        }
    }

    /// Tells KVM where to stop the guest.
    fn arm(&mut self) -> Result<(), Errno> {
        self.set(&machine::request(self.single_step, &self.hardware))
    }

    /// Hands `debug` to KVM.
    fn set(&self, debug: &kvm_guest_debug) -> Result<(), Errno> {
        let done = self.running.vcpu.kvm().set_guest_debug(debug);
        done.map_err(|error| Errno::from_raw_os_error(error.errno()))
    }

    /// Removes all breakpoints and the debugger's hooks.
    pub(super) fn detach(&mut self) {
        for slot in 0..SOFTWARE_MAX {
            if let Some((address, old)) = self.software.get_mut(slot).and_then(Option::take) {
                let _ = self.poke(address, &old);
            }
        }
        let _ = self.set(&kvm_guest_debug::default());
        set_immediate_exit(std::ptr::null_mut());
        self.running.vcpu.clear_immediate_exit();
    }

    /// Runs the guest until it stops for the debugger, it ends, or the debugger sends input.
    pub(super) fn go(&mut self, wire: &mut Wire) -> Result<Event<Stop>, std::io::Error> {
        if let Some(over) = self.over {
            let status = match over {
                Over::End(end) => end.status as u8,
                Over::Fault(_) => EXIT_CANNOT,
            };
            return Ok(Event::TargetStopped(BaseStopReason::Exited(status)));
        }
        loop {
            self.running.vcpu.clear_immediate_exit();
            let is_input = wire.peek()?.is_some();
            // The debugger must not see an access half done.
            let exit = match (is_input, self.unfinished) {
                (true, false) => return wire.read().map(Event::IncomingData),
                (true, true) => self.running.vcpu.finish(),
                (false, _) => self.running.vcpu.run(),
            };
            self.unfinished = false;
            if let Some(stop) = self.answer(exit) {
                return Ok(Event::TargetStopped(stop));
            }
        }
    }

    /// Answers a CPU exit; says why the guest stops, if it does.
    fn answer(&mut self, exit: Exit) -> Option<Stop> {
        let vcpu = self.running.vcpu.kvm();
        if let Some(at) = machine::executed(vcpu, exit) {
            let is_ours = self.software.iter().flatten().any(|(address, _)| *address == at);
            if is_ours && machine::go_back(vcpu, at) {
                return Some(BaseStopReason::SwBreak(()));
            }
            if !is_ours && machine::pass_on(vcpu, exit) {
                return self.single_step.then_some(BaseStopReason::DoneStep);
            }
        }
        if let Exit::Debug { cause, address } = exit {
            return Some(match machine::cause(vcpu, (cause, address), &self.hardware) {
                Cause::Hardware(Hardware { watch: None, .. }) => BaseStopReason::HwBreak(()),
                Cause::Hardware(Hardware { watch: Some(kind), address, .. }) => {
                    BaseStopReason::Watch { tid: (), kind, addr: address }
                }
                Cause::Step => BaseStopReason::DoneStep,
                Cause::Other => BaseStopReason::Signal(Signal::SIGTRAP),
            });
        }
        match self.running.step(exit) {
            Ok(Next::Run) => {
                self.unfinished = exit != Exit::Again;
                None
            }
            Ok(Next::End(end)) => {
                self.over = Some(Over::End(end));
                Some(BaseStopReason::Exited(end.status as u8))
            }
            Err(fault) => {
                // The debugger can still inspect the guest. If it lets the guest continue, the
                // guest ends.
                self.over = Some(Over::Fault(fault));
                Some(BaseStopReason::Signal(Signal::SIGSEGV))
            }
        }
    }

    /// Writes to guest memory. The guest may execute what is written.
    fn poke(&self, address: u64, bytes: &[u8]) -> Result<(), GuestFault> {
        let at = Allegation::new(address, bytes.len() as u64);
        self.memory.piece(at, Use::Write)?.copy_from(bytes);
        machine::fetch_anew(self.running.host.memory, at);
        Ok(())
    }

    fn add_hardware(&mut self, new: Hardware) -> bool {
        let is_allowed = self.limits.allow(&self.hardware, &new);
        let free = self.hardware.iter_mut().find(|slot| slot.is_none());
        match free {
            Some(slot) if is_allowed => {
                *slot = Some(new);
                true
            }
            _ => false,
        }
    }

    fn remove_hardware(&mut self, old: Hardware) -> bool {
        let found = self.hardware.iter_mut().find(|slot| **slot == Some(old));
        found.is_some_and(|slot| slot.take().is_some())
    }
}

impl Target for Debuggee<'_> {
    type Arch = Description;
    type Error = Errno;

    fn base_ops(&mut self) -> BaseOps<'_, Self::Arch, Self::Error> {
        BaseOps::SingleThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
}

fn non_fatal<T>(_: T) -> TargetError<Errno> {
    TargetError::NonFatal
}

impl SingleThreadBase for Debuggee<'_> {
    fn read_registers(&mut self, regs: &mut Registers) -> TargetResult<(), Self> {
        machine::read(self.running.vcpu.kvm(), regs).map_err(non_fatal)
    }

    fn write_registers(&mut self, regs: &Registers) -> TargetResult<(), Self> {
        machine::write(self.running.vcpu.kvm(), regs).map_err(non_fatal)
    }

    fn read_addrs(&mut self, start: u64, data: &mut [u8]) -> TargetResult<usize, Self> {
        let left = self.memory.size().saturating_sub(start);
        let length = left.min(data.len() as u64);
        let piece = self.memory.piece(Allegation::new(start, length), Use::Read);
        let piece = piece.map_err(non_fatal)?;
        piece.copy_to(data);
        Ok(piece.length())
    }

    fn write_addrs(&mut self, start: u64, data: &[u8]) -> TargetResult<(), Self> {
        self.poke(start, data).map_err(non_fatal)
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadResume for Debuggee<'_> {
    fn resume(&mut self, _signal: Option<Signal>) -> Result<(), Errno> {
        self.single_step = false;
        self.arm()
    }

    fn support_single_step(&mut self) -> Option<SingleThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
}

impl SingleThreadSingleStep for Debuggee<'_> {
    fn step(&mut self, _signal: Option<Signal>) -> Result<(), Errno> {
        self.single_step = true;
        self.arm()
    }
}

impl Breakpoints for Debuggee<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Debuggee<'_> {
    fn add_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        if self.software.iter().flatten().any(|(at, _)| *at == address) {
            return Ok(true);
        }
        if !address.is_multiple_of(BREAKPOINT.len() as u64) {
            return Ok(false);
        }
        let old: [u8; BREAKPOINT.len()] = self.memory.load(address).map_err(non_fatal)?;
        if self.software.iter().all(Option::is_some) {
            return Ok(false);
        }
        self.poke(address, &BREAKPOINT).map_err(non_fatal)?;
        let free = self.software.iter_mut().find(|slot| slot.is_none());
        Ok(free.map(|slot| *slot = Some((address, old))).is_some())
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        let slots = self.software.iter_mut();
        let mut found = slots.filter(|slot| slot.is_some_and(|(at, _)| at == address));
        let Some((_, old)) = found.next().and_then(Option::take) else {
            return Ok(false);
        };
        self.poke(address, &old).map_err(non_fatal)?;
        Ok(true)
    }
}

impl HwBreakpoint for Debuggee<'_> {
    fn add_hw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(self.add_hardware(Hardware { address, length: 1, watch: None }))
    }

    fn remove_hw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        Ok(self.remove_hardware(Hardware { address, length: 1, watch: None }))
    }
}

impl HwWatchpoint for Debuggee<'_> {
    fn add_hw_watchpoint(
        &mut self,
        address: u64,
        length: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.add_hardware(Hardware { address, length, watch: Some(kind) }))
    }

    fn remove_hw_watchpoint(
        &mut self,
        address: u64,
        length: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.remove_hardware(Hardware { address, length, watch: Some(kind) }))
    }
}
