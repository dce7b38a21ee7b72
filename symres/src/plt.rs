//! Entries of the procedure linkage table: the short pieces of code through which a file calls functions of other files, or
//! those of its own that an IFUNC chooses.
//!
//! Linkers lay the table out in a dozen ways (lazy or not, with `endbr64`, with `bnd`, against Spectre), but all entries have
//! in common that they load the address of the function from a slot of the global offset table, and which function a slot is
//! for stands in the relocations (x86-64 psABI, section 5.2). So the code is decoded, and no layout has to be known.

use std::collections::{BTreeMap, btree_map};

use goblin::elf::section_header::{SHF_EXECINSTR, SHT_RELA};
use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind};

use crate::addr::{ByteSpan, VirtAddr};
use crate::demangle::unversioned;
use crate::elf::{Elf, Machine, Section};
use crate::error::Error;
use crate::source::SymbolTable;

/// Size of an ELF64 relocation with addend (`Elf64_Rela`).
const RELA: usize = 24;
/// How many relocations are read at once.
const PIECE: usize = 8192;
/// `R_X86_64_GLOB_DAT`, `R_X86_64_JUMP_SLOT`, `R_X86_64_IRELATIVE` (x86-64 psABI, table 4.9).
const GLOB_DAT: u32 = 6;
const JUMP_SLOT: u32 = 7;
const IRELATIVE: u32 = 37;
/// The table of a large browser is a tenth of this.
const MAX_SECTION: u64 = 8 << 20;
/// No linker makes longer entries; the last one of a section is followed by other things sometimes.
const MAX_ENTRY: u64 = 64;

/// What an entry leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A function by its symbol, without version.
    Symbol(String),
    /// What the IFUNC resolver at this address chooses.
    Resolver(VirtAddr),
}

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) addr: VirtAddr,
    pub(crate) size: ByteSpan,
    pub(crate) target: Target,
}

/// The sections of the table.
fn sections(elf: &Elf) -> impl Iterator<Item = &Section> {
    elf.sections.iter().filter(|section| {
        let named = section.name == ".plt" || section.name.starts_with(".plt.") || section.name == ".iplt";
        let code = section.flags & u64::from(SHF_EXECINSTR) != 0;
        named && code && section.in_file && section.size <= MAX_SECTION && elf.machine == Machine::X86_64
    })
}

/// Whether the table may hold `addr`.
pub(crate) fn covers(elf: &Elf, addr: VirtAddr) -> bool {
    sections(elf).any(|section| addr.0.checked_sub(section.addr).is_some_and(|into| into < section.size))
}

/// All entries, by address. Those of x86-64 alone are known.
///
/// # Errors
///
/// When the file cannot be read, or its relocations are damaged.
pub(crate) fn entries(elf: &Elf) -> Result<Vec<Entry>, Error> {
    let mut found = Vec::new();
    let mut slots: Option<BTreeMap<u64, Slot>> = None;
    for section in sections(elf) {
        let slots = match &slots {
            Some(slots) => slots,
            None => slots.insert(read_slots(elf)?),
        };
        let code = elf.section_bytes(section)?;
        found.extend(decode(&code, section.addr, slots));
    }
    let mut tables: BTreeMap<usize, SymbolTable> = BTreeMap::new();
    let mut entries = Vec::with_capacity(found.len());
    for (addr, size, slot) in found {
        let target = match slot {
            Slot::Resolver(addr) => Some(Target::Resolver(VirtAddr(addr))),
            Slot::Symbol { table: section, index } => {
                let table = match tables.entry(section) {
                    btree_map::Entry::Occupied(table) => table.into_mut(),
                    btree_map::Entry::Vacant(place) => match elf.sections.get(section) {
                        Some(section) => place.insert(SymbolTable::of_section(elf, section)?),
                        None => continue,
                    },
                };
                table.name_of(index)?.map(|name| Target::Symbol(unversioned(&name).to_owned()))
            }
        };
        entries.extend(target.map(|target| Entry { addr: VirtAddr(addr), size: ByteSpan(size), target }));
    }
    entries.sort_by_key(|entry| entry.addr);
    Ok(entries)
}

/// What a slot of the global offset table is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// The address of a symbol.
    Symbol {
        /// Index of the section that holds it.
        table: usize,
        index: u32,
    },
    /// What the function at this address returns.
    Resolver(u64),
}

/// The slots by their addresses, from the relocations. Layout of `Elf64_Rela`: r_offset, r_info (symbol and type), r_addend.
fn read_slots(elf: &Elf) -> Result<BTreeMap<u64, Slot>, Error> {
    let mut slots = BTreeMap::new();
    for section in elf.sections.iter().filter(|s| s.kind == SHT_RELA && s.in_file && s.addr != 0) {
        let mut at = 0;
        while at < section.size {
            let len = (section.size - at).min((PIECE * RELA) as u64);
            let what = "relocations";
            let bytes = elf.contents.get(section.offset + at, len, what)?;
            at += len;
            for rela in bytes.as_chunks::<RELA>().0 {
                let [o0, o1, o2, o3, o4, o5, o6, o7, t0, t1, t2, t3, s0, s1, s2, s3, a0, a1, a2, a3, a4, a5, a6, a7] =
                    *rela;
                let slot = match u32::from_le_bytes([t0, t1, t2, t3]) {
                    GLOB_DAT | JUMP_SLOT => {
                        Slot::Symbol { table: section.link, index: u32::from_le_bytes([s0, s1, s2, s3]) }
                    }
                    IRELATIVE => Slot::Resolver(u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7])),
                    _ => continue,
                };
                slots.insert(u64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]), slot);
            }
        }
    }
    Ok(slots)
}

/// The entries in `code`, which is mapped at `start`: address, size, slot. Each begins behind the jump that ends the one
/// before, or behind what fills the space up to it.
fn decode(code: &[u8], start: u64, slots: &BTreeMap<u64, Slot>) -> Vec<(u64, u64, Slot)> {
    let mut entries: Vec<(u64, u64, Slot)> = Vec::new();
    let mut begin = None;
    let mut slot = None;
    let mut instruction = Instruction::default();
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            break;
        }
        let fills = matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3);
        if begin.is_none() && fills {
            continue;
        }
        let begun = *begin.get_or_insert(instruction.ip());
        let in_memory = (0..instruction.op_count()).any(|operand| instruction.op_kind(operand) == OpKind::Memory);
        if slot.is_none() && in_memory && instruction.is_ip_rel_memory_operand() {
            slot = slots.get(&instruction.ip_rel_memory_address()).copied();
        }
        let ends = matches!(
            instruction.flow_control(),
            FlowControl::UnconditionalBranch | FlowControl::IndirectBranch | FlowControl::Return
        );
        if ends {
            if let Some(slot) = slot.take() {
                entries.push((begun, MAX_ENTRY, slot));
            }
            begin = None;
        }
    }
    let end = start.saturating_add(code.len() as u64);
    let nexts: Vec<u64> = entries.iter().skip(1).map(|entry| entry.0).chain([end]).collect();
    for (entry, next) in entries.iter_mut().zip(nexts) {
        entry.1 = next.saturating_sub(entry.0).min(MAX_ENTRY);
    }
    entries
}
