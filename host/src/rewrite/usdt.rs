//! Which functions read the arguments of USDT probes, and where they put them.

use std::collections::BTreeSet;

use super::tree::{FunctionId, NodeId, NodeKind, Tree};

/// The row of KINDS whose programs may do so.
pub const KIND: &str = "usdt";

/// What copies the memory that an argument points to.
const COPIES: &str = "bpf_usdt_readarg_p";

/// What reads an argument: its name, the number of the parameter that says which, the number of that which points to the
/// variable that it is put in, and what the first argument's number is.
const READERS: &[(&str, usize, Option<usize>, usize)] = &[
    ("bpf_usdt_readarg", 0, Some(2), 1),
    // What is put in the buffer is what the argument points to.
    (COPIES, 0, None, 1),
    ("bpf_usdt_arg", 1, Some(2), 0),
    ("bpf_usdt_arg_size", 1, None, 0),
];

/// What else only programs at USDT probes can call.
const OTHERS: &[&str] = &["bpf_usdt_arg_cnt", "bpf_usdt_cookie"];

/// Whether a node calls something that only programs at USDT probes can.
pub fn is_use(tree: &Tree<'_>, call: NodeId) -> bool {
    let Some(name) = tree.callee(call) else { return false };
    OTHERS.contains(&name) || READERS.iter().any(|(reader, ..)| *reader == name)
}

/// The pointer to the variable that a call puts the value of an argument in.
pub fn destination(tree: &Tree<'_>, call: NodeId) -> Option<NodeId> {
    let name = tree.callee(call)?;
    let (_, _, parameter, _) = READERS.iter().find(|(reader, ..)| *reader == name)?;
    tree.arguments(call).get((*parameter)?).copied()
}

/// The pointer to the buffer that a call puts in what an argument points to, and the node that tells which argument.
pub fn buffer(tree: &Tree<'_>, call: NodeId) -> Option<(NodeId, NodeId)> {
    let arguments = tree.arguments(call);
    let is_copy = tree.callee(call) == Some(COPIES);
    is_copy.then(|| Some((*arguments.get(2)?, *arguments.first()?))).flatten()
}

/// The node that tells which argument a call reads, and the number of the first one.
pub fn number(tree: &Tree<'_>, call: NodeId) -> Option<(NodeId, usize)> {
    let name = tree.callee(call)?;
    let (_, parameter, _, first) = READERS.iter().find(|(reader, ..)| *reader == name)?;
    Some((*tree.arguments(call).get(*parameter)?, *first))
}

/// The functions that do so themselves or by functions that they call.
pub fn readers(tree: &Tree<'_>) -> BTreeSet<FunctionId> {
    let calls = || tree.all().filter(|(_, node)| node.kind == NodeKind::Call);
    let mut found: BTreeSet<FunctionId> = BTreeSet::new();
    found.extend(calls().filter(|(id, _)| is_use(tree, *id)).filter_map(|(id, _)| tree.function_of(id)));
    if found.is_empty() {
        return found;
    }
    let callers = calls().filter_map(|(id, _)| {
        let called = tree.function_named(tree.callee(id)?)?;
        Some((tree.function_of(id)?, called))
    });
    let callers: BTreeSet<(FunctionId, FunctionId)> = callers.collect();
    // Each round adds a function or is the last.
    loop {
        let more = callers.iter().filter(|(caller, called)| found.contains(called) && !found.contains(caller));
        let more: Vec<FunctionId> = more.map(|(caller, _)| *caller).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}
