//! A decoded value, as renderers see it.

/// What bytes mean by their BTF type. Field order is the order of the C declaration.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer of up to 128 bits, bit fields included.
    Unsigned(u128),
    /// A signed integer of up to 128 bits, bit fields included.
    Signed(i128),
    /// A `bool`.
    Bool(bool),
    /// A floating point number.
    Float(f64),
    /// An enumeration: the enumerator's name where the value has one, and the value.
    Enum {
        /// Name of the enumerator.
        name: Option<String>,
        /// Its value.
        value: i128,
    },
    /// A `char` array up to its first NUL; bytes that are not UTF-8 are kept as they are.
    Text(Vec<u8>),
    /// A pointer, or an integer that is an address.
    Pointer(u64),
    /// A struct or union: names and values; an anonymous member's fields stand in their place.
    Struct(Vec<(String, Value)>),
    /// An array that is no text.
    Array(Vec<Value>),
    /// Bytes whose type is unknown or incomplete.
    Bytes(Vec<u8>),
    /// One value for each CPU.
    PerCpu(Vec<Value>),
}
