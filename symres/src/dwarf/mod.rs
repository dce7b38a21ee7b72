//! What the debug information (DWARF 2 to 5) knows about functions.

pub(crate) mod reader;
pub(crate) mod sections;
pub(crate) mod signature;
