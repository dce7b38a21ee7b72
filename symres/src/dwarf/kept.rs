//! What is kept of a binary's debug information between runs, a file for each kind of it.
//!
//! A file in the folder of [`Options::index_dir`](crate::Options::index_dir), its numbers little-endian:
//!
//! | what | size |
//! |---|---|
//! | [`MAGIC`], which changes with the layout | 8 |
//! | CRC-32 of all that follows | 4 |
//! | length of the identity | 4 |
//! | the identity: of which kind and of which files it is | |
//! | the value, as `postcard` writes it | |
//!
//! It is written to a file of another name first, so that nobody sees half of it. What does not fit in any way (damaged, of other
//! files, of another version) is as good as none, and is written again.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::debug::DwarfFiles;

/// How a file begins.
const MAGIC: &[u8; 8] = b"symres\x002";
/// Where the length of the identity stands, and where the identity begins.
const LENGTH: usize = 12;
const IDENTITY: usize = 16;
/// Larger ones are neither written nor read: that of all functions of LLVM has 30 MB.
const MAX_LEN: u64 = 256 << 20;

/// Where something is kept, and what tells whether it is still true.
#[derive(Debug)]
pub(super) struct Shelf {
    path: PathBuf,
    identity: String,
}

impl Shelf {
    /// The place of what is of this kind for these files; none where nothing is to be kept.
    pub(super) fn of(files: &DwarfFiles<'_>, kind: &str) -> Option<Self> {
        let folder = files.options().index_dir.as_deref()?;
        let main = files.main();
        let build_id: String = main.build_id().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        let alt = match files.supplementary() {
            Some(alt) => alt.contents.version()?,
            None => String::new(),
        };
        Some(Self::new(folder, format!("{build_id} {} {alt} {kind}", main.contents.version()?)))
    }

    fn new(folder: &Path, identity: String) -> Self {
        let start: String = identity.chars().take_while(char::is_ascii_hexdigit).take(40).collect();
        let path = folder.join(format!("{start}-{:08x}.index", crc32fast::hash(identity.as_bytes())));
        Self { path, identity }
    }

    /// What was kept: none when there is nothing, or not for these files.
    pub(super) fn read(&self) -> Option<Kept> {
        let file = File::open(&self.path).ok()?;
        let metadata = file.metadata().ok()?;
        if !metadata.is_file() || metadata.len() > MAX_LEN {
            return None;
        }
        let mut bytes = Vec::new();
        file.take(MAX_LEN + 1).read_to_end(&mut bytes).ok()?;
        self.check(bytes)
    }

    fn check(&self, bytes: Vec<u8>) -> Option<Kept> {
        let (sum, checked) = bytes.strip_prefix(MAGIC)?.split_first_chunk()?;
        if crc32fast::hash(checked) != u32::from_le_bytes(*sum) {
            return None;
        }
        let length = usize::try_from(u32::from_le_bytes(*bytes.get(LENGTH..)?.first_chunk()?)).ok()?;
        let value = IDENTITY.checked_add(length)?;
        (bytes.get(IDENTITY..value)? == self.identity.as_bytes()).then_some(Kept { bytes, value })
    }

    /// Keeps a value. That it cannot be is no error: the next search finds none.
    pub(super) fn write(&self, value: &impl Serialize) -> Option<()> {
        let bytes = self.encode(value).filter(|bytes| bytes.len() as u64 <= MAX_LEN)?;
        let folder = self.path.parent()?;
        std::fs::create_dir_all(folder).ok()?;
        let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
        file.write_all(&bytes).ok()?;
        file.persist(&self.path).ok().map(drop)
    }

    fn encode(&self, value: &impl Serialize) -> Option<Vec<u8>> {
        let mut bytes = [MAGIC.as_slice(), &[0; 4]].concat();
        bytes.extend(u32::try_from(self.identity.len()).ok()?.to_le_bytes());
        bytes.extend(self.identity.as_bytes());
        let mut bytes = postcard::to_extend(value, bytes).ok()?;
        let sum = crc32fast::hash(bytes.get(LENGTH..)?);
        bytes.get_mut(MAGIC.len()..LENGTH)?.copy_from_slice(&sum.to_le_bytes());
        Some(bytes)
    }
}

/// What was kept, in memory.
#[derive(Debug)]
pub(crate) struct Kept {
    bytes: Vec<u8>,
    /// Where the value begins.
    value: usize,
}

impl Kept {
    /// The value; none where it is not of this type.
    pub(super) fn value<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        postcard::from_bytes(self.bytes.get(self.value..)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Value = Vec<(String, Vec<u32>)>;

    fn value() -> Value {
        vec![("lock".to_owned(), vec![1, 300]), ("unlock".to_owned(), Vec::new())]
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(&folder.path().join("new"), "00ff 12".to_owned());
        assert!(shelf.path.ends_with(format!("00ff-{:08x}.index", crc32fast::hash(b"00ff 12"))), "{shelf:?}");
        shelf.write(&value()).unwrap();
        assert_eq!(shelf.read().unwrap().value::<Value>(), Some(value()));
        let other = Shelf { path: shelf.path.clone(), identity: "00ff 13".to_owned() };
        assert!(other.read().is_none(), "of another file");
        assert_eq!(std::fs::read_dir(shelf.path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    }

    #[test]
    fn what_is_damaged_is_none() {
        let shelf = Shelf::new(Path::new(""), "id".to_owned());
        let bytes = shelf.encode(&value()).unwrap();
        assert!(shelf.check(bytes.clone()).is_some());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            assert!(shelf.check(damaged).is_none(), "byte {at}");
            assert!(shelf.check(bytes[..at].to_vec()).is_none(), "{at} bytes");
        }
        // With the right checksum, what it says may still be anything.
        for at in LENGTH..bytes.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut hostile = bytes.clone();
                hostile[at] = byte;
                let sum = crc32fast::hash(&hostile[LENGTH..]);
                hostile[MAGIC.len()..LENGTH].copy_from_slice(&sum.to_le_bytes());
                if let Some(value) = shelf.check(hostile).and_then(|kept| kept.value::<Value>()) {
                    assert!(value.len() <= bytes.len());
                }
            }
        }
    }
}
