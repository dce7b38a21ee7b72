//! Bytes to values, by a layout.

use super::layout::{Field, Layout, Shape};
use super::value::Value;
use super::view::View;

/// Most values that one record is decoded to; what comes behind is [`Value::Bytes`].
pub(super) const MAX_VALUES: u32 = 1 << 16;

/// What a record of a perf buffer may be longer than its type: the kernel pads to 8 bytes.
pub(super) const PADDING: u64 = 7;

/// A decoded record.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Its value. [`Value::Bytes`] where the bytes are fewer than the type has.
    pub value: Value,
    /// What does not fit between the type and the bytes, in words.
    pub mismatch: Option<String>,
}

impl Layout {
    /// Decodes the bytes of a record or of a key or value of a map. Of a struct there may be less: programs hand over as
    /// much of a struct as they have filled, which then ends behind a field or within an array.
    pub fn decode(&self, bytes: &[u8]) -> Decoded {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length < self.size {
            if let Some(value) = self.part(bytes) {
                return Decoded { value, mismatch: None };
            }
            let mismatch = Some(format!("the record has {length} bytes, but its type has {}", self.size));
            return Decoded { value: Value::Bytes(bytes.to_vec()), mismatch };
        }
        let mut left = MAX_VALUES;
        let value = self.read(bytes, &mut left);
        let trailing = length - self.size;
        let mismatch = (trailing > PADDING && self.size > 0 && !self.is_flexible())
            .then(|| format!("the record has {length} bytes, but its type has only {}", self.size));
        Decoded { value, mismatch }
    }

    /// The fields of a struct of which there is less than the type has; none where the bytes end within one that is no
    /// array.
    fn part(&self, bytes: &[u8]) -> Option<Value> {
        let Shape::Struct(fields) = &self.shape else { return None };
        let length = u64::try_from(bytes.len()).ok()?;
        let (mut left, mut found) = (MAX_VALUES, Vec::new());
        for field in fields {
            let start = field.bit_offset / 8;
            if start >= length {
                break;
            }
            let bits =
                if field.bit_width > 0 { u64::from(field.bit_width) } else { field.layout.size.checked_mul(8)? };
            if field.bit_offset.checked_add(bits)? <= length.checked_mul(8)? {
                found.push(field.read(bytes, &mut left));
                continue;
            }
            let rest = bytes.get(usize::try_from(start).ok()?..)?;
            let value = match &field.layout.shape {
                Shape::Text { .. } => text(rest),
                Shape::Array { element, .. } => {
                    let each = usize::try_from(element.size).ok().filter(|each| *each > 0)?;
                    Value::Array(rest.chunks_exact(each).map(|one| element.read(one, &mut left)).collect())
                }
                _ => return None,
            };
            found.push((field.name.clone(), value));
        }
        (!found.is_empty()).then_some(Value::Struct(found))
    }

    /// Whether the type ends in an array without a length, which takes what is there.
    pub(super) fn is_flexible(&self) -> bool {
        match &self.shape {
            Shape::Text { flexible } | Shape::Array { flexible, .. } => *flexible,
            Shape::Struct(fields) => fields.last().is_some_and(|last| last.layout.is_flexible()),
            _ => false,
        }
    }

    /// Reads a value that starts at the first of `bytes`. Flexible arrays take all of them.
    fn read(&self, bytes: &[u8], left: &mut u32) -> Value {
        let Some(fewer) = left.checked_sub(1) else { return Value::Bytes(Vec::new()) };
        *left = fewer;
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let Some(own) = bytes.get(..size) else { return Value::Bytes(bytes.to_vec()) };
        match &self.shape {
            Shape::Struct(fields) => Value::Struct(fields.iter().map(|field| field.read(bytes, left)).collect()),
            Shape::Text { flexible } => text(if *flexible { bytes } else { own }),
            Shape::Array { element, flexible } => {
                let each = usize::try_from(element.size).unwrap_or(usize::MAX).max(1);
                let all = if *flexible { bytes } else { own };
                let mut values = Vec::new();
                for (index, one) in all.chunks_exact(each).enumerate() {
                    if *left == 0 {
                        values.push(Value::Bytes(all.get(index * each..).unwrap_or_default().to_vec()));
                        break;
                    }
                    values.push(element.read(one, left));
                }
                Value::Array(values)
            }
            _ => scalar(self.view(own)),
        }
    }

