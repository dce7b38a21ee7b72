//! Which units have code of functions of each name, kept between runs.
//!
//! A file in the folder of [`Options::index_dir`](crate::Options::index_dir), all numbers little-endian:
//!
//! | what | size |
//! |---|---|
//! | [`MAGIC`], which changes with the layout | 8 |
//! | CRC-32 of all that follows | 4 |
//! | number of units, of names, of references, bytes of text, bytes of identity | 5 × 4 |
//! | the identity of the indexed files | |
//! | for each name, in the order of their bytes: where it begins in the text, its length, its first reference, how many it has | 4 × 4 |
//! | references: indices of units in `.debug_info` | 4 each |
//! | the text of the names | |
//!
//! It is written to a file of another name first, so that nobody sees half of it. What does not fit in any way (damaged, of other
//! files, of another version) is as good as none, and is written again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::candidates::UnitSet;
use super::units::Units;
use super::wanted::Wanted;

/// How an index begins.
const MAGIC: &[u8; 8] = b"symres\x001";
/// Where the identity begins.
const HEADER: usize = 32;
/// Bytes of a name's entry.
const ENTRY: usize = 16;
/// Larger ones are neither written nor read: LLVM's with all debug information has 30 MB.
const MAX_LEN: u64 = 256 << 20;

/// The names and the units that have code of such functions. The empty name stands for what could not be read.
pub(super) type Names = BTreeMap<Vec<u8>, Vec<u32>>;

/// An index in memory.
#[derive(Debug)]
pub(super) struct Index {
    bytes: Vec<u8>,
    names: usize,
    entries: Range<usize>,
    references: Range<usize>,
    text: Range<usize>,
}

impl Index {
    /// Reads the index at `path`: none when there is none for the files of this identity.
    pub(super) fn read(path: &Path, identity: &str, units: &Units) -> Option<Self> {
        let file = File::open(path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_LEN {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut bytes).ok()?;
        Self::parse(bytes, identity, units)
    }

    fn parse(bytes: Vec<u8>, identity: &str, units: &Units) -> Option<Self> {
        let checked = bytes.strip_prefix(MAGIC)?.get(4..)?;
        if crc32fast::hash(checked) != number(&bytes, 8)? {
            return None;
        }
        let size = |at: usize| usize::try_from(number(&bytes, at)?).ok();
        let [unit_count, names, references, text, identity_len] =
            [size(12)?, size(16)?, size(20)?, size(24)?, size(28)?];
        let entries_at = HEADER.checked_add(identity_len)?;
        let references_at = entries_at.checked_add(names.checked_mul(ENTRY)?)?;
        let text_at = references_at.checked_add(references.checked_mul(4)?)?;
        let end = text_at.checked_add(text)?;
        let fits = end == bytes.len() && unit_count == units.len();
        if !fits || bytes.get(HEADER..entries_at)? != identity.as_bytes() {
            return None;
        }
        Some(Self {
            bytes,
            names,
            entries: entries_at..references_at,
            references: references_at..text_at,
            text: text_at..end,
        })
    }

    /// The units with code of functions whose name is wanted.
    pub(super) fn units(&self, wanted: &Wanted, units: &Units) -> UnitSet {
        let mut found = UnitSet::none(units);
        // Units that could not be read are read again, so that this is told each time.
        if self.name(0).is_some_and(<[u8]>::is_empty) {
            self.add(0, &mut found);
        }
        match wanted {
            Wanted::Words(words) => {
                for word in words {
                    for start in [word.clone(), format!("~{word}")] {
                        self.beginning_with(start.as_bytes(), wanted, &mut found);
                    }
                }
            }
            Wanted::Any | Wanted::Part(_) => {
                for index in 0..self.names {
                    if self.name(index).is_some_and(|name| wanted.fits(name)) {
                        self.add(index, &mut found);
                    }
                }
            }
        }
        found
    }

    /// The units of exactly this name: none where the index does not have it.
    pub(super) fn units_of(&self, name: &[u8], units: &Units) -> Option<UnitSet> {
        let index = self.first_not_before(name);
        self.name(index).filter(|found| *found == name)?;
        let mut found = UnitSet::none(units);
        self.add(index, &mut found);
        Some(found)
    }

    /// All that it has.
    pub(super) fn names(&self, units: &Units) -> Names {
        let name = |index| Some(self.name(index)?.to_owned());
        let names = (0..self.names).filter_map(name);
        names
            .map(|name| (self.units_of(&name, units), name))
            .filter_map(|(units, name)| Some((name, units?.numbers())))
            .collect()
    }

    /// The index of the first name that is not before `start` in the order of their bytes.
    fn first_not_before(&self, start: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.names);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.name(middle).is_some_and(|name| name < start) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn beginning_with(&self, start: &[u8], wanted: &Wanted, found: &mut UnitSet) {
        for index in self.first_not_before(start)..self.names {
            match self.name(index) {
                Some(name) if name.starts_with(start) => {
                    if wanted.fits(name) {
                        self.add(index, found);
                    }
                }
                _ => break,
            }
        }
    }

    fn field(&self, index: usize, field: usize) -> Option<usize> {
        let at = self.entries.start.checked_add(index.checked_mul(ENTRY)?)?.checked_add(4 * field)?;
        usize::try_from(number(&self.bytes, at)?).ok()
    }

    fn name(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.text.clone())?.get(self.field(index, 0)?..)?.get(..self.field(index, 1)?)
    }

