//! Kinds of types.

/// What a type is (`BTF_KIND_…` of linux/btf.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the C language and of linux/btf.h")]
pub enum Kind {
    Void,
    Int,
    Pointer,
    Array,
    Struct,
    Union,
    Enum,
    Forward,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Function,
    Prototype,
    Variable,
    DataSection,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
}

impl Kind {
    /// The number of the kind in BTF.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::Void => 0,
            Self::Int => 1,
            Self::Pointer => 2,
            Self::Array => 3,
            Self::Struct => 4,
            Self::Union => 5,
            Self::Enum => 6,
            Self::Forward => 7,
            Self::Typedef => 8,
            Self::Volatile => 9,
            Self::Const => 10,
            Self::Restrict => 11,
            Self::Function => 12,
            Self::Prototype => 13,
            Self::Variable => 14,
            Self::DataSection => 15,
            Self::Float => 16,
            Self::DeclTag => 17,
            Self::TypeTag => 18,
            Self::Enum64 => 19,
        }
    }

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Int,
            2 => Self::Pointer,
            3 => Self::Array,
            4 => Self::Struct,
            5 => Self::Union,
            6 => Self::Enum,
            7 => Self::Forward,
            8 => Self::Typedef,
            9 => Self::Volatile,
            10 => Self::Const,
            11 => Self::Restrict,
            12 => Self::Function,
            13 => Self::Prototype,
            14 => Self::Variable,
            15 => Self::DataSection,
            16 => Self::Float,
            17 => Self::DeclTag,
            18 => Self::TypeTag,
            19 => Self::Enum64,
            _ => return None,
        })
    }

    /// Bytes behind the 12 of every type, for `count` elements.
    pub(super) fn extra(self, count: usize) -> usize {
        match self {
            Self::Int | Self::Variable | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::DataSection | Self::Enum64 => count * 12,
            Self::Enum | Self::Prototype => count * 8,
            _ => 0,
        }
    }

    /// Whether this is a struct or a union.
    pub fn is_record(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Whether this only refers to another type without making a new one: `const`, `volatile`, `restrict`, a type tag.
    pub fn is_modifier(self) -> bool {
        matches!(self, Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag)
    }
}
