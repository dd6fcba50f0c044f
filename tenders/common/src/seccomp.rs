//! System call filters: rules kept as data, and the BPF program made of them.
//!
//! A [`Rule`] names one system call, what its arguments must be, what then happens, and why, so
//! that one table makes the filter, the text of `--explain`, and the tests. [`assemble`] turns a
//! table into a program for the kernel; every call that fits no rule kills the process.
//!
//! The shape of a program, whose jumps only go forward:
//!
//! 1. the architecture must be ours; the number must not be above the highest in the table, which
//!    on x86_64 leaves out the x32 range;
//! 2. a binary search for the number; not found: kill;
//! 3. each rule's conditions, both halves of a 64-bit value; the first that fits decides; none fits:
//!    kill.
//!
//! Own assembler, not the `seccompiler` crate: that one has a single action for all rules and does
//! not know ppc64le. Tests compare the two on random calls.

use std::borrow::Cow;
use std::fmt;

use solo5_abi::Arch;

/// A system call and its number on each architecture; `None` where rules never name it.
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
        Call {
            name,
            x86_64: Some(x86_64),
            aarch64: Some(aarch64),
            ppc64le: Some(ppc64le),
        }
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

/// The calls rules can name; numbers of `spec/30` §7.
pub mod calls {
    use super::Call;

    /// `read(fd, buffer, size)`
    pub const READ: Call = Call::new("read", 0, 63, 3);
    /// `write(fd, buffer, size)`
    pub const WRITE: Call = Call::new("write", 1, 64, 4);
    /// `pread64(fd, buffer, size, offset)`
    pub const PREAD64: Call = Call::new("pread64", 17, 67, 179);
    /// `pwrite64(fd, buffer, size, offset)`
    pub const PWRITE64: Call = Call::new("pwrite64", 18, 68, 180);
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
    /// `arch_prctl(code, address)`: x86_64 alone has it.
    pub const ARCH_PRCTL: Call = Call {
        name: "arch_prctl",
        x86_64: Some(158),
        aarch64: None,
        ppc64le: None,
    };
}

/// What an argument is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// All 64 bits are this.
    Equal(u64),
    /// As an unsigned number of 64 bits, at most this.
    AtMost(u64),
    /// The low 32 bits are one of two: for an `int`, of which the kernel ignores the rest.
    LowOneOf(u32, u32),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The argument, counted from 0; below 6.
    pub argument: u8,
    /// What it is called in the call's manual page.
    pub name: &'static str,
    /// What it must be.
    pub test: Test,
    /// What the value stands for, for people.
    pub meaning: Option<&'static str>,
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
        }
    }
}

/// What happens when a rule fits.
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
    /// What must hold, all of it.
    pub when: Vec<Condition>,
    /// What then happens.
    pub action: Action,
    /// Who needs it, for people.
    pub reason: Cow<'static, str>,
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

/// Most instructions the kernel takes.
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

const fn plain(code: u16, operand: u32) -> Instruction {
    Instruction {
        code,
        if_true: 0,
        if_false: 0,
        operand,
    }
}

const fn branch(code: u16, operand: u32, if_true: u8, if_false: u8) -> Instruction {
    Instruction {
        code,
        if_true,
        if_false,
        operand,
    }
}

/// Makes the filter of `rules`. `None` if it would be longer than [`INSTRUCTIONS_MAX`]; the most
/// devices a manifest can have need less than half of that. Rules for calls that `arch` does not
/// have are left out.
pub fn assemble(rules: &[Rule], arch: Arch) -> Option<Vec<Instruction>> {
    let mut numbers: Vec<u32> = rules
        .iter()
        .filter_map(|rule| rule.call.number(arch))
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let mut groups = Vec::with_capacity(numbers.len());
    for number in &numbers {
        let mut code = vec![
            branch(JUMP_EQUAL, *number, 1, 0),
            plain(RETURN, KILL_PROCESS),
        ];
        for rule in rules
            .iter()
            .filter(|rule| rule.call.number(arch) == Some(*number))
        {
            code.extend(rule_instructions(rule)?);
        }
        code.push(plain(RETURN, KILL_PROCESS));
        groups.push((*number, code));
    }
    let mut out = Vec::with_capacity(128);
    out.push(plain(LOAD, DATA_ARCH));
    out.push(branch(JUMP_EQUAL, audit_arch(arch), 1, 0));
    out.push(plain(RETURN, KILL_PROCESS));
    out.push(plain(LOAD, DATA_NUMBER));
    // Above the highest number is nothing of ours, but on x86_64 the whole x32 interface.
    let highest = numbers.last().copied().unwrap_or(0);
    out.push(branch(JUMP_GREATER, highest, 0, 1));
    out.push(plain(RETURN, KILL_PROCESS));
    search(groups, &mut out)?;
    (out.len() <= INSTRUCTIONS_MAX).then_some(out)
}

