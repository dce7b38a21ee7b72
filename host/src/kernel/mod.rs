//! What this kernel is and offers, asked of the kernel itself.

pub mod btf;
pub mod tracefs;
