//! Values as renderers see them, whether they were decoded or are still bytes: nothing is copied or allocated.

use super::layout::{Field, Layout, Shape};
use super::read;
use super::value::Value;

/// A value that is looked at.
#[derive(Debug, Clone, Copy)]
pub enum View<'a> {
    /// An unsigned integer.
    Unsigned(u128),
    /// A signed integer.
    Signed(i128),
    /// A `bool`.
    Bool(bool),
    /// A floating point number.
    Float(f64),
    /// An enumeration: the enumerator's name where the value has one, and the value.
    Enum {
        /// Name of the enumerator.
        name: Option<&'a str>,
        /// Its value.
        value: i128,
    },
    /// A `char` array up to its first NUL.
    Text(&'a [u8]),
    /// A pointer.
    Pointer(u64),
    /// A struct or union.
    Struct(Members<'a>),
    /// An array that is no text.
    Array(Elements<'a>),
    /// Bytes whose type is unknown or incomplete.
    Bytes(&'a [u8]),
    /// One value for each CPU.
    PerCpu(&'a Value, &'a [Value]),
}

/// The fields of a struct.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a>(Many<'a, &'a [(String, Value)], &'a [Field]>);

/// The elements of an array.
#[derive(Debug, Clone, Copy)]
pub struct Elements<'a>(Many<'a, &'a [Value], &'a Layout>);

#[derive(Debug, Clone, Copy)]
enum Many<'a, D, L> {
    Decoded(D),
    Raw(L, &'a [u8]),
}

impl<'a> Members<'a> {
    /// Fields that were decoded.
    pub fn of(fields: &'a [(String, Value)]) -> Self {
        Self(Many::Decoded(fields))
    }

    /// Names and values, in the order of the declaration.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, View<'a>)> {
        (0..self.len()).map_while(move |index| self.get(index))
    }

    /// How many there are.
    pub fn len(self) -> usize {
        match self.0 {
            Many::Decoded(fields) => fields.len(),
            Many::Raw(fields, _) => fields.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn get(self, index: usize) -> Option<(&'a str, View<'a>)> {
        match self.0 {
            Many::Decoded(fields) => fields.get(index).map(|(name, value)| (name.as_str(), View::of(value))),
            Many::Raw(fields, bytes) => fields.get(index).map(|field| (field.name.as_str(), field.view(bytes))),
        }
    }
}

impl<'a> Elements<'a> {
    /// The elements in their order.
    pub fn iter(self) -> impl Iterator<Item = View<'a>> {
        (0..self.len()).map_while(move |index| self.get(index))
    }

    /// How many there are.
    pub fn len(self) -> usize {
        match self.0 {
            Many::Decoded(elements) => elements.len(),
            Many::Raw(element, bytes) => bytes.len() / size(element),
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    fn get(self, index: usize) -> Option<View<'a>> {
        match self.0 {
            Many::Decoded(elements) => elements.get(index).map(View::of),
            Many::Raw(element, bytes) => {
                let start = index.checked_mul(size(element))?;
                bytes.get(start..start.checked_add(size(element))?).map(|bytes| element.view(bytes))
            }
        }
    }
}

impl<'a> View<'a> {
    /// A decoded value.
    pub fn of(value: &'a Value) -> Self {
        match value {
            Value::Unsigned(number) => Self::Unsigned(*number),
            Value::Signed(number) => Self::Signed(*number),
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Float(number) => Self::Float(*number),
            Value::Enum { name, value } => Self::Enum { name: name.as_deref(), value: *value },
            Value::Text(bytes) => Self::Text(bytes),
            Value::Pointer(address) => Self::Pointer(*address),
            Value::Struct(fields) => Self::Struct(Members::of(fields)),
            Value::Array(elements) => Self::Array(Elements(Many::Decoded(elements))),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::PerCpu(cpus) => Self::PerCpu(value, cpus),
        }
    }
}

impl Layout {
    /// Looks at bytes, which are as many as the type has or more. Flexible arrays are seen as empty.
    pub(super) fn view<'a>(&'a self, bytes: &'a [u8]) -> View<'a> {
        let Some(own) = bytes.get(..exact(self)) else { return View::Bytes(bytes) };
        match &self.shape {
            Shape::Struct(fields) => View::Struct(Members(Many::Raw(fields, own))),
            Shape::Text { .. } => View::Text(read::up_to_nul(own)),
            Shape::Array { element, .. } => View::Array(Elements(Many::Raw(element, own))),
            Shape::Float => read::float(own).map_or(View::Bytes(own), View::Float),
            Shape::Opaque => View::Bytes(own),
            _ => match read::integer(own) {
                Some(raw) => self.number(raw, u32::try_from(own.len() * 8).unwrap_or(128)),
                None => View::Bytes(own),
            },
        }
    }
}

impl Field {
    /// Looks at this field of a struct.
    pub(super) fn view<'a>(&'a self, record: &'a [u8]) -> View<'a> {
        if self.bit_width > 0 {
            let bits = read::bit_field(record, self.bit_offset, self.bit_width);
            return bits.map_or(View::Bytes(&[]), |raw| self.layout.number(raw, self.bit_width));
        }
        let start = usize::try_from(self.bit_offset / 8).unwrap_or(usize::MAX);
        self.layout.view(record.get(start..).unwrap_or_default())
    }
}

fn exact(layout: &Layout) -> usize {
    usize::try_from(layout.size).unwrap_or(usize::MAX)
}

/// Bytes of a type; at least 1, so that it can divide.
fn size(layout: &Layout) -> usize {
    exact(layout).max(1)
}
