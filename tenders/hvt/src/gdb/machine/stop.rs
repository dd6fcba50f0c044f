//! Why a CPU stops for the debugger.

use gdbstub::target::ext::breakpoints::WatchKind;

/// A hardware breakpoint or watchpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hardware {
    pub(crate) address: u64,
    pub(crate) length: u64,
    /// `None`: execution.
    pub(crate) watch: Option<WatchKind>,
}

/// Why the CPU stopped for the debugger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// This breakpoint or watchpoint.
    Hardware(Hardware),
    /// The end of a single step.
    Step,
    /// Something else.
    Other,
}
