//! From places in a rewritten text back to places in the text that the user wrote.

use serde::{Deserialize, Serialize};

use crate::source::Span;

/// The edits that made the rewritten text, kept so that its places can be traced back.
///
/// Edits are disjoint, in order, and never add or remove a line end inside the user's text, so a line of the rewritten
/// text is the same line of the source; only columns move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineMap {
    /// For each edit: the range that it replaced in the source, and the length in bytes of what stands there now.
    pub edits: Vec<(Span, u32)>,
}
