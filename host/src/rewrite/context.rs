//! How programs use their context, through the functions that they pass it to.
//!
//! The body of a function that runs as fentry or fexit gets registers that are made of the arguments; they stand for the
//! real ones as long as nothing but arguments and the return value is read of them. What takes the context of whatever
//! program calls it (`perf_submit`) is handed the real one.

use std::collections::BTreeMap;

use super::program::{Role, Roles};
use super::tree::{DeclId, FunctionId, NodeId, NodeKind, Tree};
use crate::source::Span;

/// How functions use the contexts that they get.
#[derive(Debug, Default)]
pub struct Contexts {
    uses: BTreeMap<FunctionId, ContextUse>,
}

/// How one function uses its context.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ContextUse {
    /// The number of the parameter that is the context.
    parameter: usize,
    /// Places where it is handed to something that takes any context: `perf_submit`, `get_stackid`, …
    passed: Vec<Span>,
    /// Registers that it reads, and where.
    registers: Vec<(String, NodeId)>,
    /// Why it must be the real registers for another reason.
    because: Option<String>,
    /// Functions of the text that it is passed to.
    calls: Vec<FunctionId>,
}

/// Methods and helpers whose first argument is the context of whatever program calls them.
const TAKES_ANY_CONTEXT: &[&str] =
    &["perf_submit", "get_stackid", "bpf_perf_event_output", "bpf_get_stackid", "bpf_get_stack"];

/// The registers that carry arguments and the return value, by the names of their fields in `struct pt_regs`
/// (x86-64: System V ABI, 3.2.3; arm64: AAPCS64, 6.8.2).
#[cfg(target_arch = "aarch64")]
pub(super) const ARGUMENT_REGISTERS: &[&str] = &["regs"];
#[cfg(not(target_arch = "aarch64"))]
pub(super) const ARGUMENT_REGISTERS: &[&str] = &["di", "si", "dx", "cx", "r8", "r9"];
#[cfg(target_arch = "aarch64")]
pub(super) const RETURN_REGISTER: &str = "regs";
#[cfg(not(target_arch = "aarch64"))]
pub(super) const RETURN_REGISTER: &str = "ax";

/// How deeply calls are followed.
const MAX_CALLS: usize = 32;

impl Contexts {
    /// Follows the contexts of all programs of BCC's style.
    pub fn find(tree: &Tree<'_>, roles: &Roles) -> Self {
        let mut contexts = Self::default();
        let programs = tree.functions().filter(|(id, _)| matches!(roles.of(*id), Role::Programs(_)));
        let mut open: Vec<(FunctionId, usize)> = programs.map(|(id, _)| (id, 0)).collect();
        while let Some((function, parameter)) = open.pop() {
            if let Some(known) = contexts.uses.get_mut(&function) {
                if known.parameter != parameter {
                    known.because = Some("its context is passed in two ways".to_owned());
                }
                continue;
            }
            let (found, calls) = look(tree, roles, function, parameter);
            contexts.uses.insert(function, found);
            open.extend(calls);
        }
        contexts
    }

    /// Why a function must get the real registers; none where arguments and, on a return, the return value do.
    pub fn registers_because(&self, tree: &Tree<'_>, function: FunctionId, returns: bool) -> Option<String> {
        self.because(tree, function, returns, 0)
    }

    fn because(&self, tree: &Tree<'_>, function: FunctionId, returns: bool, depth: usize) -> Option<String> {
        let found = self.uses.get(&function)?;
        if let Some(because) = &found.because {
            return Some(because.clone());
        }
        let is_known =
            |register: &str| ARGUMENT_REGISTERS.contains(&register) || (returns && register == RETURN_REGISTER);
        if let Some((register, _)) = found.registers.iter().find(|(register, _)| !is_known(register)) {
            return Some(format!("it uses the register `{register}`"));
        }
        if depth >= MAX_CALLS {
            return Some("its context is passed on without an end".to_owned());
        }
        found.calls.iter().find_map(|called| {
            let because = self.because(tree, *called, returns, depth + 1)?;
            let name = tree.function(*called).map(|function| function.name.as_str()).unwrap_or_default();
            Some(format!("it passes its context to `{name}`, of which is true: {because}"))
        })
    }

    /// Where a function, or one that it passes its context to, reads registers that hand over arguments and no return value:
    /// the nodes that name the context there.
    pub fn argument_reads(&self, function: FunctionId) -> Vec<NodeId> {
        let (mut known, mut open, mut reads) = (Vec::new(), vec![function], Vec::new());
        while let Some(function) = open.pop() {
            if known.contains(&function) {
                continue;
            }
            known.push(function);
            let Some(found) = self.uses.get(&function) else { continue };
            let arguments = found
                .registers
                .iter()
                .filter(|(register, _)| ARGUMENT_REGISTERS.contains(&register.as_str()) && register != RETURN_REGISTER);
            reads.extend(arguments.map(|(_, node)| *node));
            open.extend(&found.calls);
        }
        reads
    }

    /// Where a function hands its context to something that takes any.
    pub fn passed(&self, function: FunctionId) -> &[Span] {
        self.uses.get(&function).map(|found| found.passed.as_slice()).unwrap_or_default()
    }

