//! What a function takes and returns.

pub(crate) mod of_name;

use std::fmt;

use crate::location::Location;

/// Parameters and return type of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// In the order of the declaration, the hidden object of a method (`this`) first.
    pub parameters: Vec<Parameter>,
    /// What it returns; none where only its name is known, which in C++ does not say it. `void` is a type here.
    pub returns: Option<Type>,
    /// Where that is when it has just returned, by the calling convention; none where nothing is returned, where the
    /// convention is not known, or where the type is not known well enough.
    pub returns_in: Option<Location>,
    /// More arguments may follow (`...`).
    pub variadic: bool,
    /// How this is known.
    pub origin: Origin,
}

impl Signature {
    /// What a function's name in C++ ends with: its parameters as a demangler writes them, and the qualifiers of a method.
    pub(crate) fn of_cpp_name(&self) -> String {
        let written = self.parameters.iter().filter(|parameter| !parameter.artificial);
        let mut types: Vec<&str> = written.map(|parameter| parameter.ty.text.as_str()).collect();
        if self.variadic {
            types.push("...");
        }
        let this =
            self.parameters.iter().find(|parameter| parameter.artificial && parameter.name.as_deref() == Some("this"));
        let object = this.and_then(|this| this.ty.text.strip_suffix('*')).unwrap_or_default();
        let qualifiers = [" const volatile", " const", " volatile"].into_iter().find(|end| object.ends_with(end));
        format!("({}){}", types.join(", "), qualifiers.unwrap_or_default())
    }
}

/// How a signature is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From DWARF: names, types and places.
    DebugInfo,
    /// From the mangled name: types only, without what it returns, and without `this`.
    Name,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// As in the source; none where only the types are known, or where it has no name.
    pub name: Option<String>,
    /// Its type.
    pub ty: Type,
    /// The compiler added it (`this`).
    pub artificial: bool,
    /// Where the calling convention puts it for a call: where a probe on the entry of a body finds it, and one on an inlined
    /// copy need not. None where the convention or the type is not known.
    pub passed_in: Option<Location>,
}

/// A type as far as a probe needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// As in C++: `enum_server_command`, `char const*`.
    pub text: String,
    /// In bytes; none where it is not known.
    pub size: Option<u64>,
    /// What its bytes mean.
    pub class: TypeClass,
}

/// What the bytes of a value mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TypeClass {
    /// Nothing is known.
    Unknown,
    /// No value.
    Void,
    /// An integer without sign; enumerations without negative values too.
    Unsigned,
    /// An integer with sign.
    Signed,
    /// `bool`.
    Boolean,
    /// A character of text.
    Character,
    /// `float`, `double`, `long double`.
    Float,
    /// A pointer, a reference, or a pointer to a member.
    Pointer,
    /// A pointer to characters: perhaps a text that ends with NUL.
    CString,
    /// A struct, a union, a class, an array.
    Aggregate,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_in_cpp_ends_with() {
        let parameter = |name: &str, text: &str| Parameter {
            name: Some(name.to_owned()),
            ty: Type { text: text.to_owned(), size: None, class: TypeClass::Unknown },
            artificial: name == "this",
            passed_in: None,
        };
        let of = |parameters: Vec<Parameter>, variadic| {
            let (returns, returns_in, origin) = (None, None, Origin::DebugInfo);
            Signature { parameters, returns, returns_in, variadic, origin }.of_cpp_name()
        };
        assert_eq!(of(vec![], false), "()");
        assert_eq!(of(vec![parameter("thd", "THD*"), parameter("a", "int const&")], false), "(THD*, int const&)");
        assert_eq!(of(vec![parameter("format", "char const*")], true), "(char const*, ...)");
        assert_eq!(of(vec![parameter("this", "A const*"), parameter("a", "int")], false), "(int) const");
        assert_eq!(of(vec![parameter("this", "A*")], false), "()");
    }
}
