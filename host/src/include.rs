//! `#include "…"` of files beside a probe: their lines become lines of the probe.
//!
//! So everything that a probe may hold may stand in such a file: maps, programs, directives, functions that read kernel
//! memory. [`Source::parts`] keeps which line is whose. Files that are not found stay as they are, for clang to say so, and
//! so does what only the preprocessor can follow: a name that a macro gives, a file that includes itself.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::lex::{Lexed, Token, TokenKind};
use crate::source::{MAX_SOURCE, Part, Source, SourceError, one_for_one};

mod beside;

pub use beside::{asks_for_files, reads_files};

/// The most files that are taken, each as often as it is included.
const MAX_FILES: usize = 256;

/// How deeply files may include one another; as deep as clang lets them.
const MAX_DEPTH: usize = 200;

/// Reads a probe file, and the files beside it that it includes.
///
/// # Errors
/// When it cannot be read, is larger than [`MAX_SOURCE`] with all that it includes, or holds NUL bytes.
pub fn read(path: &Path) -> Result<Source, SourceError> {
    let linked = std::fs::read_link(path).is_ok().then(|| std::fs::canonicalize(path).ok()).flatten();
    with_includes(Source::read(path)?, linked.as_deref())
}

/// Takes the files that a probe includes into its text. `linked` is the file that the probe's name is a link to.
fn with_includes(mut source: Source, linked: Option<&Path>) -> Result<Source, SourceError> {
    let Some(dir) = source.dir.clone() else { return Ok(source) };
    let lexed = Lexed::new(&source.text);
    if !lexed.includes().iter().any(|include| include.quoted) {
        return Ok(source);
    }
    let main = source.name.clone();
    let top = File { name: main.clone(), dir };
    let linked =
        linked.and_then(|path| Some(File { name: path.display().to_string(), dir: path.parent()?.to_owned() }));
    let mut inliner = Inliner {
        top: &top,
        linked: linked.as_ref(),
        text: String::new(),
        parts: Vec::new(),
        files: 0,
        open: Vec::new(),
        guarded: Vec::new(),
    };
    inliner.add(&source.text, &top, 0);
    let Inliner { text, parts, files, .. } = inliner;
    let size = u64::try_from(text.len()).unwrap_or(u64::MAX);
    if size > MAX_SOURCE {
        return Err(SourceError::TooLarge { path: main, size });
    }
    if files > 0 {
        (source.text, source.parts) = (text, parts);
    }
    Ok(source)
}

/// A file, and the folder that its own includes start from.
struct File {
    name: String,
    dir: PathBuf,
}

struct Inliner<'t> {
    /// The probe: includes are looked for beside it after the file that has them.
    top: &'t File,
    /// Where the probe is a link, the file that it leads to: includes are looked for beside it last.
    linked: Option<&'t File>,
    text: String,
    parts: Vec<Part>,
    files: usize,
    /// The files that are being taken, each inside of the one before.
    open: Vec<PathBuf>,
    /// The files that say `#pragma once`; the number of one is in the name of its guard, so that the text is the same in every
    /// folder.
    guarded: Vec<PathBuf>,
}

