//! The full symbol table.

use goblin::elf::section_header::SHT_SYMTAB;

use super::{Source, SymbolTable, Table};
use crate::elf::Elf;
use crate::error::Error;

pub(super) struct Symtab;

impl Source for Symtab {
    fn table(&self) -> Table {
        Table::Symtab
    }

    fn read(&self, elf: &Elf) -> Result<Option<SymbolTable>, Error> {
        SymbolTable::read(elf, SHT_SYMTAB)
    }
}
