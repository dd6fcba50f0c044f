//! `--explain`: what a launch would open, what the policies decide, and what would confine the
//! guest. One model, printed as text or as JSON.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use serde_json::{Value, json};
use solo5_abi::Target;
use solo5_abi::offer::{Feature, Features, SEED_PAGE};
use solo5_image::{LoadPlan, Protection};
use solo5_launch::{Format, Launch};
use solo5_policy::Decision;
use solo5_report::{json as json_text, one_line, os_text};

use crate::attach::{Backing, Device};
use crate::safeguard::{By, Safeguard};
use crate::seccomp::{Action, Rule};

/// A launch that is explained instead of started.
#[derive(Debug)]
pub struct Explanation<'e> {
    /// The tender's name.
    pub program: &'e str,
    /// Its target.
    pub target: Target,
    /// The image as given.
    pub kernel: &'e OsStr,
    /// Version of its manifest.
    pub manifest_version: u32,
    /// The load plan.
    pub plan: &'e LoadPlan,
    /// The launch that is explained.
    pub launch: &'e Launch,
    /// Guest memory in bytes.
    pub memory: u64,
    /// What the guest is offered beyond the interface of Solo5 0.12.
    pub features: Features,
    /// What the manifest needs beyond it.
    pub needs: Features,
    /// The size of the stack in bytes, if the manifest asks for one.
    pub stack: Option<u64>,
    /// The guard below its stack, if one is offered.
    pub guard: Option<&'e Range<u64>>,
    /// The devices. `None` if they were not inspected, because the launch is already denied.
    pub devices: Option<&'e [Device]>,
    /// The policies' decision.
    pub decision: &'e Decision,
    /// The system call filter.
    pub rules: &'e [Rule],
    /// What else confines the guest.
    pub safeguards: &'e [Safeguard],
    /// The programs that would be executed, for a tender that executes any.
    pub commands: &'e [Command],
}

/// A program that a launch executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its name and arguments.
    pub words: Vec<OsString>,
    /// What it reads on standard input, if anything.
    pub input: Option<String>,
}

impl Command {
    /// The command as a line for a shell.
    pub fn shown(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|word| quoted(&os_text(word))).collect();
        let line = words.join(" ");
        match &self.input {
            Some(input) => {
                let echo = |line| format!("echo {}; ", quoted(line));
                let lines: String = input.lines().map(echo).collect();
                format!("{{ {lines}}} | {line}")
            }
            None => line,
        }
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@#%+{}".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

fn rights(protection: Protection) -> String {
    let flag = |has, letter| if has { letter } else { '-' };
    [flag(protection.read, 'R'), flag(protection.write, 'W'), flag(protection.execute, 'X')]
        .iter()
        .collect()
}

fn mac_text(mac: Option<[u8; 6]>) -> String {
    mac.map_or_else(|| "random".to_owned(), |mac| solo5_launch::Mac(mac).to_string())
}

fn action(rule: &Rule) -> String {
    match rule.action {
        Action::Allow => "allow".to_owned(),
        Action::Errno(number) => format!("error {number}"),
    }
}

impl Explanation<'_> {
    /// The explanation, as whole lines.
    pub fn shown(&self, format: Format) -> String {
        match format {
            Format::Human => self.human(),
            Format::Json => json_text::text(&self.json()) + "\n",
        }
    }

    fn human(&self) -> String {
        let mut out = String::new();
        self.write_human(&mut out).unwrap_or_default();
        out
    }

