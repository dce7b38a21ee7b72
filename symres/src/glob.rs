//! Patterns with runs of anything.

/// Text with places where anything may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    /// What must be there, in this order; between two pieces anything may stand. One piece: exactly this text.
    pieces: Vec<String>,
}

impl Glob {
    /// Splits `text` at each `wildcard`.
    pub(crate) fn new(text: &str, wildcard: &str) -> Self {
        Self { pieces: text.split(wildcard).map(str::to_owned).collect() }
    }

    /// The whole of `text` fits.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some((first, others)) = self.pieces.split_first() else { return text.is_empty() };
        let Some((last, middle)) = others.split_last() else { return first == text };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        // Leftmost is enough: whatever fits further right leaves less for the pieces behind.
        for piece in middle {
            match rest.find(piece.as_str()) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// The text, if there is no wildcard in it.
    pub(crate) fn exact(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The longest piece that must be there.
    pub(crate) fn longest_piece(&self) -> &str {
        self.pieces.iter().max_by_key(|p| p.len()).map_or("", String::as_str)
    }
}

/// An item of a list pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Any number of anything.
    Rest,
    /// One that fits.
    One(Glob),
}

/// The whole of `list` fits `pattern`.
pub(crate) fn list_matches(pattern: &[Item], list: &[String]) -> bool {
    let (mut p, mut l) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while l < list.len() {
        match pattern.get(p) {
            Some(Item::Rest) => {
                back = Some((p + 1, l));
                p += 1;
                continue;
            }
            Some(Item::One(glob)) if list.get(l).is_some_and(|item| glob.matches(item)) => {
                p += 1;
                l += 1;
                continue;
            }
            _ => {}
        }
        // The last `Rest` takes one more.
        match back {
            Some((after, at)) => {
                back = Some((after, at + 1));
                p = after;
                l = at + 1;
            }
            None => return false,
        }
    }
    pattern.iter().skip(p).all(|item| *item == Item::Rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_stands_for_a_run() {
        let check = |glob: &str, text: &str, expect: bool| {
            assert_eq!(Glob::new(glob, "*").matches(text), expect, "{glob} on {text}");
        };
        check("a*c", "abbc", true);
        check("a*c", "ac", true);
        check("a*a", "a", false);
        check("*", "", true);
        check("*lock*", "row_lock_table", true);
        check("*lock*tab", "row_lock_table", false);
        check("lock", "lock_", false);
    }

    #[test]
    fn lists_have_rests() {
        let check = |pattern: &str, list: &str, expect: bool| {
            let items: Vec<Item> = pattern
                .split_whitespace()
                .map(|p| if p == "..." { Item::Rest } else { Item::One(Glob::new(p, "...")) })
                .collect();
            let list: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
            assert_eq!(list_matches(&items, &list), expect, "{pattern} on {list:?}");
        };
        check("", "", true);
        check("", "a", false);
        check("...", "", true);
        check("a ...", "a b c", true);
        check("... c", "a b c", true);
        check("... b", "a b c", false);
        check("a ... c ... d", "a c b c d", true);
        check("vec<...> b", "vec<int> b", true);
    }
}
