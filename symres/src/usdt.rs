//! USDT probes: the notes that `<sys/sdt.h>` leaves in a program (SystemTap's "UserSpaceProbeImplementation").
//!
//! A probe is a `nop` in the code and a note in the section `.note.stapsdt`: owner `stapsdt`, type 3; the descriptor is
//! three words (address of the `nop`, address of `.stapsdt.base` at link time, address of the semaphore or 0) and three
//! NUL-terminated strings (provider, name, arguments). Where a probe stands at several places, each has a note.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::addr::{FileOffset, Pid, Segment, VirtAddr};
use crate::elf::{Elf, notes};
use crate::error::Error;
use crate::file::Contents;
use crate::glob::Glob;
use crate::near::letters_to_change;
use crate::process;

mod argument;

pub use argument::{UsdtArgument, UsdtPlace};

/// The section of the notes, and the one whose address tells whether the code was moved since (prelink).
const NOTES: &str = ".note.stapsdt";
const BASE: &str = ".stapsdt.base";
/// `n_type` of a probe's note.
const NT_STAPSDT: u32 = 3;
/// More is taken as damage: the notes of a Java virtual machine, with hundreds of probes, are some 100 kB.
const MAX_NOTES: u64 = 16 << 20;
/// More sites are taken as damage.
const MAX_SITES: usize = 1 << 16;
/// Longer names, and longer texts of arguments, are taken as damage; 12 operands with C++ symbols are some kilobytes.
const MAX_NAME: usize = 1 << 10;
const MAX_ARGUMENTS: usize = 1 << 16;
/// The most probes that are named as perhaps meant.
const NEAR_LIMIT: usize = 5;

/// All USDT probes of a binary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usdt {
    /// The probes, by provider and name; none where the binary has no notes.
    pub probes: Vec<UsdtProbe>,
}

/// A USDT probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtProbe {
    /// The provider, as in `mysql`.
    pub provider: String,
    /// The name, as in `query__start`.
    pub name: String,
    /// The places in the code where it stands, at least one, in the order of the notes.
    pub sites: Vec<UsdtSite>,
}

/// A place in the code where a probe stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtSite {
    /// Of the `nop`, before any load bias.
    pub addr: VirtAddr,
    /// Of the `nop` in the file; none where the address is in no executable segment: then nothing can be probed.
    pub offset: Option<FileOffset>,
    /// Of the counter that says whether somebody listens: the program may leave the probe out while it is 0.
    pub semaphore: Option<VirtAddr>,
    /// Of that counter in the file; none where there is none, or its address is in no segment of data.
    pub semaphore_offset: Option<FileOffset>,
    /// Where the arguments are, as the note has it.
    pub arguments: String,
}

/// Why there is no such probe.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsdtReason {
    /// The binary has no USDT probes at all.
    NoProbes,
    /// The probe exists with other providers: their names.
    OtherProvider(Vec<String>),
    /// Several providers have a probe of that name: their names.
    SeveralProviders(Vec<String>),
    /// There is no probe of that name.
    NotThere {
        /// Probes that were perhaps meant, as `PROVIDER:NAME`, best first.
        near: Vec<String>,
        /// All providers, with the number of their probes.
        providers: Vec<(String, usize)>,
    },
}

/// The USDT probes of one of a process's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsdtFile {
    /// The path to open and to attach to; see [`Binary::path`](crate::Binary::path).
    pub path: PathBuf,
    /// The path to show to people.
    pub shown: PathBuf,
    /// Its probes, at least one.
    pub usdt: Usdt,
}

/// The USDT probes of a process.
#[derive(Debug)]
pub struct ProcessUsdt {
    /// Its executable and the libraries that it has loaded, as far as they have probes.
    pub files: Vec<UsdtFile>,
    /// How many files were looked into.
    pub searched: usize,
    /// Files that could not be looked into.
    pub unreadable: Vec<Error>,
}

impl ProcessUsdt {
    /// Finds a probe in the process's files, as [`Usdt::find`] does in one; in several where several have the very same.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn find(&self, provider: Option<&str>, name: &str) -> Result<Vec<(&UsdtFile, &UsdtProbe)>, UsdtReason> {
        let probes = self.files.iter().flat_map(|file| &file.usdt.probes);
        // The sites are looked at file by file.
        let mut all: Vec<UsdtProbe> = probes.map(|probe| UsdtProbe { sites: Vec::new(), ..probe.clone() }).collect();
        all.sort_by(|a, b| (&a.provider, &a.name).cmp(&(&b.provider, &b.name)));
        all.dedup();
        let all = Usdt { probes: all };
        let found = all.find(provider, name)?;
        let same = |probe: &&UsdtProbe| probe.provider == found.provider && probe.name == found.name;
        Ok(self.files.iter().filter_map(|file| Some((file, file.usdt.probes.iter().find(same)?))).collect())
    }
}

