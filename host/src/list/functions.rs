//! Functions of the kernel: those that kprobes are set at, and those that fentry and fexit trace.

use super::Item;
use super::facts::Facts;
use crate::kernel::features;
use crate::kernel::names::Function;
use crate::prototype::Prototype;

/// Functions for kprobes. Those that the kernel never lets be probed are there, and marked.
pub(super) fn probed(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let functions = facts.symbols()?.functions(&|name| facts.query.fits(name));
    let shown = |function: &Function<'_>| function.traced || function.blacklisted || facts.args.all;
    Ok(functions.into_iter().filter(shown).map(|function| item(function, function.blacklisted)).collect())
}

/// Functions for fentry: those of them that the kernel's types describe, and that are the only one of their name.
pub(super) fn traced(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let prototypes = facts.prototypes()?;
    let functions = facts.symbols()?.functions(&|name| facts.query.fits(name) && prototypes.has_function(name));
    let shown = |function: &Function<'_>| function.traced && function.count == 1 || facts.args.all;
    Ok(functions.into_iter().filter(shown).map(|function| item(function, false)).collect())
}

/// What the kernel's types say of a function.
pub(super) fn describe(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    facts.prototypes().ok()?.function(&item.name)
}

/// Why there are no kprobes.
pub(super) fn no_kprobes(_: &Facts<'_>) -> Option<String> {
    features::kprobe().err().map(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "it was built without kprobes".to_owned(),
        _ => error.to_string(),
    })
}

/// Why there is no fentry.
pub(super) fn no_fentry(facts: &Facts<'_>) -> Option<String> {
    features::fentry(facts.kernel).err().map(|refusal| refusal.reason)
}

fn item(function: Function<'_>, blacklisted: bool) -> Item {
    let mut marks = Vec::new();
    if blacklisted {
        marks.push("blacklisted".to_owned());
    } else if !function.traced {
        marks.push("not traced by the kernel".to_owned());
    }
    if function.count > 1 {
        marks.push(format!("{} functions have this name", function.count));
    }
    Item { name: function.name.to_owned(), module: function.module.map(str::to_owned), marks, ..Item::default() }
}
