//! Structs with holes that nothing fills, on the way out of a program.

use std::collections::BTreeSet;

use crate::clang::{Storage, TypeKind};
use crate::diag::Diagnostic;
use crate::rewrite::rule::methods;
use crate::rewrite::tree::{DeclId, DeclKind, NodeId, NodeKind};

use super::Lint;
use super::holes::{Hole, holes};
use super::scan::Scan;

/// The row.
pub(super) struct UninitialisedPadding;

/// How deeply initialisers are looked into.
const MAX_DEPTH: usize = 16;

impl Lint for UninitialisedPadding {
    fn name(&self) -> &'static str {
        "uninitialised-padding"
    }

    fn summary(&self) -> &'static str {
        "an event, key or value has bytes between its fields that nothing fills"
    }

    fn explanation(&self) -> &'static str {
        "The compiler puts padding between the fields of a struct, so that each is aligned. A variable that is not \
         initialised, or that is initialised with values that are computed (`= {.pid = pid, .time = now}`), has its fields \
         filled, and in the padding what was on the stack before, or in the buffer where the event is written. Older kernels \
         refuse to read it from the stack (`invalid indirect read from stack`), and newer ones hand it out: events carry \
         bytes of the stack or of earlier events, and two keys with equal fields are two entries of a map.\n\n\
         With `= {}` or memset, clang fills the whole struct, padding included; fill the fields behind it. Or order the \
         fields by size, so that there is no padding."
    }

    fn example(&self) -> &'static str {
        "struct data_t { u32 pid; u64 time; };\n\
         BPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct data_t data;\n\
         \n\
         \x20   data.pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   data.time = bpf_ktime_get_ns();\n\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        "struct data_t { u32 pid; u64 time; };\n\
         BPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct data_t data = {};\n\
         \n\
         \x20   data.pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   data.time = bpf_ktime_get_ns();\n\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let all = handed_over(scan);
        let addresses: BTreeSet<NodeId> = all.iter().map(|one| one.address).collect();
        all.iter().filter_map(|one| of_variable(scan, one, &addresses)).collect()
    }
}

/// What is handed over, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HandedOver {
    /// `&variable`
    address: NodeId,
    variable: DeclId,
    what: &'static str,
}

/// All local structs that are handed over as a whole.
fn handed_over(scan: &Scan<'_, '_>) -> Vec<HandedOver> {
    let tree = scan.probe.tree;
    let argument = |call: NodeId, number: usize| tree.arguments(call).get(number).copied();
    let events = methods::calls(scan.probe).filter_map(|call| match call.name {
        "perf_submit" => argument(call.call, 1),
        "ringbuf_output" => argument(call.call, 0),
        _ => None,
    });
    let helpers = tree.all().filter_map(|(call, _)| match tree.callee(call)? {
        "bpf_perf_event_output" => argument(call, 3),
        "bpf_ringbuf_output" => argument(call, 1),
        _ => None,
    });
    let keys = scan.accesses.iter().map(|access| access.key);
    let values = scan.accesses.iter().filter_map(|access| access.value);
    let all = events.chain(helpers).map(|event| (event, "event"));
    let all = all.chain(keys.map(|key| (key, "key"))).chain(values.map(|value| (value, "value")));
    let all = all.filter_map(|(pointer, what)| {
        let address = tree.bare_of_casts(pointer);
        if tree.kind(address)? != &NodeKind::AddressOf {
            return None;
        }
        Some(HandedOver { address, variable: tree.variable(tree.kid(address, 0)?)?, what })
    });
    all.collect()
}

