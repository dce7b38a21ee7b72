//! Who calls a function, and whom it calls: direct calls and tail calls, read from the code.
//!
//! Calls through pointers (virtual methods, tables) say nothing of where they lead; those of one function are counted, and
//! those that lead to it cannot be found.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction};

use crate::addr::VirtAddr;
use crate::answer::Place;
use crate::demangle;
use crate::elf::{Elf, Machine};
use crate::error::Error;
use crate::plt::{self, Target};
use crate::source::{SymbolTable, Table};

/// The most bytes of one function that are decoded.
const MAX_FUNCTION: u64 = 4 << 20;
/// The most bytes that are decoded in all: more than the code of any program.
const MAX_DECODED: u64 = 512 << 20;
/// How much code is searched at once.
const PIECE: u64 = 1 << 20;
/// Bytes of a call or jump by a distance of four bytes: `e8` or `e9`, and the distance.
const NEAR: u64 = 5;
/// How far a jump of two bytes reaches, and its own length.
const SHORT: u64 = 0x80 + 2;
/// The most instructions that are listed for one other function; the others are counted.
const MAX_SITES: usize = 1000;

/// The direct calls of a function and to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// The functions that it calls or ends in a jump to, by address.
    pub callees: Vec<Call>,
    /// The functions that call it or end in a jump to it, by address.
    pub callers: Vec<Call>,
    /// How many of its calls go through a pointer.
    pub indirect: usize,
}

/// Another function, and the instructions that lead to it or come from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// As people read it, `write@plt` for a function of another file; none where no symbol is there.
    pub name: Option<String>,
    /// Where it begins; where no symbol tells that, the call itself.
    pub addr: VirtAddr,
    /// Where the calls are, at most a thousand.
    pub sites: Vec<VirtAddr>,
    /// How many they are.
    pub count: usize,
}

/// Finds the calls of the function whose body `place` is. Only code for x86-64 is understood; of other code nothing is found.
///
/// # Errors
///
/// When the file cannot be read, or its tables are damaged.
pub(crate) fn of_place(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    functions: &Functions,
    place: &Place,
) -> Result<Calls, Error> {
    if elf.machine != Machine::X86_64 {
        return Ok(Calls::default());
    }
    let mut decoding = Decoding { elf, left: MAX_DECODED };
    let (callees, indirect) = callees_of(&mut decoding, functions, place)?;
    // Within a library, too, calls may go by the procedure linkage table.
    let mut targets = functions.plt_entries_of(tables, place.addr)?;
    targets.insert(place.addr.0);
    let mut callers = Found::default();
    let seen = callers_of(elf, functions, &targets)?;
    // Where no symbol tells a start to decode from, what looks like a call is taken for one: of 2^32 others one would.
    seen.without_symbol.iter().for_each(|site| callers.add(*site, *site));
    for function in seen.functions {
        let from = functions.range(function);
        decoding.each(from, |instruction| {
            let leads_here = target(instruction).is_some_and(|to| targets.contains(&to));
            // A jump to its own start is a loop.
            if leads_here && (is_call(instruction) || function != place.addr.0) {
                callers.add(function, instruction.ip());
            }
        })?;
    }
    Ok(Calls { callees: callees.named(functions, tables)?, callers: callers.named(functions, tables)?, indirect })
}

/// Finds those that it calls alone.
///
/// # Errors
///
/// As [`of_place`].
pub(crate) fn from_place(
    elf: &Elf,
    tables: &[(Table, SymbolTable)],
    functions: &Functions,
    place: &Place,
) -> Result<Vec<Call>, Error> {
    if elf.machine != Machine::X86_64 {
        return Ok(Vec::new());
    }
    let (callees, _) = callees_of(&mut Decoding { elf, left: MAX_DECODED }, functions, place)?;
    callees.named(functions, tables)
}

