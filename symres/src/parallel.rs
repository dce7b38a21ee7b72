//! Work that two threads share.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder, ScopedJoinHandle};

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

/// Runs `work` in `threads` threads, this one among them: their results, this one's first. Where no more threads can be
/// had, there are fewer results.
pub(crate) fn together<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).filter_map(|_| Builder::new().spawn_scoped(scope, &work).ok()).collect();
        let mut results = vec![work()];
        results.extend(others.into_iter().map(joined));
        results
    })
}

/// Runs `here` in this thread and `there` in another; one after the other where no other thread can be had.
pub(crate) fn beside<A, B: Send>(here: impl FnOnce() -> A, there: impl Fn() -> B + Sync) -> (A, B) {
    thread::scope(|scope| match Builder::new().spawn_scoped(scope, &there) {
        Ok(other) => {
            let here = here();
            (here, joined(other))
        }
        Err(_) => (here(), there()),
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
