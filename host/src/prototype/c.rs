//! Values of a place as C of a probe: names that C takes, and the types that a probe gives them.

use std::collections::BTreeSet;

use super::{Argument, Class, KnownFrom, Prototype};
use crate::escape::harmless;

/// Words that a parameter of a program cannot be named by: the keywords of C11 and of GNU C, and what programs call their own.
const TAKEN: &[&str] = &[
    "args", "asm", "auto", "bool", "break", "call", "case", "char", "const", "continue", "ctx", "current", "default",
    "do", "double", "else", "enum", "event", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long",
    "pid_tgid", "register", "restrict", "return", "short", "signed", "sizeof", "static", "struct", "switch", "tid",
    "true", "typedef", "typeof", "union", "unsigned", "void", "volatile", "while", "zero",
];

/// The name of each of a prototype's arguments in C, each once: its own, or `arg1` by its number.
pub fn names(prototype: &Prototype) -> Vec<String> {
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
pub fn identifier(text: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mapped: String = text.chars().map(letter).collect();
    let mapped = mapped.trim_end_matches('_');
    if mapped.starts_with(|first: char| first.is_ascii_digit()) { format!("_{mapped}") } else { mapped.to_owned() }
}

/// A text from a binary or from the kernel as it may stand in a comment.
pub fn comment(text: &str) -> String {
    // A backslash would take the next line into a comment.
    harmless(text).replace('\\', "?").replace("*/", "* /").replace("/*", "/ *")
}

/// The type of an argument in a probe, and whether it says less than the argument's own. None where no variable of the probe
/// can hold it, and for an aggregate, of which it is the type of each 8 bytes.
pub fn c_type(argument: &Argument, known_from: KnownFrom) -> Option<(String, bool)> {
    let own = |text: &str| Some((text.to_owned(), false));
    let ty = unqualified(argument.ty.as_str());
    let is_c = known_from == KnownFrom::Btf && !ty.contains(['{', '(', '[', '…']);
    match argument.class {
        Class::Integer { size: 1 | 2 | 4 | 8, .. } | Class::Boolean if is_c => own(ty),
        Class::Integer { size, signed } => integer(size, signed).map(|text| match basic(ty, size) {
            true => (ty.to_owned(), false),
            false => (text.to_owned(), known_from != KnownFrom::UsdtNote && ty != text),
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

/// A type without the `const` and the like that a variable of it would have itself.
fn unqualified(mut ty: &str) -> &str {
    const WORDS: [&str; 3] = ["const", "volatile", "restrict"];
    while let Some(rest) = WORDS.iter().find_map(|word| ty.strip_suffix(word)) {
        ty = rest.trim_end();
    }
    // Of a pointer, what stands in front belongs to what it points to.
    while let Some(rest) = WORDS.iter().find_map(|word| ty.strip_prefix(word)).filter(|rest| !rest.contains('*')) {
        ty = rest.trim_start();
    }
    ty
}

/// A declaration of `name` with a type.
pub fn declare(ty: &str, name: &str) -> String {
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

/// Whether a type has the same name and size in a program of a 64-bit Unix and in a probe.
fn basic(ty: &str, size: u64) -> bool {
    const BASIC: &[(u64, &[&str])] = &[
        (1, &["char", "signed char", "unsigned char"]),
        (2, &["short", "unsigned short"]),
        (4, &["int", "unsigned int"]),
        (8, &["long", "unsigned long", "long long", "unsigned long long", "size_t"]),
    ];
    BASIC.iter().any(|(known, names)| *known == size && names.contains(&ty))
}
