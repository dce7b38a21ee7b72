//! What the debug information (DWARF 2 to 5) knows about functions.

mod abbreviations;
mod budget;
mod candidates;
mod code;
mod describe;
mod details;
mod gather;
mod info;
mod kept;
mod lines;
mod load;
mod locate;
mod map;
mod outline;
mod outlined;
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
pub(crate) use details::{Wanted, WantedCode};
pub(crate) use gather::Occurrence;
pub(crate) use info::{Found, Information};
pub(crate) use locate::LineCode;
pub(crate) use map::Located;
pub(crate) use outline::Outlined;
pub(crate) use outlined::Outlines;
pub(crate) use types::Named;
