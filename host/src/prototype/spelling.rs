//! The kernel's types as C, and what their bytes mean.

use crate::bpf::btf::{Btf, Kind, Type, TypeId};

use super::{Class, Owner};

/// Deepest nesting of pointers, arrays and prototypes that is written out. Those of the kernel's functions have up to 6.
const MAX_DEPTH: usize = 12;
/// Longest text of a type; damaged types could have one without an end.
const MAX_LENGTH: usize = 400;

/// The declaration of `name` with a type; without a name the type alone.
pub(super) fn declare(btf: &Btf, id: TypeId, name: &str) -> String {
    around(btf, id, name.to_owned(), 0)
}

/// C writes types around the name: `inner` is what stands there so far.
fn around(btf: &Btf, id: TypeId, inner: String, depth: usize) -> String {
    if depth > MAX_DEPTH || inner.len() > MAX_LENGTH {
        return "…".to_owned();
    }
    let found = btf.get(id);
    let target = found.target();
    match found.kind() {
        Kind::Pointer => around(btf, target, in_brackets(btf, target, format!("*{inner}")), depth + 1),
        Kind::Const | Kind::Volatile | Kind::Restrict => {
            let word = qualifier(found.kind());
            match btf.get(target).kind() {
                Kind::Pointer => {
                    let inner = if inner.is_empty() { word.to_owned() } else { format!("{word} {inner}") };
                    around(btf, target, inner, depth + 1)
                }
                _ => format!("{word} {}", around(btf, target, inner, depth + 1)),
            }
        }
        Kind::TypeTag => around(btf, target, inner, depth + 1),
        Kind::Array => {
            let Some(array) = found.array() else { return joined("…", &inner) };
            around(btf, array.element, format!("{inner}[{}]", array.length), depth + 1)
        }
        Kind::Prototype => {
            let parameters: Vec<String> = found.parameters().map(|(_, id)| parameter(btf, id, depth + 1)).collect();
            let parameters = if parameters.is_empty() { "void".to_owned() } else { parameters.join(", ") };
            around(btf, target, format!("{inner}({parameters})"), depth + 1)
        }
        _ => joined(&base(&found), &inner),
    }
}

/// A parameter of a prototype; `...` is one of no type.
fn parameter(btf: &Btf, id: TypeId, depth: usize) -> String {
    if id == TypeId::VOID { "...".to_owned() } else { around(btf, id, String::new(), depth) }
}

fn in_brackets(btf: &Btf, target: TypeId, inner: String) -> String {
    match btf.get(target).kind() {
        Kind::Array | Kind::Prototype => format!("({inner})"),
        _ => inner,
    }
}

fn qualifier(kind: Kind) -> &'static str {
    match kind {
        Kind::Const => "const",
        Kind::Volatile => "volatile",
        _ => "restrict",
    }
}

fn joined(base: &str, inner: &str) -> String {
    if inner.is_empty() { base.to_owned() } else { format!("{base} {inner}") }
}

fn base(found: &Type<'_>) -> String {
    if found.kind() == Kind::Void {
        return "void".to_owned();
    }
    let tag = found.keyword();
    let name = found.name();
    if name.is_empty() { format!("{tag}{{…}}") } else { format!("{tag}{name}") }
}

/// What the bytes of a value of a type mean; `owner` owns the memory that texts and structs are in.
pub(super) fn class(btf: &Btf, id: TypeId, owner: Owner) -> Class {
    let found = btf.underlying(id);
    match found.kind() {
        Kind::Void => Class::Void,
        Kind::Int => match found.int() {
            Some(int) if int.bool || found.name_bytes() == b"_Bool" => Class::Boolean,
            int => Class::Integer { size: found.size().into(), signed: int.is_some_and(|int| int.signed) },
        },
        Kind::Enum | Kind::Enum64 => Class::Integer { size: found.size().into(), signed: found.flag() },
        Kind::Float => Class::Float,
        Kind::Struct | Kind::Union | Kind::Array => Class::Aggregate(btf.size_of(id)),
        Kind::Pointer => pointer(btf, found.target(), owner),
        _ => Class::Unknown,
    }
}

fn pointer(btf: &Btf, target: TypeId, owner: Owner) -> Class {
    let pointee = btf.underlying(target);
    match pointee.kind() {
        // `u8 *` is `unsigned char *`, which is bytes and no text.
        Kind::Int if pointee.name_bytes() == b"char" => Class::Text(owner),
        Kind::Struct | Kind::Union | Kind::Forward if !pointee.name_bytes().is_empty() => Class::KernelStruct(owner),
        _ => Class::Pointer(owner),
    }
}
