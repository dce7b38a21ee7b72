//! Iterators: programs that the kernel runs for each of its objects of a kind, and the text that they write.

use std::ffi::c_long;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use libbpf_sys as sys;

use super::link;
use super::map::Map;
use super::program::AttachType;
use super::sys::new_fd;

/// The longest text that is kept of one reading.
const LIMIT: u64 = 16 << 20;

/// An attached iterator. Reading it runs its program; between readings nothing runs. Clones are the same.
#[derive(Debug, Clone)]
pub struct KernelIterator {
    link: Arc<OwnedFd>,
}

/// What one reading gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What the program wrote.
    pub bytes: Vec<u8>,
    /// Whether there was more than what is kept (16 MiB).
    pub cut: bool,
}

impl KernelIterator {
    /// Makes an iterator of a loaded program (Linux 5.8), over a map where its kind needs one.
    ///
    /// # Errors
    /// The kernel's: `EINVAL` or `EBADF` where the kind of iterator needs a map, or another one.
    pub fn new(program: BorrowedFd<'_>, map: Option<&Map>) -> io::Result<Self> {
        let mut info = sys::bpf_iter_link_info::default();
        if let Some(map) = map {
            info.map.map_fd = u32::try_from(map.as_fd().as_raw_fd()).map_err(io::Error::other)?;
        }
        let mut options = sys::bpf_link_create_opts {
            sz: size_of::<sys::bpf_link_create_opts>().try_into().unwrap_or(0),
            ..Default::default()
        };
        if map.is_some() {
            options.iter_info = &raw mut info;
            options.iter_info_len = u32::try_from(size_of_val(&info)).unwrap_or(0);
        }
        let link = link::create_with(program, 0, AttachType::TRACE_ITER, &options)?;
        Ok(Self { link: Arc::new(link) })
    }

    /// Its link.
    pub fn link(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }

    /// Runs the program over all objects and gives what it wrote.
    ///
    /// # Errors
    /// The kernel's, and the program's own: an error that it returns.
    pub fn read(&self) -> io::Result<Reading> {
        // SAFETY: the link is open; the call makes a new descriptor.
        let file = unsafe { new_fd(c_long::from(sys::bpf_iter_create(self.link.as_raw_fd())))? };
        let mut bytes = Vec::new();
        let mut file = std::fs::File::from(file);
        loop {
            let mut chunk = [0; 64 << 10];
            match file.read(&mut chunk) {
                Ok(0) => return Ok(Reading { bytes, cut: false }),
                Ok(length) => bytes.extend_from_slice(chunk.get(..length).unwrap_or_default()),
                // The program asks to be run again, or a signal came in between.
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted) => {}
                Err(error) => return Err(error),
            }
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > LIMIT {
                return Ok(Reading { bytes, cut: true });
            }
        }
    }
}
