use oci_spec::runtime::{LinuxSeccompArgBuilder, LinuxSeccompBuilder, LinuxSyscallBuilder};

use super::{super::default_profile, *};

/// Runs a filter as the kernel would.
fn run(filter: &Filter, architecture: u32, number: u32, args: [u64; 6]) -> Answer {
    let word = |offset: u32| match offset {
        0 => number,
        4 => architecture,
        16.. => {
            let value = args[(offset as usize - 16) / 8];
            if offset.is_multiple_of(8) { value as u32 } else { (value >> 32) as u32 }
        }
        _ => panic!("load from {offset}"),
    };
    let code: Vec<Instruction> = filter
        .instructions
        .0
        .chunks_exact(8)
        .map(|b| Instruction {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        })
        .collect();
    let (mut at, mut a) = (0, 0);
    loop {
        let i = code[at];
        at += 1;
        let holds = match i.code {
            tree::LOAD => {
                a = word(i.k);
                continue;
            }
            tree::AND => {
                a &= i.k;
                continue;
            }
            tree::JUMP => {
                at += i.k as usize;
                continue;
            }
            tree::RETURN => return i.k,
            tree::EQUAL => a == i.k,
            tree::GREATER => a > i.k,
            tree::NOT_LESS => a >= i.k,
            other => panic!("code {other:#x}"),
        };
        at += usize::from(if holds { i.jt } else { i.jf });
    }
}

fn own(filter: &Filter, number: u32, args: [u64; 6]) -> Answer {
    run(filter, tree::OWN_ARCHITECTURE, number, args)
}

fn errno(number: i32) -> Answer {
    libc::SECCOMP_RET_ERRNO | number.unsigned_abs()
}

#[test]
fn every_number_gets_what_the_profile_says() {
    let profile = default_profile(&Default::default()).unwrap();
    let filter = compile(&profile).unwrap();
    let default = errno(libc::EPERM);
    let calls = calls(&profile, default).unwrap();
    let mut allowed = 0;
    for number in (0..1000).chain([0x4000_0000, 0x4000_0001, u32::MAX - 1]) {
        let expected = match calls.get(&number) {
            Some(Call { always: Some(answer), .. }) => *answer,
            Some(_) => continue,
            None if number > numbers::LAST => errno(libc::ENOSYS),
            None => default,
        };
        allowed += usize::from(expected == libc::SECCOMP_RET_ALLOW);
        assert_eq!(own(&filter, number, [0; 6]), expected, "call {number}");
    }
    assert!(allowed > 250, "{allowed}");
    assert!(filter.instructions.0.len() / 8 < 250, "{} instructions", filter.instructions.0.len() / 8);
}

