//! Where symbols come from: one file for each source, one line for each in [`SOURCES`].

mod dynsym;
mod minidebug;
mod names;
mod symtab;
mod table;

use std::fmt;

use crate::debug::{DebugFiles, Reach};
use crate::error::Error;
pub(crate) use names::Names;
pub(crate) use table::{Entry, Kind, Symbol, SymbolTable};

/// Which table a symbol was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// `.symtab`: every function, `static` ones too; `strip` removes it.
    Symtab,
    /// The symbol table in `.gnu_debugdata` (MiniDebugInfo): the functions that `.dynsym` leaves out, packed into the binary.
    MiniDebug,
    /// `.dynsym`: what other files can link to; always there in programs that use shared libraries.
    Dynsym,
    /// The relocations of the global offset table, which tell the functions that entries of the procedure linkage table lead
    /// to.
    Plt,
    /// `.eh_frame`, which tells where functions begin and end, but not their names.
    EhFrame,
    /// The debug information: functions that were inlined too.
    Dwarf,
}

impl Table {
    /// The short name for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Table::Symtab => "symtab",
            Table::MiniDebug => "minidebug",
            Table::Dynsym => "dynsym",
            Table::Plt => "plt",
            Table::EhFrame => "eh_frame",
            Table::Dwarf => "dwarf",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place in or beside a binary that names its functions.
pub(crate) trait Source: Sync {
    /// What its symbols are labelled with.
    fn table(&self) -> Table;

    /// Reads it: none when neither the binary nor what is in reach has it.
    fn read(&self, files: &DebugFiles, reach: Reach) -> Result<Option<SymbolTable>, Error>;
}

/// All sources, the most complete first: a function that several of them name is described as the first one has it.
pub(crate) static SOURCES: &[&dyn Source] = &[&symtab::Symtab, &minidebug::MiniDebug, &dynsym::Dynsym];
