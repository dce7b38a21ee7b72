//! `dbcc list`: what can be probed, and with which arguments.

use std::cell::OnceCell;
use std::io::Write;

use crate::cli::ListArgs;
use crate::diag::nearest;
use crate::kernel::Kernel;
use crate::lookup::Lookup;
use crate::prototype::Prototype;

mod active;
mod binaries;
mod facts;
mod functions;
mod perf_events;
mod query;
mod show;
mod tracepoints;
mod types;

use facts::Facts;
use query::Query;
use show::Show;

/// Something that can be probed, or is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Item {
    /// What stands behind the kind and the `:` in a directive: `vfs_read`, `sched:sched_switch`, `mysqld:main`.
    name: String,
    /// The module of the kernel that it is in.
    module: Option<String>,
    /// What is to be known about it before it is probed: `blacklisted`.
    marks: Vec<String>,
    /// What is known of it, where finding it told that.
    prototype: Option<Box<Prototype>>,
    /// Where the arguments are, as the notes of a USDT probe's sites have it, each form once.
    places: Vec<String>,
    /// What a directive has behind the kind, where that is not the name.
    target: Option<String>,
}

/// When a source is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// For every pattern without a kind.
    Always,
    /// Where its kind is named, or nothing is.
    ByName,
    /// Where its kind is named: it lists the same places as another, or needs a binary.
    OnlyByName,
}

/// A kind of place.
#[derive(Debug)]
struct Source {
    /// Its name, which stands before the `:`.
    kind: &'static str,
    /// Other names of it, those of bpftrace, where it is no kind of directive: those have their own.
    aliases: &'static [&'static str],
    asked: Asked,
    /// Whether a binary stands behind the kind.
    of_binary: bool,
    /// Finds what fits, in order.
    find: fn(&Facts<'_>) -> Result<Vec<Item>, String>,
    /// What is known of one.
    describe: fn(&Facts<'_>, &Item) -> Option<Prototype>,
    /// The kind of directive that a probe of it is written with; none where there is none.
    directive: Option<&'static str>,
    /// Why what it lists cannot be used on this kernel.
    refused: fn(&Facts<'_>) -> Option<String>,
}

/// What most kinds have in common.
const KERNEL: Source = Source {
    kind: "",
    aliases: &[],
    asked: Asked::Always,
    of_binary: false,
    find: |_| Ok(Vec::new()),
    describe: |_, item| item.prototype.as_deref().cloned(),
    directive: None,
    refused: |_| None,
};

const BINARY: Source = Source { asked: Asked::OnlyByName, of_binary: true, ..KERNEL };

/// All kinds, in the order in which they are listed.
const SOURCES: &[Source] = &[
    Source {
        kind: "kprobe",
        find: functions::probed,
        describe: functions::describe,
        directive: Some("kprobe"),
        refused: functions::no_kprobes,
        ..KERNEL
    },
    Source {
        kind: "kretprobe",
        asked: Asked::OnlyByName,
        find: functions::probed,
        describe: functions::describe,
        directive: Some("kretprobe"),
        refused: functions::no_kprobes,
        ..KERNEL
    },
    Source {
        kind: "fentry",
        find: functions::traced,
        describe: functions::describe,
        directive: Some("fentry"),
        refused: functions::no_fentry,
        ..KERNEL
    },
    Source {
        kind: "fexit",
        asked: Asked::OnlyByName,
        find: functions::traced,
        describe: functions::describe,
        directive: Some("fexit"),
        refused: functions::no_fentry,
        ..KERNEL
    },
    Source {
        kind: "tracepoint",
        find: tracepoints::all,
        describe: tracepoints::describe,
        directive: Some("tracepoint"),
        ..KERNEL
    },
    Source {
        kind: "raw_tracepoint",
        find: types::tracepoints,
        describe: types::describe_tracepoint,
        directive: Some("raw_tracepoint"),
        ..KERNEL
    },
    Source {
        kind: "tp_btf",
        asked: Asked::OnlyByName,
        find: types::tracepoints,
        describe: types::describe_tracepoint,
        directive: Some("tp_btf"),
        ..KERNEL
    },
    Source {
        kind: "syscall",
        find: tracepoints::system_calls,
        describe: tracepoints::describe_system_call,
        directive: Some("tracepoint"),
        ..KERNEL
    },
    Source { kind: "hardware", aliases: &["h"], find: perf_events::hardware, directive: Some("perf_event"), ..KERNEL },
    Source { kind: "software", aliases: &["s"], find: perf_events::software, directive: Some("perf_event"), ..KERNEL },
    Source { kind: "cache", find: perf_events::cache, directive: Some("perf_event"), ..KERNEL },
    Source { kind: "pmu", find: perf_events::of_pmus, directive: Some("perf_event"), ..KERNEL },
    Source {
        kind: "iter",
        find: types::iterators,
        describe: types::describe_iterator,
        directive: Some("iter"),
        ..KERNEL
    },
    Source {
        kind: "lsm",
        find: types::hooks,
        describe: types::describe_hook,
        directive: Some("lsm"),
        refused: types::no_hooks,
        ..KERNEL
    },
    Source { kind: "active", asked: Asked::ByName, find: active::uprobes, ..KERNEL },
    Source { kind: "uprobe", find: binaries::functions, directive: Some("uprobe"), ..BINARY },
    Source { kind: "uretprobe", find: binaries::functions, directive: Some("uretprobe"), ..BINARY },
    Source { kind: "usdt", find: binaries::usdt, directive: Some("usdt"), ..BINARY },
];

/// What may stand before the `:`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Whether a binary stands behind it.
    pub(crate) of_binary: bool,
}

/// The names of all kinds.
pub(crate) fn kinds() -> impl Iterator<Item = &'static str> {
    SOURCES.iter().map(|source| source.kind)
}

