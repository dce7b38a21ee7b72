//! What a search gives back.

use std::fmt;
use std::path::PathBuf;

use crate::addr::{ByteSpan, FileOffset, Pid, VirtAddr};
use crate::demangle;
use crate::location::Argument;
use crate::signature::Signature;
use crate::source::Table;

/// A function of a binary, with every place in it where its code is.
///
/// One row for each out-of-line body; the inlined copies belong to the row of the body that the same source function has,
/// or to a row of their own where it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// As people read it; the symbol's own name when it is not a mangled one.
    pub name: String,
    /// As the symbol table or the debug information has it (linkage name), without symbol version.
    pub mangled: String,
    /// Where it was found, the most complete source first.
    pub tables: Vec<Table>,
    /// What a probe on its body would see.
    pub role: Role,
    /// All other functions at the address of its body. A probe fires for each of them, whether or not their names match.
    pub aliases: Vec<Alias>,
    /// Its parameters and what it returns, as far as the debug information or its name tells.
    pub signature: Option<Signature>,
    /// Where the source declares it.
    pub declared: Option<SourceLine>,
    /// Where its code is: the body first, then the inlined copies by address. Empty where the debug information knows the
    /// function, but no instruction of it is left.
    pub places: Vec<Place>,
}

impl Function {
    /// The place of its out-of-line body.
    pub fn body(&self) -> Option<&Place> {
        self.places.iter().find(|place| !matches!(place.kind, PlaceKind::Inlined(_)))
    }

    /// Its inlined copies.
    pub fn inlined(&self) -> impl Iterator<Item = (&Place, &Inlined)> {
        self.places.iter().filter_map(|place| match &place.kind {
            PlaceKind::Inlined(inlined) => Some((place, inlined)),
            _ => None,
        })
    }
}

/// One instruction at which a function can be probed, and the code that begins there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of its first instruction, before any load bias.
    pub addr: VirtAddr,
    /// Of its first instruction: what a uprobe is attached to.
    pub offset: FileOffset,
    /// Of its code, for an inlined copy of all its ranges together; 0 where nothing tells it (assembler).
    pub size: ByteSpan,
    /// What begins there.
    pub kind: PlaceKind,
    /// The first bytes of its code, at most [`ENTRY_BYTES`].
    pub entry: Vec<u8>,
    /// Where each of the signature's parameters is when this instruction is about to run, in their order. Empty where the
    /// debug information does not know the place.
    pub arguments: Vec<Argument>,
}

/// How many bytes of a place's code [`Place::entry`] holds: enough for any one x86-64 instruction behind an `endbr64`, and no
/// more.
pub const ENTRY_BYTES: usize = 20;

/// What begins at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceKind {
    /// The function's out-of-line body.
    Body,
    /// A copy of it in the code of another function.
    Inlined(Inlined),
    /// An instruction inside of the function, which was asked for by address, offset or line.
    Inside {
        /// Bytes from the start of the body.
        from_entry: ByteSpan,
        /// The line of the source that it belongs to.
        line: Option<SourceLine>,
        /// The functions that are inlined there, innermost first.
        inlined: Vec<Caller>,
    },
    /// An entry of the procedure linkage table, through which this file calls a function of another one.
    Plt,
}

/// An inlined copy: where it came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inlined {
    /// Into whom, innermost first; the last one is the out-of-line function that holds the instruction.
    pub callers: Vec<Caller>,
}

/// A function into which another one was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// As people read it.
    pub name: String,
    /// The line of the call in its source.
    pub line: Option<SourceLine>,
}

/// A line of a source file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLine {
    /// As the debug information has it: often an absolute path on the machine that built it.
    pub file: String,
    /// Counted from 1.
    pub line: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Another name of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alias {
    /// As people read it.
    pub name: String,
    /// As the symbol table has it.
    pub mangled: String,
}

impl Alias {
    /// The names of `symbols`, but for `known`, which is the function's own.
    pub(crate) fn others<'s>(symbols: impl IntoIterator<Item = &'s String>, known: &str) -> Vec<Self> {
        let others = symbols.into_iter().filter(|symbol| *symbol != known);
        others.map(|symbol| Self { name: demangle(symbol), mangled: symbol.clone() }).collect()
    }
}

