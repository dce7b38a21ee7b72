//! What a caller decides about the search for debug information.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::debuginfod::Debuginfod;

/// How a binary is opened: where else to look for what it lacks, and what to keep.
///
/// The default looks into the system's folder of debug files, asks no server, keeps nothing and reports no progress.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Folders to search for debug files before `/usr/lib/debug`: each as the root of a `.build-id` tree, and for the name
    /// in `.gnu_debuglink`, both as it is and below the path of the binary's own folder.
    pub debug_dirs: Vec<PathBuf>,
    /// Servers to ask for debug files that are not here, and where to keep what they send. None: no server is asked.
    pub debuginfod: Option<Debuginfod>,
    /// Where the index of a binary's debug information is kept between runs. None: nowhere.
    pub index_dir: Option<PathBuf>,
    /// Is told what takes its time.
    pub progress: Option<Progress>,
}

/// A function that is called while something takes long: often, so it should return soon.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(&Step<'_>) + Send + Sync>);

impl Progress {
    /// Calls `tell` with each step.
    pub fn new(tell: impl Fn(&Step<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, step: &Step<'_>) {
        (self.0)(step);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// How far something that takes long has come.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What is done.
    pub doing: Doing,
    /// To which file, or from which server.
    pub subject: &'a Path,
    /// Bytes done.
    pub done: u64,
    /// Of so many; none where that is not known.
    pub total: Option<u64>,
}

/// What takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// Making the index of a file's debug information.
    Indexing,
    /// Getting a debug file from a debuginfod server.
    Downloading,
}
