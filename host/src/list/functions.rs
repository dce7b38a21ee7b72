//! Functions of the kernel: those that kprobes are set at, and those that fentry and fexit trace.

use std::cell::OnceCell;

use super::Item;
use super::facts::Facts;
use crate::kernel::names::Function;
use crate::kernel::{features, functions};
use crate::prototype::Prototype;

/// The most arguments of a traced function (`MAX_BPF_FUNC_ARGS` of include/linux/bpf.h).
const TRACED: usize = 12;
/// Those in registers, which is all that a kernel before Linux 6.6 hands over (arch/x86/net/bpf_jit_comp.c).
const IN_REGISTERS: usize = 6;
/// A function of seven arguments that nobody calls but the kernel's own tests (net/bpf/test_run.c).
const OF_SEVEN: &str = "bpf_modify_return_test2";

/// Functions for kprobes. Those that the kernel never lets be probed are there, and marked.
pub(super) fn probed(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let functions = those_that_fit(facts, &|_| true)?;
    let shown = |function: &Function<'_>| function.traced || function.blacklisted || facts.args.all;
    Ok(functions.filter(shown).map(|function| item(function, function.blacklisted)).collect())
}

/// Functions for fentry: those of them that the kernel's types describe. Those that it refuses all the same are there, and marked.
pub(super) fn traced(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let prototypes = facts.prototypes()?;
    let found = those_that_fit(facts, &|name| prototypes.has_function(name))?;
    let shown = |function: &Function<'_>| function.traced || facts.args.all;
    let most = OnceCell::new();
    let refusal = |name: &str| {
        prototypes.untraceable(name, IN_REGISTERS)?;
        prototypes.untraceable(name, *most.get_or_init(|| traced_arguments(facts)))
    };
    let marked = |function: Function<'_>| {
        let refused = refusal(function.name);
        let mut item = item(function, false);
        item.marks.extend(refused);
        item
    };
    Ok(found.filter(shown).map(marked).collect())
}

fn those_that_fit<'f>(
    facts: &'f Facts<'_>,
    is_known: &dyn Fn(&str) -> bool,
) -> Result<impl Iterator<Item = Function<'f>> + use<'f>, String> {
    // Where modules are asked for, a name alone does not tell.
    let query = facts.query;
    let may_fit = |name: &str| (query.text.contains(':') || query.fits(name)) && is_known(name);
    let found = facts.symbols()?.functions(&may_fit);
    Ok(found.into_iter().filter(|function| query.fits_function(function.module, function.name)))
}

/// How many arguments the kernel hands to a program of fentry. Those past the registers came with Linux 6.6, together with a
/// function of seven for the kernel's own tests. Where no fentry is accepted at all, nothing is known against them.
fn traced_arguments(facts: &Facts<'_>) -> usize {
    let is_refused = || functions::try_fentry(facts.kernel, OF_SEVEN, false).is_err();
    if features::fentry(facts.kernel).is_ok() && is_refused() { IN_REGISTERS } else { TRACED }
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
