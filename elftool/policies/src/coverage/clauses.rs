//! Splits a policy into clauses: each thing it says, and how to remove that from it.

use std::ops::Range;

use solo5_policy::glob::Pattern;
use solo5_policy::model::{At, BackingRule, BlockRule, Devices, NetRule, Policy, Proofs};
use solo5_signature::{Digest, PublicKey};

/// One thing a policy says.
pub struct Clause {
    /// Its keys: `net.allow[2].interface`.
    pub what: String,
    /// Its place in the source.
    pub span: Range<usize>,
    pub(super) scope: Scope,
    edit: Box<dyn Fn(&mut Policy)>,
}

impl Clause {
    /// Removes the clause from `policy`; a switch is inverted instead.
    pub fn take_from(&self, policy: &mut Policy) {
        (self.edit)(policy);
    }
}

/// The questions whose answer a clause can change.
#[derive(Clone, Debug)]
pub(super) enum Scope {
    /// Whether the policy applies.
    Match,
    /// Whether the policy applies, as far as one label decides that.
    Label(usize),
    /// Anything.
    Policy,
    /// Anything but devices.
    BesideDevices,
    /// Images with this digest.
    Digest(Digest),
    /// Images signed with this key.
    Key(PublicKey),
    /// The words that fit this pattern.
    Word(usize),
    /// Launches with more network interfaces than this.
    NetMaximum(u64),
    /// Launches with more block devices than this.
    BlockMaximum(u64),
    /// Network interfaces: the rule with this index becomes another one, or goes.
    Net(usize, Option<NetRule>),
    /// Block devices, as `Net`.
    Block(usize, Option<BlockRule>),
    /// Findings that this waiver accepts.
    Waiver(usize),
}

/// Everything a policy says, in the order of its sections.
pub fn clauses(policy: &Policy) -> Vec<Clause> {
    let mut out = Clauses { policy, all: Vec::new() };
    selector(&mut out);
    if let Some(span) = &policy.otherwise_allow {
        out.add_in(Scope::Policy, "otherwise", span, |policy| policy.otherwise_allow = None);
    }
    image(&mut out);
    process(&mut out);
    memory(&mut out);
    arguments(&mut out);
    net(&mut out);
    block(&mut out);
    debug(&mut out);
    if let Some(file) = &policy.admitted {
        out.add("admitted", &file.span, |policy| policy.admitted = None);
    }
    audit(&mut out);
    out.all
}

fn item(list: &str, index: usize) -> String {
    format!("{list}[{}]", index + 1)
}

struct Clauses<'p> {
    policy: &'p Policy,
    all: Vec<Clause>,
}

/// A list of a policy, which may be absent.
type List<T> = Option<At<Vec<T>>>;

impl Clauses<'_> {
    fn add(
        &mut self,
        what: impl Into<String>,
        span: &Range<usize>,
        edit: impl Fn(&mut Policy) + 'static,
    ) {
        self.add_in(Scope::BesideDevices, what, span, edit);
    }

    fn add_in(
        &mut self,
        scope: Scope,
        what: impl Into<String>,
        span: &Range<usize>,
        edit: impl Fn(&mut Policy) + 'static,
    ) {
        let (what, span) = (what.into(), span.clone());
        self.all.push(Clause { what, span, scope, edit: Box::new(edit) });
    }

    /// Adds a list that `at` finds in a policy: one clause for the whole list, and, if it has
    /// several items, one for each.
    fn values<T: 'static>(
        &mut self,
        what: &str,
        list: Option<&At<Vec<T>>>,
        whole: Scope,
        one: impl Fn(&T) -> Scope,
        at: fn(&mut Policy) -> Option<&mut List<T>>,
    ) {
        let Some(list) = list else { return };
        self.add_in(whole, what, &list.span, move |policy| {
            at(policy).map(Option::take);
        });
        if list.value.len() < 2 {
            return;
        }
        for (index, value) in list.value.iter().enumerate() {
            self.add_in(one(value), item(what, index), &list.span, move |policy| {
                let list = at(policy).and_then(Option::as_mut);
                list.map(|list| list.value.remove(index));
            });
        }
    }

    /// Adds a switch if the file sets it.
    fn switch(
        &mut self,
        section: &str,
        key: &str,
        switch: &At<bool>,
        at: fn(&mut Policy) -> Option<&mut At<bool>>,
    ) {
        if self.policy.leaves_out(section, switch) {
            return;
        }
        self.add(format!("{section}.{key}"), &switch.span, move |policy| {
            if let Some(switch) = at(policy) {
                switch.value = !switch.value;
            }
        });
    }
}

fn selector(out: &mut Clauses<'_>) {
    let selector = &out.policy.selector;
    for (index, label) in selector.labels.iter().enumerate() {
        let what = format!("match.label.{}", label.key);
        out.add_in(Scope::Label(index), what, &label.span, move |policy| {
            policy.selector.labels.remove(index);
        });
    }
    let Proofs { digests, signed_by } = &selector.proofs;
    out.values("match.digest", digests.as_ref(), Scope::Match, digest, |policy| {
        Some(&mut policy.selector.proofs.digests)
    });
    out.values("match.signed-by", signed_by.as_ref(), Scope::Match, key, |policy| {
        Some(&mut policy.selector.proofs.signed_by)
    });
}

