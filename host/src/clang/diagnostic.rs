//! What libclang has to say about a text, copied out of it.

use std::ffi::c_uint;
use std::ptr;

use clang_sys::{CXDiagnostic, CXSourceRange, CXTranslationUnit};

use super::unit::Unit;
use crate::source::Span;

/// The most messages that are read of one text.
const MAX_MESSAGES: c_uint = 200;

/// How bad a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Suppressed or informative only.
    Note,
    /// It compiles.
    Warning,
    /// It does not compile.
    Error,
    /// Parsing ended here.
    Fatal,
}

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At an offset of the main file.
    Main(u32),
    /// In another file.
    Other {
        /// Its path.
        file: String,
        /// Line, from 1.
        line: u32,
    },
    /// In no file: the command line, for example.
    Nowhere,
}

/// A change that clang proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What to replace in the main file.
    pub span: Span,
    /// By what.
    pub text: String,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How bad it is.
    pub level: Level,
    /// Its text.
    pub text: String,
    /// The option that enabled it, such as `-Wunused-variable`; empty for errors.
    pub option: String,
    /// Where it is.
    pub place: Place,
    /// What clang underlines, as far as it is in the main file.
    pub ranges: Vec<Span>,
    /// What clang proposes in the main file.
    pub fixes: Vec<Fix>,
    /// Notes that belong to it.
    pub children: Vec<Message>,
}

pub(super) fn collect(unit: &Unit, handle: CXTranslationUnit) -> Vec<Message> {
    let api = &unit.library().api;
    // SAFETY: the unit is valid; each diagnostic is disposed once, after it was copied.
    unsafe {
        let count = (api.clang_getNumDiagnostics)(handle).min(MAX_MESSAGES);
        (0..count)
            .map(|index| {
                let diagnostic = (api.clang_getDiagnostic)(handle, index);
                let message = read(unit, diagnostic, true);
                (api.clang_disposeDiagnostic)(diagnostic);
                message
            })
            .collect()
    }
}

/// Copies a diagnostic.
///
/// # Safety
/// `diagnostic` is a live diagnostic of `unit`.
unsafe fn read(unit: &Unit, diagnostic: CXDiagnostic, with_children: bool) -> Message {
    let library = unit.library();
    let api = &library.api;
    // SAFETY: by this function's own condition; child diagnostics live as long as their parent and are not disposed.
    unsafe {
        let level = match (api.clang_getDiagnosticSeverity)(diagnostic) {
            clang_sys::CXDiagnostic_Warning => Level::Warning,
            clang_sys::CXDiagnostic_Error => Level::Error,
            clang_sys::CXDiagnostic_Fatal => Level::Fatal,
            _ => Level::Note,
        };
        let ranges = (0..(api.clang_getDiagnosticNumRanges)(diagnostic).min(MAX_MESSAGES))
            .filter_map(|index| unit.span((api.clang_getDiagnosticRange)(diagnostic, index)))
            .collect();
        let fixes = (0..(api.clang_getDiagnosticNumFixIts)(diagnostic).min(MAX_MESSAGES))
            .filter_map(|index| {
                let mut range = CXSourceRange::default();
                let text = library.string((api.clang_getDiagnosticFixIt)(diagnostic, index, &raw mut range));
                Some(Fix { span: unit.span(range)?, text })
            })
            .collect();
        let mut children = Vec::new();
        if with_children {
            let set = (api.clang_getChildDiagnostics)(diagnostic);
            if !set.is_null() {
                for index in 0..(api.clang_getNumDiagnosticsInSet)(set).min(MAX_MESSAGES) {
                    children.push(read(unit, (api.clang_getDiagnosticInSet)(set, index), false));
                }
            }
        }
        Message {
            level,
            text: library.string((api.clang_getDiagnosticSpelling)(diagnostic)),
            option: library.string((api.clang_getDiagnosticOption)(diagnostic, ptr::null_mut())),
            place: unit.place((api.clang_getDiagnosticLocation)(diagnostic)),
            ranges,
            fixes,
            children,
        }
    }
}
