//! The debug file that a binary names: `.gnu_debuglink`, written by `objcopy --add-gnu-debuglink` and `eu-strip -f`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::place::Candidate;
use super::{DebugFiles, DebugSource, Finder, Wanted, build_id};
use crate::elf::Elf;
use crate::file::Contents;

/// The section is a name and four bytes; longer ones are not read.
const MAX_SECTION: u64 = 4096;
/// How much of a file is read at once for its checksum.
const PIECE: usize = 1 << 20;

/// The contents of `.gnu_debuglink`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DebugLink {
    /// A file name, without a folder.
    pub(super) name: PathBuf,
    /// Of the whole file.
    pub(super) crc: u32,
}

impl DebugLink {
    /// Layout (documentation of GDB, "Separate Debug Files"): a file name, a zero, up to three more zeroes so that what
    /// follows is aligned to four bytes, the CRC-32 in the byte order of the file.
    pub(super) fn of(elf: &Elf) -> Option<Self> {
        let section = elf.section_data(".gnu_debuglink").ok()??;
        if section.len() > MAX_SECTION {
            return None;
        }
        let bytes = section.all().ok()?;
        let end = memchr::memchr(0, &bytes)?;
        let name = bytes.get(..end)?;
        // What has folders in it is no name, and could lead anywhere.
        if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
            return None;
        }
        let raw: [u8; 4] = bytes.get((end + 1).next_multiple_of(4)..)?.get(..4)?.try_into().ok()?;
        let crc = if elf.ctx.is_little_endian() { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) };
        Some(Self { name: PathBuf::from(OsStr::from_bytes(name)), crc })
    }
}

pub(super) struct Link;

impl Finder for Link {
    fn source(&self) -> DebugSource {
        DebugSource::DebugLink
    }

    fn candidates(&self, wanted: &Wanted, files: &DebugFiles) -> Vec<Candidate> {
        let Some(link) = &wanted.link else { return Vec::new() };
        let mut list = Vec::new();
        let mut add = |candidate: Candidate| {
            if !list.contains(&candidate) {
                list.push(candidate);
            }
        };
        let own = files.place.folders_of(&files.place.shown);
        for folder in &own {
            add(folder.file(&link.name));
            add(folder.file(Path::new(".debug").join(&link.name)));
        }
        for folder in files.place.debug_folders(&files.options) {
            for own in &own {
                add(folder.below(own.path()).file(&link.name));
            }
            add(folder.file(&link.name));
        }
        list
    }

    fn check(&self, wanted: &Wanted, found: &Elf) -> Result<(), String> {
        if wanted.build_id.is_some() && found.build_id().is_some() {
            build_id::same(wanted.build_id.as_deref(), found)?;
        }
        let Some(link) = &wanted.link else { return Err("nothing tells whether it matches".to_owned()) };
        match crc(&found.contents)? {
            crc if crc == link.crc => Ok(()),
            crc => Err(format!("it does not match: CRC {crc:08x} instead of {:08x}", link.crc)),
        }
    }
}

/// CRC-32 of all of a file, as zlib computes it.
fn crc(contents: &Contents) -> Result<u32, String> {
    let mut crc = crc32fast::Hasher::new();
    let mut buffer = vec![0; PIECE];
    let mut at = 0;
    while at < contents.len() {
        let len = usize::try_from(contents.len() - at).unwrap_or(PIECE).min(PIECE);
        let part = buffer.get_mut(..len).unwrap_or_default();
        contents.fill(at, part, "the file").map_err(|error| error.to_string())?;
        crc.update(part);
        at += len as u64;
    }
    Ok(crc.finalize())
}
