//! Filters decide as their tables say, and as those of another compiler.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use solo5_abi::Arch;

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
    let rule = rules
        .iter()
        .find(|rule| rule.call.number(Arch::X86_64) == Some(number) && rule.when.iter().all(fits));
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
    let condition = (0u8..6, test).prop_map(|(argument, test)| Condition::new(argument, "x", test));
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
    let rule = |action| Rule { call: WRITE, when: Vec::new(), action, reason: Cow::Borrowed("") };
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
