//! Stage 6½: the same probe never compiles twice.
//!
//! An entry is found by a digest of everything that the object depends on (see `key`). What it holds is loaded into the
//! kernel, so the folder is its owner's alone: only folders are used whose every ancestor belongs to root or to the
//! user and can be written by nobody else; entries are opened relative to the folder, never through a link, must belong
//! to the user, and carry a checksum. An entry that is not right in any way is removed, and the probe compiled.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps};
use sha2::{Digest as _, Sha256};

use crate::facts::{CompileRequest, Compiled};
use crate::source::Source;

mod key;

/// Name of the folder, below the user's folder for such data.
const FOLDER: &str = "dbcc";
/// The most bytes of all entries together; beyond it the entries that were not used for longest are removed.
const MAX_TOTAL: u64 = 64 << 20;
/// The most bytes of an entry.
const MAX_ENTRY: u64 = 16 << 20;
/// Name of the folder in it for indexes of debug information.
const INDEXES: &str = "symbols";
/// The folder for debug files that servers sent.
const DEBUG_FILES: &str = "debuginfod";
/// The most bytes of all indexes together.
const MAX_INDEXES: u64 = 512 << 20;
/// How an entry starts; changes with its layout.
const MAGIC: &[u8; 8] = b"dbcc\x001\r\n";
/// How the name of a file starts that is being written.
const UNFINISHED: &str = ".new-";
/// Age in seconds at which an unfinished file belongs to nobody any more.
const ABANDONED: i64 = 3600;

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
}

/// Compiled probes of earlier runs.
#[derive(Debug)]
pub struct Cache {
    folder: OwnedFd,
    path: PathBuf,
    total: u64,
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
    fn open_in(base: &Path) -> Result<Self, CacheError> {
        let failed = |what, error: io::Error| CacheError::Io { what, folder: base.into(), error };
        if !base.exists() {
            // `~/.cache` of a user who has none yet; not its ancestors.
            rustix::fs::mkdir(base, Mode::RWXU).map_err(|error| failed("make the folder", error.into()))?;
        }
        let base = base.canonicalize().map_err(|error| failed("find the folder", error))?;
        private(&base).map_err(CacheError::NoFolder)?;
        let parent = rustix::fs::open(&base, OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|error| failed("open the folder", error.into()))?;
        let path = base.join(FOLDER);
        let folder = own_folder(&parent, FOLDER, &path)?;
        Ok(Self { folder, path, total: MAX_TOTAL })
    }

    /// The folder for indexes of debug information, which is the user's alone as the cache is. Indexes that were not written
    /// for longest are removed while all are too many.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to another user.
    pub fn indexes(&self) -> Result<PathBuf, CacheError> {
        let path = self.path.join(INDEXES);
        let folder = own_folder(&self.folder, INDEXES, &path)?;
        // Too many is no reason to have none.
        trim(&folder, MAX_INDEXES).ok();
        Ok(path)
    }

    /// The folder for debug files from servers, which is the user's alone as the cache is.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to another user.
    pub fn debug_files(&self) -> Result<PathBuf, CacheError> {
        let path = self.path.join(DEBUG_FILES);
        own_folder(&self.folder, DEBUG_FILES, &path)?;
        Ok(path)
    }

    /// What compiling the probe gave before, if it did and nothing changed since.
    pub fn get(&self, request: &CompileRequest) -> Option<Compiled> {
        let name = key::of(request)?;
        match self.read(&name) {
            Ok(found) => found,
            Err(_) => {
                // Not ours, damaged, or of another layout: in any case of no use.
                rustix::fs::unlinkat(&self.folder, name.as_str(), AtFlags::empty()).ok();
                None
            }
        }
    }

    /// Whether anything is kept that was made of this text, for whatever kernel, compiler or options. What it costs to
    /// ask is little; it tells whether compiling is to be expected.
    pub fn knows(&self, source: &Source) -> bool {
        let prefix = key::of_text(source);
        let entries = rustix::fs::Dir::read_from(&self.folder);
        entries.is_ok_and(|entries| {
            entries.flatten().any(|entry| entry.file_name().to_bytes().starts_with(prefix.as_bytes()))
        })
    }

