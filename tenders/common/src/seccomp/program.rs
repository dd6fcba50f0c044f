//! The assembler: from rules to a program, built from its end.

use solo5_abi::Arch;

use super::instruction::{
    ALLOW, DATA_ARCH, DATA_ARGUMENTS, DATA_NUMBER, ERRNO, INSTRUCTIONS_MAX, Instruction, JUMP,
    JUMP_EQUAL, JUMP_GREATER, JUMP_GREATER_EQUAL, KILL_PROCESS, LOAD, RETURN, audit_arch,
};
use super::rule::{Action, Condition, Rule, Test};

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
pub(super) struct Label(usize);

/// A program that is built from its end to its start. Jumps only go forward, so the target of each
/// jump already exists, and all rules can share their return instructions.
///
/// A branch names both its targets, so other instructions may be inserted in front of them. Only
/// loads and arithmetic fall through to the instruction that was emitted before them.
#[derive(Default)]
pub(super) struct Program {
    /// The instructions in reverse order.
    reversed: Vec<Instruction>,
    /// The nearest return instruction for each decision.
    ends: Vec<(u32, Label)>,
}

impl Program {
    pub(super) fn put(&mut self, code: u16, operand: u32, if_true: u8, if_false: u8) -> Label {
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
    pub(super) fn compare(&mut self, code: u16, operand: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let (if_true, if_false) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.put(code, operand, if_true, if_false)
    }

    /// Loads 32 bits of the call's data, then falls through to the instruction emitted last.
    pub(super) fn load(&mut self, offset: u32) -> Label {
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
