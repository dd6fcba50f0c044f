//! The policy gate: what is asked for is judged before anything is opened, and again by what the
//! opened descriptors say.
//!
//! Policies decide in their own crate; here are only the facts of this host, and the lines a
//! denial prints. Without any policy the gate is open and costs one look for the host's folder.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use solo5_launch::{Launch, Request};
#[cfg(feature = "block")]
use solo5_policy::directories;
use solo5_policy::{
    Asked, Decision, Fact, HostFacts, Phase, Policy, admission_lists, decide, sources,
};

use crate::attach::{Device, Inherited};
use crate::error::{Reason, Refusal};
use crate::safeguard::Safeguard;
use crate::sys;

/// The policies of a launch with what is asked of them.
#[derive(Debug)]
pub struct Gate {
    policies: Vec<Policy>,
    asked: Asked,
    facts: HostFacts,
}

/// Reads every policy of a launch. A policy that cannot be taken is a refusal, never a policy less.
pub fn policies(request: &Request, inherited: &mut Inherited) -> Result<Vec<Policy>, Refusal> {
    let open = |fd| inherited.take(fd).map(File::from).map_err(io::Error::from);
    let policies =
        sources::load(sources::Host::Folder(&sources::folder()), request.policies(), open);
    policies.map_err(|diagnostics| Refusal {
        reasons: diagnostics
            .iter()
            .map(|found| Reason { code: found.code.to_owned(), text: solo5_report::line(found) })
            .collect(),
        ..Refusal::default()
    })
}

impl Gate {
    /// Puts what is asked for to `policies`.
    pub fn new(policies: Vec<Policy>, asked: Asked) -> Gate {
        let digest = asked.proof.as_ref().map(|proof| proof.digest);
        let lists = digest.map(|digest| {
            admission_lists(&policies, &asked)
                .into_iter()
                .map(|path| (path.to_owned(), sources::admitted(path, &digest)))
                .collect()
        });
        Gate {
            facts: HostFacts {
                root: Fact::Known(sys::user_ids().contains(&0)),
                admitted: lists.unwrap_or_default(),
                ..HostFacts::default()
            },
            policies,
            asked,
        }
    }

    /// Whether nobody has anything to say.
    pub fn is_open(&self) -> bool {
        self.policies.is_empty() && !self.asked.launch.require_policy
    }

    /// Takes into account what of these the host lacks. Until then nobody has asked.
    pub fn confined_by(&mut self, safeguards: &[Safeguard]) {
        let lacking = safeguards.iter().filter(|safeguard| safeguard.is_missing());
        self.facts.lacking = lacking.map(|safeguard| safeguard.how.to_owned()).collect();
        self.facts.sandbox = Fact::Known(self.facts.lacking.is_empty());
    }

    /// The launch that is judged.
    pub fn launch(&self) -> &Launch {
        &self.asked.launch
    }

    /// The launch, to be started as it was judged.
    pub fn into_launch(self) -> Launch {
        self.asked.launch
    }

    /// Opens every device of the launch, or, to explain it, only looks at them. They come in order of
    /// their indices; what the host says of them is judged from now on.
    pub fn attach(&mut self, inherited: &mut Inherited) -> Result<Vec<Device>, Refusal> {
        let mut devices: Vec<Device> = Vec::new();
        let only_look = self.asked.launch.explain;
        #[cfg(feature = "net")]
        for net in &self.asked.launch.nets {
            let with_bridge = !self.is_open();
            let opened = crate::attach::net::open(net, only_look, with_bridge, inherited)?;
            let (device, facts) = opened;
            self.facts.nets.push(facts);
            devices.push(device);
        }
        #[cfg(feature = "block")]
        for block in &self.asked.launch.blocks {
            let directories = directories(&self.policies, &self.asked, block);
            let directories: Vec<_> = directories.into_iter().collect();
            let look = crate::attach::block::Look::at(block, &directories);
            let number = self.facts.blocks.len();
            self.facts.blocks.push(look.facts());
            // What a path leads to outside of its folder is not opened before that is judged.
            if !directories.is_empty() {
                self.check(Phase::Strings)?;
            }
            let (device, facts) = crate::attach::block::attach(block, &look, only_look, inherited)?;
            self.facts.blocks.truncate(number);
            self.facts.blocks.push(facts);
            devices.push(device);
        }
        // Only a tender without modules uses none of these.
        #[cfg(not(any(feature = "net", feature = "block")))]
        let _ = (only_look, inherited);
        devices.sort_by_key(|device| device.index);
        Ok(devices)
    }

    /// What the policies say.
    pub fn decide(&self, phase: Phase) -> Decision {
        decide(&self.policies, &self.asked, &self.facts, phase, self.asked.launch.require_policy)
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
        ..Refusal::default()
    }
}

/// A name of the host as a fact.
pub fn name_fact(name: Vec<u8>) -> Fact<OsString> {
    use std::os::unix::ffi::OsStringExt;
    Fact::Known(OsString::from_vec(name))
}
