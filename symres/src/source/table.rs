//! An ELF symbol table: the layout that `.symtab` and `.dynsym` share. It stays in the file: each search reads its entries
//! from beginning to end, a piece at a time.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use goblin::elf::section_header::{SHF_EXECINSTR, SHN_UNDEF};
use goblin::elf::sym::{STT_FUNC, STT_GNU_IFUNC, STT_NOTYPE, STT_OBJECT, STT_TLS};

use super::names::{MAX_NAME, Names, Strings};
use crate::addr::{ByteSpan, VirtAddr};
use crate::elf::{Elf, Section};
use crate::error::Error;
use crate::file::Contents;

/// Size of an ELF64 symbol (`Elf64_Sym`).
const SYM: usize = 24;
/// How many symbols are read at once.
const PIECE: u64 = 8192;
/// Names may share the bytes of the string table (`foo` is the end of `barfoo`), but a table whose names add up to
/// this many times its strings was made to keep its reader busy.
const MAX_OVERLAP: u64 = 16;

/// A symbol table with its strings.
#[derive(Debug)]
pub(crate) struct SymbolTable {
    contents: Arc<Contents>,
    /// The section's name, for messages.
    section: String,
    offset: u64,
    count: u64,
    strings: Strings,
    little_endian: bool,
    /// By section: the addresses that are code.
    code: Vec<Option<Range<u64>>>,
}

/// What a symbol stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A function that this file defines.
    Function,
    /// `STT_GNU_IFUNC`: a function that the dynamic linker calls once to choose the real one.
    Ifunc,
    /// A symbol without type among code, as assembler sources make them that do not say which of their labels are functions.
    Label,
    /// Used here, defined in another file.
    Imported,
    /// A variable or constant.
    Data,
}

impl Kind {
    /// It has code in this file.
    pub(crate) fn is_function(self) -> bool {
        matches!(self, Kind::Function | Kind::Ifunc | Kind::Label)
    }
}

/// One entry, without its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Where its name begins in the string table; 0 when it has none.
    pub(crate) name_at: u32,
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) kind: Kind,
}

/// One entry with its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) kind: Kind,
}

impl SymbolTable {
    /// Finds the first section of type `kind`, and the strings that it links to.
    pub(super) fn read(elf: &Elf, kind: u32) -> Result<Option<Self>, Error> {
        let Some(section) = elf.sections.iter().find(|s| s.kind == kind && s.size >= SYM as u64) else {
            return Ok(None);
        };
        Self::of_section(elf, section).map(Some)
    }

    /// The table in `section`, whatever its type.
    pub(crate) fn of_section(elf: &Elf, section: &Section) -> Result<Self, Error> {
        let damaged = |what: &str| elf.contents.damaged(format!("section `{}` {what}", section.name));
        let strings = elf
            .sections
            .get(section.link)
            .filter(|strings| strings.in_file)
            .ok_or_else(|| damaged("links to strings that do not exist"))?;
        for (part, offset, len) in [
            ("reaches behind the end of the file", section.offset, section.size),
            ("links to strings that reach behind the end of the file", strings.offset, strings.size),
        ] {
            if offset.checked_add(len).is_none_or(|end| end > elf.contents.len()) {
                return Err(damaged(part));
            }
        }
        let code =
            |s: &Section| (s.flags & u64::from(SHF_EXECINSTR) != 0).then(|| s.addr..s.addr.saturating_add(s.size));
        Ok(Self {
            contents: Arc::clone(&elf.contents),
            section: section.name.clone(),
            offset: section.offset,
            count: section.size / SYM as u64,
            strings: Strings { offset: strings.offset, len: strings.size },
            little_endian: elf.ctx.is_little_endian(),
            code: elf.sections.iter().map(code).collect(),
        })
    }

    /// The names that hold `needle`; all of them when it is empty.
    pub(crate) fn names(&self, needle: &str) -> Result<Names, Error> {
        Names::read(&self.contents, self.strings, needle)
    }

    /// Shows all symbols that stand for functions or data, until `look` breaks off.
    pub(crate) fn each_entry<B>(&self, mut look: impl FnMut(Entry) -> ControlFlow<B>) -> Result<Option<B>, Error> {
        let mut buffer = vec![0; usize::try_from(self.count.min(PIECE)).unwrap_or_default() * SYM];
        let mut done = 0;
        while done < self.count {
            let count = (self.count - done).min(PIECE);
            let offset = self.offset + done * SYM as u64;
            let len = usize::try_from(count).unwrap_or_default() * SYM;
            let what = "a symbol table";
            let bytes = match self.contents.in_memory(offset, len) {
                Some(bytes) => bytes,
                None => {
                    let part = buffer.get_mut(..len).unwrap_or_default();
                    self.contents.fill(offset, part, what)?;
                    part
                }
            };
            for raw in bytes.as_chunks::<SYM>().0 {
                if let Some(entry) = self.entry(raw)
                    && let ControlFlow::Break(value) = look(entry)
                {
                    return Ok(Some(value));
                }
            }
            done += count;
        }
        Ok(None)
    }