#[test]
fn the_default_profile_has_the_known_exceptions() {
    let filter = compile(&default_profile(&Default::default()).unwrap()).unwrap();
    let call = |name: &str, args| own(&filter, numbers::number(name).unwrap(), args);
    let allow = libc::SECCOMP_RET_ALLOW;
    assert_eq!(call("clone3", [0; 6]), errno(libc::ENOSYS));
    assert_eq!(call("clone", [libc::SIGCHLD as u64, 0, 0, 0, 0, 0]), allow);
    assert_eq!(call("clone", [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(call("personality", [0, 0, 0, 0, 0, 0]), allow);
    assert_eq!(call("personality", [0x20008, 0, 0, 0, 0, 0]), allow);
    assert_eq!(call("personality", [0x40000, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    assert_eq!(call("socket", [libc::AF_INET as u64, 0, 0, 0, 0, 0]), allow);
    assert_eq!(call("socket", [libc::AF_VSOCK as u64, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    for forbidden in
        ["mount", "umount2", "unshare", "setns", "bpf", "reboot", "init_module", "keyctl", "io_uring_setup"]
    {
        assert_eq!(call(forbidden, [0; 6]), errno(libc::EPERM), "{forbidden}");
    }
    assert_eq!(run(&filter, 0x4000_0003, 1, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
}

#[test]
fn capabilities_open_their_calls() {
    let sys_admin = [oci_spec::runtime::Capability::SysAdmin].into();
    let filter = compile(&default_profile(&sys_admin).unwrap()).unwrap();
    let call = |name: &str, args| own(&filter, numbers::number(name).unwrap(), args);
    for name in ["mount", "unshare", "clone3", "clone"] {
        assert_eq!(call(name, [libc::CLONE_NEWUSER as u64, 0, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW, "{name}");
    }
    assert_eq!(call("chroot", [0; 6]), errno(libc::EPERM));
}

#[test]
fn conditions_compare_all_64_bits() {
    let values = [0, 1, 7, 8, 0xffff_ffff, 1 << 32, (1 << 32) + 7, (7 << 32) + 7, u64::MAX];
    type Holds = fn(u64, u64) -> bool;
    let operators: [(LinuxSeccompOperator, Holds); 6] = [
        (LinuxSeccompOperator::ScmpCmpEq, |a, b| a == b),
        (LinuxSeccompOperator::ScmpCmpNe, |a, b| a != b),
        (LinuxSeccompOperator::ScmpCmpLt, |a, b| a < b),
        (LinuxSeccompOperator::ScmpCmpLe, |a, b| a <= b),
        (LinuxSeccompOperator::ScmpCmpGe, |a, b| a >= b),
        (LinuxSeccompOperator::ScmpCmpGt, |a, b| a > b),
    ];
    for (op, holds) in operators {
        for value in values {
            let filter = compile(&one_rule(&[(3, value, None, op)])).unwrap();
            for given in values {
                let expected = if holds(given, value) { libc::SECCOMP_RET_ALLOW } else { errno(libc::EPERM) };
                assert_eq!(own(&filter, 0, [0, 0, 0, given, 0, 0]), expected, "{given} {op:?} {value}");
            }
        }
    }
}

#[test]
fn conditions_of_one_entry_hold_together_and_repeated_ones_are_alternatives() {
    let eq = LinuxSeccompOperator::ScmpCmpEq;
    let both = compile(&one_rule(&[(0, 1, None, eq), (1, 2, None, eq)])).unwrap();
    assert_eq!(own(&both, 0, [1, 2, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(own(&both, 0, [1, 3, 0, 0, 0, 0]), errno(libc::EPERM));
    let either = compile(&one_rule(&[(0, 1, None, eq), (0, 2, None, eq)])).unwrap();
    assert_eq!(own(&either, 0, [2, 0, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(own(&either, 0, [3, 0, 0, 0, 0, 0]), errno(libc::EPERM));
    let masked = compile(&one_rule(&[(0, 0xf0, Some(0x10), LinuxSeccompOperator::ScmpCmpMaskedEq)])).unwrap();
    assert_eq!(own(&masked, 0, [0x1f, 0, 0, 0, 0, 0]), libc::SECCOMP_RET_ALLOW);
    assert_eq!(own(&masked, 0, [0x2f, 0, 0, 0, 0, 0]), errno(libc::EPERM));
}

#[test]
fn unknown_calls_may_be_allowed_and_not_forbidden() {
    let profile = |action| {
        let entry = LinuxSyscallBuilder::default().names(["no_such_call".to_owned()]).action(action).build().unwrap();
        LinuxSeccompBuilder::default()
            .default_action(LinuxSeccompAction::ScmpActAllow)
            .syscalls([entry])
            .build()
            .unwrap()
    };
    assert!(compile(&profile(LinuxSeccompAction::ScmpActAllow)).is_ok());
    assert!(compile(&profile(LinuxSeccompAction::ScmpActErrno)).is_err());
    assert!(compile(&profile(LinuxSeccompAction::ScmpActTrace)).is_err());
}

/// `read` or its like, number 0, is allowed under these conditions.
fn one_rule(conditions: &[(usize, u64, Option<u64>, LinuxSeccompOperator)]) -> LinuxSeccomp {
    let args: Vec<LinuxSeccompArg> = conditions
        .iter()
        .map(|&(index, value, two, op)| {
            let builder = LinuxSeccompArgBuilder::default().index(index).value(value).op(op);
            match two {
                Some(two) => builder.value_two(two).build().unwrap(),
                None => builder.build().unwrap(),
            }
        })
        .collect();
    let name = if cfg!(target_arch = "x86_64") { "read" } else { "io_setup" };
    let entry = LinuxSyscallBuilder::default()
        .names([name.to_owned()])
        .action(LinuxSeccompAction::ScmpActAllow)
        .args(args)
        .build()
        .unwrap();
    LinuxSeccompBuilder::default().default_action(LinuxSeccompAction::ScmpActErrno).syscalls([entry]).build().unwrap()
}
