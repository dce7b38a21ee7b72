//! An instruction as text.

use super::Instruction;
use super::operation::{
    ARITHMETIC, ATOMICS, Arithmetic, Atomic, FROM_REGISTER, JUMPS, Jump, LOAD_64, SIZES, call, class, mode,
};

/// Names of what instructions refer to by number.
pub trait Names {
    /// The helper or function of the kernel that is called; none where it is not known.
    fn call(&self, instruction: &Instruction) -> Option<String>;

    /// What a 64-bit constant stands for; none for a number.
    fn constant(&self, instruction: &Instruction) -> Option<String>;
}

/// Nothing has a name.
#[derive(Debug, Clone, Copy)]
pub struct NoNames;

impl Names for NoNames {
    fn call(&self, _: &Instruction) -> Option<String> {
        None
    }

    fn constant(&self, _: &Instruction) -> Option<String> {
        None
    }
}

/// The text of an instruction, without its code.
pub fn text(instruction: &Instruction, names: &dyn Names) -> String {
    let found = match instruction.code & 7 {
        class::ALU | class::ALU64 => arithmetic(instruction),
        class::JMP | class::JMP32 => jump(instruction, names),
        class::LDX => load(instruction),
        class::ST => store_constant(instruction),
        class::STX => store(instruction),
        _ => load_constant(instruction, names),
    };
    found.unwrap_or_else(|| format!("not an instruction: code {:#04x}", instruction.code))
}

fn upper(code: u8) -> usize {
    usize::from(code >> 4)
}

fn size(code: u8) -> (&'static str, &'static str) {
    SIZES.get(usize::from(code >> 3 & 3)).copied().unwrap_or_default()
}

/// `r` or, for the lower half, `w`.
fn letter(is_wide: bool) -> char {
    if is_wide { 'r' } else { 'w' }
}

fn arithmetic(it: &Instruction) -> Option<String> {
    let Instruction { code, dst, src, off, imm, .. } = *it;
    let wide = code & 7 == class::ALU64;
    let r = letter(wide);
    let from_register = code & FROM_REGISTER != 0;
    let operand = if from_register { format!("{r}{src}") } else { imm.to_string() };
    Some(match ARITHMETIC.get(upper(code)).copied()?? {
        Arithmetic::End if wide => format!("r{dst} = bswap{imm} r{dst}"),
        Arithmetic::End => format!("r{dst} = {}{imm} r{dst}", if from_register { "be" } else { "le" }),
        Arithmetic::Negate => format!("{r}{dst} = -{r}{dst}"),
        Arithmetic::Move => match (from_register, off) {
            // The constant holds the numbers of both address spaces.
            (true, 1) if wide => {
                let spaces = imm.cast_unsigned();
                format!("r{dst} = addr_space_cast(r{src}, {}, {})", spaces >> 16, spaces & 0xffff)
            }
            (true, -1) if wide => format!("r{dst} = &(void __percpu *)(r{src})"),
            (true, 8 | 16 | 32) => format!("{r}{dst} = (s{off}){r}{src}"),
            _ => format!("{r}{dst} = {operand}"),
        },
        Arithmetic::Binary(sign, signed) => {
            let sign = signed.filter(|_| off == 1).unwrap_or(sign);
            format!("{r}{dst} {sign} {operand}")
        }
    })
}

fn jump(it: &Instruction, names: &dyn Names) -> Option<String> {
    let Instruction { code, dst, src, off, imm, .. } = *it;
    let wide = code & 7 == class::JMP;
    let from_register = code & FROM_REGISTER != 0;
    Some(match JUMPS.get(upper(code)).copied()?? {
        Jump::Always if wide && from_register => format!("gotox r{dst}"),
        Jump::Always if wide => format!("goto pc{off:+}"),
        Jump::Always => format!("gotol pc{imm:+}"),
        Jump::May => format!("may_goto pc{off:+}"),
        Jump::Exit => "exit".to_owned(),
        Jump::Call => match (src, names.call(it)) {
            (call::FUNCTION, Some(name)) => format!("call pc{imm:+}#{name}"),
            (call::FUNCTION, None) => format!("call pc{imm:+}"),
            (call::KERNEL, None) => format!("call kernel-function#{imm}"),
            (_, Some(name)) => format!("call {name}#{imm}"),
            (_, None) => format!("call unknown#{imm}"),
        },
        Jump::If(sign) => {
            let r = letter(wide);
            let operand = if from_register { format!("{r}{src}") } else { format!("{imm:#x}") };
            format!("if {r}{dst} {sign} {operand} goto pc{off:+}")
        }
    })
}

fn load(it: &Instruction) -> Option<String> {
    let Instruction { code, dst, src, off, .. } = *it;
    let (unsigned, signed) = size(code);
    let size = match code & 0xe0 {
        mode::MEM => unsigned,
        mode::MEMSX => signed,
        _ => return None,
    };
    Some(format!("r{dst} = *({size} *)(r{src} {off:+})"))
}

fn store_constant(it: &Instruction) -> Option<String> {
    let Instruction { code, dst, off, imm, .. } = *it;
    match code & 0xe0 {
        mode::MEM => Some(format!("*({} *)(r{dst} {off:+}) = {imm}", size(code).0)),
        mode::NOSPEC => Some("nospec".to_owned()),
        _ => None,
    }
}

fn store(it: &Instruction) -> Option<String> {
    let Instruction { code, dst, src, off, imm, .. } = *it;
    let (size, _) = size(code);
    match code & 0xe0 {
        mode::MEM => return Some(format!("*({size} *)(r{dst} {off:+}) = r{src}")),
        mode::ATOMIC => {}
        _ => return None,
    }
    let width = if size == "u64" { "64" } else { "" };
    let (_, operation) = ATOMICS.iter().find(|(number, _)| *number == imm)?;
    Some(match operation {
        Atomic::Change(sign) => format!("lock *({size} *)(r{dst} {off:+}) {sign} r{src}"),
        Atomic::Fetch(name) => format!("r{src} = atomic{width}_fetch_{name}(({size} *)(r{dst} {off:+}), r{src})"),
        Atomic::Exchange => format!("r{src} = atomic{width}_xchg(({size} *)(r{dst} {off:+}), r{src})"),
        Atomic::CompareExchange => format!("r0 = atomic{width}_cmpxchg(({size} *)(r{dst} {off:+}), r0, r{src})"),
        Atomic::LoadAcquire => format!("r{dst} = load_acquire(({size} *)(r{src} {off:+}))"),
        Atomic::StoreRelease => format!("store_release(({size} *)(r{dst} {off:+}), r{src})"),
    })
}

fn load_constant(it: &Instruction, names: &dyn Names) -> Option<String> {
    let Instruction { code, dst, src, imm, .. } = *it;
    if code == LOAD_64 {
        let constant = names.constant(it).unwrap_or_else(|| format!("{:#x}", it.wide()));
        return Some(format!("r{dst} = {constant}"));
    }
    match code & 0xe7 {
        code if code == mode::ABS | class::LD => Some(format!("r0 = *({} *)skb[{imm}]", size(it.code).0)),
        code if code == mode::IND | class::LD => Some(format!("r0 = *({} *)skb[r{src} + {imm}]", size(it.code).0)),
        _ => None,
    }
}
