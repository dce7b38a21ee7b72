//! Which headers a probe includes, and which names their macros use.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::version::Versions;
use crate::kernel::btf::Names;
use crate::lex::{Include, Lexed, Token, TokenKind};
use crate::source::{MAX_SOURCE, Span};

/// `templates/` and libbpf's headers, without comments (see `build.rs`).
static TREE: Dir<'static> = include_dir!("$OUT_DIR/include");

/// Headers that are written for each probe, so that the tree has none.
const GENERATED: &[&str] =
    &["dbcc/host.h", "dbcc/kernel_types.h", "dbcc/tracepoints.h", "dbcc/api.h", "dbcc/rewriter.h", "dbcc/probe.h"];

/// Headers that the rewriter's output relies on: maps, reads, prints, programs.
const REWRITER: &[&str] = &["dbcc/maps.h", "dbcc/methods.h", "dbcc/read.h", "dbcc/print.h", "dbcc/program.h"];

/// What reads the arguments of USDT probes; only for probes that do, since it costs compilation time.
const USDT: &str = "dbcc/usdt.h";

/// Folders of the kernel's include tree: a header in one of them that has no template is answered by an empty file,
/// because types come from BTF.
const KERNEL_FOLDERS: &[&str] = &[
    "linux/",
    "uapi/",
    "asm/",
    "asm-generic/",
    "net/",
    "bcc/",
    "rdma/",
    "scsi/",
    "sound/",
    "trace/",
    "crypto/",
    "drm/",
    "media/",
    "kvm/",
    "vdso/",
    "video/",
    "xen/",
    "block/",
    "kernel/",
    "mm/",
    "fs/",
];

/// The most headers of its own that a probe may include.
const MAX_LOCAL: usize = 64;

/// A header beside the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalHeader {
    /// Where it is.
    pub path: PathBuf,
    /// Its text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// The text of a template or of a header of libbpf.
pub(super) fn embedded(name: &str) -> Option<&'static str> {
    TREE.get_file(name)?.contents_utf8()
}

/// The names of all headers of the tree.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = String> {
    fn walk(dir: &Dir<'static>, found: &mut Vec<String>) {
        found.extend(dir.files().map(|file| file.path().display().to_string()));
        dir.dirs().for_each(|dir| walk(dir, found));
    }
    let mut found = Vec::new();
    walk(&TREE, &mut found);
    found.into_iter()
}

/// The include tree of one probe.
#[derive(Debug, Default)]
pub(super) struct Files {
    texts: BTreeMap<String, String>,
    local: Vec<LocalHeader>,
    /// For each macro of the templates: its bodies.
    macros: HashMap<String, Vec<&'static str>>,
    /// What the templates use outside macros, and declare.
    names: Names,
    /// Tags of types that a template gives where the kernel's BTF has none of the name.
    fallbacks: BTreeSet<String>,
}

impl Files {
    /// Takes the preamble and all that it includes.
    pub(super) fn include_preamble(&mut self) {
        self.take("dbcc/preamble.h");
        let present: Vec<&str> = REWRITER.iter().copied().filter(|name| embedded(name).is_some()).collect();
        present.iter().for_each(|name| self.take(name));
        let text = present.iter().map(|name| format!("#include <{name}>\n")).collect();
        self.texts.insert("dbcc/rewriter.h".into(), text);
    }

    /// Takes what reads the arguments of USDT probes.
    pub(super) fn include_usdt(&mut self) {
        self.take(USDT);
        let rewriter = self.texts.entry("dbcc/rewriter.h".into()).or_default();
        rewriter.push_str(&format!("#include <{USDT}>\n"));
    }

    /// Takes the headers that define what the probe uses, and lays out `dbcc/api.h`, which includes them and those that
    /// the probe includes: before the probe, so that names which it declares are its own behind them.
    pub(super) fn include_api(&mut self, headers: &[&str]) {
        headers.iter().for_each(|name| self.take(name));
        let names = self.texts.keys().filter(|name| !is_host(name) && embedded(name).is_some());
        let text = names.map(|name| format!("#include <{name}>\n")).collect();
        self.texts.insert("dbcc/api.h".into(), text);
    }

    /// Takes a header of the tree.
    fn take(&mut self, name: &str) {
        self.resolve(&Include { name: name.into(), quoted: false, span: Span::new(0, 0) }, None);
    }

