//! From a profile of the OCI runtime specification to a filter.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator, LinuxSyscall,
};

use super::{
    numbers,
    tree::{self, Answer, Condition, Instruction, Range, Rule, Test},
};
use crate::{Error, Result, plan::Filter, wire::Blob};

/// More instructions than this the kernel does not take (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

pub(super) fn compile(profile: &LinuxSeccomp) -> Result<Filter> {
    if profile.listener_path().is_some() || profile.listener_metadata().is_some() {
        return Err(unsupported("linux.seccomp.listenerPath"));
    }
    let default = answer(profile.default_action(), profile.default_errno_ret())?;
    let calls = calls(profile, default)?;
    let program = tree::assemble(&ranges(&calls, default), libc::SECCOMP_RET_KILL_PROCESS);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Error::invalid("linux.seccomp", "it needs more instructions than the kernel takes"));
    }
    Ok(Filter { instructions: Blob(program.iter().flat_map(bytes).collect()), flags: flags(profile)? })
}

fn bytes(i: &Instruction) -> [u8; 8] {
    let ([a, b], [c, d, e, f]) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
    [a, b, i.jt, i.jf, c, d, e, f]
}

fn unsupported(what: impl Into<String>) -> Error {
    Error::Unsupported { what: what.into(), remedy: "" }
}

fn flags(profile: &LinuxSeccomp) -> Result<u64> {
    let mut flags = 0;
    for flag in profile.flags().iter().flatten() {
        flags |= match flag {
            LinuxSeccompFilterFlag::SeccompFilterFlagLog => libc::SECCOMP_FILTER_FLAG_LOG,
            LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
            // The init has one thread, so there are none to synchronise.
            LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
            other => return Err(unsupported(format!("the flag {other:?} in linux.seccomp.flags"))),
        };
    }
    Ok(flags)
}

fn answer(action: LinuxSeccompAction, errno: Option<u32>) -> Result<Answer> {
    // The specification's default errno is EPERM.
    let errno = errno.unwrap_or(libc::EPERM.unsigned_abs());
    match action {
        LinuxSeccompAction::ScmpActAllow => Ok(libc::SECCOMP_RET_ALLOW),
        LinuxSeccompAction::ScmpActLog => Ok(libc::SECCOMP_RET_LOG),
        LinuxSeccompAction::ScmpActErrno => Ok(libc::SECCOMP_RET_ERRNO | (errno & libc::SECCOMP_RET_DATA)),
        LinuxSeccompAction::ScmpActTrap => Ok(libc::SECCOMP_RET_TRAP),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => Ok(libc::SECCOMP_RET_KILL_THREAD),
        LinuxSeccompAction::ScmpActKillProcess => Ok(libc::SECCOMP_RET_KILL_PROCESS),
        other => Err(unsupported(format!("the action {other:?} in linux.seccomp"))),
    }
}

/// What a profile says of one call.
#[derive(Debug, Default)]
struct Call {
    rules: Vec<Rule>,
    /// Without conditions; it takes precedence over rules that have some.
    always: Option<Answer>,
}

fn calls(profile: &LinuxSeccomp, default: Answer) -> Result<BTreeMap<u32, Call>> {
    let mut calls: BTreeMap<u32, Call> = BTreeMap::new();
    for entry in profile.syscalls().iter().flatten() {
        let answer = answer(entry.action(), entry.errno_ret())?;
        let alternatives = alternatives(entry)?;
        for name in entry.names() {
            let Some(number) = numbers::number(name) else {
                // Calls of other architectures and newer kernels may be allowed; but who forbids one means it.
                if answer == libc::SECCOMP_RET_ALLOW || answer == default {
                    continue;
                }
                return Err(Error::invalid(format!("linux.seccomp: {name}"), "no system call of this architecture"));
            };
            let call = calls.entry(number).or_default();
            for conditions in &alternatives {
                if conditions.is_empty() {
                    call.always.get_or_insert(answer);
                } else {
                    call.rules.push(Rule { conditions: conditions.clone(), answer });
                }
            }
        }
    }
    Ok(calls)
}

/// The conditions of an entry: all of one list have to hold. As in runc, several on the same argument are alternatives.
fn alternatives(entry: &LinuxSyscall) -> Result<Vec<Vec<Condition>>> {
    let conditions = entry.args().iter().flatten().map(condition).collect::<Result<Vec<Condition>>>()?;
    let repeated = (0..6).any(|argument| conditions.iter().filter(|c| c.argument == argument).count() > 1);
    Ok(if repeated { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] })
}

fn condition(arg: &LinuxSeccompArg) -> Result<Condition> {
    let argument = u8::try_from(arg.index()).ok().filter(|&index| index < 6);
    let argument = argument.ok_or_else(|| Error::invalid("linux.seccomp: args.index", "it has to be 0 to 5"))?;
    let value = arg.value();
    let test = match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => Test::Equal(value),
        LinuxSeccompOperator::ScmpCmpNe => Test::NotEqual(value),
        LinuxSeccompOperator::ScmpCmpLt => Test::Less(value),
        LinuxSeccompOperator::ScmpCmpLe => Test::NotGreater(value),
        LinuxSeccompOperator::ScmpCmpGe => Test::NotLess(value),
        LinuxSeccompOperator::ScmpCmpGt => Test::Greater(value),
        LinuxSeccompOperator::ScmpCmpMaskedEq => Test::MaskedEqual { mask: value, value: arg.value_two().unwrap_or(0) },
    };
    Ok(Condition { argument, test })
}

/// Neighbours that are treated alike become one range; what no rule names is treated as `default`.
fn ranges(calls: &BTreeMap<u32, Call>, default: Answer) -> Vec<Range> {
    let mut ranges = vec![Range { start: 0, rules: Vec::new(), otherwise: default }];
    let mut push = |start: u32, rules: Vec<Rule>, otherwise: Answer| {
        match ranges.last_mut() {
            Some(last) if last.rules == rules && last.otherwise == otherwise => {}
            // An empty range, as it starts at the same number.
            Some(last) if last.start == start => *last = Range { start, rules, otherwise },
            _ => ranges.push(Range { start, rules, otherwise }),
        }
    };
    for (&number, call) in calls {
        match call.always {
            Some(answer) => push(number, Vec::new(), answer),
            None => push(number, call.rules.clone(), default),
        }
        if !calls.contains_key(&(number + 1)) {
            push(number + 1, Vec::new(), default);
        }
    }
    // Programs try calls that are younger than any profile; told that there is no such call they use an older one, while
    // "not permitted" would be taken for an answer.
    if default & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO {
        push(numbers::LAST + 1, Vec::new(), libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs());
    }
    ranges
}

#[cfg(test)]
mod tests;
