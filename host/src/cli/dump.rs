//! The arguments of `dbcc dump`.

use clap::{Args, ValueEnum};

use super::CompileArgs;

/// `dbcc dump`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc dump netio                                the object, and its instructions beside their lines
  dbcc dump my_probe.c --stage rewritten         the C text that clang compiled
  dbcc dump my_probe.c --stage xlated            the instructions that the verifier left
  dbcc dump my_probe.bpf.o --stage jited --program on_connection")]
pub struct DumpArgs {
    /// A probe file in C, the name of a built-in probe, or an object of `dbcc build` or of libbpf
    #[arg(value_name = "FILE")]
    pub file: String,
    /// What to show (repeatable) [default: an overview, and the object]
    #[arg(long, value_name = "STAGE")]
    pub stage: Vec<Stage>,
    /// Show this program only: a function of the probe, or a program of the object
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Print JSON lines
    #[arg(long)]
    pub json: bool,
    /// How it is compiled.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// What a probe is on its way into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// The text with what dbcc puts around it: kernel types, records of tracepoints, macros
    Templated,
    /// The C text that clang compiled
    Rewritten,
    /// The instructions of the object
    Object,
    /// The instructions that the verifier left; the programs are loaded for it, and not attached
    Xlated,
    /// The machine code in the kernel
    Jited,
}
