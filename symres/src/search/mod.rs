//! From a pattern to the places that it names, one file for each way to name them.

mod build;
mod name;

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Answer, Role};
use crate::demangle::RawName;
use crate::elf::Elf;
use crate::error::Error;
use crate::pattern::Pattern;
use crate::source::{SymbolTable, Table};
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

/// Searches `tables` for `pattern`.
pub(crate) fn functions(elf: &Elf, tables: &[(Table, SymbolTable)], pattern: &Pattern) -> Result<Answer, Error> {
    let candidates = name::candidates(tables, pattern)?;
    name::find(elf, &candidates, pattern)?.answer(elf, pattern)
}
