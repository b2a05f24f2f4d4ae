//! Classic BPF over `struct seccomp_data`: decisions by call number in a balanced tree, conditions on arguments at its
//! leaves. See seccomp(2) and the kernel's Documentation/networking/filter.rst for the instructions.

/// One instruction, `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

// Codes are sums of a class, a size or operation, and a mode or source (linux/bpf_common.h).
pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
pub(super) const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(super) const NOT_LESS: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// `AUDIT_ARCH_*` of this architecture (linux/audit.h).
#[cfg(target_arch = "x86_64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xc000_00b7;

/// A filter's answer, `SECCOMP_RET_*` with its data.
pub(super) type Answer = u32;

/// A comparison of a 64-bit argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) argument: u8,
    pub(super) test: Test,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Less(u64),
    NotGreater(u64),
    NotLess(u64),
    Greater(u64),
    MaskedEqual { mask: u64, value: u64 },
}

/// An answer that holds when all conditions do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) conditions: Vec<Condition>,
    pub(super) answer: Answer,
}

/// What happens to call numbers from `start` on, up to the next range: the first rule that holds, else the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) rules: Vec<Rule>,
    pub(super) otherwise: Answer,
}

/// The program for `ranges`, which are sorted and start at 0. Calls of another architecture get `foreign`.
pub(super) fn assemble(ranges: &[Range], foreign: Answer) -> Vec<Instruction> {
    let mut program = vec![
        plain(LOAD, ARCHITECTURE),
        Instruction { code: EQUAL, jt: 1, jf: 0, k: OWN_ARCHITECTURE },
        plain(RETURN, foreign),
        plain(LOAD, NUMBER),
    ];
    program.extend(decide(ranges));
    program
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

fn decide(ranges: &[Range]) -> Vec<Instruction> {
    let [range] = ranges else {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let Some(first) = high.first() else { return Vec::new() };
        let (low, high) = (decide(low), decide(high));
        let mut code = jump_over(first.start, low.len());
        code.extend(low);
        code.extend(high);
        return code;
    };
    let mut code: Vec<Instruction> = range.rules.iter().flat_map(rule).collect();
    code.push(plain(RETURN, range.otherwise));
    code
}

/// Skips `length` instructions if the number is at least `start`. Conditional jumps reach 255 instructions only.
fn jump_over(start: u32, length: usize) -> Vec<Instruction> {
    match u8::try_from(length) {
        Ok(jt) => vec![Instruction { code: NOT_LESS, jt, jf: 0, k: start }],
        Err(_) => {
            let distance = u32::try_from(length).unwrap_or(u32::MAX);
            vec![Instruction { code: NOT_LESS, jt: 0, jf: 1, k: start }, plain(JUMP, distance)]
        }
    }
}

/// Where an instruction of a condition goes on.
#[derive(Clone, Copy)]
enum Next {
    /// At the following instruction.
    Fall,
    /// Behind the condition: it holds.
    Holds,
    /// Behind the rule: it does not.
    Fails,
}

type Step = (u16, u32, Next, Next);

fn rule(rule: &Rule) -> Vec<Instruction> {
    let conditions: Vec<Vec<Step>> = rule.conditions.iter().map(condition).collect();
    // The answer stands behind the conditions.
    let total = conditions.iter().map(Vec::len).sum::<usize>() + 1;
    let mut code = Vec::with_capacity(total);
    for steps in conditions {
        let end = code.len() + steps.len();
        for (operation, k, yes, no) in steps {
            let after = code.len() + 1;
            // At most six conditions of six instructions: distances fit.
            let distance = |next: Next| match next {
                Next::Fall => 0,
                Next::Holds => (end - after) as u8,
                Next::Fails => (total - after) as u8,
            };
            code.push(Instruction { code: operation, jt: distance(yes), jf: distance(no), k });
        }
    }
    code.push(plain(RETURN, rule.answer));
    code
}

/// Arguments have 64 bits and the machine has 32, so each is compared in two halves, the upper first.
fn condition(condition: &Condition) -> Vec<Step> {
    use Next::{Fails, Fall, Holds};
    let low_at = ARGUMENTS + 8 * u32::from(condition.argument);
    // Both architectures are little-endian.
    let (load_low, load_high) = ((LOAD, low_at, Fall, Fall), (LOAD, low_at + 4, Fall, Fall));
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let ordered = |value: u64, operation: u16, yes: Next, no: Next| {
        let (high, low) = halves(value);
        vec![load_high, (GREATER, high, yes, Fall), (EQUAL, high, Fall, no), load_low, (operation, low, yes, no)]
    };
    match condition.test {
        Test::Equal(value) => {
            let (high, low) = halves(value);
            vec![load_high, (EQUAL, high, Fall, Fails), load_low, (EQUAL, low, Holds, Fails)]
        }
        Test::NotEqual(value) => {
            let (high, low) = halves(value);
            vec![load_high, (EQUAL, high, Fall, Holds), load_low, (EQUAL, low, Fails, Holds)]
        }
        Test::MaskedEqual { mask, value } => {
            let ((mask_high, mask_low), (high, low)) = (halves(mask), halves(value));
            vec![
                load_high,
                (AND, mask_high, Fall, Fall),
                (EQUAL, high, Fall, Fails),
                load_low,
                (AND, mask_low, Fall, Fall),
                (EQUAL, low, Holds, Fails),
            ]
        }
        Test::NotLess(value) => ordered(value, NOT_LESS, Holds, Fails),
        Test::Greater(value) => ordered(value, GREATER, Holds, Fails),
        Test::Less(value) => ordered(value, NOT_LESS, Fails, Holds),
        Test::NotGreater(value) => ordered(value, GREATER, Fails, Holds),
    }
}
