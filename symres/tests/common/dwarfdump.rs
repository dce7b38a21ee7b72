//! Where functions are according to `llvm-dwarfdump`: their bodies, and every inlined copy with its callers.
#![allow(clippy::indexing_slicing, reason = "indices are into its own list")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use dbcc_tests::need;

/// An inlined copy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Copied {
    /// Where it is entered: `DW_AT_entry_pc`, else the start of its code (DWARF 5, 2.18). GCC states an entry for copies
    /// without an instruction of their own too, and in ranges that are empty, since all that is left of the start of a copy may
    /// be what else its caller does there.
    pub(crate) entry: u64,
    /// Bytes of all its ranges.
    pub(crate) size: u64,
    /// The functions into which it was inlined, innermost first, by their simple names, with the line of the call.
    pub(crate) callers: Vec<(String, Option<(String, u32)>)>,
}

/// All functions of one simple name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Out-of-line bodies: the address of the first range, and bytes of all ranges.
    pub(crate) bodies: BTreeMap<u64, u64>,
    pub(crate) copies: BTreeSet<Copied>,
    /// Copies of which nothing tells a place.
    pub(crate) nowhere: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tag {
    Subprogram,
    Inlined,
}

/// A function, or an inlined copy of one.
#[derive(Debug)]
struct Die {
    tag: Tag,
    name: Option<String>,
    /// The DIE that says more: `DW_AT_abstract_origin` or `DW_AT_specification`.
    origin: Option<u64>,
    /// Empty ones too.
    ranges: Vec<(u64, u64)>,
    low_pc: Option<u64>,
    entry_pc: Option<u64>,
    call_file: Option<String>,
    call_line: Option<u32>,
    /// The function or copy around it, as an index in the list of all.
    parent: Option<usize>,
    /// Offsets of split units begin at 0 again; those of each are a space of their own.
    space: usize,
}

impl Die {
    /// Where it is entered.
    fn start(&self) -> Option<u64> {
        let begins = |addr: &u64| self.ranges.iter().any(|(low, high)| addr == low || (*low..*high).contains(addr));
        let first = self.ranges.iter().find(|(low, high)| low < high).map(|(low, _)| *low);
        self.entry_pc.filter(|addr| self.ranges.is_empty() || begins(addr)).or(self.low_pc).or(first)
    }
}

/// A DIE while its attributes are read.
#[derive(Default)]
struct Reader {
    dies: Vec<Die>,
    at: HashMap<(usize, u64), usize>,
    /// The open functions and copies, with their depth.
    stack: Vec<(usize, usize)>,
    current: Option<usize>,
    in_ranges: bool,
    space: usize,
    last_offset: u64,
}

/// What `llvm-dwarfdump` says of a file, and with `--dwo` of the split units that it can find.
pub(crate) fn dump(file: &Path) -> Result<BTreeMap<String, Known>> {
    let mut command = Command::new("llvm-dwarfdump-19");
    command.args(["--debug-info", "--dwo"]).arg(file);
    let mut child = command.stdout(Stdio::piped()).spawn().context("llvm-dwarfdump-19")?;
    let mut lines = BufReader::with_capacity(1 << 20, child.stdout.take().context("no output")?);
    let mut reader = Reader::default();
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        reader.line(line.trim_ascii_end());
        line.clear();
    }
    ensure!(child.wait()?.success(), "llvm-dwarfdump-19 failed on {}", file.display());
    Ok(reader.finish())
}

/// The last component of a function's name as DWARF has it, without template arguments.
pub(crate) fn simple(name: &str) -> &str {
    if name.starts_with("operator()") {
        return "operator()";
    }
    if name.starts_with("operator") {
        return name;
    }
    name.split('<').next().filter(|start| !start.is_empty()).unwrap_or(name)
}