    /// Shows all symbols whose name is among `names`, until `look` breaks off.
    pub(crate) fn each_named<'n, B>(
        &self,
        names: &'n Names,
        look: impl FnMut(Symbol<'n>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        self.each(names, |_| {}, look)
    }

    /// As [`SymbolTable::each_named`]; `pass` also sees the symbols that have other names.
    pub(crate) fn each<'n, B>(
        &self,
        names: &'n Names,
        mut pass: impl FnMut(&Entry),
        mut look: impl FnMut(Symbol<'n>) -> ControlFlow<B>,
    ) -> Result<Option<B>, Error> {
        let mut left = self.strings.len.saturating_mul(MAX_OVERLAP);
        let ended = self.each_entry(|entry| {
            pass(&entry);
            let Some(name) = names.get(entry.name_at) else { return ControlFlow::Continue(()) };
            match left.checked_sub(name.len() as u64) {
                Some(rest) => left = rest,
                None => return ControlFlow::Break(None),
            }
            let Entry { addr, size, kind, .. } = entry;
            look(Symbol { name, addr, size, kind }).map_break(Some)
        })?;
        match ended {
            None => Ok(None),
            Some(Some(value)) => Ok(Some(value)),
            Some(None) => Err(self.contents.damaged(format!("the names of section `{}` overlap", self.section))),
        }
    }

    /// The name that begins at `at` in the string table: none when it is empty or too long.
    pub(crate) fn name(&self, at: u32) -> Result<Option<String>, Error> {
        // Nearly all names are shorter than the first size; the second is for the rest.
        for len in [256, MAX_NAME as u64] {
            let Some(left) = self.strings.len.checked_sub(u64::from(at)) else { return Ok(None) };
            let bytes =
                self.contents.read(self.strings.offset + u64::from(at), left.min(len), "the name of a symbol")?;
            if let Some(end) = memchr::memchr(0, &bytes) {
                let name = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
                return Ok(Some(name).filter(|name| !name.is_empty()));
            }
        }
        Ok(None)
    }

    /// The name of the symbol with that index: none when there is none or it has none.
    pub(crate) fn name_of(&self, index: u32) -> Result<Option<String>, Error> {
        if u64::from(index) >= self.count {
            return Ok(None);
        }
        let mut word = [0; 4];
        self.contents.fill(self.offset + u64::from(index) * SYM as u64, &mut word, "a symbol")?;
        let at = if self.little_endian { u32::from_le_bytes(word) } else { u32::from_be_bytes(word) };
        self.name(at)
    }

    /// Layout of `Elf64_Sym` (gABI, "Symbol Table"): st_name, st_info, st_other, st_shndx, st_value, st_size.
    fn entry(&self, raw: &[u8; SYM]) -> Option<Entry> {
        let [n0, n1, n2, n3, info, _other, i0, i1, v0, v1, v2, v3, v4, v5, v6, v7, s0, s1, s2, s3, s4, s5, s6, s7] =
            *raw;
        let (name, index, value, size) =
            ([n0, n1, n2, n3], [i0, i1], [v0, v1, v2, v3, v4, v5, v6, v7], [s0, s1, s2, s3, s4, s5, s6, s7]);
        let (name_at, index, addr, size) = if self.little_endian {
            (u32::from_le_bytes(name), u16::from_le_bytes(index), u64::from_le_bytes(value), u64::from_le_bytes(size))
        } else {
            (u32::from_be_bytes(name), u16::from_be_bytes(index), u64::from_be_bytes(value), u64::from_be_bytes(size))
        };
        let defined = u32::from(index) != SHN_UNDEF;
        let kind = match info & 0xf {
            STT_FUNC | STT_NOTYPE | STT_GNU_IFUNC if !defined => Kind::Imported,
            STT_FUNC => Kind::Function,
            STT_GNU_IFUNC => Kind::Ifunc,
            STT_NOTYPE if self.is_code(index, addr) => Kind::Label,
            STT_OBJECT | STT_TLS => Kind::Data,
            _ => return None,
        };
        Some(Entry { name_at, addr: VirtAddr(addr), size: ByteSpan(size), kind })
    }

    /// `_etext` and the like are at the end of a section and not in it.
    fn is_code(&self, section: u16, addr: u64) -> bool {
        self.code.get(usize::from(section)).and_then(Option::as_ref).is_some_and(|code| code.contains(&addr))
    }
}