    /// The functions that a function passes its context to and that need the real one, themselves or by those that
    /// they call; all of them, down to the last.
    pub fn that_need_it(&self, function: FunctionId) -> Vec<FunctionId> {
        let mut found = Vec::new();
        self.collect(function, &mut found, 0);
        found
    }

    fn collect(&self, function: FunctionId, found: &mut Vec<FunctionId>, depth: usize) -> bool {
        let Some(this) = self.uses.get(&function) else { return false };
        let mut needs = !this.passed.is_empty();
        if depth < MAX_CALLS {
            for called in &this.calls {
                if found.contains(called) {
                    needs = true;
                } else if self.collect(*called, found, depth + 1) {
                    found.push(*called);
                    needs = true;
                }
            }
        }
        needs
    }

    /// The number of the parameter that is the context of a function.
    pub fn parameter(&self, function: FunctionId) -> Option<usize> {
        self.uses.get(&function).map(|found| found.parameter)
    }
}

/// Looks at every place where a function names its context; what it passes it on to, with the number of the parameter.
fn look(
    tree: &Tree<'_>,
    roles: &Roles,
    function: FunctionId,
    parameter: usize,
) -> (ContextUse, Vec<(FunctionId, usize)>) {
    let (passed, registers, calls) = Default::default();
    let mut found = ContextUse { parameter, passed, registers, because: None, calls };
    let mut open = Vec::new();
    let context = tree.function(function).and_then(|function| function.parameters.get(parameter).copied());
    for (id, node) in tree.nodes_of(function) {
        let place = match node.kind {
            NodeKind::TooDeep => Place::Registers("its code is nested too deeply to be understood".to_owned()),
            NodeKind::Variable(decl) if Some(decl) == context => place(tree, roles, id, decl),
            _ => continue,
        };
        match place {
            Place::Harmless => {}
            Place::Passed(_) => found.passed.extend(node.span),
            Place::Handed(name) => {
                found.because = found.because.or_else(|| Some(format!("it passes its context to `{name}`")));
            }
            Place::Register(register) => found.registers.push((register, id)),
            Place::Registers(why) => found.because = found.because.or(Some(why)),
            Place::Function(called, number) => {
                found.calls.push(called);
                open.push((called, number));
            }
        }
    }
    (found, open)
}

/// What is done with a context at one place.
pub(super) enum Place {
    Harmless,
    /// Handed to something that takes any context, of that name.
    Passed(String),
    /// Handed to something else that the text does not define, of that name, or not in a way that can be followed.
    Handed(String),
    /// A register is read.
    Register(String),
    /// It must be the real registers.
    Registers(String),
    /// Passed to a function of the text as the parameter of that number.
    Function(FunctionId, usize),
}

/// What the node `id`, which names the context, is for.
pub(super) fn place(tree: &Tree<'_>, roles: &Roles, id: NodeId, context: DeclId) -> Place {
    // Up through parentheses, conversions and casts to what uses the value.
    let mut at = id;
    let user = loop {
        let Some(parent) = tree.node(at).and_then(|node| node.parent) else { return Place::Harmless };
        match tree.kind(parent) {
            Some(NodeKind::Implicit | NodeKind::Paren | NodeKind::Cast) => at = parent,
            _ => break parent,
        }
    };
    let other = || Place::Registers("it uses its context other than for arguments and the return value".to_owned());
    match tree.kind(user) {
        // `(void)ctx;`
        Some(NodeKind::Statement) => Place::Harmless,
        Some(NodeKind::Member(member)) if member.arrow => {
            if is_written(tree, user) {
                return other();
            }
            match member.name.as_str() {
                // arm64: the anonymous struct on the way to a register.
                "" | "user_regs" => Place::Harmless,
                register => Place::Register(register.to_owned()),
            }
        }
        Some(NodeKind::Call) => {
            let arguments = tree.arguments(user);
            let number = arguments.iter().position(|argument| *argument == at);
            let called = tree.kid(user, 0).map(|called| tree.bare(called));
            let name = match called.and_then(|called| tree.kind(called)) {
                Some(NodeKind::Member(member)) => member.name.as_str(),
                _ => tree.callee(user).unwrap_or_default(),
            };
            if number == Some(0) && TAKES_ANY_CONTEXT.contains(&name) {
                return Place::Passed(name.to_owned());
            }
            let once =
                arguments.iter().filter(|argument| tree.variable(tree.bare_of_casts(**argument)) == Some(context));
            match (tree.function_named(name), number) {
                (Some(function), Some(number)) if once.count() == 1 && roles.uses(function).is_empty() => {
                    Place::Function(function, number)
                }
                _ => Place::Handed(name.to_owned()),
            }
        }
        _ => other(),
    }
}

/// Whether a member of the context is assigned to, or has its address taken.
fn is_written(tree: &Tree<'_>, member: NodeId) -> bool {
    let mut at = member;
    loop {
        let Some(parent) = tree.node(at).and_then(|node| node.parent) else { return false };
        match tree.kind(parent) {
            Some(NodeKind::Implicit | NodeKind::Paren) => at = parent,
            Some(NodeKind::Member(outer)) if !outer.arrow => at = parent,
            Some(NodeKind::Index) if tree.kid(parent, 0) == Some(at) => at = parent,
            Some(NodeKind::Assign { .. }) => return tree.kid(parent, 0) == Some(at),
            Some(NodeKind::Step | NodeKind::AddressOf) => return true,
            _ => return false,
        }
    }
}
