//! What can be told of a symbol without demangling it.

use crate::glob::Glob;
use crate::types::SHORT_NAMES;

/// Names that a mangled name may hold only as an abbreviation (`So` for `std::ostream`; Itanium C++ ABI, 5.1.10), beside those
/// of [`SHORT_NAMES`].
const ABBREVIATED: &[&str] = &["allocator", "std"];

/// Words that demanglers write where the mangled name has codes.
const WRITTEN_BY_DEMANGLERS: &[&str] = &[
    "lambda",
    "auto",
    "unnamed",
    "type",
    "anonymous",
    "namespace",
    "default",
    "arg",
    "string",
    "literal",
    "friend",
    "closure",
    "shim",
    "vtable",
    "impl",
    "operator",
    "const",
    "mut",
    "dyn",
    "unsafe",
    "extern",
    "for",
    "bool",
    "char",
    "str",
    "isize",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "f32",
    "f64",
];

/// What a symbol's text must hold before it is worth demangling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefilter {
    /// Nothing is known.
    All,
    /// This text.
    Contains(String),
    /// This text as a whole identifier.
    Identifier(String),
}

impl Prefilter {
    /// Of the names of a pattern's components, the last one first.
    pub(super) fn of_names(names: &[&Glob]) -> Self {
        if let Some(name) = names.first().and_then(|last| last.exact()) {
            let name = name.trim_start_matches('~');
            let short = SHORT_NAMES.iter().any(|(short, long, _)| name == *short || name == *long);
            if is_text(name) && !short && !ABBREVIATED.contains(&name) {
                return Prefilter::Identifier(name.to_owned());
            }
        }
        let longest = names
            .iter()
            .map(|name| name.longest_piece().trim_start_matches('~'))
            .filter(|piece| is_text(piece) && !may_be_code(piece))
            .max_by_key(|piece| piece.len());
        longest.map_or(Prefilter::All, |piece| Prefilter::Contains(piece.to_owned()))
    }
}

/// What a symbol must hold beside the last of these names, which come first in the list: parts of the classes and namespaces.
pub(super) fn scopes<'p>(names: &[&'p Glob]) -> Vec<&'p str> {
    let pieces = names.iter().skip(1).map(|name| name.longest_piece());
    // A short one may be a letter that stands for any type.
    pieces.filter(|piece| piece.len() > 2 && is_text(piece) && !may_be_code(piece)).collect()
}

/// The mangled name has it as it is. Rust's manglings have letters beyond ASCII in encodings of their own.
fn is_text(piece: &str) -> bool {
    !piece.is_empty()
        && piece.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'$')
        && !piece.starts_with("operator")
}

/// It may be a part of what the mangled name has a code for.
fn may_be_code(piece: &str) -> bool {
    SHORT_NAMES.iter().any(|(short, long, _)| short.contains(piece) || long.contains(piece))
        || ABBREVIATED.iter().chain(WRITTEN_BY_DEMANGLERS).any(|word| word.contains(piece))
}
