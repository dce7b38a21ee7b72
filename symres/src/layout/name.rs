//! The names of types as people write them.

use std::str::FromStr;

use super::TypeKind;
use crate::glob::Glob;
use crate::types::{Author, canonical};

/// Longer names are refused.
const MAX_NAME: usize = 4 << 10;

/// Which types are meant: `THD`, `ns::Outer::Inner`, `List<Item>`, `struct sock`, `tcp_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeName {
    text: String,
    kind: Option<TypeKind>,
    form: Form,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Scopes and name, outermost first, each in one spelling.
    Parts(Vec<String>),
    /// For whole names.
    Wildcard(Glob),
}

/// How a type's name is the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// Its own name, scopes included.
    Whole,
    /// It has scopes that were not written.
    Tail,
    /// It is an instance of the template that was written.
    Instance,
}

/// Why a text is no name of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TypeNameError {
    /// There is nothing in it.
    #[error("no type is named")]
    Empty,
    /// It is longer than any name.
    #[error("the name of a type has at most {MAX_NAME} bytes")]
    TooLong,
    /// A scope of it has no name.
    #[error("`{0}` is no name of a type: a name is missing beside `::`")]
    Scope(String),
}

impl FromStr for TypeName {
    type Err = TypeNameError;

    fn from_str(text: &str) -> Result<Self, TypeNameError> {
        let text = text.trim();
        if text.len() > MAX_NAME {
            return Err(TypeNameError::TooLong);
        }
        let (kind, name) = match text.split_once(char::is_whitespace) {
            Some(("struct", name)) => (Some(TypeKind::Struct), name.trim()),
            Some(("class", name)) => (Some(TypeKind::Class), name.trim()),
            Some(("union", name)) => (Some(TypeKind::Union), name.trim()),
            Some(("enum", name)) => (Some(TypeKind::Enum), name.trim()),
            _ => (None, text),
        };
        let name = name.strip_prefix("::").unwrap_or(name);
        if name.is_empty() {
            return Err(TypeNameError::Empty);
        }
        // A `*` in the arguments of a template is a pointer.
        let form = if outside(name).any(|(_, letter)| letter == '*') {
            Form::Wildcard(Glob::new(name, "*"))
        } else {
            let parts: Vec<String> = components(name).map(|part| canonical(part, Author::DebugInfo)).collect();
            if parts.iter().any(String::is_empty) {
                return Err(TypeNameError::Scope(name.to_owned()));
            }
            Form::Parts(parts)
        };
        Ok(Self { text: name.to_owned(), kind, form })
    }
}

impl TypeName {
    /// A name that the debug information itself gives.
    pub(crate) fn exactly(name: &str) -> Self {
        let parts = components(name).map(|part| canonical(part, Author::DebugInfo)).collect();
        Self { text: name.to_owned(), kind: None, form: Form::Parts(parts) }
    }

    /// As it was written, without a keyword before it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it stands for many.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.form, Form::Wildcard(_))
    }

    /// Whether a type of this kind may be meant. `struct` and `class` are one to C++.
    pub fn allows(&self, kind: TypeKind) -> bool {
        let same = |kind| if kind == TypeKind::Class { TypeKind::Struct } else { kind };
        self.kind.is_none_or(|wanted| same(wanted) == same(kind))
    }

    /// Whether this is the name of a type that is meant.
    pub fn fits(&self, name: &str) -> Option<Fit> {
        let wanted = match &self.form {
            Form::Wildcard(glob) => return glob.matches(name).then_some(Fit::Whole),
            Form::Parts(parts) => parts,
        };
        let parts: Vec<&str> = components(name).collect();
        let tail = parts.get(parts.len().checked_sub(wanted.len())?..)?;
        let mut fit = if tail.len() == parts.len() { Fit::Whole } else { Fit::Tail };
        for (part, wanted) in tail.iter().zip(wanted) {
            let has_arguments = part.contains('<');
            if has_arguments && !wanted.contains('<') {
                let base = part.split('<').next().unwrap_or(part);
                if base.trim() != wanted {
                    return None;
                }
                fit = Fit::Instance;
            } else if *part != wanted && (!has_arguments || canonical(part, Author::DebugInfo) != *wanted) {
                return None;
            }
        }
        Some(fit)
    }

    /// A text that the name of each such type has, without its scopes and template arguments, and whether it is all of that.
    pub(crate) fn word(&self) -> Option<(String, bool)> {
        match &self.form {
            Form::Parts(parts) => {
                let last = parts.last()?;
                Some((last.split('<').next().unwrap_or(last).trim().to_owned(), true))
            }
            Form::Wildcard(glob) => {
                let piece = glob.longest_piece();
                // What holds `::` or arguments is not in one name.
                let word = piece.rsplit("::").next().unwrap_or(piece);
                let whole = word.split('<').next().unwrap_or(word).trim();
                let last = self.text.rsplit("::").next().unwrap_or(&self.text);
                (!whole.is_empty() && last.contains(whole)).then(|| (whole.to_owned(), false))
            }
        }
    }
}

/// The letters that are not in the arguments of a template, with their places.
fn outside(name: &str) -> impl Iterator<Item = (usize, char)> {
    let mut depth = 0_usize;
    name.char_indices().filter(move |(_, letter)| {
        match letter {
            '<' | '(' | '{' => depth += 1,
            '>' | ')' | '}' => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    })
}

/// The parts of a name between `::`, but for those in the arguments of templates.
fn components(name: &str) -> impl Iterator<Item = &str> {
    let mut cuts = Vec::new();
    let mut before = None;
    for (at, letter) in outside(name) {
        if letter == ':' && before == Some(at.wrapping_sub(1)) {
            cuts.push(at - 1);
            before = None;
        } else {
            before = (letter == ':').then_some(at);
        }
    }
    let mut from = 0;
    let mut parts = Vec::new();
    for cut in cuts {
        parts.push(name.get(from..cut).unwrap_or_default());
        from = cut + 2;
    }
    parts.push(name.get(from..).unwrap_or_default());
    parts.into_iter()
}
