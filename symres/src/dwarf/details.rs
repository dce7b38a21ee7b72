//! Signatures of the functions that a search found, and where their arguments are.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use gimli::{DebugInfoOffset, DebugTypeSignature, DwarfFileType, SectionId, UnitHeader, UnitOffset, UnitType};

use super::budget::Budget;
use super::describe::file_number;
use super::gather::EntryId;
use super::info::Information;
use super::lines::FileNames;
use super::load::{Skeleton, abbreviations, open};
use super::sections::{Dwarf, Reader, Sections, Unit};
use super::signature::{
    Context, DebugUnit, Description, Die, Entry, Frames, Reach, Reference, Site, SiteKind, describe, number,
};
use super::split::{Opened, stubs};
use super::units::Units;
use crate::answer::SourceLine;
use crate::elf::Elf;
use crate::error::Error;
use crate::parallel::{Shares, THREADS, together};

/// So many places one thread describes at a time.
const SHARE: usize = 1024;

/// More type units than any program has.
const MAX_TYPE_UNITS: usize = 1 << 20;

/// A function of which the details are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// The entry of the body or of the inlined copy.
    pub(crate) entry: EntryId,
    /// Where its arguments are wanted; none where its signature will do.
    pub(crate) code: Option<WantedCode>,
}

/// Code of a function of which the arguments are wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WantedCode {
    /// The entry of the body that holds the code, in the same unit.
    pub(crate) outer: usize,
    /// Of its first instruction.
    pub(crate) addr: u64,
    pub(crate) kind: SiteKind,
}

type Known<'s> = Rc<DebugUnit<Reader<'s>>>;

/// A file whose entries are described.
struct Side<'s> {
    dwarf: Rc<Dwarf<'s>>,
    units: &'s Units,
    budget: &'s Budget,
    skeleton: Option<Rc<Unit<'s>>>,
    /// By section (whether it is `.debug_types`) and offset.
    known: RefCell<HashMap<(bool, usize), Known<'s>>>,
    types: OnceCell<HashMap<DebugTypeSignature, (UnitHeader<Reader<'s>>, UnitOffset)>>,
}

/// The files of a program.
pub(super) struct Program<'s> {
    main: Side<'s>,
    alt: Option<Side<'s>>,
    frames: OnceCell<Frames<Reader<'s>>>,
    elf: &'s Elf,
    code: &'s Sections<'s>,
    debug: &'s Sections<'s>,
}

impl<'s> Program<'s> {
    /// `code` are the sections of `elf`, which holds the code; `debug` those of the file with the debug information.
    pub(super) fn new(
        elf: &'s Elf,
        code: &'s Sections<'s>,
        debug: &'s Sections<'s>,
        main: (Dwarf<'s>, &'s Units),
        alt: Option<(Dwarf<'s>, &'s Units)>,
        budget: &'s Budget,
    ) -> Self {
        let side = |(dwarf, units)| Side {
            dwarf: Rc::new(dwarf),
            units,
            budget,
            skeleton: None,
            known: RefCell::default(),
            types: OnceCell::new(),
        };
        Self { main: side(main), alt: alt.map(side), frames: OnceCell::new(), elf, code, debug }
    }

    /// The units of the main side are split ones, which stand for this one.
    pub(super) fn with_skeleton(mut self, skeleton: &Skeleton<'s>) -> Self {
        self.main.skeleton = Some(Rc::clone(&skeleton.unit));
        self
    }

