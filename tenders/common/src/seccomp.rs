//! System call filters: rules as data, and the BPF program assembled from them.
//!
//! A [`Rule`] names one system call, the conditions on its arguments, the action, and the reason.
//! So one table yields the filter, the text of `--explain`, and the tests. [`assemble`] turns a
//! table into a program for the kernel. A call that matches no rule kills the process.
//!
//! A program has this shape; its jumps only go forward:
//!
//! 1. check the architecture;
//! 2. find the system call number by binary search, and kill if it is not found. All 32 bits are
//!    compared, so that no x32 call on x86_64 matches;
//! 3. check each rule's conditions, both halves of a 64-bit value. The first rule that matches
//!    decides; if none matches, kill.
//!
//! All rules share their return instructions, to keep the program short: the kernel checks and
//! translates it at every start.
//!
//! This is our own assembler, because the `seccompiler` crate has a single action for all rules and
//! does not support ppc64le. Tests compare the two on random calls.

use std::borrow::Cow;
use std::fmt;

use solo5_abi::Arch;

#[cfg(any(test, feature = "testing"))]
pub mod interpreter;
mod sectors;

pub use sectors::Sectors;

/// A system call and its number on each architecture; `None` where no rule uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: &'static str,
    x86_64: Option<u32>,
    aarch64: Option<u32>,
    ppc64le: Option<u32>,
}

impl Call {
    const fn new(name: &'static str, x86_64: u32, aarch64: u32, ppc64le: u32) -> Call {
        Call { name, x86_64: Some(x86_64), aarch64: Some(aarch64), ppc64le: Some(ppc64le) }
    }

    /// Its number.
    pub const fn number(&self, arch: Arch) -> Option<u32> {
        match arch {
            Arch::X86_64 => self.x86_64,
            Arch::Aarch64 => self.aarch64,
            Arch::Ppc64le => self.ppc64le,
        }
    }
}

/// The calls that rules can name. The numbers are those of `docs/reference/spt.md#calls`.
pub mod calls {
    use super::Call;

    /// `read(fd, buffer, size)`
    pub const READ: Call = Call::new("read", 0, 63, 3);
    /// `write(fd, buffer, size)`
    pub const WRITE: Call = Call::new("write", 1, 64, 4);
    /// `close(fd)`
    pub const CLOSE: Call = Call::new("close", 3, 57, 6);
    /// `epoll_ctl(epfd, op, fd, event)`
    pub const EPOLL_CTL: Call = Call::new("epoll_ctl", 233, 21, 236);
    /// `pread64(fd, buffer, size, offset)`
    pub const PREAD64: Call = Call::new("pread64", 17, 67, 179);
    /// `pwrite64(fd, buffer, size, offset)`
    pub const PWRITE64: Call = Call::new("pwrite64", 18, 68, 180);
    /// `fdatasync(fd)`
    pub const FDATASYNC: Call = Call::new("fdatasync", 75, 83, 148);
    /// `clock_gettime(clock, time)`
    pub const CLOCK_GETTIME: Call = Call::new("clock_gettime", 228, 113, 246);
    /// `exit_group(status)`
    pub const EXIT_GROUP: Call = Call::new("exit_group", 231, 94, 234);
    /// `epoll_pwait(fd, events, count, timeout, mask, size)`
    pub const EPOLL_PWAIT: Call = Call::new("epoll_pwait", 281, 22, 303);
    /// `timerfd_settime(fd, flags, new, old)`
    pub const TIMERFD_SETTIME: Call = Call::new("timerfd_settime", 286, 86, 311);
    /// `ioctl(fd, request, argument)`
    pub const IOCTL: Call = Call::new("ioctl", 16, 29, 54);
    /// `futex(word, operation, value, ...)`
    pub const FUTEX: Call = Call::new("futex", 202, 98, 221);
    /// `ppoll(fds, count, time, mask, size)`
    pub const PPOLL: Call = Call::new("ppoll", 271, 73, 281);
    /// `recvfrom(fd, buffer, size, flags, address, address_size)`
    pub const RECVFROM: Call = Call::new("recvfrom", 45, 207, 337);
    /// `rt_sigreturn()`
    pub const RT_SIGRETURN: Call = Call::new("rt_sigreturn", 15, 139, 172);
    /// `unlinkat(directory, name, flags)`
    pub const UNLINKAT: Call = Call::new("unlinkat", 263, 35, 292);
    /// `mincore(address, length, vector)`
    pub const MINCORE: Call = Call::new("mincore", 27, 232, 206);
    /// `arch_prctl(code, address)`: only on x86_64.
    pub const ARCH_PRCTL: Call =
        Call { name: "arch_prctl", x86_64: Some(158), aarch64: None, ppc64le: None };
}

