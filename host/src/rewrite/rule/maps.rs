//! `BPF_HASH(…)` and the like.

use crate::clang::{CursorKind, TypeKind};
use crate::diag::Diagnostic;
use crate::facts::MapRole;
use crate::source::Span;

use super::super::tree::{DeclKind, Tree};
use super::super::{Output, Probe};
use super::Rule;

/// The annotation that map macros leave under `DBCC_PARSE`; the name of BCC's map type follows.
const MAP: &str = "dbcc:map:";

/// A map of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// Its name.
    pub name: String,
    /// Where its name stands, or its declaration where a macro made the name.
    pub span: Span,
    /// BCC's name of its type (`hash`, `perf_output`); of a map in libbpf's style, the number.
    pub kind: String,
    /// Whether it is declared in BCC's style, so that it has methods.
    pub has_methods: bool,
    /// What it is for. Types of events are filled in by the rule on events.
    pub role: MapRole,
}

impl Map {
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
            maps.push(Map { name, span, kind: kind.to_owned(), has_methods: true, role: role_of_name(kind) });
        } else if decl.annotations.iter().any(|text| text == "dbcc:sec:.maps") {
            let number = libbpf_type(decl.ty);
            let role = number.map_or(MapRole::Other, role_of_number);
            let kind = number.map(|number| number.to_string()).unwrap_or_default();
            maps.push(Map { name, span, kind, has_methods: false, role });
        }
    }
    maps.sort_by_key(|map| map.span.start);
    maps
}

fn role_of_name(kind: &str) -> MapRole {
    match kind {
        "hash" | "array" | "percpu_hash" | "percpu_array" | "lru_hash" | "lru_percpu_hash" | "lpm_trie" => {
            MapRole::Table
        }
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
        1 | 2 | 5 | 6 | 9 | 10 | 11 => MapRole::Table,
        4 => MapRole::PerfEvents(Vec::new()),
        7 => MapRole::Stacks,
        27 => MapRole::RingEvents(Vec::new()),
        _ => MapRole::Other,
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
         struct as its key has room for 10240 slots, where BCC's 64 overflow in silence."
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
        // The macros do it all; what remains is to refuse what they cannot express.
        for map in probe.maps {
            if map.has_methods && map.kind == "extern" {
                output.messages.push(
                    Diagnostic::error(format!("map `{}` is declared elsewhere", map.name), map.span)
                        .help("a probe cannot use the maps of another program here; declare the map in this probe"),
                );
            }
        }
    }
}