/// What calls a probe on a symbol sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// All calls that were not inlined.
    Whole,
    /// `.isra.0`, `.constprop.0`, …: a copy that the compiler made for some callers, or for all. It may have lost
    /// parameters, so that the others are in other registers.
    Copy,
    /// `.part.0`, `.cold`, …: a piece that only some calls reach, by a call or by a jump.
    Piece,
    /// A thunk or wrapper, which jumps to the function of this name; a probe there sees the call again.
    Thunk,
    /// `STT_GNU_IFUNC`: called once, to choose the function that is called from then on.
    Resolver,
    /// An entry of the procedure linkage table.
    Plt,
}

impl Role {
    /// The short name for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Role::Whole => "function",
            Role::Copy => "copy",
            Role::Piece => "piece",
            Role::Thunk => "thunk",
            Role::Resolver => "resolver",
            Role::Plt => "plt",
        }
    }

    /// What to know before probing it; none for ordinary functions.
    pub fn caution(self) -> Option<&'static str> {
        match self {
            Role::Whole => None,
            Role::Copy => Some(
                "a copy made by the compiler: its parameters may be fewer than in the source and in other registers",
            ),
            Role::Piece => Some("a piece of the function: only some of its calls come here"),
            Role::Thunk => Some("a wrapper that goes on to the function itself: a probe on both counts a call twice"),
            Role::Resolver => {
                Some("an IFUNC: this code runs once, to choose the implementation for this processor; probe that one")
            }
            Role::Plt => Some("the way to a function of another file: only calls from this file come here"),
        }
    }
}

impl Place {
    /// Its first instruction is `endbr64` (f3 0f 1e fa), as with `-fcf-protection`. The kernel single-steps it when it is
    /// probed; the instruction behind it is often one that the kernel emulates ten times faster.
    pub fn starts_with_endbr64(&self) -> bool {
        self.entry.starts_with(&[0xf3, 0x0f, 0x1e, 0xfa])
    }
}

/// How many functions a table names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableCount {
    /// The table.
    pub table: Table,
    /// Functions that the file defines, with an address in its code.
    pub functions: usize,
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Every function that matches, grouped by address; the shortest qualified names first.
    pub matches: Vec<Function>,
    /// Functions that were perhaps meant, best first; at most [`NEAR_LIMIT`].
    pub near: Vec<Function>,
    /// There are more than those.
    pub more_near: bool,
    /// What was searched. A table that the binary does not have is not listed.
    pub tables: Vec<TableCount>,
    /// Why nothing matches; none exactly when something does.
    pub reason: Option<Reason>,
    /// Functions to probe instead of the one that is not there, as far as the code or the debug information tells: exported
    /// ones first; at most [`NEAR_LIMIT`]. Empty when something matches.
    pub instead: Vec<Neighbour>,
    /// What the answer may lack, in words: parts of the debug information that could not be read, copies that are described
    /// and not in the file.
    pub notes: Vec<String>,
}

impl Answer {
    /// Lets what matches be near misses only.
    pub(crate) fn set_aside(&mut self, reason: Reason) {
        if !self.matches.is_empty() {
            self.near = std::mem::take(&mut self.matches);
            self.more_near = self.near.len() > NEAR_LIMIT;
            self.near.truncate(NEAR_LIMIT);
        }
        self.reason = Some(reason);
    }
}

/// A function beside one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// As people read it.
    pub name: String,
    /// Where it begins; none where only the debug information has its name.
    pub addr: Option<VirtAddr>,
    /// The dynamic symbol table has it: it keeps its name in a stripped file.
    pub exported: bool,
    /// What it is to it.
    pub relation: Relation,
    /// What was found of the function that is not there: the symbol of a piece or of an entry of the procedure linkage table.
    pub of: String,
}

/// What a function is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Relation {
    /// It calls the other, or ends in a jump to it.
    Caller,
    /// The other was inlined into it.
    InlinedInto,
    /// The other calls it, or ends in a jump to it.
    Callee,
}

impl Relation {
    /// The short name for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Relation::Caller => "caller",
            Relation::InlinedInto => "inlined-into",
            Relation::Callee => "callee",
        }
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, of, .. } = self;
        match self.relation {
            Relation::Caller => write!(f, "{name}, which calls {of}"),
            Relation::InlinedInto => write!(f, "{name}, which {of} is inlined into"),
            Relation::Callee => write!(f, "{name}, which {of} calls"),
        }
    }
}

