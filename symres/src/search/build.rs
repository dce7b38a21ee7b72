//! From what a search found to what it gives back.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{Found, MAX_WORK};
use crate::addr::{ByteSpan, FileOffset, VirtAddr};
use crate::answer::{Alias, ENTRY_BYTES, Function, Place, PlaceKind, Role};
use crate::demangle::{RawName, display, unversioned};
use crate::elf::Elf;
use crate::error::Error;
use crate::source::{Kind, Names, SymbolTable, Table};

/// So many names are read one by one; for more of them the whole table is.
const FEW: usize = 512;
/// How much code is read at once.
const BLOCK: u64 = 64 << 10;

/// The names of the functions at some addresses.
pub(crate) type Aliases = BTreeMap<VirtAddr, BTreeSet<String>>;

/// All names of the functions at `addrs`, without versions.
pub(crate) fn aliases(
    elf: &Elf,
    tables: &[(Table, &SymbolTable)],
    addrs: impl Iterator<Item = VirtAddr>,
) -> Result<Aliases, Error> {
    aliases_of(elf, tables, addrs, Kind::is_function)
}

/// All names at `addrs` of the symbols of some kinds, without versions.
pub(super) fn aliases_of(
    elf: &Elf,
    tables: &[(Table, &SymbolTable)],
    addrs: impl Iterator<Item = VirtAddr>,
    is_wanted: impl Fn(Kind) -> bool,
) -> Result<Aliases, Error> {
    let mut wanted: Vec<VirtAddr> = addrs.collect();
    wanted.sort_unstable();
    wanted.dedup();
    let tables: Vec<&SymbolTable> = tables.iter().map(|(_, symbols)| *symbols).collect();
    let positions = Positions::of_kinds(&tables, &wanted, is_wanted)?;
    let texts = positions.texts(&tables)?;
    let mut aliases = Aliases::new();
    let mut work = 0;
    for (addr, name) in positions.names(&texts).all {
        work += name.len();
        if work > MAX_WORK {
            return Err(elf.contents.damaged("its symbols have more text than any program needs"));
        }
        aliases.entry(addr).or_default().insert(name.to_owned());
    }
    Ok(aliases)
}

/// Where the names of the functions at some addresses are.
#[derive(Debug)]
pub(super) struct Positions {
    /// Address, index of the table, and where the name begins in its strings; in order.
    all: Vec<(VirtAddr, usize, u32)>,
}

/// The names of [`Positions`].
#[derive(Debug)]
pub(super) enum Texts {
    /// By table, all of its names.
    Tables(Vec<Names>),
    /// By position; none for what is no name.
    Few(Vec<Option<String>>),
}

/// Names by address, without versions; a name that several tables have is there several times.
#[derive(Debug)]
pub(super) struct NamesAt<'t> {
    all: Vec<(VirtAddr, &'t str)>,
}

impl Positions {
    /// Of the functions at the addresses `wanted`, which are in order.
    pub(super) fn of(tables: &[&SymbolTable], wanted: &[VirtAddr]) -> Result<Self, Error> {
        Self::of_kinds(tables, wanted, Kind::is_function)
    }

    fn of_kinds(tables: &[&SymbolTable], wanted: &[VirtAddr], is_wanted: impl Fn(Kind) -> bool) -> Result<Self, Error> {
        let mut all = Vec::new();
        if wanted.is_empty() {
            return Ok(Self { all });
        }
        for (table, symbols) in tables.iter().enumerate() {
            symbols.each_entry::<()>(|entry| {
                if is_wanted(entry.kind) && entry.name_at != 0 && wanted.binary_search(&entry.addr).is_ok() {
                    all.push((entry.addr, table, entry.name_at));
                }
                ControlFlow::Continue(())
            })?;
        }
        all.sort_unstable();
        Ok(Self { all })
    }

    /// Leaves those at the addresses at which there are several, and those at which `is_wanted` wants a single one too.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(VirtAddr) -> bool) {
        let groups = self.all.chunk_by(|(one, ..), (other, ..)| one == other);
        self.all = groups
            .filter(|group| group.len() > 1 || group.iter().any(|(addr, ..)| is_wanted(*addr)))
            .flatten()
            .copied()
            .collect();
    }

    /// Reads the names.
    pub(super) fn texts(&self, tables: &[&SymbolTable]) -> Result<Texts, Error> {
        if self.all.len() > FEW {
            return Ok(Texts::Tables(tables.iter().map(|table| table.names("")).collect::<Result<_, _>>()?));
        }
        let name =
            |(_, table, at): &(VirtAddr, usize, u32)| tables.get(*table).map_or(Ok(None), |table| table.name(*at));
        Ok(Texts::Few(self.all.iter().map(name).collect::<Result<_, _>>()?))
    }

    /// The names among `texts`, which were read for these positions.
    pub(super) fn names<'t>(&self, texts: &'t Texts) -> NamesAt<'t> {
        let name = |(index, (addr, table, at)): (usize, &(VirtAddr, usize, u32))| {
            let name = match texts {
                Texts::Tables(tables) => tables.get(*table)?.get(*at)?,
                Texts::Few(names) => names.get(index)?.as_deref()?,
            };
            Some((*addr, unversioned(name)))
        };
        NamesAt { all: self.all.iter().enumerate().filter_map(name).collect() }
    }
}

