//! [`Assembler`]: ranges of system call numbers to BPF (linux/filter.h, seccomp(2)).

use layerfs::sys::seccomp::Instruction;

/// What happens to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// It is let through.
    Allow,
    /// It fails.
    Errno(i32),
    /// It is let through unless its first argument has one of these bits; else EPERM.
    UnlessFlags(u32),
    /// It is let through if its first argument is one of these; else EPERM.
    IfOneOf {
        /// What it may be.
        values: Vec<u32>,
        /// Whether all 64 bits of it count; of a 32-bit call the kernel takes the lower half.
        wide: bool,
    },
}

/// What happens from a number on, up to the next rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// The first number.
    pub from: u32,
    /// What happens.
    pub action: Action,
}

// BPF_LD | BPF_W | BPF_ABS; BPF_JMP with JA, JEQ, JGE, JSET and a constant; BPF_RET with a constant.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

// Offsets in struct seccomp_data; both architectures are little-endian.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENT_LOW: u32 = 16;
const ARGUMENT_HIGH: u32 = 20;

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;

/// Builds the program, section by section.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
}

fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jump_true: 0, jump_false: 0, k }
}

fn length(code: &[Instruction]) -> u32 {
    u32::try_from(code.len()).expect("a program has at most 4096 instructions")
}

/// Returns a jump over `body` when the accumulator fails the test `code` against `k`, and the body.
fn guarded(code: u16, k: u32, body: Vec<Instruction>) -> Vec<Instruction> {
    let skip = statement(JUMP, length(&body));
    let mut all = vec![Instruction { code, jump_true: 1, jump_false: 0, k }, skip];
    all.extend(body);
    all
}

impl Assembler {
    /// Adds what happens to calls of the architecture `audit`; `rules` start at 0.
    pub(super) fn section(&mut self, audit: u32, rules: &[Rule]) {
        let mut body = vec![statement(LOAD, NUMBER)];
        body.extend(search(rules));
        self.code.push(statement(LOAD, ARCHITECTURE));
        self.code.extend(guarded(JUMP_IF_EQUAL, audit, body));
    }

    /// Returns the program; calls of no section get `otherwise`.
    pub(super) fn finish(mut self, otherwise: Action) -> Vec<Instruction> {
        self.code.extend(outcome(&otherwise));
        self.code
    }
}

/// Returns a binary search for the number in the accumulator.
fn search(rules: &[Rule]) -> Vec<Instruction> {
    match rules {
        [] => outcome(&Action::Errno(libc::EPERM)),
        [rule] => outcome(&rule.action),
        _ => {
            let (low, high) = rules.split_at(rules.len() / 2);
            let mut code = guarded(JUMP_IF_AT_LEAST, high[0].from, search(high));
            code.extend(search(low));
            code
        }
    }
}

/// Returns the code that ends the program with `action`.
fn outcome(action: &Action) -> Vec<Instruction> {
    match action {
        Action::Allow => vec![statement(RETURN, RET_ALLOW)],
        Action::Errno(errno) => vec![statement(RETURN, RET_ERRNO | errno.unsigned_abs())],
        Action::UnlessFlags(flags) => {
            let mut code = vec![statement(LOAD, ARGUMENT_LOW)];
            code.extend(guarded(JUMP_IF_SET, *flags, outcome(&Action::Errno(libc::EPERM))));
            code.extend(outcome(&Action::Allow));
            code
        }
        Action::IfOneOf { values, wide } => one_of(values, *wide),
    }
}

fn one_of(values: &[u32], wide: bool) -> Vec<Instruction> {
    let mut low = vec![statement(LOAD, ARGUMENT_LOW)];
    for value in values {
        low.extend(guarded(JUMP_IF_EQUAL, *value, outcome(&Action::Allow)));
    }
    low.extend(outcome(&Action::Errno(libc::EPERM)));
    if !wide {
        return low;
    }
    let mut code = vec![statement(LOAD, ARGUMENT_HIGH)];
    code.extend(guarded(JUMP_IF_EQUAL, 0, low));
    code.extend(outcome(&Action::Errno(libc::EPERM)));
    code
}