    /// The entry at this offset in the section of the main file.
    pub(super) fn main_at(&self, offset: usize) -> Option<Die<Reader<'s>>> {
        self.main.at(offset)
    }

    /// The entry at this offset in the section of the supplementary file.
    pub(super) fn alt_at(&self, offset: usize) -> Option<Die<Reader<'s>>> {
        self.alt.as_ref()?.at(offset)
    }

    /// An entry of the type unit that begins at `start` of `.debug_types`.
    pub(super) fn type_unit_at(&self, start: usize, offset: UnitOffset) -> Option<Die<Reader<'s>>> {
        self.main.type_unit_at(start, offset)
    }

    /// Where the source has what an entry is about.
    pub(super) fn declared(&self, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Option<SourceLine> {
        let line = u32::try_from(number(entry, gimli::DW_AT_decl_line)?).ok()?;
        let file = file_number(&entry.attr_value(gimli::DW_AT_decl_file)?)?;
        let unit = &die.unit.unit;
        let root = unit.entry(unit.root_offset()).ok()?;
        let gimli::AttributeValue::DebugLineRef(table) = root.attr_value(gimli::DW_AT_stmt_list)? else {
            return None;
        };
        let files = FileNames::of(&die.unit.dwarf, unit, table, self.main.budget);
        Some(SourceLine { file: files.path(&die.unit.dwarf, unit, file)?, line })
    }

    /// Describes each of the places in the unit that begins at `start(place)`; none where that cannot be read. `bytes` is the
    /// size of the debug information.
    pub(super) fn describe(
        &self,
        wanted: &[Wanted],
        bytes: u64,
        start: impl Fn(&Wanted) -> Option<usize>,
    ) -> Vec<Option<Description>> {
        let context = Context::new(self, self.elf.machine, bytes);
        let describe = |wanted: &Wanted| {
            let start = start(wanted)?;
            let unit = self.main.unit_at(start)?;
            let die = |offset| Die { unit: Rc::clone(&unit), offset: UnitOffset(offset) };
            let outer = wanted.code.map(|code| die(code.outer));
            let site = wanted.code.zip(outer.as_ref());
            let site = site.map(|(code, outer)| Site { outer, pc: code.addr, kind: code.kind });
            Some(describe(&context, &die(wanted.entry.offset), site.as_ref()))
        };
        wanted.iter().map(describe).collect()
    }
}

impl<'s> Side<'s> {
    fn unit_at(&self, start: usize) -> Option<Known<'s>> {
        if let Some(unit) = self.known.borrow().get(&(false, start)) {
            return Some(Rc::clone(unit));
        }
        self.unit(self.dwarf.unit_header(DebugInfoOffset(start)).ok()?)
    }

    fn unit(&self, header: UnitHeader<Reader<'s>>) -> Option<Known<'s>> {
        let key = (header.section() == SectionId::DebugTypes, header.offset().0);
        if let Some(unit) = self.known.borrow().get(&key) {
            return Some(Rc::clone(unit));
        }
        let abbreviations = abbreviations(&self.dwarf, &header, self.budget).ok()?;
        let (mut unit, _) = open(&self.dwarf, header, abbreviations).ok()?;
        if let Some(skeleton) = &self.skeleton {
            unit.copy_relocated_attributes(skeleton);
        }
        let unit = Rc::new(DebugUnit::new(Rc::clone(&self.dwarf), Rc::new(unit)));
        self.known.borrow_mut().insert(key, Rc::clone(&unit));
        Some(unit)
    }

    fn at(&self, offset: usize) -> Option<Die<Reader<'s>>> {
        let start = self.units.get(self.units.index_at(offset)?)?.start;
        Some(Die { unit: self.unit_at(start)?, offset: UnitOffset(offset - start) })
    }

    fn type_unit_at(&self, start: usize, offset: UnitOffset) -> Option<Die<Reader<'s>>> {
        let mut headers = self.dwarf.type_units();
        while let Ok(Some(header)) = headers.next() {
            if header.offset().0 == start {
                return Some(Die { unit: self.unit(header)?, offset });
            }
        }
        None
    }

    /// The entry of the type with this signature.
    fn type_of(&self, signature: DebugTypeSignature) -> Option<Die<Reader<'s>>> {
        let types = self.types.get_or_init(|| {
            let mut types = HashMap::new();
            let mut note = |header: UnitHeader<Reader<'s>>| {
                if let UnitType::Type { type_signature, type_offset }
                | UnitType::SplitType { type_signature, type_offset } = header.type_()
                {
                    types.entry(type_signature).or_insert((header, type_offset));
                }
            };
            let mut headers = self.dwarf.type_units();
            let mut count = 0;
            while let Ok(Some(header)) = headers.next()
                && count < MAX_TYPE_UNITS
            {
                note(header);
                count += 1;
            }
            for index in 0..self.units.len() {
                let start = self.units.get(index).map(|unit| DebugInfoOffset(unit.start));
                if let Some(Ok(header)) = start.map(|start| self.dwarf.unit_header(start)) {
                    note(header);
                }
            }
            types
        });
        let (header, offset) = types.get(&signature)?;
        Some(Die { unit: self.unit(*header)?, offset: *offset })
    }
}

