//! What can go wrong, each with its subject and what to do.

use std::io;
use std::path::PathBuf;

use crate::addr::Pid;

/// Why a binary cannot be found or read, or a pattern not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file.
    #[error("failed to {doing} `{}`: {error}{}", path.display(), permission_hint(error))]
    Io {
        /// What was tried: "open", "read".
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed. Its words stand in the message, so that it is not the `source()` that is shown behind it.
        error: io::Error,
    },
    /// A directory, a device, a socket.
    #[error("`{}` is not a regular file: name a program or a shared library", .0.display())]
    NotAFile(PathBuf),
    /// A `#!` script.
    #[error(
        "`{}` is a script run by `{interpreter}`, not a program with symbols: name the program that it starts",
        path.display()
    )]
    Script {
        /// The script.
        path: PathBuf,
        /// From its first line.
        interpreter: String,
    },
    /// No ELF magic.
    #[error("`{}` is not an ELF file: name a program or a shared library", .0.display())]
    NotElf(PathBuf),
    /// An ELF file of a sort that holds no functions to probe.
    #[error("`{}` is {what}: {help}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is, with its article.
        what: &'static str,
        /// What to do instead.
        help: &'static str,
    },
    /// Headers or tables that contradict themselves or the file's length, or that ask for unreasonable work.
    #[error("`{}` is a damaged ELF file: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which part, and how.
        what: String,
    },
    /// Neither a file on PATH, nor a running process, nor a library.
    #[error(
        "no program `{0}`: it is not on PATH, no running process has that name, and no library either; give the path of \
         the binary or the id of a process that runs it"
    )]
    NotFound(String),
    /// Several processes of that name run different executables.
    #[error(
        "several programs named `{name}` are running: {}; give the path of one, or the id of a process",
        list(candidates)
    )]
    Ambiguous {
        /// The name that was asked for.
        name: String,
        /// One line for each executable.
        candidates: Vec<String>,
    },
    /// Several libraries have that short name.
    #[error("several libraries are called `{name}`: {}; give the path of one", list(candidates))]
    SeveralLibraries {
        /// The name that was asked for.
        name: String,
        /// Their paths.
        candidates: Vec<String>,
    },
    /// No such process, or one without an executable.
    #[error("no process {pid} with an executable: {why}")]
    NoProcess {
        /// The process.
        pid: Pid,
        /// Ended, kernel thread, …
        why: &'static str,
    },
    /// The process neither runs nor maps a file of that name.
    #[error(
        "process {pid} (`{}`) neither is `{name}` nor has a library of that name loaded",
        executable.display()
    )]
    NotInProcess {
        /// The process.
        pid: Pid,
        /// What it runs.
        executable: PathBuf,
        /// What was looked for.
        name: String,
    },
    /// The pattern cannot be a function name.
    #[error("`{pattern}` is not a function name: {why}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
}

fn permission_hint(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::PermissionDenied {
        " (another user's process needs root or CAP_SYS_PTRACE)"
    } else {
        ""
    }
}

fn list(items: &[String]) -> String {
    items.join("; ")
}
