//! Stage 11: BTF layout and bytes to values.

mod value;

pub use value::Value;
