//! A fixed number of mutated probe texts; `ci/fuzz` tries others for as long as one likes.

use anyhow::{Result, ensure};
use dbcc_tests::{fuzz, need};

#[test]
fn mutated_texts_neither_crash_nor_hang() -> Result<()> {
    const TEXTS: u64 = 150;
    let repository = need::repository();
    let folders = ["probes", "tests/cases/run", "tests/cases/errors"].map(|folder| repository.join(folder));
    let seeds = fuzz::seeds(&folders)?;
    let folder = tempfile::tempdir()?;
    for number in 0..TEXTS {
        let text = fuzz::mutated(&seeds, number);
        let wrong = fuzz::check(&text, folder.path())?;
        ensure!(wrong.is_none(), "text {number}: {}\n{}", wrong.unwrap_or_default(), String::from_utf8_lossy(&text));
    }
    Ok(())
}
