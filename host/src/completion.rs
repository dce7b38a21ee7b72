//! What shells offer at the Tab key: options and subcommands as clap knows them, names of probes, attach points of the
//! running kernel, processes.
//!
//! A shell is told to ask dbcc itself, by what `COMPLETE=bash dbcc` prints (zsh and fish too). clap's engine finds what is
//! being completed; here is what it cannot know.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::{CompleteEnv, EnvCompleter, Fish, Shells, Zsh};

use crate::builtin;
use crate::cli::Cli;
use crate::kernel::{Kernel, names};
use crate::kind::KINDS;
use crate::list;

mod bash;

/// More candidates help nobody, and the shell takes long to show them.
const MOST: usize = 2000;

/// Answers a shell that asks for completions, or for how to ask. Says whether one does.
///
/// # Errors
/// clap's, for a shell that it does not know, and those of standard output.
pub fn answer(words: impl IntoIterator<Item = OsString>, folder: Option<&Path>) -> clap::error::Result<bool> {
    let shells: [&dyn EnvCompleter; 3] = [&bash::Bash, &Zsh, &Fish];
    CompleteEnv::with_factory(command).bin("dbcc").completer("dbcc").shells(Shells(&shells)).try_complete(words, folder)
}

/// The command line with what can be told about its values.
fn command() -> Command {
    let attach = |command: Command| command.mut_arg("attach", |arg| arg.add(ArgValueCompleter::new(attach_points)));
    let pid = |command: Command| command.mut_arg("pid", |arg| arg.add(ArgValueCompleter::new(processes)));
    let texts = |command: Command, name: &str| command.mut_arg(name, |arg| arg.add(ArgValueCompleter::new(texts)));
    pid(attach(Cli::command()))
        .mut_arg("probe", |arg| arg.add(ArgValueCompleter::new(probes)))
        .mut_subcommand("check", |check| pid(attach(texts(check, "files"))))
        .mut_subcommand("load", |load| attach(texts(load, "file")))
        .mut_subcommand("list", |list| pid(list).mut_arg("patterns", |arg| arg.add(ArgValueCompleter::new(listed))))
        .mut_subcommand("new", |new| pid(places(new)))
        .mut_subcommand("build", |build| attach(texts(build, "files")))
        .mut_subcommand("probes", |probes| {
            probes.mut_arg("name", |arg| arg.add(ArgValueCompleter::new(built_in_probes)))
        })
        .mut_subcommand("symbols", |symbols| {
            pid(symbols).mut_arg("binary", |arg| arg.add(ArgValueCompleter::new(binaries)))
        })
}

/// The options of `dbcc new` that name places.
fn places(new: Command) -> Command {
    let of_kernel = |new: Command, kind| new.mut_arg(kind, |arg| arg.add(ArgValueCompleter::new(kernel_functions)));
    let of_program = |new: Command, kind| new.mut_arg(kind, |arg| arg.add(ArgValueCompleter::new(in_programs)));
    let new = ["kprobe", "kretprobe", "fentry", "fexit"].into_iter().fold(new, of_kernel);
    let new = ["uprobe", "uretprobe", "usdt"].into_iter().fold(new, of_program);
    new.mut_arg("tracepoint", |arg| arg.add(ArgValueCompleter::new(kernel_tracepoints)))
        .mut_arg("binary", |arg| arg.add(ArgValueCompleter::new(binaries)))
}

fn kernel_functions(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, functions)
}

fn kernel_tracepoints(current: &OsStr) -> Vec<CompletionCandidate> {
    candidates(current, tracepoints)
}

fn candidates(current: &OsStr, find: fn(&Kernel, &str) -> Vec<String>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    find(&Kernel::new(), current).into_iter().take(MOST).map(CompletionCandidate::new).collect()
}

/// Running programs with the `:` that a function follows.
fn in_programs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fitting = programs().into_iter().filter(|name| name.starts_with(current)).take(MOST);
    fitting.map(|name| CompletionCandidate::new(format!("{name}:"))).collect()
}

/// Built-in probes that begin so.
fn built_in_probes(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fitting = builtin::all().into_iter().filter(|probe| probe.name.starts_with(current));
    fitting.map(|probe| CompletionCandidate::new(probe.name).help(Some(probe.summary().into()))).collect()
}

