//! How binaries are looked into: where their debug information is searched, what of it is kept, and who is told of what takes
//! long.

use std::path::{Path, PathBuf};

use symres::{Binary, Debuginfod, Options, Pid, ProcessBinaries};

use crate::cache::{Cache, Shelf};

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
    /// kept in the user's cache. Debug files that are not here come from the servers in `DEBUGINFOD_URLS`, if that is set,
    /// and are kept in the cache in any case.
    pub fn new(debug_dirs: &[PathBuf], keep: bool) -> Self {
        let mut notes = Vec::new();
        let mut folder = |shelf: Shelf, lost: &str| {
            let folder = Cache::open().and_then(|cache| cache.shelf(shelf));
            folder.map_err(|error| notes.push(format!("{lost}: {error}"))).ok()
        };
        let index_dir = keep.then(|| folder(Shelf::Indexes, "no index of debug information is kept")).flatten();
        // Servers are asked only where the environment names some.
        let mut debuginfod = Debuginfod::from_env(Path::new(""));
        if let Some(servers) = debuginfod.as_mut().filter(|servers| servers.cache_dir.as_os_str().is_empty()) {
            match folder(Shelf::DebugFiles, "no debuginfod server is asked") {
                Some(folder) => servers.cache_dir = folder,
                None => debuginfod = None,
            }
        }
        let bar = Bar::on_terminal();
        let progress = bar.as_ref().map(Bar::progress);
        let options = Options { debug_dirs: debug_dirs.to_vec(), debuginfod, index_dir, progress };
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

    /// The binaries that are meant: that of a name, among those of a process where one is given; without a name all that the
    /// process runs, its executable first, with what could not be read of it.
    ///
    /// # Errors
    /// When the binary, or all of the process, cannot be found or read.
    pub fn binaries(&self, pid: Option<u32>, name: Option<&str>) -> Result<(Vec<Binary>, Vec<String>), symres::Error> {
        let one = |binary| (vec![binary], Vec::new());
        match (pid.map(Pid), name) {
            (Some(pid), Some(name)) => Binary::in_process_with(pid, name, &self.options).map(one),
            (Some(pid), None) => {
                let ProcessBinaries { mut binaries, unreadable } = Binary::all_of_process(pid, &self.options)?;
                // Why its executable cannot be read is the reason why there is nothing to say.
                if binaries.is_empty() {
                    binaries.push(Binary::of_pid_with(pid, &self.options)?);
                }
                Ok((binaries, unreadable.iter().map(|error| format!("not searched: {error}")).collect()))
            }
            (None, name) => Binary::find_with(name.unwrap_or_default(), &self.options).map(one),
        }
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
