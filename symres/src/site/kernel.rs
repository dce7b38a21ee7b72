//! What the kernel does with the instruction under a uprobe, on x86-64.
//!
//! Source: `arch/x86/kernel/uprobes.c` (`uprobe_init_insn`, `branch_setup_xol_ops`, `push_setup_xol_ops`) and
//! `arch/x86/lib/insn.c` (`insn_get_prefixes`, `insn_get_opcode`), Linux 5.10 to 7.2. The kernel tells instructions apart
//! by one or two bytes of their opcode, and so does this file; what an instruction is and how long it is, is the decoder's
//! business.

use std::fmt;

use iced_x86::{EncodingKind, Instruction, Mnemonic, Register};

/// A version of Linux, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl KernelVersion {
    /// The oldest that is thought of: what it does, all newer ones do.
    pub const OLDEST: Self = Self { major: 5, minor: 10 };

    /// It emulates the usual `nop` of each length, and not only the short one (commit "uprobes/x86: Add support to emulate
    /// NOP instructions").
    const EMULATES_LONG_NOPS: Self = Self { major: 6, minor: 16 };

    /// It recognises more instructions that do nothing, and no more those that only look like it (`insn_is_nop` of
    /// `arch/x86/lib/insn-eval.c`, which 6.18 does not have).
    const KNOWS_NOPS: Self = Self { major: 6, minor: 19 };

    /// The version at the start of a release, as `uname -r` shows it: none where there is none.
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
        Some(Self { major: numbers.next()?.parse().ok()?, minor: numbers.next()?.parse().ok()? })
    }
}

/// What the kernel does with a probed instruction once the probe has run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Handling {
    /// It does what the instruction does: one trap for each hit.
    Emulated,
    /// It has the processor execute a copy and trap again, some ten times as dear.
    SingleStepped,
    /// It does not take a probe there, or would not execute the instruction as it is.
    Refused(Refusal),
}

impl Handling {
    /// The short name for tables and JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Handling::Emulated => "emulated",
            Handling::SingleStepped => "single-stepped",
            Handling::Refused(_) => "refused",
        }
    }
}

/// Why no probe can be where it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The place is inside of an instruction.
    Middle {
        /// That instruction.
        instruction: String,
        /// How many bytes of it lie before the place.
        into: u64,
    },
    /// There is no instruction that the decoder knows, or it reaches behind the end of the code.
    NoInstruction,
    /// The kernel refuses a prefix of the instruction.
    Prefix {
        /// The instruction.
        instruction: String,
        /// The prefix.
        prefix: &'static str,
    },
    /// The kernel refuses the instruction.
    Instruction(String),
    /// The kernel takes the probe and then does something else than the instruction: the process would go on with wrong
    /// values, or crash, or the probe would be hit more than once.
    Misexecuted {
        /// The instruction.
        instruction: String,
        /// What the kernel does.
        how: &'static str,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Middle { instruction, into } => {
                write!(f, "the place is inside of an instruction: `{instruction}` starts {into} bytes before it")
            }
            Refusal::NoInstruction => f.write_str("there is no valid instruction"),
            Refusal::Prefix { instruction, prefix } => {
                write!(f, "the kernel probes no instruction with the prefix `{prefix}`, as in `{instruction}`")
            }
            Refusal::Instruction(instruction) => write!(f, "the kernel does not probe the instruction `{instruction}`"),
            Refusal::Misexecuted { instruction, how } => {
                write!(f, "the kernel does not execute the probed instruction `{instruction}` as it is, but {how}")
            }
        }
    }
}

/// Prefixes that the kernel refuses (`is_prefix_bad`).
const BAD_PREFIXES: &[(u8, &str)] = &[(0x26, "es"), (0x2e, "cs"), (0x36, "ss"), (0x3e, "ds"), (0xf0, "lock")];

/// The other prefixes before an opcode, a REX prefix aside.
const GOOD_PREFIXES: &[u8] = &[0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3];

