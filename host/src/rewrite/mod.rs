//! Stage 5: from BCC's dialect to plain BPF C: facts from libclang's AST, edits, text and line map.

use crate::diag::Diagnostic;
use crate::facts::Facts;
use crate::linemap::LineMap;

/// A probe in plain BPF C.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The user's text with edits inside its lines, and generated text behind it.
    pub text: String,
    /// From places in `text` to places in the source.
    pub line_map: LineMap,
    /// What was promised about programs and maps.
    pub facts: Facts,
    /// Warnings and notes.
    pub warnings: Vec<Diagnostic>,
}
