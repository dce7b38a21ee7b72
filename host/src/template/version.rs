//! Which versions of the kernel a text is the same for: what `#if LINUX_VERSION_CODE >= KERNEL_VERSION(…)` asks.

use std::collections::BTreeSet;

use crate::lex::{Lexed, Token, TokenKind};

const CODE: &str = "LINUX_VERSION_CODE";

/// What a text asks of the kernel's version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Versions at which an answer changes, as `LINUX_VERSION_CODE` has them.
    pub limits: BTreeSet<u32>,
    /// Whether it asks in a way that is not understood, so that any other version may change something.
    pub is_exact: bool,
}

impl Versions {
    /// The versions around `code` for which every answer is the same: the first of them, and the first behind them if there
    /// is one.
    pub fn around(&self, code: u32) -> (u32, Option<u32>) {
        if self.is_exact {
            return (code, code.checked_add(1));
        }
        let from = self.limits.range(..=code).next_back().copied().unwrap_or(0);
        (from, self.limits.range(code.saturating_add(1)..).next().copied())
    }

    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && !self.is_exact
    }

    /// Adds what a text asks.
    pub(super) fn add(&mut self, lexed: &Lexed<'_>) {
        let tokens: Vec<&Token> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
        for index in 0..tokens.len() {
            if is_code(lexed, &tokens, index) {
                self.compared(lexed, &tokens, index);
            }
        }
    }

    /// Adds what the text of a template asks where it decides about one of `names`.
    pub(super) fn add_template(&mut self, lexed: &Lexed<'_>, names: &BTreeSet<String>) {
        let tokens: Vec<&Token> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
        // For each `#if` that is open: where it asks for the version, if it does.
        let mut open: Vec<Vec<usize>> = Vec::new();
        let mut asked: BTreeSet<usize> = BTreeSet::new();
        for (index, window) in tokens.windows(2).enumerate() {
            let [hash, word] = window else { continue };
            if !hash.preprocessor || hash.kind != TokenKind::Punctuation(b'#') {
                continue;
            }
            match lexed.spelling(word).as_ref() {
                "if" | "ifdef" | "ifndef" => open.push(codes_in_line(lexed, &tokens, index + 2)),
                "elif" => {
                    let more = codes_in_line(lexed, &tokens, index + 2);
                    open.last_mut().into_iter().for_each(|last| last.extend(more.iter().copied()));
                }
                "endif" => drop(open.pop()),
                "define" => {
                    let name = tokens.get(index + 2).map(|name| lexed.spelling(name));
                    if name.is_some_and(|name| names.contains(name.as_ref())) {
                        asked.extend(open.iter().flatten());
                    }
                }
                _ => {}
            }
        }
        for index in asked {
            self.compared(lexed, &tokens, index);
        }
    }

    /// Adds the limit that the version is compared with: `>= KERNEL_VERSION(6, 1, 0)`.
    fn compared(&mut self, lexed: &Lexed<'_>, tokens: &[&Token], index: usize) {
        match limit(lexed, tokens.get(index + 1..).unwrap_or_default()) {
            // `>` changes one behind the limit.
            Some(limit) => self.limits.extend([limit, limit.saturating_add(1)]),
            None => self.is_exact = true,
        }
    }
}

fn is_code(lexed: &Lexed<'_>, tokens: &[&Token], index: usize) -> bool {
    tokens.get(index).is_some_and(|token| token.kind == TokenKind::Identifier && lexed.spelling(token) == CODE)
}

/// The places of `LINUX_VERSION_CODE` before the next `#`.
fn codes_in_line(lexed: &Lexed<'_>, tokens: &[&Token], from: usize) -> Vec<usize> {
    let line = (from..tokens.len())
        .take_while(|index| tokens.get(*index).is_some_and(|token| token.kind != TokenKind::Punctuation(b'#')));
    line.filter(|index| is_code(lexed, tokens, *index)).collect()
}

/// The code of `OPERATOR KERNEL_VERSION(A, B, C)`.
fn limit(lexed: &Lexed<'_>, tokens: &[&Token]) -> Option<u32> {
    let operator = |token: &&&Token| matches!(token.kind, TokenKind::Punctuation(b'<' | b'>' | b'=' | b'!'));
    let operators = tokens.iter().take_while(operator).count();
    let words: Vec<_> = tokens.get(operators..operators + 8)?.iter().map(|token| lexed.spelling(token)).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let &[name, "(", major, ",", minor, ",", patch, ")"] = words.as_slice() else { return None };
    let number = |text: &str| text.parse::<u32>().ok().filter(|number| *number < 1 << 16);
    let named = operators > 0 && name == "KERNEL_VERSION";
    let (major, minor, patch) = (number(major)?, number(minor)?, number(patch)?);
    named.then_some((major << 16) + (minor << 8) + patch.min(255))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn code(major: u32, minor: u32, patch: u32) -> u32 {
        (major << 16) + (minor << 8) + patch
    }

    fn asked(text: &str) -> Versions {
        let mut versions = Versions::default();
        versions.add(&Lexed::new(text));
        versions
    }

    #[test]
    fn versions_between_two_limits_give_the_same_text() {
        let text = "#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 14, 0)\n#elif LINUX_VERSION_CODE < KERNEL_VERSION(6,3,0)\n#endif";
        let versions = asked(text);
        assert_eq!(versions.around(code(6, 1, 7)), (code(5, 14, 1), Some(code(6, 3, 0))));
        assert_eq!(versions.around(code(5, 10, 0)), (0, Some(code(5, 14, 0))));
        assert_eq!(versions.around(code(6, 18, 1)), (code(6, 3, 1), None));
        assert!(!versions.is_exact);
    }

    #[test]
    fn what_is_not_understood_holds_for_one_version() {
        for text in ["u32 v = LINUX_VERSION_CODE;", "#if LINUX_VERSION_CODE > 330240", "#if LINUX_VERSION_CODE >= V"] {
            assert_eq!(asked(text).around(5), (5, Some(6)), "{text}");
        }
        assert!(asked("int x; // LINUX_VERSION_CODE").is_empty());
    }

    #[test]
    fn templates_ask_for_the_names_that_are_used() {
        let text = "#ifndef G\n#define G\n#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)\n#define A 1\n#else\n#define A 2\n\
                    #endif\n#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)\n#define B 1\n#endif\n#define C 1\n#endif\n";
        let check = |name: &str, limits: &[u32]| {
            let mut versions = Versions::default();
            versions.add_template(&Lexed::new(text), &BTreeSet::from([name.to_owned()]));
            assert_eq!(versions.limits.into_iter().collect::<Vec<_>>(), limits, "{name}");
        };
        check("A", &[code(6, 0, 0), code(6, 0, 1)]);
        check("B", &[code(6, 9, 0), code(6, 9, 1)]);
        check("C", &[]);
    }
}
