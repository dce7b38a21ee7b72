//! The command line: what can be said, as clap sees it. [`crate::config`] checks what was said.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

mod build;
mod cache;
mod check;
mod doctor;
mod dump;
mod list;
mod load;
mod new;
mod ps;
mod run_once;
mod trace;
mod types;

pub use build::BuildArgs;
pub use cache::{CacheArgs, CacheCommand};
pub use check::CheckArgs;
pub use doctor::DoctorArgs;
pub use dump::{DumpArgs, Stage};
pub use list::ListArgs;
pub use load::{LoadArgs, UnpinArgs};
pub use new::NewArgs;
pub use ps::PsArgs;
pub use run_once::RunOnceArgs;
pub use trace::TraceArgs;
pub use types::TypesArgs;

/// Runs eBPF probes that are written in C, on databases and everything else.
#[derive(Debug, Parser)]
#[command(
    name = "dbcc",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:
  dbcc --pid $(pidof mysqld) probes/netio.c      run a probe file: edit the C, run it again
  dbcc netio --pid $(pidof mysqld)               a built-in probe (see `dbcc probes`)
  dbcc symbols mysqld check_connection           where is this function, and can it be probed?
  dbcc check --load my_probe.c                   compile, and ask the kernel's verifier too
  dbcc --attach 'uprobe:mysqld:check_connection=do_check_connection' mysql_conn.bcc.c"
)]
pub struct Cli {
    /// What to do instead of running a probe.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to run a probe.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find functions of a binary by name: where they are, inlined copies too, and what they take; or its USDT probes
    Symbols(SymbolsArgs),
    /// List what can be probed: functions of the kernel, tracepoints, events, USDT probes, … and with which arguments
    List(ListArgs),
    /// Show how a struct of the kernel or a class of a binary lies in memory, or where one of its members is
    Types(TypesArgs),
    /// Compile probe files and say what is suspicious in them, and with --load have the kernel verify them, without attaching
    /// anything
    Check(CheckArgs),
    /// Show what a probe became, with its lines beside the instructions: rewritten text, object, and in the kernel
    Dump(DumpArgs),
    /// Compile probes into objects that run on other kernels, without a compiler; libbpf and bpftool load them too
    Build(BuildArgs),
    /// Write a probe file that compiles: for functions, tracepoints and USDT probes, with their arguments filled in
    New(NewArgs),
    /// List the built-in probes, or print the C text of one
    Probes(ProbesArgs),
    /// Show what is kept of earlier runs, so that nothing is done twice, or remove it
    Cache(CacheArgs),
    /// Say what this machine lets dbcc do, what is missing, what that costs, and how to mend it
    Doctor(DoctorArgs),
    /// List the BPF programs, maps and links in the kernel: who holds them, where they are attached, how often they run
    Ps(PsArgs),
    /// Load programs and pin them, so that they stay in the kernel without dbcc; with --attach, attach them too
    Load(LoadArgs),
    /// Run a program on data of yours, and show what it returns and leaves
    Run(RunOnceArgs),
    /// Remove paths of pinned programs, maps and links
    Unpin(UnpinArgs),
    /// Show the kernel's trace pipe, where bpf_printk of loaded programs writes
    Trace(TraceArgs),
    /// The compiler worker (started by dbcc itself)
    #[command(name = "__frontend", hide = true)]
    Frontend {
        /// The library to load meanwhile
        libclang: PathBuf,
    },
}

/// `dbcc [OPTIONS] PROBE`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A probe file in C, the name of a built-in probe, or an object of `dbcc build` or of libbpf
    #[arg(index = 1, required = true, value_name = "PROBE")]
    pub probe: Option<String>,

    /// What stands behind the probe, and is too much
    #[arg(index = 2, hide = true)]
    pub surplus: Vec<String>,

    /// Trace this process only (repeatable): FILTER_PID and uprobes are limited to it, and its executable is the default binary
    #[arg(long, short, value_name = "N", value_parser = pid)]
    pub pid: Vec<u32>,

    /// Print maps this often, such as 1s or 500ms [default: what the probe says, else 1s]
    #[arg(long, short, value_name = "TIME")]
    pub interval: Option<String>,

    /// End after this time, such as 10s or 5m
    #[arg(long, short, value_name = "TIME")]
    pub duration: Option<String>,

    /// End after so many events, trace lines and interval reports
    #[arg(long, short, value_name = "N")]
    pub count: Option<u64>,

    /// Follow the probe file: each save is compiled and takes the place of the running version, without losing a count
    #[arg(long)]
    pub watch: bool,

    /// Size of the buffer of each output of events, such as 4M, or 64pages for each CPU; `//@ buffer` sets it for one
    #[arg(long, value_name = "SIZE")]
    pub buffer: Option<String>,

    /// Fail at the end if anything was lost: exit code 1
    #[arg(long)]
    pub strict: bool,

    /// Attach one function to at most so many places by a pattern
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub max_targets: usize,

    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub debug_dir: Vec<PathBuf>,

    /// Attach uprobes to the first instruction of functions, even where one behind it is cheaper and sees the same
    #[arg(long)]
    pub at_entry: bool,

    /// Print JSON lines: one object a record
    #[arg(long)]
    pub json: bool,

    /// How it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// What running and checking a probe have in common.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// Attach a function of the probe, as in `kprobe:do_sys_openat2=hello_world` (repeatable; alternatives are
    /// separated by ` | `)
    #[arg(long, short, value_name = "KIND:TARGET=FUNCTION")]
    pub attach: Vec<String>,

    /// Attach functions of the kernel this way: fentry (and fexit) or kprobe (and kretprobe)
    #[arg(long, value_name = "KIND", value_parser = ["fentry", "kprobe"])]
    pub attach_as: Option<String>,

    /// Define a macro for the probe (repeatable)
    #[arg(short = 'D', value_name = "NAME[=VALUE]")]
    pub define: Vec<String>,

    /// Say what was chosen and why, and show verifier logs in full
    #[arg(long, short)]
    pub verbose: bool,

    /// Compile anew, and keep nothing
    #[arg(long)]
    pub no_cache: bool,

    /// Behave as on a kernel without this (repeatable): kprobe, fentry, tracepoint, uprobe or ringbuf
    #[arg(long, value_name = "FEATURE", value_parser = ["kprobe", "fentry", "tracepoint", "uprobe", "ringbuf"])]
    pub without: Vec<String>,
}

