//! Instructions of BPF (Documentation/bpf/standardization/instruction-set.rst in the kernel's sources), and their text as the
//! kernel's verifier and bpftool write it.

mod operation;
mod text;

pub use text::{Names, NoNames, text};

/// Bytes of an instruction; 64-bit constants take two.
pub const SIZE: usize = 8;
/// More instructions are not read; the verifier takes no more than a million.
const MAX_INSTRUCTIONS: usize = 1 << 20;

/// One instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Its place, counted in instructions of 8 bytes.
    pub at: usize,
    /// Operation, source and class.
    pub code: u8,
    /// Destination register.
    pub dst: u8,
    /// Source register, or what the constant stands for.
    pub src: u8,
    /// Offset.
    pub off: i16,
    /// Constant.
    pub imm: i32,
    /// The upper half of a 64-bit constant, of an instruction that takes two places.
    pub high: Option<i32>,
}

impl Instruction {
    /// How many places of 8 bytes it takes.
    pub fn places(&self) -> usize {
        if self.high.is_some() { 2 } else { 1 }
    }

    /// A 64-bit constant whole.
    pub fn wide(&self) -> u64 {
        u64::from(self.high.unwrap_or(0).cast_unsigned()) << 32 | u64::from(self.imm.cast_unsigned())
    }
}

/// The instructions in `bytes`, of this machine's byte order. Bytes behind the last whole one are left out.
pub fn decode(bytes: &[u8]) -> Vec<Instruction> {
    let mut all = Vec::new();
    let mut places = bytes.as_chunks::<SIZE>().0.iter().enumerate().take(MAX_INSTRUCTIONS);
    while let Some((at, bytes)) = places.next() {
        let mut instruction = one(at, bytes);
        if instruction.code == operation::LOAD_64 {
            instruction.high = places.next().map(|(at, bytes)| one(at, bytes).imm);
        }
        all.push(instruction);
    }
    all
}

fn one(at: usize, bytes: &[u8; SIZE]) -> Instruction {
    let [code, registers, off0, off1, imm0, imm1, imm2, imm3] = *bytes;
    let (low, high) = (registers & 15, registers >> 4);
    let (dst, src) = if cfg!(target_endian = "little") { (low, high) } else { (high, low) };
    let off = i16::from_ne_bytes([off0, off1]);
    Instruction { at, code, dst, src, off, imm: i32::from_ne_bytes([imm0, imm1, imm2, imm3]), high: None }
}

#[cfg(test)]
mod tests;