/// First bytes of opcodes that the kernel refuses in 64-bit programs (the zeroes of `good_insns_64`). That of the two-byte
/// opcodes is no zero there, so that none of these is refused, whatever `good_2byte_insns` says.
const BAD_OPCODES: &[u8] = &[
    0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f, 0x37, 0x3f, 0x60, 0x61, 0x62, 0x6c, 0x6d, 0x6e, 0x6f, 0x82,
    0x9a, 0xcc, 0xcd, 0xce, 0xcf, 0xd4, 0xd5, 0xd6, 0xe4, 0xe5, 0xe6, 0xe7, 0xea, 0xec, 0xed, 0xee, 0xef, 0xf1, 0xf4,
    0xfa, 0xfb,
];

/// The `nop`s by their length that 6.16 and 6.17 emulate beside the short one (`x86_nops`, `arch/x86/include/asm/nops.h`).
const LONG_NOPS: &[&[u8]] = &[
    &[0x0f, 0x1f, 0x00],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// The parts of an instruction that the kernel looks at.
struct Parts<'b> {
    prefixes: &'b [u8],
    /// 0 where there is none.
    rex: u8,
    /// The opcode, or the one behind a VEX or EVEX prefix, which for the kernel is a first byte like any other.
    opcode: u8,
    /// What follows the opcode.
    next: u8,
}

/// What the kernel does with an instruction; `bytes` are its own.
pub(super) fn handling(instruction: &Instruction, bytes: &[u8], kernel: KernelVersion) -> Handling {
    let text = || super::text(instruction);
    if instruction.is_invalid() || bytes.is_empty() {
        return Handling::Refused(Refusal::NoInstruction);
    }
    let refused = || Handling::Refused(Refusal::Instruction(text()));
    let Some(parts) = parts(instruction, bytes) else { return refused() };
    let bad = |prefix: &u8| BAD_PREFIXES.iter().find(|(bad, _)| bad == prefix).map(|(_, name)| *name);
    if let Some(prefix) = parts.prefixes.iter().find_map(bad) {
        return Handling::Refused(Refusal::Prefix { instruction: text(), prefix });
    }
    // `insn_masking_exception`: `pop ss` is none in 64-bit programs.
    let masks_interrupts = instruction.mnemonic() == Mnemonic::Mov && instruction.op0_register() == Register::SS;
    if masks_interrupts || BAD_OPCODES.contains(&parts.opcode) {
        return refused();
    }
    match (instruction_class(instruction), parts.opcode) {
        (Class::Legacy, _) => legacy(instruction, &parts, bytes, kernel),
        // The distance is the immediate byte, or none.
        (Class::Vector, 0x70..=0x7f | 0xe9 | 0xeb) => misexecuted(instruction, "a jump in its place"),
        (Class::Vector, 0xe8) => misexecuted(instruction, "a call in its place"),
        (Class::Vector, 0x90) if kernel < KernelVersion::KNOWS_NOPS => misexecuted(instruction, LEAVES_OUT),
        (Class::Vector, _) => Handling::SingleStepped,
        // The kernel's decoder knows these since 6.18, and before took their first byte for a `pop`.
        (Class::Other, _) => refused(),
    }
}

/// How an instruction is executed that is taken for a `nop`.
const LEAVES_OUT: &str = "leaves it out";

fn misexecuted(instruction: &Instruction, how: &'static str) -> Handling {
    Handling::Refused(Refusal::Misexecuted { instruction: super::text(instruction), how })
}

