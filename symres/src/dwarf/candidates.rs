//! Which units may hold a function of a name, found without parsing any.
//!
//! A unit can only name a function by a string in it or by the offset of one in a section of strings, and refer to an entry
//! of another unit only by that one's offset in the section. Both stand in its bytes as they are, so bytes are searched. A unit
//! in which they stand by chance is parsed for nothing; none is missed.

use std::ops::{ControlFlow, Range};

use memchr::memmem::Finder;

use super::reader::Section;
use super::stream::pieces;
use super::units::Units;
use super::values::{Scanner, Values};
use super::wanted::Wanted;
use crate::parallel::{Shares, THREADS, together};

/// How much one thread takes at a time.
const SHARE: usize = 1 << 20;
/// Less than this is not worth starting a thread for, which takes some 50 µs.
const WORTH_A_THREAD: usize = 2 << 20;

/// A set of units by their index.
#[derive(Clone, Debug)]
pub(crate) struct UnitSet {
    marks: Vec<bool>,
}

impl UnitSet {
    pub(crate) fn none(units: &Units) -> Self {
        Self { marks: vec![false; units.len()] }
    }

    pub(crate) fn all(units: &Units) -> Self {
        Self { marks: vec![true; units.len()] }
    }

    /// Those of these indices that there are.
    pub(crate) fn of_numbers(units: &Units, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut set = Self::none(units);
        numbers.into_iter().filter_map(|number| usize::try_from(number).ok()).for_each(|index| set.insert(index));
        set
    }

    pub(crate) fn insert(&mut self, index: usize) {
        if let Some(mark) = self.marks.get_mut(index) {
            *mark = true;
        }
    }

    /// Leaves the first `count` of them.
    pub(crate) fn keep_first(&mut self, count: usize) {
        for mark in self.marks.iter_mut().filter(|mark| **mark).skip(count) {
            *mark = false;
        }
    }

    pub(crate) fn union(&mut self, other: &Self) {
        for (mark, more) in self.marks.iter_mut().zip(&other.marks) {
            *mark |= more;
        }
    }

    /// Their indices, as they are kept.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.iter().filter_map(|index| u32::try_from(index).ok()).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.marks.iter().enumerate().filter(|(_, mark)| **mark).map(|(index, _)| index)
    }
}

/// The units in which one of `values` stands, or a name in the unit itself (`DW_FORM_string`) that fits `inline`.
///
/// # Errors
///
/// When the section cannot be read.
pub(crate) fn units_with(
    section: &Section<'_>,
    units: &Units,
    values: &Values,
    inline: Option<&Wanted>,
) -> Result<UnitSet, gimli::Error> {
    let inline = inline.into_iter().flat_map(|wanted| {
        wanted.texts().iter().filter(|text| !text.is_empty()).map(move |text| (wanted, Finder::new(text)))
    });
    let inline = inline.collect();
    let search = Search { section, units, inline, scanner: values.scanner(section.endian()) };
    let shares = Shares::new(section.len(), SHARE);
    let threads = if section.len() < WORTH_A_THREAD { 1 } else { THREADS };
    let mut all = UnitSet::none(units);
    for found in together(threads, || search.run(&shares)) {
        all.union(&found?);
    }
    Ok(all)
}

struct Search<'a> {
    section: &'a Section<'a>,
    units: &'a Units,
    inline: Vec<(&'a Wanted, Finder<'a>)>,
    scanner: Scanner<'a>,
}

impl Search<'_> {
    fn run(&self, shares: &Shares) -> Result<UnitSet, gimli::Error> {
        let mut found = UnitSet::none(self.units);
        let longest = self.inline.iter().map(|(_, finder)| finder.needle().len()).fold(4, usize::max);
        while let Some(share) = shares.take() {
            // What begins in this share and ends in the next is seen here.
            let range = share.start..share.end.saturating_add(longest).min(self.section.len());
            self.share(range, longest, &mut found)?;
        }
        Ok(found)
    }

    fn share(&self, range: Range<usize>, overlap: usize, found: &mut UnitSet) -> Result<(), gimli::Error> {
        pieces(self.section, range, overlap, |start, bytes| {
            self.scanner.scan(bytes, |at| self.mark(start, at, found));
            for (wanted, finder) in &self.inline {
                let mut from = 0;
                while let Some(at) = bytes.get(from..).and_then(|rest| finder.find(rest)) {
                    let at = from + at;
                    let next = bytes.get(at + finder.needle().len()).copied();
                    from = if wanted.may_end_with(next) { self.mark(start, at, found) } else { at + 1 };
                }
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(())
    }

    /// Takes the unit at byte `at` of the piece that begins at `start`: from where in the piece to search on. That is behind
    /// the unit, since it needs to be found only once.
    fn mark(&self, start: usize, at: usize, found: &mut UnitSet) -> usize {
        match self.units.index_at(start + at) {
            Some(index) => {
                found.insert(index);
                self.units.get(index).map_or(at + 1, |unit| unit.end - start).max(at + 1)
            }
            None => at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use gimli::RunTimeEndian;

    use super::*;

    /// Units of 100 bytes with `marks` at their offsets in the section.
    fn found(count: usize, marks: &[(usize, &[u8])], values: &Values, inline: Option<&Wanted>) -> Vec<usize> {
        let mut bytes = [vec![96, 0, 0, 0], vec![0xee; 96]].concat().repeat(count);
        for (at, mark) in marks {
            bytes[*at..at + mark.len()].copy_from_slice(mark);
        }
        let section = Section::in_memory(&bytes, RunTimeEndian::Little);
        let units = Units::of(&section);
        assert_eq!(units.len(), count);
        units_with(&section, &units, values, inline).unwrap().iter().collect()
    }

    #[test]
    fn strings_and_their_offsets() {
        let values = Values::new(vec![(0x1234, 0x1234)]);
        let word = Wanted::Words(vec!["lock".into()]);
        let marks: &[(usize, &[u8])] = &[
            (107, &[0x34, 0x12, 0, 0]),
            (190, &[0x34, 0x12, 0, 0]),
            (310, b"lock\0"),
            (410, b"lock<"),
            (510, b"locks"),
        ];
        assert_eq!(found(7, marks, &values, Some(&word)), [1, 3, 4]);
        assert_eq!(found(7, marks, &values, Some(&Wanted::Part("lock".into()))), [1, 3, 4, 5]);
        assert_eq!(found(7, marks, &values, None), [1]);
    }

    #[test]
    fn what_lies_across_two_shares_is_found() {
        let values = Values::new(vec![(0x1234, 0x1234)]);
        let count = 3 * SHARE / 100;
        for back in 0..6 {
            let marks: &[(usize, &[u8])] = &[(SHARE - back, &[0x34, 0x12, 0, 0]), (2 * SHARE - back, b"lock\0")];
            let expect: Vec<usize> = marks.iter().map(|(at, _)| at / 100).collect();
            assert_eq!(found(count, marks, &values, Some(&Wanted::Words(vec!["lock".into()]))), expect, "{back}");
        }
    }
}
