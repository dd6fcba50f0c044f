//! The policy gate. Policies judge the launch twice: on its options before any device is opened,
//! and again on what the open descriptors turn out to be.
//!
//! The decision is made in `solo5_policy`. This file supplies the facts of this host and turns a
//! denial into the lines that are printed. Without any policy the gate is open, and costs one
//! lookup of the host's policy folder.

use std::fs::File;
use std::io;

use solo5_launch::{Launch, Request};
#[cfg(feature = "block")]
use solo5_policy::directories;
use solo5_policy::{
    Asked, Decision, Fact, HostFacts, Phase, Policy, admission_lists, decide, sources,
};

use crate::attach::{Device, Inherited, NAMED_TWICE};
use crate::error::{Error, Reason, Refusal};
use crate::root::is_root;
use crate::safeguard::Safeguard;

/// The policies of a launch, and the launch they judge.
#[derive(Debug)]
pub struct Gate {
    policies: Vec<Policy>,
    asked: Asked,
    facts: HostFacts,
}

/// Reads every policy of a launch. A policy that cannot be read refuses the launch; it is never
/// skipped.
pub fn policies(request: &Request, inherited: &mut Inherited) -> Result<Vec<Policy>, Refusal> {
    let open = |fd| match inherited.is_taken(fd) {
        true => Err(io::Error::other(NAMED_TWICE)),
        false => inherited.take(fd).map(File::from).map_err(io::Error::from),
    };
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
    /// A gate at which `policies` judge `asked`.
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
                // Only policies ask; the kernel takes a while to say.
                root: if policies.is_empty() { Fact::default() } else { is_root() },
                admitted: lists.unwrap_or_default(),
                ..HostFacts::default()
            },
            policies,
            asked,
        }
    }

    /// Whether no policy can refuse the launch: there is none, and none is required.
    pub fn is_open(&self) -> bool {
        self.policies.is_empty() && !self.asked.launch.require_policy
    }

    /// Records which of these safeguards the host lacks. Before this call the gate has no facts
    /// about them.
    pub fn confined_by(&mut self, safeguards: &[Safeguard]) {
        let lacking = safeguards.iter().filter(|safeguard| safeguard.is_missing());
        self.facts.lacking = lacking.map(Safeguard::lacking).collect();
        self.facts.sandbox = Fact::Known(self.facts.lacking.is_empty());
    }

    /// The launch that is judged.
    pub fn launch(&self) -> &Launch {
        &self.asked.launch
    }

    /// The launch exactly as it was judged, to be started.
    pub fn into_launch(self) -> Launch {
        self.asked.launch
    }

    /// Opens every device of the launch, or under `--explain` only inspects them. Returns them in
    /// the order of their indices. From now on decisions include the facts that the host reports
    /// about them.
    pub fn attach(&mut self, inherited: &mut Inherited) -> Result<Vec<Device>, Refusal> {
        self.asked.launch.descriptor_twice().map_or(Ok(()), |unfit| Err(Error::Unfit(unfit)))?;
        let mut devices: Vec<Device> = Vec::new();
        let only_inspect = self.asked.launch.explain;
        #[cfg(feature = "net")]
        for net in &self.asked.launch.nets {
            let with_bridge = !self.is_open();
            let opened = crate::attach::net::open(net, only_inspect, with_bridge, inherited)?;
            let (device, facts) = opened;
            self.facts.nets.push(facts);
            devices.push(device);
        }
        #[cfg(feature = "block")]
        for block in &self.asked.launch.blocks {
            let directories = directories(&self.policies, &self.asked, block);
            let directories: Vec<_> = directories.into_iter().collect();
            let lookup = crate::attach::block::Lookup::of(block, &directories);
            let number = self.facts.blocks.len();
            self.facts.blocks.push(lookup.facts());
            // A path may lead out of its folder, so these facts are judged before the file is
            // opened. The facts of the open file then replace them.
            if !directories.is_empty() {
                self.check(Phase::Strings)?;
            }
            let (device, facts) =
                crate::attach::block::attach(block, &lookup, only_inspect, inherited)?;
            self.facts.blocks.truncate(number);
            self.facts.blocks.push(facts);
            devices.push(device);
        }
        // A tender built without any device module does not use these.
        #[cfg(not(any(feature = "net", feature = "block")))]
        let _ = (only_inspect, inherited);
        devices.sort_by_key(|device| device.index);
        Ok(devices)
    }

    /// The policies' decision.
    pub fn decide(&self, phase: Phase) -> Decision {
        decide(&self.policies, &self.asked, &self.facts, phase, self.asked.launch.require_policy)
    }

    /// Refuses the launch if the policies deny it.
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

/// Turns a denial into a refusal.
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
