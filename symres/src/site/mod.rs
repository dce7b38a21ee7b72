//! The cheapest instruction to probe in place of a function's first one.
//!
//! The kernel emulates a few instructions under a uprobe and has the processor single-step every other, which costs ten
//! times as much (see [`kernel`]). `endbr64`, with which every function begins that was compiled with `-fcf-protection`, is
//! one of the others, and the `push` behind it is emulated. A probe there sees each call, and the same arguments and return
//! address, as long as nothing between changes them and nothing branches there: which this module finds out.
//!
//! Direct branches are looked for in the function itself, in its parts elsewhere (`.cold`) and in the code beside it. What
//! cannot be seen is a jump through a table. A function that has one ([`is_table_jump`]) keeps its entry, unless the
//! site is the `push` of a register: what jumps to before a `push` of the prologue would push twice and return once, so no
//! compiler has a label there.

mod answer;
mod kernel;
mod layout;
mod line;

#[cfg(test)]
mod tests;

use iced_x86::{Decoder, DecoderOptions, FastFormatter, FlowControl, Instruction, Mnemonic, OpKind, Register};

use crate::addr::{ByteSpan, VirtAddr};
use crate::answer::{Place, PlaceKind};
use crate::elf::{Elf, Machine};
use crate::error::Error;

pub use answer::{BestSite, NoSite, Site};
pub use kernel::{Handling, KernelVersion, Refusal};
pub(crate) use layout::Layout;

/// The most bytes of one function that are decoded. The parsers of SQL that yacc makes have some hundred thousand.
const MAX_CODE: u64 = 4 << 20;

/// The longest instruction of x86-64, in bytes.
const LONGEST_INSTRUCTION: u64 = 15;

/// How many bytes before and behind a function are searched for branches to it.
const NEIGHBOURHOOD: u64 = 1024;

/// What compilers align functions to, so that an instruction is likely to begin there.
const ALIGNMENT: u64 = 16;

/// How many parts of a function that are elsewhere are decoded: one by one compiler, two after LTO.
const MAX_PARTS: usize = 16;

/// How many instructions of the prologue are looked at for a site.
const MAX_SKIPPED: usize = 24;

/// Code of a function: its bytes and where they are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Code<'c> {
    pub(crate) addr: VirtAddr,
    pub(crate) bytes: &'c [u8],
}

/// Whether other code has to do with addresses from one to another.
type Around<'a> = dyn Fn(VirtAddr, VirtAddr) -> Result<(), NoSite> + 'a;

/// What the kernel does with the instruction at `at`, which is decoded from the start of `code`.
pub(crate) fn inside(code: Code<'_>, at: VirtAddr, kernel: KernelVersion) -> Site {
    let refused = |refusal, instruction| {
        let entry = Handling::Refused(refusal);
        Site { instruction, entry, best: None, reason: Some(NoSite::NoEntry) }
    };
    for (instruction, bytes) in instructions(code) {
        let text = text(&instruction);
        if instruction.ip() == at.0 {
            let entry = kernel::handling(&instruction, bytes, kernel);
            return Site { instruction: text, entry, best: None, reason: Some(NoSite::NoEntry) };
        }
        if instruction.is_invalid() {
            break;
        }
        if instruction.next_ip() > at.0 {
            let into = at.0.saturating_sub(instruction.ip());
            return refused(Refusal::Middle { instruction: text.clone(), into }, text);
        }
    }
    refused(Refusal::NoInstruction, "(bad)".to_owned())
}

