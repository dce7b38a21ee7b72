//! An ELF symbol table in memory: the layout that `.symtab` and `.dynsym` share.

use goblin::elf::section_header::SHN_UNDEF;
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT, STT_TLS, Sym, Symtab};

use crate::addr::{ByteSpan, VirtAddr};
use crate::elf::Elf;
use crate::error::Error;

/// Size of an ELF64 symbol (`Elf64_Sym`).
const SYM: u64 = 24;
/// Longer names are not looked at: the longest in MySQL 9.7 has 4,000 characters.
const MAX_NAME: usize = 32 << 10;
/// Names may share the bytes of the string table (`foo` is the end of `barfoo`), but a table whose names add up to
/// this many times its strings was made to keep its reader busy.
const MAX_OVERLAP: usize = 16;

/// A symbol table with its strings.
#[derive(Debug)]
pub(crate) struct SymbolTable {
    entries: Vec<Entry>,
    strings: String,
}

/// A symbol with its name as a part of the strings.
#[derive(Debug)]
struct Entry {
    name_at: usize,
    name_len: usize,
    addr: VirtAddr,
    size: ByteSpan,
    kind: Kind,
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A function that this file defines.
    Function,
    /// `STT_GNU_IFUNC`: a function that the dynamic linker calls once to choose the real one.
    Ifunc,
    /// Used here, defined in another file.
    Imported,
    /// A variable or constant.
    Data,
}

impl Kind {
    /// It has code in this file.
    pub(crate) fn is_function(self) -> bool {
        matches!(self, Kind::Function | Kind::Ifunc)
    }
}

/// One entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) kind: Kind,
}

impl SymbolTable {
    /// Reads the first section of type `kind` and the strings that it links to.
    pub(super) fn read(elf: &Elf, kind: u32) -> Result<Option<Self>, Error> {
        let Some(section) = elf.sections.iter().find(|s| s.kind == kind && s.size >= SYM) else {
            return Ok(None);
        };
        let strings = elf.sections.get(section.link).ok_or_else(|| {
            elf.contents.damaged(format!("section `{}` links to strings that do not exist", section.name))
        })?;
        let strings = elf.section_bytes(strings)?;
        let symbols = elf.section_bytes(section)?;
        let count = symbols.len() / usize::try_from(SYM).unwrap_or(usize::MAX);
        let symbols = Symtab::parse(&symbols, 0, count, elf.ctx)
            .map_err(|e| elf.contents.damaged(format!("section `{}`: {e}", section.name)))?;
        let entries: Vec<Entry> = symbols.iter().filter_map(|symbol| entry(&symbol, &strings)).collect();
        let strings = text(strings);
        let total = entries.iter().fold(0_usize, |sum, entry| sum.saturating_add(entry.name_len));
        if total / MAX_OVERLAP > strings.len() {
            return Err(elf.contents.damaged(format!("the names of section `{}` overlap", section.name)));
        }
        Ok(Some(Self { entries, strings }))
    }

    /// The named symbols that stand for functions or data.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.entries.iter().filter_map(|entry| {
            let name = self.strings.get(entry.name_at..entry.name_at + entry.name_len)?;
            Some(Symbol { name, addr: entry.addr, size: entry.size, kind: entry.kind })
        })
    }
}

/// Strings as text of the same length: names are UTF-8, and where they are not, what is not ASCII becomes `?`.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        error.into_bytes().into_iter().map(|byte| if byte.is_ascii() { char::from(byte) } else { '?' }).collect()
    })
}

fn entry(symbol: &Sym, strings: &[u8]) -> Option<Entry> {
    let defined = symbol.st_shndx != SHN_UNDEF as usize;
    let kind = match symbol.st_type() {
        STT_FUNC | STT_NOTYPE | STT_GNU_IFUNC if !defined => Kind::Imported,
        STT_FUNC => Kind::Function,
        STT_GNU_IFUNC => Kind::Ifunc,
        STT_OBJECT | STT_TLS => Kind::Data,
        _ => return None,
    };
    let rest = strings.get(symbol.st_name..)?;
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    let name_len = memchr::memchr(0, rest).filter(|len| *len > 0)?;
    Some(Entry {
        name_at: symbol.st_name,
        name_len,
        addr: VirtAddr(symbol.st_value),
        size: ByteSpan(symbol.st_size),
        kind,
    })
}
