//! Disjoint edits over the original text, applied once.

use crate::linemap::LineMap;
use crate::source::Span;

/// Where an insertion stands relative to what else is inserted at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// Closes something that ends here: inner nodes before outer ones.
    Close,
    /// Opens something that starts here, or replaces: outer nodes before inner ones.
    Open,
}

/// One change, and the node of the AST that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edit {
    /// What is replaced; empty for an insertion.
    span: Span,
    side: Side,
    /// Orders edits at one place.
    node: Span,
    /// Orders edits of one node.
    layer: usize,
    text: String,
}

/// Two rules want different things of the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub span: Span,
}

/// Edits that rules make; the order of making them does not matter.
#[derive(Debug, Default)]
pub struct Edits {
    edits: Vec<Edit>,
    layer: usize,
}

impl Edits {
    /// Starts the edits of another rule: around one node, they stand inside of those of the rules before it.
    pub fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// Puts `before` and `after` around a node.
    pub fn wrap(&mut self, node: Span, before: impl Into<String>, after: impl Into<String>) {
        self.open(node, before);
        self.close(node, after);
    }

    /// Puts text before a node.
    pub fn open(&mut self, node: Span, text: impl Into<String>) {
        let span = Span::new(node.start, node.start);
        self.edits.push(Edit { span, side: Side::Open, node, layer: self.layer, text: text.into() });
    }

    /// Puts text behind a node.
    pub fn close(&mut self, node: Span, text: impl Into<String>) {
        let span = Span::new(node.end, node.end);
        self.edits.push(Edit { span, side: Side::Close, node, layer: self.layer, text: text.into() });
    }

    /// Replaces a range inside (or at the start of) a node.
    pub fn replace(&mut self, span: Span, node: Span, text: impl Into<String>) {
        self.edits.push(Edit { span, side: Side::Open, node, layer: self.layer, text: text.into() });
    }

    /// The text with all edits, `behind` appended to it, and the map back.
    ///
    /// An edit that a rule made twice (of a macro's argument that is used twice) counts once.
    ///
    /// # Errors
    /// When two different edits overlap, with the place of the first such pair.
    pub fn apply(mut self, text: &str, behind: &str) -> Result<(String, LineMap), Conflict> {
        // At one place: what closes comes first, and of these the inner (later start) first; then what opens, the outer
        // (later end) first; a replacement behind the insertions of the same node.
        self.edits.sort_by(|a, b| {
            let order = |edit: &Edit| (edit.span.start, edit.side);
            order(a).cmp(&order(b)).then_with(|| match a.side {
                Side::Close => b.node.start.cmp(&a.node.start).then(b.layer.cmp(&a.layer)),
                Side::Open => b.node.end.cmp(&a.node.end).then(a.layer.cmp(&b.layer)).then(a.span.end.cmp(&b.span.end)),
            })
        });
        self.edits.dedup();

        let mut out = String::with_capacity(text.len() + behind.len() + 1024);
        let mut map = LineMap::default();
        let mut at = 0u32;
        for edit in &self.edits {
            let conflict = Conflict { span: edit.span };
            if edit.span.start < at {
                return Err(conflict);
            }
            out.push_str(text.get(Span::new(at, edit.span.start).range()).ok_or(conflict)?);
            let replaced = text.get(edit.span.range()).ok_or(conflict)?;
            let before = out.len();
            out.push_str(&edit.text);
            for (end, _) in replaced.match_indices('\n') {
                // Lines stay lines, and continued ones continued.
                let continued = replaced.get(..end).is_some_and(|line| line.ends_with('\\'));
                out.push_str(if continued { "\\\n" } else { "\n" });
            }
            at = edit.span.end;
            let length = u32::try_from(out.len() - before).unwrap_or(u32::MAX);
            match map.edits.last_mut() {
                // Insertions at one place, and a replacement behind them, are one entry of the map.
                Some((span, total)) if span.end == edit.span.start && span.is_empty() => {
                    span.end = edit.span.end;
                    *total = total.saturating_add(length);
                }
                _ => map.edits.push((edit.span, length)),
            }
        }
        out.push_str(text.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default());
        out.push_str(behind);
        Ok((out, map))
    }
}