/// The most near misses in an answer.
pub const NEAR_LIMIT: usize = 10;

/// Why no function matches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// There is no symbol table at all.
    NoSymbols,
    /// The full symbol table was stripped; only exported functions have names.
    Stripped {
        /// How many exported functions there are.
        exported: usize,
        /// The file with the rest, as `.gnu_debuglink` names it.
        debug_link: Option<String>,
    },
    /// Only exported functions have names; the file with the others is there, but is not used.
    DebugFileRefused {
        /// How many exported functions there are.
        exported: usize,
        /// The debug file; the binary itself when the names are packed in it.
        file: PathBuf,
        /// It belongs to another build, is damaged, …
        why: String,
    },
    /// The file is there, but the process that was asked about has not loaded it.
    NotMapped {
        /// The process.
        pid: Pid,
    },
    /// The binary calls the function, but another file defines it.
    Imported,
    /// There is a variable of that name.
    NotAFunction,
    /// The function is there under that name, but with other parameters, in another class, or as another instance.
    OtherSignature,
    /// Only pieces or thunks of it are there: the function itself was inlined into its callers.
    OnlyPieces,
    /// Neither the complete symbol table nor the debug information, where there is some, has it.
    NotThere {
        /// Debug information was searched, which knows inlined functions too.
        debug_info: bool,
    },
    /// The source defines it, but no instruction of it is left: nothing called it, or the compiler knew the result.
    OptimizedAway {
        /// Where it is defined.
        declared: Option<SourceLine>,
    },
    /// The source only declares it: if it is called at all, another file defines it.
    OnlyDeclared {
        /// Where.
        declared: Option<SourceLine>,
    },
    /// The function is there, but the file does not call it through the procedure linkage table.
    NoPlt,
    /// The address is not one of the file's code.
    NoCode,
    /// The address is code, but nothing tells what function it is in.
    NoFunction,
    /// The offset is behind the end of the function.
    BehindEnd {
        /// How many bytes the longest function of that name has; none when all of them were inlined everywhere.
        size: Option<ByteSpan>,
    },
    /// Lines are known to the debug information alone, and there is none.
    NoDebugInfo,
    /// No source file of that name was compiled into the binary.
    NoSuchFile,
    /// Neither the line nor one behind it in the file has code.
    NoCodeAtLine,
}

