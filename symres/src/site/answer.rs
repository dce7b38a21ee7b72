//! What is found out about a site.

use std::fmt;

use super::MAX_CODE;
use super::kernel::Handling;
use crate::addr::{ByteSpan, VirtAddr};

/// A function to probe, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// The instruction that was asked about.
    pub instruction: String,
    /// What the kernel does with it.
    pub entry: Handling,
    /// The instruction to probe instead; none where [`Site::reason`] says why.
    pub best: Option<BestSite>,
    /// Why there is no better one; none exactly when there is.
    pub reason: Option<NoSite>,
}

/// An instruction behind the entry of a function at which a probe sees what it would see at the entry, for less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BestSite {
    /// Where it is.
    pub addr: VirtAddr,
    /// Bytes behind the entry.
    pub offset: ByteSpan,
    /// The instruction there.
    pub instruction: String,
    /// How many bytes were taken from the stack before it: the stack pointer at the entry is this much higher.
    pub stack_delta: u64,
    /// The instructions before it, the entry's first.
    pub skipped: Vec<String>,
    /// These do nothing (`endbr64`, `nop`), so that all registers but the instruction pointer are what they were. Else
    /// registers that carry no argument may be changed, the flags among them.
    pub same_registers: bool,
}

/// Why there is no cheaper site than the entry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoSite {
    /// The instruction at the entry is emulated.
    Cheap,
    /// The binary is for another processor than x86-64.
    Machine,
    /// The place is no entry of a function's own code.
    NoEntry,
    /// Nothing tells how long the function is.
    UnknownSize,
    /// The function is too long to be searched for branches.
    TooLong,
    /// The straight line from the entry ends at an instruction that is not emulated.
    Ends(String),
    /// An instruction before the next emulated one changes what a probe could see.
    Changes {
        /// The instruction.
        instruction: String,
        /// What it changes.
        what: &'static str,
    },
    /// An instruction before the next emulated one reads memory by a pointer. With a wrong pointer the process ends there,
    /// and a probe behind it would not see the very call that one looks for.
    MayFault(String),
    /// The function has no emulated instruction where one is looked for.
    NoneEmulated,
    /// An instruction of the function goes to between the entry and the emulated instruction, or to that.
    BranchedTo {
        /// Where the branch is, or what takes the address.
        from: VirtAddr,
        /// Where it leads.
        to: VirtAddr,
    },
    /// The function jumps through a table, which may lead there.
    TableJump {
        /// Where the jump is.
        from: VirtAddr,
    },
    /// Another symbol of a function is there.
    OtherEntry(VirtAddr),
    /// Not all of the function's bytes are instructions.
    NotCode(VirtAddr),
}

impl fmt::Display for NoSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSite::Cheap => f.write_str("the instruction at the entry is emulated already"),
            NoSite::Machine => f.write_str("only code for x86-64 is understood"),
            NoSite::NoEntry => f.write_str("it is not the entry of a function"),
            NoSite::UnknownSize => f.write_str("the size of the function is not known"),
            NoSite::TooLong => write!(f, "the function has more than {MAX_CODE} bytes"),
            NoSite::Ends(instruction) => write!(f, "`{instruction}` comes before any instruction that is emulated"),
            NoSite::Changes { instruction, what } => write!(f, "`{instruction}` changes {what}"),
            NoSite::MayFault(instruction) => {
                write!(f, "`{instruction}` may fault before a later instruction is reached")
            }
            NoSite::NoneEmulated => f.write_str("none of its first instructions is emulated"),
            NoSite::BranchedTo { from, to } => write!(f, "the instruction at {from} leads to {to}"),
            NoSite::TableJump { from } => write!(f, "the jump through a table at {from} may lead there"),
            NoSite::OtherEntry(addr) => write!(f, "another function has its entry at {addr}"),
            NoSite::NotCode(addr) => write!(f, "there is no valid instruction at {addr}"),
        }
    }
}
