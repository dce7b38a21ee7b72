//! Functions and USDT probes of a binary, or of what a process has loaded.

use std::collections::BTreeSet;

use symres::{Binary, Function, Pattern};

use super::Item;
use super::facts::Facts;
use crate::prototype;
use crate::symbols::{ALL_FUNCTIONS, usdt::files};

/// Functions, each as a directive names it.
pub(super) fn functions(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let text = if facts.query.text.is_empty() { ALL_FUNCTIONS } else { facts.query.text.as_str() };
    let pattern: Pattern = text.parse().map_err(|error: <Pattern as std::str::FromStr>::Err| error.to_string())?;
    let (binaries, of_process) = (opened(facts)?, facts.args.pid.is_some());
    let mut found = Vec::new();
    for binary in &binaries {
        let answer = match binary.functions(&pattern) {
            Ok(answer) => answer,
            Err(error) => {
                facts.note(format!("not searched: {error}"));
                continue;
            }
        };
        facts.lookup.clear();
        let shown = binary.shown().to_string_lossy().into_owned();
        binary.notes().iter().chain(&answer.notes).for_each(|note| facts.note(format!("{shown}: {note}")));
        if let (Some(reason), 1) = (&answer.reason, binaries.len()) {
            facts.note(format!("{reason}; {}", reason.advice()));
            for near in &answer.near {
                facts.note(format!("perhaps {}", near.name));
            }
        }
        let word = facts.query.binary.clone().filter(|_| !of_process).unwrap_or(shown);
        let first = found.len();
        found.extend(answer.matches.iter().map(|function| item(&word, binary, function, facts.args.verbose)));
        if let Some(these) = found.get_mut(first..) {
            these.sort_by(|one: &Item, other| one.name.cmp(&other.name));
        }
    }
    Ok(found)
}

fn opened(facts: &Facts<'_>) -> Result<Vec<Binary>, String> {
    let opened = facts.lookup.binaries(facts.args.pid, facts.query.binary.as_deref());
    let (binaries, notes) = opened.map_err(|error| error.to_string())?;
    notes.into_iter().for_each(|note| facts.note(note));
    Ok(binaries)
}

fn item(word: &str, binary: &Binary, function: &Function, verbose: bool) -> Item {
    let inlined = function.inlined().count();
    // Constructors are there several times under one name.
    let others = function.aliases.iter().map(|alias| alias.name.as_str()).filter(|name| *name != function.name);
    let others: BTreeSet<&str> = others.collect();
    let mut marks: Vec<String> = others.into_iter().map(|name| format!("also {name}")).collect();
    if function.body().is_none() && inlined > 0 {
        marks.push(format!("inlined everywhere, at {inlined} {}", places(inlined)));
    } else if inlined > 0 {
        marks.push(format!("inlined at {inlined} more {}", places(inlined)));
    }
    Item {
        name: format!("{word}:{}", function.name),
        marks,
        prototype: if verbose { prototype::user_function(function, binary.machine()) } else { None },
        ..Item::default()
    }
}

fn places(count: usize) -> &'static str {
    if count == 1 { "place" } else { "places" }
}

/// USDT probes, as `BINARY:PROVIDER:NAME`.
pub(super) fn usdt(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let of_process = facts.args.pid.map(|pid| pid.to_string());
    let binary = of_process.as_deref().or(facts.query.binary.as_deref()).unwrap_or_default();
    let (files, notes) = files(binary).map_err(|error| error.to_string())?;
    notes.into_iter().for_each(|note| facts.note(note));
    let mut found = Vec::new();
    for file in &files {
        let shown = file.shown.to_string_lossy();
        let word = facts.query.binary.as_deref().filter(|_| of_process.is_none()).unwrap_or(&shown);
        for probe in file.usdt.probes.iter().filter(|probe| facts.query.fits_in(&probe.provider, &probe.name)) {
            let sites = probe.sites.len();
            found.push(Item {
                name: format!("{word}:{}:{}", probe.provider, probe.name),
                marks: if sites > 1 { vec![format!("{sites} places")] } else { Vec::new() },
                prototype: facts.args.verbose.then(|| prototype::usdt(probe)),
                ..Item::default()
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
