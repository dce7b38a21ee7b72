//! The arguments of `dbcc build`.

use std::path::PathBuf;

use clap::Args;

/// `dbcc build`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc build netio                                 the built-in probe, into netio.bpf.o
  dbcc build my_probe.c -o /srv/probes/            into my_probe.bpf.o in that folder
  dbcc netio.bpf.o --pid 4711                      run it, on any host: no compiler is needed
  bpftool prog loadall netio.bpf.o /sys/fs/bpf/x   it is an object as libbpf knows them")]
pub struct BuildArgs {
    /// Probe files, or names of built-in probes
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Where the object goes: a file, or a folder [default: NAME.bpf.o in this folder]
    #[arg(long, short, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Attach a function of the probe when it is run, as in `uprobe:mysqld:check_connection=on_connection` (repeatable)
    #[arg(long, short, value_name = "KIND:TARGET=FUNCTION")]
    pub attach: Vec<String>,
    /// Define a macro for the probe (repeatable)
    #[arg(short = 'D', value_name = "NAME[=VALUE]")]
    pub define: Vec<String>,
    /// Say what was compiled for which kernels, and what was not
    #[arg(long, short)]
    pub verbose: bool,
    /// Print JSON lines: one object a file
    #[arg(long)]
    pub json: bool,
}
