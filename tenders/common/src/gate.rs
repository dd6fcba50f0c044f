//! The policy gate: what is asked for is judged before anything is opened, and again by what the
//! opened descriptors say.
//!
//! Policies decide in their own crate; here are only the facts of this host, and the lines a
//! denial prints. Without any policy the gate is open and costs one look for the host's folder.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use solo5_launch::Request;
use solo5_policy::{
    Asked, Decision, Fact, HostFacts, Phase, Policy, admission_lists, decide, directories, sources,
};

use crate::attach::Inherited;
use crate::error::{Reason, Refusal};

/// The policies of a launch with what is asked of them.
#[derive(Debug)]
pub struct Gate {
    policies: Vec<Policy>,
    require: bool,
    asked: Asked,
    /// What the host says; devices are filled in as they are opened.
    pub facts: HostFacts,
}

/// Reads every policy of a launch. A policy that cannot be taken is a refusal, never a policy less.
pub fn policies(request: &Request, inherited: &mut Inherited) -> Result<Vec<Policy>, Refusal> {
    let open = |fd| inherited.take(fd).map(File::from).map_err(io::Error::from);
    let policies = sources::load(&sources::folder(), request.policies(), open);
    policies.map_err(|diagnostics| Refusal {
        denied: false,
        reasons: diagnostics
            .iter()
            .map(|found| Reason { code: found.code.to_owned(), text: solo5_report::line(found) })
            .collect(),
        summary: Vec::new(),
        usage: false,
    })
}

impl Gate {
    /// Puts what is asked for to `policies`. With `require`, one at least must apply.
    pub fn new(policies: Vec<Policy>, asked: Asked, require: bool) -> Gate {
        let digest = asked.proof.as_ref().map(|proof| proof.digest);
        let lists = digest.map(|digest| {
            admission_lists(&policies, &asked)
                .into_iter()
                .map(|path| (path.to_owned(), sources::admitted(path, &digest)))
                .collect()
        });
        Gate {
            facts: HostFacts {
                root: Fact::Known(rustix::process::geteuid().is_root()),
                // A tender that cannot confine its guest does not start it.
                sandbox: Fact::Known(true),
                admitted: lists.unwrap_or_default(),
                ..HostFacts::default()
            },
            policies,
            require,
            asked,
        }
    }

    /// Whether nobody has anything to say.
    pub fn is_open(&self) -> bool {
        self.policies.is_empty() && !self.require
    }

    /// Folders that a rule wants the file of the block device with this index among those asked
    /// for to lie in.
    pub fn directories(&self, block: usize) -> Vec<&str> {
        let block = self.asked.blocks.get(block);
        let found = block.map(|block| directories(&self.policies, &self.asked, block));
        found.into_iter().flatten().collect()
    }

    /// What the policies say.
    pub fn decide(&self, phase: Phase) -> Decision {
        decide(&self.policies, &self.asked, &self.facts, phase, self.require)
    }

    /// Refuses if the policies do.
    pub fn check(&self, phase: Phase) -> Result<(), Refusal> {
        if self.is_open() {
            return Ok(());
        }
        let decision = self.decide(phase);
        if decision.is_denied() {
            return Err(denial(&decision));
        }
        Ok(())
    }
}

/// The refusal that a denial is.
pub fn denial(decision: &Decision) -> Refusal {
    let reasons = decision
        .reasons
        .iter()
        .map(|reason| Reason { code: reason.code.to_owned(), text: reason.text() });
    Refusal {
        denied: true,
        reasons: reasons.collect(),
        summary: vec![decision.closing()],
        usage: false,
    }
}

/// A name of the host as a fact.
pub fn name_fact(name: Vec<u8>) -> Fact<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Fact::Known(OsString::from_vec(name))
}
