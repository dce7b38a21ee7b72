//! The full symbol table: of the binary itself, or of its separate debug file.

use goblin::elf::section_header::SHT_SYMTAB;

use super::{Source, SymbolTable, Table};
use crate::debug::{DebugFiles, Reach};
use crate::error::Error;

pub(super) struct Symtab;

impl Source for Symtab {
    fn table(&self) -> Table {
        Table::Symtab
    }

    fn read(&self, files: &DebugFiles, reach: Reach) -> Result<Option<SymbolTable>, Error> {
        let Some(elf) = files.symbols(reach) else { return Ok(None) };
        match SymbolTable::read(elf, SHT_SYMTAB) {
            // The binary is what was asked for; the other file is only of help.
            Err(error) if !std::ptr::eq(elf, files.binary()) => {
                files.refuse(elf, &error);
                Ok(None)
            }
            other => other,
        }
    }
}
