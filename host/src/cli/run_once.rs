//! `dbcc run`.

use std::path::PathBuf;

use clap::Args;

use super::CompileArgs;

/// `dbcc run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc run /sys/fs/bpf/hello                               a pinned program
  dbcc run HelloWorld.bpf.c --type raw_tracepoint          one that is compiled and loaded for this
  dbcc run filter.c --data packet.bin --repeat 1000        on a packet, a thousand times
  dbcc run filter.c --data 'ffffffffffff 000000000000 0800' --data-out after.bin")]
pub struct RunOnceArgs {
    /// The path of a pinned program, a probe file, or an object
    #[arg(value_name = "PINNED|FILE")]
    pub program: String,
    /// Which function of a file, where it has several
    #[arg(long, value_name = "NAME")]
    pub function: Option<String>,
    /// What functions are of which neither name, section nor context tells: a kind of attach point, or a type of libbpf's
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// Run it so often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// The packet: a file, or hexadecimal digits
    #[arg(long, value_name = "FILE|HEX")]
    pub data: Option<String>,
    /// The context: a file, or hexadecimal digits
    #[arg(long, value_name = "FILE|HEX")]
    pub ctx: Option<String>,
    /// Write the packet as it was left to this file
    #[arg(long, value_name = "FILE")]
    pub data_out: Option<PathBuf>,
    /// Write the context as it was left to this file
    #[arg(long, value_name = "FILE")]
    pub ctx_out: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
    /// How it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}
