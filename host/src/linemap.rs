//! From places in a rewritten text back to places in the text that the user wrote.

use serde::{Deserialize, Serialize};

use crate::source::{LineColumn, Source, Span};

/// The edits that made the rewritten text, kept so that its places can be traced back.
///
/// Edits are disjoint, in order, and never add or remove a line end inside the user's text, so a line of the rewritten
/// text is the same line of the source; only columns move.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineMap {
    /// For each edit: the range that it replaced in the source, and the length in bytes of what stands there now.
    pub edits: Vec<(Span, u32)>,
}

/// What an offset of the rewritten text is in the source.
enum Origin {
    /// The same byte, there.
    Byte(u32),
    /// Part of what stands in place of a range.
    Edit(Span),
}

impl LineMap {
    /// The place in the source that a range of the rewritten text came from: the bytes themselves, widened to whole
    /// edits where the range touches one. None for text that was generated behind the user's.
    pub fn to_source(&self, rewritten: Span, source: &Source) -> Option<Span> {
        let start = match self.origin(rewritten.start) {
            Origin::Byte(offset) => offset,
            Origin::Edit(replaced) => replaced.start,
        };
        let end = match rewritten.end.checked_sub(1).filter(|last| *last >= rewritten.start) {
            None => start,
            Some(last) => match self.origin(last) {
                Origin::Byte(offset) => offset.saturating_add(1),
                Origin::Edit(replaced) => replaced.end,
            },
        };
        let length = u32::try_from(source.text.len()).unwrap_or(u32::MAX);
        (start <= length).then(|| Span::new(start, end.min(length)))
    }

    /// The place in the source of a line and column of the rewritten text, as compilers and line tables give them: the
    /// word there, or the whole line where the column is 0 or behind its end. None behind the user's text.
    pub fn word_at(&self, at: LineColumn, rewritten: &str, source: &Source) -> Option<Span> {
        let lines = u32::try_from(source.text.lines().count()).unwrap_or(u32::MAX);
        if at.line == 0 || at.line > lines.max(1) {
            return None;
        }
        let start = line_start(rewritten, at.line)?;
        let line = rewritten.get(start..)?.lines().next().unwrap_or_default();
        let column = usize::try_from(at.column).ok()?;
        let whole = || {
            let own = source.line(at.line);
            let first = source.offset(LineColumn { line: at.line, column: 1 });
            let length = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX);
            let indent = length(own) - length(own.trim_start());
            Span::new(first + indent, first + length(own.trim_end()))
        };
        let Some(rest) = column.checked_sub(1).and_then(|column| line.get(column..)).filter(|rest| !rest.is_empty())
        else {
            return Some(whole());
        };
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let word = rest.find(|character: char| !is_word(character)).unwrap_or(rest.len());
        let word = if word == 0 { rest.chars().next().map_or(1, char::len_utf8) } else { word };
        let from = start + column - 1;
        let span = Span::new(u32::try_from(from).ok()?, u32::try_from(from + word).ok()?);
        // What was put into a line stands for the whole of it where the user wrote nothing there.
        self.to_source(span, source).map(|span| if span.is_empty() { whole() } else { span })
    }

    fn origin(&self, offset: u32) -> Origin {
        // How much longer the text is than the source, up to here.
        let mut grown = 0i64;
        for (replaced, length) in &self.edits {
            let start = i64::from(replaced.start) + grown;
            let end = start + i64::from(*length);
            if i64::from(offset) < start {
                break;
            }
            if i64::from(offset) < end {
                return Origin::Edit(*replaced);
            }
            grown += i64::from(*length) - i64::from(replaced.len());
        }
        Origin::Byte(u32::try_from(i64::from(offset) - grown).unwrap_or(0))
    }
}

