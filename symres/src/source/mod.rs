//! Where symbols come from: one file for each source, one line for each in [`SOURCES`].

mod dynsym;
mod symtab;
mod table;

use std::fmt;

use crate::elf::Elf;
use crate::error::Error;
pub(crate) use table::{Kind, Symbol, SymbolTable};

/// Which table a symbol was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Table {
    /// `.symtab`: every function, `static` ones too; `strip` removes it.
    Symtab,
    /// `.dynsym`: what other files can link to; always there in programs that use shared libraries.
    Dynsym,
}

impl Table {
    /// The short name for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Table::Symtab => "symtab",
            Table::Dynsym => "dynsym",
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

    /// Reads it: none when the binary does not have it.
    fn read(&self, elf: &Elf) -> Result<Option<SymbolTable>, Error>;
}

/// All sources, the most complete first: a function that several of them name is described as the first one has it.
pub(crate) static SOURCES: &[&dyn Source] = &[&symtab::Symtab, &dynsym::Dynsym];
