//! Stage 11: BTF layout and bytes to values.
//!
//! [`Types`] holds the BTF of a probe's object and answers which [`Layout`] a type has; a layout turns bytes into a
//! [`Value`]. Layouts are made once, with their size and depth bounded, so that decoding an event cannot fail in other
//! ways than that the bytes are too few.

mod layout;
mod number;
mod plan;
mod print;
mod read;
mod types;
mod value;
mod view;

pub use layout::Layout;
pub use number::NumberAt;
pub use plan::EventType;
pub use print::{Print, PrintError, decode_print};
pub use read::Decoded;
pub use types::{MapTypes, Types, TypesError};
pub use value::Value;
pub use view::{Elements, Members, View};

#[cfg(test)]
mod tests;
