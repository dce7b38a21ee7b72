//! Over all functions of real binaries: `objdump` decodes the same instructions at the sites, and finds nothing anywhere in
//! the binary that leads to between an entry and its site. Jump tables are read too.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need;
use dbcc_tests::server::MARIADBD;
use symres::{Binary, KernelVersion, Pattern};

/// Between the entry, not included, and the site, included: by their ends, the entry and the site with its instruction.
struct Sites {
    by_entry: BTreeMap<u64, (u64, String)>,
    /// The ends of functions, by their entries.
    ends: BTreeMap<u64, u64>,
}

impl Sites {
    fn of(binary: &Binary) -> Result<Self> {
        let answer = binary.functions(&"*".parse::<Pattern>()?)?;
        let (mut by_entry, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for body in answer.matches.iter().filter_map(|found| found.body()) {
            let site = binary.site(body, KernelVersion::OLDEST)?;
            ends.insert(body.addr.0, body.addr.0 + body.size.0);
            if let Some(best) = site.best {
                ensure!(best.addr.0 == body.addr.0 + best.offset.0 && best.offset.0 < body.size.0, "{best:?}");
                by_entry.insert(body.addr.0, (best.addr.0, best.instruction));
            }
        }
        Ok(Self { by_entry, ends })
    }

    /// The entry behind which an address lies, at or before the site.
    fn behind(&self, addr: u64) -> Option<u64> {
        let (entry, (site, _)) = self.by_entry.range(..addr).next_back()?;
        (addr <= *site).then_some(*entry)
    }

    /// The function that an address is in, as its entry and its end.
    fn around(&self, addr: u64) -> Option<(u64, u64)> {
        let (entry, end) = self.ends.range(..=addr).next_back()?;
        (addr < *end).then_some((*entry, *end))
    }
}

/// A line of `objdump -d`: where, the instruction, and its operands.
fn instruction(line: &str) -> Option<(u64, &str, &str)> {
    let (addr, text) = line.trim_start().split_once(":\t")?;
    let (mnemonic, operands) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    Some((u64::from_str_radix(addr, 16).ok()?, mnemonic, operands.trim()))
}

/// The address that stands in an operand: `12ab <f+0x2>`, or behind `#`.
fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.split([' ', '<']).next()?.trim_start_matches("0x"), 16).ok()
}

/// The parts of the file that are data: address and bytes.
fn data(path: &Path) -> Result<Vec<(u64, Vec<u8>)>> {
    let file = std::fs::read(path)?;
    let output = Command::new("readelf").args(["-SW"]).arg(path).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.contains(" .rodata") || line.contains(" .data.rel.ro")) {
        let words: Vec<&str> = line.rsplit(']').next().unwrap_or_default().split_whitespace().collect();
        let [_, _, addr, offset, size, ..] = words.as_slice() else { continue };
        let number = |text: &str| u64::from_str_radix(text, 16).context("a number of readelf");
        let (start, size) = (usize::try_from(number(offset)?)?, usize::try_from(number(size)?)?);
        found.push((number(addr)?, file.get(start..start + size).context("the section is in the file")?.to_vec()));
    }
    Ok(found)
}

fn word<const N: usize>(data: &[(u64, Vec<u8>)], addr: u64) -> Option<[u8; N]> {
    let (start, bytes) =
        data.iter().find(|(start, bytes)| addr.checked_sub(*start).is_some_and(|at| at < bytes.len() as u64))?;
    bytes.get(usize::try_from(addr - start).ok()?..)?.get(..N)?.try_into().ok()
}

/// The most entries of one jump table.
const LONGEST_TABLE: u64 = 5000;

