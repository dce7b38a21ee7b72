//! Where outlines come from, and what searches do with them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use gimli::SectionId;

use super::candidates::UnitSet;
use super::details::Wanted as Details;
use super::gather::EntryId;
use super::info::{Gaps, Information};
use super::kept::{Kept, Shelf};
use super::load::View;
use super::outline::{Making, OfUnit, Outline, Outlined};
use super::tree::NameTest;
use super::wanted::Wanted;
use crate::addr::VirtAddr;
use crate::debug::{Doing, DwarfFiles, Step};
use crate::pattern::Pattern;
use crate::search::left_out;

/// The outlines that tell of the functions which a pattern means: that of all functions, where it is kept, else what is made for
/// the pattern.
#[derive(Debug)]
pub(crate) struct Outlines {
    kept: Option<Kept>,
    made: OnceLock<Made>,
}

/// Outlines of the main file, and of split units.
#[derive(Debug, Default)]
struct Made {
    outlines: Vec<Outline<String>>,
    /// What they lack, in words.
    notes: Vec<String>,
}

impl Outlines {
    /// Reads what is kept.
    pub(crate) fn open(files: &DwarfFiles<'_>) -> Self {
        Self { kept: shelf(files).and_then(|shelf| shelf.read()), made: OnceLock::new() }
    }

    /// The functions that a pattern means; always the same pattern. An outline of all functions is made, and kept, where most of
    /// the debug information has to be read anyway.
    pub(crate) fn functions(&self, files: &DwarfFiles<'_>, pattern: &Pattern) -> Vec<Outlined<&str>> {
        let wanted = Wanted::by(pattern);
        if let Some(mut outline) = self.kept.as_ref().and_then(Kept::value::<Outline<&str>>) {
            outline.retain(pattern, &wanted);
            return outline.functions;
        }
        let make = || {
            let information = Information::open(files).map_err(|error| left_out(&error))?;
            information.outlines(pattern, &wanted).map_err(|error| left_out(&error))
        };
        let made =
            self.made.get_or_init(|| make().unwrap_or_else(|note| Made { notes: vec![note], ..Made::default() }));
        made.outlines.iter().flat_map(|outline| outline.borrowed().functions).collect()
    }

    /// What may be missing, in words.
    pub(crate) fn notes(&self) -> &[String] {
        self.made.get().map_or(&[], |made| &made.notes)
    }
}

impl Information<'_> {
    fn outlines(&self, pattern: &Pattern, wanted: &Wanted) -> gimli::Result<Made> {
        let part = if *wanted == Wanted::Any { None } else { self.few_units(pattern, wanted)? };
        let mut main = match part {
            Some(units) => self.outline_of(&units, |_| {}),
            None => self.whole_outline(),
        };
        let making = Mutex::default();
        let read = |view: &View<'_>, index, unit| self.add_to(&making, unit, OfUnit::read(view, index, unit));
        let (_, not_there) = self.in_splits(wanted, read)?;
        let mut splits = finish(making);
        for outline in [&mut main, &mut splits] {
            outline.retain(pattern, wanted);
            self.name_parameters(outline);
        }
        let damaged = main.damaged + splits.damaged + usize::from(self.main.units.damaged);
        let gaps = Gaps { damaged, exhausted: self.budget.is_spent(), not_there };
        Ok(Made { outlines: vec![main, splits], notes: gaps.notes() })
    }

    /// The units that can have what a pattern means, where they are the smaller part of all, or nothing is kept.
    fn few_units(&self, pattern: &Pattern, wanted: &Wanted) -> gimli::Result<Option<UnitSet>> {
        let units = self.units_to_read(pattern, wanted)?;
        let len = |index| self.main.units.get(index).map_or(0, |unit| unit.end - unit.start);
        let part: usize = units.iter().map(len).sum();
        let is_small = part < self.main.sections.get(SectionId::DebugInfo).len() / 2;
        Ok(Some(units).filter(|_| is_small || shelf(&self.files).is_none()))
    }

    /// The units that the kept outline names. Where there is none and all units have to be read anyway, it is made.
    pub(super) fn outlined(&self, pattern: &Pattern, wanted: &Wanted) -> Option<UnitSet> {
        let shelf = shelf(&self.files)?;
        let numbers = match shelf.read().as_ref().and_then(Kept::value::<Outline<&str>>) {
            Some(outline) => outline.units(pattern, wanted),
            None if *wanted != Wanted::Any => return None,
            None => {
                let outline = self.whole_outline();
                // What is damaged is read again, which tells that.
                let is_whole = outline.damaged == 0 && !self.budget.is_spent();
                Some(outline.units(pattern, wanted)).filter(|_| is_whole)?
            }
        };
        Some(UnitSet::of_numbers(&self.main.units, numbers))
    }

    /// The outline of all units of the main file, which is kept.
    fn whole_outline(&self) -> Outline<String> {
        let total = self.main.sections.get(SectionId::DebugInfo).len() as u64;
        let done = AtomicU64::new(0);
        let mut outline = self.outline_of(&UnitSet::all(&self.main.units), |len| {
            let done = done.fetch_add(len, Ordering::Relaxed).saturating_add(len);
            if let Some(progress) = &self.files.options().progress {
                let subject = self.files.main().contents.path();
                progress.tell(&Step { doing: Doing::Indexing, subject, done, total: Some(total) });
            }
        });
        self.name_parameters(&mut outline);
        // What is not whole would be taken for all there is.
        if let Some(shelf) = shelf(&self.files).filter(|_| outline.damaged == 0 && !self.lacks_some()) {
            shelf.write(&outline);
        }
        outline
    }

    /// The outline of some units. `read` is told how many bytes were read.
    fn outline_of(&self, units: &UnitSet, read: impl Fn(u64) + Sync) -> Outline<String> {
        let indices: Vec<usize> = units.iter().collect();
        let test = NameTest { wanted: &Wanted::Any, strings: None };
        let making = Mutex::default();
        self.each(&self.main, &indices, test, |view, index| {
            self.add_to(&making, index, OfUnit::read(view, index, index));
            read(view.units.get(index).map_or(0, |unit| (unit.end - unit.start) as u64));
        });
        finish(making)
    }

    /// Adds what a unit has, in whichever thread.
    fn add_to(&self, making: &Mutex<Making>, unit: usize, part: OfUnit) {
        let binary = self.files.binary();
        let mut making = making.lock().unwrap_or_else(PoisonError::into_inner);
        making.add(unit, part, |addr| binary.code_offset(VirtAddr(addr)).is_some());
    }

    /// Adds parameters to the names of functions that have no linkage name. Where they cannot be read, the names stay as they are.
    fn name_parameters(&self, outline: &mut Outline<String>) {
        let (entries, names): (Vec<EntryId>, Vec<&mut String>) = outline.without_parameters().into_iter().unzip();
        let wanted: Vec<Details> = entries.into_iter().map(|entry| Details { entry, code: None }).collect();
        let details = self.details(self.files.binary(), &wanted).unwrap_or_default();
        for (name, details) in names.into_iter().zip(details) {
            name.push_str(&details.map(|details| details.of_name()).unwrap_or_default());
        }
    }

    /// There is more than the units of the main file tell.
    fn lacks_some(&self) -> bool {
        self.budget.is_spent() || self.main.units.damaged || self.has_splits()
    }
}

fn finish(making: Mutex<Making>) -> Outline<String> {
    making.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

fn shelf(files: &DwarfFiles<'_>) -> Option<Shelf> {
    Shelf::of(files, "outline")
}