/// The USDT probes of a process: those of its executable and of the libraries that it has loaded.
///
/// # Errors
///
/// When there is no such process, or it cannot be looked into.
pub fn usdt_of_process(pid: Pid) -> Result<ProcessUsdt, Error> {
    let mut found = ProcessUsdt { files: Vec::new(), searched: 0, unreadable: Vec::new() };
    for file in process::all_files(pid)? {
        found.searched += 1;
        let elf = Contents::open(&file.path, &file.shown).and_then(Elf::parse);
        match elf.and_then(|elf| read(&elf)) {
            Ok(usdt) if usdt.probes.is_empty() => {}
            Ok(usdt) => found.files.push(UsdtFile { path: file.path, shown: file.shown, usdt }),
            Err(error) => found.unreadable.push(error),
        }
    }
    Ok(found)
}

impl UsdtSite {
    /// The arguments, taken apart; at most 64.
    pub fn arguments(&self) -> Vec<UsdtArgument> {
        argument::parse(&self.arguments)
    }
}

impl UsdtProbe {
    /// The most arguments that a site has.
    pub fn argument_count(&self) -> usize {
        self.sites.iter().map(|site| site.arguments().len()).max().unwrap_or(0)
    }

    /// How many different argument texts its sites have.
    pub fn argument_forms(&self) -> usize {
        self.sites.iter().map(|site| site.arguments.as_str()).collect::<BTreeSet<_>>().len()
    }

    /// Whether any of its sites has a semaphore.
    pub fn has_semaphore(&self) -> bool {
        self.sites.iter().any(|site| site.semaphore.is_some())
    }
}

impl Usdt {
    /// Finds a probe; without a provider, the only one of that name. A `-` in the name stands for `__`, as DTrace writes
    /// it.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn find(&self, provider: Option<&str>, name: &str) -> Result<&UsdtProbe, UsdtReason> {
        if self.probes.is_empty() {
            return Err(UsdtReason::NoProbes);
        }
        let written = name.replace('-', "__");
        let of_name = self.probes.iter().filter(|probe| probe.name == name || probe.name == written);
        let of_name: Vec<&UsdtProbe> = of_name.collect();
        let fitting: Vec<&UsdtProbe> =
            of_name.iter().copied().filter(|probe| provider.is_none_or(|wanted| probe.provider == wanted)).collect();
        let providers = |probes: &[&UsdtProbe]| probes.iter().map(|probe| probe.provider.clone()).collect();
        match (fitting.as_slice(), of_name.as_slice()) {
            ([only], _) => Ok(only),
            ([], []) => Err(UsdtReason::NotThere { near: self.near(&written), providers: self.providers() }),
            ([], others) => Err(UsdtReason::OtherProvider(providers(others))),
            // `a-b` and `a__b` of one provider: what is written as it is asked for counts.
            (several, _) => match several.iter().find(|probe| provider.is_some() && probe.name == name) {
                Some(exact) => Ok(exact),
                None => Err(UsdtReason::SeveralProviders(providers(several))),
            },
        }
    }

    /// The probes that `pattern` names: `[PROVIDER:]NAME`, where `*` stands for anything, and `-` for `__` in names.
    pub fn matching(&self, pattern: &str) -> Vec<&UsdtProbe> {
        let (provider, name) = pattern.split_once(':').unwrap_or(("*", pattern));
        let (provider, name, written) =
            (Glob::new(provider, "*"), Glob::new(name, "*"), Glob::new(&name.replace('-', "__"), "*"));
        let fits = |probe: &&UsdtProbe| {
            provider.matches(&probe.provider) && (name.matches(&probe.name) || written.matches(&probe.name))
        };
        self.probes.iter().filter(fits).collect()
    }

    /// All providers, with the number of their probes.
    pub fn providers(&self) -> Vec<(String, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for probe in &self.probes {
            *counts.entry(&probe.provider).or_default() += 1;
        }
        counts.into_iter().map(|(provider, count)| (provider.to_owned(), count)).collect()
    }

    /// Probes whose names differ from `name` by a few letters, hold it, or share a longer word with it.
    fn near(&self, name: &str) -> Vec<String> {
        let wanted = name.to_ascii_lowercase();
        let limit = (wanted.len() / 3).clamp(1, 4);
        let words = |name: &str| -> BTreeSet<String> {
            name.split('_').filter(|word| word.len() >= 4).map(str::to_ascii_lowercase).collect()
        };
        let wanted_words = words(&wanted);
        let mut row = Vec::new();
        let mut near: Vec<(usize, usize, &UsdtProbe)> = Vec::new();
        for probe in &self.probes {
            let lower = probe.name.to_ascii_lowercase();
            let shared = words(&lower).intersection(&wanted_words).count();
            if let Some(letters) = letters_to_change(&wanted, &lower, limit, &mut row) {
                near.push((0, letters, probe));
            } else if wanted.len() >= 3 && lower.contains(&wanted) {
                near.push((1, lower.len(), probe));
            } else if shared > 0 {
                near.push((2, usize::MAX - shared, probe));
            }
        }
        near.sort_by_key(|(rank, distance, probe)| (*rank, *distance, probe.name.as_str(), probe.provider.as_str()));
        near.into_iter().take(NEAR_LIMIT).map(|(_, _, probe)| probe.to_string()).collect()
    }
}

