//! Stage 4: the C side of the compiler host: preamble, headers that answer `#include <linux/…>`, kernel types.
//!
//! Two steps, so that what must be asked of the kernel lies between them as plain data: [`Needs::of`] finds what a
//! probe names, [`write()`] lays out the include tree. Nothing outside `templates/`, libbpf's headers and the folder of
//! the probe is ever included.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::diag::Diagnostic;
use crate::facts::{CompileRequest, Features};
use crate::kernel::btf::Names;
use crate::lex::{Lexed, TokenKind};

mod headers;
mod host;
mod index;
mod version;

pub use headers::LocalHeader;
pub use host::Host;
pub use index::{header_of, names};
pub use version::Versions;

/// Name of the file that the probe's text is compiled as, inside [`Templated::root`].
pub const MAIN_FILE: &str = "probe.c";

/// The contexts that programs run with, one header an architecture.
const ARCHITECTURES: &[(&str, &str)] = &[("x86_64", "ctx_x86_64.h"), ("aarch64", "ctx_arm64.h")];

/// The architectures that probes are compiled for, as Rust names them.
pub fn architectures() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.iter().map(|(name, _)| *name)
}

/// Names of what reads the arguments of USDT probes.
const USDT: &[&str] = &[
    "bpf_usdt_readarg",
    "bpf_usdt_readarg_p",
    "bpf_usdt_arg",
    "bpf_usdt_arg_cnt",
    "bpf_usdt_arg_size",
    "bpf_usdt_cookie",
    "BPF_USDT",
];

/// Prefix of the macros that say which tracepoints the kernel has.
pub const HAVE_TRACEPOINT: &str = "DBCC_HAVE_TRACEPOINT__";

/// A tracepoint, as a probe names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TracepointName {
    /// Its category: `sock`.
    pub category: String,
    /// Its name: `inet_sock_set_state`.
    pub name: String,
}

/// What a probe needs around it.
#[derive(Debug)]
pub struct Needs {
    /// The names that the slice of kernel types starts from.
    pub names: Names,
    /// The tracepoints whose records or presence it asks for.
    pub tracepoints: BTreeSet<TracepointName>,
    /// Headers beside the probe that it includes, with their texts: part of what the object depends on.
    pub local: Vec<LocalHeader>,
    /// Names that the probe declares at file scope: macros of the templates give way to them.
    declared: BTreeSet<String>,
    /// Macros of the kernel's configuration that it asks for.
    pub configuration: BTreeSet<String>,
    /// What it asks of the kernel's version.
    pub versions: Versions,
    /// All names in its text and in the bodies of the macros that these reach.
    pub identifiers: BTreeSet<String>,
    /// Files of the include tree, by path, with their texts.
    files: headers::Files,
}

/// What the kernel answered to a probe's [`Needs`].
#[derive(Debug, Clone, Default)]
pub struct KernelText {
    /// C declarations of the types that [`Needs::names`] reaches.
    pub types: String,
    /// For each tracepoint of [`Needs::tracepoints`] that the kernel has: it, and the C declaration of its record.
    pub tracepoints: Vec<(TracepointName, String)>,
}

/// A probe with everything around it that clang needs.
#[derive(Debug)]
pub struct Templated {
    /// A private directory with the include tree for this probe: templates, the slice of kernel types, empty answers
    /// for kernel headers that have no template. It is removed when this value is dropped.
    pub root: tempfile::TempDir,
    /// Arguments for clang, the same for libclang and for the compiler: target, include path, `-include` of the
    /// preamble. Rewriting adds `-DDBCC_PARSE`, under which map macros declare objects with callable members, so that
    /// `map.lookup(&key)` has a type.
    pub arguments: Vec<String>,
}

impl Templated {
    /// The path that the probe's text is to be parsed and compiled as; not written yet.
    pub fn main_file(&self) -> PathBuf {
        self.root.path().join(MAIN_FILE)
    }

