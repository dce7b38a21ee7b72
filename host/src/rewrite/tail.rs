//! Functions that others run by tail calls: programs of the kind of their callers.

use std::collections::{BTreeMap, BTreeSet};

use super::program::{self, Role, Roles, Use};
use super::tree::{FunctionId, NodeId, NodeKind, Tree};
use crate::facts::TailCall;
use crate::kind;

/// How often calls are followed: longer chains of tail calls end in the kernel after 33 (`MAX_TAIL_CALL_CNT`).
const MAX_ROUNDS: usize = 64;

/// What the functions of tail calls are.
#[derive(Debug, Default)]
pub struct TailCalls {
    /// The kinds of the programs that each function runs in, by name.
    kinds: BTreeMap<FunctionId, BTreeSet<&'static str>>,
}

impl TailCalls {
    /// Follows calls and tail calls from the programs on, and makes programs of what only tail calls reach.
    pub fn find(tree: &Tree<'_>, roles: &mut Roles, calls: &[TailCall]) -> Self {
        let mut found = Self::default();
        if calls.is_empty() {
            return found;
        }
        for (id, _) in tree.functions() {
            let is_called = || tree.function(id).is_some_and(|one| calls.iter().any(|call| call.function == one.name));
            let kinds: BTreeSet<&'static str> = match roles.of(id) {
                // The type of a context tells less than who calls.
                Role::Programs(uses) if uses.iter().all(|program| program.by_context) && is_called() => continue,
                Role::Programs(uses) => uses.iter().map(|program| program.kind.name()).collect(),
                Role::Section(section) => program::of_section(section).0.map(kind::Kind::name).into_iter().collect(),
                Role::Helper | Role::Unattached => continue,
            };
            found.kinds.insert(id, kinds);
        }
        let programs: BTreeSet<FunctionId> = found.kinds.keys().copied().collect();
        for _ in 0..MAX_ROUNDS {
            if !found.follow(tree, &programs, calls) {
                break;
            }
        }
        for call in calls {
            let Some(function) = tree.function_named(&call.function).filter(|id| !programs.contains(id)) else {
                continue;
            };
            if let Some(kind) = found.kind(function) {
                let by_caller = Use { kind, named_target: None, targets: Vec::new(), by_context: false };
                roles.set(function, Role::Programs(vec![by_caller]));
            }
        }
        found
    }

    /// The kind of a function that tail calls reach; none where none does, or programs of several types.
    fn kind(&self, function: FunctionId) -> Option<&'static dyn kind::Kind> {
        let mut kinds = self.kinds_of(function).filter_map(kind::by_name);
        let first = kinds.next()?;
        kinds.all(|kind| kind.program_type() == first.program_type()).then_some(first)
    }

    /// The kinds of the programs that a function runs in.
    pub fn kinds_of(&self, function: FunctionId) -> impl Iterator<Item = &'static str> {
        self.kinds.get(&function).into_iter().flatten().copied()
    }

    /// One step along all calls; whether there was anything new.
    fn follow(&mut self, tree: &Tree<'_>, programs: &BTreeSet<FunctionId>, calls: &[TailCall]) -> bool {
        let mut is_new = false;
        for (id, node) in tree.all() {
            let Some(caller) = tree.function_of(id) else { continue };
            let Some(kinds) = self.kinds.get(&caller).cloned() else { continue };
            let named = match &node.kind {
                NodeKind::Name(name) => tree.function_named(name),
                _ => None,
            };
            let array = if node.kind == NodeKind::Call { array(tree, id) } else { None };
            let jumps = calls.iter().filter(|call| array == Some(call.array.as_str()));
            let reached = jumps.filter_map(|call| tree.function_named(&call.function)).chain(named);
            for function in reached.filter(|function| !programs.contains(function)) {
                let known = self.kinds.entry(function).or_default();
                let before = known.len();
                known.extend(kinds.iter().copied());
                is_new |= known.len() > before;
            }
        }
        is_new
    }
}

/// The array of a tail call: `array.call(ctx, index)`, `bpf_tail_call(ctx, &array, index)`.
fn array<'t>(tree: &'t Tree<'_>, call: NodeId) -> Option<&'t str> {
    let called = tree.bare(tree.kid(call, 0)?);
    let map = match tree.kind(called)? {
        NodeKind::Member(member) if member.name == "call" => tree.kid(called, 0)?,
        NodeKind::Name(name) if name.starts_with("bpf_tail_call") => *tree.arguments(call).get(1)?,
        // libbpf declares helpers as pointers to functions.
        NodeKind::Variable(decl) if tree.decl(*decl)?.name.starts_with("bpf_tail_call") => {
            *tree.arguments(call).get(1)?
        }
        _ => return None,
    };
    let map = tree.bare_of_casts(map);
    let map = if tree.kind(map) == Some(&NodeKind::AddressOf) { tree.kid(map, 0)? } else { map };
    Some(tree.decl(tree.variable(map)?)?.name.as_str())
}