impl fmt::Display for UsdtProbe {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}:{}", self.provider, self.name)
    }
}

impl UsdtReason {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::NoProbes => {
                "use a build with USDT probes (for many programs: configured with --enable-dtrace or --with-dtrace, while \
                 <sys/sdt.h> is installed), name the library that has them, or probe a function (`uprobe:…`)"
            }
            Self::OtherProvider(_) | Self::SeveralProviders(_) => {
                "write one of these providers before the probe's name"
            }
            Self::NotThere { .. } => "check the spelling; `dbcc symbols --usdt BINARY` lists all probes",
        }
    }
}

impl fmt::Display for UsdtReason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProbes => to.write_str("it has no USDT probes (no section `.note.stapsdt`)"),
            Self::OtherProvider(providers) => {
                write!(to, "the probe of that name is one of the provider {}", providers.join(", "))
            }
            Self::SeveralProviders(providers) => {
                write!(to, "several providers have a probe of that name: {}", providers.join(", "))
            }
            Self::NotThere { providers, .. } => {
                let list: Vec<String> =
                    providers.iter().take(20).map(|(name, count)| format!("{name} ({count} probes)")).collect();
                let more = if providers.len() > 20 { ", …" } else { "" };
                write!(to, "its providers are {}{more}", list.join(", "))
            }
        }
    }
}

/// Reads the notes.
///
/// # Errors
///
/// When the section cannot be read, or is damaged.
pub(crate) fn read(elf: &Elf) -> Result<Usdt, Error> {
    let Some(section) = elf.section(NOTES) else { return Ok(Usdt::default()) };
    if section.size > MAX_NOTES {
        return Err(elf.contents.damaged(format!("section `{NOTES}` of {} bytes", section.size)));
    }
    let bytes = elf.section_bytes(section)?;
    let base = elf.section(BASE).map(|section| section.addr).filter(|addr| *addr != 0);
    let little = elf.ctx.is_little_endian();
    let mut probes: BTreeMap<(String, String), Vec<UsdtSite>> = BTreeMap::new();
    let mut count = 0;
    for note in notes(&bytes, little) {
        let note = note.ok_or_else(|| elf.contents.damaged(format!("a note in `{NOTES}` is cut off")))?;
        if note.kind != NT_STAPSDT || note.name != b"stapsdt\0" {
            continue;
        }
        count += 1;
        if count > MAX_SITES {
            return Err(elf.contents.damaged(format!("more than {MAX_SITES} notes in `{NOTES}`")));
        }
        let parsed = Note::parse(note.descriptor, little);
        let Note { addr, base: linked, semaphore, provider, name, arguments } =
            parsed.ok_or_else(|| elf.contents.damaged(format!("note {count} in `{NOTES}` is no probe's")))?;
        // The notes are not loaded, so prelink leaves them as they were; the section shows how far code was moved.
        let moved = match base {
            Some(base) if linked != 0 => base.wrapping_sub(linked),
            _ => 0,
        };
        let addr = VirtAddr(addr.wrapping_add(moved));
        let semaphore = (semaphore != 0).then(|| VirtAddr(semaphore.wrapping_add(moved)));
        let in_file = |addr, code| {
            elf.segments.iter().filter(|s| s.executable == code).find_map(|s: &Segment| s.file_offset(addr))
        };
        let site = UsdtSite {
            addr,
            offset: in_file(addr, true),
            semaphore,
            semaphore_offset: semaphore.and_then(|semaphore| in_file(semaphore, false)),
            arguments,
        };
        probes.entry((provider, name)).or_default().push(site);
    }
    let probes = probes.into_iter().map(|((provider, name), sites)| UsdtProbe { provider, name, sites }).collect();
    Ok(Usdt { probes })
}

