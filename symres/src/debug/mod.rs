//! Where more is known about a binary than it says itself: files with its symbols and its debug information.
//!
//! One file for each way to find them, one line for each in [`FINDERS`]. Nothing is looked for before it is asked for. A file
//! that is damaged, or belongs to another build, is not used; that it was there is told by [`DebugFiles::consulted`].

mod build_id;
mod consulted;
mod debuginfod;
mod link;
mod minidebug;
mod options;
mod place;
pub(crate) mod section;
mod split;
mod supplementary;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::elf::Elf;
use crate::error::Error;
use consulted::Log;
pub use consulted::{Consulted, DebugSource, Outcome};
pub use debuginfod::Debuginfod;
pub use options::{Doing, Options, Progress, Step};
use place::Candidate;
pub(crate) use place::Place;

/// How far a search may go for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Files that are here.
    Disk,
    /// Servers too, if the caller names any. This may take seconds: only what files here cannot answer is worth it.
    Network,
}

/// What a wanted debug file is known by.
#[derive(Debug)]
struct Wanted {
    /// The build ID that it must have.
    build_id: Option<Vec<u8>>,
    /// Its name, and the CRC-32 of all of it.
    link: Option<link::DebugLink>,
}

/// A way to find the debug file of a binary.
trait Finder: Sync {
    /// What its results are labelled with.
    fn source(&self) -> DebugSource;

    /// How far it goes.
    fn reach(&self) -> Reach {
        Reach::Disk
    }

    /// Files that may be the wanted one, the most likely first.
    fn candidates(&self, wanted: &Wanted, files: &DebugFiles) -> Vec<Candidate>;

    /// Whether a file may be trusted to be the wanted one: the reason when not.
    fn check(&self, wanted: &Wanted, found: &Elf) -> Result<(), String>;
}

/// All of them, in the order in which they are asked.
static FINDERS: &[&dyn Finder] = &[&build_id::BuildId, &link::Link, &debuginfod::Servers];

/// A binary, and the files that tell more about it.
#[derive(Debug)]
pub(crate) struct DebugFiles {
    binary: Elf,
    place: Place,
    options: Options,
    separate: Lookup,
    mini_debug: OnceLock<Option<Elf>>,
    supplementary: Lookup,
    package: OnceLock<Option<Elf>>,
    /// Set when the other files turned out to be damaged in the middle of a search.
    alone: OnceLock<()>,
    log: Log,
}

impl DebugFiles {
    pub(crate) fn new(binary: Elf, place: Place, options: Options) -> Self {
        Self {
            binary,
            place,
            options,
            separate: Lookup::default(),
            mini_debug: OnceLock::new(),
            supplementary: Lookup::default(),
            package: OnceLock::new(),
            alone: OnceLock::new(),
            log: Log::default(),
        }
    }

    /// The binary itself.
    pub(crate) fn binary(&self) -> &Elf {
        &self.binary
    }

    /// What the caller decided.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The file that has `.symtab`: the binary itself, or its separate debug file.
    pub(crate) fn symbols(&self, reach: Reach) -> Option<&Elf> {
        let has = |elf: &&Elf| elf.has_section(".symtab");
        Some(&self.binary).filter(has).or_else(|| self.separate(reach, has))
    }

    /// Uses no other file than the binary from now on, when the error is of one of the others. Once only.
    pub(crate) fn set_aside(&self, error: &Error) -> bool {
        let (Error::Damaged { path, .. } | Error::Io { path, .. }) = error else { return false };
        let (separate, shared) = (&self.separate, &self.supplementary);
        let others =
            [&separate.disk, &separate.network, &shared.disk, &shared.network, &self.mini_debug, &self.package];
        let is_other = others.iter().filter_map(|found| found.get()?.as_ref()).any(|elf| elf.contents.path() == path);
        if is_other && self.alone.set(()).is_ok() {
            self.log.refuse(path, error.to_string());
            return true;
        }
        false
    }

    /// See [`DebugFiles::set_aside`].
    pub(crate) fn is_set_aside(&self) -> bool {
        self.alone.get().is_some()
    }

    /// The file with symbols that is packed into the binary.
    pub(crate) fn mini_debug(&self) -> Option<&Elf> {
        if self.is_set_aside() {
            return None;
        }
        let unpacked = || {
            let (elf, outcome) = match minidebug::unpack(&self.binary)? {
                Ok(elf) => (Some(elf), Outcome::Used),
                Err(why) => (None, Outcome::Refused(why)),
            };
            self.log.add(DebugSource::MiniDebug, &self.place.shown, outcome);
            elf
        };
        self.mini_debug.get_or_init(unpacked).as_ref()
    }

    /// A debug file of the binary that is there and is not used, and why.
    pub(crate) fn refused(&self) -> Option<(PathBuf, String)> {
        self.log.list().into_iter().find_map(|consulted| match (consulted.source, consulted.outcome) {
            (DebugSource::BuildId | DebugSource::DebugLink | DebugSource::MiniDebug, Outcome::Refused(why)) => {
                Some((consulted.file, why))
            }
            _ => None,
        })
    }

    /// Notes that a file that was found is of no use after all.
    pub(crate) fn refuse(&self, elf: &Elf, error: &Error) {
        self.log.refuse(elf.contents.path(), error.to_string());
    }

