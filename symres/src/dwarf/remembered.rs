//! The units in which a name was found by searching bytes, kept between runs, so that the same name is not searched for again.
//!
//! A file beside the index, in the same layout ([`super::index`]) and checked in the same way. Its names are those that were
//! searched for, and its units those that a search has to read: all in which the name stands, or which refer to such a one.

use super::candidates::UnitSet;
use super::index::{self, Index, Names};
use super::info::Information;
use super::wanted::Wanted;

/// With so many names the file is begun anew.
const MAX_NAMES: usize = 256;
/// Reading so many units is what takes time, and finding them again does not.
const MAX_UNITS: usize = 4096;

impl Information<'_> {
    /// The units that an earlier search for the same names found.
    pub(super) fn remembered(&self, wanted: &Wanted) -> Option<UnitSet> {
        self.searched()?.units_of(&key(wanted)?, &self.main.units)
    }

    /// Keeps what a search for `wanted` found. That it cannot is no error: the next one searches again.
    pub(super) fn remember(&self, wanted: &Wanted, units: &UnitSet) -> Option<()> {
        let folder = self.files.options().index_dir.as_deref()?;
        let (key, numbers) = (key(wanted)?, units.numbers());
        if numbers.len() > MAX_UNITS || self.budget.is_spent() {
            return None;
        }
        let identity = self.searched_identity()?;
        let known = self.searched().map(|index| index.names(&self.main.units));
        let mut names: Names = known.filter(|names| names.len() < MAX_NAMES).unwrap_or_default();
        names.insert(key, numbers);
        index::write(&index::path(folder, &identity), &names, &identity, &self.main.units)
    }

    fn searched(&self) -> Option<Index> {
        let folder = self.files.options().index_dir.as_deref()?;
        let identity = self.searched_identity()?;
        Index::read(&index::path(folder, &identity), &identity, &self.main.units)
    }

    fn searched_identity(&self) -> Option<String> {
        Some(format!("{} searched", self.identity()?))
    }
}

/// What stands for the names in the file: none for what no bytes are searched for.
fn key(wanted: &Wanted) -> Option<Vec<u8>> {
    match wanted {
        Wanted::Words(words) => Some(words.join("\0").into_bytes()),
        Wanted::Any | Wanted::Part(_) => None,
    }
}
