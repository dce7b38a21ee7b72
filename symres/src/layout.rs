//! How types lie in memory: what debug information of any kind says of structs and classes, and what follows from it.
//!
//! A [`Types`] gives one type at a time, so that a class with thousands of others behind its pointers costs what is looked at.

mod gap;
mod name;
mod spelling;

pub use gap::{Gap, Gaps, gaps};
pub use name::{Fit, TypeName, TypeNameError};
pub use spelling::{Spelt, spell};

use crate::answer::SourceLine;

/// Number of a type in a [`Types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeNumber(pub u64);

impl TypeNumber {
    /// The type `void`.
    pub const VOID: Self = Self(0);
}

/// Types that refer to each other by number.
pub trait Types {
    /// What a type is. What is damaged is [`Shape::Void`].
    fn shape(&self, ty: TypeNumber) -> Shape;

    /// What is in a struct, class or union, looked for elsewhere if it is only declared here; none where it has no
    /// definition.
    fn record(&self, ty: TypeNumber) -> Option<Record>;

    /// The enumerators of an enumeration, with their values.
    fn enumerators(&self, ty: TypeNumber) -> Vec<(String, i128)>;

    /// Whether `struct`, `union` and `enum` are part of a type's name, as in C.
    fn has_tags(&self) -> bool;
}

/// What a type with a name of its own is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of the languages")]
pub enum TypeKind {
    Struct,
    Class,
    Union,
    Enum,
    Typedef,
    Base,
}

impl TypeKind {
    /// The keyword of the language; for others what people call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Struct => "struct",
            Self::Class => "class",
            Self::Union => "union",
            Self::Enum => "enum",
            Self::Typedef => "typedef",
            Self::Base => "base type",
        }
    }
}

/// What a type is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Nothing is known of its values.
    Void,
    /// An integer, a floating point number, or what else has no parts.
    Scalar {
        /// Its name.
        name: String,
        /// In bytes.
        size: Option<u64>,
    },
    /// A struct, class or union.
    Record {
        /// Which of them.
        kind: TypeKind,
        /// With its scopes; none for an anonymous one.
        name: Option<String>,
        /// In bytes; none where it is only declared.
        size: Option<u64>,
    },
    /// An enumeration.
    Enumeration {
        /// With its scopes; none for an anonymous one.
        name: Option<String>,
        /// In bytes.
        size: Option<u64>,
    },
    /// Another name for a type.
    Typedef {
        /// With its scopes.
        name: String,
        /// The type.
        of: TypeNumber,
    },
    /// The same type with a qualifier.
    Qualified {
        /// `const`, `volatile`, `restrict`, `_Atomic`; empty for what is not written.
        word: &'static str,
        /// The type.
        of: TypeNumber,
    },
    /// A pointer or reference.
    Pointer {
        /// `*`, `&` or `&&`.
        sign: &'static str,
        /// What it points to.
        to: TypeNumber,
        /// In bytes.
        size: u64,
    },
    /// An array.
    Array {
        /// The type of its elements.
        of: TypeNumber,
        /// How many there are in each dimension; none where that is not fixed.
        lengths: Vec<Option<u64>>,
    },
    /// A function.
    Function {
        /// What it returns.
        returns: TypeNumber,
        /// What it takes.
        parameters: Vec<TypeNumber>,
        /// Whether it takes more.
        variadic: bool,
    },
}

/// A struct, class or union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which of them.
    pub kind: TypeKind,
    /// With its scopes; none for an anonymous one.
    pub name: Option<String>,
    /// In bytes.
    pub size: u64,
    /// Base classes and fields, in the order of the declaration.
    pub members: Vec<Member>,
    /// Members that are not in objects.
    pub statics: Vec<StaticMember>,
    /// Where it is defined in the source.
    pub declared: Option<SourceLine>,
    /// What it has and is not shown here.
    pub notes: Vec<String>,
}

