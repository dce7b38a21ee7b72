//! A section from its beginning to its end without holding it.

use std::ops::{ControlFlow, Range};

use super::reader::Section;

/// How much is read at once: so little that it is still in the processor's cache when it is searched.
const PIECE: usize = 256 << 10;

/// Shows the bytes of `range` to `look` in pieces, with their offsets. Each piece but the first repeats the last `overlap`
/// bytes of the one before, so that whatever is at most that long, and one byte behind it, are whole in one of them.
///
/// # Errors
///
/// When the section cannot be read, or ends before the range does.
pub(crate) fn pieces<B>(
    section: &Section<'_>,
    range: Range<usize>,
    overlap: usize,
    mut look: impl FnMut(usize, &[u8]) -> ControlFlow<B>,
) -> Result<Option<B>, gimli::Error> {
    if let Some(bytes) = section.memory()? {
        let bytes = bytes.get(range.clone()).ok_or(gimli::Error::OffsetOutOfBounds(range.end as u64))?;
        return Ok(look(range.start, bytes).break_value());
    }
    let size = PIECE.max(overlap.saturating_mul(4));
    let mut buffer = vec![0; size.min(range.len())];
    let mut at = range.start;
    while at < range.end {
        let len = buffer.len().min(range.end - at);
        let piece = buffer.get_mut(..len).unwrap_or_default();
        section.fill(at, piece)?;
        if let ControlFlow::Break(value) = look(at, piece) {
            return Ok(Some(value));
        }
        if at + len == range.end {
            break;
        }
        // At least three quarters of the piece are new.
        at += len - overlap;
    }
    Ok(None)
}
