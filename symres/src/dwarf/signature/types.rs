//! What the values of a type are: their size, and what their bytes mean.

use std::ops::ControlFlow;

use gimli::{AttributeValue, DwTag, Reader};

use super::die::{Context, Die, Entry, Found, Language, number};
use super::spelling;
use crate::signature::{Type, TypeClass};

/// `typedef`s of `typedef`s; loops of them end here.
const MAX_STEPS: usize = 64;
/// Arrays have two or three.
const MAX_DIMENSIONS: usize = 16;
/// Enough to see whether an enumeration has negative values.
const MAX_ENUMERATORS: usize = 4096;

/// Size and class of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dwarf) struct Shape {
    pub(in crate::dwarf) size: Option<u64>,
    pub(in crate::dwarf) class: TypeClass,
}

const UNKNOWN: Shape = Shape { size: None, class: TypeClass::Unknown };

/// The type of an entry; without one it is `void`.
pub(super) fn describe<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: Option<&Die<R>>,
    language: Language,
) -> Type {
    let Shape { size, class } = shape(context, die);
    Type { text: spelling::text(context, die, language), size, class }
}

/// The type behind `typedef`s and qualifiers, and the definition where that is elsewhere. None is `void`.
pub(super) fn resolve<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: Option<&Die<R>>,
) -> Result<Option<Found<R>>, Unresolved> {
    let Some(mut die) = die.cloned() else { return Ok(None) };
    for _ in 0..MAX_STEPS {
        let entry = context.entry(&die).ok_or(Unresolved)?;
        let next = match entry.tag() {
            gimli::DW_TAG_typedef
            | gimli::DW_TAG_template_alias
            | gimli::DW_TAG_const_type
            | gimli::DW_TAG_volatile_type
            | gimli::DW_TAG_restrict_type
            | gimli::DW_TAG_atomic_type
            | gimli::DW_TAG_packed_type
            | gimli::DW_TAG_shared_type
            | gimli::DW_TAG_immutable_type => match entry.attr_value(gimli::DW_AT_type) {
                None => return Ok(None),
                Some(value) => Some(context.referred(&die, value).ok_or(Unresolved)?),
            },
            gimli::DW_TAG_subrange_type if !entry.has_attr(gimli::DW_AT_byte_size) => {
                context.follow(&die, &entry, gimli::DW_AT_type)
            }
            _ => context.follow(&die, &entry, gimli::DW_AT_signature),
        };
        match next {
            Some(next) => die = next,
            None => return Ok(Some((die, entry))),
        }
    }
    Err(Unresolved)
}

/// Without `const` and `volatile` of the value itself, which are not part of a function's type.
pub(super) fn unqualified<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: Option<&Die<R>>) -> Option<Die<R>> {
    let mut die = die?.clone();
    for _ in 0..MAX_STEPS {
        let Some(entry) = context.entry(&die) else { break };
        let qualified =
            matches!(entry.tag(), gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type | gimli::DW_TAG_restrict_type);
        match context.follow(&die, &entry, gimli::DW_AT_type).filter(|_| qualified) {
            Some(inner) => die = inner,
            None => break,
        }
    }
    Some(die)
}

/// A reference that leads nowhere, or in circles.
#[derive(Debug)]
pub(super) struct Unresolved;

/// The size and class of a type.
pub(in crate::dwarf) fn shape<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: Option<&Die<R>>) -> Shape {
    sized(context, die, 0)
}

fn sized<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: Option<&Die<R>>, depth: usize) -> Shape {
    let (die, entry) = match resolve(context, die) {
        Ok(None) => return Shape { size: None, class: TypeClass::Void },
        Ok(Some(resolved)) => resolved,
        Err(Unresolved) => return UNKNOWN,
    };
    let size = number(&entry, gimli::DW_AT_byte_size);
    let pointer = || Some(size.unwrap_or_else(|| die.unit.address_size()));
    match entry.tag() {
        gimli::DW_TAG_base_type => {
            let bits = || number(&entry, gimli::DW_AT_bit_size).map(|bits| bits.div_ceil(8));
            Shape { size: size.or_else(bits), class: encoding(&entry) }
        }
        gimli::DW_TAG_pointer_type => Shape { size: pointer(), class: pointer_class(context, &die, &entry) },
        gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
            Shape { size: pointer(), class: TypeClass::Pointer }
        }
        gimli::DW_TAG_ptr_to_member_type => {
            // A pointer to a member function is the function and what is added to `this` (Itanium C++ ABI, 2.3).
            let target = context.follow(&die, &entry, gimli::DW_AT_type);
            let target = resolve(context, target.as_ref()).ok().flatten();
            let function = target.is_some_and(|(_, target)| target.tag() == gimli::DW_TAG_subroutine_type);
            let words = if function { 2 } else { 1 };
            Shape { size: size.or_else(|| Some(words * die.unit.address_size())), class: TypeClass::Pointer }
        }
        gimli::DW_TAG_enumeration_type => enumeration(context, &die, &entry, size, depth),
        gimli::DW_TAG_structure_type
        | gimli::DW_TAG_class_type
        | gimli::DW_TAG_union_type
        | gimli::DW_TAG_interface_type => Shape { size, class: TypeClass::Aggregate },
        gimli::DW_TAG_array_type | gimli::DW_TAG_string_type => {
            Shape { size: size.or_else(|| array_size(context, &die, &entry, depth)), class: TypeClass::Aggregate }
        }
        gimli::DW_TAG_subroutine_type => Shape { size: None, class: TypeClass::Unknown },
        gimli::DW_TAG_unspecified_type => {
            let null = context.text(&die, &entry, gimli::DW_AT_name).is_some_and(|name| name.contains("nullptr"));
            if null { Shape { size: pointer(), class: TypeClass::Pointer } } else { UNKNOWN }
        }
        _ => Shape { size, class: TypeClass::Unknown },
    }
}

