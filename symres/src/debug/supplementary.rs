//! The file with the debug information that several files share: `.gnu_debugaltlink`, written by `dwz`, or `.debug_sup`
//! of DWARF 5.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::place::Candidate;
use super::{DebugFiles, DebugSource, Reach, build_id};
use crate::elf::Elf;

/// The section is a path and a build ID; longer ones are not read.
const MAX_SECTION: u64 = 16 << 10;

/// How a file refers to its supplementary one.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    path: PathBuf,
    /// The build ID, or with `.debug_sup` the checksum that the other file's own `.debug_sup` has.
    id: Vec<u8>,
    /// It is from `.debug_sup`.
    standard: bool,
}

/// The supplementary file of `main`. It has none itself: where it refers to another one, or to itself, that is not followed.
pub(super) fn find(files: &DebugFiles, main: &Elf, reach: Reach) -> Option<Elf> {
    let reference = alternative(main).or_else(|| standard(main, false))?;
    let (source, candidates) = match (reach, &files.options.debuginfod) {
        (Reach::Disk, _) => (DebugSource::Supplementary, on_disk(files, main, &reference)),
        (Reach::Network, Some(servers)) if !reference.standard => {
            let fetched = servers.fetch(&reference.id, files.options.progress.as_ref(), &files.log);
            (DebugSource::Debuginfod, fetched.into_iter().collect())
        }
        (Reach::Network, _) => return None,
    };
    files.first_of(source, candidates, |found| {
        if found.contents.is_same_file(&main.contents) {
            return Err("it is the file that refers to it".to_owned());
        }
        if reference.standard {
            match standard(found, true) {
                Some(own) if own.id == reference.id => Ok(()),
                _ => Err("it does not match: another checksum in `.debug_sup`".to_owned()),
            }
        } else {
            build_id::same(Some(&reference.id), found)
        }
    })
}

fn on_disk(files: &DebugFiles, main: &Elf, reference: &Reference) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    // Relative to the file that says so, which may have been reached through a link.
    let from = files.place.in_root(main.contents.path());
    for folder in files.place.folders_of(&from) {
        candidates.push(folder.file(&reference.path));
    }
    for folder in files.place.debug_folders(&files.options) {
        if let Some(name) = reference.path.file_name() {
            candidates.push(folder.below(Path::new(".dwz")).file(name));
        }
    }
    if !reference.standard {
        candidates.extend(build_id::in_trees(&reference.id, files));
    }
    candidates
}

/// `.gnu_debugaltlink`: a path, a zero, and the build ID up to the end.
fn alternative(elf: &Elf) -> Option<Reference> {
    let bytes = small_section(elf, ".gnu_debugaltlink")?;
    let end = memchr::memchr(0, &bytes)?;
    let (path, id) = (bytes.get(..end)?, bytes.get(end + 1..)?);
    (!path.is_empty() && !id.is_empty()).then(|| Reference { path: to_path(path), id: id.to_vec(), standard: false })
}

/// `.debug_sup` (DWARF 5, section 7.3.6): a version, whether this is the supplementary file itself, a path, and a checksum
/// behind its length.
fn standard(elf: &Elf, is_supplementary: bool) -> Option<Reference> {
    let bytes = small_section(elf, ".debug_sup")?;
    if *bytes.get(2)? != u8::from(is_supplementary) {
        return None;
    }
    let rest = bytes.get(3..)?;
    let end = memchr::memchr(0, rest)?;
    let path = rest.get(..end)?;
    // The section is short, so a length of more than two bytes does not fit.
    let (len, id) = match rest.get(end + 1..)? {
        [len, id @ ..] if *len < 0x80 => (usize::from(*len), id),
        [low, high, id @ ..] if *high < 0x80 => (usize::from(*low & 0x7f) | usize::from(*high) << 7, id),
        _ => return None,
    };
    let id = id.get(..len).filter(|id| !id.is_empty())?.to_vec();
    Some(Reference { path: to_path(path), id, standard: true })
}

fn small_section(elf: &Elf, name: &str) -> Option<Vec<u8>> {
    let section = elf.section_data(name).ok()??;
    (section.len() <= MAX_SECTION).then(|| section.all().ok()).flatten().map(std::borrow::Cow::into_owned)
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
