//! What was looked for, and what came of it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A file that was looked for because it may tell more about a binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consulted {
    /// What led to it.
    pub source: DebugSource,
    /// Where it is, or should have been: a path, or the address at a server.
    pub file: PathBuf,
    /// What came of it.
    pub outcome: Outcome,
    /// How many others there were from the same source with the same sort of outcome that are not listed one by one.
    pub more: usize,
}

/// Where the name of a debug file comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DebugSource {
    /// `.gnu_debugdata` in the binary itself.
    MiniDebug,
    /// The build ID, in a `.build-id` tree.
    BuildId,
    /// `.gnu_debuglink` in the binary.
    DebugLink,
    /// The build ID, at a debuginfod server.
    Debuginfod,
    /// `.gnu_debugaltlink` or `.debug_sup` in a file with debug information: the file that it shares with others.
    Supplementary,
    /// `DW_AT_dwo_name` in the debug information: the part of a unit that was left in a file of its own.
    Split,
    /// A file beside the binary with all of these parts.
    Package,
}

impl DebugSource {
    /// The short name for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            DebugSource::MiniDebug => "minidebug",
            DebugSource::BuildId => "build-id",
            DebugSource::DebugLink => "debuglink",
            DebugSource::Debuginfod => "debuginfod",
            DebugSource::Supplementary => "supplementary",
            DebugSource::Split => "dwo",
            DebugSource::Package => "dwp",
        }
    }
}

impl fmt::Display for DebugSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What came of looking for a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is there, is the right one, and was read.
    Used,
    /// There is no such file.
    Missing,
    /// It is not used, because of this: it belongs to another build, is damaged, cannot be read, …
    Refused(String),
}

impl fmt::Display for Consulted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.outcome {
            Outcome::Used => write!(f, "{file}")?,
            Outcome::Missing => write!(f, "{file} (not there)")?,
            Outcome::Refused(why) => write!(f, "{file} (not used: {why})")?,
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// So many files of one source are listed one by one; split debug information may name thousands.
const LISTED: usize = 16;

/// The list, as it grows.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<Consulted>>);

impl Log {
    pub(super) fn add(&self, source: DebugSource, file: &Path, outcome: Outcome) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |c: &&mut Consulted| {
            c.source == source && std::mem::discriminant(&c.outcome) == std::mem::discriminant(&outcome)
        };
        if list.iter().any(|c| c.source == source && c.file == file && c.outcome == outcome) {
            return;
        }
        if list.iter_mut().filter(|c| same(c)).count() >= LISTED
            && let Some(last) = list.iter_mut().rev().find(same)
        {
            last.more += 1;
            return;
        }
        list.push(Consulted { source, file: file.to_owned(), outcome, more: 0 });
    }

    /// What was used turned out to be damaged.
    pub(super) fn refuse(&self, file: &Path, why: String) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let used = list.iter_mut().rev().find(|c| c.file == file && c.outcome == Outcome::Used);
        if let Some(used) = used {
            used.outcome = Outcome::Refused(why);
        }
    }

    pub(super) fn list(&self) -> Vec<Consulted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