    /// Reads an entry; none where there is none.
    fn read(&self, name: &str) -> io::Result<Option<Compiled>> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let status = rustix::fs::fstat(&file)?;
        let regular = FileType::from_raw_mode(status.st_mode) == FileType::RegularFile;
        let own = status.st_uid == rustix::process::geteuid().as_raw() && status.st_mode & 0o077 == 0;
        if !regular || !own || u64::try_from(status.st_size).is_ok_and(|size| size > MAX_ENTRY) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let mut bytes = Vec::new();
        let file = File::from(file);
        (&file).take(MAX_ENTRY).read_to_end(&mut bytes)?;
        let compiled = decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        // Its time tells which entries are in use.
        let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now }).ok();
        Ok(Some(compiled))
    }

    /// Keeps what compiling a probe gave.
    ///
    /// # Errors
    /// When it cannot be written; nothing is left then.
    pub fn put(&self, request: &CompileRequest, compiled: &Compiled) -> Result<(), CacheError> {
        let failed = |what, error: io::Error| CacheError::Io { what, folder: self.path.clone(), error };
        let Some(name) = key::of(request) else { return Ok(()) };
        let bytes = encode(compiled).map_err(|error| failed("write", error))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > MAX_ENTRY.min(self.total) {
            return Err(CacheError::TooLarge(length));
        }
        let unfinished = format!("{UNFINISHED}{}-{}", rustix::process::getpid().as_raw_nonzero(), unique());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let written = rustix::fs::openat(&self.folder, unfinished.as_str(), flags, Mode::RUSR | Mode::WUSR)
            .map_err(io::Error::from)
            .and_then(|file| File::from(file).write_all(&bytes))
            .and_then(|()| Ok(rustix::fs::renameat(&self.folder, unfinished.as_str(), &self.folder, name.as_str())?));
        if let Err(error) = written {
            rustix::fs::unlinkat(&self.folder, unfinished.as_str(), AtFlags::empty()).ok();
            return Err(failed("write", error));
        }
        trim(&self.folder, self.total).map_err(|error| failed("remove old entries", error))
    }
}

/// Opens a folder of the user's in `parent`, which is made where it is missing.
fn own_folder(parent: &OwnedFd, name: &str, path: &Path) -> Result<OwnedFd, CacheError> {
    let failed = |what, error: rustix::io::Errno| CacheError::Io { what, folder: path.into(), error: error.into() };
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(failed("make the folder", error)),
    }
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let folder =
        rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(|error| failed("open the folder", error))?;
    let status = rustix::fs::fstat(&folder).map_err(|error| failed("look at the folder", error))?;
    let user = rustix::process::geteuid().as_raw();
    if status.st_uid != user || status.st_mode & 0o077 != 0 {
        let (owner, mode) = (status.st_uid, status.st_mode & 0o7777);
        return Err(CacheError::NoFolder(format!(
            "{} must belong to user {user} with mode 0700, not to user {owner} with mode {mode:04o}",
            path.display()
        )));
    }
    Ok(folder)
}

/// Removes the entries that were not used for longest while all are too many, and what was never finished.
fn trim(folder: &OwnedFd, most: u64) -> io::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_owned();
        let Ok(status) = rustix::fs::statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            continue;
        }
        let time = (status.st_mtime, status.st_mtime_nsec);
        if name.to_bytes().starts_with(UNFINISHED.as_bytes()) {
            if now.saturating_sub(status.st_mtime) > ABANDONED {
                rustix::fs::unlinkat(folder, &name, AtFlags::empty()).ok();
            }
            continue;
        }
        entries.push((time, u64::try_from(status.st_size).unwrap_or(0), name));
    }
    entries.sort();
    let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
    for (_, size, name) in entries {
        if total <= most {
            break;
        }
        // Another dbcc may have removed it.
        rustix::fs::unlinkat(folder, &name, AtFlags::empty()).ok();
        total = total.saturating_sub(size);
    }
    Ok(())
}

/// Whether a folder and all that it lies in can be changed by root and the user only. A folder like `/tmp`, where the
/// sticky bit keeps others from removing what is not theirs, will do.
fn private(folder: &Path) -> Result<(), String> {
    let user = rustix::process::geteuid().as_raw();
    for part in folder.ancestors() {
        let status = rustix::fs::lstat(part).map_err(|error| format!("cannot look at {}: {error}", part.display()))?;
        let open = status.st_mode & 0o022 != 0 && status.st_mode & 0o1000 == 0;
        if (status.st_uid != user && status.st_uid != 0) || open {
            return Err(format!("{} can be changed by other users", part.display()));
        }
    }
    Ok(())
}

/// A number that no other unfinished file of this process has.
fn unique() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// An entry: magic, digest of the rest, length of the JSON, JSON, object.
fn encode(compiled: &Compiled) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(compiled)?;
    let length = u64::try_from(json.len()).unwrap_or(u64::MAX).to_le_bytes();
    let digest = Sha256::new().chain_update(length).chain_update(&json).chain_update(&compiled.elf).finalize();
    Ok([MAGIC.as_slice(), &digest, &length, &json, &compiled.elf].concat())
}

fn decode(bytes: &[u8]) -> Option<Compiled> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (digest, payload) = rest.split_first_chunk::<32>()?;
    if Sha256::digest(payload).as_slice() != digest {
        return None;
    }
    let (length, rest) = payload.split_first_chunk::<8>()?;
    let (json, elf) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    let mut compiled: Compiled = serde_json::from_slice(json).ok()?;
    compiled.elf = elf.to_vec();
    Some(compiled)
}

#[cfg(test)]
mod tests;