/// Finds the call's number among `groups`, sorted by theirs, and goes on with that one's code.
///
/// A binary search: when a filter is installed, the kernel runs it once for each of its several
/// hundred calls to learn which need no filter, so the way to "kill" decides what a filter costs.
fn search(mut groups: Vec<(u32, Vec<Instruction>)>, out: &mut Vec<Instruction>) -> Option<()> {
    if groups.len() < 2 {
        let only = groups.pop().map(|(_, code)| code);
        out.extend(only.unwrap_or_else(|| vec![plain(RETURN, KILL_PROCESS)]));
        return Some(());
    }
    let upper = groups.split_off(groups.len() / 2);
    let first = upper.first().map(|(number, _)| *number)?;
    let mut lower = Vec::new();
    search(groups, &mut lower)?;
    match u8::try_from(lower.len()) {
        Ok(length) => out.push(branch(JUMP_GREATER_EQUAL, first, length, 0)),
        // Further than the 8 bits of a conditional jump reach.
        Err(_) => {
            out.push(branch(JUMP_GREATER_EQUAL, first, 0, 1));
            out.push(plain(JUMP, u32::try_from(lower.len()).ok()?));
        }
    }
    out.append(&mut lower);
    search(upper, out)
}

/// The instructions of one rule; they fall through to the end if it does not fit.
fn rule_instructions(rule: &Rule) -> Option<Vec<Instruction>> {
    let decide = match rule.action {
        Action::Allow => ALLOW,
        Action::Errno(number) => ERRNO | u32::from(number),
    };
    // Built from the end, so that the distance to "does not fit" is known at each step.
    let mut out = vec![plain(RETURN, decide)];
    for condition in rule.when.iter().rev() {
        let offset = DATA_ARGUMENTS + 8 * u32::from(condition.argument);
        let low = plain(LOAD, offset);
        let high = plain(LOAD, offset + 4);
        let halves = |value: u64| (value as u32, (value >> 32) as u32);
        let rest = u8::try_from(out.len()).ok()?;
        let mut test = match condition.test {
            Test::Equal(value) => {
                let (value_low, value_high) = halves(value);
                vec![
                    high,
                    branch(JUMP_EQUAL, value_high, 0, rest.checked_add(2)?),
                    low,
                    branch(JUMP_EQUAL, value_low, 0, rest),
                ]
            }
            Test::AtMost(value) => {
                let (value_low, value_high) = halves(value);
                vec![
                    high,
                    branch(JUMP_GREATER, value_high, rest.checked_add(3)?, 0),
                    branch(JUMP_EQUAL, value_high, 0, 2),
                    low,
                    branch(JUMP_GREATER, value_low, rest, 0),
                ]
            }
            Test::LowOneOf(one, other) => vec![
                low,
                branch(JUMP_EQUAL, one, 1, 0),
                branch(JUMP_EQUAL, other, 0, rest),
            ],
        };
        test.append(&mut out);
        out = test;
    }
    Some(out)
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
    use super::*;

    /// Runs a program on a call, as the kernel's interpreter does.
    fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let load = |offset: u32| match offset {
            DATA_NUMBER => number,
            DATA_ARCH => arch,
            _ => {
                let word = (offset - DATA_ARGUMENTS) / 4;
                let value = arguments[word as usize / 2];
                if word.is_multiple_of(2) {
                    value as u32
                } else {
                    (value >> 32) as u32
                }
            }
        };
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let instruction = program[at];
            let operand = instruction.operand;
            let skip = |holds| {
                usize::from(if holds {
                    instruction.if_true
                } else {
                    instruction.if_false
                })
            };
            at += 1 + match instruction.code {
                LOAD => {
                    accumulator = load(operand);
                    0
                }
                JUMP => operand as usize,
                JUMP_EQUAL => skip(accumulator == operand),
                JUMP_GREATER => skip(accumulator > operand),
                JUMP_GREATER_EQUAL => skip(accumulator >= operand),
                RETURN => return operand,
                code => panic!("unknown operation {code:#x}"),
            };
        }
    }

    /// What the rules say of a call, read off the table without a program.
    fn expected(rules: &[Rule], number: u32, arguments: [u64; 6]) -> u32 {
        let fits = |condition: &Condition| {
            let value = arguments[usize::from(condition.argument)];
            match condition.test {
                Test::Equal(wanted) => value == wanted,
                Test::AtMost(most) => value <= most,
                Test::LowOneOf(one, other) => [one, other].contains(&(value as u32)),
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
        let test = (value, 0..2).prop_map(|(value, kind)| match kind {
            0 => Test::Equal(value),
            _ => Test::AtMost(value),
        });
        let condition = (0u8..6, test).prop_map(|(argument, test)| Condition {
            argument,
            name: "x",
            test,
            meaning: None,
        });
        let call = prop::sample::select(vec![READ, WRITE, PREAD64, EXIT_GROUP]);
        (call, prop::collection::vec(condition, 0..4)).prop_map(|(call, when)| Rule {
            call,
            when,
            action: Action::Allow,
            reason: Cow::Borrowed(""),
        })
    }

    fn arb_arguments() -> impl Strategy<Value = [u64; 6]> {
        let value = prop_oneof![
            0u64..4,
            Just(u64::MAX),
            (0u64..3, 0u64..3).prop_map(|(h, l)| h << 32 | l)
        ];
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
                let (operator, value) = match condition.test {
                    Test::Equal(value) => (SeccompCmpOp::Eq, value),
                    Test::AtMost(value) => (SeccompCmpOp::Le, value),
                    Test::LowOneOf(..) => unreachable!("not generated"),
                };
                let length = SeccompCmpArgLen::Qword;
                SeccompCondition::new(condition.argument, length, operator, value).unwrap()
            });
            let rule = SeccompRule::new(conditions.collect()).unwrap();
            table.entry(number).or_default().push(rule);
        }
        // Their table says "always" by an empty list.
        table.extend(always.into_iter().map(|number| (number, Vec::new())));
        let (other, fit) = (SeccompAction::KillProcess, SeccompAction::Allow);
        let filter = SeccompFilter::new(table, other, fit, TargetArch::x86_64).unwrap();
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
            rules in prop::collection::vec(arb_rule(), 0..12),
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
    }

    #[test]
    fn other_architectures_and_x32_are_killed() {
        let rule = |action| Rule {
            call: WRITE,
            when: Vec::new(),
            action,
            reason: Cow::Borrowed(""),
        };
        let program = assemble(&[rule(Action::Allow)], Arch::X86_64).unwrap();
        let arch = audit_arch(Arch::X86_64);
        assert_eq!(run(&program, arch, 1, [0; 6]), ALLOW);
        assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), KILL_PROCESS, "i386");
        assert_eq!(
            run(&program, arch, 0x4000_0001, [0; 6]),
            KILL_PROCESS,
            "x32"
        );
        assert_eq!(run(&program, arch, u32::MAX, [0; 6]), KILL_PROCESS);
        let program = assemble(&[rule(Action::Errno(9))], Arch::X86_64).unwrap();
        assert_eq!(run(&program, arch, 1, [0; 6]), ERRNO | 9);
    }

    #[test]
    fn ints_are_compared_by_their_low_half() {
        let timeout = Condition {
            argument: 3,
            name: "timeout",
            test: Test::LowOneOf(u32::MAX, 0),
            meaning: None,
        };
        let rule = Rule {
            call: EPOLL_PWAIT,
            when: vec![timeout],
            action: Action::Allow,
            reason: Cow::Borrowed(""),
        };
        let program = assemble(&[rule], Arch::Aarch64).unwrap();
        let decide = |value| {
            run(
                &program,
                audit_arch(Arch::Aarch64),
                22,
                [0, 0, 0, value, 0, 0],
            )
        };
        for allowed in [0, u64::MAX, 0xffff_ffff, 1 << 32] {
            assert_eq!(decide(allowed), ALLOW, "{allowed:#x}");
        }
        for killed in [1, 0xffff_fffe] {
            assert_eq!(decide(killed), KILL_PROCESS, "{killed:#x}");
        }
        assert_eq!(timeout.to_string(), "timeout = -1 or 0");
    }

    #[test]
    fn the_most_devices_fit_and_more_are_refused() {
        let condition = |argument, test| Condition {
            argument,
            name: "x",
            test,
            meaning: None,
        };
        let rule = |fd: u64| Rule {
            call: PREAD64,
            when: vec![
                condition(0, Test::Equal(fd)),
                condition(2, Test::Equal(512)),
                condition(3, Test::AtMost(1 << 40)),
            ],
            action: Action::Allow,
            reason: Cow::Borrowed(""),
        };
        let rules: Vec<Rule> = (0..126).map(rule).collect();
        let program = assemble(&rules, Arch::X86_64).unwrap();
        assert!(program.len() < INSTRUCTIONS_MAX / 2);
        let arch = audit_arch(Arch::X86_64);
        assert_eq!(run(&program, arch, 17, [125, 0, 512, 1 << 40, 0, 0]), ALLOW);
        assert_eq!(
            run(&program, arch, 17, [126, 0, 512, 0, 0, 0]),
            KILL_PROCESS
        );
        let many: Vec<Rule> = (0..400).map(rule).collect();
        assert!(assemble(&many, Arch::X86_64).is_none());
    }
}
