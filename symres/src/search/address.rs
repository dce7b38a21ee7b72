//! The function that an address is in.

use std::ops::ControlFlow;

use gimli::{BaseAddresses, DwarfFileType, EhFrame, EhFrameHdr, SectionId};

use super::Found;
use super::build::{Code, aliases, build_group};
use super::name::{count_functions, role};
use super::plt;
use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Answer, Function, PlaceKind, Reason, Role, TableCount};
use crate::demangle::RawName;
use crate::dwarf::sections::Sections;
use crate::dwarf::signature::indexed;
use crate::elf::Elf;
use crate::error::Error;
use crate::instead;
use crate::source::{Entry, Kind, SymbolTable, Table};

/// Only files of 64 bits are read.
const ADDRESS_SIZE: u8 = 8;

/// The function at `addr`: by its symbol, as an entry of the procedure linkage table, or by what is there for unwinding.
pub(super) fn at(elf: &Elf, tables: &[(Table, SymbolTable)], addr: VirtAddr) -> Result<Answer, Error> {
    let mut best = Best::default();
    let mut counts = Vec::new();
    for (table, symbols) in tables {
        let mut functions = 0;
        symbols.each_entry::<()>(|entry| {
            functions += usize::from(count_functions(elf, &entry));
            best.consider(&entry, addr);
            ControlFlow::Continue(())
        })?;
        counts.push(TableCount { table: *table, functions });
    }
    let matches = match elf.code_offset(addr) {
        None => Err(Reason::NoCode),
        Some(_) => match function(elf, tables, &best, addr)? {
            Some(function) => Ok(inside(&mut Code::new(elf), function, addr)?),
            None => Err(Reason::NoFunction),
        },
    };
    let (matches, reason) = match matches {
        Ok(function) => (vec![function], None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    Ok(Answer {
        matches,
        near: Vec::new(),
        more_near: false,
        tables: counts,
        reason,
        instead: Vec::new(),
        notes: Vec::new(),
    })
}

fn function(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    best: &Best,
    addr: VirtAddr,
) -> Result<Option<Function>, Error> {
    if let Some(function) = plt::at(elf, tables, addr)? {
        return Ok(Some(function));
    }
    match best.start(addr) {
        Some(start) => starting_at(elf, tables, start),
        None => without_name(elf, addr),
    }
}

/// What is known of the symbols in front of an address.
#[derive(Debug, Default)]
struct Best {
    /// The last start of a function that goes on to the address at least.
    covering: Option<u64>,
    /// The last start of any function or label.
    last: Option<u64>,
    /// The one at `last` has no size, as in many assembler sources: it ends where the next one begins.
    last_is_open: bool,
}

impl Best {
    fn consider(&mut self, entry: &Entry, addr: VirtAddr) {
        if !entry.kind.is_function() || entry.addr > addr {
            return;
        }
        let start = entry.addr.0;
        if addr.0 - start < entry.size.0 && entry.kind != Kind::Label {
            self.covering = self.covering.max(Some(start));
        }
        if Some(start) > self.last {
            self.last_is_open = true;
            self.last = Some(start);
        }
        if Some(start) == self.last && entry.size.0 > 0 {
            self.last_is_open = addr.0 - start < entry.size.0;
        }
    }

    fn start(&self, addr: VirtAddr) -> Option<VirtAddr> {
        let open = self.last.filter(|last| self.last_is_open && *last <= addr.0);
        self.covering.or(open).map(VirtAddr)
    }
}

/// The function whose symbols are at `start`.
fn starting_at(elf: &Elf, tables: &[(Table, SymbolTable)], start: VirtAddr) -> Result<Option<Function>, Error> {
    let mut names: Vec<(String, Entry, Table)> = Vec::new();
    for (table, symbols) in tables {
        let mut here = Vec::new();
        symbols.each_entry::<()>(|entry| {
            if entry.kind.is_function() && entry.addr == start && here.len() < MAX_ALIASES {
                here.push(entry);
            }
            ControlFlow::Continue(())
        })?;
        for entry in here {
            names.extend(symbols.name(entry.name_at)?.map(|name| (name, entry, *table)));
        }
    }
    let group: Vec<Found<'_>> = names
        .iter()
        .map(|(name, entry, table)| {
            let raw = RawName::new(name);
            let role = role(raw, entry.kind, false);
            Found { raw, addr: start, size: entry.size, table: *table, role, depth: 1 }
        })
        .collect();
    let tables: Vec<_> = tables.iter().map(|(table, symbols)| (*table, symbols)).collect();
    let aliases = aliases(elf, &tables, [start].into_iter())?;
    build_group(&mut Code::new(elf), group, &aliases)
}

/// So many symbols at one address are looked at.
const MAX_ALIASES: usize = 4096;

/// A function without symbol, whose bounds the index for unwinding tells. Its address stands in the place of its name.
fn without_name(elf: &Elf, addr: VirtAddr) -> Result<Option<Function>, Error> {
    let sections = Sections::of(elf, DwarfFileType::Main)?;
    let section_addr = |name: &str| elf.section(name).map_or(0, |section| section.addr);
    let bases = BaseAddresses::default()
        .set_eh_frame(section_addr(SectionId::EhFrame.name()))
        .set_eh_frame_hdr(section_addr(SectionId::EhFrameHdr.name()))
        .set_text(section_addr(".text"));
    let mut eh_frame = EhFrame::from(sections.get(SectionId::EhFrame).reader());
    eh_frame.set_address_size(ADDRESS_SIZE);
    let index = EhFrameHdr::from(sections.get(SectionId::EhFrameHdr).reader()).parse(&bases, ADDRESS_SIZE);
    // Damage there says nothing about the file's code; it is only not known then.
    let described = index.ok().and_then(|index| indexed(&index, &eh_frame, &bases, addr.0));
    let Some(described) = described else { return Ok(None) };
    let start = VirtAddr(described.initial_address());
    if elf.code_offset(start).is_none() {
        return Ok(None);
    }
    let place = Code::new(elf).place(start, ByteSpan(described.len()), PlaceKind::Body)?;
    Ok(Some(Function {
        name: start.to_string(),
        mangled: start.to_string(),
        tables: vec![Table::EhFrame],
        role: Role::Whole,
        aliases: Vec::new(),
        signature: None,
        declared: None,
        places: vec![place],
    }))
}

/// The same function with the instruction at `addr` as its only place.
fn inside(code: &mut Code<'_>, mut function: Function, addr: VirtAddr) -> Result<Function, Error> {
    let Some(body) = function.body() else { return Ok(function) };
    if let Some(into) = addr.0.checked_sub(body.addr.0).filter(|into| *into > 0) {
        let kind = PlaceKind::Inside { from_entry: ByteSpan(into), line: None, inlined: Vec::new() };
        function.places = vec![code.place(addr, rest(body.size, into), kind)?];
    }
    Ok(function)
}

/// What is left of `size` bytes behind the first `into`.
pub(super) fn rest(size: ByteSpan, into: u64) -> ByteSpan {
    ByteSpan(size.0.saturating_sub(into))
}

/// The functions of `answer` with the instruction `offset` bytes behind the start of each body as their only place.
pub(crate) fn behind_start(elf: &Elf, answer: Answer, offset: u64) -> Result<Answer, Error> {
    if offset == 0 || answer.reason.is_some() {
        return Ok(answer);
    }
    let mut code = Code::new(elf);
    let mut sizes = Vec::new();
    let mut matches = Vec::new();
    let mut instead = Vec::new();
    for function in answer.matches {
        let Some(body) = function.body() else {
            instead.extend(instead::holders(&function));
            continue;
        };
        let (size, addr) = (body.size, body.addr.0.checked_add(offset).map(VirtAddr));
        sizes.push(size);
        // Nothing tells where functions without a size end.
        let held = size.0 == 0 || offset < size.0;
        if let Some(addr) = addr.filter(|addr| held && elf.code_offset(*addr).is_some()) {
            matches.push(inside(&mut code, function, addr)?);
        }
    }
    let reason = matches.is_empty().then(|| Reason::BehindEnd { size: sizes.into_iter().max() });
    let instead = if reason.is_some() { instead::best(instead) } else { Vec::new() };
    Ok(Answer { matches, near: Vec::new(), more_near: false, reason, instead, ..answer })
}
