//! `dbcc trace`.

use clap::Args;

/// `dbcc trace`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc trace                                 all that programs print
  dbcc trace --comm mysqld --text slow       what threads of that name print with that text in it
  dbcc trace --pid 4711 --json               of one process, a JSON object each
  dbcc trace --count 10                      ten lines
What is read is read by nobody else: the kernel has one trace pipe for all, and each line leaves it once.")]
pub struct TraceArgs {
    /// Show lines of this process only (repeatable)
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Vec<u32>,
    /// Show lines of threads of this command name only (repeatable)
    #[arg(long, value_name = "NAME")]
    pub comm: Vec<String>,
    /// Show lines whose message has this in it
    #[arg(long, value_name = "TEXT")]
    pub text: Option<String>,
    /// Show lines whose message fits this regular expression
    #[arg(long, value_name = "REGEX")]
    pub regex: Option<String>,
    /// Show lines as the kernel has them
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// End after so many lines
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Print JSON lines: one object a line
    #[arg(long)]
    pub json: bool,
}