impl<'s> Reach<Reader<'s>> for Program<'s> {
    fn die(&self, from: &DebugUnit<Reader<'s>>, reference: Reference) -> Option<Die<Reader<'s>>> {
        let side = match &self.alt {
            Some(alt) if Rc::ptr_eq(&alt.dwarf, &from.dwarf) => alt,
            _ => &self.main,
        };
        match reference {
            Reference::Info(offset) => side.at(offset.0),
            Reference::Supplementary(offset) => self.alt.as_ref()?.at(offset.0),
            Reference::Type(signature) => side.type_of(signature),
        }
    }

    fn frames(&self) -> Option<&Frames<Reader<'s>>> {
        Some(self.frames.get_or_init(|| Frames::of(self.code, self.elf, self.debug)))
    }
}

impl Information<'_> {
    /// The signatures and arguments of places that a search found; none where the unit cannot be read again. `binary` is the
    /// file with the code.
    ///
    /// # Errors
    ///
    /// When one of its sections is not inside of it.
    pub(crate) fn details(&self, binary: &Elf, places: &[Wanted]) -> Result<Vec<Option<Description>>, Error> {
        let code = Sections::of(binary, DwarfFileType::Main)?;
        let debug = &self.main.sections;
        let bytes = debug.get(SectionId::DebugInfo).len() as u64;
        let program = || {
            let alt = self.alt.as_ref().map(|alt| (alt.sections.dwarf(), &alt.units));
            let main = (debug.dwarf(), &self.main.units);
            Program::new(binary, &code, debug, main, alt, &self.budget)
        };
        let start = |place: &Wanted| Some(self.main.units.get(place.entry.unit)?.start);
        let mut described = vec![None; places.len()];
        let (split, whole): (Vec<usize>, Vec<usize>) =
            (0..places.len()).partition(|at| places.get(*at).is_some_and(|place| place.entry.split));
        let of =
            |indices: &[usize]| -> Vec<Wanted> { indices.iter().filter_map(|at| places.get(*at).copied()).collect() };
        let mut keep = |indices: &[usize], found: Vec<Option<Description>>| {
            for (at, description) in indices.iter().zip(found) {
                if let Some(slot) = described.get_mut(*at) {
                    *slot = description;
                }
            }
        };
        let shares = Shares::new(whole.len(), SHARE);
        let parts = together(if whole.len() > SHARE { THREADS } else { 1 }, || {
            let program = program();
            let mut parts = Vec::new();
            while let Some(share) = shares.take().and_then(|share| whole.get(share)) {
                parts.push((share, program.describe(&of(share), bytes, start)));
            }
            parts
        });
        parts.into_iter().flatten().for_each(|(share, found)| keep(share, found));
        if split.is_empty() {
            return Ok(described);
        }
        let stubs = stubs(&debug.dwarf(), &self.main.units, &self.budget);
        let splits = self.splits();
        let unit_of = |at: &usize| places.get(*at).map(|place| place.entry.unit);
        for group in split.chunk_by(|a, b| unit_of(a) == unit_of(b)) {
            let unit = group.first().and_then(unit_of);
            let Some(stub) = stubs.iter().find(|stub| Some(stub.unit) == unit) else { continue };
            let found = splits.with(debug.dwarf(), stub, |opened| {
                let start = opened.units.get(opened.index).map(|unit| unit.start);
                let Opened { dwarf, units, skeleton, .. } = opened;
                let program = Program::new(binary, &code, debug, (dwarf, &units), None, &self.budget);
                program.with_skeleton(&skeleton).describe(&of(group), bytes, |_| start)
            });
            keep(group, found.unwrap_or_default());
        }
        Ok(described)
    }
}