/// A test on the value of an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// All 64 bits equal this.
    Equal(u64),
    /// At most this, as an unsigned 64-bit number.
    AtMost(u64),
    /// The low 32 bits equal one of two values. For an `int` argument: the kernel ignores its upper
    /// half.
    LowOneOf(u32, u32),
    /// A size, and the argument after it an offset: whole sectors that lie on the device.
    Sectors(Sectors),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The argument, counted from 0; below 6.
    pub argument: u8,
    /// Its name in the call's manual page.
    pub name: &'static str,
    /// The test that it must pass.
    pub test: Test,
    /// What the value stands for, in `--explain`.
    pub meaning: Option<&'static str>,
}

impl Test {
    /// The low 32 bits equal this.
    pub const fn low(value: u32) -> Test {
        Test::LowOneOf(value, value)
    }
}

impl Condition {
    /// The argument called `name` must pass `test`.
    pub const fn new(argument: u8, name: &'static str, test: Test) -> Condition {
        Condition { argument, name, test, meaning: None }
    }

    /// The first argument is descriptor `fd`, shown as `meaning`.
    pub const fn descriptor(fd: i32, meaning: &'static str) -> Condition {
        // Descriptors are not negative. -1 stands for a descriptor that is not open yet, and
        // matches no call.
        Condition::new(0, "fd", Test::Equal(fd as i64 as u64)).meaning(meaning)
    }

    /// The same condition, with its value shown as `meaning`.
    pub const fn meaning(mut self, meaning: &'static str) -> Condition {
        self.meaning = Some(meaning);
        self
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.test, self.meaning) {
            (Test::Equal(_) | Test::LowOneOf(..), Some(meaning)) => {
                write!(f, "{} = {meaning}", self.name)
            }
            (Test::Equal(value), None) => write!(f, "{} = {value}", self.name),
            (Test::AtMost(value), _) => write!(f, "{} <= {value}", self.name),
            (Test::LowOneOf(one, other), None) if one == other => {
                write!(f, "{} = {}", self.name, one as i32)
            }
            (Test::LowOneOf(one, other), None) => {
                write!(f, "{} = {} or {}", self.name, one as i32, other as i32)
            }
            (Test::Sectors(sectors), _) => sectors.fmt(f),
        }
    }
}

/// What happens when a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The call is made.
    Allow,
    /// The call is not made and returns this error number.
    Errno(u16),
}

/// One row of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The call.
    pub call: Call,
    /// The conditions, all of which must hold.
    pub when: Vec<Condition>,
    /// The action.
    pub action: Action,
    /// Why the guest or tender needs the call, in `--explain`.
    pub reason: Cow<'static, str>,
}

impl Rule {
    /// Allows the call if all of `when` holds.
    pub fn allow(call: Call, when: Vec<Condition>, reason: impl Into<Cow<'static, str>>) -> Rule {
        Rule { call, when, action: Action::Allow, reason: reason.into() }
    }
}

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub if_true: u8,
    /// Instructions to skip if it does not.
    pub if_false: u8,
    /// Operand.
    pub operand: u32,
}

/// Maximum number of instructions that the kernel accepts.
pub const INSTRUCTIONS_MAX: usize = 4096;

/// `seccomp` return value: the whole process dies of SIGSYS.
pub const KILL_PROCESS: u32 = 0x8000_0000;
/// `seccomp` return value: the call is made.
pub const ALLOW: u32 = 0x7fff_0000;
/// `seccomp` return value: the low 16 bits are the error number.
pub const ERRNO: u32 = 0x0005_0000;

