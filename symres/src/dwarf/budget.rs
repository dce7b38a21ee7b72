//! A limit to the work that a file can cause.

use std::sync::atomic::{AtomicU64, Ordering};

/// What every search may spend. Parts of real files are read about once; what is read again and again, since many entries
/// refer to the same bytes, adds up to less than this.
const BASE: u64 = 64 << 20;
/// … and so many times the size of the file's debug information on top.
const FACTOR: u64 = 8;

/// Bytes of shared parts (tables of abbreviations, lists of ranges, names, headers of line tables) that a search may still
/// read. A hostile file can refer to one large table from each of a hundred thousand places.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
}

impl Budget {
    pub(crate) fn new(debug_information: u64) -> Self {
        Self { left: AtomicU64::new(debug_information.saturating_mul(FACTOR).saturating_add(BASE)) }
    }

    /// Takes `bytes` from what is left.
    ///
    /// # Errors
    ///
    /// When not so many are left.
    pub(crate) fn spend(&self, bytes: usize) -> gimli::Result<()> {
        let take = |left: u64| left.checked_sub(bytes as u64);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(_) => {
                self.left.store(0, Ordering::Relaxed);
                Err(gimli::Error::TooManyIterations)
            }
        }
    }

    /// Nothing is left: what was found is not all there is.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}
