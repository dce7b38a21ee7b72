//! Why there is no object: what is wrong with the text, or with this machine, or how the worker ended.

use crate::child::{ChildError, Finished};
use crate::clang::LibraryError;
use crate::compile::exhausted::{exhausted, own_limit};
use crate::diag::Diagnostic;

/// Why a probe was not compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompileError {
    /// All that is wrong with the probe; or one message for a compiler that did not come to an end.
    Probe(Vec<Diagnostic>),
    /// What is wrong with this machine: a library that cannot be loaded, no place for files.
    Machine(String),
}

impl CompileError {
    /// As messages about the probe.
    pub fn diagnostics(self) -> Vec<Diagnostic> {
        match self {
            Self::Probe(diagnostics) => diagnostics,
            Self::Machine(message) => vec![Diagnostic::error(message, None)],
        }
    }
}

impl From<Vec<Diagnostic>> for CompileError {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::Probe(diagnostics)
    }
}

impl From<LibraryError> for CompileError {
    fn from(error: LibraryError) -> Self {
        let why = error.to_string();
        // As glibc's linker says it of each library that it has no room for.
        let limit = own_limit().filter(|_| why.contains("failed to map segment"));
        Self::Machine(match limit {
            Some(limit) => {
                format!("{why}; this process was started with a limit of {} MB of address space", limit >> 20)
            }
            None => why,
        })
    }
}

/// The error for a child that was not run to its end.
pub(super) fn stopped(error: ChildError) -> CompileError {
    match error {
        ChildError::Time { time, .. } => {
            let message = format!("compiling took more than {} seconds and was stopped", time.as_secs());
            let help = "look for macros or loops that expand to very much code";
            CompileError::Probe(vec![Diagnostic::error(message, None).help(help)])
        }
        ChildError::Start { .. } => CompileError::Machine(format!("compiling failed: {error}")),
        other => CompileError::Probe(vec![Diagnostic::error(format!("compiling failed: {other}"), None)]),
    }
}

/// What ended a child before its time, as far as it says; libclang takes some such ends for crashes of its own.
pub(super) fn exhausted_by(finished: &Finished) -> Option<Diagnostic> {
    exhausted(finished.status, &String::from_utf8_lossy(&finished.stderr))
}

/// The message for a child that ended without an answer.
pub(super) fn unanswered(finished: &Finished) -> Diagnostic {
    let said = String::from_utf8_lossy(&finished.stderr);
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let diagnostic = Diagnostic::error(format!("the compiler crashed on this probe ({})", finished.status), None);
    let diagnostic = match lines.next() {
        Some(line) => diagnostic.note(format!("it said: {line}")),
        None => diagnostic,
    };
    diagnostic.help(
        "take parts out of the probe to find the one that does it; a newer clang may help (DBCC_CLANG, DBCC_LIBCLANG)",
    )
}