    /// Lays out the include tree.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn fill(
        &self,
        request: &CompileRequest,
        needs: &Needs,
        kernel: &KernelText,
        host: &Host,
    ) -> Result<(), TemplateError> {
        let context = context()?;
        let put = |name: &str, text: &str| write_file(self.root.path(), name, text);
        for (name, text) in needs.files.texts() {
            put(name, text)?;
        }
        put(context, headers::embedded(context).unwrap_or_default())?;
        put("dbcc/host.h", &host_header(request.features, needs, kernel, host, context))?;
        put("dbcc/kernel_types.h", &kernel.types)?;
        let records: String = kernel.tracepoints.iter().map(|(_, record)| format!("{record}\n")).collect();
        put("dbcc/tracepoints.h", &records)?;
        put("dbcc/probe.h", &probe_header(request, needs))
    }
}

/// Why the include tree could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// A file could not be written.
    #[error("cannot write the include tree of the probe to `{path}`: {error}; TMPDIR names another place", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// There is no context header for this architecture.
    #[error("dbcc knows no registers of the architecture `{0}`; it knows x86_64 and aarch64")]
    Architecture(&'static str),
}

impl Needs {
    /// Finds what a probe needs.
    ///
    /// # Errors
    /// A message for each `-D` that is no macro.
    pub fn of(request: &CompileRequest) -> Result<Self, Vec<Diagnostic>> {
        let wrong: Vec<Diagnostic> = request.defines.iter().filter_map(wrong_define).collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let lexed = Lexed::new(&request.source.text);
        let mut identifiers = lexed.identifiers();
        let mut names = Names::default();
        names.add(&lexed);
        names.tags.extend(iterators(&lexed));
        let mut tracepoints = tracepoints(&lexed);
        let mut uses = index::Uses::default();
        uses.add(&lexed);

        let mut files = headers::Files::default();
        files.include_preamble();
        files.include(&lexed, request.source.dir.as_deref());
        for header in files.local() {
            let lexed = Lexed::new(&header.text);
            uses.add(&lexed);
            names.add(&lexed);
            identifiers.extend(lexed.identifiers());
            tracepoints.extend(self::tracepoints(&lexed));
        }
        for (_, value) in &request.defines {
            let value = Lexed::new(value);
            uses.add(&value);
            identifiers.extend(value.identifiers());
            headers::add_uses(&mut names, &value);
            // The name may stand behind `struct`.
            names.tags.extend(value.identifiers());
        }
        let attached = request.functions.iter().any(|wanted| wanted.kind == "usdt");
        if attached || USDT.iter().any(|name| identifiers.contains(*name)) {
            files.include_usdt();
        }
        let mut declared = names.declared.clone();
        declared.extend(attributes(&lexed));
        let is_declared = |name: &str| declared.contains(name) || names.declared_tags.contains(name);
        files.include_api(&uses.headers(is_declared));
        let mut versions = Versions::default();
        versions.add(&lexed);
        files.local().iter().for_each(|header| versions.add(&Lexed::new(&header.text)));
        files.expand(&mut identifiers, &mut names);
        files.ask_versions(&identifiers, &mut versions);
        // IS_ENABLED asks for the one and the other.
        let options = identifiers.iter().filter(|name| name.starts_with("CONFIG_"));
        let configuration = options.flat_map(|name| [name.clone(), format!("{name}_MODULE")]).collect();
        let local = files.local().to_vec();
        Ok(Self { names, tracepoints, local, declared, configuration, versions, identifiers, files })
    }
}

/// The headers beside a probe that it includes, directly or by one another.
pub fn local_headers(lexed: &Lexed<'_>, dir: Option<&Path>) -> Vec<LocalHeader> {
    if !lexed.includes().iter().any(|include| include.quoted) {
        return Vec::new();
    }
    let mut files = headers::Files::default();
    files.include(lexed, dir);
    files.local().to_vec()
}

/// Makes the folder for the include tree of a probe, empty yet, and the arguments for clang.
///
/// # Errors
/// When there is no place for it, or the architecture has no registers in `templates/`.
pub fn prepare(request: &CompileRequest) -> Result<Templated, TemplateError> {
    context()?;
    let root = tempfile::Builder::new().prefix("dbcc-").tempdir().map_err(|error| {
        let path = std::env::temp_dir();
        TemplateError::Io { path, error }
    })?;
    let arguments = arguments(request, root.path());
    Ok(Templated { root, arguments })
}

