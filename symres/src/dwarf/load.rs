//! Units with what is needed to read their entries.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use gimli::{
    Abbreviations, AttributeValue, DebugAddrBase, DebugInfoOffset, DebugLineOffset, DebugLocListsBase,
    DebugRngListsBase, DebugStrOffsetsBase, Reader as _, UnitHeader, UnitType, constants,
};

use super::budget::Budget;
use super::describe::Described;
use super::lines::FileNames;
use super::rows::{Row, rows};
use super::sections::{Dwarf, Reader, Unit};
use super::tree::{NameTest, Tree};
use super::units::Units;
use crate::pattern::Pattern;

/// So many units are kept for what refers to them.
const KEPT: usize = 48;

/// A unit that was read.
#[derive(Debug)]
pub(crate) struct Loaded<'s> {
    pub(crate) unit: Unit<'s>,
    pub(crate) tree: Tree,
    /// Of its header in the section.
    pub(crate) start: usize,
    pub(super) line_program: Option<DebugLineOffset>,
    files: OnceCell<FileNames<'s>>,
}

impl<'s> Loaded<'s> {
    /// Calls `visit` with each row of its line table.
    ///
    /// # Errors
    ///
    /// When the table is damaged.
    pub(super) fn rows(&self, view: &View<'s>, visit: impl FnMut(Row)) -> gimli::Result<()> {
        // The line table of a split unit is with its skeleton, since it has addresses.
        match (&view.skeleton, self.line_program) {
            (Some(skeleton), _) => match skeleton.line_program {
                Some(offset) => rows(&skeleton.dwarf, &skeleton.unit, offset, view.budget, visit),
                None => Ok(()),
            },
            (None, Some(offset)) => rows(&view.dwarf, &self.unit, offset, view.budget, visit),
            (None, None) => Ok(()),
        }
    }

    /// The source files in its line table that `pattern` means, with their numbers.
    pub(super) fn files_that_match(&self, view: &View<'s>, pattern: &Pattern) -> Vec<(u64, String)> {
        let Some(offset) = self.line_program else { return Vec::new() };
        let files = FileNames::of(&view.dwarf, &self.unit, offset, view.budget);
        files.matching(&view.dwarf, &self.unit, pattern)
    }

    /// The source file of this number in the table of [`Loaded::rows`].
    pub(super) fn row_file(&self, view: &View<'s>, number: u64) -> Option<String> {
        match &view.skeleton {
            Some(skeleton) => {
                let files = FileNames::of(&skeleton.dwarf, &skeleton.unit, skeleton.line_program?, view.budget);
                files.path(&skeleton.dwarf, &skeleton.unit, number)
            }
            None => self.file(view, number),
        }
    }

    /// The source file of this number in the unit's line table.
    pub(crate) fn file(&self, view: &View<'s>, number: u64) -> Option<String> {
        // A split unit without a table of its own uses that of its skeleton.
        let (dwarf, unit, offset) = match (self.line_program, &view.skeleton) {
            (Some(offset), _) => (&view.dwarf, &self.unit, offset),
            (None, Some(skeleton)) => (&*skeleton.dwarf, &*skeleton.unit, skeleton.line_program?),
            (None, None) => return None,
        };
        let files = self.files.get_or_init(|| FileNames::of(dwarf, unit, offset, view.budget));
        files.path(dwarf, unit, number)
    }
}

/// The unit in the main file that stands for one in another file (split DWARF). It has the addresses.
#[derive(Debug)]
pub(crate) struct Skeleton<'s> {
    pub(crate) dwarf: Rc<Dwarf<'s>>,
    pub(crate) unit: Rc<Unit<'s>>,
    pub(crate) line_program: Option<DebugLineOffset>,
}

/// A section of units as one thread reads it.
#[derive(Debug)]
pub(crate) struct View<'s> {
    pub(crate) dwarf: Dwarf<'s>,
    pub(crate) units: &'s Units,
    pub(crate) budget: &'s Budget,
    pub(crate) test: NameTest<'s>,
    /// For split units.
    pub(crate) skeleton: Option<Skeleton<'s>>,
    /// The supplementary file.
    pub(crate) alt: Option<Box<View<'s>>>,
    /// Functions that were described, by the offset of their entry in the section.
    pub(super) described: RefCell<HashMap<usize, Arc<Described>>>,
    /// The table that was used last: units that are linked together often share one.
    abbreviations: RefCell<Option<(usize, Arc<Abbreviations>)>>,
    loaded: RefCell<HashMap<usize, Rc<Loaded<'s>>>>,
}

impl<'s> View<'s> {
    pub(crate) fn new(dwarf: Dwarf<'s>, units: &'s Units, budget: &'s Budget, test: NameTest<'s>) -> Self {
        Self {
            dwarf,
            units,
            budget,
            test,
            skeleton: None,
            alt: None,
            described: RefCell::default(),
            abbreviations: RefCell::default(),
            loaded: RefCell::default(),
        }
    }