fn digest(digest: &Digest) -> Scope {
    Scope::Digest(*digest)
}

fn key(key: &PublicKey) -> Scope {
    Scope::Key(key.clone())
}

fn image(out: &mut Clauses<'_>) {
    let Some(image) = &out.policy.image else {
        return;
    };
    out.add("image", &image.span, |policy| policy.image = None);
    let any = |_: &_| Scope::BesideDevices;
    out.values("image.targets", image.targets.as_ref(), Scope::BesideDevices, any, |policy| {
        Some(&mut policy.image.as_mut()?.targets)
    });
    if let Some(minimum) = &image.minimum_manifest {
        out.add("image.minimum-manifest", &minimum.span, |policy| {
            policy.image.as_mut().map(|image| image.minimum_manifest.take());
        });
    }
    let Proofs { digests, signed_by } = &image.proofs;
    out.values("image.digest", digests.as_ref(), Scope::BesideDevices, digest, |policy| {
        Some(&mut policy.image.as_mut()?.proofs.digests)
    });
    out.values("image.signed-by", signed_by.as_ref(), Scope::BesideDevices, key, |policy| {
        Some(&mut policy.image.as_mut()?.proofs.signed_by)
    });
}

fn process(out: &mut Clauses<'_>) {
    let Some(process) = &out.policy.process else {
        return;
    };
    out.switch("process", "root", &process.root_allowed, |policy| {
        Some(&mut policy.process.as_mut()?.root_allowed)
    });
    out.switch("process", "sandbox", &process.sandbox_required, |policy| {
        Some(&mut policy.process.as_mut()?.sandbox_required)
    });
}

fn memory(out: &mut Clauses<'_>) {
    let Some(memory) = &out.policy.memory else {
        return;
    };
    out.add("memory", &memory.span, |policy| policy.memory = None);
    if let Some(maximum) = &memory.maximum {
        out.add("memory.maximum", &maximum.span, |policy| {
            policy.memory.as_mut().map(|memory| memory.maximum.take());
        });
    }
    let heap = &memory.executable_heap_allowed;
    out.switch("memory", "executable-heap", heap, |policy| {
        Some(&mut policy.memory.as_mut()?.executable_heap_allowed)
    });
}

fn arguments(out: &mut Clauses<'_>) {
    let Some(arguments) = &out.policy.arguments else {
        return;
    };
    out.add("arguments", &arguments.span, |policy| policy.arguments = None);
    if let Some(maximum) = &arguments.maximum_length {
        out.add("arguments.maximum-length", &maximum.span, |policy| {
            let arguments = policy.arguments.as_mut();
            arguments.map(|arguments| arguments.maximum_length.take());
        });
    }
    let Some(allow) = &arguments.allow else {
        return;
    };
    out.add("arguments.allow", &allow.span, |policy| {
        let arguments = policy.arguments.as_mut();
        arguments.map(|arguments| arguments.allow.take());
    });
    for (index, pattern) in allow.value.iter().enumerate() {
        let what = item("arguments.allow", index);
        out.add_in(Scope::Word(index), what, &pattern.span, move |policy| {
            let allow = policy.arguments.as_mut().and_then(|all| all.allow.as_mut());
            allow.map(|allow| allow.value.remove(index));
        });
    }
}

/// A section of devices.
struct DeviceSection<Rule: 'static> {
    name: &'static str,
    /// Finds it in a policy.
    find: fn(&mut Policy) -> &mut Option<Devices<Rule>>,
    maximum: fn(u64) -> Scope,
    /// The scope of a rule (with `None`), or of one of its keys (with the rule without that key).
    scope: fn(usize, Option<Rule>) -> Scope,
}

impl<Rule: Clone + 'static> DeviceSection<Rule> {
    /// Adds the clauses of the section; `keys` adds those of one rule.
    fn add(
        &self,
        out: &mut Clauses<'_>,
        devices: &Devices<Rule>,
        mut keys: impl FnMut(&mut RuleKeys<'_, '_, Rule>),
    ) {
        let &DeviceSection { name, find, scope, .. } = self;
        out.add_in(Scope::Policy, name, &devices.span, move |policy| *find(policy) = None);
        if let Some(maximum) = &devices.maximum {
            let scope = (self.maximum)(maximum.value);
            out.add_in(scope, format!("{name}.maximum"), &maximum.span, move |policy| {
                find(policy).as_mut().map(|devices| devices.maximum.take());
            });
        }
        let Some(allow) = &devices.allow else {
            return;
        };
        let list = format!("{name}.allow");
        out.add_in(Scope::Policy, list.as_str(), &allow.span, move |policy| {
            find(policy).as_mut().map(|devices| devices.allow.take());
        });
        for (index, rule) in allow.value.iter().enumerate() {
            let what = item(&list, index);
            out.add_in(scope(index, None), what.as_str(), &rule.span, move |policy| {
                let allow = find(policy).as_mut().and_then(|all| all.allow.as_mut());
                allow.map(|allow| allow.value.remove(index));
            });
            keys(&mut RuleKeys { out, section: self, what, index, rule: &rule.value });
        }
    }
}