/// Makes the folder for a probe and lays out its include tree.
///
/// # Errors
/// As [`prepare`] and [`Templated::fill`].
pub fn write(
    request: &CompileRequest,
    needs: &Needs,
    kernel: &KernelText,
    host: &Host,
) -> Result<Templated, TemplateError> {
    let templated = prepare(request)?;
    templated.fill(request, needs, kernel, host)?;
    Ok(templated)
}

/// The header with this architecture's registers.
fn context() -> Result<&'static str, TemplateError> {
    let architecture = std::env::consts::ARCH;
    let found = ARCHITECTURES.iter().find(|(name, _)| *name == architecture);
    found.map(|(_, header)| *header).ok_or(TemplateError::Architecture(architecture))
}

/// The arguments that libclang and the compiler share.
fn arguments(request: &CompileRequest, root: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "-xc",
        "-std=gnu17",
        "--target=bpf",
        "-mcpu=v3",
        "-O2",
        "-g",
        "-nostdinc",
        "-fno-jump-tables",
        // What BCC's probes do by the hundred, and BCC says nothing about.
        "-Wno-macro-redefined",
        // The lines of files that a probe includes are among its own.
        "-Wno-pragma-once-outside-header",
        "-Wno-pointer-sign",
        "-Wno-unused-value",
        "-Wno-address-of-packed-member",
        // `static inline` in the probe, and the `__always_inline` that rewriting adds.
        "-Wno-duplicate-decl-specifier",
        "-Wno-gnu-variable-sized-type-not-at-end",
        "-Wno-compare-distinct-pointer-types",
        "-Wno-tautological-compare",
        "-Wno-error=int-conversion",
        "-Wno-error=incompatible-function-pointer-types",
    ]
    .map(String::from)
    .into();
    arguments.push("-isystem".into());
    arguments.push(root.display().to_string());
    if let Some(dir) = &request.source.dir {
        arguments.push("-iquote".into());
        arguments.push(std::path::absolute(dir).unwrap_or_else(|_| dir.clone()).display().to_string());
    }
    arguments.push("-include".into());
    arguments.push(root.join("dbcc/preamble.h").display().to_string());
    arguments
}

fn write_file(root: &Path, name: &str, text: &str) -> Result<(), TemplateError> {
    let path = root.join(name);
    let result = match std::fs::write(&path, text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, text))
        }
        other => other,
    };
    result.map_err(|error| TemplateError::Io { path, error })
}

/// `dbcc/host.h`: the machine and the kernel.
fn host_header(mut features: Features, needs: &Needs, kernel: &KernelText, host: &Host, context: &str) -> String {
    let mut lines = vec![
        format!("#include <{context}>"),
        format!("#define LINUX_VERSION_CODE {}", host.version_code),
        format!("#define PAGE_SHIFT {}", host.page_shift),
    ];
    let offered = features.named().into_iter().filter(|(_, offered)| **offered);
    lines.extend(offered.map(|(name, _)| format!("#define {name} 1")));
    // None of them can be used where tracepoints are treated as missing.
    for (tracepoint, _) in kernel.tracepoints.iter().filter(|_| features.tracepoint) {
        lines.push(format!("#define {HAVE_TRACEPOINT}{}__{} 1", tracepoint.category, tracepoint.name));
    }
    // A type that the probe declares itself is nobody else's.
    let has =
        |tag: &&str| kernel.types.contains(&format!("struct {tag} {{")) || needs.names.declared_tags.contains(*tag);
    lines.extend(needs.files.fallbacks().filter(has).map(|tag| format!("#define DBCC_KERNEL_HAS_{tag}")));
    for (name, value) in host.configuration(&needs.configuration).unwrap_or_default() {
        lines.push(format!("#define {name} {value}"));
    }
    lines.join("\n") + "\n"
}

