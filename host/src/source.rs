//! Stage 1: the bytes of a probe file, and where its lines begin.
//!
//! Every later stage speaks of places in this text as [`Span`]s: byte ranges of what the user wrote, before any
//! templating. Offsets agree with libclang's, because the text is handed to it unchanged.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The largest probe file that is read, in bytes. BCC's largest tool text is 30 kB.
pub const MAX_SOURCE: u64 = 8 << 20;

/// A byte range `[start, end)` of the user's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The range from `start` up to, not including, `end`; an inverted range is empty at `start`.
    pub fn new(start: u32, end: u32) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Number of bytes.
    pub fn len(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the range holds no byte (a place to insert at).
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The range as indices into a slice of bytes.
    pub fn range(self) -> std::ops::Range<usize> {
        usize::try_from(self.start).unwrap_or(usize::MAX)..usize::try_from(self.end).unwrap_or(usize::MAX)
    }
}

/// A line and column, both from 1; the column counts bytes, as clang does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LineColumn {
    /// Line, from 1.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
}

/// A run of lines of the text that come from one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Offset of its first byte in the text.
    pub start: u32,
    /// The file's name, as messages show it.
    pub file: String,
    /// The number in the file of its first line, from 1.
    pub line: u32,
}

/// A probe file as the user wrote it, the files beside it that it includes among its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The name that messages show: the path as given, or the name of a built-in probe.
    pub name: String,
    /// The directory that `#include "…"` starts from; none for built-in probes.
    pub dir: Option<PathBuf>,
    /// The text. Bytes that are not UTF-8 are replaced one for one by `?`, so that offsets stay true.
    pub text: String,
    /// Which lines come from which file, in order; empty where all are the probe's own.
    pub parts: Vec<Part>,
}

/// What a range of the text is in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt<'s> {
    /// The name of the file.
    pub file: &'s str,
    /// The lines around it that come from that file without a break.
    pub text: &'s str,
    /// Offset of these lines in the whole text.
    pub start: u32,
    /// The number in the file of the first of these lines.
    pub line: u32,
}

/// Why a probe file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Opening or reading failed.
    #[error("cannot read probe file `{path}`: {error}")]
    Io {
        /// The path as given.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The file is larger than [`MAX_SOURCE`].
    #[error("probe file `{path}` has {size} bytes; at most {MAX_SOURCE} are read")]
    TooLarge {
        /// The path as given.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The file holds a NUL byte, so it is no C text.
    #[error("`{path}` is not a C text: it holds a NUL byte at offset {offset}")]
    Binary {
        /// The path as given.
        path: String,
        /// Where the first NUL byte is.
        offset: usize,
    },
}

impl Source {
    /// Reads a probe file.
    ///
    /// # Errors
    /// When it cannot be read, is larger than [`MAX_SOURCE`], or holds NUL bytes.
    pub fn read(path: &Path) -> Result<Self, SourceError> {
        use std::io::Read as _;
        let shown = path.display().to_string();
        let io = |error| SourceError::Io { path: shown.clone(), error };
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(io)?;
        file.take(MAX_SOURCE + 1).read_to_end(&mut bytes).map_err(io)?;
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > MAX_SOURCE {
            return Err(SourceError::TooLarge { path: shown, size });
        }
        if let Some(offset) = bytes.iter().position(|byte| *byte == 0) {
            return Err(SourceError::Binary { path: shown, offset });
        }
        let dir = path.parent().map(|dir| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.into() });
        Ok(Self { name: shown, dir, text: one_for_one(bytes), parts: Vec::new() })
    }

    /// A text that is in memory already, shown under `name`.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), dir: None, text: text.into(), parts: Vec::new() }
    }

    /// Line and column of a byte offset; an offset behind the end is the end.
    pub fn line_column(&self, offset: u32) -> LineColumn {
        let bytes = self.text.as_bytes();
        let upto = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let before = bytes.get(..upto).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        LineColumn { line: u32::try_from(line).unwrap_or(u32::MAX), column: u32::try_from(column).unwrap_or(u32::MAX) }
    }

    /// The file that a place comes from, and its lines.
    pub fn excerpt(&self, offset: u32) -> Excerpt<'_> {
        let next = self.parts.partition_point(|part| part.start <= offset);
        let end = self.parts.get(next).and_then(|part| usize::try_from(part.start).ok()).unwrap_or(self.text.len());
        match next.checked_sub(1).and_then(|index| self.parts.get(index)) {
            Some(part) => {
                let start = usize::try_from(part.start).unwrap_or(usize::MAX);
                let text = self.text.get(start..end).unwrap_or_default();
                Excerpt { file: &part.file, text, start: part.start, line: part.line }
            }
            None => Excerpt { file: &self.name, text: self.text.get(..end).unwrap_or_default(), start: 0, line: 1 },
        }
    }

    /// Line and column in the file that a place comes from.
    pub fn in_file(&self, offset: u32) -> LineColumn {
        let at = self.line_column(offset);
        if self.parts.is_empty() {
            return at;
        }
        let excerpt = self.excerpt(offset);
        let first = self.line_column(excerpt.start).line;
        LineColumn { line: at.line - first.min(at.line) + excerpt.line, column: at.column }
    }

    /// The byte offset of a line and column; places outside the text go to its nearest place.
    pub fn offset(&self, at: LineColumn) -> u32 {
        let mut start = 0usize;
        for _ in 1..at.line {
            match self.text.get(start..).and_then(|rest| rest.find('\n')) {
                Some(length) => start += length + 1,
                None => return u32::try_from(self.text.len()).unwrap_or(u32::MAX),
            }
        }
        let length = self.line(at.line).len();
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX).min(length);
        u32::try_from(start + column).unwrap_or(u32::MAX)
    }

    /// The text of a line (from 1), without its end; empty behind the last line.
    pub fn line(&self, line: u32) -> &str {
        let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
        self.text.lines().nth(index).unwrap_or_default()
    }

    /// The text under a span; empty where the span is not in the text.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }
}

/// Valid UTF-8 of the same length: a byte that is no part of a valid sequence becomes `?`.
pub(crate) fn one_for_one(bytes: Vec<u8>) -> String {
    match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let mut text = String::with_capacity(error.as_bytes().len());
            for chunk in error.as_bytes().utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|_| '?'));
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_and_lines_agree_both_ways() {
        let source = Source::from_text("t.c", "int a;\n\n  é x;\nlast");
        for offset in [0, 3, 6, 7, 8, 10, 12, 16, 20] {
            let at = source.line_column(offset);
            assert_eq!(source.offset(at), offset, "{at:?}");
        }
        assert_eq!(source.line_column(8), LineColumn { line: 3, column: 1 });
        assert_eq!(source.line(3), "  é x;");
        assert_eq!(source.offset(LineColumn { line: 99, column: 1 }), 20);
    }

    #[test]
    fn bytes_that_are_not_utf8_keep_offsets_true() {
        let text = one_for_one(b"a\xff\xfeb\xe4\xb8c".to_vec());
        assert_eq!(text, "a??b??c");
    }
}