const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
/// Whether a bit of the operand is set.
const JUMP_BITS: u16 = 0x45;
/// The next four use the index register, a second register of 32 bits.
const JUMP_GREATER_EQUAL_INDEX: u16 = 0x3d;
const ADD_INDEX: u16 = 0x0c;
const TO_INDEX: u16 = 0x07;
const FROM_INDEX: u16 = 0x87;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
const DATA_NUMBER: u32 = 0;
const DATA_ARCH: u32 = 4;
const DATA_ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of the kernel.
pub const fn audit_arch(arch: Arch) -> u32 {
    match arch {
        Arch::X86_64 => 0xc000_003e,
        Arch::Aarch64 => 0xc000_00b7,
        Arch::Ppc64le => 0xc000_0015,
    }
}

/// Assembles the filter for `rules`. `None` if it would be longer than [`INSTRUCTIONS_MAX`]. The
/// largest manifest needs less. Rules for calls that `arch` does not have are
/// left out.
pub fn assemble(rules: &[Rule], arch: Arch) -> Option<Vec<Instruction>> {
    let numbered =
        rules.iter().filter_map(|rule| rule.call.number(arch).map(|number| (number, rule)));
    let mut numbered: Vec<(u32, &Rule)> = numbered.collect();
    // The sort must be stable: among the rules of one call, the first that matches decides.
    numbered.sort_by_key(|(number, _)| *number);
    let calls: Vec<_> = numbered.chunk_by(|one, next| one.0 == next.0).collect();

    // A program is built from its end: the architecture check, emitted last, runs first.
    let mut program = Program::default();
    program.search(&calls);
    let number = program.load(DATA_NUMBER);
    let kill = program.end(KILL_PROCESS);
    program.compare(JUMP_EQUAL, audit_arch(arch), number, kill);
    program.load(DATA_ARCH);
    program.finish()
}

/// Maximum number of instructions that a branch may skip. One less than 8 bits can hold, because
/// bringing one of the branch's two targets into reach can move the other away by one instruction.
const REACH: usize = 254;

/// An instruction, identified by the number of instructions that follow it.
#[derive(Clone, Copy)]
struct Label(usize);

/// A program that is built from its end to its start. Jumps only go forward, so the target of each
/// jump already exists, and all rules can share their return instructions.
///
/// A branch names both its targets, so other instructions may be inserted in front of them. Only
/// loads and arithmetic fall through to the instruction that was emitted before them.
#[derive(Default)]
struct Program {
    /// The instructions in reverse order.
    reversed: Vec<Instruction>,
    /// The nearest return instruction for each decision.
    ends: Vec<(u32, Label)>,
}

impl Program {
    fn put(&mut self, code: u16, operand: u32, if_true: u8, if_false: u8) -> Label {
        self.reversed.push(Instruction { code, if_true, if_false, operand });
        Label(self.reversed.len() - 1)
    }

    /// How many instructions the next one must skip to reach `label`.
    fn distance(&self, label: Label) -> usize {
        self.reversed.len() - 1 - label.0
    }

    /// A return instruction with `decision`; reuses one within reach.
    fn end(&mut self, decision: u32) -> Label {
        let known = self.ends.iter().find(|(value, _)| *value == decision);
        match known {
            Some((_, label)) if self.distance(*label) <= REACH => *label,
            _ => {
                let label = self.put(RETURN, decision, 0, 0);
                self.ends.retain(|(value, _)| *value != decision);
                self.ends.push((decision, label));
                label
            }
        }
    }

    /// Returns `label` if a branch can reach it. Otherwise emits an instruction within reach that
    /// has the same effect: the return instruction itself, or a jump to `label`.
    fn near(&mut self, label: Label) -> Label {
        let distance = self.distance(label);
        match self.reversed.get(label.0) {
            _ if distance <= REACH => label,
            Some(end) if end.code == RETURN => self.end(end.operand),
            // The distance fits in 32 bits: a program with more instructions does not fit in
            // memory.
            _ => self.put(JUMP, distance as u32, 0, 0),
        }
    }

