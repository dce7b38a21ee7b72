//! Values of maps that are read, changed and written back while other CPUs do the same.

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::rewrite::rule::maps::Map;
use crate::rewrite::slice;
use crate::rewrite::tree::{DeclId, NodeId, NodeKind, Tree};
use crate::source::Span;

use super::Lint;
use super::map_access::{Access, Operation, storage};
use super::scan::Scan;

/// The row.
pub(super) struct NonAtomicUpdate;

/// How deeply two expressions are compared.
const MAX_DEPTH: usize = 32;

impl Lint for NonAtomicUpdate {
    fn name(&self) -> &'static str {
        "non-atomic-update"
    }

    fn summary(&self) -> &'static str {
        "a value that all CPUs share is read, changed and written back: counts get lost"
    }

    fn explanation(&self) -> &'static str {
        "`(*value)++` reads the value, adds, and writes it back. When two CPUs do that at once with one entry of a map, both \
         read the same value, and one of the two counts is lost, without a message. The same holds for `+=` and for \
         `lookup`, an addition and `update`.\n\n\
         `map.increment(key)`, which dbcc makes atomic, and `__sync_fetch_and_add(value, n)` (`lock_xadd` in BCC) lose \
         nothing. A map that is per CPU (`BPF_PERCPU_HASH`, `BPF_PERCPU_ARRAY`) needs neither, and is faster; dbcc shows \
         its sums.\n\n\
         Nothing is said of maps whose keys hold the id of the thread, the number of the CPU, the address of an object, both \
         ports of a connection or the number of a queue of a network device: these entries are changed by one CPU at a \
         time, as a rule; nor of functions that take a `bpf_spin_lock`."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(counts, u32);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   u64 zero = 0, *val = counts.lookup_or_try_init(&pid, &zero);\n\
         \n\
         \x20   if (val)\n\
         \x20       (*val)++;\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        "BPF_HASH(counts, u32);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \n\
         \x20   counts.increment(pid);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let tree = scan.probe.tree;
        let in_place = tree.all().filter_map(|(id, _)| in_place(scan, id));
        let put_back = scan.accesses.iter().filter_map(|access| put_back(scan, access));
        in_place.chain(put_back).collect()
    }
}

/// `(*p)++`, `p->n += x` and `*p = *p + x`, where `p` points into a shared map.
fn in_place(scan: &Scan<'_, '_>, id: NodeId) -> Option<Diagnostic> {
    let tree = scan.probe.tree;
    let left = tree.kid(id, 0)?;
    match tree.kind(id)? {
        NodeKind::Step | NodeKind::Assign { compound: true } => {}
        NodeKind::Assign { compound: false } if changes(tree, left, tree.kid(id, 1)?) => {}
        _ => return None,
    }
    let pointer = tree.pointer_to(left)?;
    let map = scan.maps_behind(pointer).into_iter().find(|map| is_contended(scan, *map))?;
    let map = scan.probe.maps.get(map)?;
    if takes_lock(scan, id) {
        return None;
    }
    let message = format!("CPUs that do this at once lose counts of `{}`: it is no atomic operation", map.name);
    let diagnostic = Diagnostic::warning(message, tree.span(id)).label(map.span, "all CPUs share its values");
    Some(match atomic(scan, id, left) {
        Some(written) => diagnostic.help(format!("write `{written}`")),
        None => diagnostic.help(per_cpu(map)),
    })
}

/// Whether a value is computed by an operation on what `left` holds.
fn changes(tree: &Tree<'_>, left: NodeId, value: NodeId) -> bool {
    let value = tree.bare_of_casts(value);
    match tree.kind(value) {
        Some(NodeKind::Arithmetic | NodeKind::Binary) => {
            tree.node(value).is_some_and(|node| node.kids.iter().any(|kid| is_same(tree, left, *kid, 0)))
        }
        _ => false,
    }
}

/// Whether two expressions are written the same, casts and brackets aside.
fn is_same(tree: &Tree<'_>, one: NodeId, other: NodeId, depth: usize) -> bool {
    let (one, other) = (tree.bare_of_casts(one), tree.bare_of_casts(other));
    let (Some(one), Some(other)) = (tree.node(one), tree.node(other)) else { return false };
    depth < MAX_DEPTH
        && one.kind == other.kind
        // The values of constants are not kept.
        && one.kind != NodeKind::Constant
        && one.kids.len() == other.kids.len()
        && one.kids.iter().zip(&other.kids).all(|(one, other)| is_same(tree, *one, *other, depth + 1))
}

/// `m.update(&key, &value)`, where the value is one that a lookup in `m` gave, and something added.
fn put_back(scan: &Scan<'_, '_>, access: &Access) -> Option<Diagnostic> {
    let tree = scan.probe.tree;
    let value = access.value.filter(|_| access.operation == Operation::Put)?;
    let value = tree.bare_of_casts(value);
    if tree.kind(value)? != &NodeKind::AddressOf || !is_contended(scan, access.map) {
        return None;
    }
    let variable = tree.variable(tree.kid(value, 0)?)?;
    let (reads, changed) = history(scan, variable, access.map);
    let map = scan.probe.maps.get(access.map).filter(|_| reads.is_some() && changed)?;
    let message = format!(
        "CPUs that do this at once lose counts of `{}`: the value may have changed since it was read",
        map.name
    );
    let diagnostic = Diagnostic::warning(message, tree.span(access.call)).label(map.span, "all CPUs share its values");
    let diagnostic = match reads.and_then(|read| tree.span(read)) {
        Some(read) => diagnostic.label(read, "it is read here"),
        None => diagnostic,
    };
    let help = "add to the value where it is: `__sync_fetch_and_add(POINTER, n)` with what the lookup returned";
    Some(if map.has_methods {
        diagnostic.help(format!("write `{}.increment(KEY, n)`, which adds atomically, or {help}", map.name))
    } else {
        diagnostic.help(help)
    })
}

