//! Which texts make clang look at files beside them whose lines were not taken into the text.

use crate::lex::{Lexed, Token, TokenKind};

/// Directives that read a file.
const READING: [&str; 4] = ["include", "include_next", "import", "embed"];
/// Operators that ask whether there is a file.
const ASKING: [&str; 3] = ["__has_include", "__has_include_next", "__has_embed"];

/// Whether clang may read a file for this text: `#include "…"`, `#include NAME`, `#embed`.
pub fn reads_files(lexed: &Lexed<'_>) -> bool {
    follows(lexed, |before, word| *before == TokenKind::Punctuation(b'#') && READING.contains(&word), 0)
}

/// Whether the text may mean another thing when there is one more file: `__has_include("…")`. Which headers of the kernel there are
/// is always the same.
pub fn asks_for_files(lexed: &Lexed<'_>) -> bool {
    follows(lexed, |_, word| ASKING.contains(&word), 1)
}

/// Whether a word that fits is followed, so many tokens later, by something else than a name in `<…>`.
fn follows(lexed: &Lexed<'_>, fits: impl Fn(&TokenKind, &str) -> bool, later: usize) -> bool {
    let tokens: Vec<&Token> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let is_word = |index: usize, token: &Token| {
        let before = index.checked_sub(1).and_then(|before| tokens.get(before));
        token.kind == TokenKind::Identifier
            && fits(before.map_or(&TokenKind::Identifier, |before| &before.kind), &lexed.spelling(token))
    };
    let is_own = |index: usize| {
        let name: String = tokens.iter().skip(index).take(2).map(|token| lexed.spelling(token)).collect();
        // A path that begins at the root leads out of dbcc's headers.
        name.starts_with('<') && !name.starts_with("</")
    };
    tokens.iter().enumerate().any(|(index, token)| is_word(index, token) && !is_own(index + 1 + later))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_angle_brackets_are_dbccs_own() {
        let check = |text: &str, reads: bool, asks: bool| {
            let lexed = Lexed::new(text);
            assert_eq!((reads_files(&lexed), asks_for_files(&lexed)), (reads, asks), "{text}");
        };
        check("#include <linux/fs.h>\n#include_next <a.h>\nint include;\n// #include \"x.h\"", false, false);
        check("#include \"x.h\"", true, false);
        check("# /* */ include \"x.h\"", true, false);
        check("#define X \"x.h\"\n#include X", true, false);
        check("#include </etc/x.h>", true, false);
        check("#embed \"x.bin\"", true, false);
        check("#if __has_include(<linux/fs.h>)\n#endif", false, false);
        check("#if __has_include(\"x.h\")\n#endif", false, true);
        check("#if __has_include(</etc/x.h>)\n#endif", false, true);
        check("#define HAS __has_include\n#if HAS(\"x.h\")\n#endif", false, true);
    }
}
