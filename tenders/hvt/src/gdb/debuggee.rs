//! The guest as the debugger sees it: registers, memory, breakpoints.

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
use gdbstub_arch::x86::X86_64_SSE;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use kvm_bindings::{
    KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW_BP, kvm_guest_debug,
};
use solo5_tender::error::EXIT_CANNOT;
use solo5_tender::memory::Allegation;
use solo5_tender::sys::Errno;

use super::wire::{Wire, set_immediate_exit};
use crate::exit::{Exit, REASON_HALT};
use crate::fault::GuestFault;
use crate::hypercall::{End, Next};
use crate::memory::{SharedMemory, Use};
use crate::running::Running;
use crate::xsave::Floats;

/// Maximum number of software breakpoints.
const SOFTWARE_MAX: usize = 256;
/// Number of hardware breakpoints and watchpoints of the CPU.
const HARDWARE_MAX: usize = 4;
/// The instruction used as a software breakpoint: `hlt`. Like `int3` it is one byte long. It stops
/// the CPU on every KVM, while some KVMs cannot intercept `int3`. And `int3` stays free for the
/// guest's own use.
const HALT: u8 = 0xf4;

/// Why the guest cannot continue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Over {
    End(End),
    Fault(GuestFault),
}

/// A hardware breakpoint or watchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hardware {
    address: u64,
    length: u64,
    /// `None`: execution.
    watch: Option<WatchKind>,
}

impl Hardware {
    /// Its type and length as in DR7, two bits each; `None` if DR7 cannot express them.
    fn control(&self) -> Option<u64> {
        // x86 cannot watch only reads.
        let kind = match self.watch {
            None => 0b00,
            Some(WatchKind::Write) => 0b01,
            Some(WatchKind::Read | WatchKind::ReadWrite) => 0b11,
        };
        let length = match (self.watch, self.length) {
            (None, _) | (_, 1) => 0b00,
            (_, 2) => 0b01,
            (_, 4) => 0b11,
            (_, 8) => 0b10,
            _ => return None,
        };
        let aligned = self.watch.is_none() || self.address.is_multiple_of(self.length);
        aligned.then_some(length << 2 | kind)
    }
}

/// The guest, as the debugger sees it.
pub(super) struct Debuggee<'m> {
    pub(super) running: Running,
    /// The guest's memory, through the debugger's own mapping.
    memory: &'m SharedMemory,
    /// Software breakpoints, each with the byte that it replaces.
    software: [Option<(u64, u8)>; SOFTWARE_MAX],
    hardware: [Option<Hardware>; HARDWARE_MAX],
    single_step: bool,
    pub(super) over: Option<Over>,
}

pub(super) type Stop = SingleThreadStopReason<u64>;