/// The cheapest site of a function. `whole` says why `body` is not all bytes of it, if so; `others` are other parts of its code
/// (`.cold`); `around` says whether other code of the binary begins at, or leads to, an address in a range, both ends
/// included.
pub(crate) fn of_function(
    body: Code<'_>,
    whole: Result<(), NoSite>,
    others: &[Code<'_>],
    around: &Around<'_>,
    kernel: KernelVersion,
) -> Site {
    let mut site = inside(body, body.addr, kernel);
    site.reason = Some(match (&site.entry, whole) {
        (Handling::Emulated, _) => NoSite::Cheap,
        (_, Err(reason)) => reason,
        _ => match search(body, others, around, kernel) {
            Ok(best) => {
                site.best = Some(best);
                site.reason = None;
                return site;
            }
            Err(reason) => reason,
        },
    });
    site
}

fn search(body: Code<'_>, others: &[Code<'_>], around: &Around<'_>, kernel: KernelVersion) -> Result<BestSite, NoSite> {
    let mut line = line::Line::default();
    let mut skipped = Vec::new();
    for (instruction, bytes) in instructions(body).take(MAX_SKIPPED) {
        if instruction.is_invalid() {
            return Err(NoSite::NotCode(VirtAddr(instruction.ip())));
        }
        // A `call` is left alone: with shadow stacks, kernels emulated only half of it.
        let is_candidate = !skipped.is_empty() && instruction.flow_control() != FlowControl::Call;
        if is_candidate && kernel::handling(&instruction, bytes, kernel) == Handling::Emulated {
            let addr = VirtAddr(instruction.ip());
            let (first, last) = (VirtAddr(body.addr.0.saturating_add(1)), addr);
            let pushes = instruction.mnemonic() == Mnemonic::Push;
            branches(body, first, last, pushes)?;
            others.iter().try_for_each(|part| branches(*part, first, last, pushes))?;
            around(first, last)?;
            return Ok(BestSite {
                addr,
                offset: ByteSpan(addr.0.saturating_sub(body.addr.0)),
                instruction: text(&instruction),
                stack_delta: line.stack,
                skipped,
                same_registers: line.same_registers,
            });
        }
        line.pass(&instruction)?;
        skipped.push(text(&instruction));
    }
    Err(NoSite::NoneEmulated)
}

/// That no instruction of `code` leads to one from `first` to `last`.
fn branches(code: Code<'_>, first: VirtAddr, last: VirtAddr, pushes: bool) -> Result<(), NoSite> {
    let is_between = |addr: u64| first.0 <= addr && addr <= last.0;
    for (instruction, _) in instructions(code) {
        let from = VirtAddr(instruction.ip());
        if instruction.is_invalid() {
            return Err(NoSite::NotCode(from));
        }
        if let Some(to) = leads_to(&instruction).filter(|to| is_between(*to)) {
            return Err(NoSite::BranchedTo { from, to: VirtAddr(to) });
        }
        if !pushes && is_table_jump(&instruction) {
            return Err(NoSite::TableJump { from });
        }
    }
    Ok(())
}

/// The address that an instruction goes to, or that it takes for others to go to.
fn leads_to(instruction: &Instruction) -> Option<u64> {
    if matches!(instruction.op0_kind(), OpKind::NearBranch16 | OpKind::NearBranch32 | OpKind::NearBranch64) {
        return Some(instruction.near_branch_target());
    }
    let takes = instruction.mnemonic() == Mnemonic::Lea && instruction.is_ip_rel_memory_operand();
    takes.then(|| instruction.ip_rel_memory_address())
}

/// A jump to an address in a register or in a table. A jump to an address that is in memory at a fixed distance from a
/// register (`jmp [rax+0x18]`) is the call of a virtual function in place of a return.
fn is_table_jump(instruction: &Instruction) -> bool {
    instruction.flow_control() == FlowControl::IndirectBranch
        && (instruction.op0_kind() == OpKind::Register || instruction.memory_index() != Register::None)
}

/// The instructions of code and the bytes of each, in order. An invalid one is given like any other; the last may be cut
/// off and is invalid then.
fn instructions(code: Code<'_>) -> impl Iterator<Item = (Instruction, &[u8])> {
    let mut decoder = Decoder::with_ip(64, code.bytes, code.addr.0, DecoderOptions::NONE);
    std::iter::from_fn(move || {
        let start = decoder.position();
        if !decoder.can_decode() {
            return None;
        }
        let instruction = decoder.decode();
        Some((instruction, code.bytes.get(start..decoder.position()).unwrap_or_default()))
    })
}

/// An instruction as Intel writes it.
fn text(instruction: &Instruction) -> String {
    let mut text = String::new();
    let mut formatter = FastFormatter::new();
    formatter.options_mut().set_use_hex_prefix(true);
    formatter.options_mut().set_uppercase_hex(false);
    formatter.options_mut().set_space_after_operand_separator(true);
    formatter.format(instruction, &mut text);
    text
}

