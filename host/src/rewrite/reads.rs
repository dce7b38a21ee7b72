//! What programs read of the registers that they are handed, for choices of where to attach them.

use std::collections::BTreeSet;

use super::Probe;
use super::context::{self, ARGUMENT_REGISTERS, Place, RETURN_REGISTER};
use super::tree::{FunctionId, NodeKind};
use crate::facts::RegisterReads;
use crate::kind::{Context, Kind};
use crate::lex::Lexed;

/// The most functions that one program's context is followed through.
const MAX_FUNCTIONS: usize = 1000;

/// What takes the context of any program and reads no registers by it. (The record of `bpf_perf_event_output` is what the
/// program gives it: dbcc asks for no registers with it.)
const READS_NOTHING: &[&str] =
    &["perf_submit", "bpf_perf_event_output", "bpf_get_attach_cookie", "bpf_get_func_ip", "bpf_override_return"];

/// What walks the stack by the context.
const WALKS: &[&str] = &["get_stackid", "bpf_get_stackid", "bpf_get_stack"];

/// What tells the address of the probe, or of its function.
const TELLS_IP: &str = "bpf_get_func_ip";

/// What finds registers and stacks of the running task by other ways than the context.
const READS_BY_TASK: &[&str] = &["bpf_task_pt_regs", "bpf_get_task_stack"];

/// Assembly sees the context in its register, whatever the tree shows.
const ASSEMBLY: &[&str] = &["asm", "__asm", "__asm__"];

/// What a function reads as a program of a kind; of an unknown kind, everything is assumed.
pub(super) fn of(probe: &Probe<'_, '_>, function: FunctionId, kind: Option<&dyn Kind>) -> RegisterReads {
    match kind.map(Kind::context) {
        None => RegisterReads::EVERYTHING,
        Some(Context::Registers { .. }) => read(probe, function),
        Some(_) => RegisterReads::default(),
    }
}

fn read(probe: &Probe<'_, '_>, program: FunctionId) -> RegisterReads {
    let tree = probe.tree;
    let words = Lexed::new(probe.text).identifiers();
    if ASSEMBLY.iter().any(|word| words.contains(*word)) {
        return RegisterReads::EVERYTHING;
    }
    let mut reads = RegisterReads::default();
    // Whichever function of the text calls it: these are rare.
    for name in tree.all().filter_map(|(id, _)| tree.callee(id)) {
        reads.stack |= READS_BY_TASK.contains(&name);
        reads.ip |= name == TELLS_IP;
    }
    if reads.stack {
        return RegisterReads::EVERYTHING;
    }
    let (mut known, mut open) = (BTreeSet::new(), vec![(program, 0)]);
    while let Some((function, parameter)) = open.pop() {
        if !known.insert((function, parameter)) {
            continue;
        }
        if known.len() > MAX_FUNCTIONS {
            return RegisterReads::EVERYTHING;
        }
        let parameters = tree.function(function).map(|function| function.parameters.as_slice()).unwrap_or_default();
        let bound = if function == program { parameters.get(1..).unwrap_or_default() } else { &[] };
        for (id, node) in tree.nodes_of(function) {
            let decl = match node.kind {
                NodeKind::TooDeep => return RegisterReads::EVERYTHING,
                NodeKind::Variable(decl) => decl,
                _ => continue,
            };
            if let Some(number) = bound.iter().position(|bound| *bound == decl) {
                reads.argument(number);
            }
            if parameters.get(parameter) != Some(&decl) {
                continue;
            }
            match context::place(tree, probe.roles, id, decl) {
                Place::Harmless => {}
                Place::Register(register) => reads.register(&register),
                Place::Function(called, number) => open.push((called, number)),
                Place::Passed(name) | Place::Handed(name) if WALKS.contains(&name.as_str()) => reads.stack = true,
                Place::Passed(name) | Place::Handed(name) if READS_NOTHING.contains(&name.as_str()) => {}
                Place::Passed(_) | Place::Handed(_) | Place::Registers(_) => return RegisterReads::EVERYTHING,
            }
        }
    }
    reads
}

impl RegisterReads {
    /// Notes that the argument of a number, counted from 0, is read.
    fn argument(&mut self, number: usize) {
        let bit = u32::try_from(number).ok().and_then(|number| 1_u8.checked_shl(number));
        match bit {
            Some(bit) => self.arguments |= bit,
            None => *self = Self::EVERYTHING,
        }
    }

    /// Notes that a register is read, by the name of its field in `struct pt_regs`.
    fn register(&mut self, name: &str) {
        let number = ARGUMENT_REGISTERS.iter().position(|register| *register == name);
        match (name, number) {
            ("ip" | "pc", _) => self.ip = true,
            ("sp", _) => self.sp = true,
            // Which element of the array it is, is not looked at.
            (_, Some(_)) if name == RETURN_REGISTER => {
                (self.arguments, self.return_value, self.others) = (u8::MAX, true, true);
            }
            (_, Some(number)) => self.argument(number),
            _ if name == RETURN_REGISTER => self.return_value = true,
            _ => self.others = true,
        }
    }
}
