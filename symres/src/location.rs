//! Where values are at an instruction, as data from which code that reads them can be made.

use std::fmt::Write as _;

use crate::elf::Machine;

/// Where an argument is when the instruction of a place is about to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Where it is.
    pub location: Location,
    /// How this is known.
    pub known_by: KnownBy,
}

impl Argument {
    /// Nothing tells where it is.
    pub const UNKNOWN: Argument = Argument { location: Location::Unknown, known_by: KnownBy::Nothing };
}

/// How the place of an argument is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KnownBy {
    /// The debug information says it for this very instruction.
    DebugInfo,
    /// The calling convention of the processor's ABI, which the callers of the function follow: at the entry of a body, where
    /// the debug information does not say it or describes the frame that the function has yet to build.
    CallingConvention,
    /// The calling convention too, but only the function's name tells its parameters. It does not tell what is returned: where
    /// that is a large object, a pointer to it comes first, and each of these is in the register that follows.
    Name,
    /// It is not known.
    Nothing,
}

/// Where a value is at one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// In a register, from its lowest byte on.
    Register(Register),
    /// In memory, at a register's value plus an offset in bytes.
    Memory {
        /// The register.
        base: Register,
        /// Added to it.
        offset: i64,
    },
    /// In memory, at an address of the file's image (to which the load bias is added).
    Static(u64),
    /// In memory, behind a pointer: at the pointer's value plus an offset in bytes.
    Indirect {
        /// Where the pointer is.
        pointer: Box<Location>,
        /// Added to its value.
        offset: i64,
    },
    /// It is always this value.
    Constant(i128),
    /// It is always these bytes.
    Bytes(Vec<u8>),
    /// It is this address of the file's image (to which the load bias is added): a pointer to a global variable.
    Address(u64),
    /// It is another value plus a number.
    Sum {
        /// Where the other value, an integer of the size of a pointer, is.
        of: Box<Location>,
        /// Added to it.
        offset: i64,
    },
    /// It is a pointer that the compiler did away with, but what it points to is known.
    Synthetic {
        /// Where the thing is that it points to.
        target: Box<Location>,
        /// Into which byte of that.
        offset: i64,
    },
    /// In several parts, each with its length in bytes, from the lowest address on.
    Pieces(Vec<(Location, u64)>),
    /// To be computed: the operations as text, in the terms of DWARF.
    Expression(String),
    /// The compiler keeps it nowhere at this instruction.
    OptimizedOut,
    /// Nothing tells where it is.
    Unknown,
}

impl Location {
    /// For people: `rdi`, `[rsp+8]`, `*[rbp-24]+8`, `42`, `optimised out`.
    pub fn text(&self, machine: Machine) -> String {
        let mut out = String::new();
        self.write(machine, &mut out);
        out
    }

    fn write(&self, machine: Machine, out: &mut String) {
        // Writing to a string does not fail.
        let _ = match self {
            Location::Register(register) => write!(out, "{}", register.name(machine)),
            Location::Memory { base, offset } => write!(out, "[{}{}]", base.name(machine), signed(*offset)),
            Location::Static(addr) => write!(out, "[{addr:#x}]"),
            Location::Indirect { pointer, offset } => {
                out.push('[');
                pointer.write(machine, out);
                write!(out, "{}]", signed(*offset))
            }
            Location::Constant(value) => write!(out, "{value}"),
            Location::Bytes(bytes) => {
                out.push_str("bytes");
                bytes.iter().try_for_each(|byte| write!(out, " {byte:02x}"))
            }
            Location::Address(addr) => write!(out, "{addr:#x}"),
            Location::Sum { of, offset } => {
                of.write(machine, out);
                write!(out, "{}", signed(*offset))
            }
            Location::Synthetic { target, offset } => {
                out.push('&');
                target.write(machine, out);
                write!(out, "{}", signed(*offset))
            }
            Location::Pieces(pieces) => {
                for (at, (piece, size)) in pieces.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    piece.write(machine, out);
                    let _ = write!(out, ":{size}");
                }
                Ok(())
            }
            Location::Expression(text) => write!(out, "{text}"),
            Location::OptimizedOut => write!(out, "optimised out"),
            Location::Unknown => write!(out, "unknown"),
        };
    }
}

fn signed(offset: i64) -> String {
    if offset == 0 { String::new() } else { format!("{offset:+}") }
}

/// A register by its number in DWARF, which depends on the processor (x86-64 psABI, figure 3.36; DWARF for the Arm 64-bit
/// Architecture, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Register(pub u16);

impl Register {
    /// As the assemblers of the processor name it, the whole of it: `rdi`, `xmm0`, `x19`, `v0`; `reg7` where it is not known.
    pub fn name(self, machine: Machine) -> String {
        const X86_64: [&str; 17] = [
            "rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
            "r15", "rip",
        ];
        let number = self.0;
        let known = match machine {
            Machine::X86_64 => match number {
                0..=16 => X86_64.get(usize::from(number)).map(|name| (*name).to_owned()),
                17..=32 => Some(format!("xmm{}", number - 17)),
                33..=40 => Some(format!("st{}", number - 33)),
                41..=48 => Some(format!("mm{}", number - 41)),
                49 => Some("rflags".to_owned()),
                50..=55 => ["es", "cs", "ss", "ds", "fs", "gs"].get(usize::from(number - 50)).map(|n| (*n).to_owned()),
                58 => Some("fs_base".to_owned()),
                59 => Some("gs_base".to_owned()),
                64 => Some("mxcsr".to_owned()),
                67..=82 => Some(format!("xmm{}", number - 67 + 16)),
                118..=125 => Some(format!("k{}", number - 118)),
                _ => None,
            },
            Machine::AARCH64 => match number {
                0..=30 => Some(format!("x{number}")),
                31 => Some("sp".to_owned()),
                32 => Some("pc".to_owned()),
                48..=63 => Some(format!("p{}", number - 48)),
                64..=95 => Some(format!("v{}", number - 64)),
                96..=127 => Some(format!("z{}", number - 96)),
                _ => None,
            },
            _ => None,
        };
        known.unwrap_or_else(|| format!("reg{number}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_read_like_operands() {
        let rsp = Register(7);
        let slot = Location::Memory { base: rsp, offset: 8 };
        let text = |location: &Location| location.text(Machine::X86_64);
        assert_eq!(text(&slot), "[rsp+8]");
        assert_eq!(text(&Location::Indirect { pointer: Box::new(slot.clone()), offset: -4 }), "[[rsp+8]-4]");
        assert_eq!(text(&Location::Sum { of: Box::new(Location::Register(Register(5))), offset: 16 }), "rdi+16");
        assert_eq!(
            text(&Location::Pieces(vec![(Location::Register(Register(17)), 8), (slot, 4)])),
            "xmm0:8, [rsp+8]:4"
        );
        assert_eq!(Register(19).name(Machine::AARCH64), "x19");
        assert_eq!(Register(7).name(Machine(3)), "reg7");
    }
}
