//! What the kernel's types tell of: calls of tracepoints, iterators, hooks of security modules.

use std::fs;

use super::Item;
use super::facts::Facts;
use crate::prototype::{KernelPrototypes, Prototype};

/// Where the names of the security modules in use are (Documentation/admin-guide/LSM/index.rst).
const SECURITY_MODULES: &str = "/sys/kernel/security/lsm";

/// Tracepoints as raw_tracepoint and tp_btf attach to them, by their names alone.
pub(super) fn tracepoints(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    facts.prototypes().map(|prototypes| those_that_fit(facts, prototypes.tracepoints()))
}

/// Kinds of objects that programs can be run over.
pub(super) fn iterators(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    facts.prototypes().map(|prototypes| those_that_fit(facts, prototypes.iterators()))
}

/// Hooks of security modules.
pub(super) fn hooks(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    facts.prototypes().map(|prototypes| those_that_fit(facts, prototypes.hooks()))
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

/// Why programs cannot be attached to hooks: `bpf` is not among the modules in use.
pub(super) fn no_hooks(_: &Facts<'_>) -> Option<String> {
    let modules = fs::read_to_string(SECURITY_MODULES).ok()?;
    let is_there = modules.trim().split(',').any(|module| module == "bpf");
    (!is_there).then(|| format!("`bpf` is not among its security modules ({}); boot with lsm=…,bpf", modules.trim()))
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
