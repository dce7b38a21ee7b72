//! The symbols for dynamic linking, which survive `strip`.

use goblin::elf::section_header::SHT_DYNSYM;

use super::{Source, SymbolTable, Table};
use crate::debug::{DebugFiles, Reach};
use crate::error::Error;

pub(super) struct Dynsym;

impl Source for Dynsym {
    fn table(&self) -> Table {
        Table::Dynsym
    }

    fn read(&self, files: &DebugFiles, _reach: Reach) -> Result<Option<SymbolTable>, Error> {
        SymbolTable::read(files.binary(), SHT_DYNSYM)
    }
}
