//! The straight line from the entry of a function: what its instructions leave as it was.

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, InstructionInfoOptions, Mnemonic, OpAccess, OpKind, Register,
    UsedMemory,
};

use super::{NoSite, text};

/// What the instructions that were passed have done.
#[derive(Debug)]
pub(super) struct Line {
    /// How many bytes they took from the stack.
    pub(super) stack: u64,
    /// They changed no register but the instruction pointer.
    pub(super) same_registers: bool,
}

impl Default for Line {
    fn default() -> Self {
        Self { stack: 0, same_registers: true }
    }
}

/// Registers that carry arguments or the frame (x86-64 psABI, 3.2.3): r10 is the static chain, al the number of vector
/// registers of a variadic call.
const ARGUMENTS: &[(Register, &str)] = &[
    (Register::RDI, "the register of argument 1"),
    (Register::RSI, "the register of argument 2"),
    (Register::RDX, "the register of argument 3"),
    (Register::RCX, "the register of argument 4"),
    (Register::R8, "the register of argument 5"),
    (Register::R9, "the register of argument 6"),
    (Register::R10, "the register of the static chain"),
    (Register::RBP, "the frame pointer"),
];

impl Line {
    /// Passes an instruction.
    pub(super) fn pass(&mut self, instruction: &Instruction) -> Result<(), NoSite> {
        let changes = |what| NoSite::Changes { instruction: text(instruction), what };
        if instruction.flow_control() != FlowControl::Next {
            return Err(NoSite::Ends(text(instruction)));
        }
        if matches!(instruction.mnemonic(), Mnemonic::Endbr64 | Mnemonic::Nop) {
            return Ok(());
        }
        self.same_registers = false;
        let taken = takes_from_stack(instruction);
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info_options(instruction, InstructionInfoOptions::NONE);
        let writes = |access: OpAccess| {
            !matches!(access, OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess)
        };
        for used in info.used_registers().iter().filter(|used| writes(used.access())) {
            let register = used.register().full_register();
            if register == Register::RSP && taken.is_none() {
                return Err(changes("the stack pointer by a number of bytes that is not known"));
            }
            if let Some((_, what)) = ARGUMENTS.iter().find(|(argument, _)| *argument == register) {
                return Err(changes(what));
            }
            if register.is_vector_register() && register.number() < 8 {
                return Err(changes("a vector register, which may carry an argument"));
            }
        }
        if info.used_memory().iter().any(|used| writes(used.access())) {
            return Err(changes("memory"));
        }
        if info.used_memory().iter().any(|used| may_fault(used, instruction)) {
            return Err(NoSite::MayFault(text(instruction)));
        }
        self.stack = self.stack.saturating_add(taken.unwrap_or(0));
        Ok(())
    }
}

/// How many bytes an instruction takes from the stack, where it does that and no more: `sub rsp, 24`.
fn takes_from_stack(instruction: &Instruction) -> Option<u64> {
    let number = match instruction.op1_kind() {
        OpKind::Immediate8to64 => instruction.immediate8to64(),
        OpKind::Immediate32to64 => instruction.immediate32to64(),
        _ => return None,
    };
    match (instruction.mnemonic(), instruction.op0_register()) {
        (Mnemonic::Sub, Register::RSP) => u64::try_from(number).ok(),
        // `add rsp, -128`: shorter than `sub rsp, 128`.
        (Mnemonic::Add, Register::RSP) => u64::try_from(number.checked_neg()?).ok(),
        _ => None,
    }
}

/// Whether the read of memory may fault: all but those of the stack, of the file's own data and of thread-local variables.
fn may_fault(used: &UsedMemory, instruction: &Instruction) -> bool {
    let is_own = matches!(used.base(), Register::RSP | Register::RIP)
        || used.segment() == Register::FS
        || instruction.is_ip_rel_memory_operand();
    !is_own || used.index() != Register::None
}