    /// The meaning of a number of so many bits.
    pub(super) fn number(&self, raw: u128, bits: u32) -> View<'_> {
        match &self.shape {
            Shape::Signed => View::Signed(sign_extend(raw, bits)),
            Shape::Bool => View::Bool(raw != 0),
            Shape::Pointer => View::Pointer(u64::try_from(raw).unwrap_or(u64::MAX)),
            Shape::Enum { signed, names } => {
                let value = if *signed { sign_extend(raw, bits) } else { raw.cast_signed() };
                let found = names.binary_search_by_key(&value, |(value, _)| *value).ok();
                let name = found.and_then(|index| names.get(index)).map(|(_, name)| name.as_str());
                View::Enum { name, value }
            }
            _ => View::Unsigned(raw),
        }
    }
}

impl Field {
    fn read(&self, record: &[u8], left: &mut u32) -> (String, Value) {
        let start = usize::try_from(self.bit_offset / 8).unwrap_or(usize::MAX);
        let value = if self.bit_width > 0 {
            bit_field(record, self.bit_offset, self.bit_width)
                .map_or_else(|| Value::Bytes(Vec::new()), |raw| scalar(self.layout.number(raw, self.bit_width)))
        } else {
            self.layout.read(record.get(start..).unwrap_or_default(), left)
        };
        (self.name.clone(), value)
    }
}

/// What is seen of a value that has no parts, as a value of its own.
fn scalar(seen: View<'_>) -> Value {
    match seen {
        View::Unsigned(number) => Value::Unsigned(number),
        View::Signed(number) => Value::Signed(number),
        View::Bool(truth) => Value::Bool(truth),
        View::Float(number) => Value::Float(number),
        View::Enum { name, value } => Value::Enum { name: name.map(str::to_owned), value },
        View::Pointer(address) => Value::Pointer(address),
        View::Text(bytes) => Value::Text(bytes.to_vec()),
        View::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        View::Struct(_) | View::Array(_) | View::PerCpu(..) => Value::Bytes(Vec::new()),
    }
}

/// The text of a `char` array.
fn text(bytes: &[u8]) -> Value {
    Value::Text(up_to_nul(bytes).to_vec())
}

/// What stands before the first NUL.
pub(super) fn up_to_nul(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

/// A number of up to 16 bytes in the byte order of this machine, which is that of the BPF programs that it runs.
pub(super) fn integer(bytes: &[u8]) -> Option<u128> {
    let mut wide = [0u8; 16];
    let place = if cfg!(target_endian = "big") { 16usize.checked_sub(bytes.len())? } else { 0 };
    wide.get_mut(place..place.checked_add(bytes.len())?)?.copy_from_slice(bytes);
    (!bytes.is_empty()).then(|| u128::from_ne_bytes(wide))
}

/// The bits of a bit field: counted from the least significant bit on little-endian machines, from the most
/// significant on others.
pub(super) fn bit_field(record: &[u8], bit_offset: u64, bit_width: u32) -> Option<u128> {
    let last = bit_offset.checked_add(u64::from(bit_width))?.div_ceil(8);
    let bytes = record.get(usize::try_from(bit_offset / 8).ok()?..usize::try_from(last).ok()?)?;
    let within = u32::try_from(bit_offset % 8).ok()?;
    let shift = if cfg!(target_endian = "big") {
        u32::try_from(bytes.len() * 8).ok()?.checked_sub(within)?.checked_sub(bit_width)?
    } else {
        within
    };
    let mask = u128::MAX.checked_shr(128u32.checked_sub(bit_width)?)?;
    Some(integer(bytes)?.checked_shr(shift)? & mask)
}

fn sign_extend(raw: u128, bits: u32) -> i128 {
    match 128u32.checked_sub(bits) {
        Some(shift) if shift < 128 => (raw << shift).cast_signed() >> shift,
        _ => raw.cast_signed(),
    }
}

/// A floating point number of 4 or 8 bytes.
pub(super) fn float(bytes: &[u8]) -> Option<f64> {
    let single = || bytes.try_into().ok().map(|bytes| f64::from(f32::from_ne_bytes(bytes)));
    bytes.try_into().ok().map(f64::from_ne_bytes).or_else(single)
}