/// What a member is to its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A field.
    Field,
    /// The object of a base class.
    Base,
    /// The object of a virtual base class, which is found through the virtual table.
    VirtualBase,
    /// The pointer to the virtual table.
    VirtualTable,
}

/// A part of each object of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name; none for base classes, anonymous records and unnamed bit fields.
    pub name: Option<String>,
    /// Its type.
    pub ty: TypeNumber,
    /// What it is.
    pub role: Role,
    /// From the start of the record, in bits; none where it differs between objects.
    pub bit_offset: Option<u64>,
    /// Width of a bit field, in bits.
    pub bit_width: Option<u64>,
}

/// A member of a class that its objects share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticMember {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: TypeNumber,
}

/// A type that a search found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedType {
    /// With its scopes.
    pub name: String,
    /// What it is.
    pub kind: TypeKind,
    /// In bytes, where it is told.
    pub size: Option<u64>,
    /// Whether there is only a declaration of it.
    pub only_declared: bool,
}

/// `typedef`s, qualifiers and dimensions that are followed in a row.
const MAX_CHAIN: usize = 64;

/// The type behind `typedef`s and qualifiers, with its number. A chain without end is `void`.
pub fn resolve(types: &dyn Types, mut ty: TypeNumber) -> (TypeNumber, Shape) {
    for _ in 0..MAX_CHAIN {
        match types.shape(ty) {
            Shape::Typedef { of, .. } | Shape::Qualified { of, .. } => ty = of,
            shape => return (ty, shape),
        }
    }
    (TypeNumber::VOID, Shape::Void)
}

/// The size of a type in bytes; none where it has none, or it is not known.
pub fn size_of(types: &dyn Types, mut ty: TypeNumber) -> Option<u64> {
    let mut factor = 1_u64;
    for _ in 0..MAX_CHAIN {
        let (found, shape) = resolve(types, ty);
        match shape {
            // Compilers leave the definition of a class to one of the units that hold objects of it.
            Shape::Record { size: None, .. } => return factor.checked_mul(types.record(found)?.size),
            Shape::Scalar { size, .. } | Shape::Record { size, .. } | Shape::Enumeration { size, .. } => {
                return factor.checked_mul(size?);
            }
            Shape::Pointer { size, .. } => return factor.checked_mul(size),
            Shape::Array { of, lengths } => {
                factor = lengths.iter().try_fold(factor, |size, length| size.checked_mul((*length)?))?;
                ty = of;
            }
            Shape::Void | Shape::Typedef { .. } | Shape::Qualified { .. } | Shape::Function { .. } => return None,
        }
    }
    None
}

/// How many bits of an object a member takes. An empty base class takes none, though its own objects have a byte.
pub fn bits_of(types: &dyn Types, member: &Member) -> u64 {
    if let Some(bits) = member.bit_width {
        return bits;
    }
    let is_base = matches!(member.role, Role::Base | Role::VirtualBase);
    if is_base && is_empty(types, member.ty, 0) {
        return 0;
    }
    // An array of no fixed length is behind the object.
    size_of(types, member.ty).unwrap_or(0).saturating_mul(8)
}

/// The size of a member in bytes, of a bit field that of its type; none where it is not known. See [`bits_of`] for empty base
/// classes.
pub fn size_in(types: &dyn Types, member: &Member) -> Option<u64> {
    match member.role {
        Role::Base => Some(bits_of(types, member) / 8),
        Role::Field | Role::VirtualBase | Role::VirtualTable => size_of(types, member.ty),
    }
}

/// Base classes nest some ten deep.
const MAX_BASES: usize = 32;

/// Whether a class has neither fields nor a virtual table.
fn is_empty(types: &dyn Types, ty: TypeNumber, depth: usize) -> bool {
    let Some(record) = types.record(resolve(types, ty).0).filter(|_| depth < MAX_BASES) else { return false };
    // What the compiler did not describe is there all the same.
    record.size <= 1
        && record.members.iter().all(|member| member.role == Role::Base && is_empty(types, member.ty, depth + 1))
}

#[cfg(test)]
mod tests;
