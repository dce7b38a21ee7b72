//! What a mangled name tells of a function's signature.

use super::{Origin, Parameter, Signature, Type, TypeClass};
use crate::answer::{Function, PlaceKind, Role};
use crate::demangle::RawName;
use crate::dwarf::signature::{Plain, plain_places};
use crate::elf::Machine;
use crate::location::{Argument, KnownBy, Location};
use crate::name::parameters::parameters_of_name;

/// The types that have a name of one word or more, with their size in bytes on 64-bit Unix.
const BASIC: &[(&str, u64, TypeClass)] = &[
    ("bool", 1, TypeClass::Boolean),
    ("char", 1, TypeClass::Character),
    ("signed char", 1, TypeClass::Character),
    ("unsigned char", 1, TypeClass::Character),
    ("char8_t", 1, TypeClass::Character),
    ("char16_t", 2, TypeClass::Character),
    ("char32_t", 4, TypeClass::Character),
    ("wchar_t", 4, TypeClass::Character),
    ("short", 2, TypeClass::Signed),
    ("unsigned short", 2, TypeClass::Unsigned),
    ("int", 4, TypeClass::Signed),
    ("unsigned int", 4, TypeClass::Unsigned),
    ("long", 8, TypeClass::Signed),
    ("unsigned long", 8, TypeClass::Unsigned),
    ("long long", 8, TypeClass::Signed),
    ("unsigned long long", 8, TypeClass::Unsigned),
    ("__int128", 16, TypeClass::Signed),
    ("unsigned __int128", 16, TypeClass::Unsigned),
    ("float", 4, TypeClass::Float),
    ("double", 8, TypeClass::Float),
    ("long double", 16, TypeClass::Float),
    ("decltype(nullptr)", 8, TypeClass::Pointer),
];

/// Adds what the function's name tells, where the debug information has not told more.
pub(crate) fn complete(function: &mut Function, machine: Machine) {
    if function.signature.is_some() {
        return;
    }
    let Some(signature) = of_name(&function.mangled, machine) else { return };
    if function.role == Role::Whole {
        let argument = |parameter: &Parameter| match &parameter.passed_in {
            Some(location) => Argument { location: location.clone(), known_by: KnownBy::Name },
            None => Argument::UNKNOWN,
        };
        let arguments: Vec<Argument> = signature.parameters.iter().map(argument).collect();
        let bodies = function.places.iter_mut().filter(|place| matches!(place.kind, PlaceKind::Body));
        for place in bodies.filter(|place| place.arguments.is_empty()) {
            place.arguments.clone_from(&arguments);
        }
    }
    function.signature = Some(signature);
}

/// None where the name is not one of C++ with parameters.
fn of_name(symbol: &str, machine: Machine) -> Option<Signature> {
    let told = parameters_of_name(symbol)?;
    let types: Vec<Type> = told.types.iter().map(|text| ty(text)).collect();
    let places = match before(RawName::new(symbol).base, &told.qualifiers) {
        Some(before) if machine == Machine::X86_64 => {
            let plain: Vec<Plain> = types.iter().map(plain).collect();
            plain_places(before, &plain)
        }
        _ => vec![Location::Unknown; types.len()],
    };
    let known = |location: Location| (location != Location::Unknown).then_some(location);
    let parameters = types.into_iter().zip(places).map(|(ty, location)| Parameter {
        name: None,
        ty,
        artificial: false,
        passed_in: known(location),
    });
    Some(Signature {
        parameters: parameters.collect(),
        returns: None,
        returns_in: None,
        variadic: told.variadic,
        origin: Origin::Name,
    })
}

/// How many pointers are passed before the parameters: `this` for a member function, none for a function outside of classes.
/// None where the name does not tell which it is (`A::f` may be in a namespace or in a class, and there static).
fn before(mangled: &str, qualifiers: &[String]) -> Option<usize> {
    let nested = mangled.strip_prefix("_ZN");
    match nested {
        None => {
            let encoding = mangled.strip_prefix("_Z")?;
            // `_Z3foo…`, `_ZL3foo…`; what else there is (functions in functions, thunks) is not looked into.
            let encoding = encoding.strip_prefix('L').unwrap_or(encoding);
            encoding.starts_with(|first: char| first.is_ascii_digit()).then_some(0)
        }
        // Only member functions have these.
        Some(_) if !qualifiers.is_empty() => Some(1),
        // The constructor for whole objects: that for bases may get one pointer more.
        Some(rest) => is_constructor(rest).then_some(1),
    }
}

