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
