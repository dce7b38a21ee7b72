//! Work that two threads share.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads that work together. The machines that this is measured on have two processors, and on larger ones more threads
/// would wait for memory rather than help.
pub(crate) const THREADS: usize = 2;

/// Parts of `0..len`, handed out one after another to whoever asks.
#[derive(Debug)]
pub(crate) struct Shares {
    next: AtomicUsize,
    len: usize,
    step: usize,
}

impl Shares {
    pub(crate) fn new(len: usize, step: usize) -> Self {
        Self { next: AtomicUsize::new(0), len, step: step.max(1) }
    }

    /// The next part that nobody has taken.
    pub(crate) fn take(&self) -> Option<Range<usize>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let start = index.checked_mul(self.step).filter(|start| *start < self.len)?;
        Some(start..start.saturating_add(self.step).min(self.len))
    }
}

/// Runs `work` in `threads` threads, this one among them: their results, this one's first.
pub(crate) fn together<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(&work)).collect();
        let mut results = vec![work()];
        for other in others {
            match other.join() {
                Ok(result) => results.push(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    })
}
