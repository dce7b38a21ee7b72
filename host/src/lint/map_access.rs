//! Accesses to maps, by BCC's methods and by helpers.

use crate::rewrite::Probe;
use crate::rewrite::rule::maps::Map;
use crate::rewrite::rule::methods;
use crate::rewrite::tree::{FunctionId, NodeId};

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// It gives a pointer to a value that is there.
    Lookup,
    /// It gives a pointer to a value, which it makes if it is not there.
    Init,
    /// It puts a value.
    Put,
    /// It takes a value away.
    Delete,
    /// It adds to a value.
    Add,
}

/// An access to a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Access {
    /// Index of the map.
    pub(super) map: usize,
    /// What it does.
    pub(super) operation: Operation,
    /// The call.
    pub(super) call: NodeId,
    /// The function that it is in.
    pub(super) function: FunctionId,
    /// The argument that points to the key; of [`Operation::Add`], the key itself.
    pub(super) key: NodeId,
    /// The argument that points to the value that is put.
    pub(super) value: Option<NodeId>,
}

/// How a map keeps values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage {
    /// Whether all CPUs see one value.
    pub(super) is_shared: bool,
    /// Whether entries come and stay until they are deleted.
    pub(super) grows: bool,
}

/// How a map keeps its values, by BCC's name of its type or by its number (`enum bpf_map_type` of
/// include/uapi/linux/bpf.h); none of maps that keep no values of the probe's.
pub(super) fn storage(map: &Map) -> Option<Storage> {
    let (is_shared, grows) = match map.kind.as_str() {
        "hash" | "1" => (true, true),
        "histogram" | "lru_hash" | "9" | "array" | "2" | "lpm_trie" | "11" => (true, false),
        "percpu_hash" | "5" => (false, true),
        "percpu_array" | "6" | "lru_percpu_hash" | "10" => (false, false),
        _ => return None,
    };
    Some(Storage { is_shared, grows })
}

/// The operation that a method or a helper is, and the numbers of its arguments for key and value.
fn operation(name: &str) -> Option<(Operation, usize, Option<usize>)> {
    Some(match name {
        "lookup" => (Operation::Lookup, 0, None),
        "lookup_or_init" | "lookup_or_try_init" => (Operation::Init, 0, Some(1)),
        "update" | "insert" => (Operation::Put, 0, Some(1)),
        "delete" => (Operation::Delete, 0, None),
        "increment" | "atomic_increment" => (Operation::Add, 0, None),
        "bpf_map_lookup_elem" => (Operation::Lookup, 1, None),
        "bpf_map_update_elem" => (Operation::Put, 1, Some(2)),
        "bpf_map_delete_elem" => (Operation::Delete, 1, None),
        _ => return None,
    })
}

/// All accesses, in the order of the text.
pub(super) fn find(probe: &Probe<'_, '_>) -> Vec<Access> {
    let tree = probe.tree;
    let access = |map: usize, name: &str, call: NodeId| {
        let (operation, key, value) = operation(name)?;
        let arguments = tree.arguments(call);
        let key = *arguments.get(key)?;
        let value = value.and_then(|value| arguments.get(value).copied());
        Some(Access { map, operation, call, function: tree.function_of(call)?, key, value })
    };
    let mut found: Vec<Access> =
        methods::calls(probe).filter_map(|call| access(call.index, call.name, call.call)).collect();
    for (call, _) in tree.all() {
        let Some(name) = tree.callee(call).filter(|name| name.starts_with("bpf_map_")) else { continue };
        let Some(map) = tree.arguments(call).first() else { continue };
        found.extend(maps_behind(probe, *map).into_iter().filter_map(|map| access(map, name, call)));
    }
    found.sort_by_key(|access| access.call);
    found
}

/// The indexes of the maps that a pointer may point to, or into.
pub(super) fn maps_behind(probe: &Probe<'_, '_>, pointer: NodeId) -> Vec<usize> {
    let decls = probe.origins.variables(probe.tree, pointer).into_iter();
    let names = decls.filter_map(|decl| Some(probe.tree.decl(decl)?.name.as_str()));
    names.filter_map(|name| probe.maps.iter().position(|map| map.name == name)).collect()
}
