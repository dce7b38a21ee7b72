//! `dbcc doctor`.

use clap::Args;

/// `dbcc doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  dbcc doctor              what works here, what is missing, and how to mend it
  dbcc doctor --mount      the same, when the file systems that are needed are mounted
  dbcc doctor --json       a JSON object a check
Exit codes: 0: probes can be compiled and run; 3: probes that were compiled elsewhere (`dbcc build`) can be run; 1: none \
can be run.")]
pub struct DoctorArgs {
    /// Mount tracefs at /sys/kernel/tracing and the file system of BPF at /sys/fs/bpf first, where they are not mounted
    #[arg(long)]
    pub mount: bool,
    /// Print JSON lines: one object a check, and the verdict
    #[arg(long)]
    pub json: bool,
}
