//! Functions and USDT probes of a binary, or of what a process has loaded.

use std::collections::BTreeSet;

use symres::{Binary, Function, List, Listed, Machine, Pattern, UsdtProbe};

use super::Item;
use super::facts::Facts;
use crate::prototype::{self, Prototype};
use crate::symbols::{ALL_FUNCTIONS, usdt::files};

/// Functions, each as a directive names it.
pub(super) fn functions(facts: &Facts<'_>) -> Result<Vec<Item>, String> {
    let text = if facts.query.text.is_empty() { ALL_FUNCTIONS } else { facts.query.text.as_str() };
    let pattern: Pattern = text.parse().map_err(|error: <Pattern as std::str::FromStr>::Err| error.to_string())?;
    let (binaries, of_process) = (opened(facts)?, facts.args.pid.is_some());
    let mut found = Vec::new();
    for binary in &binaries {
        let shown = binary.shown().to_string_lossy().into_owned();
        let note = |note: &String| facts.note(format!("{shown}: {note}"));
        binary.notes().iter().for_each(note);
        // What is found quickly has no types, and no reason where nothing is found.
        let listed = if facts.args.verbose { List::default() } else { binary.list(&pattern).unwrap_or_default() };
        listed.notes.iter().for_each(note);
        let word = facts.query.binary.as_deref().filter(|_| !of_process).unwrap_or(&shown);
        if listed.functions.is_empty() {
            add(described(facts, binary, &pattern, binaries.len() == 1), word, &mut found);
        } else {
            found.reserve(listed.functions.len());
            add(listed.functions.into_iter().map(Named::listed), word, &mut found);
        }
        facts.lookup.clear();
    }
    Ok(found)
}

/// All that is known of the functions, sorted by name. Of the only binary, why there are none.
fn described(facts: &Facts<'_>, binary: &Binary, pattern: &Pattern, only: bool) -> Vec<Named> {
    let answer = match binary.functions(pattern) {
        Ok(answer) => answer,
        Err(error) => {
            facts.note(format!("not searched: {error}"));
            return Vec::new();
        }
    };
    let shown = binary.shown().to_string_lossy();
    answer.notes.iter().for_each(|note| facts.note(format!("{shown}: {note}")));
    if let Some(reason) = answer.reason.as_ref().filter(|_| only) {
        facts.note(format!("{reason}; {}", reason.advice()));
        for near in &answer.near {
            facts.note(format!("perhaps {}", near.name));
        }
    }
    let machine = binary.machine();
    let named = answer.matches.iter().map(|function| Named::described(function, machine, facts.args.verbose));
    let mut named: Vec<Named> = named.collect();
    named.sort_by(|one, other| one.name.cmp(&other.name));
    named
}

fn opened(facts: &Facts<'_>) -> Result<Vec<Binary>, String> {
    let opened = facts.lookup.binaries(facts.args.pid, facts.query.binary.as_deref());
    let (binaries, notes) = opened.map_err(|error| error.to_string())?;
    notes.into_iter().for_each(|note| facts.note(note));
    Ok(binaries)
}

/// The functions of one name, and of one type as far as that is known.
#[derive(Debug)]
struct Named {
    name: String,
    /// What their code is called too.
    others: Vec<String>,
    /// How many out-of-line bodies there are.
    bodies: usize,
    /// How many inlined copies.
    inlined: usize,
    prototype: Option<Box<Prototype>>,
}

impl Named {
    fn listed(function: Listed) -> Self {
        let Listed { name, others, has_body, inlined } = function;
        Self { name, others, bodies: has_body.into(), inlined, prototype: None }
    }

    fn described(function: &Function, machine: Machine, verbose: bool) -> Self {
        let others = function.aliases.iter().map(|alias| &alias.name).filter(|name| **name != function.name);
        let prototype = if verbose { prototype::user_function(function, machine) } else { None };
        Self {
            name: function.name.clone(),
            others: others.cloned().collect(),
            bodies: function.body().is_some().into(),
            inlined: function.inlined().count(),
            prototype: prototype.map(Box::new),
        }
    }

    fn item(mut self, word: &str) -> Item {
        self.others.sort_unstable();
        self.others.dedup();
        let mut marks = Vec::new();
        if self.bodies > 1 {
            marks.push(format!("{} functions", self.bodies));
        }
        marks.extend(self.others.iter().map(|name| format!("also {name}")));
        let inlined = self.inlined;
        if self.bodies == 0 && inlined > 0 {
            marks.push(format!("inlined everywhere, at {inlined} {}", places(inlined)));
        } else if inlined > 0 {
            marks.push(format!("inlined at {inlined} more {}", places(inlined)));
        }
        Item { name: format!("{word}:{}", self.name), marks, prototype: self.prototype, ..Item::default() }
    }
}

/// Adds functions, which are sorted by name. What has the same name and type is one line: constructors are there several times, and
/// functions of the same name may be in several sources.
fn add(functions: impl IntoIterator<Item = Named>, word: &str, found: &mut Vec<Item>) {
    let mut of_name: Vec<Named> = Vec::new();
    for function in functions {
        if of_name.first().is_some_and(|first| first.name != function.name) {
            found.extend(of_name.drain(..).map(|named| named.item(word)));
        }
        match of_name.iter_mut().find(|known| known.prototype == function.prototype) {
            Some(known) => {
                known.others.extend(function.others);
                known.bodies += function.bodies;
                known.inlined += function.inlined;
            }
            None => of_name.push(function),
        }
    }
    found.extend(of_name.into_iter().map(|named| named.item(word)));
}

/// Where the arguments of a USDT probe are: sites differ in it.
fn places_of(probe: &UsdtProbe) -> Vec<String> {
    let noted = probe.sites.iter().map(|site| site.arguments.trim()).filter(|arguments| !arguments.is_empty());
    noted.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
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
                prototype: facts.args.verbose.then(|| Box::new(prototype::usdt(probe))),
                places: places_of(probe),
                ..Item::default()
            });
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}