fn check(path: &Path, least: usize) -> Result<()> {
    let binary = Binary::open(path)?;
    let sites = Sites::of(&binary)?;
    ensure!(sites.by_entry.len() >= least, "only {} sites in {}", sites.by_entry.len(), path.display());
    let output = Command::new("objdump").args(["-d", "-w", "--no-show-raw-insn"]).arg(path).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let data = data(path)?;
    let wanted: BTreeMap<u64, &str> =
        sites.by_entry.values().map(|(site, instruction)| (*site, instruction.as_str())).collect();
    let (mut met, mut tables, mut switching) = (HashSet::new(), Vec::new(), HashSet::new());
    for (addr, mnemonic, operands) in text.lines().filter_map(instruction) {
        if let Some(instruction) = wanted.get(&addr) {
            let same = instruction.split(' ').next().unwrap_or_default();
            let emulated =
                mnemonic == "push" || mnemonic.starts_with('j') || mnemonic.starts_with("nop") || mnemonic == "xchg";
            ensure!(
                emulated && (mnemonic.starts_with(same) || mnemonic == "xchg"),
                "{addr:#x}: {mnemonic} and {instruction}"
            );
            met.insert(addr);
        }
        let branches = mnemonic.starts_with('j') || mnemonic.starts_with("call") || mnemonic.starts_with("loop");
        if branches && !operands.contains('*') {
            let to = hex(operands).and_then(|to| Some((to, sites.behind(to)?)));
            ensure!(to.is_none(), "{addr:#x} of {} leads behind an entry: {to:x?}", path.display());
        }
        if operands.starts_with('*') || mnemonic == "notrack" {
            switching.extend(sites.around(addr).map(|(entry, _)| entry));
        }
        // `lea table(%rip), %reg`, and the table of an indexed jump.
        let table = operands.rsplit_once("# ").filter(|_| mnemonic == "lea").and_then(|(_, at)| hex(at));
        let indexed = operands
            .split_once('(')
            .filter(|_| operands.contains(",8)"))
            .and_then(|(at, _)| hex(at.trim_start_matches('*')));
        if let (Some(table), Some((entry, end))) = (table.or(indexed), sites.around(addr)) {
            tables.push((table, entry, end));
        }
    }
    ensure!(met.len() == wanted.len(), "objdump knows {} of {} sites", met.len(), wanted.len());
    let mut entries = 0;
    for (table, entry, end) in tables.iter().filter(|(_, entry, _)| switching.contains(entry)) {
        let inside = |to: &u64| (*entry..*end).contains(to);
        let by_distance = (0..LONGEST_TABLE).map_while(|at| {
            let distance = i64::from(i32::from_le_bytes(word(&data, table + 4 * at)?));
            table.checked_add_signed(distance).filter(inside)
        });
        let absolute =
            (0..LONGEST_TABLE).map_while(|at| word(&data, table + 8 * at).map(u64::from_le_bytes).filter(inside));
        for to in by_distance.chain(absolute) {
            entries += 1;
            let behind = sites.behind(to);
            ensure!(
                behind.is_none(),
                "the table at {table:#x} of {} leads behind {behind:x?}: {to:#x}",
                path.display()
            );
        }
    }
    println!("{}: {} sites, {entries} entries of jump tables", path.display(), wanted.len());
    Ok(())
}

#[test]
fn nothing_leads_behind_the_entries_of_mariadb() -> Result<()> {
    check(Path::new(MARIADBD), 300)
}

#[test]
fn nothing_leads_behind_the_entries_of_mysql56() -> Result<()> {
    check(&need!(need::mysql56()), 2000)
}

#[test]
fn nothing_leads_behind_the_entries_of_mysql97() -> Result<()> {
    check(&need!(need::mysql97()), 30_000)
}

#[test]
fn nothing_leads_behind_the_entries_of_what_debian_installs() -> Result<()> {
    for (path, least) in [
        ("/lib/x86_64-linux-gnu/libc.so.6", 1),
        ("/usr/bin/python3.11", 1),
        ("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 1),
    ] {
        let path = PathBuf::from(path);
        if path.exists() {
            check(&path, least)?;
        }
    }
    Ok(())
}
