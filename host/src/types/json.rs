//! Layouts as JSON; docs/json.md is the contract.

use serde_json::{Value, json};
use symres::layout::{
    Gap, Member, NamedType, Record, Role, Shape, TypeNumber, Types, gaps, resolve, size_in, size_of, spell,
};

use super::path::Place;
use super::read::Reading;
use super::{Shown, text};

/// The object of a type.
pub(super) fn layout(types: &dyn Types, shown: &Shown<'_>, ty: TypeNumber) -> Value {
    let mut object = json!({
        "kind": "type",
        "source": shown.source,
        "name": spell(types, ty, "").to_string(),
    });
    let (behind, shape) = resolve(types, ty);
    let more = match shape {
        Shape::Enumeration { .. } => {
            let values = types.enumerators(behind).into_iter().map(|(name, value)| {
                // Numbers of JSON have 64 bits.
                let number = i64::try_from(value).map(Value::from).or_else(|_| u64::try_from(value).map(Value::from));
                json!({"name": name, "value": number.unwrap_or_else(|_| value.to_string().into())})
            });
            json!({"what": "enum", "values": values.collect::<Vec<_>>()})
        }
        Shape::Record { kind, .. } => match types.record(behind) {
            Some(record) => whole(types, shown, &record),
            None => json!({"what": kind.word(), "only_declared": true}),
        },
        _ => json!({"what": "other"}),
    };
    let is_typedef = matches!(types.shape(ty), Shape::Typedef { .. });
    merge(&mut object, json!({"size": size_of(types, ty)}));
    if is_typedef {
        merge(&mut object, json!({"typedef": spell(types, behind, "").to_string()}));
    }
    merge(&mut object, more);
    object
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn whole(types: &dyn Types, shown: &Shown<'_>, record: &Record) -> Value {
    let statics = record
        .statics
        .iter()
        .map(|member| json!({"name": member.name, "type": spell(types, member.ty, "").to_string()}));
    let declared = record.declared.as_ref().map(|at| json!({"file": at.file, "line": at.line}));
    let mut object = json!({
        "what": record.kind.word(),
        "size": record.size,
        "declared": declared,
        "statics": statics.collect::<Vec<_>>(),
        "notes": record.notes,
    });
    merge(&mut object, inside(types, shown, record, 0, 0));
    object
}

/// The members of a record that begins at so many bits of the one that is shown.
fn inside(types: &dyn Types, shown: &Shown<'_>, record: &Record, from: u64, depth: usize) -> Value {
    let unused = gaps(types, record);
    let members = record.members.iter().zip(&unused.before);
    let members: Vec<Value> =
        members.map(|(member, gap)| self::member(types, shown, member, *gap, from, depth)).collect();
    json!({"members": members, "padding": room(unused.end)})
}

fn member(types: &dyn Types, shown: &Shown<'_>, member: &Member, before: Gap, from: u64, depth: usize) -> Value {
    let offset = member.bit_offset.map(|bits| from.saturating_add(bits));
    let role = match member.role {
        Role::Field => "field",
        Role::Base => "base",
        Role::VirtualBase => "virtual-base",
        Role::VirtualTable => "virtual-table",
    };
    let mut object = json!({
        "name": member.name,
        "type": spell(types, member.ty, "").to_string(),
        "role": role,
        "offset": offset.map(|bits| bits / 8),
        "bit_offset": offset,
        "size": size_in(types, member),
        "bits": member.bit_width,
        "unused_before": room(before),
    });
    let element = text::element(types, member.ty);
    let open = text::opens(types, shown, element, depth);
    if let Some(record) = types.record(resolve(types, element).0).filter(|_| open) {
        merge(&mut object, inside(types, shown, &record, offset.unwrap_or(0), depth + 1));
    }
    object
}

fn room(gap: Gap) -> Value {
    json!({"bytes": gap.bytes, "bits": gap.bits})
}

/// The object of one name of a list.
pub(super) fn name(source: &str, ty: &NamedType) -> Value {
    json!({
        "kind": "type_name",
        "source": source,
        "name": ty.name,
        "what": ty.kind.word(),
        "size": ty.size,
        "only_declared": ty.only_declared,
    })
}

/// The object of a path.
pub(super) fn place(types: &dyn Types, source: &str, path: &str, place: &Place, reading: &Reading) -> Value {
    let spelt = |ty| spell(types, ty, "").to_string();
    let through =
        place.through.iter().map(|hop| json!({"type": spelt(hop.ty), "offset": hop.offset, "of": spelt(hop.object)}));
    json!({
        "kind": "member",
        "source": source,
        "path": path,
        "type": place.describe(types),
        "of": spelt(place.object),
        "offset": place.bit_offset / 8,
        "bit_offset": place.bit_offset,
        "size": place.size(types),
        "bits": place.bit_width,
        "through": through.collect::<Vec<_>>(),
        "expression": reading.expression,
        "parameter": reading.parameter,
    })
}
