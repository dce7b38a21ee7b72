//! Attach kinds: one file each, one row each in [`KINDS`].

/// What a program of a kind is handed, as rewriting needs to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// `struct pt_regs *`; bound arguments are the function's arguments in registers. On a return the arguments are
    /// gone, and the return value is there.
    Registers {
        /// Whether it is the function's return.
        returns: bool,
        /// Whose memory pointers among the arguments point to.
        memory: Memory,
    },
    /// `u64 *`: the arguments of a kernel function by number; on a return (fexit) the return value behind them.
    Arguments {
        /// Whether it is the function's return.
        returns: bool,
    },
    /// The record of a tracepoint: a struct with the fields of its format.
    Record,
    /// Something else: the context is passed on as it is.
    Opaque,
}

/// Whose memory a pointer points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// The kernel's.
    Kernel,
    /// The traced process's.
    User,
}

/// An attach kind.
pub trait Kind: Sync {
    /// Its name, as in `--attach NAME:TARGET=FUNCTION`.
    fn name(&self) -> &'static str;

    /// One line on what it attaches to and on how its target is written.
    fn summary(&self) -> &'static str;

    /// Prefixes of function names that mean this kind, as in `kprobe__`; the rest of the name is the target.
    fn prefixes(&self) -> &'static [&'static str] {
        &[]
    }

    /// Names of the sections that libbpf gives this kind, as in `kprobe` for `SEC("kprobe/f")`; the first is the one
    /// to generate.
    fn sections(&self) -> &'static [&'static str];

    /// What a program of this kind is handed.
    fn context(&self) -> Context;

    /// The kind that serves the same function better where the kernel and the program allow it: fentry for kprobe,
    /// fexit for kretprobe.
    fn better(&self) -> Option<&'static str> {
        None
    }
}

/// The rows. A test walks them.
pub static KINDS: &[&dyn Kind] = &[];

/// The row of that name.
pub fn by_name(name: &str) -> Option<&'static dyn Kind> {
    KINDS.iter().copied().find(|kind| kind.name() == name)
}
