//! What several lints ask about a probe: accesses to maps, and which programs reach which functions.

use std::collections::{BTreeSet, HashMap};

use super::map_access::{self, Access};
use super::sources::Sources;
use crate::kind::{Context, Kind};
use crate::rewrite::Probe;
use crate::rewrite::program::{Role, of_section};
use crate::rewrite::tree::{FunctionId, NodeId};

/// A probe, and what was found out about it for lints.
pub struct Scan<'p, 'u> {
    /// The probe.
    pub(super) probe: &'p Probe<'p, 'u>,
    /// All accesses to maps.
    pub(super) accesses: Vec<Access>,
    /// Where values come from.
    pub(super) sources: Sources<'p, 'u>,
    /// The programs that run a function: itself, or callers of it.
    programs: HashMap<FunctionId, BTreeSet<FunctionId>>,
}

impl<'p, 'u> Scan<'p, 'u> {
    /// Finds out what lints ask for.
    pub(crate) fn new(probe: &'p Probe<'p, 'u>) -> Self {
        let accesses = map_access::find(probe);
        Self { probe, accesses, sources: Sources::new(probe), programs: programs(probe) }
    }

    /// The accesses to the map of an index.
    pub(super) fn accesses_to(&self, map: usize) -> impl Iterator<Item = &Access> {
        self.accesses.iter().filter(move |access| access.map == map)
    }

    /// The indexes of the maps that a pointer may point into.
    pub(super) fn maps_behind(&self, pointer: NodeId) -> Vec<usize> {
        map_access::maps_behind(self.probe, pointer)
    }

    /// Whether a function runs at the returns of functions, or of system calls; none where both, or nothing is known.
    pub(super) fn runs_at_return(&self, function: FunctionId) -> Option<bool> {
        let programs = self.programs.get(&function)?;
        let mut answers = programs.iter().flat_map(|program| uses(self.probe, *program)).map(|(kind, targets)| {
            matches!(kind.context(), Context::Registers { returns: true, .. } | Context::Arguments { returns: true })
                || targets.iter().any(|target| target.contains(":sys_exit"))
        });
        let first = answers.next()?;
        answers.all(|answer| answer == first).then_some(first)
    }

    /// The programs that run a function.
    pub(super) fn programs_of(&self, function: FunctionId) -> impl Iterator<Item = FunctionId> {
        self.programs.get(&function).into_iter().flatten().copied()
    }
}

/// The kinds that a program is, with its targets as far as they are known.
pub(super) fn uses(probe: &Probe<'_, '_>, program: FunctionId) -> Vec<(&'static dyn Kind, Vec<String>)> {
    match probe.roles.of(program) {
        Role::Programs(uses) => uses.iter().map(|one| (one.kind, one.targets.clone())).collect(),
        Role::Section(section) => match of_section(section) {
            (Some(kind), target) => vec![(kind, target.into_iter().collect())],
            (None, _) => Vec::new(),
        },
        Role::Helper | Role::Unattached => Vec::new(),
    }
}

/// For each function, the programs that run it.
fn programs(probe: &Probe<'_, '_>) -> HashMap<FunctionId, BTreeSet<FunctionId>> {
    let tree = probe.tree;
    let mut calls: HashMap<FunctionId, BTreeSet<FunctionId>> = HashMap::new();
    for (function, _) in tree.functions() {
        let called = tree.nodes_of(function).filter_map(|(id, _)| tree.function_named(tree.callee(id)?));
        calls.insert(function, called.collect());
    }
    let mut reached: HashMap<FunctionId, BTreeSet<FunctionId>> = HashMap::new();
    for (program, _) in tree.functions().filter(|(id, _)| !uses(probe, *id).is_empty()) {
        let mut open = vec![program];
        while let Some(function) = open.pop() {
            if reached.entry(function).or_default().insert(program) {
                open.extend(calls.get(&function).into_iter().flatten());
            }
        }
    }
    reached
}
