//! What functions have on the stack, one by one and along calls, as the verifier counts it.

use std::collections::{BTreeMap, BTreeSet};

use super::Contents;
use crate::facts::StackUse;

/// What the verifier rounds each frame of several up to, in bytes (kernel/bpf/verifier.c: `check_max_stack_depth`; newer
/// kernels take 16 where the program is translated to machine code).
const ROUNDED: u64 = 32;

/// The most frames that a program can have (`MAX_CALL_FRAMES`, include/linux/bpf_verifier.h).
const MAX_FRAMES: usize = 8;

/// A chain of calls: the functions, and what their frames take together.
type Chain = (u64, Vec<usize>);

impl Contents {
    /// What each function has on the stack, in the order of the object. `frames` are sizes by name, as the compiler tells
    /// them; a function that is not among them has none.
    pub fn stacks(&self, frames: &[(String, u64)]) -> Vec<StackUse> {
        let frames: BTreeMap<&str, u64> = frames.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let frame = |function: usize| {
            let name = self.functions.get(function).map(|function| function.name.as_str()).unwrap_or_default();
            frames.get(name).copied().unwrap_or(0)
        };
        let mut known = BTreeMap::new();
        let uses = self.functions.iter().enumerate().map(|(index, function)| {
            let (rounded, chain) = self.deepest(index, &frame, &mut known, 1);
            let own = frame(index);
            let total = if chain.len() > 1 { rounded } else { own };
            let names = chain.iter().filter_map(|index| self.functions.get(*index));
            let chain = names.map(|function| function.name.clone()).collect();
            StackUse { function: function.name.clone(), frame: own, chain, total }
        });
        uses.collect()
    }

    fn deepest(
        &self,
        function: usize,
        frame: &dyn Fn(usize) -> u64,
        known: &mut BTreeMap<(usize, usize), Chain>,
        depth: usize,
    ) -> Chain {
        let key = (function, depth);
        if let Some(found) = known.get(&key) {
            return found.clone();
        }
        let called = if depth < MAX_FRAMES { self.called(function) } else { BTreeSet::new() };
        let chains = called.into_iter().map(|called| self.deepest(called, frame, known, depth + 1));
        let (below, mut chain) = chains.max_by_key(|(size, _)| *size).unwrap_or_default();
        chain.insert(0, function);
        let found = (frame(function).max(1).next_multiple_of(ROUNDED).saturating_add(below), chain);
        known.insert(key, found.clone());
        found
    }

    /// The functions that a function calls, or hands to a helper that calls them.
    fn called(&self, function: usize) -> BTreeSet<usize> {
        let Some(found) = self.functions.get(function) else { return BTreeSet::new() };
        let range = (found.section, found.offset)..(found.section, found.offset.saturating_add(found.size));
        self.references.range(range).map(|(_, reference)| reference.to).collect()
    }
}