    fn write_human(&self, out: &mut String) -> std::fmt::Result {
        let launch = self.launch;
        writeln!(
            out,
            "{} · {} · manifest version {}",
            one_line(&os_text(self.kernel)),
            self.target.name(),
            self.manifest_version,
        )?;
        writeln!(out, "\nmemory {} MiB, from address 0", self.memory >> 20)?;
        if self.features.has(Feature::Seed) {
            // hvt makes all memory executable.
            let all = launch.exec_heap && self.target == Target::Hvt;
            let (end, what) = (SEED_PAGE + 0x1000, if all { "RWX" } else { "RW-" });
            writeln!(out, "  {SEED_PAGE:#010x} {end:#010x}  {what}, the seed")?;
        }
        for segment in &self.plan.segments {
            let pages = &segment.pages;
            let what = rights(segment.protection);
            writeln!(out, "  {:#010x} {:#010x}  {what}", pages.start, pages.end)?;
        }
        let heap = if launch.exec_heap { "RWX, by --x-exec-heap" } else { "RW-" };
        let stack = self.stack.and_then(|stack| self.memory.checked_sub(stack));
        match (self.guard, stack) {
            (None, None) => writeln!(out, "  heap and stack         {heap}")?,
            // Without a guard the stack keeps its size.
            (None, Some(start)) => {
                writeln!(out, "  up to {start:#010x}       {heap}, the heap")?;
                writeln!(out, "  {start:#010x} {:#010x}  {heap}, the stack", self.memory)?;
            }
            (Some(guard), _) => {
                let (start, end) = (guard.start, guard.end);
                writeln!(out, "  up to {start:#010x}       {heap}, the heap")?;
                writeln!(out, "  {start:#010x} {end:#010x}  ---, the guard below the stack")?;
                writeln!(out, "  {end:#010x} {:#010x}  {heap}, the stack", self.memory)?;
            }
        }
        writeln!(out, "  entry {:#x}", self.plan.entry)?;
        let lacks = self.needs.without(self.features);
        // Nobody offers a virtio guest anything.
        if self.target != Target::Virtio {
            writeln!(out, "\noffered features: {}", self.features)?;
        }
        if !lacks.is_empty() {
            writeln!(out, "needed, not offered: {lacks}")?;
        }
        let words: Vec<_> = launch.arguments.iter().map(|word| format!("{word:?}")).collect();
        writeln!(
            out,
            "\narguments {}",
            if words.is_empty() { "none".into() } else { words.join(" ") }
        )?;

        writeln!(out, "\ndevices")?;
        for device in self.devices.unwrap_or_default() {
            let name = &device.name;
            match &device.backing {
                Backing::Net { interface, mtu, mac, .. } => writeln!(
                    out,
                    "  net '{name}': tap {}, MTU {mtu}, address {}",
                    one_line(&os_text(OsStr::from_bytes(interface))),
                    mac_text(*mac),
                )?,
                Backing::Block { path, capacity, sector_size, access, .. } => writeln!(
                    out,
                    "  block '{name}': {}, {}, {capacity} bytes in sectors of {sector_size}",
                    one_line(path),
                    access.name(),
                )?,
            }
        }
        for (kind, names) in self.declined() {
            for name in names {
                writeln!(out, "  {kind} '{name}': declined")?;
            }
        }
        let none_declined = self.declined().iter().all(|(_, names)| names.is_empty());
        match self.devices {
            None => writeln!(out, "  not inspected: denied")?,
            Some([]) if none_declined => writeln!(out, "  none")?,
            Some(_) => {}
        }

        writeln!(out, "\npolicy")?;
        for line in self.decision.lines() {
            writeln!(out, "  {}", one_line(&line))?;
        }
        for grant in &self.decision.grants {
            writeln!(out, "  {}", one_line(&grant.line()))?;
        }

        let own = |safeguard: &&Safeguard| safeguard.by == By::Tender;
        let (missing, present): (Vec<_>, Vec<_>) = self
            .safeguards
            .iter()
            .filter(|safeguard| !own(safeguard))
            .partition(|safeguard| safeguard.is_missing());
        if !present.is_empty() {
            writeln!(out, "\nenforced by this host")?;
        }
        for safeguard in present {
            writeln!(out, "  {}: {}", safeguard.what, safeguard.how)?;
        }
        if !missing.is_empty() {
            writeln!(out, "\nnot enforced")?;
        }
        for Safeguard { what, how, lack, .. } in missing {
            writeln!(out, "  {what}: {how} ({lack})")?;
        }
        if self.safeguards.iter().any(|safeguard| own(&safeguard)) {
            writeln!(out, "\nenforced by the tender, which starts no guest without these")?;
        }
        for safeguard in self.safeguards.iter().filter(own) {
            writeln!(out, "  {}: {}", safeguard.what, safeguard.how)?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            let head = if index == 0 {
                "\ncommands; a name in braces stands for a descriptor or an address\n"
            } else {
                ""
            };
            writeln!(out, "{head}  {}", one_line(&command.shown()))?;
        }
        if self.rules.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nsystem calls; any other ends the guest with SIGSYS, status 159")?;
        for rule in self.rules {
            let conditions: Vec<_> = rule.when.iter().map(ToString::to_string).collect();
            writeln!(
                out,
                "  {:8} {}({}): {}",
                action(rule),
                rule.call.name,
                conditions.join(", "),
                rule.reason,
            )?;
        }
        Ok(())
    }

