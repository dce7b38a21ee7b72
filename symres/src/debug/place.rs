//! Paths: where a binary is, and where files about it may be.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::options::Options;
use crate::error::Error;
use crate::file::Contents;

/// Where distributions install debug files.
const SYSTEM: &str = "/usr/lib/debug";
/// More folders than this are not searched.
const MAX_FOLDERS: usize = 64;

/// Where a binary is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As its own process knows it.
    pub(crate) shown: PathBuf,
    /// The root folder of that process, when it is not ours: `/proc/PID/root`.
    pub(crate) root: Option<PathBuf>,
    /// It is in no folder, and nothing else belongs to it.
    alone: bool,
}

/// A folder, and the root that its path begins at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    root: Option<PathBuf>,
    path: PathBuf,
}

impl Folder {
    /// Its path in its root.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file of that name in it, or of that path from it.
    pub(super) fn file(&self, name: impl AsRef<Path>) -> Candidate {
        Candidate { root: self.root.clone(), path: self.path.join(name) }
    }

    /// The folder of that path below it.
    pub(super) fn below(&self, path: &Path) -> Folder {
        Folder { root: self.root.clone(), path: self.path.join(path.strip_prefix("/").unwrap_or(path)) }
    }
}

impl Place {
    /// At `shown` in that root folder, or here.
    pub(crate) fn new(shown: &Path, root: Option<PathBuf>) -> Self {
        Self { shown: shown.to_owned(), root, alone: false }
    }

    /// In memory.
    pub(crate) fn nowhere() -> Self {
        Self { shown: PathBuf::from("<memory>"), root: None, alone: true }
    }

    /// No other file is looked for.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// The roots that paths may begin at: the process's own first.
    fn roots(&self) -> impl Iterator<Item = Option<PathBuf>> {
        self.root.clone().map(Some).into_iter().chain([None])
    }

    /// The file of that path in each of the roots, and where it really is when the path is a link.
    pub(super) fn files_at(&self, shown: &Path) -> Vec<Candidate> {
        let mut files = Vec::new();
        for root in self.roots() {
            let file = Candidate { root, path: shown.to_owned() };
            let real = file.real();
            for file in [Some(file), real].into_iter().flatten() {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        files
    }

    /// The folders of these files.
    pub(super) fn folders_of(&self, shown: &Path) -> Vec<Folder> {
        let mut folders = Vec::new();
        for file in self.files_at(shown) {
            if let Some(path) = file.path.parent() {
                let folder = Folder { root: file.root, path: path.to_owned() };
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
        }
        folders
    }

    /// A path as the process would write it that is told with its root, as [`Candidate::path`] does.
    pub(super) fn in_root(&self, path: &Path) -> PathBuf {
        match self.root.as_ref().and_then(|root| path.strip_prefix(root).ok()) {
            Some(below) => Path::new("/").join(below),
            None => path.to_owned(),
        }
    }

    /// The folders with debug files: those that the caller named, then the system's.
    pub(super) fn debug_folders(&self, options: &Options) -> Vec<Folder> {
        let given = options.debug_dirs.iter().map(|path| Folder { root: None, path: path.clone() });
        let system = self.roots().map(|root| Folder { root, path: PathBuf::from(SYSTEM) });
        given.chain(system).take(MAX_FOLDERS).collect()
    }
}

/// A file that may be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    root: Option<PathBuf>,
    path: PathBuf,
}

impl Candidate {
    /// A path that begins at `root`.
    pub(super) fn new(root: Option<PathBuf>, path: PathBuf) -> Self {
        Self { root, path }
    }

    /// Its path in its root.
    pub(super) fn own_path(&self) -> &Path {
        &self.path
    }

    /// The file of that name in the same folder.
    pub(super) fn beside(&self, name: &OsStr) -> Self {
        Self { root: self.root.clone(), path: self.path.with_file_name(name) }
    }

    /// The path for people.
    pub(super) fn path(&self) -> PathBuf {
        match &self.root {
            Some(root) => root.join(self.path.strip_prefix("/").unwrap_or(&self.path)),
            None => self.path.clone(),
        }
    }

    /// Opens it: none when it is not there.
    pub(super) fn open(&self) -> Result<Option<Contents>, Error> {
        let shown = self.path();
        match self.find() {
            Ok(found) => Contents::of_found(&found, &shown).map(Some),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(Error::Io { doing: "open", path: shown, error: io::Error::from(error) }),
        }
    }

    /// Its path without links, in the same root.
    fn real(&self) -> Option<Self> {
        let Some(root) = &self.root else {
            return std::fs::canonicalize(&self.path).ok().map(|path| Self { root: None, path });
        };
        let found = self.find().ok()?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", found.as_raw_fd())).ok()?;
        // A root folder in our own mount namespace has a path here, which the one of the file then begins with.
        let path = match std::fs::read_link(root).ok().and_then(|root| Some(path.strip_prefix(root).ok()?.to_owned())) {
            Some(below) => Path::new("/").join(below),
            None => path,
        };
        Some(Self { root: Some(root.clone()), path })
    }

    /// Finds it without opening what it is.
    fn find(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        match &self.root {
            None => openat(CWD, &self.path, flags, Mode::empty()),
            // As a process with that root would: links do not lead out of it.
            Some(root) => {
                let root = openat(CWD, root, flags | OFlags::DIRECTORY, Mode::empty())?;
                let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                openat2(root, &self.path, flags, Mode::empty(), resolve)
            }
        }
    }
}