impl Reason {
    /// The short name for JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Reason::NoSymbols => "no-symbols",
            Reason::Stripped { .. } => "stripped",
            Reason::DebugFileRefused { .. } => "debug-file-refused",
            Reason::NotMapped { .. } => "not-mapped",
            Reason::Imported => "imported",
            Reason::NotAFunction => "not-a-function",
            Reason::OtherSignature => "other-signature",
            Reason::OnlyPieces => "only-pieces",
            Reason::NotThere { .. } => "not-there",
            Reason::OptimizedAway { .. } => "optimized-away",
            Reason::OnlyDeclared { .. } => "only-declared",
            Reason::NoPlt => "no-plt",
            Reason::NoCode => "no-code",
            Reason::NoFunction => "no-function",
            Reason::BehindEnd { .. } => "behind-end",
            Reason::NoDebugInfo => "no-debug-info",
            Reason::NoSuchFile => "no-such-file",
            Reason::NoCodeAtLine => "no-code-at-line",
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Reason::NoSymbols => "use a build of the program that is not stripped",
            Reason::Stripped { .. } => {
                "probe an exported function that is called at the same moment (`dbcc symbols BINARY '*word*'` lists \
                 them), or use a build that is not stripped"
            }
            Reason::DebugFileRefused { .. } => {
                "install the debug file of this very build, or probe an exported function that is called at the same moment"
            }
            Reason::NotMapped { .. } => "name a file that the process has loaded, or leave the process out",
            Reason::Imported => {
                "name the library that defines it as BINARY, for example libc.so.6, or write NAME@plt to see this file's \
                 calls alone"
            }
            Reason::NotAFunction => "uprobes go on functions; name one that uses the variable",
            Reason::OtherSignature => "leave the parameters and classes out, or take one of the names below",
            Reason::OnlyPieces => "probe the callers; a probe on a piece below sees only the calls that reach it",
            Reason::NotThere { debug_info: true } => {
                "check the spelling; it may be in a library that the program loads (`dbcc symbols --pid N PATTERN` looks \
                 into all of them), or not be in this version"
            }
            Reason::NotThere { debug_info: false } => {
                "check the spelling; if the function exists in the source, it was inlined into its callers or is not \
                 in this version: probe a caller, or look in the libraries that the program loads"
            }
            Reason::OptimizedAway { .. } => "probe a function that did call it, or use a build with less optimisation",
            Reason::OnlyDeclared { .. } => "look in the libraries that the program loads",
            Reason::NoPlt => "leave @plt out to name the function itself",
            Reason::NoCode => {
                "addresses are those that `nm` and `readelf` show; one of a running process has the load bias in it, and \
                 may be in one of its libraries"
            }
            Reason::NoFunction => "use a build that is not stripped",
            Reason::BehindEnd { .. } => "count from the start of the function, or give the address",
            Reason::NoDebugInfo => "install the package with its debug information, or name a function",
            Reason::NoSuchFile => "give the end of the path as in the source, such as `sql/sql_connect.cc:478`",
            Reason::NoCodeAtLine => "name a line of a function that is in the file",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::NoSymbols => f.write_str("the binary has no symbol table, so none of its functions has a name"),
            Reason::Stripped { exported, debug_link } => {
                write!(
                    f,
                    "the binary is stripped: only its {exported} exported functions (dynamic symbols) have names, and \
                     none matches; static functions cannot be found"
                )?;
                match debug_link {
                    Some(link) => write!(f, " (the other names went to a separate file, `{link}`)"),
                    None => Ok(()),
                }
            }
            Reason::DebugFileRefused { exported, file, why } => {
                let file = file.display();
                write!(f, "the binary is stripped, and the file with its symbols is not used: `{file}`: {why}; ")?;
                match exported {
                    0 => f.write_str("so none of its functions has a name"),
                    _ => write!(
                        f,
                        "only its {exported} exported functions (dynamic symbols) have names, and none matches"
                    ),
                }
            }
            Reason::NotMapped { pid } => {
                write!(f, "process {pid} has not loaded this file, so that no probe in it would fire there")
            }
            Reason::Imported => f.write_str("the binary uses this function, but a shared library defines it"),
            Reason::NotAFunction => f.write_str("that is a variable, not a function"),
            Reason::OtherSignature => {
                f.write_str("functions of that name are there, but not with these parameters, classes or arguments")
            }
            Reason::OnlyPieces => {
                f.write_str("only pieces of it are there: the compiler inlined the function itself into its callers")
            }
            Reason::NotThere { debug_info: true } => {
                f.write_str("neither the symbols nor the debug information have a function of that name")
            }
            Reason::NotThere { debug_info: false } => {
                f.write_str("the symbol table is complete (not stripped) and has no function of that name")
            }
            Reason::OptimizedAway { declared } => {
                f.write_str("the source defines it, but the compiler or the linker left no instruction of it")?;
                declared.as_ref().map_or(Ok(()), |line| write!(f, " ({line})"))
            }
            Reason::OnlyDeclared { declared } => {
                f.write_str("the source only declares it, and nothing in this file defines it")?;
                declared.as_ref().map_or(Ok(()), |line| write!(f, " ({line})"))
            }
            Reason::NoPlt => f.write_str("the file has no entry of the procedure linkage table for this function"),
            Reason::NoCode => f.write_str("the file has no code at that address"),
            Reason::NoFunction => {
                f.write_str("there is code at that address, but nothing tells what function it is in")
            }
            Reason::BehindEnd { size: Some(size) } => write!(f, "the function has only {size} bytes"),
            Reason::NoDebugInfo => f.write_str("the binary has no debug information, so none of its lines is known"),
            Reason::NoSuchFile => f.write_str("no source file of that name is in the binary"),
            Reason::NoCodeAtLine => f.write_str("neither that line nor one behind it has code in the binary"),
            Reason::BehindEnd { size: None } => f.write_str("the function has no code of its own: it was inlined"),
        }
    }
}