/// The calls in a function, and how many more go through pointers.
fn callees_of(decoding: &mut Decoding<'_>, functions: &Functions, place: &Place) -> Result<(Found, usize), Error> {
    let own = Range { start: place.addr.0, end: place.addr.0.saturating_add(place.size.0) };
    let mut callees = Found::default();
    let mut indirect = 0_usize;
    decoding.each(own, |instruction| match target(instruction) {
        Some(to) if is_call(instruction) || (!own.holds(to) && functions.begins_at(to)) => {
            callees.add(to, instruction.ip());
        }
        None if instruction.flow_control() == FlowControl::IndirectCall => indirect = indirect.saturating_add(1),
        _ => {}
    })?;
    Ok((callees, indirect))
}

fn is_call(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::Call
}

/// Where a direct call or jump leads.
fn target(instruction: &Instruction) -> Option<u64> {
    let branches = matches!(
        instruction.flow_control(),
        FlowControl::Call | FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
    );
    (branches && instruction.near_branch_target() != 0).then(|| instruction.near_branch_target())
}

/// Addresses from the first to before the last.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    fn holds(self, addr: u64) -> bool {
        self.start <= addr && addr < self.end
    }
}

/// Decodes functions, as long as there is not too much of it.
struct Decoding<'e> {
    elf: &'e Elf,
    left: u64,
}

impl Decoding<'_> {
    fn each(&mut self, range: Range, mut look: impl FnMut(&Instruction)) -> Result<(), Error> {
        let size = range.end.saturating_sub(range.start).min(MAX_FUNCTION).min(self.left);
        self.left -= size;
        let Some(offset) = self.elf.code_offset(VirtAddr(range.start)) else { return Ok(()) };
        let bytes = self.elf.contents.read_up_to(offset.0, size, "the code of a function")?;
        let decoder = Decoder::with_ip(64, &bytes, range.start, DecoderOptions::NONE);
        decoder.into_iter().filter(|instruction| !instruction.is_invalid()).for_each(|instruction| look(&instruction));
        Ok(())
    }
}

/// Where bytes look like calls.
#[derive(Debug, Default)]
struct Seen {
    /// In these functions.
    functions: BTreeSet<u64>,
    /// At these addresses, which are in no function that has a symbol.
    without_symbol: BTreeSet<u64>,
}

/// Finds the bytes that look like calls of one of `targets`.
fn callers_of(elf: &Elf, functions: &Functions, targets: &BTreeSet<u64>) -> Result<Seen, Error> {
    let mut seen = Seen::default();
    // Jumps of two bytes reach this far; what is so near is decoded.
    for target in targets {
        let near = target.saturating_sub(SHORT)..=target.saturating_add(SHORT);
        seen.functions.extend(functions.holding(*near.start()));
        seen.functions.extend(functions.by_addr.range(near).map(|(start, _)| *start));
    }
    for segment in elf.segments.iter().filter(|segment| segment.executable) {
        let mut at = 0;
        while at < segment.filesz.0 {
            // A call that begins in this piece may end in the next one.
            let bytes = elf.contents.read_up_to(
                segment.offset.0.saturating_add(at),
                (PIECE + NEAR - 1).min(segment.filesz.0 - at),
                "code",
            )?;
            let piece = segment.vaddr.0.wrapping_add(at);
            for found in memchr::memchr2_iter(0xe8, 0xe9, &bytes) {
                let Some(distance) = bytes.get(found + 1..).and_then(|rest| rest.first_chunk::<4>()) else { break };
                let here = piece.wrapping_add(found as u64);
                let to = here.wrapping_add(NEAR).wrapping_add_signed(i32::from_le_bytes(*distance).into());
                if !targets.contains(&to) {
                    continue;
                }
                match functions.holding(here) {
                    Some(function) => seen.functions.insert(function),
                    None => seen.without_symbol.insert(here),
                };
            }
            at = at.saturating_add(PIECE);
        }
    }
    Ok(seen)
}

/// Where functions are, by the symbols.
#[derive(Debug)]
pub(crate) struct Functions {
    /// By address: the largest of those that begin there, and its table with the place of its name in it.
    by_addr: BTreeMap<u64, Symbol>,
    /// Entries of the procedure linkage table, with the symbols that they lead to.
    plt: BTreeMap<u64, Target>,
}

