//! Bytes of an untrusted file, read where and as far as they are needed.
//!
//! Parts are copied with `pread` and the file is not mapped: a file that is truncated or rewritten while it is mapped
//! (an upgrade of the server does just that) would end the reader with SIGBUS or change bytes under a reference. The
//! parts that symbols need are a few megabytes even in servers with gigabytes of debug information, so copying costs a
//! millisecond.

use std::borrow::Cow;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::error::Error;

/// The largest part that is read at once. The string table of a browser with debug symbols is a third of this.
const MAX_PART: u64 = 512 << 20;

/// A file of known length, or bytes in its place.
#[derive(Debug)]
pub(crate) struct Contents {
    origin: Origin,
    len: u64,
    path: PathBuf,
    /// Device and inode: none of what is in memory.
    identity: Option<(u64, u64)>,
}

enum Origin {
    File(File),
    Memory(Vec<u8>),
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(file) => file.fmt(f),
            Origin::Memory(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl Contents {
    /// Opens `open`; errors speak of `shown`.
    pub(crate) fn open(open: &Path, shown: &Path) -> Result<Self, Error> {
        let io = |doing, error| Error::Io { doing, path: shown.to_owned(), error };
        // Looked at before it is opened: opening a device may do something. Should it be exchanged in between, opening a
        // FIFO would wait for its writer, without the flag.
        let before = std::fs::metadata(open).map_err(|e| io("find", e))?;
        if !before.is_file() {
            return Err(Error::NotAFile(shown.to_owned()));
        }
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(open).map_err(|e| io("open", e))?;
        Self::of_file(file, shown)
    }

    /// Opens the file that a descriptor made with `O_PATH` stands for, after a look at what it is.
    pub(crate) fn of_found(found: &OwnedFd, shown: &Path) -> Result<Self, Error> {
        Self::open(Path::new(&format!("/proc/self/fd/{}", found.as_raw_fd())), shown)
    }

    fn of_file(file: File, shown: &Path) -> Result<Self, Error> {
        let io = |error| Error::Io { doing: "read", path: shown.to_owned(), error };
        let metadata = file.metadata().map_err(io)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile(shown.to_owned()));
        }
        let identity = Some((metadata.dev(), metadata.ino()));
        Ok(Self { origin: Origin::File(file), len: metadata.len(), path: shown.to_owned(), identity })
    }

    /// Both are the same file, by whatever path.
    pub(crate) fn is_same_file(&self, other: &Contents) -> bool {
        self.identity.is_some() && self.identity == other.identity
    }

    /// What changes when the file is written to or replaced: none where it is not on a disk.
    pub(crate) fn version(&self) -> Option<String> {
        let Origin::File(file) = &self.origin else { return None };
        let metadata = file.metadata().ok()?;
        let (dev, ino, len) = (metadata.dev(), metadata.ino(), metadata.len());
        Some(format!("{dev:x}:{ino:x} {len} {}.{:09}", metadata.mtime(), metadata.mtime_nsec()))
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self::part_in_memory(bytes, PathBuf::from("<memory>"))
    }

    /// What was unpacked from a part of the file at `path`.
    pub(crate) fn part_in_memory(bytes: Vec<u8>, path: PathBuf) -> Self {
        let len = bytes.len() as u64;
        Self { origin: Origin::Memory(bytes), len, path, identity: None }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The path for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Exactly `len` bytes from `offset`; `what` names them in the error.
    pub(crate) fn read(&self, offset: u64, len: u64, what: &str) -> Result<Vec<u8>, Error> {
        self.get(offset, len, what).map(Cow::into_owned)
    }

    /// As [`Contents::read`], without a copy of what is in memory already.
    pub(crate) fn get(&self, offset: u64, len: u64, what: &str) -> Result<Cow<'_, [u8]>, Error> {
        let size = self.checked(offset, len, what)?;
        if let Some(bytes) = self.in_memory(offset, size) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut part = vec![0; size];
        self.fill(offset, &mut part, what)?;
        Ok(Cow::Owned(part))
    }

    /// Fills `part` with the bytes from `offset`.
    pub(crate) fn fill(&self, offset: u64, part: &mut [u8], what: &str) -> Result<(), Error> {
        self.checked(offset, part.len() as u64, what)?;
        match &self.origin {
            Origin::Memory(_) => {
                let bytes = self.in_memory(offset, part.len());
                part.copy_from_slice(bytes.ok_or_else(|| self.damaged(format!("{what} is cut off")))?);
                Ok(())
            }
            Origin::File(file) => file.read_exact_at(part, offset).map_err(|error| Error::Io {
                doing: "read",
                path: self.path.clone(),
                error,
            }),
        }
    }

    /// `len` as a size in memory, when there are so many bytes from `offset`.
    fn checked(&self, offset: u64, len: u64, what: &str) -> Result<usize, Error> {
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged(format!(
                "{what} ({len} bytes at {offset:#x}) reaches behind the end of the file ({} bytes)",
                self.len
            )));
        }
        if len > MAX_PART {
            return Err(self.damaged(format!("{what} of {len} bytes is beyond the limit of {MAX_PART}")));
        }
        usize::try_from(len).map_err(|_| self.damaged(format!("{what} does not fit in memory")))
    }

    /// The bytes where they are: none when they are in a file.
    pub(crate) fn in_memory(&self, offset: u64, size: usize) -> Option<&[u8]> {
        match &self.origin {
            Origin::Memory(bytes) => bytes.get(usize::try_from(offset).ok()?..)?.get(..size),
            Origin::File(_) => None,
        }
    }

    /// At most `len` bytes from `offset`: fewer at the end of the file.
    pub(crate) fn read_up_to(&self, offset: u64, len: u64, what: &str) -> Result<Vec<u8>, Error> {
        self.read(offset, len.min(self.len.saturating_sub(offset)), what)
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.into() }
    }
}
