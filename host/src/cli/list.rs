//! The arguments of `dbcc list`.

use std::path::PathBuf;

use clap::Args;

/// `dbcc list`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Kinds: kprobe, kretprobe, fentry, fexit, tracepoint, raw_tracepoint, tp_btf, syscall, hardware, software, cache,
pmu, iter, lsm; of binaries: uprobe, uretprobe, usdt; and active: uprobes that are set now. bpftrace's names of
them are understood too.

Examples:
  dbcc list 'tcp_*'                            whatever of the kernel fits
  dbcc list -v kprobe:vfs_read                 with its arguments, and how a probe of it begins
  dbcc list 'tracepoint:syscalls:*execve*'     tracepoints, by category and name
  dbcc list 'uprobe:mysqld:*lock*'             functions of a binary
  dbcc list 'usdt:postgres:*' --json           USDT probes of a binary, a JSON object each
  dbcc list --pid 4711 'usdt:*'                of all that a process has loaded
  dbcc list active:                            uprobes that somebody has set"
)]
pub struct ListArgs {
    /// `[KIND:]PATTERN`, for binaries `KIND:BINARY:PATTERN`; a name, a wildcard with `*` and `?`, or `/REGEX/`. None: all
    /// of the kernel
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// Show arguments and return values with their types, and the lines that a probe begins with
    #[arg(long, short)]
    pub verbose: bool,
    /// Also show functions of the kernel that it does not let be traced
    #[arg(long)]
    pub all: bool,
    /// Look into this process: its executable, and the libraries that it has loaded
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Option<u32>,
    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = super::folder)]
    pub debug_dir: Vec<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}