fn of_variable(scan: &Scan<'_, '_>, one: &HandedOver, addresses: &BTreeSet<NodeId>) -> Option<Diagnostic> {
    let tree = scan.probe.tree;
    let decl = tree.decl(one.variable)?;
    let is_local = decl.kind == DeclKind::Local && decl.cursor.storage() != Storage::Static;
    if !is_local || decl.ty.kind() != TypeKind::Record || is_filled(scan, one.variable, addresses) {
        return None;
    }
    let holes = holes(decl.ty);
    let size: u64 = holes.iter().map(|hole| hole.size).sum();
    let (name, what) = (&decl.name, one.what);
    let named: Vec<String> = holes.iter().map(Hole::text).collect();
    let message = match named.as_slice() {
        [] => return None,
        [only] => format!("{what} `{name}` has {only} that nothing fills"),
        _ => format!("{what} `{name}` has {size} bytes of padding that nothing fills"),
    };
    let mut diagnostic = Diagnostic::warning(message, decl.name_span.or(decl.span));
    if let Some(span) = tree.span(one.address) {
        diagnostic = diagnostic.label(span, format!("it is handed over as {what} here"));
    }
    if named.len() > 1 {
        diagnostic = named.into_iter().fold(diagnostic, Diagnostic::note);
    }
    let harm = match what {
        "key" => {
            "what lay on the stack is part of the key: equal keys are told apart, or the kernel refuses the program"
        }
        "event" => "what lay on the stack or in the buffer is handed over, or the kernel refuses the program",
        _ => "what lay on the stack is handed over, or the kernel refuses the program",
    };
    let ty = decl.ty.spelling();
    Some(
        diagnostic
            .note(harm)
            .help(format!("write `{ty} {name} = {{}};`, which fills the padding too, and the fields then")),
    )
}

/// Whether a variable is filled as a whole, padding included, as far as can be told.
fn is_filled(scan: &Scan<'_, '_>, variable: DeclId, addresses: &BTreeSet<NodeId>) -> bool {
    let tree = scan.probe.tree;
    tree.all().any(|(id, node)| match &node.kind {
        NodeKind::Declare(decl) if *decl == variable => {
            tree.kid(id, 0).is_some_and(|init| fills(scan, tree.bare_of_casts(init)))
        }
        NodeKind::Assign { .. } => tree.kid(id, 0).and_then(|left| tree.variable(left)) == Some(variable),
        // Whoever gets the address may fill it.
        NodeKind::AddressOf => {
            tree.kid(id, 0).and_then(|kid| tree.variable(kid)) == Some(variable) && !addresses.contains(&id)
        }
        NodeKind::TooDeep => true,
        _ => false,
    })
}

/// Whether an initialiser fills the padding: a list of which all is constant is written as a whole; one with computed
/// values is written field by field, unless three quarters of more than 16 bytes are zero (clang's `CGExprAgg.cpp`:
/// `CheckAggExprForMemSetUse`).
fn fills(scan: &Scan<'_, '_>, init: NodeId) -> bool {
    let tree = scan.probe.tree;
    let Some(node) = tree.node(init).filter(|node| node.kind == NodeKind::List) else { return true };
    let size = node.ty.size().unwrap_or(0);
    let computed = computed(scan, init, 0);
    computed == 0 || (size > 16 && computed.saturating_mul(4) <= size)
}

/// How many bytes of an initialiser are not constant.
fn computed(scan: &Scan<'_, '_>, init: NodeId, depth: usize) -> u64 {
    let tree = scan.probe.tree;
    let init = tree.bare_of_casts(init);
    let Some(node) = tree.node(init).filter(|_| depth < MAX_DEPTH) else { return 0 };
    match &node.kind {
        NodeKind::Constant | NodeKind::Text(_) | NodeKind::Unevaluated => 0,
        NodeKind::List | NodeKind::Unary => node.kids.iter().map(|kid| computed(scan, *kid, depth + 1)).sum(),
        NodeKind::Designated(_) => node.kids.last().map_or(0, |kid| computed(scan, *kid, depth + 1)),
        NodeKind::Arithmetic | NodeKind::Binary | NodeKind::ShiftRight => {
            let kids = node.kids.iter().map(|kid| computed(scan, *kid, depth + 1));
            if kids.sum::<u64>() == 0 { 0 } else { node.ty.size().unwrap_or(0) }
        }
        _ => node.ty.size().unwrap_or(0),
    }
}