#[derive(Clone, Copy, Debug)]
struct Symbol {
    size: u64,
    table: usize,
    name_at: u32,
}

impl Functions {
    /// Reads the symbols and the procedure linkage table.
    pub(crate) fn read(elf: &Elf, tables: &[(Table, SymbolTable)]) -> Result<Self, Error> {
        let mut by_addr: BTreeMap<u64, Symbol> = BTreeMap::new();
        for (index, (_, table)) in tables.iter().enumerate() {
            table.each_entry::<()>(|entry| {
                if entry.kind.is_function() && entry.name_at != 0 {
                    let own = Symbol { size: entry.size.0, table: index, name_at: entry.name_at };
                    let known = by_addr.entry(entry.addr.0).or_insert(own);
                    if known.table == index && known.size < own.size {
                        *known = own;
                    }
                }
                ControlFlow::Continue(())
            })?;
        }
        let plt = plt::entries(elf)?.into_iter().map(|entry| (entry.addr.0, entry.target)).collect();
        Ok(Self { by_addr, plt })
    }

    fn begins_at(&self, addr: u64) -> bool {
        self.by_addr.contains_key(&addr) || self.plt.contains_key(&addr)
    }

    /// The start of the function that holds an instruction.
    fn holding(&self, addr: u64) -> Option<u64> {
        let (start, symbol) = self.by_addr.range(..=addr).next_back()?;
        (addr - start < symbol.size.max(1)).then_some(*start)
    }

    fn range(&self, start: u64) -> Range {
        let size = self.by_addr.get(&start).map_or(0, |symbol| symbol.size);
        Range { start, end: start.saturating_add(size) }
    }

    /// The symbols at an address lead a way through the procedure linkage table to it: the entries there.
    fn plt_entries_of(&self, tables: &[(Table, SymbolTable)], addr: VirtAddr) -> Result<BTreeSet<u64>, Error> {
        let mut entries = BTreeSet::new();
        if self.plt.is_empty() {
            return Ok(entries);
        }
        let mut names = BTreeSet::new();
        for (_, table) in tables {
            let mut at = Vec::new();
            table.each_entry::<()>(|entry| {
                if entry.addr == addr && entry.kind.is_function() && entry.name_at != 0 {
                    at.push(entry.name_at);
                }
                ControlFlow::Continue(())
            })?;
            for name_at in at.into_iter().take(MAX_SITES) {
                names.extend(table.name(name_at)?);
            }
        }
        entries.extend(self.plt.iter().filter_map(|(entry, target)| match target {
            Target::Symbol(symbol) => names.contains(symbol).then_some(*entry),
            Target::Resolver(resolver) => (*resolver == addr).then_some(*entry),
        }));
        Ok(entries)
    }

    fn name(&self, tables: &[(Table, SymbolTable)], addr: u64) -> Result<Option<String>, Error> {
        if let Some(symbol) = self.by_addr.get(&addr) {
            let table = tables.get(symbol.table);
            let name = table.map(|(_, table)| table.name(symbol.name_at)).transpose()?.flatten();
            return Ok(name.as_deref().map(demangle));
        }
        Ok(match self.plt.get(&addr) {
            Some(Target::Symbol(symbol)) => Some(format!("{}@plt", demangle(symbol))),
            _ => None,
        })
    }
}

/// Calls by the function at the other end.
#[derive(Debug, Default)]
struct Found(BTreeMap<u64, (Vec<VirtAddr>, usize)>);

impl Found {
    fn add(&mut self, function: u64, site: u64) {
        let (sites, count) = self.0.entry(function).or_default();
        if sites.len() < MAX_SITES {
            sites.push(VirtAddr(site));
        }
        *count = count.saturating_add(1);
    }

    fn named(self, functions: &Functions, tables: &[(Table, SymbolTable)]) -> Result<Vec<Call>, Error> {
        let named = self.0.into_iter().map(|(addr, (sites, count))| {
            Ok(Call { name: functions.name(tables, addr)?, addr: VirtAddr(addr), sites, count })
        });
        named.collect()
    }
}