/// The cheapest site of a place in a binary.
pub(crate) fn of_place(elf: &Elf, layout: &Layout, place: &Place, kernel: KernelVersion) -> Result<Site, Error> {
    if elf.machine != Machine::X86_64 {
        let (instruction, entry) = (String::new(), Handling::SingleStepped);
        return Ok(Site { instruction, entry, best: None, reason: Some(NoSite::Machine) });
    }
    let read = |addr: VirtAddr, size: u64| match elf.code_offset(addr) {
        Some(offset) => elf.contents.read_up_to(offset.0, size.min(MAX_CODE), "the code of a function"),
        None => Ok(Vec::new()),
    };
    let from_entry = match &place.kind {
        PlaceKind::Inside { from_entry, .. } => from_entry.0,
        _ => 0,
    };
    let addr = VirtAddr(place.addr.0.saturating_sub(from_entry));
    let least = from_entry.saturating_add(LONGEST_INSTRUCTION);
    if !matches!(place.kind, PlaceKind::Body) {
        let bytes = read(addr, least)?;
        return Ok(inside(Code { addr, bytes: &bytes }, place.addr, kernel));
    }
    let bytes = read(addr, place.size.0.max(least))?;
    let known = usize::try_from(place.size.0).ok().and_then(|size| bytes.get(..size)).filter(|known| !known.is_empty());
    let body = Code { addr, bytes: known.unwrap_or(&bytes) };
    let parts: Vec<(VirtAddr, Vec<u8>)> = layout
        .parts(addr)
        .iter()
        .take(MAX_PARTS)
        .map(|(addr, size)| Ok((*addr, read(*addr, size.0)?)))
        .collect::<Result<_, Error>>()?;
    let others: Vec<Code<'_>> = parts.iter().map(|(addr, bytes)| Code { addr: *addr, bytes }).collect();
    let whole = if place.size.0 > MAX_CODE { Err(NoSite::TooLong) } else { known.map(drop).ok_or(NoSite::UnknownSize) };
    let end = VirtAddr(addr.0.saturating_add(place.size.0));
    let around = |first, last| {
        if let Some(entry) = layout.first_between(first, last) {
            return Err(NoSite::OtherEntry(entry));
        }
        // Less where the segment begins in between.
        let start = [NEIGHBOURHOOD, NEIGHBOURHOOD / 4, NEIGHBOURHOOD / 16].into_iter().find_map(|before| {
            let start = VirtAddr(addr.0.checked_sub(before)? & !(ALIGNMENT - 1));
            elf.code_offset(start).map(|_| start)
        });
        for (from, to) in [(start.unwrap_or(addr), addr), (end, VirtAddr(end.0.saturating_add(NEIGHBOURHOOD)))] {
            let bytes = read(from, to.0.saturating_sub(from.0)).map_err(|_| NoSite::NotCode(from))?;
            neighbours(Code { addr: from, bytes: &bytes }, layout, first, last)?;
        }
        Ok(())
    };
    Ok(of_function(body, whole, &others, &around, kernel))
}

/// That no instruction of the code beside a function leads to one of its instructions from `first` to `last`: functions in
/// assembler share code, as `mempcpy` that of `memcpy`, and where they begin is not always known.
fn neighbours(code: Code<'_>, layout: &Layout, first: VirtAddr, last: VirtAddr) -> Result<(), NoSite> {
    let length = code.bytes.len() as u64;
    let end = VirtAddr(code.addr.0.saturating_add(length));
    let starts = std::iter::once(code.addr.0).chain(layout.entries(code.addr, end).iter().copied());
    for (start, end) in starts.clone().zip(starts.skip(1).chain([end.0])) {
        let span = |addr: u64| usize::try_from(addr.saturating_sub(code.addr.0)).unwrap_or(usize::MAX);
        let bytes = code.bytes.get(span(start)..span(end)).unwrap_or_default();
        // What is between functions may be no instructions.
        for (instruction, _) in
            instructions(Code { addr: VirtAddr(start), bytes }).filter(|(found, _)| !found.is_invalid())
        {
            if let Some(to) = leads_to(&instruction).filter(|to| (first.0..=last.0).contains(to)) {
                return Err(NoSite::BranchedTo { from: VirtAddr(instruction.ip()), to: VirtAddr(to) });
            }
        }
    }
    Ok(())
}