    fn add(&self, index: usize, found: &mut UnitSet) {
        let (Some(first), Some(count)) = (self.field(index, 2), self.field(index, 3)) else { return };
        let references = self.bytes.get(self.references.clone()).unwrap_or_default();
        for reference in references.chunks_exact(4).skip(first).take(count) {
            if let Some(unit) = number(reference, 0).and_then(|unit| usize::try_from(unit).ok()) {
                found.insert(unit);
            }
        }
    }
}

/// The bytes of an index: none when it would be too large.
fn encode(names: &Names, identity: &str, units: &Units) -> Option<Vec<u8>> {
    let size = |len: usize| u32::try_from(len).ok().map(u32::to_le_bytes);
    let (mut entries, mut references, mut text) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    for (name, of_name) in names {
        for field in [size(text.len())?, size(name.len())?, size(count)?, size(of_name.len())?] {
            entries.extend(field);
        }
        text.extend(name);
        references.extend(of_name.iter().flat_map(|unit| unit.to_le_bytes()));
        count += of_name.len();
    }
    let mut checked = Vec::new();
    for field in [units.len(), names.len(), count, text.len(), identity.len()] {
        checked.extend(size(field)?);
    }
    for part in [identity.as_bytes(), &entries, &references, &text] {
        checked.extend(part);
    }
    let mut bytes = MAGIC.to_vec();
    bytes.extend(crc32fast::hash(&checked).to_le_bytes());
    bytes.extend(checked);
    (bytes.len() as u64 <= MAX_LEN).then_some(bytes)
}

/// Writes an index to `path`. That it cannot be is no error: the next search finds none.
pub(super) fn write(path: &Path, names: &Names, identity: &str, units: &Units) -> Option<()> {
    let bytes = encode(names, identity, units)?;
    let folder = path.parent()?;
    std::fs::create_dir_all(folder).ok()?;
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    file.write_all(&bytes).ok()?;
    file.persist(path).ok().map(drop)
}

/// The file in `folder` for files of this identity.
pub(super) fn path(folder: &Path, identity: &str) -> PathBuf {
    let start: String = identity.chars().take_while(char::is_ascii_hexdigit).take(40).collect();
    folder.join(format!("{start}-{:08x}.index", crc32fast::hash(identity.as_bytes())))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use gimli::RunTimeEndian;

    use super::*;
    use crate::dwarf::reader::Section;

    fn units(count: usize) -> Units {
        let bytes = [3, 0, 0, 0, 1, 2, 3].repeat(count);
        Units::of(&Section::in_memory(&bytes, RunTimeEndian::Little))
    }

    fn names() -> Names {
        let mut names = Names::new();
        for (name, of_name) in
            [("lock", &[1][..]), ("lock<int>", &[0, 3]), ("lock_all", &[2]), ("~lock", &[4]), ("unlock", &[2, 3])]
        {
            names.insert(name.into(), of_name.to_vec());
        }
        names
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let units = units(5);
        let at = path(&folder.path().join("new"), "00ff 12");
        assert!(at.ends_with(format!("00ff-{:08x}.index", crc32fast::hash(b"00ff 12"))), "{at:?}");
        write(&at, &names(), "00ff 12", &units).unwrap();
        let index = Index::read(&at, "00ff 12", &units).unwrap();
        let found = |wanted: Wanted| index.units(&wanted, &units).iter().collect::<Vec<_>>();
        let words = |words: &[&str]| Wanted::Words(words.iter().map(|word| (*word).to_owned()).collect());
        assert_eq!(found(words(&["lock"])), [0, 1, 3, 4]);
        assert_eq!(found(words(&["lock", "unlock"])), [0, 1, 2, 3, 4]);
        assert_eq!(found(words(&["loc"])), [0; 0]);
        assert_eq!(found(Wanted::Part("unl".into())), [2, 3]);
        assert_eq!(found(Wanted::Any), [0, 1, 2, 3, 4]);
        assert!(Index::read(&at, "00ff 13", &units).is_none(), "of another file");
        assert!(Index::read(&at, "00ff 12", &self::units(4)).is_none(), "of other units");
        assert_eq!(std::fs::read_dir(at.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn a_damaged_index_is_none() {
        let units = units(5);
        let bytes = encode(&names(), "id", &units).unwrap();
        assert!(Index::parse(bytes.clone(), "id", &units).is_some());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(Index::parse(damaged, "id", &units).is_none(), "byte {at}");
            assert!(Index::parse(bytes[..at].to_vec(), "id", &units).is_none(), "{at} bytes");
        }
        // With the right checksum, every number may still be wrong.
        for at in (12..bytes.len() - 4).step_by(4) {
            for value in [0_u32, 1, u32::MAX / 2, u32::MAX] {
                let mut hostile = bytes.clone();
                hostile[at..at + 4].copy_from_slice(&value.to_le_bytes());
                let crc = crc32fast::hash(&hostile[12..]);
                hostile[8..12].copy_from_slice(&crc.to_le_bytes());
                if let Some(index) = Index::parse(hostile, "id", &units) {
                    for wanted in [Wanted::Any, Wanted::Words(vec!["lock".into()])] {
                        assert!(index.units(&wanted, &units).iter().count() <= 5);
                    }
                }
            }
        }
    }
}