    /// Compares the loaded value with `operand`, and branches to `yes` or `no`.
    fn compare(&mut self, code: u16, operand: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let (if_true, if_false) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.put(code, operand, if_true, if_false)
    }

    /// Loads 32 bits of the call's data, then falls through to the instruction emitted last.
    fn load(&mut self, offset: u32) -> Label {
        self.put(LOAD, offset, 0, 0)
    }

    /// Finds the loaded system call number in `calls`, which are in ascending order, and applies
    /// its rules.
    ///
    /// A binary search pays off: when a filter is installed, the kernel runs it once for each of
    /// its several hundred calls, to learn which are always allowed. So the length of the path to
    /// "kill" dominates the cost.
    fn search(&mut self, calls: &[&[(u32, &Rule)]]) -> Label {
        let kill = self.end(KILL_PROCESS);
        match calls {
            [] | [[]] => kill,
            [rules @ [(number, _), ..]] => {
                let of_last = rules.iter().rev();
                let first = of_last.fold(kill, |next, (_, rule)| self.rule(rule, next));
                self.compare(JUMP_EQUAL, *number, first, kill)
            }
            _ => {
                let (lower, upper) = calls.split_at(calls.len() / 2);
                let first = upper.iter().flat_map(|rules| rules.first()).next();
                let first = first.map_or(0, |(number, _)| *number);
                let upper = self.search(upper);
                let lower = self.search(lower);
                self.compare(JUMP_GREATER_EQUAL, first, upper, lower)
            }
        }
    }

    /// Takes the action of `rule` if all its conditions hold, else continues at `next`.
    fn rule(&mut self, rule: &Rule, next: Label) -> Label {
        let decided = self.end(match rule.action {
            Action::Allow => ALLOW,
            Action::Errno(number) => ERRNO | u32::from(number),
        });
        let conditions = rule.when.iter().rev();
        conditions.fold(decided, |fits, condition| self.condition(condition, fits, next))
    }

    /// Tests one condition; continues at `fits` if it holds, else at `next`.
    fn condition(&mut self, condition: &Condition, fits: Label, next: Label) -> Label {
        let low = DATA_ARGUMENTS + 8 * u32::from(condition.argument);
        let high = low + 4;
        let halves = |value: u64| (value as u32, (value >> 32) as u32);
        match condition.test {
            Test::Equal(value) => {
                let (value_low, value_high) = halves(value);
                self.compare(JUMP_EQUAL, value_low, fits, next);
                let below = self.load(low);
                self.compare(JUMP_EQUAL, value_high, below, next);
                self.load(high)
            }
            Test::AtMost(value) => {
                let (value_low, value_high) = halves(value);
                self.compare(JUMP_GREATER, value_low, next, fits);
                let below = self.load(low);
                let equal = self.compare(JUMP_EQUAL, value_high, below, fits);
                self.compare(JUMP_GREATER, value_high, next, equal);
                self.load(high)
            }
            Test::LowOneOf(one, other) => {
                let mut otherwise = next;
                if one != other {
                    otherwise = self.compare(JUMP_EQUAL, other, fits, next);
                }
                self.compare(JUMP_EQUAL, one, fits, otherwise);
                self.load(low)
            }
            Test::Sectors(sectors) => self.sectors(&sectors, low, fits, next),
        }
    }

    /// The finished program, first instruction first; `None` if it is too long for the kernel.
    fn finish(mut self) -> Option<Vec<Instruction>> {
        self.reversed.reverse();
        (self.reversed.len() <= INSTRUCTIONS_MAX).then_some(self.reversed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
        SeccompRule, TargetArch,
    };

    use super::calls::*;
    use super::interpreter::decision;
    use super::*;

    pub(super) fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        decision(program, arch, number, arguments).expect("one of our programs")
    }

