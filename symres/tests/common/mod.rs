//! Programs to look into, and the tools that say what is in them: readelf, nm, c++filt, objdump.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod dwarfdump;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use symres::{Answer, Binary, Function, Place, Table};

/// A small generator with a fixed start, so that each run tries the same.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // xorshift64
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % 0x1_0000_0000).unwrap_or_default() % limit.max(1)
    }
}

/// What a command prints.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let out = command.stderr(Stdio::piped()).output().with_context(|| format!("{command:?}"))?;
    ensure!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Compiles `tests/data/names.cc`.
pub(crate) fn compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let path = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/names.cc");
    output(Command::new("g++").args(["-O1", "-o"]).arg(&path).arg(source).args(flags))?;
    Ok(path)
}

/// A function as `readelf -s` lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Listed {
    pub(crate) addr: u64,
    pub(crate) size: u64,
    pub(crate) name: String,
}

/// The functions that a binary defines, from `readelf`.
pub(crate) fn readelf(binary: &Path) -> Result<Vec<Listed>> {
    let text = output(Command::new("readelf").args(["-sW"]).arg(binary))?;
    let mut list: Vec<Listed> = text
        .lines()
        .filter_map(|line| {
            // Num: Value Size Type Bind Vis Ndx Name
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, value, size, "FUNC" | "IFUNC", _, _, section, name, ..] = fields.as_slice() else { return None };
            if *section == "UND" {
                return None;
            }
            let size = match size.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok()?,
                None => size.parse().ok()?,
            };
            let name = name.split('@').next()?.to_owned();
            Some(Listed { addr: u64::from_str_radix(value, 16).ok()?, size, name })
        })
        .collect();
    list.sort();
    list.dedup();
    Ok(list)
}

/// The executable segments, from `readelf`: address, offset, size in the file.
pub(crate) fn segments(binary: &Path) -> Result<Vec<(u64, u64, u64)>> {
    let text = output(Command::new("readelf").args(["-lW"]).arg(binary))?;
    let hex = |s: &str| u64::from_str_radix(s.trim_start_matches("0x"), 16);
    let mut list = Vec::new();
    for line in text.lines() {
        // Type Offset VirtAddr PhysAddr FileSiz MemSiz Flg Align
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let ["LOAD", offset, vaddr, _, filesz, _, flags @ .., _] = fields.as_slice()
            && flags.iter().any(|flag| flag.contains('E'))
        {
            list.push((hex(vaddr)?, hex(offset)?, hex(filesz)?));
        }
    }
    Ok(list)
}

/// The first bytes of the code at `addr`, as `objdump` disassembles it.
pub(crate) fn objdump(binary: &Path, addr: u64, len: u64) -> Result<Vec<u8>> {
    let text = output(
        Command::new("objdump")
            .args(["-d", "--insn-width=16", "--no-show-raw-insn", "--show-raw-insn"])
            .arg(format!("--start-address={addr:#x}"))
            .arg(format!("--stop-address={:#x}", addr + len))
            .arg(binary),
    )?;
    let mut bytes = Vec::new();
    for line in text.lines() {
        let Some((_, code)) = line.split_once(":\t") else { continue };
        let code = code.split('\t').next().unwrap_or_default();
        bytes.extend(code.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()));
    }
    Ok(bytes)
}

/// What `c++filt` makes of each name.
pub(crate) fn filt(names: &[String]) -> Result<Vec<String>> {
    let mut child = Command::new("c++filt").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("c++filt")?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let text = names.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let out = child.wait_with_output()?;
    writer.join().map_err(|_| anyhow::anyhow!("writer panicked"))??;
    Ok(String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect())
}

pub(crate) fn search(binary: &Binary, pattern: &str) -> Result<Answer> {
    Ok(binary.functions(&pattern.parse()?)?)
}

/// The functions that have a symbol.
pub(crate) fn with_symbols(functions: &[Function]) -> Vec<Function> {
    functions.iter().filter(|f| f.tables.iter().any(|table| *table != Table::Dwarf)).cloned().collect()
}

/// The out-of-line body of a function that has one.
pub(crate) fn body(function: &Function) -> &Place {
    function.body().unwrap_or_else(|| panic!("`{}` has no body", function.name))
}

/// Every name of the functions, by address.
pub(crate) fn names(functions: &[Function]) -> BTreeMap<u64, Vec<String>> {
    let mut names: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for function in functions {
        let list = names.entry(body(function).addr.0).or_default();
        list.push(function.mangled.clone());
        list.extend(function.aliases.iter().map(|alias| alias.mangled.clone()));
        list.sort();
    }
    names
}
