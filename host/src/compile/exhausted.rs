//! What ended a compiler that found nothing wrong: too little memory, or too little time of a processor.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Resource, getrlimit};

use crate::diag::Diagnostic;

/// Address space of a compiler, in bytes. libclang maps 0.3 GB; a text that needs more than this is no probe.
pub(crate) const ADDRESS_SPACE: u64 = 4 << 30;

/// Processor time of a compiler, in seconds: a second bound, for when the parent is gone.
pub(crate) const PROCESSOR_TIME: u64 = 60;

/// How a program starts a line to say that it got no memory: LLVM, Rust's library, C++'s, and dbcc itself.
const SIGNS: [&str; 4] = [
    "LLVM ERROR: out of memory",
    "memory allocation of ",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "dbcc: out of memory",
];

/// What a compiler was given too little of; none where it ended in another way. `said` is what it wrote on standard error.
pub(crate) fn exhausted(status: ExitStatus, said: &str) -> Option<Diagnostic> {
    let no_memory = || said.lines().any(|line| SIGNS.iter().any(|sign| line.starts_with(sign)));
    match status.signal() {
        Some(libc::SIGKILL) => Some(killed()),
        Some(libc::SIGXCPU) => Some(slow()),
        _ => no_memory().then(|| memory(own_limit())),
    }
}

/// What a caller of dbcc allows it to less than dbcc allows a compiler, in bytes.
pub(crate) fn own_limit() -> Option<u64> {
    getrlimit(Resource::As).maximum.filter(|limit| *limit < ADDRESS_SPACE)
}

fn memory(limit: Option<u64>) -> Diagnostic {
    let error = Diagnostic::error("the compiler ran out of memory", None);
    match limit {
        Some(limit) => error
            .note(format!("this process was started with a limit of {} MB of address space", limit >> 20))
            .help("raise it: `ulimit -v unlimited` in a shell, `LimitAS=` of a service"),
        None => error
            .note(format!("a compiler gets up to {} MB, which no probe needs", ADDRESS_SPACE >> 20))
            .help("look for macros, loops or arrays that expand to very much code or data"),
    }
}

fn killed() -> Diagnostic {
    Diagnostic::error("the compiler was killed (SIGKILL)", None)
        .note("the kernel does that where memory runs out, on the machine or in a control group; `dmesg` tells of it")
        .help("give it more memory (some 300 MB are enough), or compile elsewhere by `dbcc build` and run the object here")
}

fn slow() -> Diagnostic {
    Diagnostic::error(format!("compiling took more than {PROCESSOR_TIME} seconds of a processor's time"), None)
        .help("look for macros or loops that expand to very much code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_out_is_told_apart_from_a_crash() {
        let said = |signal, text| {
            exhausted(ExitStatus::from_raw(signal), text).map(|diagnostic| diagnostic.message).unwrap_or_default()
        };
        let memory = "the compiler ran out of memory";
        // As clang 19 and the worker wrote it under `ulimit -v`.
        assert_eq!(said(0, "LLVM ERROR: out of memory\nAllocation failed\n"), memory);
        assert_eq!(said(6, "memory allocation of 20 bytes failed\n"), memory);
        assert_eq!(said(9, ""), "the compiler was killed (SIGKILL)");
        assert_eq!(said(libc::SIGXCPU, ""), "compiling took more than 60 seconds of a processor's time");
        assert_eq!(said(11, "Segmentation fault"), "");
        // What the probe itself makes the compiler say.
        assert_eq!(said(0, "probe.c:1:2: error: LLVM ERROR: out of memory"), "");
    }

    #[test]
    fn the_limit_that_was_hit_is_named() {
        let shown = |limit| format!("{:?}", memory(limit));
        assert!(shown(Some(512 << 20)).contains("a limit of 512 MB of address space"), "{}", shown(Some(512 << 20)));
        assert!(shown(None).contains("up to 4096 MB"), "{}", shown(None));
    }
}