impl<'m> Debuggee<'m> {
    /// The guest of `running`. `memory` is the debugger's own mapping of its memory.
    pub(super) fn new(running: Running, memory: &'m SharedMemory) -> Debuggee<'m> {
        Debuggee {
            running,
            memory,
            software: [None; SOFTWARE_MAX],
            hardware: [None; HARDWARE_MAX],
            single_step: false,
            over: None,
        }
    }

    /// Tells KVM where to stop the guest.
    fn arm(&mut self) -> Result<(), Errno> {
        let mut debug =
            kvm_guest_debug { control: KVM_GUESTDBG_ENABLE, ..kvm_guest_debug::default() };
        if self.single_step {
            debug.control |= KVM_GUESTDBG_SINGLESTEP;
        }
        let [.., dr7] = &mut debug.arch.debugreg;
        // A reserved bit that is always set.
        *dr7 = 1 << 10;
        for (index, slot) in self.hardware.iter().enumerate() {
            let Some(control) = slot.as_ref().and_then(Hardware::control) else {
                continue;
            };
            debug.control |= KVM_GUESTDBG_USE_HW_BP;
            *dr7 |= 0b10 << (2 * index) | control << (16 + 4 * index);
        }
        for (index, slot) in self.hardware.iter().enumerate() {
            if let (Some(slot), Some(place)) = (slot, debug.arch.debugreg.get_mut(index)) {
                *place = slot.address;
            }
        }
        self.set(&debug)
    }

    /// Hands `debug` to KVM.
    fn set(&self, debug: &kvm_guest_debug) -> Result<(), Errno> {
        let done = self.running.vcpu.kvm().set_guest_debug(debug);
        done.map_err(|error| Errno::from_raw_os_error(error.errno()))
    }

    /// Removes all breakpoints and the debugger's hooks.
    pub(super) fn detach(&mut self) {
        for slot in 0..SOFTWARE_MAX {
            if let Some((address, byte)) = self.software.get_mut(slot).and_then(Option::take) {
                let _ = self.memory.store(address, &byte);
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
            if wire.peek()?.is_some() {
                return wire.read().map(Event::IncomingData);
            }
            let exit = self.running.vcpu.run();
            match exit {
                Exit::Debug { dr6 } => return Ok(Event::TargetStopped(self.stopped(dr6))),
                Exit::Other(REASON_HALT) if self.hit_breakpoint() => {
                    return Ok(Event::TargetStopped(BaseStopReason::SwBreak(())));
                }
                _ => {}
            }
            match self.running.step(exit) {
                Ok(Next::Run) => {}
                Ok(Next::End(end)) => {
                    self.over = Some(Over::End(end));
                    let status = end.status as u8;
                    return Ok(Event::TargetStopped(BaseStopReason::Exited(status)));
                }
                Err(fault) => {
                    // The debugger can still inspect the guest. If it lets the guest continue, the
                    // guest ends.
                    self.over = Some(Over::Fault(fault));
                    let stop = BaseStopReason::Signal(Signal::SIGSEGV);
                    return Ok(Event::TargetStopped(stop));
                }
            }
        }
    }

    /// Whether the CPU has just executed a software breakpoint. If so, sets `rip` back to it.
    fn hit_breakpoint(&self) -> bool {
        let vcpu = self.running.vcpu.kvm();
        let Ok(mut registers) = vcpu.get_regs() else {
            return false;
        };
        let at = registers.rip.wrapping_sub(1);
        let mut breakpoints = self.software.iter().flatten();
        let is_ours = breakpoints.any(|(address, _)| *address == at);
        registers.rip = at;
        is_ours && vcpu.set_regs(&registers).is_ok()
    }

    /// Translates a debug exit into gdb's stop reason.
    fn stopped(&self, dr6: u64) -> Stop {
        const SINGLE_STEP: u64 = 1 << 14;
        let hit = (0..).zip(&self.hardware).find(|(index, _)| dr6 >> index & 1 != 0);
        match hit {
            Some((_, Some(Hardware { watch: None, .. }))) => BaseStopReason::HwBreak(()),
            Some((_, Some(Hardware { address, watch: Some(kind), .. }))) => {
                BaseStopReason::Watch { tid: (), kind: *kind, addr: *address }
            }
            _ if dr6 & SINGLE_STEP != 0 => BaseStopReason::DoneStep,
            _ => BaseStopReason::Signal(Signal::SIGTRAP),
        }
    }

    fn add_hardware(&mut self, new: Hardware) -> bool {
        let free = self.hardware.iter_mut().find(|slot| slot.is_none());
        match free {
            Some(slot) if new.control().is_some() => {
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
    type Arch = X86_64_SSE;
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
    fn read_registers(&mut self, regs: &mut X86_64CoreRegs) -> TargetResult<(), Self> {
        let vcpu = self.running.vcpu.kvm();
        let general = vcpu.get_regs().map_err(non_fatal)?;
        let special = vcpu.get_sregs().map_err(non_fatal)?;
        let area = vcpu.get_xsave().map_err(non_fatal)?;
        let float = Floats::read(&area.region);
        regs.regs = [
            general.rax,
            general.rbx,
            general.rcx,
            general.rdx,
            general.rsi,
            general.rdi,
            general.rbp,
            general.rsp,
            general.r8,
            general.r9,
            general.r10,
            general.r11,
            general.r12,
            general.r13,
            general.r14,
            general.r15,
        ];
        regs.rip = general.rip;
        regs.eflags = general.rflags as u32;
        regs.segments.cs = special.cs.selector.into();
        regs.segments.ss = special.ss.selector.into();
        regs.segments.ds = special.ds.selector.into();
        regs.segments.es = special.es.selector.into();
        regs.segments.fs = special.fs.selector.into();
        regs.segments.gs = special.gs.selector.into();
        regs.st = float.st;
        regs.fpu.fctrl = float.control.into();
        regs.fpu.fstat = float.status.into();
        regs.fpu.ftag = full_tags(float.tags);
        regs.fpu.fioff = float.last_ip as u32;
        regs.fpu.fooff = float.last_dp as u32;
        regs.fpu.fop = float.opcode.into();
        for (to, from) in regs.xmm.iter_mut().zip(float.xmm) {
            *to = u128::from_le_bytes(from);
        }
        regs.mxcsr = float.mxcsr;
        Ok(())
    }

    fn write_registers(&mut self, regs: &X86_64CoreRegs) -> TargetResult<(), Self> {
        let vcpu = self.running.vcpu.kvm();
        let mut general = vcpu.get_regs().map_err(non_fatal)?;
        [
            general.rax,
            general.rbx,
            general.rcx,
            general.rdx,
            general.rsi,
            general.rdi,
            general.rbp,
            general.rsp,
            general.r8,
            general.r9,
            general.r10,
            general.r11,
            general.r12,
            general.r13,
            general.r14,
            general.r15,
        ] = regs.regs;
        general.rip = regs.rip;
        general.rflags = regs.eflags.into();
        let mut area = vcpu.get_xsave().map_err(non_fatal)?;
        let mut float = Floats::read(&area.region);
        float.st = regs.st;
        float.control = regs.fpu.fctrl as u16;
        float.status = regs.fpu.fstat as u16;
        float.tags = short_tags(regs.fpu.ftag);
        for (to, from) in float.xmm.iter_mut().zip(regs.xmm) {
            *to = from.to_le_bytes();
        }
        float.mxcsr = regs.mxcsr;
        vcpu.set_regs(&general).map_err(non_fatal)?;
        // gdb writes all registers even to change one. If these are unchanged, skip the call.
        if float != Floats::read(&area.region) {
            float.write(&mut area.region);
            // SAFETY: the kernel reads as many bytes as it has written above.
            unsafe { vcpu.set_xsave(&area) }.map_err(non_fatal)?;
        }
        Ok(())
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
        let length = data.len() as u64;
        let piece = self.memory.piece(Allegation::new(start, length), Use::Write);
        piece.map_err(non_fatal)?.copy_from(data);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<SingleThreadResumeOps<'_, Self>> {
        Some(self)
    }
}

/// Converts the x87 tag word from one bit per register, set if it is not empty, to gdb's two bits
/// per register.
fn full_tags(short: u8) -> u32 {
    (0..8).fold(0, |tags, index| {
        let tag = if short >> index & 1 != 0 { 0b00 } else { 0b11 };
        tags | tag << (2 * index)
    })
}

/// The reverse of [`full_tags`].
fn short_tags(full: u32) -> u8 {
    (0..8).fold(0, |tags, index| tags | u8::from(full >> (2 * index) & 0b11 != 0b11) << index)
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
        let is_there = |slot: &&Option<(u64, u8)>| slot.is_some_and(|(at, _)| at == address);
        if self.software.iter().any(|slot| is_there(&slot)) {
            return Ok(true);
        }
        let byte: u8 = self.memory.load(address).map_err(non_fatal)?;
        let Some(slot) = self.software.iter_mut().find(|slot| slot.is_none()) else {
            return Ok(false);
        };
        self.memory.store(address, &HALT).map_err(non_fatal)?;
        *slot = Some((address, byte));
        Ok(true)
    }

    fn remove_sw_breakpoint(&mut self, address: u64, _kind: usize) -> TargetResult<bool, Self> {
        let slots = self.software.iter_mut();
        let mut found = slots.filter(|slot| slot.is_some_and(|(at, _)| at == address));
        let Some((_, byte)) = found.next().and_then(Option::take) else {
            return Ok(false);
        };
        self.memory.store(address, &byte).map_err(non_fatal)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_are_encoded_as_in_dr7() {
        let control = |watch, address, length| Hardware { address, length, watch }.control();
        assert_eq!(control(None, 0x10_0001, 1), Some(0));
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 4), Some(0b1101));
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 8), Some(0b1001));
        assert_eq!(control(Some(WatchKind::Read), 0x1000, 2), Some(0b0111));
        assert_eq!(control(Some(WatchKind::ReadWrite), 0x1000, 1), Some(0b0011));
        assert_eq!(control(Some(WatchKind::Write), 0x1001, 4), None, "not aligned");
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 3), None);
        assert_eq!(control(Some(WatchKind::Write), 0x1000, 0), None);
    }

    #[test]
    fn tag_words_convert_both_ways() {
        assert_eq!(full_tags(0), 0xffff);
        assert_eq!(full_tags(1), 0xfffc);
        for short in 0..=u8::MAX {
            assert_eq!(short_tags(full_tags(short)), short);
        }
    }
}
