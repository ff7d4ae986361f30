//! [`filter`]: Docker's default seccomp profile, as it stands with Docker's default capabilities, as one BPF program.
//!
//! One program serves both kinds of calls that a 64-bit kernel takes: its own and, on x86_64, those of 32-bit programs.
//! What is neither (x32, 32-bit ARM) gets ENOSYS, as from a kernel without it.

mod program;
mod table;

use layerfs::sys::seccomp::Instruction;
use program::{Action, Assembler, Rule};
use table::{Table, allowed};

/// Numbers from here on are of system calls younger than the profile: ENOSYS, so that programs fall back.
const UNKNOWN_FROM: u32 = 467;

/// Numbers of the system calls that depend on their arguments.
struct Conditional {
    clone: u32,
    clone3: u32,
    socket: u32,
    personality: u32,
}

/// One architecture of the program.
struct Section {
    /// `AUDIT_ARCH_*` of linux/audit.h.
    audit: u32,
    table: Table,
    /// Whether arguments have 64 bits.
    wide: bool,
    conditional: Conditional,
}

#[cfg(target_arch = "x86_64")]
const SECTIONS: &[Section] = &[
    Section {
        audit: 0xc000_003e,
        table: Table::X86_64,
        wide: true,
        conditional: Conditional { clone: 56, clone3: 435, socket: 41, personality: 135 },
    },
    Section {
        audit: 0x4000_0003,
        table: Table::I386,
        wide: false,
        conditional: Conditional { clone: 120, clone3: 435, socket: 359, personality: 136 },
    },
];

#[cfg(target_arch = "aarch64")]
const SECTIONS: &[Section] = &[Section {
    audit: 0xc000_00b7,
    table: Table::Aarch64,
    wide: true,
    conditional: Conditional { clone: 220, clone3: 435, socket: 198, personality: 92 },
}];

/// Flags of clone(2) that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const CLONE_NAMESPACES: u32 = 0x7e02_0000;

/// Execution domains that may be set: Linux, 32-bit Linux, both with short inode numbers; and the query.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// Socket families that may be opened, as a bit each: what is left out is obsolete or reaches past the sandbox
/// (DECnet, SNA, IUCV, CAIF, the kernel's crypto, VSOCK and others).
const SOCKET_FAMILIES: u64 = socket_families();

const fn socket_families() -> u64 {
    let denied = [12, 19, 20, 23, 25, 34, 37, 38, 40];
    let mut bits = (1u64 << 46) - 1;
    let mut at = 0;
    while at < denied.len() {
        bits &= !(1 << denied[at]);
        at += 1;
    }
    bits
}

/// Returns the program; the same on every call.
pub fn filter() -> Vec<Instruction> {
    let mut assembler = Assembler::default();
    for section in SECTIONS {
        assembler.section(section.audit, &rules(section));
    }
    assembler.finish(Action::Errno(libc::ENOSYS))
}

/// Returns what happens from which number on, sorted by number.
fn rules(section: &Section) -> Vec<Rule> {
    let mut actions: Vec<(u32, Action)> =
        allowed(section.table).into_iter().map(|number| (number, Action::Allow)).collect();
    let families = (0..64).filter(|family| SOCKET_FAMILIES >> family & 1 == 1).collect();
    let one_of = |values| Action::IfOneOf { values, wide: section.wide };
    actions.extend([
        (section.conditional.clone, Action::UnlessFlags(CLONE_NAMESPACES)),
        (section.conditional.clone3, Action::Errno(libc::ENOSYS)),
        (section.conditional.socket, one_of(families)),
        (section.conditional.personality, one_of(PERSONALITIES.to_vec())),
    ]);
    actions.sort_by_key(|(number, _)| *number);
    ranges(&actions)
}

/// Returns ranges that cover every number: gaps between the `actions` are refused, numbers past the profile unknown.
fn ranges(actions: &[(u32, Action)]) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut next = 0;
    let mut push = |from: u32, action: Action| {
        if rules.last().is_none_or(|last| last.action != action) {
            rules.push(Rule { from, action });
        }
    };
    for (number, action) in actions {
        if *number > next {
            push(next, Action::Errno(libc::EPERM));
        }
        push(*number, action.clone());
        next = number + 1;
    }
    push(next, Action::Errno(libc::EPERM));
    push(UNKNOWN_FROM, Action::Errno(libc::ENOSYS));
    rules
}

#[cfg(test)]
mod tests;