    /// Takes what a text includes, and what that includes.
    pub(super) fn include(&mut self, lexed: &Lexed<'_>, dir: Option<&Path>) {
        for include in lexed.includes() {
            self.resolve(&include, dir);
        }
    }

    /// The files to write, but for those that are generated.
    pub(super) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The headers beside the probe.
    pub(super) fn local(&self) -> &[LocalHeader] {
        &self.local
    }

    /// The tags of types that templates give where the kernel's BTF has none of the name.
    pub(super) fn fallbacks(&self) -> impl Iterator<Item = &str> {
        self.fallbacks.iter().map(String::as_str)
    }

    /// Whether a template defines a macro of this name.
    pub(super) fn is_macro(&self, name: &str) -> bool {
        self.macros.contains_key(name)
    }

    fn resolve(&mut self, include: &Include, dir: Option<&Path>) {
        let name = include.name.as_str();
        // A copy of all kernel types, as programs in libbpf's style have it, is answered by the slice.
        let vmlinux = name == "vmlinux.h" || name.ends_with("/vmlinux.h");
        if include.quoted && !vmlinux && dir.is_some_and(|dir| self.take_local(dir, name)) {
            return;
        }
        if self.texts.contains_key(name) || GENERATED.contains(&name) || !is_plain(name) {
            return;
        }
        if let Some(text) = embedded(name) {
            self.take_template(name, text);
        } else if let Some(plain) = name.strip_prefix("uapi/").filter(|plain| embedded(plain).is_some()) {
            self.texts.insert(name.into(), format!("#include <{plain}>\n"));
            self.take(plain);
        } else if vmlinux || KERNEL_FOLDERS.iter().any(|folder| name.starts_with(folder)) {
            self.texts.insert(name.into(), String::new());
        }
    }

    fn take_template(&mut self, name: &str, text: &'static str) {
        self.texts.insert(name.into(), text.into());
        // Declarations of helpers, which do not look into the types that they name: a fifth of all text, and nothing in
        // it that matters here.
        if name == "bpf/bpf_helper_defs.h" {
            return;
        }
        let lexed = Lexed::new(text);
        for (name, body) in macros(&lexed, text) {
            self.macros.entry(name).or_default().push(body);
        }
        let declared = lexed.declared();
        if is_host(name) {
            self.names.declared_tags.extend(declared.tags);
        } else {
            self.names.tags.extend(declared.tags.iter().cloned());
            self.fallbacks.extend(declared.tags);
        }
        // The basic types may be declared again, and are in BTF.
        if name != "dbcc/types.h" {
            self.names.declared.extend(declared.ordinary);
        }
        // What stands outside macros is always compiled, so its types are needed.
        add_uses(&mut self.names, &Lexed::new(&outside_macros(&lexed, text)));
        let dir = Path::new(name).parent();
        for mut include in lexed.includes() {
            // libbpf's headers include one another in quotes.
            let beside = dir.map(|dir| dir.join(&include.name).display().to_string());
            if let Some(beside) = beside.filter(|beside| include.quoted && embedded(beside).is_some()) {
                include.name = beside;
            }
            self.resolve(&include, None);
        }
    }

    /// Takes a header beside the probe; whether there is one.
    fn take_local(&mut self, dir: &Path, name: &str) -> bool {
        let path = dir.join(name);
        if self.local.iter().any(|header| header.path == path) {
            return true;
        }
        if self.local.len() >= MAX_LOCAL {
            return path.is_file();
        }
        let Some(text) = read(&path) else { return false };
        self.local.push(LocalHeader { path: path.clone(), text: text.clone() });
        let beside = path.parent().unwrap_or(dir);
        self.include(&Lexed::new(&text), Some(beside));
        true
    }

    /// Adds what the templates ask of the kernel's version where they define one of `identifiers`.
    pub(super) fn ask_versions(&self, identifiers: &BTreeSet<String>, versions: &mut Versions) {
        let asks = |text: &&String| text.contains("LINUX_VERSION_CODE");
        let own = self.texts.iter().filter(|(name, _)| embedded(name).is_some()).map(|(_, text)| text);
        own.filter(asks).for_each(|text| versions.add_template(&Lexed::new(text), identifiers));
    }

