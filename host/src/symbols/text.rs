//! Words for people: wrapped, shortened, and harmless to a terminal.

use std::io::{self, Write};

use symres::SourceLine;

use crate::escape::harmless;

/// Width that prose is wrapped to where no terminal says less.
const PROSE: usize = 100;
/// Narrower columns for names than this help nobody: names are written whole then.
const NARROWEST: usize = 24;

/// Where text goes, and how wide it is there.
pub struct Sink<'o> {
    pub(super) out: &'o mut dyn Write,
    /// Columns of the terminal; none where it is none, and lines stay whole for the next program.
    width: Option<usize>,
}

impl<'o> Sink<'o> {
    /// Writes to `out`: a terminal of so many columns, or something else.
    pub fn new(out: &'o mut dyn Write, width: Option<usize>) -> Self {
        Self { out, width }
    }

    /// One line.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", text.trim_end())
    }

    /// Words of `text` in lines, the first behind `start`, the others as far to the right.
    pub(super) fn prose(&mut self, start: &str, text: &str) -> io::Result<()> {
        let indent = start.chars().count();
        let width = self.width.unwrap_or(PROSE).min(PROSE);
        let mut line = start.to_owned();
        let mut used = indent;
        for word in text.split(' ') {
            let len = word.chars().count();
            if used > indent && used + 1 + len > width {
                self.line(&line)?;
                line = " ".repeat(indent);
                used = indent;
            } else if used > indent {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += len;
        }
        self.line(&line)
    }

    /// A line whose last column is cut at the edge of a terminal.
    pub(super) fn clipped(&mut self, start: &str, text: &str) -> io::Result<()> {
        let room = self.width.map(|width| width.saturating_sub(start.chars().count()));
        match room {
            Some(room) if text.chars().count() > room => {
                let cut: String = text.chars().take(room.saturating_sub(1)).collect();
                self.line(&format!("{start}{cut}…"))
            }
            _ => self.line(&format!("{start}{text}")),
        }
    }

    /// Whether there is little room for a table.
    pub(super) fn is_narrow(&self) -> bool {
        self.width.is_some_and(|width| width < PROSE)
    }

    /// The last column of a table: `start` is what stands before it. On a terminal, text that does not fit goes on below,
    /// a little to the right; elsewhere it stays on its line.
    pub(super) fn last_column(&mut self, start: &str, text: &str) -> io::Result<()> {
        let indent = start.chars().count();
        let room = self.width.map_or(0, |width| width.saturating_sub(indent));
        if room < NARROWEST || text.chars().count() <= room {
            return self.line(&format!("{start}{text}"));
        }
        let mut start = start.to_owned();
        for part in broken(text, room, room.saturating_sub(2)) {
            self.line(&format!("{start}{part}"))?;
            start = " ".repeat(indent + 2);
        }
        Ok(())
    }
}

/// `text` in parts of at most `first` and then `rest` characters, cut where a name of C++ can be read on: behind a comma,
/// else behind `(`, `<`, `::` or a blank, but before a place in the source if it can be; anywhere where there is none of them.
fn broken(text: &str, first: usize, rest: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(left) = letters.get(from..).filter(|left| !left.is_empty()) {
        let room = if parts.is_empty() { first } else { rest }.max(1);
        if left.len() <= room {
            parts.push(left.iter().collect());
            break;
        }
        let before = |at: usize, back: usize| at.checked_sub(back).and_then(|at| left.get(at)).copied();
        let behind_comma = |at: &usize| before(*at, 1) == Some(' ') && before(*at, 2) == Some(',');
        let behind_bracket = |at: &usize| matches!(before(*at, 1), Some('(' | '<'));
        let behind_blank = |at: &usize| before(*at, 1) == Some(' ');
        let behind_scope = |at: &usize| before(*at, 1) == Some(':') && before(*at, 2) == Some(':');
        // A place in the source stays together.
        let before_place =
            |at: &usize| behind_blank(at) && left.get(*at..).is_some_and(|l| l.starts_with(&['a', 't', ' ']));
        let places: [&dyn Fn(&usize) -> bool; 5] =
            [&before_place, &behind_comma, &behind_bracket, &behind_scope, &behind_blank];
        let cut = places.iter().find_map(|good| (room / 2..=room).rev().find(good)).unwrap_or(room).max(1);
        let part: String = left.iter().take(cut).collect();
        parts.push(part.trim_end().to_owned());
        from += cut;
    }
    parts
}

/// A file and line for people: the last two components of the path tell which file it is.
pub(super) fn source_line(line: &SourceLine) -> String {
    format!("{}:{}", short_path(&line.file), line.line)
}

/// The last two components of a path.
pub(super) fn short_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, parts.last()) {
            ("..", Some(last)) if *last != ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let short = parts.get(parts.len().saturating_sub(2)..).unwrap_or_default().join("/");
    harmless(&short).into_owned()
}

/// `1 function`, `2 functions`.
pub(super) fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(width: Option<usize>, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        Sink::new(&mut out, width).last_column("0x10  ", text).unwrap();
        String::from_utf8(out).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn long_names_go_on_below_on_a_terminal_and_stay_whole_elsewhere() {
        let name = "std::map<int, std::vector<long, std::allocator<long> > >::operator[](int const&)";
        assert_eq!(column(None, name), [format!("0x10  {name}")]);
        assert_eq!(
            column(Some(50), name),
            [
                "0x10  std::map<int, std::vector<long,",
                "        std::allocator<long> > >::operator[](",
                "        int const&)"
            ]
        );
        assert!(column(Some(50), &"x".repeat(200)).iter().all(|line| line.len() <= 50));
        assert_eq!(column(Some(20), name).len(), 1, "no room for a column");
        assert_eq!(column(Some(50), "short"), ["0x10  short"]);
    }

    #[test]
    fn parts_of_a_name_are_all_of_it() {
        for room in 1..40 {
            let text = "a::b<c, d>(e const&, f<g>)";
            let parts = broken(text, room, room.saturating_sub(2));
            let all: String = parts.concat();
            assert_eq!(all.replace(' ', ""), text.replace(' ', ""), "{room}: {parts:?}");
        }
    }

    #[test]
    fn paths_are_told_by_their_end() {
        let check = |path: &str, expect: &str| assert_eq!(short_path(path), expect, "{path}");
        check("/export/home/pb2/build/mysql-5.6.24/sql/sql_connect.cc", "sql/sql_connect.cc");
        check("../../sql/x.cc", "sql/x.cc");
        check("/a/b/../c.cc", "a/c.cc");
        check("./c.cc", "c.cc");
        check("", "");
        check("a\u{1b}[0m/b", "a\\u{1b}[0m/b");
    }
}