    /// The decision on a call, computed directly from the rules.
    fn expected(rules: &[Rule], number: u32, arguments: [u64; 6]) -> u32 {
        let fits = |condition: &Condition| {
            let value = arguments[usize::from(condition.argument)];
            match condition.test {
                Test::Equal(wanted) => value == wanted,
                Test::AtMost(most) => value <= most,
                Test::LowOneOf(one, other) => [one, other].contains(&(value as u32)),
                Test::Sectors(sectors) => {
                    sectors.has(value, arguments[usize::from(condition.argument) + 1])
                }
            }
        };
        let rule = rules.iter().find(|rule| {
            rule.call.number(Arch::X86_64) == Some(number) && rule.when.iter().all(fits)
        });
        match rule.map(|rule| rule.action) {
            None => KILL_PROCESS,
            Some(Action::Allow) => ALLOW,
            Some(Action::Errno(number)) => ERRNO | u32::from(number),
        }
    }

    fn arb_rule() -> impl Strategy<Value = Rule> {
        let value = prop_oneof![0u64..4, Just(u64::MAX), (0u64..3).prop_map(|n| n << 32 | 1)];
        let test = (value, 0..3).prop_map(|(value, kind)| match kind {
            0 => Test::Equal(value),
            1 => Test::AtMost(value),
            _ => Test::low(value as u32),
        });
        let condition =
            (0u8..6, test).prop_map(|(argument, test)| Condition::new(argument, "x", test));
        let call = prop::sample::select(vec![READ, WRITE, PREAD64, EXIT_GROUP]);
        (call, prop::collection::vec(condition, 0..4))
            .prop_map(|(call, when)| Rule::allow(call, when, ""))
    }

    fn arb_arguments() -> impl Strategy<Value = [u64; 6]> {
        let value =
            prop_oneof![0u64..4, Just(u64::MAX), (0u64..3, 0u64..3).prop_map(|(h, l)| h << 32 | l)];
        prop::array::uniform6(value)
    }

    /// The same rules, compiled by the `seccompiler` crate.
    fn peer(rules: &[Rule]) -> Vec<Instruction> {
        let mut table: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
        let mut always = Vec::new();
        for rule in rules {
            let number = i64::from(rule.call.number(Arch::X86_64).unwrap());
            if rule.when.is_empty() {
                always.push(number);
                continue;
            }
            let conditions = rule.when.iter().map(|condition| {
                let (operator, value, length) = match condition.test {
                    Test::Equal(value) => (SeccompCmpOp::Eq, value, SeccompCmpArgLen::Qword),
                    Test::AtMost(value) => (SeccompCmpOp::Le, value, SeccompCmpArgLen::Qword),
                    // The tests generate it only with two equal values.
                    Test::LowOneOf(value, _) => {
                        (SeccompCmpOp::Eq, value.into(), SeccompCmpArgLen::Dword)
                    }
                    Test::Sectors(_) => unreachable!("the tests do not generate it"),
                };
                SeccompCondition::new(condition.argument, length, operator, value).unwrap()
            });
            let rule = SeccompRule::new(conditions.collect()).unwrap();
            table.entry(number).or_default().push(rule);
        }
        // In that crate's table, an empty list of conditions means "always".
        table.extend(always.into_iter().map(|number| (number, Vec::new())));
        let (otherwise, matched) = (SeccompAction::KillProcess, SeccompAction::Allow);
        let filter = SeccompFilter::new(table, otherwise, matched, TargetArch::x86_64).unwrap();
        let program = BpfProgram::try_from(filter).unwrap();
        let ours = |step: &seccompiler::sock_filter| Instruction {
            code: step.code,
            if_true: step.jt,
            if_false: step.jf,
            operand: step.k,
        };
        program.iter().map(ours).collect()
    }

