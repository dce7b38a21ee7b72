//! Debug files by build ID: `.build-id/xx/yyyy.debug`, as distributions install them.

use std::fmt::Write as _;

use super::place::Candidate;
use super::{DebugFiles, DebugSource, Finder, Wanted};
use crate::elf::Elf;

pub(super) struct BuildId;

impl Finder for BuildId {
    fn source(&self) -> DebugSource {
        DebugSource::BuildId
    }

    fn candidates(&self, wanted: &Wanted, files: &DebugFiles) -> Vec<Candidate> {
        wanted.build_id.as_deref().map(|id| in_trees(id, files)).unwrap_or_default()
    }

    fn check(&self, wanted: &Wanted, found: &Elf) -> Result<(), String> {
        same(wanted.build_id.as_deref(), found)
    }
}

/// Where the debug file of that build ID is in each of the trees.
pub(super) fn in_trees(id: &[u8], files: &DebugFiles) -> Vec<Candidate> {
    // A tree has a folder for the first byte: an ID of one byte would have no name in it.
    let (Some((first, rest)), true) = (id.split_first(), id.len() >= MIN_ID) else { return Vec::new() };
    let below = format!("{}/{}.debug", hex(&[*first]), hex(rest));
    let folders = files.place.debug_folders(&files.options);
    folders.iter().map(|folder| folder.file(format!(".build-id/{below}"))).collect()
}

/// Shorter build IDs do not tell builds apart (`ld --build-id=0x…` takes any).
pub(super) const MIN_ID: usize = 2;

/// Whether a file has the build ID: the reason when not.
pub(super) fn same(wanted: Option<&[u8]>, found: &Elf) -> Result<(), String> {
    match (wanted, found.build_id()) {
        (Some(wanted), Some(found)) if wanted == found => Ok(()),
        (Some(wanted), Some(found)) => {
            Err(format!("it does not match: build ID {} instead of {}", hex(&found), hex(wanted)))
        }
        (Some(wanted), None) => Err(format!("it does not match: no build ID instead of {}", hex(wanted))),
        (None, _) => Err("nothing tells whether it matches: the binary has no build ID".to_owned()),
    }
}

/// Bytes as they are written in file names: two lower-case digits each.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
