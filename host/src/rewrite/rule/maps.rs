//! `BPF_HASH(…)` and the like.

use crate::clang::{CursorKind, TypeKind};
use crate::diag::{Diagnostic, Severity, did_you_mean, near};
use crate::facts::{MapRole, Pin};
use crate::source::Span;

use super::super::ring;
use super::super::tree::{DeclKind, Tree};
use super::super::{Output, Probe};
use super::Rule;

/// The annotation that map macros leave under `DBCC_PARSE`; the name of BCC's map type follows.
const MAP: &str = "dbcc:map:";

/// The types of maps that BCC's `BPF_TABLE` knows by name. Their numbers are in `templates/dbcc/maps.h`.
pub const TYPES: &[&str] = &[
    "hash",
    "array",
    "histogram",
    "percpu_hash",
    "percpu_array",
    "lru_hash",
    "lru_percpu_hash",
    "lpm_trie",
    "stacktrace",
    "perf_output",
    "perf_array",
    "prog",
    "cgroup_array",
    "sk_storage",
    "inode_storage",
    "task_storage",
    "cgroup_storage",
    "percpu_cgroup_storage",
    "devmap",
    "devmap_hash",
    "cpumap",
    "xskmap",
    "sockmap",
    "sockhash",
    "extern",
];

/// A map of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// Where its name stands, or its declaration where a macro made the name.
    pub span: Span,
    /// BCC's name of its type (`hash`, `perf_output`); of a map in libbpf's style, the number.
    pub kind: String,
    /// Where it is pinned, in the file system of BPF.
    pub pin: Option<String>,
    /// The name of the map that each of its values is like.
    pub inner: Option<String>,
    /// The types of its keys and values as they are written; empty in libbpf's style.
    pub types: (String, String),
    /// Whether it is declared in BCC's style, so that it has methods.
    pub has_methods: bool,
    /// What it is for. Types of events are filled in by the rule on events.
    pub role: MapRole,
    /// Whether it is an output that becomes a ring buffer, whose records begin with the time at which they were written.
    pub stamped: bool,
}

/// Where a map is looked for that another program makes and of which no path is known.
const SHARED: &str = "/sys/fs/bpf";

impl Map {
    /// Where it is shared with other programs.
    pub fn shared(&self) -> Option<Pin> {
        match &self.pin {
            Some(path) => Some(Pin { path: path.clone(), made: self.kind != "extern" }),
            None if self.kind == "extern" => Some(Pin { path: format!("{SHARED}/{}", self.name), made: false }),
            None => None,
        }
    }

    /// The entry of `dbcc_losses` that counts the failures of the map of that index. The array has 256 entries; what is
    /// behind them shares the last.
    pub fn loss(index: usize) -> usize {
        (index + 1).min(255)
    }
}

/// All maps that a probe declares, in the order of the text.
pub fn find(tree: &Tree<'_>) -> Vec<Map> {
    let mut maps = Vec::new();
    for decl in &tree.decls {
        let (DeclKind::Global, Some(span)) = (decl.kind, decl.name_span.or(decl.span)) else { continue };
        let name = decl.name.clone();
        if let Some(kind) = decl.annotations.iter().find_map(|text| text.strip_prefix(MAP)) {
            let (kind, rest) = kind.split_at(kind.find([':', '$']).unwrap_or(kind.len()));
            maps.push(Map {
                name,
                span,
                kind: kind.to_owned(),
                pin: rest.strip_prefix(':').map(str::to_owned),
                inner: rest.strip_prefix('$').map(str::to_owned),
                types: (written(decl.ty, "key"), written(decl.ty, "leaf")),
                has_methods: true,
                role: role_of_name(kind),
                stamped: false,
            });
        } else if decl.annotations.iter().any(|text| text == "dbcc:sec:.maps") {
            let number = libbpf_type(decl.ty);
            let role = number.map_or(MapRole::Other, role_of_number);
            let kind = number.map(|number| number.to_string()).unwrap_or_default();
            let (pin, inner, types) = Default::default();
            maps.push(Map { name, span, kind, pin, inner, types, has_methods: false, role, stamped: false });
        }
    }
    maps.sort_by_key(|map| map.span.start);
    maps
}

fn role_of_name(kind: &str) -> MapRole {
    match kind {
        "hash"
        | "array"
        | "percpu_hash"
        | "percpu_array"
        | "lru_hash"
        | "lru_percpu_hash"
        | "lpm_trie"
        | "queue"
        | "stack"
        | "cgroup_storage"
        | "percpu_cgroup_storage"
        | "extern" => MapRole::Table,
        "histogram" => MapRole::Histogram,
        "perf_output" => MapRole::PerfEvents(Vec::new()),
        "ringbuf" => MapRole::RingEvents(Vec::new()),
        "stacktrace" => MapRole::Stacks,
        _ => MapRole::Other,
    }
}

/// By `enum bpf_map_type` of include/uapi/linux/bpf.h.
fn role_of_number(number: u64) -> MapRole {
    match number {
        1 | 2 | 5 | 6 | 9 | 10 | 11 | 19 | 21 | 22 | 23 => MapRole::Table,
        4 => MapRole::PerfEvents(Vec::new()),
        7 => MapRole::Stacks,
        27 => MapRole::RingEvents(Vec::new()),
        _ => MapRole::Other,
    }
}