    proptest! {
        #[test]
        fn a_program_decides_as_its_table_and_as_seccompiler(
            rules in prop_oneof![
                prop::collection::vec(arb_rule(), 0..12),
                prop::collection::vec(arb_rule(), 100..200),
            ],
            number in prop::sample::select(vec![0u32, 1, 17, 231, 60, 0x4000_0001, u32::MAX]),
            arguments in arb_arguments(),
        ) {
            let program = assemble(&rules, Arch::X86_64).unwrap();
            let arch = audit_arch(Arch::X86_64);
            let decided = run(&program, arch, number, arguments);
            prop_assert_eq!(decided, expected(&rules, number, arguments));
            if !rules.is_empty() {
                prop_assert_eq!(decided, run(&peer(&rules), arch, number, arguments));
            }
        }

        /// `seccompiler` cannot check this: it has one action for all rules, so their order does
        /// not matter there.
        #[test]
        fn the_first_rule_that_fits_decides(
            mut rules in prop::collection::vec(arb_rule(), 0..12),
            number in prop::sample::select(vec![0u32, 1, 17, 231]),
            arguments in arb_arguments(),
        ) {
            for (rule, error) in rules.iter_mut().zip(1..) {
                rule.action = Action::Errno(error);
            }
            let program = assemble(&rules, Arch::X86_64).unwrap();
            let decided = run(&program, audit_arch(Arch::X86_64), number, arguments);
            prop_assert_eq!(decided, expected(&rules, number, arguments));
        }
    }

    #[test]
    fn other_architectures_and_x32_are_killed() {
        let rule =
            |action| Rule { call: WRITE, when: Vec::new(), action, reason: Cow::Borrowed("") };
        let program = assemble(&[rule(Action::Allow)], Arch::X86_64).unwrap();
        let arch = audit_arch(Arch::X86_64);
        assert_eq!(run(&program, arch, 1, [0; 6]), ALLOW);
        assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), KILL_PROCESS, "i386");
        assert_eq!(run(&program, arch, 0x4000_0001, [0; 6]), KILL_PROCESS, "x32");
        assert_eq!(run(&program, arch, u32::MAX, [0; 6]), KILL_PROCESS);
        let program = assemble(&[rule(Action::Errno(9))], Arch::X86_64).unwrap();
        assert_eq!(run(&program, arch, 1, [0; 6]), ERRNO | 9);
    }

    #[test]
    fn ints_are_compared_by_their_low_half() {
        let timeout = Condition::new(3, "timeout", Test::LowOneOf(u32::MAX, 0));
        let rule = Rule::allow(EPOLL_PWAIT, vec![timeout], "");
        let program = assemble(&[rule], Arch::Aarch64).unwrap();
        let decide = |value| run(&program, audit_arch(Arch::Aarch64), 22, [0, 0, 0, value, 0, 0]);
        for allowed in [0, u64::MAX, 0xffff_ffff, 1 << 32] {
            assert_eq!(decide(allowed), ALLOW, "{allowed:#x}");
        }
        for killed in [1, 0xffff_fffe] {
            assert_eq!(decide(killed), KILL_PROCESS, "{killed:#x}");
        }
        assert_eq!(timeout.to_string(), "timeout = -1 or 0");
    }

    #[test]
    fn a_filter_for_the_largest_manifest_fits_and_longer_ones_are_refused() {
        let condition = |argument, test| Condition::new(argument, "x", test);
        let disk = |fd: u64| {
            let when = vec![
                condition(0, Test::Equal(fd)),
                condition(2, Test::Equal(512)),
                condition(3, Test::AtMost(1 << 40)),
            ];
            Rule::allow(PREAD64, when, "")
        };
        let rules: Vec<Rule> = (0..126).map(disk).collect();
        let program = assemble(&rules, Arch::X86_64).unwrap();
        assert!(program.len() < INSTRUCTIONS_MAX / 2);
        let arch = audit_arch(Arch::X86_64);
        // Jumps to the last rule, and from the first, exceed the reach of a branch.
        for fd in 0..127 {
            for (size, offset) in [(512, 1 << 40), (512, (1 << 40) + 1), (513, 0)] {
                let arguments = [fd, 0, size, offset, 0, 0];
                let decided = run(&program, arch, 17, arguments);
                assert_eq!(decided, expected(&rules, 17, arguments), "{arguments:?}");
            }
        }
        let many: Vec<Rule> = (0..400).map(disk).collect();
        assert!(assemble(&many, Arch::X86_64).is_none());
    }
}