    /// Adds what the macros use that `identifiers` reach, so that the types behind them are in the slice, and what the
    /// templates declare, so that it is not in the slice.
    pub(super) fn expand(&self, identifiers: &mut BTreeSet<String>, names: &mut Names) {
        let mut waiting: Vec<String> = identifiers.iter().filter(|name| self.is_macro(name)).cloned().collect();
        let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
        while let Some(name) = waiting.pop() {
            for body in self.macros.get(&name).into_iter().flatten() {
                let body = Lexed::new(body);
                add_uses(names, &body);
                if names.tags.contains(&name) {
                    // It stands for another tag.
                    names.tags.extend(body.identifiers());
                }
                for used in body.identifiers() {
                    if self.is_macro(&used) && seen.insert(used.clone()) {
                        waiting.push(used.clone());
                    }
                    identifiers.insert(used);
                }
            }
        }
        for (all, own) in [
            (&mut names.identifiers, &self.names.identifiers),
            (&mut names.tags, &self.names.tags),
            (&mut names.members, &self.names.members),
            (&mut names.declared_tags, &self.names.declared_tags),
            (&mut names.declared, &self.names.declared),
        ] {
            all.extend(own.iter().cloned());
        }
    }
}

/// Whether a header is the host's own, BCC's or libbpf's, and no answer to one of the kernel's.
fn is_host(name: &str) -> bool {
    ["dbcc/", "bcc/", "bpf/", "ctx_"].iter().any(|own| name.starts_with(own))
}

/// Adds the names that a text uses, without those that it seems to declare.
pub(super) fn add_uses(names: &mut Names, lexed: &Lexed<'_>) {
    let mut used = Names::default();
    used.add(lexed);
    names.identifiers.append(&mut used.identifiers);
    names.tags.append(&mut used.tags);
    names.members.append(&mut used.members);
}

/// The macros that a text defines, and what stands behind their names.
fn macros<'text>(lexed: &Lexed<'text>, text: &'text str) -> Vec<(String, &'text str)> {
    let mut found = Vec::new();
    let lines: Vec<&Token> = lexed.tokens().iter().filter(|token| token.preprocessor).collect();
    for (index, window) in lines.windows(3).enumerate() {
        let [hash, word, name] = window else { continue };
        if hash.kind != TokenKind::Punctuation(b'#') || lexed.spelling(word) != "define" {
            continue;
        }
        let rest = lines.get(index + 3..).unwrap_or_default();
        let length = rest.windows(2).position(|pair| starts_line(text, pair)).map_or(rest.len(), |last| last + 1);
        let same_line = rest.first().is_some_and(|first| !line_ends_between(text, name, first));
        let last = rest.get(..length).and_then(<[_]>::last).filter(|_| same_line);
        let end = last.map_or(name.span.end, |last| last.span.end);
        let body = text.get(Span::new(name.span.end, end).range()).unwrap_or_default();
        found.push((lexed.spelling(name).into_owned(), body));
    }
    found
}

/// Whether the second of two tokens starts another line of the preprocessor.
fn starts_line(text: &str, pair: &[&Token]) -> bool {
    matches!(pair, [before, after] if line_ends_between(text, before, after))
}

/// Whether a line ends between two tokens that no backslash continues.
fn line_ends_between(text: &str, before: &Token, after: &Token) -> bool {
    let between = text.get(Span::new(before.span.end, after.span.start).range()).unwrap_or_default();
    let mut lines = between.split('\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_some() && !line.trim_end().ends_with('\\') {
            return true;
        }
    }
    false
}

/// The text without its preprocessor lines.
fn outside_macros(lexed: &Lexed<'_>, text: &str) -> String {
    let kept = lexed.tokens().iter().filter(|token| !token.preprocessor && token.kind != TokenKind::Comment);
    kept.fold(String::new(), |out, token| out + text.get(token.span.range()).unwrap_or_default() + " ")
}

/// Whether a path stays inside the include tree.
fn is_plain(name: &str) -> bool {
    Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)))
}

/// A file of at most [`MAX_SOURCE`] bytes; none where it cannot be read, which clang will say.
fn read(path: &Path) -> Option<String> {
    // Opening a FIFO would wait for a writer.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_SOURCE).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
