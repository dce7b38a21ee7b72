//! BCC's own tools, run by BCC and by dbcc at the same time on the same work: they must record the same.
//!
//! `DBCC_MEANING` chooses some of them by a part of their command lines; with `DBCC_MEANING_WRONG`, dbcc gets texts that count
//! something else, and every comparison must notice. Figures are in `docs/bcc-meaning.md`.

use std::path::Path;

use anyhow::Result;
use dbcc_tests::meaning::{native, run};
use dbcc_tests::need;

#[test]
fn tools_without_kprobes_record_the_same() -> Result<()> {
    let cases = run::chosen(native::CASES);
    need!(run::available(&cases));
    let folder = tempfile::tempdir()?;
    let kernel = folder.path().join("kernel.json");
    run::kernel_facts(Path::new("/sys/kernel/btf/vmlinux"), &kernel)?;
    run::run(&cases, &kernel)
}
