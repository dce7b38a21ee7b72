//! The symbols that a binary carries packed.

use goblin::elf::section_header::SHT_SYMTAB;

use super::{Source, SymbolTable, Table};
use crate::debug::{DebugFiles, Reach};
use crate::error::Error;

pub(super) struct MiniDebug;

impl Source for MiniDebug {
    fn table(&self) -> Table {
        Table::MiniDebug
    }

    fn read(&self, files: &DebugFiles, _reach: Reach) -> Result<Option<SymbolTable>, Error> {
        let Some(elf) = files.mini_debug() else { return Ok(None) };
        match SymbolTable::read(elf, SHT_SYMTAB) {
            Ok(table) => Ok(table),
            Err(error) => {
                files.refuse(elf, &error);
                Ok(None)
            }
        }
    }
}