/// The type of a member of the struct that a map is while it is parsed, as the probe wrote it.
fn written(ty: crate::clang::Type<'_>, member: &str) -> String {
    let record = ty.canonical().declaration();
    let children = record.map(|record| record.children()).unwrap_or_default();
    let field = children.into_iter().find(|child| child.kind() == CursorKind::FieldDecl && child.spelling() == member);
    let Some(ty) = field.map(|field| field.ty()) else { return String::new() };
    let name = ty.underlying().unwrap_or(ty).spelling();
    match name.strip_prefix("typeof(").and_then(|name| name.strip_suffix(')')) {
        Some(name) => name.to_owned(),
        None => name,
    }
}

/// The type of a map in libbpf's style: `int (*type)[NUMBER]` in its struct.
fn libbpf_type(ty: crate::clang::Type<'_>) -> Option<u64> {
    let record = ty.canonical().declaration()?;
    let field = record
        .children()
        .into_iter()
        .find(|child| child.kind() == CursorKind::FieldDecl && child.spelling() == "type")?;
    let array = field.ty().canonical().pointee()?;
    (array.kind() == TypeKind::Array).then(|| array.array_length()).flatten()
}

/// The row.
pub(super) struct Maps;

impl Rule for Maps {
    fn name(&self) -> &'static str {
        "map declarations"
    }

    fn documentation(&self) -> &'static str {
        "`BPF_HASH(name, key, value, size)`, `BPF_ARRAY`, `BPF_HISTOGRAM`, `BPF_PERF_OUTPUT`, `BPF_TABLE(\"hash\", …)` and \
         the other declaring macros of BCC, with its defaults, become maps as libbpf declares them. A histogram with a \
         struct as its key has room for 10240 slots, where BCC's 64 overflow in silence. \
         An output that is only submitted to, as many bytes as `sizeof` says, is a ring buffer where the kernel has them."
    }

    fn example(&self) -> &'static str {
        "struct key_t { u32 pid; u16 type; };\n\
         BPF_HASH(bytes, struct key_t, u64);\n\
         BPF_ARRAY(slots, u32, 4);\n\
         BPF_HISTOGRAM(latency);\n\
         BPF_TABLE(\"lru_hash\", u32, struct key_t, last, 128);\n\
         BPF_PERF_OUTPUT(events);\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        // The macros do most; what remains is what they cannot express.
        for map in probe.maps {
            if let Some(span) = ring::macro_of(probe.text, map).filter(|_| map.stamped) {
                output.edits.replace(span, span, ring::RING.to_owned());
            }
            if map.kind == "extern"
                && let Some(pin) = map.shared()
            {
                let (name, path) = (&map.name, pin.path);
                output.messages.push(
                    Diagnostic::new(Severity::Note, format!("map `{name}` is another program's"), map.span)
                        .note(format!("a run takes the one at {path}; `dbcc check` makes a hash in its place")),
                );
            }
            if map.inner.is_some() || matches!(map.kind.as_str(), "array_of_maps" | "hash_of_maps") {
                match inner(probe, map) {
                    Ok(declaration) => output.behind.push_str(&declaration),
                    Err(error) => output.messages.push(error),
                }
            }
        }
    }
}

/// The declaration of the struct that says what the values of a map of maps are: all that is said of the inner map, by
/// the types of its members.
fn inner(probe: &Probe<'_, '_>, map: &Map) -> Result<String, Diagnostic> {
    let outer = &map.name;
    let Some(name) = &map.inner else {
        return Err(Diagnostic::error(format!("`{outer}` does not say which map is like its values"), map.span).help(
            format!(
                "write BPF_ARRAY_OF_MAPS({outer}, \"INNER\", SIZE) or BPF_HASH_OF_MAPS({outer}, KEY, \"INNER\", SIZE)"
            ),
        ));
    };
    let Some(inner) = probe.maps.iter().find(|map| map.name == *name) else {
        let others = probe.maps.iter().map(|map| map.name.as_str()).filter(|other| other != outer);
        let error =
            Diagnostic::error(format!("there is no map `{name}` that the values of `{outer}` could be like"), map.span);
        return Err(match did_you_mean(&near(name, others)) {
            Some(suggestion) => error.help(suggestion),
            None => error.help(format!("declare one, as in `BPF_HASH({name}, u32, u64);`")),
        });
    };
    let members: &[&str] = match inner.kind.as_str() {
        _ if !inner.has_methods || inner.inner.is_some() => {
            return Err(Diagnostic::error(format!("`{name}` cannot be an inner map"), map.span)
                .help("an inner map is one of BCC's style that holds no maps itself"));
        }
        "ringbuf" => &["type", "max_entries"],
        "queue" | "stack" => &["type", "max_entries", "map_flags", "value"],
        "histogram" => &["type", "max_entries", "key", "value"],
        _ => &["type", "max_entries", "map_flags", "key", "value"],
    };
    let members: Vec<String> = members.iter().map(|member| format!("typeof({name}.{member}) {member};")).collect();
    Ok(format!("struct dbcc_inner_{outer} {{ {} }};\n", members.join(" ")))
}
