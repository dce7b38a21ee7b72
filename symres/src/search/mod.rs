//! From a pattern to the places that it names, one file for each way to name them.

mod address;
mod build;
mod name;
mod plt;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Answer, Function, Reason, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::pattern::{Pattern, PatternForm};
use crate::source::{SymbolTable, Table};
pub(crate) use address::behind_start;
pub(crate) use build::{Aliases, Code, aliases};
pub(crate) use name::role;

/// Names to demangle in one search, in bytes. MySQL 9.7 has 6 MB of names; who has fifty times that was made to keep
/// its reader busy.
const MAX_WORK: usize = 300 << 20;

/// A symbol with what the search found out about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) raw: RawName<'a>,
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) table: Table,
    pub(crate) role: Role,
    /// Components of its name: how deep it is nested.
    pub(crate) depth: usize,
}

/// Adds what others know of the functions that a pattern names to those that the symbols tell.
pub(crate) type Add<'a> = &'a dyn Fn(&Pattern, &mut Vec<Function>) -> Result<Added, Error>;

/// What others know beside functions.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The notes of the answer.
    pub(crate) notes: Vec<String>,
    /// Why there is no function, where the symbols do not know.
    pub(crate) reason: Option<Reason>,
}

impl Added {
    /// Nothing, since it cannot be read.
    pub(crate) fn left_out(error: &dyn std::fmt::Display) -> Self {
        Self { notes: vec![left_out(error)], reason: None }
    }
}

/// The note that there is no debug information in the answer, though the binary has some.
pub(crate) fn left_out(error: &dyn std::fmt::Display) -> String {
    format!("debug information is left out: {error}")
}

/// Searches `tables` for `pattern`. Lines are known to the debug information alone, and offsets are counted from the
/// functions that all sources together find (see [`behind_start`]). `add` is called before it is decided what to say when
/// there are none.
pub(crate) fn functions(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    pattern: &Pattern,
    add: Add<'_>,
) -> Result<Answer, Error> {
    match pattern.form() {
        PatternForm::Address(addr) => address::at(elf, tables, addr),
        PatternForm::Plt(function) => {
            let answer = functions(elf, tables, function, add)?;
            plt::of_functions(elf, tables, function, answer)
        }
        PatternForm::Offset { function, offset } => behind_start(elf, functions(elf, tables, function, add)?, offset),
        PatternForm::Name | PatternForm::Symbol | PatternForm::Regex | PatternForm::Line { .. } => {
            let candidates = name::candidates(tables, pattern)?;
            let mut matched = name::find(elf, &candidates, pattern)?;
            let added = add(pattern, &mut matched.functions)?;
            let mut answer = matched.answer(elf, tables, pattern)?;
            answer.notes = added.notes;
            if matches!(answer.reason, Some(Reason::NotThere { .. } | Reason::Stripped { .. } | Reason::NoSymbols)) {
                answer.reason = added.reason.or(answer.reason);
            }
            Ok(answer)
        }
    }
}