/// `dbcc symbols`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  dbcc symbols mysqld check_connection               its code, and every place that it is inlined at
  dbcc symbols --args mysqld dispatch_command        its parameters, and where each of them is
  dbcc symbols mysqld 'THD::*'                       all members of a class; --list: a line each
  dbcc symbols mysqld:check_connection+0x10          the instruction so many bytes behind its start
  dbcc symbols mysqld:sql_connect.cc:478             the instructions of a line of the source
  dbcc symbols --pid 4711 libc.so.6 write            in the library that a process has loaded")]
pub struct SymbolsArgs {
    /// A path, a name found on PATH, or the name or id of a running process; with --pid, the name of a library of it, or
    /// nothing: its executable. BINARY:PATTERN in one word will do
    pub binary: Option<String>,
    /// A function as people write it (`check_connection`, `THD::*`, `f(int, char*)`), a mangled name, `/REGEX/`, an address
    /// (`0x57a8c0`), FUNCTION+OFFSET, FILE:LINE, or FUNCTION@plt
    pub pattern: Option<String>,
    /// Look into this process: its executable, and the libraries that it has loaded
    #[arg(long, short, value_name = "N", value_parser = pid)]
    pub pid: Option<u32>,
    /// List all functions, or those that PATTERN fits, a line each
    #[arg(long, conflicts_with = "usdt")]
    pub list: bool,
    /// Show the parameters of functions, and where each of them is at each place
    #[arg(long)]
    pub args: bool,
    /// Show the lines of the source, and where the code of each begins
    #[arg(long)]
    pub lines: bool,
    /// Show who calls the functions directly, and whom they call
    #[arg(long)]
    pub calls: bool,
    /// Show what the kernel does with the instruction at each place under a probe, and where a probe is cheaper
    #[arg(long)]
    pub sites: bool,
    /// List USDT probes instead: all, or those that PATTERN names, as `[PROVIDER:]NAME` with `*`
    #[arg(long)]
    pub usdt: bool,
    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = folder)]
    pub debug_dir: Vec<PathBuf>,
    /// Keep no index of debug information, and use none
    #[arg(long)]
    pub no_cache: bool,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}

/// Reads the id of a process. What `$(pidof NAME)` gives is nothing, or several ids, now and then.
fn pid(text: &str) -> Result<u32, String> {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words: Vec<&str> = text.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    if words.len() > 1 && words.iter().copied().all(is_number) {
        let each: Vec<String> = words.iter().map(|word| format!("--pid {word}")).collect();
        return Err(format!("one process each time: {}", each.join(" ")));
    }
    if !is_number(text) {
        let why =
            "it is not the id of a process; `pidof NAME` tells ids, and nothing where no process of that name runs";
        return Err(why.to_owned());
    }
    // PID_MAX_LIMIT of include/linux/threads.h.
    text.parse().map_err(|_| "ids of processes are at most 4194304".to_owned())
}

/// Reads the path of a folder.
fn folder(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("there is no folder of that name".to_owned()) }
}

/// `dbcc probes`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc probes                        which there are
  dbcc probes netio > my_probe.c     the text of one, to change it")]
pub struct ProbesArgs {
    /// Print the text of this probe, as a start for one of your own
    pub name: Option<String>,
}

/// Where a probe's text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeName {
    /// A file.
    Path(PathBuf),
    /// A built-in probe.
    BuiltIn(String),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// The words of an example, as a shell would have them: without what stands behind as its explanation.
    fn words(line: &str) -> Vec<String> {
        let command = line.replace("$(pidof mysqld)", "1");
        let command = command.split("  ").next().unwrap().split(" > ").next().unwrap();
        let parts = command.split('\'').enumerate();
        // Every second part is in quotes, and one word.
        parts
            .flat_map(|(index, part)| match index % 2 {
                1 => vec![part.to_owned()],
                _ => part.split_whitespace().map(str::to_owned).collect(),
            })
            .collect()
    }

    #[test]
    fn every_command_has_examples_that_are_understood_and_fit_the_screen() {
        let cli = Cli::command();
        let commands = cli.get_subcommands().filter(|command| !command.is_hide_set());
        for command in commands.chain([&cli]) {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
            let lines: Vec<&str> = examples.1.lines().filter_map(|line| line.strip_prefix("  ")).collect();
            assert!(lines.iter().any(|line| line.starts_with("dbcc ")), "{name}: {help}");
            for line in lines {
                assert!(line.len() <= 98, "{name}: {line}");
                if line.starts_with("dbcc ") {
                    let parsed = Cli::try_parse_from(words(line));
                    assert!(parsed.is_ok(), "{line}: {}", parsed.err().unwrap());
                }
            }
        }
    }
}