/// The kind that is meant by a word.
pub(crate) fn kind(word: &str) -> Option<Kind> {
    query::meant(word).first().map(|source| Kind { name: source.kind, of_binary: source.of_binary })
}

/// Lists what fits the patterns. Says whether each had something; what could not be found out is said on `err`.
///
/// # Errors
/// When a pattern is none, or the output cannot be written.
pub fn run(args: &ListArgs, width: Option<usize>, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<bool> {
    let words: Vec<&str> = match args.patterns.is_empty() {
        true => vec![""],
        false => args.patterns.iter().map(String::as_str).collect(),
    };
    let queries = words.iter().map(|word| Query::new(word, args.pid.is_some()));
    let queries: Vec<Query> = queries.collect::<anyhow::Result<_>>()?;
    if let Some(pid) = args.pid {
        crate::config::check_pids(&[pid])?;
    }
    let kernel = Kernel::new();
    let lookup = Lookup::new(&args.debug_dir, true);
    let show = Show { verbose: args.verbose, json: args.json, width };
    let mut told = Vec::new();
    let mut all_found = true;
    for query in &queries {
        let joined = OnceCell::new();
        let facts = Facts::new(&kernel, &joined, &lookup, args, query);
        let mut found = 0_usize;
        for source in &query.sources {
            let items = match (source.find)(&facts) {
                Ok(items) => items,
                Err(why) => {
                    facts.note(format!("{}: {why}", source.kind));
                    continue;
                }
            };
            found += items.len();
            for item in &items {
                show.item(source, item, &facts, out)?;
            }
            if let Some(why) = (source.refused)(&facts).filter(|_| !items.is_empty()) {
                facts.note(format!("{} cannot be used on this kernel: {why}", source.kind));
            }
        }
        if let Some(why) = query.unlisted().filter(|_| found == 0) {
            facts.note(why);
        }
        // What was written first is read first, also where both go to one terminal.
        out.flush()?;
        for note in facts.notes() {
            if !told.contains(&note) {
                show.note(&note, out, err)?;
                told.push(note);
            }
        }
        if found == 0 {
            all_found = false;
            show.missing(query, &suggestion(&facts), out, err)?;
        }
    }
    out.flush()?;
    Ok(all_found)
}

/// What was perhaps meant where nothing fits.
fn suggestion(facts: &Facts<'_>) -> Option<String> {
    let query = facts.query;
    if let Some(kind) = query.kind_meant() {
        return Some(kind);
    }
    if query.is_pattern() || query.binary.is_some() {
        return None;
    }
    let (all, joined) = (query.of_everything(), OnceCell::new());
    let everything = Facts::new(facts.kernel, &joined, facts.lookup, facts.args, &all);
    let of_source = |source: &&Source| -> Option<String> {
        let items = (source.find)(&everything).ok()?;
        let names = items.iter().map(|item| item.name.as_str());
        nearest(&query.text, names).map(|name| format!("{}:{name}", source.kind))
    };
    query.sources.iter().find_map(of_source)
}
