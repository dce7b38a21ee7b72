//! What changed from one type to another, as far as the meaning of bytes goes.

use crate::bpf::btf::{Kind, NameOffset, Type, TypeId};
use crate::decode::Types;

/// Deepest nesting that is compared.
const MAX_DEPTH: u32 = 32;

/// Most fields of one record that are compared.
const MAX_FIELDS: usize = 4096;

/// Most changes that are told.
const MAX_TOLD: usize = 3;

/// A type of one version.
#[derive(Clone, Copy)]
pub(super) struct Side<'t> {
    pub(super) types: &'t Types,
    pub(super) id: TypeId,
}

/// A field, with those of anonymous records in their place.
struct Field {
    name: String,
    bit_offset: u64,
    bit_width: u32,
    id: TypeId,
}

/// What changed; none where the same bytes mean the same. Names of types do not matter, those of fields do.
pub(super) fn difference(old: Side<'_>, new: Side<'_>) -> Option<String> {
    let mut changes = Vec::new();
    compare(old, new, "", 0, &mut changes);
    if changes.len() > MAX_TOLD {
        let more = changes.len() - MAX_TOLD;
        changes.truncate(MAX_TOLD);
        changes.push(format!("{more} more"));
    }
    (!changes.is_empty()).then(|| changes.join(", "))
}

impl<'t> Side<'t> {
    fn at(self, id: TypeId) -> Self {
        Self { id, ..self }
    }

    fn found(self) -> Type<'t> {
        let btf = self.types.btf();
        let found = btf.underlying(self.id);
        if found.kind() == Kind::Variable { btf.underlying(found.target()) } else { found }
    }

    /// Its name as the probe has it: behind the typedefs that the templates declare a map by.
    fn name(self) -> String {
        let mut found = self.types.btf().unqualified(self.id);
        for _ in 0..MAX_DEPTH {
            if found.kind() != Kind::Typedef || !found.name_bytes().starts_with(b"dbcc_") {
                break;
            }
            found = self.types.btf().unqualified(found.target());
        }
        match self.types.name_of(found.id()) {
            name if name.is_empty() => "an anonymous type".to_owned(),
            name => format!("`{name}`"),
        }
    }

    fn fields(self) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(self.found(), 0, 0, &mut fields);
        fields
    }

    fn collect(self, record: Type<'t>, base: u64, depth: u32, into: &mut Vec<Field>) {
        let btf = self.types.btf();
        for member in record.members() {
            if into.len() >= MAX_FIELDS || depth > MAX_DEPTH {
                return;
            }
            let bit_offset = base.saturating_add(u64::from(member.bit_offset));
            let inner = btf.underlying(member.id);
            if member.name == NameOffset(0) {
                if inner.kind().is_record() {
                    self.collect(inner, bit_offset, depth + 1, into);
                }
                continue;
            }
            let name = String::from_utf8_lossy(btf.string(member.name)).into_owned();
            into.push(Field { name, bit_offset, bit_width: member.bit_width, id: member.id });
        }
    }
}

fn compare(old: Side<'_>, new: Side<'_>, path: &str, depth: u32, changes: &mut Vec<String>) {
    if depth > MAX_DEPTH || changes.len() > MAX_TOLD {
        return;
    }
    let (was, is) = (old.found(), new.found());
    let subject = if path.is_empty() { "it".to_owned() } else { format!("field `{path}`") };
    let mut another = || changes.push(format!("{subject} is {} now, and was {}", new.name(), old.name()));
    let is_enum = |kind| matches!(kind, Kind::Enum | Kind::Enum64);
    match (was.kind(), is.kind()) {
        (before, after) if is_enum(before) && is_enum(after) => {
            if was.size() != is.size() || was.flag() != is.flag() {
                another();
            } else if let Some(name) = renumbered(old, new) {
                changes.push(format!("`{name}` of {subject} has another number"));
            }
        }
        (before, after) if before != after => another(),
        (Kind::Int, _) => {
            let meaning = |found: Type<'_>| found.int().map(|int| (int.signed, int.bool, int.bits));
            if was.size() != is.size() || meaning(was) != meaning(is) {
                another();
            }
        }
        (Kind::Array, _) => {
            let (Some(before), Some(after)) = (was.array(), is.array()) else { return another() };
            if before.length != after.length {
                changes.push(format!("{subject} has {} elements now, and had {}", after.length, before.length));
            }
            compare(old.at(before.element), new.at(after.element), path, depth + 1, changes);
        }
        (Kind::Struct | Kind::Union, _) => fields(old, new, path, depth, changes),
        (Kind::Float, _) if was.size() != is.size() => another(),
        // What a pointer points to is not in the map.
        _ => {}
    }
}

fn fields(old: Side<'_>, new: Side<'_>, path: &str, depth: u32, changes: &mut Vec<String>) {
    let (before, after) = (old.fields(), new.fields());
    let whole = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let lacks = |fields: &[Field], name: &str| fields.iter().all(|field| field.name != name);
    changes.extend(
        before
            .iter()
            .filter(|field| lacks(&after, &field.name))
            .map(|field| format!("field `{}` removed", whole(&field.name))),
    );
    for field in &after {
        let name = whole(&field.name);
        let Some(known) = before.iter().find(|known| known.name == field.name) else {
            changes.push(format!("field `{name}` added"));
            continue;
        };
        let length = changes.len();
        compare(old.at(known.id), new.at(field.id), &name, depth + 1, changes);
        if length == changes.len() && (known.bit_offset, known.bit_width) != (field.bit_offset, field.bit_width) {
            changes.push(format!("field `{name}` moved"));
        }
    }
}

/// An enumerator that both have, with different numbers.
fn renumbered(old: Side<'_>, new: Side<'_>) -> Option<String> {
    let named = |side: Side<'_>| {
        let text = |name| String::from_utf8_lossy(side.types.btf().string(name)).into_owned();
        side.found().enumerators().map(|(name, number)| (text(name), number)).collect::<Vec<_>>()
    };
    let before = named(old);
    named(new)
        .into_iter()
        .find_map(|(name, number)| before.iter().any(|(known, was)| *known == name && *was != number).then_some(name))
}
