//! What the bytes of a type mean: a tree made once from BTF.

use std::sync::Arc;

use crate::bpf::btf::{Btf, Kind, NameOffset, Type, TypeId};

/// Deepest nesting of structs and arrays that is looked into.
const MAX_DEPTH: u32 = 32;
/// Most fields of one type, those of nested structs included, that are told apart. Stack and map values that BPF
/// programs handle have some hundreds at most.
const MAX_FIELDS: u32 = 8192;
/// Most enumerators that are known by name.
const MAX_ENUMERATORS: usize = 65_536;

/// What the bytes of a type mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Size of the type in bytes; 0 for what has none.
    pub size: u64,
    /// What the bytes are.
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Unsigned,
    Signed,
    Bool,
    Float,
    Pointer,
    /// Enumerators sorted by value; of several of one value, the first.
    Enum {
        signed: bool,
        names: Arc<[(i128, String)]>,
    },
    /// A `char` array; `flexible` when it takes what is there.
    Text {
        flexible: bool,
    },
    Array {
        element: Arc<Layout>,
        flexible: bool,
    },
    Struct(Vec<Field>),
    /// Nothing is known of the bytes.
    Opaque,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    /// Offset from the start of the struct that it is a field of.
    pub(super) bit_offset: u64,
    /// Width of a bit field; 0 for other fields.
    pub(super) bit_width: u32,
    pub(super) layout: Layout,
}

impl Layout {
    /// The layout of what has no bytes: a struct without fields.
    pub fn nothing() -> Self {
        Self { size: 0, shape: Shape::Struct(Vec::new()) }
    }

    /// The layout of bytes of which nothing is known.
    pub fn opaque(size: u64) -> Self {
        Self { size, shape: Shape::Opaque }
    }

    /// The layout of a type. Of one with more than 8192 fields, or whose structs nest too deep, nothing is known but the
    /// size.
    pub fn of(btf: &Btf, id: TypeId) -> Self {
        let mut builder = Builder { btf, fields: 0, overflow: false };
        let layout = builder.layout(id, 0);
        if builder.overflow { Self::opaque(layout.size) } else { layout }
    }

    /// Whether the type is a struct or union.
    pub fn is_struct(&self) -> bool {
        matches!(self.shape, Shape::Struct(_))
    }

    /// The names of its fields, of a struct or union; empty for other types.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let fields: &[Field] = if let Shape::Struct(fields) = &self.shape { fields } else { &[] };
        fields.iter().map(|field| field.name.as_str())
    }
}

struct Builder<'a> {
    btf: &'a Btf,
    fields: u32,
    /// Whether some fields were left out.
    overflow: bool,
}

impl Builder<'_> {
    fn layout(&mut self, id: TypeId, depth: u32) -> Layout {
        let found = self.btf.underlying(id);
        let found = if found.kind() == Kind::Variable { self.btf.underlying(found.target()) } else { found };
        let size = self.btf.size_of(found.id()).unwrap_or(0);
        if depth > MAX_DEPTH {
            self.overflow = true;
            return Layout::opaque(size);
        }
        let shape = self.shape(found, size, depth);
        Layout { size, shape }
    }

    fn shape(&mut self, found: Type<'_>, size: u64, depth: u32) -> Shape {
        match found.kind() {
            Kind::Int if (1..=16).contains(&size) => match found.int() {
                Some(int) if int.bool => Shape::Bool,
                Some(int) if int.signed => Shape::Signed,
                _ => Shape::Unsigned,
            },
            Kind::Float if size == 4 || size == 8 => Shape::Float,
            Kind::Pointer => Shape::Pointer,
            Kind::Enum | Kind::Enum64 if (1..=8).contains(&size) => self.enumeration(found, size),
            Kind::Array => self.array(found, size, depth),
            Kind::Struct | Kind::Union => {
                let mut fields = Vec::new();
                self.collect(found, 0, depth, &mut fields);
                Shape::Struct(fields)
            }
            _ => Shape::Opaque,
        }
    }

    fn enumeration(&mut self, found: Type<'_>, size: u64) -> Shape {
        // Compilers of before clang 15 do not say that an enum is signed; its negative values then read as large
        // numbers, in the enumerators and in the data alike, so that the names are right.
        let signed = found.flag();
        let mut names: Vec<(i128, String)> = found
            .enumerators()
            .take(MAX_ENUMERATORS)
            .map(|(name, value)| (narrow(value, size, signed), self.text(name)))
            .collect();
        names.sort_by_key(|(value, _)| *value);
        names.dedup_by_key(|(value, _)| *value);
        Shape::Enum { signed, names: names.into() }
    }

    fn array(&mut self, found: Type<'_>, size: u64, depth: u32) -> Shape {
        let Some(array) = found.array() else { return Shape::Opaque };
        let flexible = size == 0 && array.length == 0;
        let element = self.btf.underlying(array.element);
        if element.kind() == Kind::Int && element.size() == 1 && element.name_bytes() == b"char" {
            return Shape::Text { flexible };
        }
        let element = self.layout(array.element, depth + 1);
        if element.size == 0 {
            return Shape::Opaque;
        }
        Shape::Array { element: Arc::new(element), flexible }
    }

    /// Appends the fields of a struct or union at `base` (in bits); those of anonymous members stand in their place.
    fn collect(&mut self, record: Type<'_>, base: u64, depth: u32, into: &mut Vec<Field>) {
        for member in record.members() {
            if self.fields >= MAX_FIELDS || depth > MAX_DEPTH {
                self.overflow = true;
                return;
            }
            self.fields += 1;
            let bit_offset = base.saturating_add(u64::from(member.bit_offset));
            let inner = self.btf.underlying(member.id);
            if member.name == NameOffset(0) {
                if inner.kind().is_record() {
                    self.collect(inner, bit_offset, depth + 1, into);
                }
                continue; // else an unnamed bit field, which is padding
            }
            // Compilers of before Linux 4.20's BTF put the place of a bit field into the type.
            let old = inner.int().filter(|int| u64::from(int.bits) != u64::from(inner.size()) * 8);
            let (bit_offset, bit_width) = match (member.bit_width, old) {
                (0, Some(int)) => (bit_offset.saturating_add(u64::from(int.bit_offset)), int.bits),
                (width, _) => (bit_offset, width),
            };
            let layout = self.layout(member.id, depth + 1);
            into.push(Field { name: self.text(member.name), bit_offset, bit_width, layout });
        }
    }

    fn text(&self, name: NameOffset) -> String {
        String::from_utf8_lossy(self.btf.string(name)).into_owned()
    }
}

/// An enumerator's value as an enum of `size` bytes holds it.
fn narrow(value: i128, size: u64, signed: bool) -> i128 {
    let bits = u32::try_from(size.min(8) * 8).unwrap_or(64);
    let low = value & ((1i128 << bits) - 1);
    if signed && low >> (bits - 1) & 1 != 0 { low - (1i128 << bits) } else { low }
}
