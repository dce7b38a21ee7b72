//! Rust's two manglings: the legacy one, which looks like C++, and v0 (RFC 2603).

use std::fmt::Write as _;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{Bounded, MAX_MANGLED, most_text};

/// `17h`, sixteen hexadecimal digits, `E`.
const HASH: usize = 20;

/// Where the dots behind a Rust symbol begin; none when it is no Rust symbol.
pub(super) fn end_of_symbol(symbol: &str) -> Option<usize> {
    if let Some(rest) = symbol.strip_prefix("_R") {
        // Encodings that start with a number are of a later version than any.
        return rest.starts_with(is_path_tag).then(|| symbol.find('.').unwrap_or(symbol.len()));
    }
    // The paths of the legacy mangling have dots of their own: `alloc..vec..Vec`.
    let body = symbol.strip_prefix("_ZN")?;
    let skipped = symbol.len() - body.len();
    static HASH_START: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("17h"));
    HASH_START.find_iter(body.as_bytes()).find_map(|at| {
        let end = skipped + at + HASH;
        let hash = symbol.get(skipped + at + 3..end - 1)?;
        let ends = symbol.get(end - 1..)?;
        let sound = hash.bytes().all(|b| b.is_ascii_hexdigit()) && (ends == "E" || ends.starts_with("E."));
        sound.then_some(end)
    })
}

/// The first letter of a path in v0: crate root, inherent impl, trait impl, trait definition, nested path, generic
/// arguments. A back reference cannot come first.
fn is_path_tag(letter: char) -> bool {
    matches!(letter, 'C' | 'M' | 'X' | 'Y' | 'N' | 'I')
}

/// The path, with the hash of the legacy mangling as its last part where `hash` asks for it.
pub(super) fn demangle(base: &str, hash: bool) -> Option<String> {
    if base.len() > MAX_MANGLED {
        return None;
    }
    let demangled = rustc_demangle::try_demangle(base).ok()?;
    let mut out = Bounded(String::new(), most_text(base));
    let written =
        if hash && base.starts_with("_Z") { write!(out, "{demangled}") } else { write!(out, "{demangled:#}") };
    written.ok()?;
    Some(out.0).filter(|text| !text.contains("{size limit reached}") && !text.contains("{recursion limit reached}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_symbol() {
        let check = |symbol: &str, expect: Option<usize>| assert_eq!(end_of_symbol(symbol), expect, "{symbol}");
        check("_ZN4core3fmt5Write17h0123456789abcdefE", Some(38));
        check("_ZN4core3fmt5Write17h0123456789abcdefE.llvm.123", Some(38));
        check("_ZN4core3fmt5Write17h0123456789abcdefEv", None);
        check("_ZN4core3fmt5Write17h0123456789abcdeg", None);
        check("_ZN1a17h17h", None);
        check("_RNvCs1_1a1b", Some(12));
        check("_RNvCs1_1a1b.llvm.1", Some(12));
        check("_Register", None);
        check("_ZN3foo3barEv", None);
    }
}