/// `dbcc/probe.h`: what the probe and its user say about names.
fn probe_header(request: &CompileRequest, needs: &Needs) -> String {
    let mut text = String::new();
    for name in needs.declared.iter().filter(|name| needs.files.is_macro(name)) {
        text.push_str(&format!("#undef {name}\n"));
    }
    // libbpf's declarations of helpers stand before, and what rewriting makes uses them.
    let helpers = headers::embedded("bpf/bpf_helper_defs.h").unwrap_or_default();
    let is_helper = |name: &&String| name.starts_with("bpf_") && helpers.contains(&format!("(* const {name})("));
    for name in needs.declared.iter().filter(is_helper) {
        text.push_str(&format!("#define {name} dbcc_own_{name}\n"));
    }
    for (name, value) in &request.defines {
        text.push_str(&format!("#undef {name}\n#define {name} {value}\n"));
    }
    text
}

/// The message for a `-D` that is no macro.
fn wrong_define((name, value): &(String, String)) -> Option<Diagnostic> {
    let lexed = Lexed::new(name);
    let identifier = lexed.tokens().len() == 1
        && name.is_ascii()
        && lexed
            .tokens()
            .iter()
            .all(|token| token.kind == TokenKind::Identifier && token.span.range() == (0..name.len()));
    if !identifier {
        let message = format!("`-D {name}={value}`: `{name}` is not a name that C knows");
        return Some(Diagnostic::error(message, None).help("a name has letters, digits and `_`: -D NAME=VALUE"));
    }
    if value.contains('\n') || value.ends_with('\\') {
        return Some(Diagnostic::error(format!("the value of `-D {name}` must stand on one line"), None));
    }
    None
}

/// The contexts of the iterators that a text declares by BCC's macro, `BPF_ITER(task)`.
fn iterators(lexed: &Lexed<'_>) -> BTreeSet<String> {
    let tokens: Vec<_> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
    let mut found = BTreeSet::new();
    for window in tokens.windows(3) {
        let [word, open, name] = window else { continue };
        if open.kind == TokenKind::Punctuation(b'(') && lexed.spelling(word) == "BPF_ITER" {
            found.insert(format!("bpf_iter__{}", lexed.spelling(name)));
        }
    }
    found
}

/// The names in `__attribute__((…))`: in some, a macro of the kernel's would stand in the way, as `noinline`.
fn attributes(lexed: &Lexed<'_>) -> impl Iterator<Item = String> {
    let tokens: Vec<_> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).copied().collect();
    let mut names = Vec::new();
    for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Identifier) {
        if lexed.spelling(token) == "__attribute__" {
            let inside = tokens.iter().skip(index + 1).take_while(|token| token.kind != TokenKind::Punctuation(b')'));
            let inside = inside.filter(|token| token.kind == TokenKind::Identifier);
            names.extend(inside.map(|name| lexed.spelling(name).into_owned()));
        }
    }
    names.into_iter()
}

/// The tracepoints that a text names: by BCC's macro, by the naming convention, or by asking whether they are there.
pub fn tracepoints(lexed: &Lexed<'_>) -> BTreeSet<TracepointName> {
    let mut found = BTreeSet::new();
    let tokens: Vec<_> = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment).collect();
    for window in tokens.windows(5) {
        let [word, open, category, comma, name] = window else { continue };
        let call = open.kind == TokenKind::Punctuation(b'(') && comma.kind == TokenKind::Punctuation(b',');
        if call && lexed.spelling(word) == "TRACEPOINT_PROBE" {
            let (category, name) = (lexed.spelling(category).into_owned(), lexed.spelling(name).into_owned());
            found.insert(TracepointName { category, name });
        }
    }
    for identifier in lexed.identifiers() {
        let rest = identifier.strip_prefix("tracepoint__").or_else(|| identifier.strip_prefix(HAVE_TRACEPOINT));
        if let Some((category, name)) = rest.and_then(|rest| rest.split_once("__")) {
            found.insert(TracepointName { category: category.into(), name: name.into() });
        }
    }
    found
}

#[cfg(test)]
mod tests;
