//! Which classes of C++ are passed by a pointer to a copy.

use std::ops::ControlFlow;

use gimli::{AttributeValue, Reader};

use super::die::{Context, Dialect, Die, Entry, Found, Language, flag, number};
use super::layout::{Unknown, is_class};
use super::types;

/// Classes in classes nest some levels deep.
const MAX_DEPTH: usize = 24;

/// Whether a class has a copy or move constructor or a destructor that does something: a class is then passed by a pointer
/// to a copy (Itanium C++ ABI, "non-trivial for the purposes of calls").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Copying {
    /// It has none.
    Trivial,
    /// It declares one, but the compiler does not say whether that is `= default`.
    Unclear,
    /// It has one.
    NonTrivial,
}

/// How a class is copied.
pub(super) fn copying<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    dialect: Dialect,
    depth: usize,
) -> Result<Copying, Unknown> {
    if depth > MAX_DEPTH {
        return Err(Unknown);
    }
    if dialect.language != Language::Cpp {
        return Ok(Copying::Trivial);
    }
    match entry.attr_value(gimli::DW_AT_calling_convention) {
        Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_reference)) => return Ok(Copying::NonTrivial),
        Some(AttributeValue::CallingConvention(gimli::DW_CC_pass_by_value)) => return Ok(Copying::Trivial),
        _ => {}
    }
    if flag(entry, gimli::DW_AT_declaration) {
        return Err(Unknown);
    }
    let name = context.text(die, entry, gimli::DW_AT_name).unwrap_or_default();
    let name = name.split('<').next().unwrap_or_default().to_owned();
    let mut worst = Copying::Trivial;
    let mut inner: Vec<Die<R>> = Vec::new();
    context.children(die, |child, entry| {
        match entry.tag() {
            gimli::DW_TAG_subprogram => worst = worst.max(special_member(context, die, child, entry, &name, dialect)),
            gimli::DW_TAG_inheritance => {
                // Copying sets the pointer to the virtual base.
                if entry.has_attr(gimli::DW_AT_virtuality) {
                    worst = Copying::NonTrivial;
                }
                inner.extend(context.follow(child, entry, gimli::DW_AT_type));
            }
            gimli::DW_TAG_member if !flag(entry, gimli::DW_AT_external) && !flag(entry, gimli::DW_AT_declaration) => {
                // The table of virtual functions: GCC writes `_vptr.Class`, clang `_vptr$Class`.
                let name = context.text(child, entry, gimli::DW_AT_name);
                if name.is_some_and(|name| name.starts_with("_vptr")) {
                    worst = Copying::NonTrivial;
                }
                inner.extend(context.follow(child, entry, gimli::DW_AT_type));
            }
            _ => {}
        }
        if worst == Copying::NonTrivial { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    for ty in &inner {
        if worst == Copying::NonTrivial {
            break;
        }
        if let Some((ty, entry)) = element(context, ty)?
            && is_class(&entry)
        {
            worst = worst.max(copying(context, &ty, &entry, dialect, depth + 1)?);
        }
    }
    Ok(worst)
}

/// The type, or that of an array's elements.
fn element<R: Reader<Offset = usize>>(context: &Context<'_, R>, ty: &Die<R>) -> Result<Option<Found<R>>, Unknown> {
    let mut ty = ty.clone();
    for _ in 0..MAX_DEPTH {
        match types::resolve(context, Some(&ty)).map_err(|_| Unknown)? {
            Some((die, entry)) if entry.tag() == gimli::DW_TAG_array_type => {
                ty = context.follow(&die, &entry, gimli::DW_AT_type).ok_or(Unknown)?;
            }
            other => return Ok(other),
        }
    }
    Err(Unknown)
}

/// A destructor, copy or move constructor that the source has written: those that the compiler adds, and those that are
/// `= default`, do what the members' do.
fn special_member<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    class: &Die<R>,
    die: &Die<R>,
    entry: &Entry<R>,
    class_name: &str,
    dialect: Dialect,
) -> Copying {
    let Some(name) = context.text(die, entry, gimli::DW_AT_name) else { return Copying::Trivial };
    let destructor = name.starts_with('~');
    if !destructor && (class_name.is_empty() || name.split('<').next() != Some(class_name)) {
        return Copying::Trivial;
    }
    if destructor && entry.has_attr(gimli::DW_AT_virtuality) {
        return Copying::NonTrivial;
    }
    // `DW_DEFAULTED_in_class`
    let defaulted = number(entry, gimli::DW_AT_defaulted);
    if flag(entry, gimli::DW_AT_artificial) || flag(entry, gimli::DW_AT_deleted) || defaulted == Some(1) {
        return Copying::Trivial;
    }
    if !destructor && !copies(context, class, die) {
        return Copying::Trivial;
    }
    if defaulted.is_some() || dialect.tells_defaulted { Copying::NonTrivial } else { Copying::Unclear }
}

/// Of constructors, those whose only parameter besides `this` refers to the class itself.
fn copies<R: Reader<Offset = usize>>(context: &Context<'_, R>, class: &Die<R>, constructor: &Die<R>) -> bool {
    let mut parameters = Vec::new();
    context.children(constructor, |child, entry| {
        if entry.tag() == gimli::DW_TAG_formal_parameter && !flag(entry, gimli::DW_AT_artificial) {
            parameters.push(context.follow(child, entry, gimli::DW_AT_type));
        }
        if parameters.len() < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let [Some(parameter)] = parameters.as_slice() else { return false };
    let Ok(Some((reference, entry))) = types::resolve(context, Some(parameter)) else { return false };
    if !matches!(entry.tag(), gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type) {
        return false;
    }
    let target = context.follow(&reference, &entry, gimli::DW_AT_type);
    types::resolve(context, target.as_ref()).is_ok_and(|target| target.is_some_and(|(target, _)| target.same(class)))
}
