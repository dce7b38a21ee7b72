//! From a pattern to the places that it names, one file for each way to name them.

mod address;
mod build;
mod list;
mod name;
mod plt;

use std::cell::OnceCell;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Answer, Function, Reason, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::parallel::beside;
use crate::pattern::{Pattern, PatternForm};
use crate::source::{SymbolTable, Table};
pub(crate) use address::behind_start;
pub(crate) use build::{Aliases, Code, aliases};
pub(crate) use list::list;
pub use list::{List, Listed};
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

/// Who knows more of the functions that a pattern means than the symbols tell.
pub(crate) trait More: Sync {
    /// What was found.
    type Found: Send;

    /// Looking takes so long that the symbols are searched meanwhile.
    fn is_long(&self) -> bool;

    /// Looks for them.
    fn look(&self, pattern: &Pattern) -> Self::Found;

    /// Adds what was found to the functions that the symbols tell.
    ///
    /// # Errors
    ///
    /// When the code cannot be read.
    fn add(&self, pattern: &Pattern, found: Self::Found, functions: &mut Vec<Function>) -> Result<Added, Error>;
}

/// What others know beside functions.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The notes of the answer.
    pub(crate) notes: Vec<String>,
    /// Why there is no function, where the symbols do not know.
    pub(crate) reason: Option<Reason>,
}

/// The note that there is no debug information in the answer, though the binary has some.
pub(crate) fn left_out(error: &dyn std::fmt::Display) -> String {
    format!("debug information is left out: {error}")
}

/// Searches `tables` for `pattern`. Lines are known to the debug information alone, and offsets are counted from the
/// functions that all sources together find (see [`behind_start`]). `more` is asked before it is decided what to say when
/// there are none.
pub(crate) fn functions(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    pattern: &Pattern,
    more: &impl More,
) -> Result<Answer, Error> {
    match pattern.form() {
        PatternForm::Address(addr) => address::at(elf, tables, addr),
        PatternForm::Plt(function) => {
            let answer = functions(elf, tables, function, more)?;
            plt::of_functions(elf, tables, function, answer)
        }
        PatternForm::Offset { function, offset } => behind_start(elf, functions(elf, tables, function, more)?, offset),
        PatternForm::Name | PatternForm::Symbol | PatternForm::Regex | PatternForm::Line { .. } => {
            let names = OnceCell::new();
            let in_symbols = || {
                let read = name::candidates(tables, pattern)?;
                name::find(elf, names.get_or_init(|| read), pattern)
            };
            let (matched, found) = match more.is_long() {
                true => beside(in_symbols, || more.look(pattern)),
                false => (in_symbols(), more.look(pattern)),
            };
            let mut matched = matched?;
            let added = more.add(pattern, found, &mut matched.functions)?;
            let mut answer = matched.answer(elf, tables, pattern)?;
            answer.notes = added.notes;
            if matches!(answer.reason, Some(Reason::NotThere { .. } | Reason::Stripped { .. } | Reason::NoSymbols)) {
                answer.reason = added.reason.or(answer.reason);
            }
            Ok(answer)
        }
    }
}