fn encoding<R: Reader<Offset = usize>>(entry: &Entry<R>) -> TypeClass {
    let Some(AttributeValue::Encoding(encoding)) = entry.attr_value(gimli::DW_AT_encoding) else {
        return TypeClass::Unknown;
    };
    match encoding {
        gimli::DW_ATE_boolean => TypeClass::Boolean,
        gimli::DW_ATE_signed => TypeClass::Signed,
        gimli::DW_ATE_unsigned => TypeClass::Unsigned,
        gimli::DW_ATE_signed_char
        | gimli::DW_ATE_unsigned_char
        | gimli::DW_ATE_UTF
        | gimli::DW_ATE_ASCII
        | gimli::DW_ATE_UCS => TypeClass::Character,
        gimli::DW_ATE_float | gimli::DW_ATE_imaginary_float => TypeClass::Float,
        gimli::DW_ATE_complex_float => TypeClass::Aggregate,
        gimli::DW_ATE_address => TypeClass::Pointer,
        _ => TypeClass::Unknown,
    }
}

fn pointer_class<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>, entry: &Entry<R>) -> TypeClass {
    let target = context.follow(die, entry, gimli::DW_AT_type);
    match resolve(context, target.as_ref()) {
        Ok(Some((_, target)))
            if target.tag() == gimli::DW_TAG_base_type
                && encoding(&target) == TypeClass::Character
                && number(&target, gimli::DW_AT_byte_size) == Some(1) =>
        {
            TypeClass::CString
        }
        _ => TypeClass::Pointer,
    }
}

/// What a pointer points to, without changing its qualifiers.
pub(super) fn pointee<R: Reader<Offset = usize>>(context: &Context<'_, R>, pointer: &Die<R>) -> Option<Die<R>> {
    let (die, entry) = resolve(context, Some(pointer)).ok()??;
    (entry.tag() == gimli::DW_TAG_pointer_type).then(|| context.follow(&die, &entry, gimli::DW_AT_type))?
}

/// The spelling of the basic type or enumeration behind `typedef`s.
pub(super) fn base_name<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> Option<String> {
    let (die, _) = resolve(context, Some(die)).ok()??;
    Some(spelling::text(context, Some(&die), Language::Cpp))
}

fn enumeration<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    size: Option<u64>,
    depth: usize,
) -> Shape {
    if let Some(underlying) = context.follow(die, entry, gimli::DW_AT_type)
        && depth < MAX_STEPS
    {
        let Shape { size: base, class } = sized(context, Some(&underlying), depth + 1);
        return Shape { size: size.or(base), class };
    }
    let mut seen = 0;
    let mut negative = false;
    context.children(die, |_, child| {
        seen += 1;
        if child.tag() == gimli::DW_TAG_enumerator {
            negative = child.attr(gimli::DW_AT_const_value).is_some_and(|value| {
                matches!(value.form(), gimli::DW_FORM_sdata | gimli::DW_FORM_implicit_const)
                    && value.sdata_value().is_some_and(|value| value < 0)
            });
        }
        if negative || seen >= MAX_ENUMERATORS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    Shape { size, class: if negative { TypeClass::Signed } else { TypeClass::Unsigned } }
}

/// How many elements an array has in each of its dimensions; none where that is not fixed.
pub(in crate::dwarf) fn dimensions<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    array: &Die<R>,
) -> Vec<Option<u64>> {
    let mut counts = Vec::new();
    context.children(array, |_, child| {
        if is_dimension(child.tag()) {
            let lower = number(child, gimli::DW_AT_lower_bound).unwrap_or(0);
            let upper = || number(child, gimli::DW_AT_upper_bound)?.checked_sub(lower)?.checked_add(1);
            counts.push(number(child, gimli::DW_AT_count).or_else(upper));
        }
        if counts.len() < MAX_DIMENSIONS { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    counts
}

fn is_dimension(tag: DwTag) -> bool {
    matches!(tag, gimli::DW_TAG_subrange_type | gimli::DW_TAG_enumeration_type)
}

fn array_size<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    depth: usize,
) -> Option<u64> {
    if depth >= MAX_STEPS {
        return None;
    }
    let element = context.follow(die, entry, gimli::DW_AT_type)?;
    let stride = number(entry, gimli::DW_AT_byte_stride);
    let one = stride.or_else(|| sized(context, Some(&element), depth + 1).size)?;
    let counts = dimensions(context, die);
    // `int a[]` has a dimension without a count; an array without any is damaged.
    counts.first()?;
    counts.into_iter().try_fold(one, |size, count| size.checked_mul(count?))
}
