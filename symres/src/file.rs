//! Bytes of an untrusted file, read where and as far as they are needed.
//!
//! Parts are copied with `pread` and the file is not mapped: a file that is truncated or rewritten while it is mapped
//! (an upgrade of the server does just that) would end the reader with SIGBUS or change bytes under a reference. The
//! parts that symbols need are a few megabytes even in servers with gigabytes of debug information, so copying costs a
//! millisecond.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// The largest part that is read at once. The string table of a browser with debug symbols is a third of this.
const MAX_PART: u64 = 512 << 20;

/// A file of known length, or bytes in its place.
#[derive(Debug)]
pub(crate) struct Contents {
    origin: Origin,
    len: u64,
    path: PathBuf,
}

#[derive(Debug)]
enum Origin {
    File(File),
    Memory(Vec<u8>),
}

impl Contents {
    /// Opens `open`; errors speak of `shown`.
    pub(crate) fn open(open: &Path, shown: &Path) -> Result<Self, Error> {
        let io = |doing, source| Error::Io { doing, path: shown.to_owned(), source };
        // Looked at before it is opened: opening a FIFO would wait for its writer.
        let before = std::fs::metadata(open).map_err(|e| io("find", e))?;
        if !before.is_file() {
            return Err(Error::NotAFile(shown.to_owned()));
        }
        let file = File::open(open).map_err(|e| io("open", e))?;
        let len = file.metadata().map_err(|e| io("read", e))?.len();
        Ok(Self { origin: Origin::File(file), len, path: shown.to_owned() })
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Self { origin: Origin::Memory(bytes), len, path: PathBuf::from("<memory>") }
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
        if offset.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(self.damaged(format!(
                "{what} ({len} bytes at {offset:#x}) reaches behind the end of the file ({} bytes)",
                self.len
            )));
        }
        if len > MAX_PART {
            return Err(self.damaged(format!("{what} of {len} bytes is beyond the limit of {MAX_PART}")));
        }
        let size = usize::try_from(len).map_err(|_| self.damaged(format!("{what} does not fit in memory")))?;
        match &self.origin {
            Origin::Memory(bytes) => usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..)?.get(..size))
                .map(<[u8]>::to_vec)
                .ok_or_else(|| self.damaged(format!("{what} reaches behind the end of the file"))),
            Origin::File(file) => {
                let mut part = vec![0; size];
                file.read_exact_at(&mut part, offset).map_err(|source| Error::Io {
                    doing: "read",
                    path: self.path.clone(),
                    source,
                })?;
                Ok(part)
            }
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
