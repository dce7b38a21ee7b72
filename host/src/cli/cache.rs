//! `dbcc cache`.

use clap::{Args, Subcommand};

/// `dbcc cache`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc cache                       what is kept, and where
  dbcc cache clear                 remove all of it
  dbcc cache clear probes          only the compiled probes
The folder is `dbcc` in $XDG_CACHE_HOME, in ~/.cache or, for root, in /var/cache: the first of these that nobody else can \
write to.")]
pub struct CacheArgs {
    /// What to do instead of showing what is kept.
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
    /// Print JSON lines
    #[arg(long, global = true)]
    pub json: bool,
}

/// The subcommands of `dbcc cache`.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Remove what is kept: all, or these kinds
    Clear {
        /// Kinds: compiled probes, indexes of debug information, debug files from servers
        #[arg(value_name = "KIND", value_parser = ["probes", "symbols", "debuginfod"])]
        kinds: Vec<String>,
    },
}
