//! Functions of programs and libraries.

use std::str::FromStr as _;

use symres::{Answer, Binary, Outcome, Pattern, PatternForm, Table};

use super::places::{self, Chosen, Purpose};
use super::{Miss, Resolver, Wanted, check_count, open, variants};
use crate::kind::{NamePattern, Target};

/// A function as written.
pub(super) struct Written<'w> {
    pub(super) binary: Option<String>,
    pub(super) function: &'w str,
    pub(super) offset: u64,
}

impl Resolver<'_> {
    pub(super) fn function(
        &mut self,
        pid: Option<u32>,
        written: &Written<'_>,
        wanted: &Wanted,
    ) -> Result<Target, Miss> {
        let Written { binary, function, offset } = written;
        let name = &match offset {
            0 => (*function).to_owned(),
            offset => format!("{function}+{offset:#x}"),
        };
        let binary =
            self.binaries.entry((pid, binary.clone())).or_insert_with(|| open(pid, binary.as_deref(), self.lookup));
        let binary = binary.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = binary.shown().display().to_string();
        let (pattern, answer) = search(binary, name, &shown)?;
        self.notes.extend(told(&answer, &shown));
        let chosen = match pattern.form() {
            // A line may have code in several functions: each is its place.
            PatternForm::Line { .. } => places::of_line(name, &answer.matches),
            _ => {
                let matches = variants::once(binary, &answer.matches)
                    .map_err(|error| Miss::new(format!("cannot read `{shown}`: {error}")))?;
                places::choose(name, &shown, &matches, purpose(binary, wanted))?
            }
        };
        let Chosen { function, mut places, mut warnings, notes } = chosen;
        warnings.extend(not_used(binary, &answer));
        let (chosen, unseen) = wanted.sites.of_function((&function, binary), &answer.matches, &mut places)?;
        let open = binary.path().to_owned();
        warnings.extend(unseen);
        self.notes.extend(notes.into_iter().chain(chosen));
        self.warn(warnings, wanted);
        Ok(Target::UserFunction { open, shown, function, places, pid })
    }

    pub(super) fn user_functions(
        &mut self,
        pid: Option<u32>,
        binary: Option<String>,
        pattern: &NamePattern,
        wanted: &Wanted,
    ) -> Result<Target, Miss> {
        let opened =
            self.binaries.entry((pid, binary.clone())).or_insert_with(|| open(pid, binary.as_deref(), self.lookup));
        let opened = opened.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = opened.shown().display().to_string();
        let (open, text) = (opened.path().to_owned(), pattern.as_str());
        let (_, answer) = search(opened, text, &shown)?;
        self.notes.extend(told(&answer, &shown));
        let (mut functions, left_out) = places::of_pattern(answer.matches.iter(), purpose(opened, wanted));
        check_count(text, functions.len(), self.most, &format!("functions of `{shown}`"))?;
        let (chosen, mut unseen) = wanted.sites.of_pattern((text, opened), &answer.matches, &mut functions)?;
        if left_out > 0 {
            let copies = places::counted(left_out, "inlined copy", "inlined copies");
            unseen.push(format!(
                "`{text}`: {copies} left out, where the program does not find the arguments that it reads"
            ));
        }
        unseen.extend(not_used(opened, &answer));
        self.notes.extend(chosen);
        self.warn(unseen, wanted);
        Ok(Target::UserFunctions { open, shown, pattern: text.to_owned(), functions, pid })
    }
}

/// What matches; at least one function.
pub(super) fn search(binary: &Binary, name: &str, shown: &str) -> Result<(Pattern, Answer), Miss> {
    let pattern = Pattern::from_str(name).map_err(|error| Miss::new(error.to_string()))?;
    let answer = binary.functions(&pattern).map_err(|error| Miss::new(format!("cannot read `{shown}`: {error}")))?;
    if answer.matches.is_empty() { Err(not_found(name, shown, &answer)) } else { Ok((pattern, answer)) }
}

/// What is to be known of an answer, for those who ask.
fn told(answer: &Answer, shown: &str) -> impl Iterator<Item = String> {
    answer.notes.iter().map(move |note| format!("{shown}: {note}"))
}

/// That inlined copies may be missing, since a file that would tell them is not used.
pub(super) fn not_used(binary: &Binary, answer: &Answer) -> Option<String> {
    if answer.matches.iter().any(|function| function.tables.contains(&Table::Dwarf)) {
        return None;
    }
    let consulted = binary.consulted();
    let refused = consulted.iter().find(|file| matches!(file.outcome, Outcome::Refused(_)))?;
    Some(format!("inlined copies are not known, and not probed, since the debug information is not used: {refused}"))
}

fn purpose(binary: &Binary, wanted: &Wanted) -> Purpose {
    Purpose { returns: wanted.returns, reads: wanted.reads, machine: binary.machine() }
}

fn not_found(name: &str, shown: &str, answer: &Answer) -> Miss {
    let mut miss = Miss::new(format!("`{shown}` has no function `{name}`"));
    miss.notes.clone_from(&answer.notes);
    if let Some(reason) = &answer.reason {
        miss.notes.push(reason.to_string());
        miss.help = Some(reason.advice().to_owned());
    }
    if !answer.instead.is_empty() {
        let instead: Vec<String> = answer.instead.iter().take(3).map(ToString::to_string).collect();
        miss.notes.push(format!("to probe instead: {}", instead.join("; ")));
    }
    if !answer.near.is_empty() {
        let near: Vec<&str> = answer.near.iter().take(3).map(|function| function.name.as_str()).collect();
        miss.notes.push(format!("names like it: {}", near.join("; ")));
    }
    miss
}