impl<'t> Inliner<'t> {
    /// Appends the lines of a file, those of the files that it includes among them.
    fn add(&mut self, text: &str, file: &File, depth: usize) {
        let lexed = Lexed::new(text);
        let tokens = lexed.tokens();
        // Where the lines begin that are not appended yet.
        let mut from = 0usize;
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Header) {
            let range = token.span.range();
            let name = text.get(range.start..range.end).unwrap_or_default();
            let Some(name) = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) else { continue };
            let Some((start, end)) = whole_line(text, tokens, index).filter(|(start, _)| *start >= from) else {
                continue;
            };
            if self.files >= MAX_FILES || depth >= MAX_DEPTH {
                break;
            }
            let Some((beside, path, inner)) = self.find(name, file) else { continue };
            let shown = Path::new(&beside.name).parent().map_or_else(|| name.into(), |dir| dir.join(name));
            let inner_file =
                File { name: shown.display().to_string(), dir: path.parent().unwrap_or(&beside.dir).to_owned() };
            self.lines(text, from, start, file);
            from = end;
            self.take(&inner, &inner_file, path, (file, line_of(text, start)), depth);
        }
        self.lines(text, from, text.len(), file);
    }

    /// Appends a file that is included on a line of another.
    fn take(&mut self, text: &str, file: &File, path: PathBuf, (by, line): (&File, u32), depth: usize) {
        self.files += 1;
        let once = is_once(text).then(|| self.open_guard(&path, by, line));
        self.open.push(path);
        self.add(text, file, depth + 1);
        self.open.pop();
        if once.is_some() {
            self.part(&by.name, line);
            self.text.push_str("#endif\n");
        }
    }

    /// What `#pragma once` means, for a file whose lines are among those of others.
    fn open_guard(&mut self, path: &Path, by: &File, line: u32) {
        let known = self.guarded.iter().position(|guarded| guarded == path);
        let number = known.unwrap_or_else(|| {
            self.guarded.push(path.to_owned());
            self.guarded.len() - 1
        });
        let guard = format!("DBCC_ONCE_{number}");
        self.part(&by.name, line);
        self.text.push_str(&format!("#ifndef {guard}\n#define {guard}\n"));
    }

    /// Appends lines of a file.
    fn lines(&mut self, text: &str, from: usize, to: usize, file: &File) {
        let lines = text.get(from..to).unwrap_or_default();
        if lines.is_empty() {
            return;
        }
        self.part(&file.name, line_of(text, from));
        self.text.push_str(lines);
        if !lines.ends_with('\n') && !self.open.is_empty() {
            self.text.push('\n');
        }
    }

    fn part(&mut self, file: &str, line: u32) {
        let start = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        self.parts.push(Part { start, file: file.to_owned(), line });
    }

    /// The file of a name, beside the one that includes it or beside the probe, and its text; none for a file that is
    /// being taken, and for copies of the kernel's types, which come from its BTF.
    fn find<'f>(&self, name: &str, by: &'f File) -> Option<(&'f File, PathBuf, String)>
    where
        't: 'f,
    {
        if Path::new(name).file_name()? == "vmlinux.h" {
            return None;
        }
        [by, self.top].into_iter().chain(self.linked).find_map(|beside| {
            let path = std::fs::canonicalize(beside.dir.join(name)).ok()?;
            // Opening a FIFO would wait for a writer.
            if self.open.contains(&path) || !std::fs::metadata(&path).ok()?.is_file() {
                return None;
            }
            let room = MAX_SOURCE.saturating_sub(u64::try_from(self.text.len()).ok()?);
            let mut bytes = Vec::new();
            std::fs::File::open(&path).ok()?.take(room.saturating_add(1)).read_to_end(&mut bytes).ok()?;
            let is_text = !bytes.contains(&0);
            is_text.then(|| (beside, path, one_for_one(bytes)))
        })
    }
}

/// The whole line of a directive whose last token is the one at `index`; none where something else is on it.
fn whole_line(text: &str, tokens: &[Token], index: usize) -> Option<(usize, usize)> {
    let (hash, last) = (tokens.get(index.checked_sub(2)?)?, tokens.get(index)?);
    if hash.kind != TokenKind::Punctuation(b'#') {
        return None;
    }
    let start = text.get(..hash.span.range().start)?.rfind('\n').map_or(0, |end| end + 1);
    let before = text.get(start..hash.span.range().start)?;
    let rest = text.get(last.span.range().end..)?;
    let length = rest.find('\n').map_or(rest.len(), |end| end + 1);
    let behind = rest.get(..length)?.trim();
    // A comment may go on behind the line; one that does not goes with it.
    let comment = behind.starts_with("//") && !behind.ends_with('\\')
        || behind.starts_with("/*") && behind.find("*/").is_some_and(|end| end + 2 == behind.len());
    (before.trim().is_empty() && (behind.is_empty() || comment))
        .then(|| (start, last.span.range().end.saturating_add(length)))
}

/// The number of the line that an offset is on, from 1.
fn line_of(text: &str, offset: usize) -> u32 {
    let before = text.as_bytes().get(..offset).unwrap_or_default();
    u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(u32::MAX)
}

/// Whether a file says `#pragma once`.
fn is_once(text: &str) -> bool {
    let lexed = Lexed::new(text);
    let lines: Vec<&Token> = lexed.tokens().iter().filter(|token| token.preprocessor).collect();
    lines.windows(3).any(|window| match window {
        [hash, pragma, once] => {
            hash.kind == TokenKind::Punctuation(b'#')
                && lexed.spelling(pragma) == "pragma"
                && lexed.spelling(once) == "once"
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests;
