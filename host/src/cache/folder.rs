//! Folders that are their owner's alone, and the files in them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::CacheError;

/// How the name of a file starts that is being written.
pub(super) const UNFINISHED: &str = ".new-";
/// How long a file may be written; an older one belongs to nobody any more.
const ABANDONED: Duration = Duration::from_secs(600);

/// An open folder.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) fd: OwnedFd,
    pub(super) path: PathBuf,
}

/// A file in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Its name, or that of its folder with it: `ID/debuginfo`.
    pub(super) name: CString,
    /// Its size in bytes.
    pub(super) bytes: u64,
    /// When it was read or written last, as far as the file system keeps that.
    pub(super) used: SystemTime,
}

impl File {
    /// Whether it is still being written, or its writer ended in the middle of that.
    pub(super) fn is_unfinished(&self) -> bool {
        self.name.to_bytes().starts_with(UNFINISHED.as_bytes())
    }

    fn new(name: CString, status: &Stat) -> Self {
        let time = |seconds: i64, nanoseconds: i64| {
            let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
            SystemTime::UNIX_EPOCH.checked_add(since)
        };
        let written = time(status.st_mtime, i64::try_from(status.st_mtime_nsec).unwrap_or(0));
        let read = time(status.st_atime, i64::try_from(status.st_atime_nsec).unwrap_or(0));
        let used = written.max(read).unwrap_or(SystemTime::UNIX_EPOCH);
        Self { name, bytes: u64::try_from(status.st_size).unwrap_or(0), used }
    }
}

impl Folder {
    /// Opens a folder by its path, which must lead through no folder that others can change. A missing one is made, but not
    /// what it lies in.
    pub(super) fn base(path: &Path) -> Result<Self, CacheError> {
        let failed = |what, error: io::Error| CacheError::Io { what, folder: path.into(), error };
        if !path.exists() {
            // `~/.cache` of a user who has none yet.
            rustix::fs::mkdir(path, Mode::RWXU).map_err(|error| failed("make the folder", error.into()))?;
        }
        let path = path.canonicalize().map_err(|error| failed("find the folder", error))?;
        private(&path).map_err(CacheError::NoFolder)?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd =
            rustix::fs::open(&path, flags, Mode::empty()).map_err(|error| failed("open the folder", error.into()))?;
        Ok(Self { fd, path })
    }

    /// Opens a folder of the user's in this one, which is made where it is missing.
    pub(super) fn own(&self, name: &str) -> Result<Self, CacheError> {
        let path = self.path.join(name);
        let failed =
            |what, error: rustix::io::Errno| CacheError::Io { what, folder: path.clone(), error: error.into() };
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(failed("make the folder", error)),
        }
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::empty())
            .map_err(|error| failed("open the folder", error))?;
        let status = rustix::fs::fstat(&fd).map_err(|error| failed("look at the folder", error))?;
        let user = rustix::process::geteuid().as_raw();
        if status.st_uid != user || status.st_mode & 0o077 != 0 {
            let (owner, mode) = (status.st_uid, status.st_mode & 0o7777);
            return Err(CacheError::NoFolder(format!(
                "{} must belong to user {user} with mode 0700, not to user {owner} with mode {mode:04o}",
                path.display()
            )));
        }
        Ok(Self { fd, path })
    }

    /// The files in it, those that are not finished included; with `nested`, those in its folders instead.
    pub(super) fn files(&self, nested: bool) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        for (name, status) in entries(&self.fd)? {
            match FileType::from_raw_mode(status.st_mode) {
                FileType::RegularFile if !nested => files.push(File::new(name, &status)),
                FileType::Directory if nested => {
                    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
                    // Another dbcc may have removed it.
                    let Ok(fd) = rustix::fs::openat(&self.fd, &name, flags, Mode::empty()) else { continue };
                    for (inner, status) in entries(&fd)? {
                        if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile {
                            files.push(File::new(joined(&name, &inner)?, &status));
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(files)
    }

    /// Removes a file, and the folder that it lies in when that is empty then. Says whether it was there.
    pub(super) fn remove(&self, file: &File) -> bool {
        let removed = rustix::fs::unlinkat(&self.fd, &file.name, AtFlags::empty()).is_ok();
        if let Some(end) = file.name.to_bytes().iter().position(|byte| *byte == b'/') {
            let folder = file.name.to_bytes().get(..end).unwrap_or_default();
            // Others keep more in it.
            rustix::fs::unlinkat(&self.fd, folder, AtFlags::REMOVEDIR).ok();
        }
        removed
    }

    /// Removes the files that were not used for longest while all are too many, and what was never finished.
    pub(super) fn trim(&self, nested: bool, most: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let (abandoned, mut files): (Vec<File>, Vec<File>) = self
            .files(nested)?
            .into_iter()
            .partition(|file| file.is_unfinished() && now.duration_since(file.used).is_ok_and(|age| age > ABANDONED));
        for file in &abandoned {
            self.remove(file);
        }
        files.sort_by_key(|file| file.used);
        let mut total: u64 = files.iter().map(|file| file.bytes).fold(0, u64::saturating_add);
        for file in files.iter().filter(|file| !file.is_unfinished()) {
            if total <= most {
                break;
            }
            self.remove(file);
            total = total.saturating_sub(file.bytes);
        }
        Ok(())
    }
}

/// What is in a folder, with what the system knows of each, links not followed.
fn entries(fd: &OwnedFd) -> io::Result<Vec<(CString, Stat)>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        // Another dbcc may have removed it.
        let Ok(status) = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        found.push((name.to_owned(), status));
    }
    Ok(found)
}

fn joined(folder: &CStr, name: &CStr) -> io::Result<CString> {
    Ok(CString::new([folder.to_bytes(), b"/", name.to_bytes()].concat())?)
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
