//! `dbcc new`.

use std::path::PathBuf;

use clap::Args;

/// `dbcc new`.
#[derive(Debug, Default, Args)]
#[command(after_help = "Examples:
  dbcc new commands --uprobe mysqld:dispatch_command --uretprobe mysqld:dispatch_command
                                            its arguments, what it returns, and how long it takes
  dbcc new sends --fexit tcp_sendmsg        arguments and return value of a kernel's function
  dbcc new opens --tracepoint syscalls:sys_enter_openat -o -
  dbcc new gc --usdt /usr/bin/python3.11:python:gc__start
What is given for the entry and for the return of one function is one event, with the time between them.")]
pub struct NewArgs {
    /// What the probe is called: it is written to NAME.c in this folder
    pub name: String,
    /// A function of a program or library at its entry (repeatable, as all that follow)
    #[arg(long, value_name = "[BINARY:]FUNCTION")]
    pub uprobe: Vec<String>,
    /// A function of a program or library at its return
    #[arg(long, value_name = "[BINARY:]FUNCTION")]
    pub uretprobe: Vec<String>,
    /// A function of the kernel at its entry
    #[arg(long, value_name = "FUNCTION")]
    pub kprobe: Vec<String>,
    /// A function of the kernel at its return
    #[arg(long, value_name = "FUNCTION")]
    pub kretprobe: Vec<String>,
    /// A function of the kernel at its entry, where the kernel has fentry
    #[arg(long, value_name = "FUNCTION")]
    pub fentry: Vec<String>,
    /// A function of the kernel at its return, with its arguments
    #[arg(long, value_name = "FUNCTION")]
    pub fexit: Vec<String>,
    /// A tracepoint, with the fields of its record
    #[arg(long, value_name = "CATEGORY:EVENT")]
    pub tracepoint: Vec<String>,
    /// A tracepoint, with the arguments of its call
    #[arg(long, value_name = "EVENT")]
    pub rawtp: Vec<String>,
    /// A USDT probe
    #[arg(long, value_name = "[BINARY:][PROVIDER:]NAME")]
    pub usdt: Vec<String>,
    /// Look into this process: its executable is the binary of places that name none
    #[arg(long, short, value_name = "N", value_parser = super::pid)]
    pub pid: Option<u32>,
    /// The binary of places that name none: a path, a name on PATH, or the name of a running process
    #[arg(long, value_name = "BINARY")]
    pub binary: Option<String>,
    /// Write it to this file; `-` is standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long)]
    pub force: bool,
    /// Look for debug files in this folder first, before /usr/lib/debug (repeatable)
    #[arg(long, value_name = "DIR", value_parser = super::folder)]
    pub debug_dir: Vec<PathBuf>,
    /// Keep no index of debug information, and use none
    #[arg(long)]
    pub no_cache: bool,
}

impl NewArgs {
    /// All places, each as the name of its kind and its target.
    pub fn places(&self) -> Vec<(&'static str, &str)> {
        let given: [(&'static str, &[String]); 9] = [
            ("uprobe", &self.uprobe),
            ("uretprobe", &self.uretprobe),
            ("kprobe", &self.kprobe),
            ("kretprobe", &self.kretprobe),
            ("fentry", &self.fentry),
            ("fexit", &self.fexit),
            ("tracepoint", &self.tracepoint),
            ("raw_tracepoint", &self.rawtp),
            ("usdt", &self.usdt),
        ];
        given.iter().flat_map(|(kind, targets)| targets.iter().map(move |target| (*kind, target.as_str()))).collect()
    }
}
