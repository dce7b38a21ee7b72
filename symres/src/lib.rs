//! From a binary and a function name to addresses and file offsets.
//!
//! ```no_run
//! # fn main() -> Result<(), symres::Error> {
//! let server = symres::Binary::find("mysqld")?;
//! let answer = server.functions(&"check_connection".parse()?)?;
//! for function in &answer.matches {
//!     for place in &function.places {
//!         println!("{} at {} in {}", function.name, place.offset, server.path().display());
//!     }
//! }
//! if let Some(reason) = &answer.reason {
//!     println!("not found: {reason}; {}", reason.advice());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Binaries are not trusted: a damaged or hostile one gives an [`Error`], after bounded work.
#![forbid(unsafe_code)]

mod addr;
mod answer;
mod bias;
mod binary;
mod calls;
mod debug;
mod demangle;
mod dwarf;
mod elf;
mod error;
mod file;
mod glob;
mod instead;
pub mod layout;
mod lines;
mod location;
mod merge;
mod name;
mod near;
mod parallel;
mod pattern;
mod plt;
mod process;
mod search;
mod signature;
mod site;
mod source;
mod types;
mod usdt;

pub use addr::{ByteSpan, FileOffset, LoadBias, Pid, RuntimeAddr, Segment, VirtAddr};
pub use answer::{
    Alias, Answer, Caller, ENTRY_BYTES, Function, Inlined, NEAR_LIMIT, Neighbour, Place, PlaceKind, Reason, Relation,
    Role, SourceLine, TableCount,
};
pub use binary::{Binary, DebugInfo, First, FunctionSymbol, ProcessBinaries, TypeNames, first_of};
pub use calls::{Call, Calls};
pub use debug::{Consulted, DebugSource, Debuginfod, Doing, Options, Outcome, Progress, Step};
pub use elf::Machine;
pub use error::Error;
pub use lines::{CodeLine, Lines};
pub use location::{Argument, KnownBy, Location, Register};
pub use name::parameters::{NameParameters, parameters_of_name};
pub use pattern::{NameParts, Pattern, PatternForm};
pub use search::{List, Listed};
pub use signature::{Origin, Parameter, Signature, Type, TypeClass};
pub use site::{BestSite, Handling, KernelVersion, NoSite, Refusal, Site};
pub use source::Table;
pub use usdt::{
    ProcessUsdt, Usdt, UsdtArgument, UsdtFile, UsdtPlace, UsdtProbe, UsdtReason, UsdtSite, usdt_of_process,
};

/// The name that people know a symbol by: demangled if it is mangled and sound, else as it is.
pub fn demangle(symbol: &str) -> String {
    demangle::display(demangle::RawName::new(symbol)).unwrap_or_else(|| symbol.to_owned())
}
