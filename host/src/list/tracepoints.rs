//! Tracepoints, and the system calls that have some.

use super::Item;
use super::facts::Facts;
use crate::kernel::names;
use crate::kernel::tracepoint::Tracepoint;
use crate::prototype::{self, Prototype};

const SYSTEM_CALLS: &str = "syscalls";
const ENTER: &str = "sys_enter_";

/// All tracepoints, as `CATEGORY:NAME`.
pub(super) fn all(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let found = names::tracepoints(facts.kernel, &|category, name| facts.query.fits_in(category, name))?;
    let mut names: Vec<String> = found.into_iter().map(|(category, name)| format!("{category}:{name}")).collect();
    names.sort_unstable();
    Ok(names.into_iter().map(|name| Item { name, ..Item::default() }).collect())
}

/// System calls whose entry is a tracepoint.
pub(super) fn system_calls(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let is_wanted = |category: &str, name: &str| {
        category == SYSTEM_CALLS && name.strip_prefix(ENTER).is_some_and(|name| facts.query.fits(name))
    };
    let found = names::tracepoints(facts.kernel, &is_wanted)?;
    let item = |(_, name): (String, String)| {
        let target = Some(format!("{SYSTEM_CALLS}:{name}"));
        Item { name: name.trim_start_matches(ENTER).to_owned(), target, ..Item::default() }
    };
    Ok(found.into_iter().map(item).collect())
}

/// The fields of a tracepoint's record.
pub(super) fn describe(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    let (category, name) = item.name.split_once(':')?;
    read(facts, category, name).map(|tracepoint| prototype::tracepoint(&tracepoint))
}

/// What a system call takes and returns.
pub(super) fn describe_system_call(facts: &Facts<'_>, item: &Item) -> Option<Prototype> {
    let enter = read(facts, SYSTEM_CALLS, &format!("{ENTER}{}", item.name))?;
    let exit = read(facts, SYSTEM_CALLS, &format!("sys_exit_{}", item.name));
    Some(prototype::system_call(&enter, exit.as_ref()))
}

fn read(facts: &Facts<'_>, category: &str, name: &str) -> Option<Tracepoint> {
    match Tracepoint::read(facts.kernel.tracefs().ok()?, category, name) {
        Ok(tracepoint) => Some(tracepoint),
        Err(error) => {
            // The tracepoints of ftrace itself have other formats, and some are not to be read.
            facts.note(error.to_string());
            None
        }
    }
}