    /// Reads the unit of this index, or finds it among those that were read last.
    ///
    /// # Errors
    ///
    /// When its header or its root cannot be read. What is damaged behind them is left out.
    pub(crate) fn load(&self, index: usize) -> gimli::Result<Rc<Loaded<'s>>> {
        if let Some(loaded) = self.loaded.borrow().get(&index) {
            return Ok(Rc::clone(loaded));
        }
        let span = self.units.get(index).ok_or(gimli::Error::OffsetOutOfBounds(index as u64))?;
        let header = self.dwarf.unit_header(DebugInfoOffset(span.start))?;
        let abbreviations = self.abbreviations(&header)?;
        let (mut unit, line_program) = open(&self.dwarf, header, abbreviations)?;
        if let Some(skeleton) = &self.skeleton {
            unit.copy_relocated_attributes(&skeleton.unit);
        }
        let tree = Tree::of(&self.dwarf, &unit, self.test);
        let loaded = Rc::new(Loaded { unit, tree, start: span.start, line_program, files: OnceCell::new() });
        let mut kept = self.loaded.borrow_mut();
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(index, Rc::clone(&loaded));
        Ok(loaded)
    }

    /// Reads the root of the unit of this index.
    pub(super) fn load_root(&self, index: usize) -> Option<Loaded<'s>> {
        let start = self.units.get(index)?.start;
        let header = self.dwarf.unit_header(DebugInfoOffset(start)).ok()?;
        let abbreviations = self.abbreviations(&header).ok()?;
        let (unit, line_program) = open(&self.dwarf, header, abbreviations).ok()?;
        Some(Loaded { unit, tree: Tree::default(), start, line_program, files: OnceCell::new() })
    }

    /// The abbreviations of a unit.
    fn abbreviations(&self, header: &UnitHeader<Reader<'s>, usize>) -> gimli::Result<Arc<Abbreviations>> {
        let offset = header.debug_abbrev_offset();
        let mut last = self.abbreviations.borrow_mut();
        if let Some((at, abbreviations)) = last.as_ref()
            && *at == offset.0
        {
            return Ok(Arc::clone(abbreviations));
        }
        let abbreviations = abbreviations(&self.dwarf, header, self.budget)?;
        *last = Some((offset.0, Arc::clone(&abbreviations)));
        Ok(abbreviations)
    }
}

/// Reads the abbreviations of a unit.
pub(crate) fn abbreviations<'s>(
    dwarf: &Dwarf<'s>,
    header: &UnitHeader<Reader<'s>, usize>,
    budget: &Budget,
) -> gimli::Result<Arc<Abbreviations>> {
    budget.spend(table_len(dwarf, header.debug_abbrev_offset().0)?)?;
    header.abbreviations(&dwarf.debug_abbrev).map(Arc::new)
}

/// The most attributes of an entry that take no bytes in it. Compilers use some ten; with thousands, each byte of a file could
/// cost as much work.
const MAX_EMPTY: usize = 64;

/// The length of the table of abbreviations at `offset` (DWARF 5, 7.5.3).
///
/// # Errors
///
/// When it is damaged, or would make entries take work without bytes.
fn table_len(dwarf: &Dwarf<'_>, offset: usize) -> gimli::Result<usize> {
    let mut input = *gimli::Section::reader(&dwarf.debug_abbrev);
    input.skip(offset)?;
    let start = input;
    while input.read_uleb128()? != 0 {
        input.skip_leb128()?;
        input.read_u8()?;
        let mut empty = 0;
        loop {
            let name = input.read_uleb128()?;
            let form = input.read_uleb128()?;
            if form == u64::from(constants::DW_FORM_implicit_const.0) {
                input.skip_leb128()?;
                empty += 1;
            }
            empty += usize::from(form == u64::from(constants::DW_FORM_flag_present.0));
            if empty > MAX_EMPTY {
                return Err(gimli::Error::TooManyIterations);
            }
            if name == 0 && form == 0 {
                break;
            }
        }
    }
    Ok(input.offset_from(&start))
}

/// As [`gimli::Unit::new`], but what its root tells beyond names and addresses (a line table that cannot be read, a name)
/// is no reason to do without the unit.
pub(crate) fn open<'s>(
    dwarf: &Dwarf<'s>,
    header: UnitHeader<Reader<'s>, usize>,
    abbreviations: Arc<Abbreviations>,
) -> gimli::Result<(Unit<'s>, Option<DebugLineOffset>)> {
    let (encoding, file_type) = (header.encoding(), dwarf.file_type);
    let mut unit = Unit {
        abbreviations,
        name: None,
        comp_dir: None,
        low_pc: 0,
        str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(encoding, file_type),
        addr_base: DebugAddrBase(0),
        loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, file_type),
        rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, file_type),
        line_program: None,
        dwo_id: match header.type_() {
            UnitType::Skeleton(id) | UnitType::SplitCompilation(id) => Some(id),
            _ => None,
        },
        header,
    };
    let root = unit.entry(unit.header.root_offset())?;
    let mut line_program = None;
    for attribute in root.attrs() {
        match (attribute.name(), attribute.value()) {
            (constants::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => line_program = Some(offset),
            (constants::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                unit.str_offsets_base = base;
            }
            (constants::DW_AT_addr_base | constants::DW_AT_GNU_addr_base, AttributeValue::DebugAddrBase(base)) => {
                unit.addr_base = base
            }
            (constants::DW_AT_loclists_base, AttributeValue::DebugLocListsBase(base)) => unit.loclists_base = base,
            (
                constants::DW_AT_rnglists_base | constants::DW_AT_GNU_ranges_base,
                AttributeValue::DebugRngListsBase(base),
            ) => unit.rnglists_base = base,
            (constants::DW_AT_GNU_dwo_id, AttributeValue::DwoId(id)) => unit.dwo_id = unit.dwo_id.or(Some(id)),
            _ => {}
        }
    }
    // These may need the bases above, wherever those stand.
    for attribute in root.attrs() {
        match attribute.name() {
            constants::DW_AT_name => unit.name = dwarf.attr_string(&unit, attribute.value()).ok(),
            constants::DW_AT_comp_dir => unit.comp_dir = dwarf.attr_string(&unit, attribute.value()).ok(),
            constants::DW_AT_low_pc => {
                unit.low_pc = dwarf.attr_address(&unit, attribute.value()).ok().flatten().unwrap_or(0);
            }
            _ => {}
        }
    }
    Ok((unit, line_program))
}
