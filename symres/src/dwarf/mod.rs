//! What the debug information (DWARF 2 to 5) knows about functions.

mod abbreviations;
mod budget;
mod candidates;
mod code;
mod describe;
mod details;
mod gather;
mod index;
mod indexed;
mod info;
mod lines;
mod load;
mod locate;
mod map;
pub(crate) mod reader;
mod remembered;
mod rows;
pub(crate) mod sections;
mod shape;
#[allow(dead_code, reason = "its tests read more than an answer tells")]
pub(crate) mod signature;
mod split;
mod stream;
mod tree;
mod types;
mod units;
mod values;
mod wanted;

pub(crate) use describe::Described;
pub(crate) use details::Wanted;
pub(crate) use gather::Occurrence;
pub(crate) use info::{Found, Information};
pub(crate) use locate::LineCode;
pub(crate) use map::Located;
pub(crate) use types::Named;