    /// The files that have DWARF: the binary itself or its separate debug file, and what these refer to.
    pub(crate) fn dwarf(&self, reach: Reach) -> Option<DwarfFiles<'_>> {
        let has = |elf: &&Elf| elf.has_section(".debug_info");
        let main = Some(&self.binary).filter(has).or_else(|| self.separate(reach, has))?;
        Some(DwarfFiles { main, files: self, reach })
    }

    /// A search with [`Reach::Network`] may find more than one with [`Reach::Disk`] did.
    pub(crate) fn can_reach_further(&self) -> bool {
        let asked = self.options.debuginfod.is_some() && !self.place.is_alone();
        asked && (self.symbols(Reach::Disk).is_none() || self.dwarf(Reach::Disk).is_none())
    }

    /// What was looked for so far, in this order.
    pub(crate) fn consulted(&self) -> Vec<Consulted> {
        self.log.list()
    }

    /// The paths of the binary and of the file with its DWARF, in the root of its process.
    fn paths(&self, main: &Elf) -> Vec<PathBuf> {
        let mut paths = vec![self.place.shown.clone(), self.place.in_root(main.contents.path())];
        paths.dedup();
        paths
    }

    /// The separate debug file that has what is asked for.
    fn separate(&self, reach: Reach, has: impl Fn(&&Elf) -> bool) -> Option<&Elf> {
        if self.is_set_aside() {
            return None;
        }
        self.separate.get(reach, has, |reach| {
            let wanted = Wanted { build_id: self.binary.build_id(), link: link::DebugLink::of(&self.binary) };
            FINDERS.iter().filter(|finder| finder.reach() == reach).find_map(|finder| {
                let check = |found: &Elf| {
                    finder.check(&wanted, found)?;
                    same_addresses(&self.binary, found)?;
                    let useful = found.has_section(".symtab") || found.has_section(".debug_info");
                    useful.then_some(()).ok_or_else(|| "it has neither symbols nor debug information".to_owned())
                };
                self.first_of(finder.source(), finder.candidates(&wanted, self), check)
            })
        })
    }

    /// The first of the candidates that is there and passes `check`.
    fn first_of(
        &self,
        source: DebugSource,
        candidates: Vec<Candidate>,
        check: impl Fn(&Elf) -> Result<(), String>,
    ) -> Option<Elf> {
        if self.place.is_alone() {
            return None;
        }
        candidates.into_iter().find_map(|candidate| {
            let path = candidate.path();
            let found = match candidate.open() {
                Ok(None) => Err(Outcome::Missing),
                // A name in the binary's own folder may lead back to it.
                Ok(Some(contents)) if contents.is_same_file(&self.binary.contents) => return None,
                Ok(Some(contents)) => Elf::parse_debug(contents)
                    .map_err(|error| error.to_string())
                    .and_then(|elf| check(&elf).map(|()| elf))
                    .map_err(Outcome::Refused),
                Err(error) => Err(Outcome::Refused(error.to_string())),
            };
            let (elf, outcome) = match found {
                Ok(elf) => (Some(elf), Outcome::Used),
                Err(outcome) => (None, outcome),
            };
            self.log.add(source, &path, outcome);
            elf
        })
    }
}

/// Whether both have their code at the same addresses. `prelink` moves a library after its debug file was made.
fn same_addresses(binary: &Elf, debug: &Elf) -> Result<(), String> {
    match (binary.section(".text"), debug.section(".text")) {
        (Some(own), Some(other)) if own.addr != other.addr => {
            Err(format!("its code is at {:#x}, that of the binary at {:#x}: was that prelinked?", other.addr, own.addr))
        }
        _ => Ok(()),
    }
}

/// A file that is looked for at most twice: here, and then on servers if that did not do.
#[derive(Debug, Default)]
struct Lookup {
    disk: OnceLock<Option<Elf>>,
    network: OnceLock<Option<Elf>>,
}

impl Lookup {
    /// The first file found within `reach` that `has` what is wanted.
    fn get(&self, reach: Reach, has: impl Fn(&&Elf) -> bool, find: impl Fn(Reach) -> Option<Elf>) -> Option<&Elf> {
        let disk = self.disk.get_or_init(|| find(Reach::Disk)).as_ref().filter(&has);
        if disk.is_some() || reach < Reach::Network {
            return disk;
        }
        self.network.get_or_init(|| find(Reach::Network)).as_ref().filter(&has)
    }
}

/// The files with the DWARF of a binary.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DwarfFiles<'a> {
    main: &'a Elf,
    files: &'a DebugFiles,
    reach: Reach,
}

impl<'a> DwarfFiles<'a> {
    /// The one with `.debug_info` of the program: the binary itself, or its separate debug file. Its sections with code may
    /// be empty, but all addresses are those of the binary.
    pub(crate) fn main(&self) -> &'a Elf {
        self.main
    }

    /// The binary itself.
    pub(crate) fn binary(&self) -> &'a Elf {
        &self.files.binary
    }

    /// What the caller decided.
    pub(crate) fn options(&self) -> &'a Options {
        &self.files.options
    }

    /// The supplementary file (`DW_FORM_GNU_ref_alt`, `DW_FORM_ref_sup4`, …), which `dwz` makes of what several files have
    /// in common.
    pub(crate) fn supplementary(&self) -> Option<&'a Elf> {
        if self.files.is_set_aside() {
            return None;
        }
        let find = |reach| supplementary::find(self.files, self.main, reach);
        self.files.supplementary.get(self.reach, |_| true, find)
    }

    /// The package of split units (`.dwp`).
    pub(crate) fn package(&self) -> Option<&'a Elf> {
        if self.files.is_set_aside() {
            return None;
        }
        self.files.package.get_or_init(|| split::package(self.files, self.main)).as_ref()
    }

    /// The file of one split unit (`.dwo`) by its `DW_AT_dwo_name` and `DW_AT_comp_dir`. Whether it is the right one its
    /// reader must check by the unit's ID. It is opened anew each time, and holds a file descriptor: there may be thousands.
    pub(crate) fn split(&self, name: &Path, comp_dir: Option<&Path>) -> Option<Arc<Elf>> {
        split::unit(self.files, self.main, name, comp_dir).map(Arc::new)
    }
}
