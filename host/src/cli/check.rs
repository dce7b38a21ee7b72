//! `dbcc check`.

use std::path::PathBuf;

use clap::Args;

use super::CompileArgs;

/// `dbcc check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc check my_probe.c                            what the compiler and the lints say
  dbcc check --load my_probe.c                     the kernel's verifier too; nothing is attached
  dbcc check --pid $(pidof mysqld) my_probe.c      where each of its functions would be attached
  dbcc check --deny all --json probes/*.c          for CI: what lints find makes the exit code 1
  dbcc check --explain                             what the lints are; with a name, one of them")]
pub struct CheckArgs {
    /// Probe files, names of built-in probes, or objects
    #[arg(required_unless_present = "explain", value_name = "FILE")]
    pub files: Vec<String>,
    /// Load the programs too, so that the kernel's verifier sees them
    #[arg(long)]
    pub load: bool,
    /// Print JSON lines: one object a file
    #[arg(long)]
    pub json: bool,
    /// Print the C text that was handed to clang
    #[arg(long)]
    pub show_c: bool,
    /// Do not say what this lint finds (repeatable); `//@ allow LINT` in the probe does it for one place
    #[arg(long, value_name = "LINT")]
    pub allow: Vec<String>,
    /// Make what this lint finds an error, for CI (repeatable); `all` means every lint
    #[arg(long, value_name = "LINT|all")]
    pub deny: Vec<String>,
    /// Explain this lint; without a name, list them all
    #[arg(long, value_name = "LINT", num_args = 0..=1, default_missing_value = "", conflicts_with = "files")]
    pub explain: Option<String>,
    /// Show what each attach point stands for on this machine, and what is missing and why; --pid and --binary imply it
    #[arg(long)]
    pub targets: bool,
    /// Look attach points up in this process (repeatable): its executable is the default binary
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Vec<u32>,
    /// The binary of attach points that name none: a path, a name on PATH, or the name of a running process
    #[arg(long, value_name = "BINARY")]
    pub binary: Option<String>,
    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = super::folder)]
    pub debug_dir: Vec<PathBuf>,
    /// How they are compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}
