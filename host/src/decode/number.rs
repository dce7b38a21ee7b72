//! One number of a type, read in place.

use super::layout::{Field, Layout, Shape};
use super::view::View;

/// Where a number of a type is.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberAt {
    field: Field,
}

impl Layout {
    /// Where the number is that a path of field names leads to; the number that the type itself is at an empty path. None
    /// where the path leads to no number.
    pub fn number_at(&self, path: &[String]) -> Option<NumberAt> {
        let mut field = Field { name: String::new(), bit_offset: 0, bit_width: 0, layout: self.clone() };
        for name in path {
            let Shape::Struct(fields) = &field.layout.shape else { return None };
            let inner = fields.iter().find(|inner| inner.name == *name)?;
            field = Field { bit_offset: field.bit_offset.checked_add(inner.bit_offset)?, ..inner.clone() };
        }
        let shape = &field.layout.shape;
        let is_number =
            matches!(shape, Shape::Unsigned | Shape::Signed | Shape::Bool | Shape::Pointer | Shape::Enum { .. });
        is_number.then_some(NumberAt { field })
    }
}

impl NumberAt {
    /// The number in a record of the type; none where the record is too short.
    pub fn read(&self, record: &[u8]) -> Option<i128> {
        match self.field.view(record) {
            View::Unsigned(number) => Some(i128::try_from(number).unwrap_or(i128::MAX)),
            View::Signed(number) | View::Enum { value: number, .. } => Some(number),
            View::Bool(truth) => Some(i128::from(truth)),
            View::Pointer(address) => Some(i128::from(address)),
            _ => None,
        }
    }
}
