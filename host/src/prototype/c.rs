//! Values of a place as C of a probe: names that C takes, and the types that a probe gives them.

use std::collections::BTreeSet;

use super::{Argument, Class, KnownFrom, Prototype};
use crate::escape::harmless;

/// Words that a parameter of a program cannot be named by: the keywords of C11 and of GNU C, and what programs call their context.
const TAKEN: &[&str] = &[
    "args", "asm", "auto", "bool", "break", "case", "char", "const", "continue", "ctx", "current", "default", "do",
    "double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "register",
    "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "true", "typedef", "typeof",
    "union", "unsigned", "void", "volatile", "while",
];

/// The name of each of a prototype's arguments in C, each once: its own, or `arg1` by its number.
pub(super) fn names(prototype: &Prototype) -> Vec<String> {
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let mut names = Vec::new();
    for (index, argument) in prototype.arguments.iter().enumerate() {
        let own = argument.name.as_deref().map(identifier).filter(|name| !name.is_empty());
        let mut name = own.unwrap_or_else(|| format!("arg{}", index + 1));
        while TAKEN.contains(&name.as_str()) || taken.contains(&name) {
            name.push('_');
        }
        taken.insert(name.clone());
        names.push(name);
    }
    names
}

/// A text as a C identifier: what cannot be in one becomes `_`.
pub(super) fn identifier(text: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mapped: String = text.chars().map(letter).collect();
    let mapped = mapped.trim_end_matches('_');
    if mapped.starts_with(|first: char| first.is_ascii_digit()) { format!("_{mapped}") } else { mapped.to_owned() }
}

/// A text from a binary or from the kernel as it may stand in a comment.
pub(super) fn comment(text: &str) -> String {
    // A backslash would take the next line into a comment.
    harmless(text).replace('\\', "?").replace("*/", "* /").replace("/*", "/ *")
}

/// The type of an argument in a probe, and whether it says less than the argument's own. None where no variable of the probe
/// can hold it, and for an aggregate, of which it is the type of each 8 bytes.
pub(super) fn c_type(argument: &Argument, known_from: KnownFrom) -> Option<(String, bool)> {
    let own = |text: &str| Some((text.to_owned(), false));
    let ty = argument.ty.as_str();
    let is_c = known_from == KnownFrom::Btf && !ty.contains(['{', '(', '[', '…']);
    match argument.class {
        Class::Integer { size: 1 | 2 | 4 | 8, .. } | Class::Boolean if is_c => own(ty),
        Class::Integer { size, signed } => integer(size, signed).map(|text| match basic(ty) {
            Some(basic) => (basic.to_owned(), false),
            None => (text.to_owned(), known_from != KnownFrom::UsdtNote),
        }),
        Class::Boolean => own("bool"),
        Class::Text(_) | Class::KernelStruct(_) | Class::Pointer(_) if is_c => own(ty),
        Class::Text(_) => own("char *"),
        Class::KernelStruct(_) if known_from == KnownFrom::TracepointFormat => own(ty),
        Class::KernelStruct(_) | Class::Pointer(_) | Class::Object => Some(("void *".to_owned(), ty != "void*")),
        Class::Aggregate(Some(1..=16)) => Some(("u64".to_owned(), true)),
        Class::Word => own("u64"),
        _ => None,
    }
}

/// A declaration of `name` with a type.
pub(super) fn declare(ty: &str, name: &str) -> String {
    if ty.ends_with('*') { format!("{ty}{name}") } else { format!("{ty} {name}") }
}

/// An integer of the kernel's style.
fn integer(size: u64, signed: bool) -> Option<&'static str> {
    Some(match (size, signed) {
        (1, false) => "u8",
        (1, true) => "s8",
        (2, false) => "u16",
        (2, true) => "s16",
        (4, false) => "u32",
        (4, true) => "s32",
        (8, false) => "u64",
        (8, true) => "s64",
        _ => return None,
    })
}

/// A type that has the same name and size in a program of a 64-bit Unix and in a probe.
fn basic(ty: &str) -> Option<&str> {
    const BASIC: &[&str] = &[
        "char",
        "signed char",
        "unsigned char",
        "short",
        "unsigned short",
        "int",
        "unsigned int",
        "long",
        "unsigned long",
        "long long",
        "unsigned long long",
        "size_t",
    ];
    BASIC.contains(&ty).then_some(ty)
}
