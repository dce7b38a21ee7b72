//! Questions about the kernel's functions, fields and raw tracepoints.

use std::collections::{BTreeMap, BTreeSet};

use crate::bpf::btf::{Btf, Kind, NameOffset, Type, TypeId};

/// A function of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Number of the function in the kernel's BTF, as fentry and fexit are attached by.
    pub id: TypeId,
    /// Its parameters in order, without a final `...`.
    pub parameters: Vec<Parameter>,
    /// Whether it takes more arguments than it names.
    pub variadic: bool,
    /// Type that it returns; `void` for none.
    pub returns: TypeId,
}

/// A parameter of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name; empty where the kernel gives none.
    pub name: String,
    /// Its type.
    pub id: TypeId,
    /// How many of the 8-byte places of a fentry program's context it takes: 1, or 2 for a struct of up to 16 bytes
    /// passed by value.
    pub places: u32,
}

/// A kernel function of that name. The kernel's BTF may hold several functions of one name (static functions of
/// different files); as the kernel does for fentry, the first is taken.
pub fn function(btf: &Btf, name: &str) -> Option<Function> {
    functions(btf, &[name]).remove(name)
}

/// The kernel functions of those names, in one pass over the types.
pub fn functions(btf: &Btf, names: &[&str]) -> BTreeMap<String, Function> {
    let wanted: BTreeSet<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let offsets: BTreeSet<NameOffset> =
        btf.strings().filter(|(_, text)| wanted.contains(text)).map(|(offset, _)| offset).collect();
    let mut found = BTreeMap::new();
    for function in btf.types().filter(|found| found.kind() == Kind::Function) {
        if offsets.contains(&function.name_offset()) {
            let name = function.name().into_owned();
            found.entry(name).or_insert_with(|| describe(btf, function));
        }
    }
    found
}

/// The names of all enumerators of the kernel, each once.
pub fn enumerators(btf: &Btf) -> Vec<String> {
    let enums = btf.types().filter(|found| matches!(found.kind(), Kind::Enum | Kind::Enum64));
    let names: BTreeSet<NameOffset> = enums.flat_map(|found| found.enumerators().map(|(name, _)| name)).collect();
    names.into_iter().map(|name| String::from_utf8_lossy(btf.string(name)).into_owned()).collect()
}

fn describe(btf: &Btf, function: Type<'_>) -> Function {
    let prototype = btf.get(function.target());
    let mut parameters: Vec<Parameter> = prototype
        .parameters()
        .map(|(name, id)| {
            let record = btf.underlying(id).kind().is_record();
            let places = if record && btf.size_of(id).is_some_and(|size| size > 8) { 2 } else { 1 };
            Parameter { name: String::from_utf8_lossy(btf.string(name)).into_owned(), id, places }
        })
        .collect();
    let variadic = parameters.last().is_some_and(|last| last.id == TypeId::VOID);
    if variadic {
        parameters.pop();
    }
    Function {
        name: function.name().into_owned(),
        id: function.id(),
        parameters,
        variadic,
        returns: prototype.target(),
    }
}

/// The names of the fields of a struct or union (given by its tag), those of anonymous members included, in the order
/// of the declaration; empty where there is no such type. What a typedef of that name stands for is found too.
pub fn members(btf: &Btf, name: &str) -> Vec<String> {
    let Some(offset) = btf.find_name(name) else { return Vec::new() };
    let mut found = Vec::new();
    let record = btf
        .types()
        .filter(|found| found.name_offset() == offset)
        .filter_map(|found| match found.kind() {
            Kind::Typedef => Some(btf.underlying(found.id())),
            kind => kind.is_record().then_some(found),
        })
        .find(|found| found.kind().is_record());
    if let Some(record) = record {
        collect_members(btf, record, &mut found, 0);
    }
    found
}

/// Deepest nesting of anonymous structs and unions that is looked into.
const MAX_NESTING: u32 = 16;
/// Most names of fields that are listed.
const MAX_MEMBERS: usize = 4096;

fn collect_members(btf: &Btf, record: Type<'_>, into: &mut Vec<String>, depth: u32) {
    for member in record.members() {
        if into.len() >= MAX_MEMBERS {
            return;
        }
        if member.name != NameOffset(0) {
            into.push(String::from_utf8_lossy(btf.string(member.name)).into_owned());
        } else if depth < MAX_NESTING {
            let inner = btf.unqualified(member.id);
            if inner.kind().is_record() {
                collect_members(btf, inner, into, depth + 1);
            }
        }
    }
}

/// Whether a program can be attached to that tracepoint as tp_btf or raw tracepoint: the kernel has the typedef
/// `btf_trace_NAME`.
pub fn has_raw_tracepoint(btf: &Btf, name: &str) -> bool {
    raw_tracepoint(btf, name).is_some()
}

/// The typedef `btf_trace_NAME`, which stands for that tracepoint.
pub fn raw_tracepoint(btf: &Btf, name: &str) -> Option<TypeId> {
    let offset = btf.find_name(&format!("btf_trace_{name}"))?;
    let mut types = btf.types();
    types.find(|found| found.kind() == Kind::Typedef && found.name_offset() == offset).map(|found| found.id())
}

/// The names of all types for which `wanted` holds, sorted, each once: what a misspelt name may have meant.
pub fn type_names(btf: &Btf, wanted: impl Fn(Kind) -> bool) -> Vec<String> {
    let offsets: BTreeSet<NameOffset> = btf
        .types()
        .filter(|found| wanted(found.kind()) && found.name_offset() != NameOffset(0))
        .map(|found| found.name_offset())
        .collect();
    let mut names: Vec<String> =
        offsets.into_iter().map(|offset| String::from_utf8_lossy(btf.string(offset)).into_owned()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
