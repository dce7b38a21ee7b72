//! From a pattern to the places that it names, one file for each way to name them.

mod address;
mod build;
mod name;
mod plt;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Answer, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::pattern::{Pattern, PatternForm};
use crate::source::{SymbolTable, Table};
pub(crate) use address::behind_start;
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

/// Searches `tables` for `pattern`. Lines are known to the debug information alone, and offsets are counted from the
/// functions that all sources together find (see [`behind_start`]).
pub(crate) fn functions(elf: &Elf, tables: &[(Table, SymbolTable)], pattern: &Pattern) -> Result<Answer, Error> {
    match pattern.form() {
        PatternForm::Address(addr) => address::at(elf, tables, addr),
        PatternForm::Plt(function) => {
            let answer = functions(elf, tables, function)?;
            plt::of_functions(elf, tables, function, answer)
        }
        PatternForm::Offset { function, offset } => behind_start(elf, functions(elf, tables, function)?, offset),
        PatternForm::Name | PatternForm::Symbol | PatternForm::Regex | PatternForm::Line { .. } => {
            let candidates = name::candidates(tables, pattern)?;
            name::find(elf, &candidates, pattern)?.answer(elf, tables, pattern)
        }
    }
}
