//! The program is run by a small interpreter: what the kernel would answer, without a process.

use super::*;

/// Runs the program as the kernel does and returns its answer: nothing for "allowed", else the errno.
#[cfg(target_arch = "x86_64")]
fn answer(audit: u32, number: u32, argument: u64) -> Option<i32> {
    let program = filter();
    let (mut at, mut accumulator) = (0usize, 0u32);
    loop {
        let instruction = &program[at];
        at += 1;
        let jump = |taken: bool| usize::from(if taken { instruction.jump_true } else { instruction.jump_false });
        match instruction.code {
            0x20 => {
                accumulator = match instruction.k {
                    0 => number,
                    4 => audit,
                    16 => argument as u32,
                    20 => (argument >> 32) as u32,
                    other => panic!("load of {other}"),
                }
            }
            0x05 => at += instruction.k as usize,
            0x15 => at += jump(accumulator == instruction.k),
            0x35 => at += jump(accumulator >= instruction.k),
            0x45 => at += jump(accumulator & instruction.k != 0),
            0x06 if instruction.k == 0x7fff_0000 => return None,
            0x06 => return Some((instruction.k & 0xffff) as i32),
            other => panic!("code {other:#x}"),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_profile_answers_as_dockers_does() {
    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;
    const EPERM: Option<i32> = Some(libc::EPERM);
    const ENOSYS: Option<i32> = Some(libc::ENOSYS);
    let table: &[(&str, u32, u32, u64, Option<i32>)] = &[
        ("read", X86_64, 0, 0, None),
        ("mount", X86_64, 165, 0, EPERM),
        ("unshare", X86_64, 272, 0, EPERM),
        ("chroot", X86_64, 161, 0, None),
        ("ptrace", X86_64, 101, 0, None),
        ("keyctl", X86_64, 250, 0, EPERM),
        ("io_uring_setup", X86_64, 425, 0, EPERM),
        ("clone, a thread", X86_64, 56, 0x003d_0f00, None),
        ("clone, a user namespace", X86_64, 56, 0x1000_0000, EPERM),
        ("clone, a mount namespace", X86_64, 56, 0x0002_0000, EPERM),
        ("clone3", X86_64, 435, 0, ENOSYS),
        ("socket AF_INET", X86_64, 41, 2, None),
        ("socket AF_NETLINK", X86_64, 41, 16, None),
        ("socket AF_VSOCK", X86_64, 41, 40, EPERM),
        ("socket AF_ALG", X86_64, 41, 38, EPERM),
        ("socket 46", X86_64, 41, 46, EPERM),
        ("socket, high bits", X86_64, 41, 1 << 32 | 2, EPERM),
        ("personality 0", X86_64, 135, 0, None),
        ("personality, query", X86_64, 135, 0xffff_ffff, None),
        ("personality, query in 64 bits", X86_64, 135, u64::MAX, EPERM),
        ("personality ADDR_NO_RANDOMIZE", X86_64, 135, 0x0004_0000, EPERM),
        ("mseal", X86_64, 462, 0, None),
        ("younger than the profile", X86_64, 470, 0, ENOSYS),
        ("x32 read", X86_64, 0x4000_0000, 0, ENOSYS),
        ("i386 read", I386, 3, 0, None),
        ("i386 mount", I386, 21, 0, EPERM),
        ("i386 clone, a user namespace", I386, 120, 0x1000_0000, EPERM),
        ("i386 socket AF_VSOCK", I386, 359, 40, EPERM),
        ("i386 personality, query with high bits", I386, 136, u64::MAX, None),
        ("i386 clone3", I386, 435, 0, ENOSYS),
        ("another architecture", 0xc000_00b7, 63, 0, ENOSYS),
    ];
    for (name, audit, number, argument, wanted) in table {
        assert_eq!(answer(*audit, *number, *argument), *wanted, "{name}");
    }
}

#[test]
fn the_program_fits_the_kernel() {
    assert!(filter().len() <= 4096, "{}", filter().len());
}