/// One line for each body and each copy, with tabs between its fields.
pub(crate) fn to_text(all: &BTreeMap<String, Known>) -> String {
    let mut lines = Vec::new();
    for (name, known) in all {
        for (addr, size) in &known.bodies {
            lines.push(format!("body\t{name}\t{addr}\t{size}"));
        }
        for copy in &known.copies {
            let mut line = format!("copy\t{name}\t{}\t{}", copy.entry, copy.size);
            for (caller, call) in &copy.callers {
                let (file, number) = call.as_ref().map_or(("", 0), |(file, line)| (file.as_str(), *line));
                line.push_str(&format!("\t{caller}\t{file}\t{number}"));
            }
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// The opposite of [`to_text`].
pub(crate) fn from_text(text: &str) -> Result<BTreeMap<String, Known>> {
    let mut all: BTreeMap<String, Known> = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, name, addr, size, callers @ ..] = fields.as_slice() else { bail!("not such a line: {line}") };
        let known = all.entry((*name).to_owned()).or_default();
        let (entry, size) = (addr.parse()?, size.parse()?);
        if *kind == "body" {
            known.bodies.insert(entry, size);
            continue;
        }
        let callers = callers.chunks(3).map(|caller| {
            let [name, file, line] = caller else { bail!("not such a caller: {caller:?}") };
            let call =
                (*line != "0").then(|| Ok::<_, anyhow::Error>(((*file).to_owned(), line.parse()?))).transpose()?;
            Ok(((*name).to_owned(), call))
        });
        known.copies.insert(Copied { entry, size, callers: callers.collect::<Result<_>>()? });
    }
    Ok(all)
}

impl Reader {
    fn line(&mut self, line: &[u8]) {
        if line.starts_with(b"0x") {
            self.die(line);
        } else if line.is_empty() {
            self.current = None;
            self.in_ranges = false;
        } else if let Some(current) = self.current {
            let line = line.trim_ascii_start();
            if let (true, Some(range)) = (self.in_ranges, line.strip_prefix(b"[")) {
                let text = String::from_utf8_lossy(range);
                let mut numbers = text.split([',', ')', ' ', '"']).filter_map(hex);
                if let (Some(low), Some(high)) = (numbers.next(), numbers.next()) {
                    self.dies[current].ranges.push((low, high));
                }
            } else if line.starts_with(b"DW_AT_") {
                self.in_ranges = line.starts_with(b"DW_AT_ranges");
                if !self.in_ranges {
                    self.attribute(current, &String::from_utf8_lossy(line));
                }
            }
        }
    }

    /// `0x0000002a:   DW_TAG_subprogram`, indented by two for each level.
    fn die(&mut self, line: &[u8]) {
        self.current = None;
        self.in_ranges = false;
        let text = String::from_utf8_lossy(line);
        let Some((offset, rest)) = text.split_once(": ") else { return };
        let Some(offset) = hex(offset) else { return };
        let tag = rest.trim_start();
        let depth = rest.len() - tag.len();
        if tag.starts_with("Compile Unit") || tag.starts_with("Type Unit") {
            if offset <= self.last_offset {
                self.space += 1;
            }
            self.last_offset = offset;
            self.stack.clear();
            return;
        }
        self.last_offset = offset;
        while self.stack.last().is_some_and(|(_, open)| *open >= depth) {
            self.stack.pop();
        }
        let tag = match tag {
            "DW_TAG_subprogram" => Tag::Subprogram,
            "DW_TAG_inlined_subroutine" => Tag::Inlined,
            _ => return,
        };
        let index = self.dies.len();
        self.dies.push(Die {
            tag,
            name: None,
            origin: None,
            ranges: Vec::new(),
            low_pc: None,
            entry_pc: None,
            call_file: None,
            call_line: None,
            parent: self.stack.last().map(|(index, _)| *index),
            space: self.space,
        });
        self.at.insert((self.space, offset), index);
        self.stack.push((index, depth));
        self.current = Some(index);
    }

    fn attribute(&mut self, current: usize, line: &str) {
        let Some((name, value)) = line.split_once('\t') else { return };
        let die = &mut self.dies[current];
        let value = value.trim_start_matches('(').trim_end_matches(')');
        let quoted = || value.split('"').nth(1).map(str::to_owned);
        match name {
            "DW_AT_name" => die.name = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).map(str::to_owned),
            "DW_AT_abstract_origin" | "DW_AT_specification" => {
                die.origin = hex(value.split(' ').next().unwrap_or_default());
            }
            "DW_AT_low_pc" => die.low_pc = hex(value),
            "DW_AT_high_pc" => {
                if let (Some(low), Some(high)) = (die.low_pc, hex(value)) {
                    die.ranges.push((low, high));
                }
            }
            "DW_AT_entry_pc" => die.entry_pc = hex(value),
            "DW_AT_call_line" => die.call_line = value.parse().ok(),
            "DW_AT_call_file" => die.call_file = quoted(),
            _ => {}
        }
    }

    /// The name that a function or copy has by itself or by its origins, of which there are two at most in practice.
    fn name(&self, index: usize) -> Option<&str> {
        let mut index = index;
        for _ in 0..10 {
            let die = &self.dies[index];
            if let Some(name) = &die.name {
                return Some(simple(name));
            }
            index = *self.at.get(&(die.space, die.origin?))?;
        }
        None
    }

    fn finish(self) -> BTreeMap<String, Known> {
        let mut all: BTreeMap<String, Known> = BTreeMap::new();
        for (index, die) in self.dies.iter().enumerate() {
            let Some(name) = self.name(index) else { continue };
            let start = die.start();
            let size = die.ranges.iter().map(|(low, high)| high - low).sum();
            match (die.tag, start) {
                // Linkers give discarded functions an address near 0.
                (Tag::Subprogram, Some(start)) if start > 1 => {
                    all.entry(name.to_owned()).or_default().bodies.insert(start, size);
                }
                (Tag::Inlined, Some(start)) if start > 1 => {
                    let callers = self.callers(die);
                    let copy = Copied { entry: start, size, callers };
                    all.entry(name.to_owned()).or_default().copies.insert(copy);
                }
                (Tag::Inlined, _) => all.entry(name.to_owned()).or_default().nowhere += 1,
                (Tag::Subprogram, _) => {}
            }
        }
        all
    }

    fn callers(&self, copy: &Die) -> Vec<(String, Option<(String, u32)>)> {
        let mut callers = Vec::new();
        let mut callee = copy;
        while let Some(parent) = callee.parent {
            let name = self.name(parent).unwrap_or_default().to_owned();
            let file = callee.call_file.as_deref().and_then(|file| file.rsplit('/').next()).unwrap_or_default();
            callers.push((name, callee.call_line.map(|line| (file.to_owned(), line))));
            callee = &self.dies[parent];
            if callee.tag == Tag::Subprogram {
                break;
            }
        }
        callers
    }
}

