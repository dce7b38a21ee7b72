//! The units in which a name was found by searching bytes, kept between runs, so that the same name is not searched for again:
//! all in which the name stands, or which refer to such a one.

use std::collections::BTreeMap;

use super::candidates::UnitSet;
use super::info::Information;
use super::kept::Shelf;
use super::wanted::Wanted;

/// With so many names the file is begun anew.
const MAX_NAMES: usize = 256;
/// Reading so many units is what takes time, and finding them again does not.
const MAX_UNITS: usize = 4096;

/// Units by what was searched for.
type Searched = BTreeMap<String, Vec<u32>>;

impl Information<'_> {
    /// The units that an earlier search for the same names found.
    pub(super) fn remembered(&self, wanted: &Wanted) -> Option<UnitSet> {
        let numbers = self.searched()?.remove(&key(wanted)?)?;
        Some(UnitSet::of_numbers(&self.main.units, numbers))
    }

    /// Keeps what a search for `wanted` found. That it cannot is no error: the next one searches again.
    pub(super) fn remember(&self, wanted: &Wanted, units: &UnitSet) -> Option<()> {
        let (key, numbers) = (key(wanted)?, units.numbers());
        if numbers.len() > MAX_UNITS || self.budget.is_spent() {
            return None;
        }
        let mut searched = self.searched().filter(|searched| searched.len() < MAX_NAMES).unwrap_or_default();
        searched.insert(key, numbers);
        self.shelf()?.write(&searched)
    }

    fn searched(&self) -> Option<Searched> {
        self.shelf()?.read()?.value()
    }

    fn shelf(&self) -> Option<Shelf> {
        Shelf::of(&self.files, "searched")
    }
}

/// What stands for the names in the file: none for what no bytes are searched for.
fn key(wanted: &Wanted) -> Option<String> {
    match wanted {
        Wanted::Words(words) => Some(words.join("\0")),
        Wanted::Any | Wanted::Part(_) => None,
    }
}
