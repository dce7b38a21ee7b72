//! Names of symbols: those parts of a string table that a search needs.
//!
//! Most searches know a word that the name must hold. They look for it in the whole table at once, in pieces that stay in
//! the processor's cache, and keep the few strings that have it; no other name is looked at.

use memchr::memmem::Finder;

use crate::error::Error;
use crate::file::Contents;

/// Longer names are not looked at: the longest in MySQL 9.7 has 4,000 characters.
pub(crate) const MAX_NAME: usize = 32 << 10;
/// How much of the table is read at once.
const PIECE: usize = 256 << 10;
/// How many bytes of the table one bit of [`Some::blocks`] stands for, as a power of two.
const BLOCK: u32 = 6;

/// A string table in a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Strings {
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// The names of a table, all of them or those that hold a text.
#[derive(Debug)]
pub(crate) enum Names {
    /// The whole string table.
    All(String),
    /// Some strings of it.
    Some(Some),
}

/// Strings with a text in them, in the order of the table.
#[derive(Debug)]
pub(crate) struct Some {
    kept: Vec<Kept>,
    text: String,
    /// One bit for each block of the table: set when a kept string is in it.
    blocks: Vec<u64>,
}

/// A string of the table.
#[derive(Clone, Copy, Debug)]
struct Kept {
    /// Where it is in the table.
    start: u32,
    len: u32,
    /// Where it is in the kept text.
    at: usize,
}

impl Names {
    /// Reads the names that hold `needle`; all of them when it is empty.
    pub(super) fn read(contents: &Contents, strings: Strings, needle: &str) -> Result<Self, Error> {
        if needle.is_empty() {
            return Ok(Names::All(text(contents.read(strings.offset, strings.len, "the names of symbols")?)));
        }
        let finder = Finder::new(needle.as_bytes());
        let mut some = Some { kept: Vec::new(), text: String::new(), blocks: Vec::new() };
        for_each_piece(contents, strings, |start, piece| some.keep_of(start, piece, &finder))?;
        Ok(Names::Some(some))
    }

    /// The name that begins at `at` in the table: none when it is not among the kept ones, is empty or too long, or where the
    /// text only begins before it.
    pub(crate) fn get(&self, at: u32) -> Option<&str> {
        let rest = match self {
            Names::All(text) => {
                let rest = text.as_bytes().get(at as usize..)?;
                let rest = rest.get(..MAX_NAME).unwrap_or(rest);
                let len = memchr::memchr(0, rest)?;
                text.get(at as usize..at as usize + len)?
            }
            Names::Some(some) => some.get(at)?,
        };
        Some(rest).filter(|name| !name.is_empty() && name.len() < MAX_NAME)
    }
}

impl Some {
    fn get(&self, at: u32) -> Option<&str> {
        let block = at >> BLOCK;
        let bits = self.blocks.get(block as usize / 64)?;
        if bits >> (block % 64) & 1 == 0 {
            return None;
        }
        let next = self.kept.partition_point(|kept| kept.start <= at);
        let kept = self.kept.get(next.checked_sub(1)?)?;
        let into = at - kept.start;
        let string = self.text.get(kept.at..kept.at + kept.len as usize)?;
        // Symbols may share the end of a string: `foo` is in `barfoo`.
        string.get(into as usize..)
    }

    /// Keeps the strings of `piece`, which begins at `start` in the table and ends with a NUL.
    fn keep_of(&mut self, start: u64, piece: &[u8], finder: &Finder<'_>) {
        let mut done = 0;
        while let Some(rest) = piece.get(done..)
            && let Some(found) = finder.find(rest)
        {
            let begin = done + memchr::memrchr(0, rest.get(..found).unwrap_or_default()).map_or(0, |nul| nul + 1);
            let end = done + found + memchr::memchr(0, rest.get(found..).unwrap_or_default()).unwrap_or(rest.len());
            // What begins so far in front of its end that it is no name any more is left out.
            let begin = begin.max(end.saturating_sub(MAX_NAME));
            let string = piece.get(begin..end).unwrap_or_default();
            // Names begin below 4 GB: `st_name` has 32 bits.
            if let (Ok(first), Ok(len)) = (u32::try_from(start + begin as u64), u32::try_from(string.len())) {
                self.kept.push(Kept { start: first, len, at: self.text.len() });
                push_text(&mut self.text, string);
                self.mark(first >> BLOCK, first.saturating_add(len) >> BLOCK);
            }
            done = end + 1;
        }
    }

    fn mark(&mut self, first: u32, last: u32) {
        let words = last as usize / 64 + 1;
        if self.blocks.len() < words {
            self.blocks.resize(words, 0);
        }
        for block in first..=last {
            if let Some(word) = self.blocks.get_mut(block as usize / 64) {
                *word |= 1 << (block % 64);
            }
        }
    }
}