fn hex(text: &str) -> Option<u64> {
    let digits = text.trim_matches(['(', ')', '[', ' ']).strip_prefix("0x")?;
    u64::from_str_radix(digits, 16).ok()
}

/// Counted up when what the oracle says is read in another way: what was kept is then read again.
const ORACLE: u32 = 2;
/// How many functions of a server are compared.
const SAMPLE: usize = 200;

/// The functions of a file that are compared, from what llvm-dwarfdump says: a gigabyte of text, so they are kept in the work
/// folder. `check_connection` is always one of them.
pub(crate) fn sampled(file: &Path) -> Result<BTreeMap<String, Known>> {
    let metadata = file.metadata()?;
    let modified = metadata.modified()?.duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let folder = need::work_folder().join("oracles");
    let kept = folder.join(format!("inlined-{}-{modified}-{SAMPLE}-{ORACLE}.txt", metadata.len()));
    if let Ok(text) = fs::read_to_string(&kept) {
        return from_text(&text);
    }
    let all = dump(file)?;
    let names: Vec<String> =
        all.iter().filter(|(_, known)| !known.copies.is_empty()).map(|(name, _)| name.clone()).collect();
    ensure!(names.len() > 10 * SAMPLE, "{} functions with copies", names.len());
    let step = names.len() / (SAMPLE - 1);
    let mut chosen: BTreeSet<&str> = names.iter().step_by(step).take(SAMPLE - 1).map(String::as_str).collect();
    chosen.insert("check_connection");
    let mut rest = names.iter();
    while chosen.len() < SAMPLE {
        chosen.insert(rest.next().context("too few functions")?.as_str());
    }
    let sample = all.into_iter().filter(|(name, _)| chosen.contains(name.as_str())).collect();
    fs::create_dir_all(&folder)?;
    // Whole or not at all, whoever else runs this.
    let new = tempfile::NamedTempFile::new_in(&folder)?;
    fs::write(new.path(), to_text(&sample))?;
    new.persist(&kept)?;
    Ok(sample)
}
