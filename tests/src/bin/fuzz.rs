//! `fuzz SECONDS [FIRST]`: has `dbcc check` look at mutated probe texts for that long, on all processors.
//!
//! The texts come from the probes of the project, those of its tests, and the folders that DBCC_FUZZ_SEEDS names (`:` between
//! them). Each has a number, from FIRST (0) on, and the same number gives the same text. One that dbcc does not survive
//! is written to `fuzz-NUMBER.c` in the current folder, and the exit status is 1.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use dbcc_tests::{fuzz, need};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().context("usage: fuzz SECONDS [FIRST]")?.parse()?;
    let first: u64 = arguments.next().map_or(Ok(0), |first| first.parse())?;
    let repository = need::repository();
    let mut folders =
        ["probes", "tests/cases/run", "tests/cases/errors"].map(|folder| repository.join(folder)).to_vec();
    let more = std::env::var_os("DBCC_FUZZ_SEEDS");
    folders.extend(more.iter().flat_map(std::env::split_paths).filter(|path| *path != PathBuf::new()));
    let seeds = fuzz::seeds(&folders)?;

    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let end = Instant::now() + Duration::from_secs(seconds);
    let work = || -> Result<()> {
        let folder = tempfile::tempdir()?;
        while Instant::now() < end {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let text = fuzz::mutated(&seeds, number);
            let wrong = fuzz::check(&text, folder.path());
            if let Some(wrong) = wrong.unwrap_or_else(|error| Some(format!("{error:#}"))) {
                failed.store(true, Ordering::Relaxed);
                fs::write(format!("fuzz-{number}.c"), &text)?;
                eprintln!("fuzz-{number}.c: {wrong}");
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let count = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("a thread panicked")))
    })?;
    println!("{} texts from {} seeds", next.load(Ordering::Relaxed) - first, seeds.len());
    anyhow::ensure!(!failed.load(Ordering::Relaxed), "some were not survived");
    Ok(())
}