/// Adds the keys of one rule.
struct RuleKeys<'k, 'p, Rule: 'static> {
    out: &'k mut Clauses<'p>,
    section: &'k DeviceSection<Rule>,
    what: String,
    index: usize,
    rule: &'k Rule,
}

impl<Rule: Clone + 'static> RuleKeys<'_, '_, Rule> {
    /// Adds `key`; `edit` removes it from the rule.
    fn add(&mut self, key: &str, span: &Range<usize>, edit: impl FnOnce(&mut Rule)) {
        let mut without = self.rule.clone();
        edit(&mut without);
        let (index, find) = (self.index, self.section.find);
        let scope = (self.section.scope)(index, Some(without.clone()));
        self.out.add_in(scope, format!("{}.{key}", self.what), span, move |policy| {
            let allow = find(policy).as_mut().and_then(|devices| devices.allow.as_mut());
            if let Some(rule) = allow.and_then(|allow| allow.value.get_mut(index)) {
                rule.value = without.clone();
            }
        });
    }

    /// Adds `key`, which may be absent.
    fn add_if<T>(&mut self, key: &str, value: Option<&At<T>>, edit: impl FnOnce(&mut Rule)) {
        if let Some(value) = value {
            self.add(key, &value.span, edit);
        }
    }
}

/// The pattern `*` in place of `name`; `None` if it is `*` already.
fn any(name: &At<Pattern>) -> Option<At<Pattern>> {
    let value = Pattern::new("*").ok()?;
    let span = name.span.clone();
    (name.value != value).then_some(At { value, span })
}

fn net(out: &mut Clauses<'_>) {
    let Some(devices) = &out.policy.net else {
        return;
    };
    let section = DeviceSection {
        name: "net",
        find: |policy| &mut policy.net,
        maximum: Scope::NetMaximum,
        scope: Scope::Net,
    };
    section.add(out, devices, |keys| {
        let rule = keys.rule;
        if let Some(any) = any(&rule.name) {
            keys.add("name", &rule.name.span, |rule| rule.name = any);
        }
        keys.add_if("interface", rule.interface.as_ref(), |rule| rule.interface = None);
        keys.add_if("bridge", rule.bridge.as_ref(), |rule| rule.bridge = None);
        keys.add_if("mac", rule.mac.as_ref(), |rule| rule.mac = None);
        keys.add_if("descriptor", rule.descriptor.as_ref(), |rule| rule.descriptor = None);
    });
}

fn block(out: &mut Clauses<'_>) {
    let Some(devices) = &out.policy.block else {
        return;
    };
    let section = DeviceSection {
        name: "block",
        find: |policy| &mut policy.block,
        maximum: Scope::BlockMaximum,
        scope: Scope::Block,
    };
    section.add(out, devices, |keys| {
        let rule = keys.rule;
        if let Some(any) = any(&rule.name) {
            keys.add("name", &rule.name.span, |rule| rule.name = any);
        }
        let backing = match rule.backing.as_ref().map(|backing| &backing.value) {
            Some(BackingRule::FileUnder(_)) => "file",
            Some(BackingRule::Device(_)) => "device",
            Some(BackingRule::Descriptor) | None => "descriptor",
        };
        keys.add_if(backing, rule.backing.as_ref(), |rule| rule.backing = None);
        keys.add_if("access", rule.access.as_ref(), |rule| rule.access = None);
        keys.add_if("capacity", rule.capacity_maximum.as_ref(), |rule| {
            rule.capacity_maximum = None
        });
        let sizes = rule.sector_sizes.as_ref();
        keys.add_if("sector-size", sizes, |rule| rule.sector_sizes = None);
        let Some(sizes) = sizes.filter(|sizes| sizes.value.len() > 1) else {
            return;
        };
        for index in 0..sizes.value.len() {
            keys.add(&item("sector-size", index), &sizes.span, |rule| {
                rule.sector_sizes.as_mut().map(|sizes| sizes.value.remove(index));
            });
        }
    });
}

fn debug(out: &mut Clauses<'_>) {
    let Some(debug) = &out.policy.debug else {
        return;
    };
    out.switch("debug", "gdb", &debug.gdb_allowed, |policy| {
        Some(&mut policy.debug.as_mut()?.gdb_allowed)
    });
    out.switch("debug", "dumpcore", &debug.dumpcore_allowed, |policy| {
        Some(&mut policy.debug.as_mut()?.dumpcore_allowed)
    });
}

fn audit(out: &mut Clauses<'_>) {
    let Some(audit) = &out.policy.audit else {
        return;
    };
    out.add("audit.fail-on", &audit.fail_on.span, |policy| policy.audit = None);
    for (index, waiver) in audit.waive.iter().enumerate() {
        let what = item("audit.waive", index);
        out.add_in(Scope::Waiver(index), what, &waiver.span, move |policy| {
            policy.audit.as_mut().map(|audit| audit.waive.remove(index));
        });
    }
}
