//! What the name of a function must be like, and where in a string section such names are.

use std::ops::ControlFlow;

use memchr::memmem::Finder;

use super::reader::Section;
use super::stream::pieces;
use super::values::Values;
use crate::pattern::Pattern;

/// A condition on a function's own name (`DW_AT_name`, without its scopes) or its linkage name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// None.
    Any,
    /// It is one of these identifiers or operators; template arguments may follow, and `~` may precede.
    Words(Vec<String>),
    /// It contains this text.
    Part(String),
}

impl Wanted {
    /// What the functions that a pattern can match have in common.
    pub(crate) fn by(pattern: &Pattern) -> Self {
        let usable = |word: &String| !word.is_empty();
        match pattern.debug_words() {
            Some(words) if !words.is_empty() && words.iter().all(usable) => Wanted::Words(words),
            Some(_) => Wanted::Any,
            None => match pattern.last_word().map(|word| word.trim_start_matches('~')) {
                // Operators and conversions are written with spaces here and without them there.
                Some(part) if !part.is_empty() && !part.starts_with("operator") => Wanted::Part(part.to_owned()),
                _ => Wanted::Any,
            },
        }
    }

    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Words(words) => {
                let name = name.strip_prefix(b"~").unwrap_or(name);
                let fits = |word: &String| {
                    name.strip_prefix(word.as_bytes()).is_some_and(|rest| self.may_end_with(rest.first().copied()))
                };
                words.iter().any(fits)
            }
            Wanted::Part(part) => memchr::memmem::find(name, part.as_bytes()).is_some(),
        }
    }

    /// The texts of which every such name contains one; none where nothing is known.
    pub(crate) fn texts(&self) -> &[String] {
        match self {
            Wanted::Any => &[],
            Wanted::Words(words) => words,
            Wanted::Part(part) => std::slice::from_ref(part),
        }
    }

    /// Whether the byte behind the text leaves it such a name: its end, or the arguments of a template, which stand behind a
    /// space where the name is an operator.
    pub(crate) fn may_end_with(&self, next: Option<u8>) -> bool {
        match self {
            Wanted::Any | Wanted::Part(_) => true,
            Wanted::Words(_) => matches!(next, None | Some(0 | b'<' | b' ')),
        }
    }

    /// The offsets in a section of strings at which such a name may begin, more rather than fewer. Linkers let strings
    /// share their ends, so any byte may begin one. None when they cannot be told: nothing is known of the names, or the
    /// section is too large for 32 bits.
    ///
    /// # Errors
    ///
    /// When the section cannot be read.
    pub(crate) fn offsets(&self, strings: &Section<'_>) -> Result<Option<Values>, gimli::Error> {
        if self.texts().is_empty() || u32::try_from(strings.len()).is_err() {
            return Ok(None);
        }
        let mut intervals = Vec::new();
        for text in self.texts() {
            self.add_offsets(text, strings, &mut intervals)?;
        }
        Ok(Some(Values::new(intervals)))
    }

    fn add_offsets(
        &self,
        text: &str,
        strings: &Section<'_>,
        intervals: &mut Vec<(u32, u32)>,
    ) -> Result<(), gimli::Error> {
        let finder = Finder::new(text);
        let number = |offset: usize| u32::try_from(offset).unwrap_or(u32::MAX);
        // Where the string begins that the piece before broke off in.
        let mut string = 0;
        pieces(strings, 0..strings.len(), text.len(), |start, bytes| {
            for at in finder.find_iter(bytes) {
                if !self.may_end_with(bytes.get(at + text.len()).copied()) {
                    continue;
                }
                let before = bytes.get(..at).unwrap_or_default();
                let first = match self {
                    Wanted::Words(_) => start + at - usize::from(before.last() == Some(&b'~')),
                    _ => memchr::memrchr(0, before).map_or(string, |nul| start + nul + 1),
                };
                intervals.push((number(first), number(start + at)));
            }
            if let Some(nul) = memchr::memrchr(0, bytes) {
                string = start + nul + 1;
            }
            ControlFlow::<()>::Continue(())
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gimli::RunTimeEndian;

    use super::*;

    #[test]
    fn names_that_fit() {
        let word = Wanted::Words(vec!["lock".into()]);
        for name in ["lock", "lock<int>", "~lock"] {
            assert!(word.fits(name.as_bytes()), "{name}");
        }
        for name in ["locks", "unlock", "~locks", ""] {
            assert!(!word.fits(name.as_bytes()), "{name}");
        }
        assert!(Wanted::Part("lock".into()).fits(b"unlocks"));
        assert!(Wanted::Words(vec!["operator<".into()]).fits(b"operator< <int>"));
    }

    #[test]
    fn every_offset_at_which_such_a_name_begins() {
        let strings = b"\0unlock\0lock<int>\0~lock\0locks\0";
        let section = Section::in_memory(strings, RunTimeEndian::Little);
        let offsets = |wanted: Wanted| -> Vec<u32> {
            let values = wanted.offsets(&section).unwrap().unwrap();
            (0..40).filter(|at| values.contains(*at)).collect()
        };
        assert_eq!(offsets(Wanted::Words(vec!["lock".into()])), [3, 8, 18, 19]);
        assert_eq!(offsets(Wanted::Part("lock".into())), [1, 2, 3, 8, 18, 19, 24]);
        assert_eq!(offsets(Wanted::Words(vec!["lock".into(), "unlock".into()])), [1, 3, 8, 18, 19]);
        assert!(Wanted::Any.offsets(&section).unwrap().is_none());
    }
}
