//! What the host's own KVM can run.
//!
//! On some hosts KVM interprets the code that a guest runs in ring 0. That is thousands of times slower,
//! and there are no vector registers. Most of a guest's behaviour can be tested there nevertheless.
//! Tests that need a real processor run in the lab.

use std::path::Path;
use std::process::Command;

use crate::outcome::{Outcome, Stop};
use crate::process;

/// A KVM, as unikernels see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kvm {
    /// Guests run on a processor.
    Processor,
    /// Guests run in an interpreter.
    Interpreter,
    /// Guests do not run.
    Unusable,
}

impl Kvm {
    /// Tests the KVM: `floats` is a unikernel that computes in vector registers, `plain` one that
    /// does not.
    ///
    /// # Errors
    /// The tender cannot be started at all, or hangs.
    pub fn probe(tender: &Path, floats: &Path, plain: &Path) -> Outcome<Self> {
        let runs = |image: &Path| -> Outcome<bool> {
            let mut command = Command::new(tender);
            command.args(["--mem=2", "--"]).arg(image).arg("Hello_Solo5");
            Ok(process::run(command)?.status == 0)
        };
        Ok(if runs(floats)? {
            Self::Processor
        } else if runs(plain)? {
            Self::Interpreter
        } else {
            Self::Unusable
        })
    }

    /// Checks that this KVM is enough for a run; with `processor`, that guests run on a processor.
    ///
    /// # Errors
    /// This KVM is not enough; the lab makes this run.
    pub fn require(self, processor: bool) -> Outcome {
        match self {
            Self::Processor => Ok(()),
            Self::Interpreter if !processor => Ok(()),
            Self::Interpreter => Err(Stop::Elsewhere("KVM interprets guests here".to_owned())),
            Self::Unusable => Err(Stop::Elsewhere("no usable KVM here".to_owned())),
        }
    }
}
