//! The arguments of `dbcc types`.

use std::path::PathBuf;

use clap::Args;

/// `dbcc types`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  dbcc types sock                              a struct of the kernel, from its BTF
  dbcc types 'tcp_*'                           the names that fit
  dbcc types sock.__sk_common.skc_daddr        one member: its place, its type, and how to read it
  dbcc types sock.sk_socket.file.f_path        through pointers too; `[3]` goes to an element
  dbcc types mysqld:THD                        a class of a binary, from its debug information
  dbcc types --pid 4711 'List<Item>'           of what a process runs, its libraries included")]
pub struct TypesArgs {
    /// `[BINARY:]TYPE[.MEMBER…]`: a type of the kernel or, with a binary, of that: `sock`, `struct sock`, `mysqld:THD`,
    /// `List<Item>`, `tcp_*`
    #[arg(required = true, value_name = "NAME")]
    pub names: Vec<String>,
    /// The binary that has the type: a path, a name on PATH, or the name of a running process
    #[arg(long, value_name = "BINARY")]
    pub binary: Option<String>,
    /// Look into this process: its executable, and the libraries that it has loaded
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Option<u32>,
    /// Show what members consist of, so many levels deep
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub depth: usize,
    /// Show what members consist of, down to the last
    #[arg(long, conflicts_with = "depth")]
    pub expand: bool,
    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = super::folder)]
    pub debug_dir: Vec<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
}