/// The map of two rewritings, one after the other: `first` made of the source the text that `second` started from. What
/// touches in that text is one edit of the result.
pub(super) fn compose(first: &LineMap, second: &LineMap) -> LineMap {
    /// A range of the text in the middle, by how much it was longer than its source, and by how much it grew then.
    struct Piece {
        start: i64,
        end: i64,
        grown: i64,
        grows: i64,
    }
    let mut pieces: Vec<Piece> = Vec::with_capacity(first.edits.len() + second.edits.len());
    let mut grown = 0i64;
    for (replaced, length) in &first.edits {
        let (length, start) = (i64::from(*length), i64::from(replaced.start) + grown);
        let longer = length - i64::from(replaced.len());
        pieces.push(Piece { start, end: start + length, grown: longer, grows: 0 });
        grown += longer;
    }
    for (replaced, length) in &second.edits {
        let grows = i64::from(*length) - i64::from(replaced.len());
        pieces.push(Piece { start: i64::from(replaced.start), end: i64::from(replaced.end), grown: 0, grows });
    }
    pieces.sort_by_key(|piece| (piece.start, piece.end));

    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match merged.last_mut() {
            Some(last) if piece.start <= last.end => {
                last.end = last.end.max(piece.end);
                last.grown += piece.grown;
                last.grows += piece.grows;
            }
            _ => merged.push(piece),
        }
    }
    let mut before = 0i64;
    let offset = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
    let edits = merged.into_iter().map(|piece| {
        let start = offset(piece.start - before);
        before += piece.grown;
        let span = Span::new(start, offset(piece.end - before));
        (span, offset(piece.end - piece.start + piece.grows))
    });
    LineMap { edits: edits.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: u32, end: u32) -> Span {
        Span::new(start, end)
    }

    #[test]
    fn nodes_that_share_a_start_or_an_end_nest() {
        // a->b->c: the inner node is a->b. -(x): the inner node x ends where the outer one does.
        let mut edits = Edits::default();
        edits.wrap(span(0, 4), "in(", ")i");
        edits.wrap(span(0, 7), "out(", ")o");
        edits.wrap(span(5, 7), "last(", ")l");
        let (text, map) = edits.apply("a->b->c", "").expect("no conflict");
        assert_eq!(text, "out(in(a->b)i-last(>c)l)o");
        assert_eq!(map.edits, [(span(0, 0), 7), (span(4, 4), 2), (span(5, 5), 5), (span(7, 7), 4)]);
    }

    #[test]
    fn what_is_made_twice_counts_once_and_what_differs_is_a_conflict() {
        let mut edits = Edits::default();
        edits.replace(span(2, 4), span(2, 6), "X");
        edits.replace(span(2, 4), span(2, 6), "X");
        assert_eq!(edits.apply("012345", "\nend").expect("no conflict").0, "01X45\nend");

        let mut edits = Edits::default();
        edits.replace(span(2, 4), span(2, 6), "X");
        edits.replace(span(3, 5), span(2, 6), "Y");
        assert_eq!(edits.apply("012345", ""), Err(Conflict { span: span(3, 5) }));
    }

    #[test]
    fn two_rules_may_wrap_one_node() {
        let mut edits = Edits::default();
        edits.wrap(span(0, 1), "a(", ")");
        edits.next_layer();
        edits.wrap(span(0, 1), "b(", ")");
        edits.wrap(span(0, 1), "b(", ")");
        assert_eq!(edits.apply("x", "").expect("no conflict").0, "a(b(x))");
    }

    #[test]
    fn an_insertion_before_a_replacement_stays_before_it() {
        let mut edits = Edits::default();
        edits.replace(span(0, 9), span(0, 11), "dbcc_lookup(m, ");
        edits.open(span(0, 14), "read(");
        edits.close(span(0, 14), ")");
        let (text, map) = edits.apply("m.lookup(&k)->x", "").expect("no conflict");
        assert_eq!(text, "read(dbcc_lookup(m, &k)->)x");
        assert_eq!(map.edits.first(), Some(&(span(0, 9), 20)));
    }

    #[test]
    fn line_ends_inside_of_what_is_replaced_stay() {
        let mut edits = Edits::default();
        edits.replace(span(0, 10), span(0, 12), "dbcc_x(m, ");
        let (text, map) = edits.apply("m\n. \\\nlook(k)", "").expect("no conflict");
        assert_eq!(text, "dbcc_x(m, \n\\\n(k)");
        assert_eq!(map.edits, [(span(0, 10), 13)]);
    }

    #[test]
    fn two_maps_are_one() {
        // 0123456789 -> 01abcd56789 (2..5 by 4 bytes) -> inside it, before it, behind it.
        let first = LineMap { edits: vec![(span(2, 5), 4)] };
        let second = LineMap { edits: vec![(span(0, 1), 3), (span(3, 4), 10), (span(8, 8), 2)] };
        let both = compose(&first, &second);
        assert_eq!(both.edits, [(span(0, 1), 3), (span(2, 5), 13), (span(7, 7), 2)]);
        assert_eq!(compose(&LineMap::default(), &second), second);
        assert_eq!(compose(&first, &LineMap::default()), first);
    }

    #[test]
    fn an_edit_outside_the_text_is_a_conflict_and_no_panic() {
        let mut edits = Edits::default();
        edits.wrap(span(4, 90), "a", "b");
        assert!(edits.apply("short", "").is_err());
    }
}
