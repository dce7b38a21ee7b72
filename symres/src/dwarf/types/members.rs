//! The members of a struct, class or union, and where they are in it.

use std::ops::ControlFlow;

use gimli::{AttributeValue, DwTag, Endianity as _, Operation, Reader as _};

use super::source::Source;
use crate::dwarf::sections::Reader;
use crate::dwarf::signature::{Die, Entry, flag, number};
use crate::layout::{Member, Record, Role, StaticMember, TypeKind, TypeNumber, size_of};

/// The largest structs of MySQL have some 400.
const MAX_MEMBERS: usize = 1 << 16;

pub(super) fn kind_of(tag: DwTag) -> Option<TypeKind> {
    Some(match tag {
        gimli::DW_TAG_structure_type | gimli::DW_TAG_interface_type => TypeKind::Struct,
        gimli::DW_TAG_class_type => TypeKind::Class,
        gimli::DW_TAG_union_type => TypeKind::Union,
        _ => return None,
    })
}

/// Adds what is in a record.
pub(super) fn read<'s>(source: &Source<'_, 's>, record: &Die<Reader<'s>>, into: &mut Record) {
    let mut variants = 0_usize;
    source.context.children(record, |die, entry| {
        match entry.tag() {
            gimli::DW_TAG_inheritance => into.members.push(base(source, die, entry)),
            gimli::DW_TAG_member => match is_static(entry) {
                true => into.statics.extend(shared(source, die, entry)),
                false => into.members.push(field(source, die, entry)),
            },
            gimli::DW_TAG_variable => into.statics.extend(shared(source, die, entry)),
            gimli::DW_TAG_variant_part => variants += 1,
            _ => {}
        }
        match into.members.len() + into.statics.len() < MAX_MEMBERS {
            true => ControlFlow::Continue(()),
            false => {
                into.notes.push(format!("it has more than {MAX_MEMBERS} members; the others are not shown"));
                ControlFlow::Break(())
            }
        }
    });
    if variants > 0 {
        into.notes.push("the variants of this enum are not shown".to_owned());
    }
}

/// Before DWARF 5, static members are members that are declared only.
fn is_static(entry: &Entry<Reader<'_>>) -> bool {
    flag(entry, gimli::DW_AT_declaration) && !entry.has_attr(gimli::DW_AT_data_member_location)
}

fn shared<'s>(source: &Source<'_, 's>, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Option<StaticMember> {
    let name = source.context.text(die, entry, gimli::DW_AT_name)?;
    Some(StaticMember { name, ty: source.referred(die, entry, gimli::DW_AT_type) })
}

fn base<'s>(source: &Source<'_, 's>, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Member {
    let virtually = match entry.attr_value(gimli::DW_AT_virtuality) {
        Some(AttributeValue::Virtuality(virtuality)) => virtuality == gimli::DW_VIRTUALITY_virtual,
        _ => false,
    };
    let bytes = location(die, entry);
    // Without a place, a base class is at the start.
    let place = if entry.has_attr(gimli::DW_AT_data_member_location) { bytes } else { Some(0) };
    Member {
        name: None,
        ty: source.referred(die, entry, gimli::DW_AT_type),
        role: if virtually { Role::VirtualBase } else { Role::Base },
        bit_offset: place.filter(|_| !virtually).and_then(|bytes| bytes.checked_mul(8)),
        bit_width: None,
    }
}

fn field<'s>(source: &Source<'_, 's>, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Member {
    let name = source.context.text(die, entry, gimli::DW_AT_name);
    let ty = source.referred(die, entry, gimli::DW_AT_type);
    let is_table = name.as_deref().is_some_and(|name| name.starts_with("_vptr"));
    let bit_width = number(entry, gimli::DW_AT_bit_size);
    Member {
        name,
        ty,
        role: if is_table { Role::VirtualTable } else { Role::Field },
        bit_offset: bit_offset(source, die, entry, ty, bit_width),
        bit_width,
    }
}

/// Where a field begins, in bits. Members of unions have no place: they begin at the start.
fn bit_offset<'s>(
    source: &Source<'_, 's>,
    die: &Die<Reader<'s>>,
    entry: &Entry<Reader<'s>>,
    ty: TypeNumber,
    width: Option<u64>,
) -> Option<u64> {
    if let Some(bits) = number(entry, gimli::DW_AT_data_bit_offset) {
        return Some(bits);
    }
    let bytes = match entry.has_attr(gimli::DW_AT_data_member_location) {
        true => location(die, entry)?,
        false => 0,
    };
    let start = bytes.checked_mul(8)?;
    // DWARF 3, 5.5.6: counted from the most significant bit of a unit of so many bytes.
    let Some((width, from_top)) = width.zip(number(entry, gimli::DW_AT_bit_offset)) else {
        return Some(start);
    };
    let unit = number(entry, gimli::DW_AT_byte_size).or_else(|| size_of(source, ty))?.checked_mul(8)?;
    match gimli::Section::reader(&die.unit.dwarf.debug_info).endian().is_little_endian() {
        true => start.checked_add(unit)?.checked_sub(from_top.checked_add(width)?),
        false => start.checked_add(from_top),
    }
}

/// The place of a member, in bytes: a number, or an expression that adds one to the address of the object.
fn location(die: &Die<Reader<'_>>, entry: &Entry<Reader<'_>>) -> Option<u64> {
    match entry.attr_value(gimli::DW_AT_data_member_location)? {
        AttributeValue::Exprloc(expression) => {
            let mut operations = expression.operations(die.unit.unit.encoding());
            let first = operations.next().ok()??;
            match (first, operations.next().ok()?) {
                (Operation::PlusConstant { value }, None) => Some(value),
                _ => None,
            }
        }
        _ => number(entry, gimli::DW_AT_data_member_location),
    }
}
