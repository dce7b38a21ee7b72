//! What the cache holds: kinds of files, each with a folder and a bound of its own; told and cleared.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};

use super::folder::{File, Folder};
use super::{Cache, CacheError, entry, versions};

/// A kind of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Compiled probes.
    Probes,
    /// Which parts of a binary's debug information have functions of which names.
    Indexes,
    /// Debug files that debuginfod servers sent.
    DebugFiles,
}

/// A kind as a row of a table.
struct Row {
    shelf: Shelf,
    name: &'static str,
    folder: Option<&'static str>,
    nested: bool,
    most: u64,
}

#[rustfmt::skip]
const ROWS: [Row; 3] = [
    Row { shelf: Shelf::Probes, name: "probes", folder: None, nested: false, most: 64 << 20 },
    Row { shelf: Shelf::Indexes, name: "symbols", folder: Some("symbols"), nested: false, most: 512 << 20 },
    Row { shelf: Shelf::DebugFiles, name: "debuginfod", folder: Some("debuginfod"), nested: true, most: 4 << 30 },
];

/// All kinds, in the order in which they are shown.
pub const SHELVES: [Shelf; 3] = [Shelf::Probes, Shelf::Indexes, Shelf::DebugFiles];

impl Shelf {
    fn row(self) -> &'static Row {
        let [probes, indexes, debug_files] = &ROWS;
        match self {
            Self::Probes => probes,
            Self::Indexes => indexes,
            Self::DebugFiles => debug_files,
        }
    }

    /// What it is called on the command line and in JSON.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The kind of a name.
    pub fn of_name(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.shelf)
    }

    /// The most bytes of all its files together; beyond it those that were not used for longest are removed.
    pub fn most(self) -> u64 {
        self.row().most
    }

    /// Its folder in the cache's; none for the cache's own.
    pub(super) fn folder(self) -> Option<&'static str> {
        self.row().folder
    }

    /// Whether each of its files lies in a folder of its own.
    pub(super) fn is_nested(self) -> bool {
        self.row().nested
    }
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What it is of: the probe's path or name, or the build ID of a binary. None for a probe's entry that another version of
    /// dbcc wrote, that is damaged, or that was never finished.
    pub name: Option<String>,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was used last.
    pub used: SystemTime,
}

/// What is kept of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfContents {
    /// Which kind.
    pub shelf: Shelf,
    /// Its files, the one that was used last first.
    pub files: Vec<Kept>,
}

impl ShelfContents {
    /// The bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).fold(0, u64::saturating_add)
    }
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// The folder.
    pub folder: PathBuf,
    /// By kind, in the order of [`SHELVES`].
    pub shelves: Vec<ShelfContents>,
}

impl Cache {
    /// What is kept.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn contents(&self) -> Result<Contents, CacheError> {
        let shelves = SHELVES.iter().map(|shelf| {
            let mut files: Vec<Kept> = match self.files(*shelf)? {
                Some((folder, files)) => files.iter().map(|file| kept(*shelf, &folder, file)).collect(),
                None => Vec::new(),
            };
            files.sort_by(|one, other| (other.used, &one.name).cmp(&(one.used, &other.name)));
            Ok(ShelfContents { shelf: *shelf, files })
        });
        Ok(Contents { folder: self.folder.path.clone(), shelves: shelves.collect::<Result<_, CacheError>>()? })
    }

    /// Removes all that is kept of a kind. Returns what was removed.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn clear(&self, shelf: Shelf) -> Result<ShelfContents, CacheError> {
        let mut removed = ShelfContents { shelf, files: Vec::new() };
        let Some((folder, files)) = self.files(shelf)? else { return Ok(removed) };
        for file in &files {
            let kept = kept(shelf, &folder, file);
            if folder.remove(file) {
                removed.files.push(kept);
            }
        }
        Ok(removed)
    }

    /// The files of a kind and their folder; none where it has no folder yet.
    fn files(&self, shelf: Shelf) -> Result<Option<(Folder, Vec<File>)>, CacheError> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let name = shelf.folder().unwrap_or(".");
        let failed = |error: std::io::Error| CacheError::Io {
            what: "look",
            folder: self.folder.path.join(shelf.folder().unwrap_or_default()),
            error,
        };
        let fd = match rustix::fs::openat(&self.folder.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let folder = Folder { fd, path: self.folder.path.join(shelf.folder().unwrap_or_default()) };
        let files = folder.files(shelf.is_nested()).map_err(failed)?;
        Ok(Some((folder, files)))
    }
}

fn kept(shelf: Shelf, folder: &Folder, file: &File) -> Kept {
    let text = file.name.to_string_lossy();
    let name = match shelf {
        Shelf::Probes if text.starts_with(versions::PREFIX) => Some("the version of a compiler".to_owned()),
        Shelf::Probes => start(folder, file).as_deref().and_then(entry::label),
        // `BUILDID-….index`, and `BUILDID/debuginfo`.
        Shelf::Indexes => text.split('-').next().map(str::to_owned),
        Shelf::DebugFiles => text.split('/').next().map(str::to_owned),
    };
    Kept { name: name.filter(|name| !name.is_empty() && !file.is_unfinished()), bytes: file.bytes, used: file.used }
}

/// The start of a file.
fn start(folder: &Folder, file: &File) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::openat(&folder.fd, &file.name, flags, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    std::fs::File::from(opened).take(entry::START).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