/// The offset at which a line (from 1) starts.
fn line_start(text: &str, line: u32) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += text.get(start..)?.find('\n')? + 1;
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source, what became of it, and the map; edits as pairs of old and new text, in order.
    fn rewrite(source: &str, edits: &[(&str, &str)], generated: &str) -> (Source, String, LineMap) {
        let mut text = String::new();
        let mut map = LineMap::default();
        let mut rest = 0;
        for (old, new) in edits {
            let at = rest + source[rest..].find(old).unwrap();
            text.push_str(&source[rest..at]);
            text.push_str(new);
            rest = at + old.len();
            let span = Span::new(u32::try_from(at).unwrap(), u32::try_from(rest).unwrap());
            map.edits.push((span, u32::try_from(new.len()).unwrap()));
        }
        text.push_str(&source[rest..]);
        text.push_str(generated);
        (Source::from_text("t.c", source), text, map)
    }

    const EDITS: &[(&str, &str)] = &[("m.lookup(&key)", "bpf_map_lookup_elem(&m, &key)"), ("->pid", "pid(t)")];
    const TEXT: &str = "int f(void) {\n  u64 *v = m.lookup(&key);\n  return t->pid + x;\n}\n";

    #[test]
    fn what_was_not_edited_maps_to_itself() {
        let (source, text, map) = rewrite(TEXT, EDITS, "/* generated */ int g;");
        for (index, _) in TEXT.match_indices(|c: char| c.is_alphanumeric()) {
            let part = TEXT[index..].split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if ["m", "lookup", "key", "pid", "ey", "ookup", "id"].iter().any(|inside| inside.ends_with(part)) {
                continue;
            }
            let before = TEXT[..index].matches(part).count();
            let at = text.match_indices(part).nth(before).unwrap().0;
            let span = Span::new(u32::try_from(at).unwrap(), u32::try_from(at + part.len()).unwrap());
            assert_eq!(source.slice(map.to_source(span, &source).unwrap()), part);
        }
    }

    #[test]
    fn a_place_in_an_edit_is_what_the_user_wrote_there() {
        let (source, text, map) = rewrite(TEXT, EDITS, "\nint g;");
        let of = |part: &str| {
            let at = text.find(part).unwrap();
            let span = Span::new(u32::try_from(at).unwrap(), u32::try_from(at + part.len()).unwrap());
            map.to_source(span, &source).map(|span| source.slice(span).to_owned())
        };
        assert_eq!(of("map_lookup").as_deref(), Some("m.lookup(&key)"));
        assert_eq!(of("v = bpf_map").as_deref(), Some("v = m.lookup(&key)"));
        assert_eq!(of("(t)").as_deref(), Some("->pid"));
        assert_eq!(of("int g"), None);
    }

    #[test]
    fn lines_and_columns_map_to_words() {
        let (source, text, map) = rewrite(TEXT, EDITS, "\nint g;");
        let at = |line, column| map.word_at(LineColumn { line, column }, &text, &source).map(|span| source.slice(span));
        assert_eq!(at(1, 5), Some("f"));
        assert_eq!(at(2, 12), Some("m.lookup(&key)"));
        assert_eq!(at(2, 20), Some("m.lookup(&key)"));
        assert_eq!(at(2, 0), Some("u64 *v = m.lookup(&key);"));
        assert_eq!(at(3, 3), Some("return"));
        assert_eq!(at(3, 99), Some("return t->pid + x;"));
        assert_eq!(at(5, 1), None);
        assert_eq!(at(0, 1), None);
    }

    #[test]
    fn an_insertion_stands_for_its_line() {
        let (source, text, map) = rewrite("int f(void) { return 1; }\n", &[("", "static ")], "");
        let found = map.word_at(LineColumn { line: 1, column: 1 }, &text, &source).unwrap();
        assert_eq!(source.slice(found), "int f(void) { return 1; }");
    }

    #[test]
    fn maps_that_make_no_sense_do_not_panic() {
        let source = Source::from_text("t.c", "a\nb");
        let map = LineMap { edits: vec![(Span { start: 9, end: 1 }, u32::MAX), (Span { start: 0, end: 3 }, 0)] };
        for start in 0..6 {
            for end in 0..6 {
                map.to_source(Span { start, end }, &source);
                map.word_at(LineColumn { line: start, column: end }, "x\n数\ny", &source);
            }
        }
    }
}