/// `1AC1E…`: names in namespaces and classes, and then that. Templates are not looked into.
fn is_constructor(mut nested: &str) -> bool {
    nested = nested.strip_prefix("St").unwrap_or(nested);
    loop {
        if nested.starts_with("C1E") {
            return true;
        }
        let digits = nested.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(nested.len());
        let Some((length, behind)) = nested.split_at_checked(digits) else { return false };
        // Every round takes at least a digit.
        match length.parse::<usize>().ok().and_then(|length| behind.get(length..)) {
            Some(behind) => nested = behind,
            None => return false,
        }
    }
}

fn ty(text: &str) -> Type {
    let (size, class) = match BASIC.iter().find(|(name, ..)| *name == text) {
        Some((_, size, class)) => (Some(*size), *class),
        None if text.ends_with("::*") || text.contains("::*)(") => (None, TypeClass::Pointer),
        None if is_pointer(text) => {
            let target =
                text.strip_suffix('*').map(|target| target.trim_end_matches(" const").trim_end_matches(" volatile"));
            let characters = matches!(target, Some("char" | "signed char" | "unsigned char"));
            (Some(8), if characters { TypeClass::CString } else { TypeClass::Pointer })
        }
        None => (None, TypeClass::Unknown),
    };
    Type { text: text.to_owned(), size, class }
}

/// A pointer or a reference, to a function or an array too.
fn is_pointer(text: &str) -> bool {
    ["*", "&"].iter().any(|sign| text.ends_with(sign))
        || ["(*)", "(&)", "(&&)"].iter().any(|declarator| {
            // `void (*)(int)`, but not `A<void (*)(int)>`.
            text.find(declarator).is_some_and(|at| !text.get(..at).unwrap_or_default().contains('<'))
        })
}

fn plain(ty: &Type) -> Plain {
    match (ty.class, ty.size) {
        (TypeClass::Float, Some(4 | 8)) => Plain::Sse,
        (TypeClass::Float, Some(16)) => Plain::LongDouble,
        (TypeClass::Unknown, _) | (_, None | Some(16)) => Plain::Unknown,
        _ => Plain::Integer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_types_and_often_places() {
        let check = |symbol: &str, expected: &str| {
            let signature = of_name(symbol, Machine::X86_64).unwrap();
            let parameters: Vec<String> = signature
                .parameters
                .iter()
                .map(|parameter| {
                    let place =
                        parameter.passed_in.as_ref().map_or("-".to_owned(), |place| place.text(Machine::X86_64));
                    format!("{} {:?} {place}", parameter.ty, parameter.ty.class)
                })
                .collect();
            assert_eq!(parameters.join("; "), expected, "{symbol}");
        };
        // An enumeration may be a class for all that the name says, so that nothing is known from there on.
        check(
            "_Z16dispatch_command19enum_server_commandP3THDPcj",
            "enum_server_command Unknown -; THD* Pointer -; char* CString -; unsigned int Unsigned -",
        );
        check("_ZL16check_connectionP3THD", "THD* Pointer rdi");
        check(
            "_Z1fPKcdmRif",
            "char const* CString rdi; double Float xmm0; unsigned long Unsigned rsi; int& Pointer rdx; float Float xmm1",
        );
        check(
            "_Z1fiiiiiiiei",
            "int Signed rdi; int Signed rsi; int Signed rdx; int Signed rcx; int Signed r8; int Signed r9; int Signed [rsp+8]; long double Float [rsp+24]; int Signed [rsp+40]",
        );
        check("_Z1fPFviEi", "void (*)(int) Pointer rdi; int Signed rsi");
        // In a namespace, or in a class and perhaps static.
        check("_ZN1A1fEi", "int Signed -");
        check("_ZNK1A1fEi", "int Signed rsi");
        check("_ZN1AC1Ei", "int Signed rsi");
        check("_ZN1AC2Ei", "int Signed -");
        check("_ZN4AC1E1fEi", "int Signed -");
        check("_Z1fn", "__int128 Signed -");
        check("_Z1f1AIPFviEEi", "A<void (*)(int)> Unknown -; int Signed -");
        assert_eq!(of_name("main", Machine::X86_64), None);
        let arm = of_name("_Z1fi", Machine::AARCH64).unwrap();
        assert_eq!(arm.parameters[0].passed_in, None);
    }
}
