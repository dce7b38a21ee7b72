//! `dbcc ps`.

use clap::Args;

/// `dbcc ps`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc ps                       programs, maps and links, with what programs did in one second
  dbcc ps --interval 10s        in ten seconds
  dbcc ps --now                 without waiting
  dbcc ps --pid 4711            those that this process holds")]
pub struct PsArgs {
    /// Count the runs of programs for so long, such as 1s or 500ms
    #[arg(long, short, value_name = "TIME", default_value = "1s")]
    pub interval: String,
    /// Count nothing, and show at once
    #[arg(long, conflicts_with = "interval")]
    pub now: bool,
    /// Show what this process holds, and what that uses
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Option<u32>,
    /// Print JSON lines: one object a program, map or link
    #[arg(long)]
    pub json: bool,
}
