//! What the front half (template, parse, rewrite, compile) tells the back half (load, attach, decode): plain data.
//!
//! The front half runs in a worker process, so that no compiler stays in memory, and its answer is what the cache
//! keeps. So everything here can be serialised, and nothing here refers to libclang or libbpf.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::diag::Diagnostic;
use crate::linemap::LineMap;
use crate::source::{Source, Span};

/// What the kernel offers to attach to, each tried, not guessed. A probe sees them as `#ifdef DBCC_HAVE_…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    /// Kernel functions by kprobe and kretprobe (`DBCC_HAVE_KPROBE`).
    pub kprobe: bool,
    /// Kernel functions by fentry and fexit (`DBCC_HAVE_FENTRY`).
    pub fentry: bool,
    /// User functions by uprobe and uretprobe (`DBCC_HAVE_UPROBE`).
    pub uprobe: bool,
    /// Tracepoints by their perf events (`DBCC_HAVE_TRACEPOINT`); a single one is asked for by
    /// `DBCC_HAVE_TRACEPOINT__category__event`.
    pub tracepoint: bool,
    /// BPF ring buffers (`DBCC_HAVE_RINGBUF`), Linux 5.8.
    pub ringbuf: bool,
}

impl Features {
    /// A kernel that offers everything.
    pub const ALL: Self = Self { kprobe: true, fentry: true, uprobe: true, tracepoint: true, ringbuf: true };

    /// Each with the macro that is defined where the kernel has it.
    pub fn named(&mut self) -> [(&'static str, &mut bool); 5] {
        [
            ("DBCC_HAVE_KPROBE", &mut self.kprobe),
            ("DBCC_HAVE_FENTRY", &mut self.fentry),
            ("DBCC_HAVE_UPROBE", &mut self.uprobe),
            ("DBCC_HAVE_RINGBUF", &mut self.ringbuf),
            ("DBCC_HAVE_TRACEPOINT", &mut self.tracepoint),
        ]
    }
}

/// The macro (`-D`) that leaves prints to the kernel's trace pipe.
pub const TRACE_PIPE: &str = "DBCC_TRACE_PIPE";

/// Everything that the front half needs to know; the cache key is made of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompileRequest {
    /// The probe.
    pub source: Source,
    /// Functions whose attach kind is known from directives or the command line. The other functions are known by
    /// BCC's naming conventions (`kprobe__…`) or by `SEC("…")`.
    pub functions: Vec<FunctionKind>,
    /// Functions that others run by tail calls.
    pub tail_calls: Vec<TailCall>,
    /// `-D NAME=VALUE`, in order.
    pub defines: Vec<(String, String)>,
    /// What this kernel offers.
    pub features: Features,
    /// Tracepoints, as `category:name`, that are taken for missing.
    pub without_tracepoints: Vec<String>,
    /// The compiler to use.
    pub toolchain: Toolchain,
}

/// A function of the probe and the kind of place that it will be attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionKind {
    /// Name of the C function, or [`FunctionKind::OTHERS`].
    pub function: String,
    /// Name of a row of the KINDS table: `kprobe`, `uprobe`, …
    pub kind: String,
    /// The target as written behind `KIND:`, such as `tcp_sendmsg` or `sock:sock_send_length`.
    pub target: String,
}

impl FunctionKind {
    /// In place of a function's name: all of which nothing else is said.
    pub const OTHERS: &'static str = "*";
}

/// A function of the probe that is in an array of programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailCall {
    /// Name of the array.
    pub array: String,
    /// Name of the C function.
    pub function: String,
    /// Where the directive stands.
    pub span: Span,
}

/// A clang and the libclang beside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Toolchain {
    /// Path of the `clang` program.
    pub clang: std::path::PathBuf,
    /// Path of the libclang shared library.
    pub libclang: std::path::PathBuf,
    /// Major version of both.
    pub version: u32,
}

/// What the front half made of a probe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Compiled {
    /// The BPF object file.
    #[serde(skip)]
    pub elf: Vec<u8>,
    /// The C text that the object was compiled from, for `-v` and golden tests.
    pub text: String,
    /// Name of the file that the lines of the object say `text` is.
    pub file: String,
    /// From places in `text` back to places in the source.
    pub line_map: LineMap,
    /// What rewriting promised.
    pub facts: Facts,
    /// Warnings and notes; errors are the other arm of the result.
    pub warnings: Vec<Diagnostic>,
    /// The files that the object depends on and the request does not hold: with the same content, it is the same object. None
    /// where that cannot be told, because the probe asks whether there is a file, or because one changed meanwhile.
    pub inputs: Option<Vec<Input>>,
    /// What lints found, whether or not it is allowed.
    #[serde(default)]
    pub lints: Vec<Finding>,
    /// What the functions of the object have on the stack.
    #[serde(default)]
    pub stacks: Vec<StackUse>,
}

/// A file as it was read: a header beside the probe, or the types of a module of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its absolute path.
    pub path: std::path::PathBuf,
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub digest: String,
}

impl Input {
    /// A file that holds these bytes.
    pub fn new(path: &std::path::Path, bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { path: path.to_owned(), digest }
    }
}

/// Something in a probe that compiles, and that is probably not what was meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Name of the lint: a row of the LINTS table.
    pub lint: String,
    /// What is said about it.
    pub diagnostic: Diagnostic,
}

