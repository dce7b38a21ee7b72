//! What is known of a place that can be probed: which values it has, of which types and where, what it returns, how that is
//! known, and how a probe of it is written.
//!
//! What is read once for many places is a value of its own ([`KernelPrototypes`] for the kernel's types); the prototype of one
//! place is made when it is asked for.

pub mod c;
mod kernel;
mod record;
mod snippet;
mod spelling;
mod usdt;
mod user;

pub use kernel::KernelPrototypes;
pub use record::{system_call, tracepoint};
pub use snippet::{Snippet, function_name, last_name, most_bound, snippet, snippet_named};
pub use usdt::usdt;
pub use user::user_function;

/// What a place takes and returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype {
    /// Its values, in the order of the declaration.
    pub arguments: Vec<Argument>,
    /// Whether more may follow (`...`).
    pub variadic: bool,
    /// What it returns; none where nothing is returned to look at (a tracepoint), or where that is not known
    /// ([`KnownFrom::DemangledName`]).
    pub returns: Option<Argument>,
    /// How this is known.
    pub known_from: KnownFrom,
}

/// A value at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its name; none where it has none, or none is known.
    pub name: Option<String>,
    /// Its type as its source writes it: `struct sock *`, `THD*`, `__data_loc char[]`. It comes from a binary or from the kernel,
    /// as it is.
    pub ty: String,
    /// Type and name as a declaration: `struct sock *sk`, `char comm[16]`; the type alone where there is no name.
    pub declared: String,
    /// What its bytes mean.
    pub class: Class,
    /// Where it is.
    pub place: Where,
}

/// What the bytes of a value mean to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Class {
    /// No value.
    Void,
    /// An integer, a character, an enumeration.
    Integer {
        /// In bytes.
        size: u64,
        /// Whether it has a sign.
        signed: bool,
    },
    /// `bool`.
    Boolean,
    /// A floating point number.
    Float,
    /// A pointer to characters: perhaps a text that ends with NUL.
    Text(Owner),
    /// An array of so many characters in the record itself: a text.
    TextArray(u64),
    /// A text behind the record (`__data_loc char[]`).
    TextBehind,
    /// A pointer to a struct or union that the kernel's types describe, or name.
    KernelStruct(Owner),
    /// A pointer or reference to an object of the traced program: a class, a struct.
    Object,
    /// Another pointer.
    Pointer(Owner),
    /// A struct, a union, a class or an array by value, with its size in bytes where that is known.
    Aggregate(Option<u64>),
    /// Eight bytes without a type: a pointer or an unsigned integer.
    Word,
    /// Nothing is known.
    Unknown,
}

/// Whose memory a pointer points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The kernel's.
    Kernel,
    /// The process's.
    Process,
    /// Its type does not tell.
    Either,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Where {
    /// In the argument register of that number, from 1 (`PT_REGS_PARM1(ctx)`); of the kernel's functions and tracepoints also
    /// the number among the arguments that are handed over. An aggregate of more than 8 bytes takes the next one too.
    Argument(usize),
    /// In memory at the entry: so many bytes above the stack pointer.
    Stack(u64),
    /// In the register of the return value (`PT_REGS_RC(ctx)`).
    Return,
    /// In a field of the record, by the name that it has in the struct of the probe (`args->NAME`).
    Field {
        /// That name.
        name: String,
        /// Offset in the record, in bytes.
        offset: u32,
        /// Size in bytes.
        size: u32,
    },
    /// The argument of a USDT probe of that number, from 1.
    Usdt(usize),
    /// Elsewhere, in words: `xmm0`, `rdi:8, rsi:8`.
    Elsewhere(String),
    /// The compiler keeps it nowhere, or not at each of the places that are probed.
    OptimizedOut,
    /// It is not known.
    Unknown,
}

/// How a prototype is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownFrom {
    /// The kernel's types.
    Btf,
    /// The format file of a tracepoint.
    TracepointFormat,
    /// The debug information of a binary.
    Dwarf,
    /// The mangled name of a function: types only, and nothing of what it returns.
    DemangledName,
    /// The note of a USDT probe: sizes and places, and no types.
    UsdtNote,
}

impl KnownFrom {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Btf => "BTF",
            Self::TracepointFormat => "tracepoint format",
            Self::Dwarf => "DWARF",
            Self::DemangledName => "demangled name",
            Self::UsdtNote => "USDT note",
        }
    }

    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Btf => "btf",
            Self::TracepointFormat => "tracepoint-format",
            Self::Dwarf => "dwarf",
            Self::DemangledName => "demangled-name",
            Self::UsdtNote => "usdt-note",
        }
    }
}

impl Class {
    /// For programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Integer { signed: true, .. } => "signed",
            Self::Integer { signed: false, .. } => "unsigned",
            Self::Boolean => "boolean",
            Self::Float => "float",
            Self::Text(_) | Self::TextArray(_) | Self::TextBehind => "text",
            Self::KernelStruct(_) => "struct-pointer",
            Self::Object | Self::Pointer(_) => "pointer",
            Self::Aggregate(_) => "aggregate",
            Self::Word => "word",
            Self::Unknown => "unknown",
        }
    }

    /// How many argument registers it takes.
    pub fn registers(self) -> usize {
        match self {
            Self::Aggregate(Some(9..)) | Self::Integer { size: 9.., .. } => 2,
            _ => 1,
        }
    }
}

impl Argument {
    /// Its number, where it is an argument in a register, or one of a call in the kernel.
    pub fn number(&self) -> Option<usize> {
        match self.place {
            Where::Argument(number) => Some(number),
            _ => None,
        }
    }
}

impl Prototype {
    /// One line for people, in the manner of C: `int (struct sock *sk, size_t size)`; without the type that is returned where
    /// that is nothing or not known.
    pub fn line(&self) -> String {
        let mut arguments: Vec<&str> = self.arguments.iter().map(|argument| argument.declared.as_str()).collect();
        if self.variadic {
            arguments.push("...");
        }
        let returns = self.returns.as_ref().map(|returned| format!("{} ", returned.ty)).unwrap_or_default();
        format!("{returns}({})", arguments.join(", "))
    }
}

#[cfg(test)]
mod tests;