/// Shows whole strings, as many as fit into the buffer at once: where they begin in the table, and they with their NULs. Of
/// a string that is too long for a name the end is shown, and what is behind the last NUL of the table is not.
fn for_each_piece(contents: &Contents, strings: Strings, mut look: impl FnMut(u64, &[u8])) -> Result<(), Error> {
    let what = "the names of symbols";
    let size = usize::try_from(strings.len).unwrap_or(usize::MAX);
    if let Some(bytes) = contents.in_memory(strings.offset, size) {
        if let Some(last) = memchr::memrchr(0, bytes) {
            look(0, bytes.get(..=last).unwrap_or_default());
        }
        return Ok(());
    }
    let mut buffer = vec![0; PIECE.min(size)];
    // What is in the buffer already, and where the buffer's beginning is in the table.
    let mut held = 0;
    let mut start = 0_u64;
    while start + (held as u64) < strings.len {
        let next = start + held as u64;
        let room = buffer.len() - held;
        let len = usize::try_from(strings.len - next).map_or(room, |left| left.min(room));
        let filled = held + len;
        contents.fill(strings.offset + next, buffer.get_mut(held..filled).unwrap_or_default(), what)?;
        let full = buffer.get(..filled).unwrap_or_default();
        let whole = memchr::memrchr(0, full).map_or(0, |nul| nul + 1);
        look(start, full.get(..whole).unwrap_or_default());
        // A quarter of the buffer is free at least, so that each round gets on.
        let keep = (filled - whole).min(MAX_NAME);
        buffer.copy_within(filled - keep..filled, 0);
        start += (filled - keep) as u64;
        held = keep;
    }
    Ok(())
}

/// Strings as text of the same length: names are UTF-8, and where they are not, what is not ASCII becomes `?`.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| replaced(error.as_bytes()).collect())
}

fn push_text(text: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(valid) => text.push_str(valid),
        Err(_) => text.extend(replaced(bytes)),
    }
}

fn replaced(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Reads `table` from memory and from a file, which must not differ.
    fn read(table: &[u8], needle: &str) -> [Names; 2] {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"front").unwrap();
        file.write_all(table).unwrap();
        let on_disk = Contents::open(file.path(), file.path()).unwrap();
        let in_memory = Contents::from_bytes([b"front", table].concat());
        let strings = Strings { offset: 5, len: table.len() as u64 };
        [on_disk, in_memory].map(|contents| Names::read(&contents, strings, needle).unwrap())
    }

    #[test]
    fn names_with_the_text_are_kept_and_may_begin_inside_of_a_string() {
        let table = b"\0main\0thd_check_connection\0check_it\0unchecked";
        for names in read(table, "check") {
            assert_eq!(names.get(6), Some("thd_check_connection"));
            assert_eq!(names.get(10), Some("check_connection"));
            assert_eq!(names.get(27), Some("check_it"));
            assert_eq!(names.get(1), None);
            assert_eq!(names.get(0), None);
            // No NUL ends it.
            assert_eq!(names.get(36), None);
            assert_eq!(names.get(u32::MAX), None);
        }
    }

    #[test]
    fn all_names_are_there_without_a_text() {
        for names in read(b"\0main\0exit\0cut", "") {
            assert_eq!(
                (names.get(0), names.get(1), names.get(6), names.get(11)),
                (None, Some("main"), Some("exit"), None)
            );
        }
    }

    /// Strings lie across the ends of what is read at once, and one is longer than that.
    #[test]
    fn pieces_do_not_cut_names() {
        let mut table = vec![0];
        let mut expect = Vec::new();
        for number in 0..60_000_u32 {
            let name = format!("{}function_{number}", if number % 7 == 0 { "needle_" } else { "" });
            if number % 7 == 0 {
                expect.push((table.len(), name.clone()));
            }
            table.extend(name.bytes());
            table.push(0);
        }
        assert!(table.len() > 3 * PIECE);
        let long = table.len();
        table.extend(std::iter::repeat_n(b'x', 2 * PIECE));
        table.extend(b"needle\0");
        let behind = table.len();
        table.extend(b"needle_behind\0");
        for names in read(&table, "needle_") {
            for (at, name) in &expect {
                assert_eq!(names.get(u32::try_from(*at).unwrap()), Some(name.as_str()));
            }
            assert_eq!(names.get(u32::try_from(behind).unwrap()), Some("needle_behind"));
        }
        for names in read(&table, "xneedle") {
            assert_eq!(names.get(u32::try_from(long).unwrap()), None);
            assert_eq!(names.get(u32::try_from(behind - 8).unwrap()), Some("xneedle"));
        }
    }

    #[test]
    fn what_is_not_utf_8_is_shown_as_question_marks() {
        for names in read(b"\0a\xffneedle\0", "needle") {
            assert_eq!(names.get(1), Some("a?needle"));
        }
        for names in read(b"\0a\xffneedle\0", "") {
            assert_eq!(names.get(1), Some("a?needle"));
        }
    }
}
