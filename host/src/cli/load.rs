//! `dbcc load` and `dbcc unpin`.

use std::path::PathBuf;

use clap::Args;

use super::CompileArgs;

/// `dbcc load`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc load HelloWorld.bpf.c --type raw_tracepoint --pin /sys/fs/bpf/hello
  dbcc load HelloWorld.bpf.c --attach raw_tracepoint:sys_enter=helloworld --pin /sys/fs/bpf/hello
  dbcc load probe.bpf.o --pin /sys/fs/bpf/probe --attach-all --pin-maps /sys/fs/bpf/maps
Prints of the programs go to the kernel's trace pipe: `dbcc trace` shows them.")]
pub struct LoadArgs {
    /// A probe file, the name of a built-in probe, or an object
    #[arg(value_name = "FILE")]
    pub file: String,
    /// What functions are of which neither name, section nor context tells: a kind of attach point, or a type of libbpf's
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Where the program is pinned, in a file system of BPF; of several programs, the folder in which each has its name
    #[arg(long, value_name = "PATH")]
    pub pin: PathBuf,
    /// Attach all programs to what their names, sections or directives say, and pin the links as PATH_link
    #[arg(long)]
    pub attach_all: bool,
    /// Pin the maps too, in this folder, each by its name
    #[arg(long, value_name = "FOLDER")]
    pub pin_maps: Option<PathBuf>,
    /// Print JSON lines: one object for each thing that is pinned
    #[arg(long)]
    pub json: bool,
    /// How it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// `dbcc unpin`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc unpin /sys/fs/bpf/hello_link /sys/fs/bpf/hello    a link, and the program that it holds
  dbcc unpin /sys/fs/bpf/probe                           a folder, with all that is in it")]
pub struct UnpinArgs {
    /// Pinned programs, maps or links, or folders of them
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Print JSON lines: one object for each thing that is unpinned
    #[arg(long)]
    pub json: bool,
}
