//! The only user of `clang_sys`: what rewriting needs of libclang, as owners with `Drop` and values that borrow them.
//!
//! The library is loaded at run time from the path that the toolchain names ([`Library::load`]); nothing searches for
//! it and no `llvm-config` is run. `clang_sys` gives types, constants and the signatures that ours are checked against;
//! its own loader is not used, because it finds the library through the environment and keeps it in a thread-local.
//!
//! Invariants: a [`Cursor`] or [`Type`] cannot outlive its [`Unit`]; every `CXString` is copied and disposed
//! in one place; no callback of libclang's can unwind into it.

#![allow(unsafe_code, reason = "the border to libclang, a C library")]

mod cursor;
mod diagnostic;
mod library;
mod types;
mod unit;

pub use cursor::{BinaryOp, Cursor, CursorKind, Storage, UnaryOp};
pub use diagnostic::{Fix, Level, Message, Place};
pub use library::{Library, LibraryError};
pub use types::{Type, TypeKind};
pub use unit::{ParseError, Unit};

#[cfg(test)]
mod tests;