/// Texts and objects of probes, and folders on the way to some.
fn texts(current: &OsStr) -> Vec<CompletionCandidate> {
    let is_probe = |path: &Path| path.extension().is_some_and(|extension| extension == "c" || extension == "o");
    PathCompleter::any().filter(is_probe).complete(current)
}

fn probes(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut probes = built_in_probes(current);
    probes.extend(texts(current));
    probes
}

/// Processes by their ids, with their names.
fn processes(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let fitting = running().into_iter().filter(|(pid, _)| pid.starts_with(current)).take(MOST);
    fitting.map(|(pid, name)| CompletionCandidate::new(pid).help(Some(name.into()))).collect()
}

/// Names of running programs, and files.
fn binaries(current: &OsStr) -> Vec<CompletionCandidate> {
    let current_text = current.to_string_lossy();
    let fitting = programs().into_iter().filter(|name| !current.is_empty() && name.starts_with(&*current_text));
    let mut binaries: Vec<CompletionCandidate> = fitting.map(CompletionCandidate::new).collect();
    binaries.extend(PathCompleter::file().complete(current));
    binaries
}

/// Names of all programs that run.
fn programs() -> Vec<String> {
    let mut names: Vec<String> = running().into_iter().map(|(_, name)| name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Ids and names of all processes that run a program.
fn running() -> Vec<(String, String)> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let entries = folder.flatten().filter_map(|entry| {
        let pid = entry.file_name().into_string().ok()?;
        pid.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
        // Threads of the kernel run none.
        let arguments = fs::read(entry.path().join("cmdline")).ok()?;
        (!arguments.is_empty()).then_some(())?;
        let name = fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((pid, name.trim_end().to_owned()))
    });
    entries.collect()
}

/// `KIND:`, and behind it what this kernel has to attach to. What follows a `=` is a function of the probe, which is not
/// known here.
fn attach_points(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str().filter(|current| !current.contains('=')) else { return Vec::new() };
    let Some((kind, target)) = current.split_once(':') else {
        let kinds = KINDS.iter().filter(|kind| kind.name().starts_with(current));
        let shown =
            |name: &str, about: &str| CompletionCandidate::new(format!("{name}:")).help(Some(about.to_owned().into()));
        return kinds.map(|kind| shown(kind.name(), kind.summary())).collect();
    };
    behind(kind, kind, target)
}

/// What `dbcc list` is asked for: `KIND:`, and behind it what this kernel has, or a program that runs.
fn listed(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let Some((written, target)) = current.split_once(':') else {
        let kinds = list::kinds().filter(|kind| kind.starts_with(current));
        return kinds.map(|kind| CompletionCandidate::new(format!("{kind}:"))).collect();
    };
    match list::kind(written) {
        Some(list::Kind { of_binary: true, .. }) => {
            let fitting = programs().into_iter().filter(|name| name.starts_with(target)).take(MOST);
            fitting.map(|name| CompletionCandidate::new(format!("{written}:{name}:"))).collect()
        }
        Some(list::Kind { name, .. }) => behind(written, name, target),
        None => Vec::new(),
    }
}

/// What this kernel has of a kind that begins with `target`, behind the kind as it was `written`.
fn behind(written: &str, kind: &str, target: &str) -> Vec<CompletionCandidate> {
    let kernel = Kernel::new();
    let places = match kind {
        "kprobe" | "kretprobe" | "fentry" | "fexit" => functions(&kernel, target),
        "tracepoint" => tracepoints(&kernel, target),
        _ => Vec::new(),
    };
    places.into_iter().take(MOST).map(|place| CompletionCandidate::new(format!("{written}:{place}"))).collect()
}

fn functions(kernel: &Kernel, start: &str) -> Vec<String> {
    // All of them would be tens of thousands.
    if start.is_empty() {
        return Vec::new();
    }
    names::functions(kernel, &|name| name.starts_with(start)).map(|found| found.names).unwrap_or_default()
}

/// Categories before there is one, and then their tracepoints.
fn tracepoints(kernel: &Kernel, start: &str) -> Vec<String> {
    let found = match start.split_once(':') {
        Some((in_category, start)) => {
            names::tracepoints(kernel, &|category, name| category == in_category && name.starts_with(start))
        }
        None => names::tracepoints(kernel, &|category, _| category.starts_with(start)),
    };
    let mut found: Vec<String> = found
        .unwrap_or_default()
        .into_iter()
        .map(|(category, name)| if start.contains(':') { format!("{category}:{name}") } else { format!("{category}:") })
        .collect();
    found.dedup();
    found
}