/// The descriptor of a probe's note.
struct Note {
    addr: u64,
    base: u64,
    semaphore: u64,
    provider: String,
    name: String,
    arguments: String,
}

impl Note {
    fn parse(bytes: &[u8], little: bool) -> Option<Self> {
        let word = |number: usize| -> Option<u64> {
            let raw: [u8; 8] = bytes.get(number * 8..)?.get(..8)?.try_into().ok()?;
            Some(if little { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) })
        };
        let mut texts = bytes.get(24..)?.split(|&byte| byte == 0);
        let mut text = || texts.next().map(|text| String::from_utf8_lossy(text).into_owned());
        let (addr, base, semaphore) = (word(0)?, word(1)?, word(2)?);
        let (provider, name, arguments) = (text()?, text()?, text()?);
        // A text without its NUL was cut off. Without arguments the text is empty, or ":" (older versions).
        texts.next()?;
        let arguments = if arguments.starts_with(':') { String::new() } else { arguments };
        let bounded = provider.len() <= MAX_NAME && name.len() <= MAX_NAME && arguments.len() <= MAX_ARGUMENTS;
        (bounded && !name.is_empty()).then_some(Self { addr, base, semaphore, provider, name, arguments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usdt(probes: &[(&str, &str)]) -> Usdt {
        let probes = probes.iter().map(|(provider, name)| UsdtProbe {
            provider: (*provider).to_owned(),
            name: (*name).to_owned(),
            sites: Vec::new(),
        });
        Usdt { probes: probes.collect() }
    }

    #[test]
    fn a_probe_is_found_by_name_and_provider() {
        let usdt = usdt(&[("mysql", "query__start"), ("mysql", "query__done"), ("other", "query__done")]);
        let found = |provider, name| usdt.find(provider, name).map(ToString::to_string);
        assert_eq!(found(None, "query__start"), Ok("mysql:query__start".into()));
        assert_eq!(found(None, "query-start"), Ok("mysql:query__start".into()), "as DTrace writes it");
        assert_eq!(found(Some("other"), "query__done"), Ok("other:query__done".into()));
        let both = vec!["mysql".to_owned(), "other".to_owned()];
        assert_eq!(found(None, "query__done"), Err(UsdtReason::SeveralProviders(both)));
        let other = UsdtReason::OtherProvider(vec!["mysql".to_owned()]);
        assert_eq!(found(Some("mysqld"), "query__start"), Err(other));
        assert_eq!(super::Usdt::default().find(None, "x"), Err(UsdtReason::NoProbes));
    }

    #[test]
    fn patterns_name_several() {
        let usdt = usdt(&[("mysql", "query__start"), ("mysql", "query__done"), ("other", "query__done")]);
        let names = |pattern| usdt.matching(pattern).into_iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(names("*").len(), 3);
        assert_eq!(names("*done"), ["mysql:query__done", "other:query__done"]);
        assert_eq!(names("my*:query-*"), ["mysql:query__start", "mysql:query__done"]);
        assert_eq!(names("query"), [""; 0]);
    }

    #[test]
    fn near_names_are_told() {
        let usdt = usdt(&[("p", "query__start"), ("p", "query__done"), ("p", "connection__start"), ("p", "gc")]);
        let near = |name| match usdt.find(None, name) {
            Err(UsdtReason::NotThere { near, providers }) => {
                assert_eq!(providers, [("p".to_owned(), 4)]);
                near
            }
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(near("query_start").first().map(String::as_str), Some("p:query__start"));
        assert_eq!(near("connection"), ["p:connection__start"]);
        assert_eq!(near("command__done"), ["p:query__done"]);
        assert_eq!(near("zzz"), [""; 0]);
    }
}
