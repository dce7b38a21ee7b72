//! The numbers of operations, and how each is written.

/// Classes of instructions.
pub(super) mod class {
    pub(in crate::insn) const LD: u8 = 0;
    pub(in crate::insn) const LDX: u8 = 1;
    pub(in crate::insn) const ST: u8 = 2;
    pub(in crate::insn) const STX: u8 = 3;
    pub(in crate::insn) const ALU: u8 = 4;
    pub(in crate::insn) const JMP: u8 = 5;
    pub(in crate::insn) const JMP32: u8 = 6;
    pub(in crate::insn) const ALU64: u8 = 7;
}

/// How memory is addressed.
pub(super) mod mode {
    pub(in crate::insn) const ABS: u8 = 0x20;
    pub(in crate::insn) const IND: u8 = 0x40;
    pub(in crate::insn) const MEM: u8 = 0x60;
    pub(in crate::insn) const MEMSX: u8 = 0x80;
    pub(in crate::insn) const ATOMIC: u8 = 0xc0;
    /// In stores of constants: a barrier that the verifier puts in.
    pub(in crate::insn) const NOSPEC: u8 = 0xc0;
}

/// The operand is a register.
pub(super) const FROM_REGISTER: u8 = 8;
/// `BPF_LD | BPF_IMM | BPF_DW`.
pub(super) const LOAD_64: u8 = 0x18;

/// What an arithmetic operation does beside writing one operand into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    /// Written between the operands; the second sign is that of the signed operation, where there is one.
    Binary(&'static str, Option<&'static str>),
    Negate,
    Move,
    /// Swaps bytes.
    End,
}

/// Arithmetic by the upper four bits of the code.
pub(super) const ARITHMETIC: [Option<Arithmetic>; 16] = [
    Some(Arithmetic::Binary("+=", None)),
    Some(Arithmetic::Binary("-=", None)),
    Some(Arithmetic::Binary("*=", None)),
    Some(Arithmetic::Binary("/=", Some("s/="))),
    Some(Arithmetic::Binary("|=", None)),
    Some(Arithmetic::Binary("&=", None)),
    Some(Arithmetic::Binary("<<=", None)),
    Some(Arithmetic::Binary(">>=", None)),
    Some(Arithmetic::Negate),
    Some(Arithmetic::Binary("%=", Some("s%="))),
    Some(Arithmetic::Binary("^=", None)),
    Some(Arithmetic::Move),
    Some(Arithmetic::Binary("s>>=", None)),
    Some(Arithmetic::End),
    None,
    None,
];

/// What a jump does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Jump {
    Always,
    If(&'static str),
    Call,
    Exit,
    /// A loop that ends by itself at last.
    May,
}

/// Jumps by the upper four bits of the code.
pub(super) const JUMPS: [Option<Jump>; 16] = [
    Some(Jump::Always),
    Some(Jump::If("==")),
    Some(Jump::If(">")),
    Some(Jump::If(">=")),
    Some(Jump::If("&")),
    Some(Jump::If("!=")),
    Some(Jump::If("s>")),
    Some(Jump::If("s>=")),
    Some(Jump::Call),
    Some(Jump::Exit),
    Some(Jump::If("<")),
    Some(Jump::If("<=")),
    Some(Jump::If("s<")),
    Some(Jump::If("s<=")),
    Some(Jump::May),
    None,
];

/// An operation on memory that no other processor can come between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Atomic {
    /// Changes memory: its sign.
    Change(&'static str),
    /// Changes memory and gives what was there: its name.
    Fetch(&'static str),
    Exchange,
    CompareExchange,
    LoadAcquire,
    StoreRelease,
}

/// Atomic operations by their constant.
pub(super) const ATOMICS: &[(i32, Atomic)] = &[
    (0x00, Atomic::Change("+=")),
    (0x40, Atomic::Change("|=")),
    (0x50, Atomic::Change("&=")),
    (0xa0, Atomic::Change("^=")),
    (0x01, Atomic::Fetch("add")),
    (0x41, Atomic::Fetch("or")),
    (0x51, Atomic::Fetch("and")),
    (0xa1, Atomic::Fetch("xor")),
    (0xe1, Atomic::Exchange),
    (0xf1, Atomic::CompareExchange),
    (0x100, Atomic::LoadAcquire),
    (0x110, Atomic::StoreRelease),
];

/// Sizes of memory operands by bits 3 and 4 of the code; as signed numbers too.
pub(super) const SIZES: [(&str, &str); 4] = [("u32", "s32"), ("u16", "s16"), ("u8", "s8"), ("u64", "s64")];

/// What the source field of a call says.
pub(super) mod call {
    /// `BPF_PSEUDO_CALL`
    pub(in crate::insn) const FUNCTION: u8 = 1;
    /// `BPF_PSEUDO_KFUNC_CALL`
    pub(in crate::insn) const KERNEL: u8 = 2;
}