    fn declined(&self) -> [(&'static str, &[String]); 2] {
        [("net", &self.launch.without_nets), ("block", &self.launch.without_blocks)]
    }

    /// The explanation for programs. Field names are stable.
    fn json(&self) -> Value {
        let text = |text: &OsStr| os_text(text).into_owned();
        let segments = self.plan.segments.iter().map(|segment| {
            json!({
                "start": segment.pages.start,
                "end": segment.pages.end,
                "rights": rights(segment.protection),
            })
        });
        let devices = |device: &Device| match &device.backing {
            Backing::Net { interface, mtu, mac, .. } => json!({
                "name": device.name,
                "type": "NET_BASIC",
                "interface": os_text(OsStr::from_bytes(interface)),
                "mtu": mtu.bytes(),
                "mac": mac_text(*mac),
            }),
            Backing::Block { path, capacity, sector_size, access, .. } => json!({
                "name": device.name,
                "type": "BLOCK_BASIC",
                "path": path,
                "access": access.name(),
                "capacity": capacity,
                "sector_size": sector_size.bytes(),
            }),
        };
        let devices = self.devices.map(|list| list.iter().map(devices).collect::<Vec<_>>());
        let rules = self.rules.iter().map(|rule| {
            let conditions = rule.when.iter().map(ToString::to_string);
            json!({
                "call": rule.call.name,
                "when": conditions.collect::<Vec<_>>(),
                "action": action(rule),
                "reason": rule.reason,
            })
        });
        let commands = self.commands.iter().map(|command| {
            let words = command.words.iter().map(|word| text(word));
            json!({"words": words.collect::<Vec<_>>(), "input": command.input})
        });
        let safeguards = self.safeguards.iter().map(|safeguard| {
            let mut row = json!({"what": safeguard.what, "how": safeguard.how});
            if let (By::Host(available), Some(row)) = (safeguard.by, row.as_object_mut()) {
                row.insert("available".to_owned(), available.into());
            }
            row
        });
        json!({
            "type": "solo5.explanation",
            "version": 1,
            "tender": self.program,
            "tender_version": solo5_report::VERSION,
            "image": {
                "file": text(self.kernel),
                "target": self.target.name(),
                "manifest_version": self.manifest_version,
                "entry": self.plan.entry,
                "segments": segments.collect::<Vec<_>>(),
            },
            "memory": self.memory,
            "offered": self.features.iter().map(Feature::name).collect::<Vec<_>>(),
            "not_offered": self.needs.without(self.features).iter().map(Feature::name).collect::<Vec<_>>(),
            "guard": self.guard.map(|guard| json!({"start": guard.start, "end": guard.end})),
            "executable_heap": self.launch.exec_heap,
            "arguments": self.launch.arguments.iter().map(|word| text(word)).collect::<Vec<_>>(),
            "devices": devices,
            "declined": {
                "net": self.launch.without_nets,
                "block": self.launch.without_blocks,
            },
            "policy": self.decision.json(),
            "enforced": safeguards.collect::<Vec<_>>(),
            "system_calls": rules.collect::<Vec<_>>(),
            "commands": commands.collect::<Vec<_>>(),
        })
    }
}
