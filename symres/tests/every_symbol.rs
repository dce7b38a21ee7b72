//! Every symbol of real programs and libraries: where `nm` has it, and found by its own name.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::need::{self, Skip};
use symres::{Binary, Table, VirtAddr};

use common::{output, search};

/// So many of a binary's symbols are also looked for by name, evenly spread over it.
const SAMPLE: usize = 60;

/// Name, address and size of a function.
type Symbol = (String, u64, u64);

/// The functions of one table as `nm` lists them; none where the file has no such table.
fn nm(binary: &Path, table: Table) -> Result<BTreeSet<Symbol>> {
    let mut command = Command::new("nm");
    command.args(["--format=sysv", "--defined-only"]).arg(binary);
    if table == Table::Dynsym {
        command.arg("--dynamic");
    }
    let text = output(&mut command)?;
    let symbol = |line: &str| {
        // Name|Value|Class|Type|Size|Line|Section
        let fields: Vec<&str> = line.rsplitn(7, '|').map(str::trim).collect();
        // Type 10 is STT_GNU_IFUNC; nm knows its name where the file says that it is for GNU.
        let [_, _, size, "FUNC" | "IFUNC" | "<OS specific>: 10", _, value, name] = fields.as_slice() else {
            return None;
        };
        let hex = |text: &str| if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 16).ok() };
        Some((unversioned(name).to_owned(), hex(value)?, hex(size)?))
    };
    Ok(text.lines().filter_map(symbol).collect())
}

/// `nm` shows the versions of dynamic symbols.
fn unversioned(name: &str) -> &str {
    match name.find('@') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

fn check(path: &Path) -> Result<()> {
    let binary = Binary::open(path)?;
    let mut tables: BTreeMap<Table, BTreeSet<Symbol>> = BTreeMap::new();
    binary.each_symbol(|symbol| {
        if !symbol.is_label {
            let name = unversioned(symbol.name).to_owned();
            tables.entry(symbol.table).or_default().insert((name, symbol.addr.0, symbol.size.0));
        }
    })?;
    let mut all: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for table in [Table::Symtab, Table::Dynsym] {
        let ours = tables.remove(&table).unwrap_or_default();
        // A function in no segment with code is none: symbols of discarded sections are left at 0.
        let mut listed = nm(path, table)?;
        if let (true, Table::Symtab, Some(debug)) = (listed.is_empty(), table, binary.debug_info()) {
            // Its symbols are in a file of their own.
            listed = nm(&debug.main, table)?;
        }
        listed.retain(|(_, addr, _)| binary.file_offset(VirtAddr(*addr)).is_some());
        let missing: Vec<_> = listed.difference(&ours).take(5).collect();
        let more: Vec<_> = ours.difference(&listed).take(5).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{} in {table}: nm alone has {missing:x?}, we alone {more:x?}",
            path.display()
        );
        for (name, addr, _) in listed {
            all.entry(name).or_default().insert(addr);
        }
    }
    assert!(all.len() > 500, "{} has {} functions", path.display(), all.len());
    // With debug information that is searched too.
    let sample = if binary.debug_info().is_some() { SAMPLE / 6 } else { SAMPLE };
    let step = (all.len() / sample).max(1);
    for (name, addrs) in all.iter().step_by(step) {
        // Signs of a pattern cannot be told from those of a name.
        if name.contains(['*', '<', '(', '+', '/', ' ', '[', '$']) {
            continue;
        }
        let answer = search(&binary, name)?;
        let found: BTreeSet<u64> = answer
            .matches
            .iter()
            .filter(|f| f.mangled == *name || f.aliases.iter().any(|alias| alias.mangled == *name))
            .filter_map(|f| f.body().map(|place| place.addr.0))
            .collect();
        assert_eq!(found, *addrs, "{name} in {}: {:?}", path.display(), answer.reason);
    }
    println!("{}: {} names", path.display(), all.len());
    Ok(())
}

fn installed(path: &str) -> Result<PathBuf, Skip> {
    Some(PathBuf::from(path)).filter(|path| path.exists()).ok_or_else(|| Skip::required(format!("{path} is not there")))
}

#[test]
fn mysql56() -> Result<()> {
    check(&dbcc_tests::need!(need::mysql56()))
}

#[test]
fn mysql97() -> Result<()> {
    check(&dbcc_tests::need!(need::mysql97()))
}

#[test]
fn mariadb() -> Result<()> {
    check(&dbcc_tests::need!(installed("/usr/sbin/mariadbd")))
}

#[test]
fn postgres() -> Result<()> {
    check(&dbcc_tests::need!(need::postgres()))
}

#[test]
fn python() -> Result<()> {
    check(&dbcc_tests::need!(installed("/usr/bin/python3.11")))
}

#[test]
fn libraries_of_c_and_cpp() -> Result<()> {
    check(&dbcc_tests::need!(installed("/lib/x86_64-linux-gnu/libc.so.6")))?;
    check(&dbcc_tests::need!(installed("/usr/lib/x86_64-linux-gnu/libstdc++.so.6")))
}

#[test]
fn llvm() -> Result<()> {
    check(&dbcc_tests::need!(installed("/usr/lib/llvm-19/lib/libLLVM.so.1")))
}

#[test]
fn rustc_driver() -> Result<()> {
    let folder = PathBuf::from(output(Command::new("rustc").args(["--print", "sysroot"]))?.trim()).join("lib");
    let driver = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librustc_driver-")))
        .with_context(|| format!("no librustc_driver in {}", folder.display()))?;
    check(&driver)
}