fn legacy(instruction: &Instruction, parts: &Parts<'_>, bytes: &[u8], kernel: KernelVersion) -> Handling {
    let is_short = parts.prefixes.contains(&0x66);
    let extends = parts.rex & 1 != 0;
    match (parts.opcode, parts.next) {
        // With the prefix it is a 16-bit branch on some processors and none on others: -ENOTSUPP.
        (0xe8 | 0xe9 | 0xeb | 0x70..=0x7f, _) | (0x0f, 0x80..=0x8f) if is_short => {
            Handling::Refused(Refusal::Prefix { instruction: super::text(instruction), prefix: "data16" })
        }
        (0xe8 | 0xe9 | 0xeb | 0x70..=0x7f, _) | (0x0f, 0x80..=0x8f) => Handling::Emulated,
        // With REX.B it is `xchg r8, rax`.
        (0x90, _) if extends && kernel < KernelVersion::KNOWS_NOPS => misexecuted(instruction, LEAVES_OUT),
        (0x90, _) if extends => Handling::SingleStepped,
        // With a REP prefix it is `pause`.
        (0x90, _) if kernel >= KernelVersion::KNOWS_NOPS && parts.prefixes.contains(&0xf3) => Handling::SingleStepped,
        (0x90, _) => Handling::Emulated,
        (0x50..=0x57, _) if bytes.len() == 1 || (bytes.len() == 2 && parts.rex == 0x41) => Handling::Emulated,
        (0x0f, 0x1f) if kernel >= KernelVersion::KNOWS_NOPS && instruction.mnemonic() == Mnemonic::Nop => {
            Handling::Emulated
        }
        (0x0f, 0x1f) if kernel >= KernelVersion::EMULATES_LONG_NOPS && LONG_NOPS.contains(&bytes) => Handling::Emulated,
        (0x89, _) if kernel >= KernelVersion::KNOWS_NOPS && moves_to_itself(instruction) => Handling::Emulated,
        // Seen on 6.1 and 6.18: the address behind the copy is corrected twice.
        (0x0f, 0x05 | 0x34) => misexecuted(instruction, "goes on at a wrong address behind it"),
        // Each round ends at the instruction again, and so at the probe.
        _ if instruction.is_string_instruction()
            && (instruction.has_rep_prefix() || instruction.has_repne_prefix()) =>
        {
            misexecuted(instruction, "hits the probe again in each of its rounds")
        }
        _ => Handling::SingleStepped,
    }
}

/// `mov rdi, rdi`: 64 bits of a register to the same.
fn moves_to_itself(instruction: &Instruction) -> bool {
    instruction.op0_register().is_gpr64() && instruction.op0_register() == instruction.op1_register()
}

/// The ways of encoding that the kernel tells apart.
enum Class {
    Legacy,
    /// VEX or EVEX.
    Vector,
    /// XOP and others.
    Other,
}

fn instruction_class(instruction: &Instruction) -> Class {
    match instruction.encoding() {
        EncodingKind::Legacy => Class::Legacy,
        EncodingKind::VEX | EncodingKind::EVEX => Class::Vector,
        _ => Class::Other,
    }
}

/// None where the kernel finds another opcode than the decoder: a REX prefix that another prefix follows.
fn parts<'b>(instruction: &Instruction, bytes: &'b [u8]) -> Option<Parts<'b>> {
    let is_prefix = |byte: &u8| GOOD_PREFIXES.contains(byte) || BAD_PREFIXES.iter().any(|(prefix, _)| prefix == byte);
    let count = bytes.iter().take_while(|byte| is_prefix(byte)).count();
    let (prefixes, rest) = bytes.split_at_checked(count)?;
    let (rex, rest) = match rest {
        [rex @ 0x40..=0x4f, rest @ ..] => (*rex, rest),
        _ => (0, rest),
    };
    let first = *rest.first()?;
    if rex != 0 && (is_prefix(&first) || matches!(first, 0x40..=0x4f)) {
        return None;
    }
    let at = match (instruction_class(instruction), first) {
        (Class::Vector, 0xc5) => 2,
        (Class::Vector, 0xc4) => 3,
        (Class::Vector, _) => 4,
        _ => 0,
    };
    Some(Parts { prefixes, rex, opcode: *rest.get(at)?, next: rest.get(at + 1).copied().unwrap_or(0) })
}