impl<'t> NamesAt<'t> {
    /// The names at an address.
    pub(super) fn at(&self, addr: VirtAddr) -> impl Iterator<Item = &'t str> {
        let first = self.all.partition_point(|(known, _)| *known < addr);
        let here = self.all.get(first..).unwrap_or_default().iter().take_while(move |(known, _)| *known == addr);
        here.map(|(_, name)| *name)
    }
}

/// The code of a file, read so that functions next to each other need one look at the file.
pub(crate) struct Code<'e> {
    elf: &'e Elf,
    start: u64,
    bytes: Vec<u8>,
}

impl<'e> Code<'e> {
    pub(crate) fn new(elf: &'e Elf) -> Self {
        Self { elf, start: 0, bytes: Vec::new() }
    }

    /// Where the code at `addr` is in the file, and its first bytes.
    pub(super) fn at(&mut self, addr: VirtAddr) -> Result<(FileOffset, Vec<u8>), Error> {
        let (elf, offset) = (self.elf, self.offset(addr)?);
        let len = (ENTRY_BYTES as u64).min(elf.contents.len().saturating_sub(offset.0));
        if self.held(offset.0, len).is_none() {
            // The first look is at one function: most searches find one.
            let size = if self.bytes.is_empty() { len } else { BLOCK };
            self.bytes = elf.contents.read_up_to(offset.0, size, "code")?;
            self.start = offset.0;
        }
        Ok((offset, self.held(offset.0, len).unwrap_or_default().to_vec()))
    }

    /// A place where code begins.
    pub(crate) fn place(&mut self, addr: VirtAddr, size: ByteSpan, kind: PlaceKind) -> Result<Place, Error> {
        let (offset, entry) = self.at(addr)?;
        Ok(Place { addr, offset, size, kind, entry, arguments: Vec::new() })
    }

    /// As [`Code::place`], without the first bytes of the code: they are read by [`Code::read_all`].
    pub(crate) fn place_to_read(&self, addr: VirtAddr, size: ByteSpan, kind: PlaceKind) -> Result<Place, Error> {
        let offset = self.offset(addr)?;
        Ok(Place { addr, offset, size, kind, entry: Vec::new(), arguments: Vec::new() })
    }

    /// Reads the first bytes of all places that lack them, in the order in which they are in the file.
    pub(crate) fn read_all<'p>(&mut self, places: impl Iterator<Item = &'p mut Place>) -> Result<(), Error> {
        let mut places: Vec<&mut Place> = places.filter(|place| place.entry.is_empty()).collect();
        places.sort_unstable_by_key(|place| place.offset);
        for place in places {
            place.entry = self.at(place.addr)?.1;
        }
        Ok(())
    }

    fn offset(&self, addr: VirtAddr) -> Result<FileOffset, Error> {
        self.elf.code_offset(addr).ok_or_else(|| self.elf.contents.damaged(format!("no code at {addr}")))
    }

    fn held(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(at..at.checked_add(usize::try_from(len).ok()?)?)
    }
}

/// How the symbols at one address are sorted: the one that says most about the function comes first. Of the same name in several
/// tables, the first table's does, whoever found it.
pub(super) fn in_group_order<'f>(found: &Found<'f>) -> (Role, usize, RawName<'f>, Table, Reverse<ByteSpan>) {
    (found.role, found.raw.base.len(), found.raw, found.table, Reverse(found.size))
}

/// The function of the symbols at one address that match, with its body: named by the one that says most about it. None
/// without symbols.
pub(super) fn build_group(
    code: &mut Code<'_>,
    mut group: Vec<Found<'_>>,
    aliases: &Aliases,
) -> Result<Option<Function>, Error> {
    group.sort_by_key(in_group_order);
    let Some(first) = group.first().copied() else { return Ok(None) };
    let in_tables = group.iter().filter(|found| found.raw == first.raw).map(|found| found.table).collect();
    build(code, first, in_tables, aliases).map(Some)
}

/// The function of a symbol, with its body.
pub(super) fn build(
    code: &mut Code<'_>,
    found: Found<'_>,
    mut tables: Vec<Table>,
    aliases: &Aliases,
) -> Result<Function, Error> {
    tables.sort_unstable();
    tables.dedup();
    let symbol = symbol_text(found.raw);
    let aliases = Alias::others(aliases.get(&found.addr).into_iter().flatten(), &symbol);
    Ok(Function {
        name: shown(found.raw),
        mangled: symbol,
        tables,
        role: found.role,
        aliases,
        signature: None,
        declared: None,
        places: vec![code.place(found.addr, found.size, PlaceKind::Body)?],
    })
}

pub(super) fn symbol_text(raw: RawName<'_>) -> String {
    format!("{}{}", raw.base, raw.suffix)
}

pub(super) fn shown(raw: RawName<'_>) -> String {
    display(raw).unwrap_or_else(|| symbol_text(raw))
}