/// Where a local variable gets a value of a map, if it does, and whether it is computed with.
fn history(scan: &Scan<'_, '_>, variable: DeclId, map: usize) -> (Option<NodeId>, bool) {
    let tree = scan.probe.tree;
    let (mut read, mut changed) = (None, false);
    let holds = |id: NodeId| tree.kid(id, 0).and_then(|left| tree.variable(left)) == Some(variable);
    for (id, node) in tree.all() {
        let value = match &node.kind {
            NodeKind::Declare(decl) if *decl == variable => tree.kid(id, 0),
            NodeKind::Step if holds(id) => {
                changed = true;
                None
            }
            NodeKind::Assign { compound } if holds(id) => {
                changed |= compound;
                tree.kid(id, 1)
            }
            _ => None,
        };
        let Some(value) = value.map(|value| tree.bare_of_casts(value)) else { continue };
        for part in branches(tree, value).into_iter().flat_map(|branch| sum(tree, branch)) {
            if tree.pointer_to(part).is_some_and(|pointer| scan.maps_behind(pointer).contains(&map)) {
                read = read.or(Some(part));
                changed |= is_in_sum(tree, part);
            }
            changed |= tree.variable(part) == Some(variable) && is_in_sum(tree, part);
        }
    }
    (read, changed)
}

/// The values that an expression may have: of `c ? a : b`, `a` and `b`.
fn branches(tree: &Tree<'_>, id: NodeId) -> Vec<NodeId> {
    match tree.kind(id) {
        Some(NodeKind::Conditional) => [tree.kid(id, 1), tree.kid(id, 2)].into_iter().flatten().collect(),
        _ => vec![id],
    }
}

/// The parts of a sum; anything else is its only part.
fn sum(tree: &Tree<'_>, id: NodeId) -> Vec<NodeId> {
    let id = tree.bare_of_casts(id);
    match tree.node(id) {
        Some(node) if node.kind == NodeKind::Arithmetic => node.kids.clone(),
        _ => vec![id],
    }
}

/// Whether a node is a part of a sum.
fn is_in_sum(tree: &Tree<'_>, id: NodeId) -> bool {
    let mut at = id;
    while let Some(parent) = tree.node(at).and_then(|node| node.parent) {
        match tree.kind(parent) {
            Some(NodeKind::Paren | NodeKind::Implicit | NodeKind::Cast) => at = parent,
            kind => return kind == Some(&NodeKind::Arithmetic),
        }
    }
    false
}

/// Whether several CPUs may change one entry of a map at once.
fn is_contended(scan: &Scan<'_, '_>, map: usize) -> bool {
    let is_shared = scan.probe.maps.get(map).and_then(storage).is_some_and(|storage| storage.is_shared);
    is_shared
        && !scan.accesses_to(map).any(|access| {
            let key = match access.operation {
                Operation::Add => scan.sources.of(access.key),
                _ => scan.sources.behind(access.key),
            };
            key.is_serial()
        })
}

/// Whether the function that a node is in takes a lock.
fn takes_lock(scan: &Scan<'_, '_>, id: NodeId) -> bool {
    let tree = scan.probe.tree;
    let function = tree.function_of(id);
    function.is_some_and(|function| tree.nodes_of(function).any(|(call, _)| tree.callee(call) == Some("bpf_spin_lock")))
}

/// The atomic operation that does the same; none where there is none for values of that size.
fn atomic(scan: &Scan<'_, '_>, id: NodeId, left: NodeId) -> Option<String> {
    let (tree, text) = (scan.probe.tree, scan.probe.text);
    let node = tree.node(left)?;
    if node.ty.kind() != TypeKind::Integer || !matches!(node.ty.size(), Some(4 | 8)) || is_bit_field(tree, left) {
        return None;
    }
    let bare = tree.bare(left);
    let address = match tree.kind(bare)? {
        NodeKind::Deref => slice(text, tree.span(tree.kid(bare, 0)?)?).to_owned(),
        _ => format!("&{}", slice(text, tree.span(bare)?)),
    };
    let (function, amount) = match tree.kind(id)? {
        NodeKind::Step => {
            let span = tree.span(id)?;
            let sign = if slice(text, span).contains("--") { "-1" } else { "1" };
            ("add", sign.to_owned())
        }
        NodeKind::Assign { compound: true } => {
            let right = tree.kid(id, 1).and_then(|right| tree.span(right))?;
            let operator = slice(text, Span::new(tree.span(left)?.end, right.start)).trim();
            let amount = slice(text, right);
            match operator {
                "+=" => ("add", amount.to_owned()),
                "-=" => ("add", format!("-({amount})")),
                "|=" => ("or", amount.to_owned()),
                "&=" => ("and", amount.to_owned()),
                "^=" => ("xor", amount.to_owned()),
                _ => return None,
            }
        }
        _ => ("add", "…".to_owned()),
    };
    Some(format!("__sync_fetch_and_{function}({address}, {amount})"))
}

fn is_bit_field(tree: &Tree<'_>, id: NodeId) -> bool {
    matches!(tree.kind(tree.bare(id)), Some(NodeKind::Member(member)) if member.bit_field)
}

fn per_cpu(map: &Map) -> String {
    let kind = if matches!(map.kind.as_str(), "array" | "2") { "ARRAY" } else { "HASH" };
    format!("make `{}` a BPF_PERCPU_{kind}: each CPU has a value of its own, and dbcc shows the sum", map.name)
}
