//! The bytes of a struct that no field has.

use crate::clang::{Cursor, CursorKind, Type, TypeKind};

/// How deeply structs that hold structs are looked into.
const MAX_DEPTH: usize = 16;

/// Bytes that no field has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hole {
    /// Where they begin, in bytes.
    pub(super) offset: u64,
    /// How many they are.
    pub(super) size: u64,
    /// The field before them; none at the start.
    pub(super) behind: Option<String>,
    /// The field that follows; none at the end.
    pub(super) before: Option<String>,
}

impl Hole {
    /// As it is said in messages.
    pub(super) fn text(&self) -> String {
        let Self { offset, size, behind, before } = self;
        let bytes = if *size == 1 { "1 byte".to_owned() } else { format!("{size} bytes") };
        let place = match (behind, before) {
            (Some(behind), Some(before)) => format!("between `{behind}` and `{before}`"),
            (Some(behind), None) => format!("behind `{behind}`"),
            (None, Some(before)) => format!("before `{before}`"),
            (None, None) => "without fields".to_owned(),
        };
        format!("{bytes} of padding {place}, at offset {offset},")
    }
}

/// A field: its first bit, the bit behind it, its name.
struct Field {
    start: u64,
    end: u64,
    name: String,
}

/// The holes of a struct, in order. Of arrays of structs, those of the first element; of unions none, since what is filled
/// of them depends.
pub(super) fn holes(ty: Type<'_>) -> Vec<Hole> {
    let mut fields = Vec::new();
    gather(ty, 0, "", &mut fields, 0);
    fields.sort_by_key(|field| (field.start, field.end));
    let size = ty.size().unwrap_or(0);
    let (mut found, mut end, mut behind) = (Vec::new(), 0u64, None);
    let last = Field { start: size.saturating_mul(8), end: 0, name: String::new() };
    for field in fields.iter().chain([&last]) {
        let (from, to) = (end.div_ceil(8), field.start / 8);
        if to > from {
            let before = Some(field.name.clone()).filter(|name| !name.is_empty());
            found.push(Hole { offset: from, size: to - from, behind: behind.clone(), before });
        }
        if field.end >= end {
            (end, behind) = (field.end, Some(field.name.clone()));
        }
    }
    found
}

/// Gathers the fields of a struct that begins at a bit.
fn gather(ty: Type<'_>, base: u64, prefix: &str, fields: &mut Vec<Field>, depth: usize) {
    let Some(record) = ty.canonical().declaration().filter(|_| depth < MAX_DEPTH) else { return };
    for child in record.children() {
        match child.kind() {
            CursorKind::FieldDecl => {
                let Some(offset) = child.bit_offset().and_then(|offset| base.checked_add(offset)) else { continue };
                field(child.ty(), offset, child.bit_width(), format!("{prefix}{}", child.spelling()), fields, depth);
            }
            CursorKind::StructDecl | CursorKind::UnionDecl if child.is_anonymous() => {
                // A member without a name is where its fields are; a struct that only gives a type has none here.
                let at =
                    first(child).and_then(|first| ty.offset_of(&first.spelling())?.checked_sub(first.bit_offset()?));
                if let Some(offset) = at.and_then(|at| base.checked_add(at)) {
                    let name = first(child).map(|first| format!("{prefix}{}", first.spelling())).unwrap_or_default();
                    of_record(child.ty(), child.kind(), offset, (prefix, name), fields, depth);
                }
            }
            _ => {}
        }
    }
}

/// The first field of a struct that has a name.
fn first(record: Cursor<'_>) -> Option<Cursor<'_>> {
    let mut fields = record.children().into_iter().filter(|child| child.kind() == CursorKind::FieldDecl);
    fields.find(|field| !field.spelling().is_empty())
}

fn field(ty: Type<'_>, offset: u64, width: Option<u64>, name: String, fields: &mut Vec<Field>, depth: usize) {
    let bits = |ty: Type<'_>| ty.size().unwrap_or(0).saturating_mul(8);
    let whole = |fields: &mut Vec<Field>, start: u64, end: u64| {
        fields.push(Field { start, end: end.max(start), name: name.clone() });
    };
    let all = offset.saturating_add(width.unwrap_or_else(|| bits(ty)));
    match (ty.kind(), ty.element()) {
        (TypeKind::Record, _) => {
            let kind = ty.canonical().declaration().map_or(CursorKind::Other, Cursor::kind);
            of_record(ty, kind, offset, (&format!("{name}."), name), fields, depth);
        }
        (TypeKind::Array, Some(element)) if element.kind() == TypeKind::Record => {
            field(element, offset, None, format!("{name}[0]"), fields, depth + 1);
            whole(fields, offset.saturating_add(bits(element)), all);
        }
        _ => whole(fields, offset, all),
    }
}

/// A struct or union that is part of another: what the names of its fields begin with, and the name that it has as a whole.
fn of_record(
    ty: Type<'_>,
    kind: CursorKind,
    offset: u64,
    (prefix, name): (&str, String),
    fields: &mut Vec<Field>,
    depth: usize,
) {
    if kind == CursorKind::UnionDecl || depth >= MAX_DEPTH {
        let end = offset.saturating_add(ty.size().unwrap_or(0).saturating_mul(8));
        fields.push(Field { start: offset, end, name });
    } else {
        gather(ty, offset, prefix, fields, depth + 1);
    }
}
