//! How binaries are looked into: where their debug information is searched, what of it is kept, and who is told of what takes
//! long.

use std::path::PathBuf;

use symres::Options;

use crate::cache::Cache;

mod progress;

use progress::Bar;

/// What every look-up of a run goes by. Dropping it takes the progress bar off the terminal.
#[derive(Debug)]
pub struct Lookup {
    options: Options,
    bar: Option<Bar>,
    notes: Vec<String>,
}

impl Lookup {
    /// Looks into `debug_dirs` before the system's own folder. With `keep`, the index of a binary's debug information is
    /// kept in the user's cache.
    pub fn new(debug_dirs: &[PathBuf], keep: bool) -> Self {
        let mut notes = Vec::new();
        let index_dir = keep.then(|| Cache::open().and_then(|cache| cache.indexes()));
        let index_dir = match index_dir {
            Some(Ok(folder)) => Some(folder),
            Some(Err(error)) => {
                notes.push(format!("no index of debug information is kept: {error}"));
                None
            }
            None => None,
        };
        let bar = Bar::on_terminal();
        let progress = bar.as_ref().map(Bar::progress);
        let mut options = Options { debug_dirs: debug_dirs.to_vec(), ..Options::default() };
        (options.index_dir, options.progress) = (index_dir, progress);
        Self { options, bar, notes }
    }

    /// What symres is to be told.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What could not be done as wished, for those who ask.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Takes the progress bar off the terminal before something is printed.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.clear();
        }
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.clear();
    }
}
