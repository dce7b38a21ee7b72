//! One type, and what it is made of.

use super::{Btf, Kind, NameOffset, TypeId, u32_at};

/// One type.
#[derive(Clone, Copy)]
pub struct Type<'btf> {
    pub(super) btf: &'btf Btf,
    pub(super) id: TypeId,
    pub(super) kind: Kind,
    pub(super) flag: bool,
    pub(super) count: u32,
    pub(super) name: u32,
    /// Size or the type referred to.
    pub(super) word: u32,
    /// Members, enumerators, parameters or what else the kind has.
    pub(super) extra: &'btf [u8],
}

impl std::fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?} `{}`", self.id, self.kind, self.name())
    }
}

/// A field of a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Its name; none for an anonymous struct or union and for unnamed bit fields.
    pub name: NameOffset,
    /// Its type.
    pub id: TypeId,
    /// Offset in bits from the start of the record.
    pub bit_offset: u32,
    /// Width of a bit field; 0 for other fields.
    pub bit_width: u32,
}

/// Element and length of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// Type of the elements.
    pub element: TypeId,
    /// Type that indexes it.
    pub index: TypeId,
    /// Number of elements.
    pub length: u32,
}

/// How an integer's bits are meant (`BTF_INT_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Int {
    /// Whether it has a sign.
    pub signed: bool,
    /// Whether it is a C `char` (few compilers say so).
    pub char: bool,
    /// Whether it is a `bool`.
    pub bool: bool,
    /// Offset in bits within its storage (bit fields of old compilers).
    pub bit_offset: u32,
    /// Width in bits.
    pub bits: u32,
}

impl<'btf> Type<'btf> {
    /// Its number.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its name is.
    pub fn name_offset(&self) -> NameOffset {
        NameOffset(self.name)
    }

    /// Its name as it stands in the BTF; empty for none.
    pub fn name_bytes(&self) -> &'btf [u8] {
        self.btf.string(NameOffset(self.name))
    }

    /// Its name; empty for none.
    pub fn name(&self) -> std::borrow::Cow<'btf, str> {
        String::from_utf8_lossy(self.name_bytes())
    }

    /// `kind_flag`: a forward declaration of a union; an enum with a sign; a record whose offsets hold bit field widths.
    pub fn flag(&self) -> bool {
        self.flag
    }

    /// What C writes before its name: `struct `, `union `, `enum `, or nothing.
    pub fn keyword(&self) -> &'static str {
        match self.kind() {
            Kind::Struct => "struct ",
            Kind::Union => "union ",
            Kind::Enum | Kind::Enum64 => "enum ",
            Kind::Forward if self.flag() => "union ",
            Kind::Forward => "struct ",
            _ => "",
        }
    }

    /// What the type refers to: pointers, typedefs, qualifiers, functions, prototypes (their return type), variables.
    pub fn target(&self) -> TypeId {
        match self.kind {
            Kind::Pointer
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Function
            | Kind::Prototype
            | Kind::Variable
            | Kind::DeclTag
            | Kind::TypeTag => TypeId(self.word),
            _ => TypeId::VOID,
        }
    }

    /// Size in bytes as written in the BTF, of the kinds that have one.
    pub fn size(&self) -> u32 {
        match self.kind {
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float | Kind::DataSection => {
                self.word
            }
            _ => 0,
        }
    }

    /// Number of members, enumerators or parameters.
    pub fn count(&self) -> u32 {
        self.count
    }

    fn elements(&self, width: usize, wanted: bool) -> impl Iterator<Item = &'btf [u8]> + use<'btf> {
        let extra = if wanted { self.extra } else { &[] };
        extra.chunks_exact(width)
    }

    /// Fields of a struct or union, in the order of the declaration.
    pub fn members(&self) -> impl Iterator<Item = Member> + use<'btf> {
        let flag = self.flag;
        self.elements(12, self.kind.is_record()).map(move |bytes| {
            let offset = u32_at(bytes, 8).unwrap_or_default();
            let (bit_offset, bit_width) = if flag { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) };
            Member {
                name: NameOffset(u32_at(bytes, 0).unwrap_or_default()),
                id: TypeId(u32_at(bytes, 4).unwrap_or_default()),
                bit_offset,
                bit_width,
            }
        })
    }

    /// Enumerators with their values, of enums of 32 and of 64 bits, with sign where the enum has one.
    pub fn enumerators(&self) -> impl Iterator<Item = (NameOffset, i128)> + use<'btf> {
        let (wide, signed) = (self.kind == Kind::Enum64, self.flag);
        let width = if wide { 12 } else { 8 };
        self.elements(width, wide || self.kind == Kind::Enum).map(move |bytes| {
            let low = u32_at(bytes, 4).unwrap_or_default();
            let high = u32_at(bytes, 8).unwrap_or_default();
            let value = match (wide, signed) {
                (false, false) => i128::from(low),
                (false, true) => i128::from(low.cast_signed()),
                (true, _) => {
                    let value = u64::from(high) << 32 | u64::from(low);
                    if signed { i128::from(value.cast_signed()) } else { i128::from(value) }
                }
            };
            (NameOffset(u32_at(bytes, 0).unwrap_or_default()), value)
        })
    }

    /// Parameters of a prototype: name and type. A last one of no name and type `void` stands for `...`.
    pub fn parameters(&self) -> impl Iterator<Item = (NameOffset, TypeId)> + use<'btf> {
        self.elements(8, self.kind == Kind::Prototype).map(|bytes| {
            (NameOffset(u32_at(bytes, 0).unwrap_or_default()), TypeId(u32_at(bytes, 4).unwrap_or_default()))
        })
    }

    /// Variables of a data section: type, offset, size.
    pub fn variables(&self) -> impl Iterator<Item = (TypeId, u32, u32)> + use<'btf> {
        self.elements(12, self.kind == Kind::DataSection).map(|bytes| {
            let word = |at| u32_at(bytes, at).unwrap_or_default();
            (TypeId(word(0)), word(4), word(8))
        })
    }

    /// Element and length, of an array.
    pub fn array(&self) -> Option<Array> {
        if self.kind != Kind::Array {
            return None;
        }
        let word = |at| u32_at(self.extra, at);
        Some(Array { element: TypeId(word(0)?), index: TypeId(word(4)?), length: word(8)? })
    }

    /// Encoding, of an integer.
    pub fn int(&self) -> Option<Int> {
        if self.kind != Kind::Int {
            return None;
        }
        let data = u32_at(self.extra, 0)?;
        let encoding = data >> 24;
        Some(Int {
            signed: encoding & 1 != 0,
            char: encoding & 2 != 0,
            bool: encoding & 4 != 0,
            bit_offset: (data >> 16) & 0xff,
            bits: data & 0xff,
        })
    }
}
