//! Where the frame of a function is: the canonical frame address (CFA) at an instruction, from `.eh_frame` or `.debug_frame`.

use gimli::{
    BaseAddresses, CfaRule, DebugFrame, EhFrame, EhFrameHdr, FrameDescriptionEntry, ParsedEhFrameHdr, Reader,
    RegisterRule, SectionId, UnwindContext, UnwindSection, UnwindTableRow,
};

use crate::dwarf::reader::SectionReader;
use crate::dwarf::sections::Sections;
use crate::elf::Elf;

/// Only files of 64 bits are read.
const ADDRESS_SIZE: u8 = 8;

/// The frame descriptions of a file.
pub(crate) struct Frames<R: Reader<Offset = usize>> {
    debug_frame: DebugFrame<R>,
    eh_frame: EhFrame<R>,
    index: Option<ParsedEhFrameHdr<R>>,
    bases: BaseAddresses,
}

/// A register's value plus an offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RegisterSum {
    pub(super) register: u16,
    pub(super) offset: i64,
}

/// What the value was that a register had when the function was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Saved {
    /// It is still in the register.
    Kept,
    /// It is in memory at the CFA plus this.
    At(i64),
    /// It is the CFA plus this.
    Value(i64),
    /// It cannot be told.
    Lost,
}

/// What `.eh_frame` has of the code at `addr`, found by its index. As `EhHdrTable::fde_for_address`, but an entry that leads to
/// in front of the section is no arithmetic overflow.
pub(crate) fn indexed<R: Reader<Offset = usize>>(
    index: &ParsedEhFrameHdr<R>,
    eh_frame: &EhFrame<R>,
    bases: &BaseAddresses,
    addr: u64,
) -> Option<FrameDescriptionEntry<R>> {
    let entry = index.table()?.lookup(addr, bases).ok()?.direct().ok()?;
    let start = index.eh_frame_ptr().direct().ok()?;
    let offset = usize::try_from(entry.checked_sub(start)?).ok()?;
    let fde = eh_frame.fde_from_offset(bases, offset.into(), EhFrame::cie_from_offset).ok()?;
    fde.contains(addr).then_some(fde)
}

impl<'s> Frames<SectionReader<'s>> {
    /// The `.eh_frame` of the file with the code, and the `.debug_frame` of the one with its debug information, which may be
    /// the same.
    pub(crate) fn of(code: &'s Sections<'_>, elf: &Elf, debug: &'s Sections<'_>) -> Self {
        let addr = |name: &str| elf.section(name).map_or(0, |section| section.addr);
        let bases = BaseAddresses::default()
            .set_eh_frame(addr(SectionId::EhFrame.name()))
            .set_eh_frame_hdr(addr(SectionId::EhFrameHdr.name()))
            .set_text(addr(".text"));
        let mut debug_frame = DebugFrame::from(debug.get(SectionId::DebugFrame).reader());
        debug_frame.set_address_size(ADDRESS_SIZE);
        let mut eh_frame = EhFrame::from(code.get(SectionId::EhFrame).reader());
        eh_frame.set_address_size(ADDRESS_SIZE);
        // Without its index the section is read from the front.
        let index = EhFrameHdr::from(code.get(SectionId::EhFrameHdr).reader()).parse(&bases, ADDRESS_SIZE).ok();
        Self { debug_frame, eh_frame, index, bases }
    }
}

impl<R: Reader<Offset = usize>> Frames<R> {
    /// Calls `read` with the row of the function's table that is valid at an instruction.
    fn row<T>(&self, pc: u64, read: impl Fn(&UnwindTableRow<usize>) -> T) -> Option<T> {
        let mut context = UnwindContext::new();
        let bases = &self.bases;
        if let Some(fde) = self.index.as_ref().and_then(|index| indexed(index, &self.eh_frame, bases, pc))
            && let Ok(row) = fde.unwind_info_for_address(&self.eh_frame, bases, &mut context, pc)
        {
            return Some(read(row));
        }
        if let Ok(row) = self.debug_frame.unwind_info_for_address(bases, &mut context, pc, DebugFrame::cie_from_offset)
        {
            return Some(read(row));
        }
        let row = self.eh_frame.unwind_info_for_address(bases, &mut context, pc, EhFrame::cie_from_offset).ok()?;
        Some(read(row))
    }

    /// The CFA at an instruction; none where it is computed by an expression (in the procedure linkage table).
    pub(super) fn cfa(&self, pc: u64) -> Option<RegisterSum> {
        self.row(pc, |row| match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Some(RegisterSum { register: register.0, offset: *offset })
            }
            CfaRule::Expression(_) => None,
        })?
    }

    /// Where a register's value at the function's entry is at an instruction.
    pub(super) fn saved(&self, pc: u64, register: u16, callee_saved: bool) -> Saved {
        let rule = self.row(pc, |row| row.register(gimli::Register(register)));
        match rule {
            Some(Some(RegisterRule::SameValue)) => Saved::Kept,
            Some(Some(RegisterRule::Offset(offset))) => Saved::At(offset),
            Some(Some(RegisterRule::ValOffset(offset))) => Saved::Value(offset),
            // Of registers that the function must keep the tables tell only the change.
            Some(None) if callee_saved => Saved::Kept,
            _ => Saved::Lost,
        }
    }
}
