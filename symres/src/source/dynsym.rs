//! The symbols for dynamic linking, which survive `strip`.

use goblin::elf::section_header::SHT_DYNSYM;

use super::{Source, SymbolTable, Table};
use crate::elf::Elf;
use crate::error::Error;

pub(super) struct Dynsym;

impl Source for Dynsym {
    fn table(&self) -> Table {
        Table::Dynsym
    }

    fn read(&self, elf: &Elf) -> Result<Option<SymbolTable>, Error> {
        SymbolTable::read(elf, SHT_DYNSYM)
    }
}
