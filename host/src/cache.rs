//! Stage 6½: the same probe never compiles twice.
//!
//! An entry is found by a digest of everything that the object depends on and that is known before it is compiled ([`Key`]);
//! what is known only then, files that clang was made to read, is kept in the entry with their digests, and must be the same.
//! What an entry holds is loaded into the kernel, so the folder is its owner's alone: only folders are used whose every
//! ancestor belongs to root or to the user and can be written by nobody else; entries are opened relative to the folder,
//! never through a link, must belong to the user, and carry a checksum. An entry that is not right in any way is removed,
//! and the probe compiled.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};

use crate::facts::{CompileRequest, Compiled, Input};
use crate::source::Source;

mod entry;
mod folder;
mod key;
mod shelf;
mod versions;

use folder::{Folder, UNFINISHED};
pub use key::Key;
pub use shelf::{Contents, Kept, SHELVES, Shelf, ShelfContents};

/// Name of the folder, below the user's folder for such data.
const FOLDER: &str = "dbcc";
/// The most bytes of an entry.
const MAX_ENTRY: u64 = 16 << 20;

/// Why nothing is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// There is no folder that is the user's alone.
    #[error("no folder for compiled probes: {0}")]
    NoFolder(String),
    /// Reading or writing failed.
    #[error("cannot {what} in {folder}: {error}", folder = folder.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The entry would be too large.
    #[error("a compiled probe of {0} bytes is too large to be kept")]
    TooLarge(u64),
    /// It cannot be told when the entry will be of no use.
    #[error("it depends on which files there are, or on one that was changed while it was compiled")]
    Unsettled,
}

/// Compiled probes of earlier runs.
#[derive(Debug)]
pub struct Cache {
    folder: Folder,
    most: u64,
}

impl Cache {
    /// Opens the user's cache: `dbcc` in `$XDG_CACHE_HOME`, in `~/.cache`, or, for root, in `/var/cache`; the first of
    /// these that nobody else can write to. It is made where it is missing.
    ///
    /// # Errors
    /// When there is no such folder; the probe then is compiled each time.
    pub fn open() -> Result<Self, CacheError> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let mut bases: Vec<PathBuf> = variable("XDG_CACHE_HOME").into_iter().collect();
        bases.extend(variable("HOME").map(|home| home.join(".cache")));
        if rustix::process::geteuid().is_root() {
            bases.push("/var/cache".into());
        }
        let mut reasons = Vec::new();
        for base in bases {
            match Self::open_in(&base) {
                Ok(cache) => return Ok(cache),
                Err(reason) => reasons.push(reason.to_string()),
            }
        }
        let reasons =
            if reasons.is_empty() { "neither HOME nor XDG_CACHE_HOME is set".into() } else { reasons.join("; ") };
        Err(CacheError::NoFolder(reasons))
    }

    /// Opens the cache below a folder.
    fn open_in(base: &std::path::Path) -> Result<Self, CacheError> {
        Ok(Self { folder: Folder::base(base)?.own(FOLDER)?, most: Shelf::Probes.most() })
    }

    /// Its folder.
    pub fn path(&self) -> &std::path::Path {
        &self.folder.path
    }

    /// Makes the folder of a shelf where it is missing, and removes from it what was not used for longest while it is too much.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to another user.
    pub fn shelf(&self, shelf: Shelf) -> Result<PathBuf, CacheError> {
        let own;
        let folder = match shelf.folder() {
            Some(name) => {
                own = self.folder.own(name)?;
                &own
            }
            None => &self.folder,
        };
        // Too much is no reason to have none.
        folder.trim(shelf.is_nested(), shelf.most()).ok();
        Ok(folder.path.clone())
    }

    /// What compiling the probe gave before, if it did and nothing changed since.
    pub fn get(&self, key: &Key) -> Option<Compiled> {
        match self.read(key.name()) {
            Ok(found) => found.filter(|compiled| compiled.inputs.iter().flatten().all(is_same)),
            Err(_) => {
                // Not ours, damaged, or of another layout: in any case of no use.
                rustix::fs::unlinkat(&self.folder.fd, key.name(), AtFlags::empty()).ok();
                None
            }
        }
    }

    /// Whether anything is kept that was made of this text, for whatever kernel, compiler or options. What it costs to
    /// ask is little; it tells whether compiling is to be expected.
    pub fn knows(&self, source: &Source) -> bool {
        let prefix = key::of_text(source);
        let entries = rustix::fs::Dir::read_from(&self.folder.fd);
        entries.is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_bytes().starts_with(prefix.as_bytes()))
        })
    }

    /// Reads an entry; none where there is none.
    fn read(&self, name: &str) -> io::Result<Option<Compiled>> {
        let Some(bytes) = self.bytes(name)? else { return Ok(None) };
        entry::decode(&bytes).map(Some).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Reads a file of the user's own, and notes that it is in use; none where there is none.
    fn bytes(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.folder.fd, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let status = rustix::fs::fstat(&file)?;
        let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let own = status.st_uid == rustix::process::geteuid().as_raw() && status.st_mode & 0o077 == 0;
        let size = usize::try_from(status.st_size).unwrap_or(usize::MAX);
        if !regular || !own || u64::try_from(size).is_ok_and(|size| size > MAX_ENTRY) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::with_capacity(size.saturating_add(1));
        let file = File::from(file);
        (&file).take(MAX_ENTRY).read_to_end(&mut bytes)?;
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now }).ok();
        Ok(Some(bytes))
    }

    /// Keeps what compiling a probe gave. `key` is that of the request before it was compiled.
    ///
    /// # Errors
    /// When it cannot be written, or it cannot be told what it depends on; nothing is left then.
    pub fn put(&self, key: &Key, request: &CompileRequest, compiled: &Compiled) -> Result<(), CacheError> {
        let failed = |what, error: io::Error| CacheError::Io { what, folder: self.folder.path.clone(), error };
        // A compiler or a tracepoint may have become another one meanwhile.
        if compiled.inputs.is_none() || Key::of(request).as_ref() != Some(key) {
            return Err(CacheError::Unsettled);
        }
        let bytes = entry::encode(&entry::name(&request.source), compiled).map_err(|error| failed("write", error))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > MAX_ENTRY.min(self.most) {
            return Err(CacheError::TooLarge(length));
        }
        self.write(key.name(), &bytes).map_err(|error| failed("write", error))?;
        self.folder.trim(false, self.most).map_err(|error| failed("remove old entries", error))
    }

    /// Writes a file. Whoever reads it sees the old one or the new one, whole.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = &self.folder.fd;
        let unfinished = format!("{UNFINISHED}{}-{}", rustix::process::getpid().as_raw_nonzero(), unique());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let written = rustix::fs::openat(folder, unfinished.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(bytes))
            .and_then(|()| Ok(rustix::fs::renameat(folder, unfinished.as_str(), folder, name)?));
        if written.is_err() {
            rustix::fs::unlinkat(folder, unfinished.as_str(), AtFlags::empty()).ok();
        }
        written
    }
}

/// Whether a file holds what it held then.
fn is_same(input: &Input) -> bool {
    std::fs::read(&input.path).is_ok_and(|bytes| Input::new(&input.path, &bytes) == *input)
}

/// A number that no other unfinished file of this process has.
fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
