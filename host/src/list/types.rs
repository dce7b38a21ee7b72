//! What the kernel's types tell of: calls of tracepoints, iterators, hooks of security modules.

use super::Item;
use super::facts::Facts;
use crate::bpf::trial;
use crate::kernel::security;
use crate::prototype::{KernelPrototypes, Prototype};

/// Tracepoints as raw_tracepoint and tp_btf attach to them, by their names alone.
pub(super) fn tracepoints(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    facts.prototypes().map(|prototypes| those_that_fit(facts, prototypes.tracepoints()))
}

/// Kinds of objects that programs can be run over.
pub(super) fn iterators(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    facts.prototypes().map(|prototypes| those_that_fit(facts, prototypes.iterators()))
}

/// Hooks of security modules. Those that take no programs are there, and marked.
pub(super) fn hooks(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let prototypes = facts.prototypes()?;
    let mut hooks = those_that_fit(facts, prototypes.hooks());
    for hook in &mut hooks {
        match prototypes.hook_id(&hook.name).map(|id| trial::hook(id.0)) {
            // Where none is permitted, nothing is known of one.
            Some(Err(error)) if error.is_permission() => break,
            Some(Err(_)) => hook.marks.push("not traced: the kernel takes no programs here".to_owned()),
            _ => {}
        }
    }
    Ok(hooks)
}

pub(super) fn describe_tracepoint(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    known(facts)?.raw_tracepoint(&item.name)
}

pub(super) fn describe_iterator(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    known(facts)?.iterator(&item.name)
}

pub(super) fn describe_hook(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    known(facts)?.hook(&item.name)
}

/// Why programs at hooks are never run.
pub(super) fn no_hooks(_: &Facts<'_>) -> Option<String> {
    security::asks_no_programs()
}

fn known<'f>(facts: &'f Facts<'_>) -> Option<&'f KernelPrototypes<'f>> {
    facts.prototypes().ok()
}

fn those_that_fit<'n>(facts: &Facts<'_>, names: impl Iterator<Item = &'n [u8]>) -> Vec<Item> {
    let mut names: Vec<&str> = names.filter_map(|name| std::str::from_utf8(name).ok()).collect();
    names.retain(|name| facts.query.fits(name));
    names.sort_unstable();
    names.into_iter().map(|name| Item { name: name.to_owned(), ..Item::default() }).collect()
}
