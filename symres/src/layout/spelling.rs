//! Declarations as C and C++ write them.

use super::{Shape, TypeNumber, Types};

/// Types in types: deeper ones are cut.
const MAX_DEPTH: usize = 32;
/// Longer declarations are cut.
const MAX_TEXT: usize = 4 << 10;
const ELLIPSIS: &str = "...";

/// A declaration: the type, and what is declared with what belongs to it: `void` and `(*f)(int)`, `char` and `name[16]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelt {
    /// Pointers are part of it where nothing stands behind the name.
    pub ty: String,
    /// The name with dimensions or parameters; empty for a type alone.
    pub declarator: String,
}

impl std::fmt::Display for Spelt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let blank = if self.declarator.is_empty() || self.declarator.starts_with('[') { "" } else { " " };
        write!(f, "{}{blank}{}", self.ty, self.declarator)
    }
}

/// Declares `name` to be of that type.
pub fn spell(types: &dyn Types, ty: TypeNumber, name: &str) -> Spelt {
    let (base, declarator) = declare(types, ty, name.to_owned(), 0);
    let stars = declarator.len() - declarator.trim_start_matches(['*', '&']).len();
    let (signs, rest) = declarator.split_at(stars);
    let simple = !rest.starts_with("const ") && !rest.starts_with("volatile ");
    match signs.is_empty() || !simple {
        true => Spelt { ty: base, declarator },
        false => Spelt { ty: format!("{base} {signs}"), declarator: rest.to_owned() },
    }
}

/// The type at the end of the chain, and the declarator around `inner`.
fn declare(types: &dyn Types, ty: TypeNumber, inner: String, depth: usize) -> (String, String) {
    if depth > MAX_DEPTH || inner.len() > MAX_TEXT {
        return (ELLIPSIS.to_owned(), inner);
    }
    match types.shape(ty) {
        Shape::Void => ("void".to_owned(), inner),
        Shape::Scalar { name, .. } | Shape::Typedef { name, .. } => (name, inner),
        Shape::Record { kind, name, .. } => (tagged(types, kind.word(), name), inner),
        Shape::Enumeration { name, .. } => (tagged(types, "enum", name), inner),
        Shape::Qualified { word: "", of } => declare(types, of, inner, depth + 1),
        Shape::Qualified { word, of } => match types.shape(of) {
            Shape::Pointer { .. } => {
                let blank = if inner.is_empty() { "" } else { " " };
                declare(types, of, format!("{word}{blank}{inner}"), depth + 1)
            }
            _ => {
                let (base, declarator) = declare(types, of, inner, depth + 1);
                (format!("{word} {base}"), declarator)
            }
        },
        Shape::Pointer { sign, to, .. } => {
            let inner = match types.shape(to) {
                Shape::Function { .. } | Shape::Array { .. } => format!("({sign}{inner})"),
                _ => format!("{sign}{inner}"),
            };
            declare(types, to, inner, depth + 1)
        }
        Shape::Array { of, lengths } => {
            let length = |length: &Option<u64>| length.map_or_else(String::new, |length| length.to_string());
            let dimensions: String = lengths.iter().map(|one| format!("[{}]", length(one))).collect();
            declare(types, of, format!("{inner}{dimensions}"), depth + 1)
        }
        Shape::Function { returns, parameters, variadic } => {
            let list = parameter_list(types, &parameters, variadic, depth);
            declare(types, returns, format!("{inner}({list})"), depth + 1)
        }
    }
}

fn parameter_list(types: &dyn Types, parameters: &[TypeNumber], variadic: bool, depth: usize) -> String {
    let mut texts = Vec::new();
    let mut length = 0;
    for parameter in parameters {
        let (base, declarator) = declare(types, *parameter, String::new(), depth + 1);
        let blank = if declarator.is_empty() { "" } else { " " };
        texts.push(format!("{base}{blank}{declarator}"));
        length += base.len() + declarator.len();
        if length > MAX_TEXT {
            texts.push(ELLIPSIS.to_owned());
            break;
        }
    }
    if variadic {
        texts.push(ELLIPSIS.to_owned());
    }
    if texts.is_empty() { "void".to_owned() } else { texts.join(", ") }
}

fn tagged(types: &dyn Types, word: &str, name: Option<String>) -> String {
    match name {
        Some(name) if types.has_tags() => format!("{word} {name}"),
        Some(name) => name,
        None => format!("{word} {{…}}"),
    }
}