/// What a function has on the stack, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackUse {
    /// Name of the function in the object.
    pub function: String,
    /// Its own frame.
    pub frame: u64,
    /// The functions of the deepest chain of calls that it begins, itself first.
    pub chain: Vec<String>,
    /// What the verifier counts for that chain: each frame of several is rounded up to 32 bytes
    /// (kernel/bpf/verifier.c: `check_max_stack_depth`).
    pub total: u64,
}

/// What rewriting promised about programs and maps; the object is checked against it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The programs, in the order of the source.
    pub programs: Vec<ProgramFact>,
    /// The maps that the probe declares, in the order of the source.
    pub maps: Vec<MapFact>,
    /// The `bpf_trace_printk`/`bpf_printk` calls; the index is the id that a record carries.
    pub prints: Vec<PrintFact>,
    /// Whether the probe uses `FILTER_PID` or `FILTER_PID_OF` (so that `--pid` filters in the kernel).
    pub uses_filter_pid: bool,
    /// Tags of the kernel's structs that it holds as a whole, in variables and in structs of its own.
    pub copied: Vec<String>,
}

/// One program: a function of the probe that will be attached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgramFact {
    /// The C function as the user named it.
    pub function: String,
    /// Where its name stands.
    pub span: Span,
    /// Kind of attach point as the user asked for it: a row of KINDS (`kprobe`, `kretprobe`, `tracepoint`, …). Empty
    /// where no directive, convention or section tells.
    pub kind: String,
    /// Target known from the naming convention or the section (`tcp_sendmsg`, `sock:sock_send_length`); none where
    /// the directive or the command line gives it, or nothing does.
    pub target: Option<String>,
    /// The programs in the object that can serve this function, best first: `fexit` then `kretprobe`. Loading takes
    /// the first that the kernel accepts; the others are not loaded.
    pub forms: Vec<Form>,
    /// Why there is no fentry/fexit form, where the user asked for a kprobe or kretprobe.
    pub registers_because: Option<String>,
    /// What it reads of the registers that it is handed.
    pub reads: RegisterReads,
}

/// What a program reads of the registers at its place, itself or by the functions that it calls. Nothing where programs of
/// its kind are handed no registers. It may read less than is said here, and never more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterReads {
    /// The instruction pointer: `PT_REGS_IP`, `bpf_get_func_ip`.
    pub ip: bool,
    /// The stack pointer, and with it perhaps what is on the stack: `PT_REGS_SP`, `PT_REGS_RET`.
    pub sp: bool,
    /// It walks the stack: `get_stackid`, `bpf_get_stack`.
    pub stack: bool,
    /// Bit N is set for argument N + 1, as it is handed over in a register: `PT_REGS_PARM1` is bit 0. An argument that a
    /// parameter of the function is bound to counts where the function uses that parameter.
    pub arguments: u8,
    /// The register of the return value.
    pub return_value: bool,
    /// Any other register.
    pub others: bool,
    /// The registers go where they cannot be followed (copied as a whole, handed to a tail call): all of the above may be
    /// read.
    pub everything: bool,
}

impl RegisterReads {
    /// What is assumed of a program that cannot be looked into.
    pub const EVERYTHING: Self = Self {
        ip: true,
        sp: true,
        stack: true,
        arguments: u8::MAX,
        return_value: true,
        others: true,
        everything: true,
    };
}

/// One way to run a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Kind of this form: `fentry`, `fexit`, `kprobe`, `kretprobe`, …
    pub kind: String,
    /// Name of the function (program) in the object.
    pub program: String,
    /// For fentry and fexit: how many arguments the kernel function was taken to have; loading checks it. For usdt: how many
    /// the probe must have; resolving checks it.
    pub arguments: Option<u32>,
}

/// One map that the probe declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFact {
    /// Its name in the source and in the object.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
    /// What it is for.
    pub role: MapRole,
    /// Where it is shared with other programs, if it is.
    pub pin: Option<Pin>,
    /// Whether each record of a ring buffer begins with the time at which it was written: 8 bytes of CLOCK_MONOTONIC.
    pub stamped: bool,
}

/// A place in the file system of BPF that a map is pinned at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The path.
    pub path: String,
    /// Whether the map is made where it is not there; else another program has to make it.
    pub made: bool,
}

/// What a map is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MapRole {
    /// Holds keys and values, printed at the interval; types come from the map's BTF.
    Table,
    /// A BCC histogram (`BPF_HISTOGRAM`): log2 or linear slots.
    Histogram,
    /// Carries events through a perf buffer; the name of the C type of each kind of event in the object's BTF, as in
    /// `struct data_t`. Empty where no call that submits was seen.
    PerfEvents(Vec<String>),
    /// Carries events through a ring buffer; types as above.
    RingEvents(Vec<String>),
    /// Stack traces.
    Stacks,
    /// Anything else: never printed.
    Other,
}

/// One `bpf_trace_printk` call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintFact {
    /// The format as C understands it: escapes are resolved.
    pub format: String,
    /// Where the call stands.
    pub span: Span,
}

/// Name of the ring buffer that carries what `bpf_trace_printk` prints. The record is `struct dbcc_print` of
/// `templates/dbcc/print.h`.
pub const PRINT_MAP: &str = "dbcc_prints";
