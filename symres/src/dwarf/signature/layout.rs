//! How values are passed by the System V ABI for x86-64 (psABI 1.0, 3.2.3) and the Itanium C++ ABI (3.1).

use std::ops::ControlFlow;

use gimli::{AttributeValue, Reader};

use super::die::{Context, Dialect, Die, Entry, Language, flag, number};
use super::trivial::{Copying, copying};
use super::types;

/// Classes in classes nest some levels deep.
const MAX_DEPTH: usize = 24;
/// No value of more bytes goes into registers, except for vectors.
const MAX_IN_REGISTERS: u64 = 16;

/// How the bytes of an eightbyte are passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Nothing,
    Integer,
    Sse,
    /// The upper half of the vector register before it.
    SseUp,
    X87,
    X87Up,
    Memory,
}

/// How a value is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passing {
    /// It has no bytes.
    Empty,
    /// Its eightbytes in registers, if there are enough.
    Registers(Vec<Class>),
    /// On the stack.
    Memory,
    /// `_Complex long double`: an argument on the stack, a result in two registers of the x87.
    LongComplex,
    /// A pointer to a copy of it: it has a copy constructor or a destructor.
    Reference,
    /// The debug information does not tell.
    Unknown,
}

/// A value that is passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) passing: Passing,
    /// In bytes.
    pub(super) size: u64,
    /// On the stack it is at a multiple of so many bytes.
    pub(super) align: u64,
}

/// The classes of up to two eightbytes.
struct Eightbytes {
    classes: [Class; 2],
    align: u64,
}

/// The debug information does not tell.
pub(super) struct Unknown;

/// How an argument or a result of this type is passed; `void` is empty. Where the type does not tell whether it is passed by
/// a pointer to a copy, `by_reference` does.
pub(super) fn passed<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    ty: Option<&Die<R>>,
    dialect: Dialect,
    by_reference: Option<bool>,
) -> Passed {
    let size = types::shape(context, ty).size.unwrap_or(0);
    let result = if dialect.language == Language::Rust {
        rust(context, ty).map(|passing| (passing, 8))
    } else {
        system_v(context, ty, dialect, by_reference)
    };
    let (passing, align) = result.unwrap_or((Passing::Unknown, 8));
    Passed { passing, size, align }
}

/// With the alignment.
fn system_v<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    ty: Option<&Die<R>>,
    dialect: Dialect,
    by_reference: Option<bool>,
) -> Result<(Passing, u64), Unknown> {
    let Some((die, entry)) = types::resolve(context, ty).map_err(|_| Unknown)? else { return Ok((Passing::Empty, 1)) };
    if is_class(&entry) {
        let by_reference = match copying(context, &die, &entry, dialect, 0)? {
            Copying::Trivial => false,
            Copying::Unclear => by_reference.ok_or(Unknown)?,
            Copying::NonTrivial => true,
        };
        if by_reference {
            return Ok((Passing::Reference, 8));
        }
    }
    let size = types::shape(context, Some(&die)).size.ok_or(Unknown)?;
    if size > MAX_IN_REGISTERS {
        if !is_class(&entry) {
            // `_Complex long double`, `_BitInt(256)`; vectors depend on the options of the compiler.
            let encoding = entry.attr_value(gimli::DW_AT_encoding);
            let complex = matches!(encoding, Some(AttributeValue::Encoding(gimli::DW_ATE_complex_float)));
            return match entry.tag() {
                gimli::DW_TAG_base_type if complex => Ok((Passing::LongComplex, 16)),
                gimli::DW_TAG_base_type => Ok((Passing::Memory, 16)),
                _ => Err(Unknown),
            };
        }
        let align = align_of(context, &die, &entry, 0)?;
        return if has_long_vector(context, &die, 0)? { Err(Unknown) } else { Ok((Passing::Memory, align)) };
    }
    let mut eightbytes = Eightbytes { classes: [Class::Nothing; 2], align: 1 };
    eightbytes.add_type(context, &die, &entry, 0, 0)?;
    let count = usize::try_from(size.div_ceil(8)).map_err(|_| Unknown)?;
    let classes: Vec<Class> = eightbytes.classes.into_iter().take(count).collect();
    Ok((registers(&classes), eightbytes.align))
}

/// The rules that follow the merging of the classes.
fn registers(classes: &[Class]) -> Passing {
    if classes.iter().all(|class| *class == Class::Nothing) {
        return Passing::Empty;
    }
    let (first, second) = (classes.first().copied(), classes.get(1).copied());
    if classes.contains(&Class::Memory) || (second == Some(Class::X87Up) && first != Some(Class::X87)) {
        return Passing::Memory;
    }
    let classes = classes.iter().map(|class| match class {
        // The upper half of a vector alone is a number of its own.
        Class::SseUp if first != Some(Class::Sse) => Class::Sse,
        // A hole between the members.
        Class::Nothing => Class::Sse,
        class => *class,
    });
    Passing::Registers(classes.collect())
}

/// Rust's own calling convention is not fixed. What all versions since 2015 do with numbers and pointers is known here.
fn rust<R: Reader<Offset = usize>>(context: &Context<'_, R>, ty: Option<&Die<R>>) -> Result<Passing, Unknown> {
    let Some((die, entry)) = types::resolve(context, ty).map_err(|_| Unknown)? else { return Ok(Passing::Empty) };
    let size = types::shape(context, Some(&die)).size.ok_or(Unknown)?;
    if size == 0 {
        return Ok(Passing::Empty);
    }
    let name = context.text(&die, &entry, gimli::DW_AT_name).unwrap_or_default();
    match entry.tag() {
        gimli::DW_TAG_structure_type if size == 16 && ["&", "*const ", "*mut "].iter().any(|p| name.starts_with(p)) => {
            // A pointer and a length, or a pointer and a table of functions.
            Ok(Passing::Registers(vec![Class::Integer, Class::Integer]))
        }
        gimli::DW_TAG_base_type | gimli::DW_TAG_pointer_type | gimli::DW_TAG_enumeration_type if size <= 8 => {
            let mut eightbytes = Eightbytes { classes: [Class::Nothing; 2], align: 1 };
            eightbytes.add_type(context, &die, &entry, 0, 0)?;
            Ok(Passing::Registers(eightbytes.classes.into_iter().take(1).collect()))
        }
        gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type
            if size > MAX_IN_REGISTERS && size != 2 * MAX_IN_REGISTERS =>
        {
            // Two integers of 128 bits are a pair like a pointer and a length.
            Ok(Passing::Reference)
        }
        _ => Err(Unknown),
    }
}

pub(super) fn is_class<R: Reader<Offset = usize>>(entry: &Entry<R>) -> bool {
    matches!(
        entry.tag(),
        gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_interface_type
    )
}

fn merge(one: Class, other: Class) -> Class {
    match (one, other) {
        (one, other) if one == other => one,
        (Class::Nothing, class) | (class, Class::Nothing) => class,
        (Class::Memory, _) | (_, Class::Memory) => Class::Memory,
        (Class::Integer, _) | (_, Class::Integer) => Class::Integer,
        (Class::X87 | Class::X87Up, _) | (_, Class::X87 | Class::X87Up) => Class::Memory,
        _ => Class::Sse,
    }
}

impl Eightbytes {
    fn add(&mut self, class: Class, offset: u64) {
        if let Some(at) = usize::try_from(offset / 8).ok().and_then(|at| self.classes.get_mut(at)) {
            *at = merge(*at, class);
        }
    }

    fn add_scalar(&mut self, classes: &[Class], offset: u64, size: u64, align: u64) {
        self.align = self.align.max(align);
        if align > 0 && !offset.is_multiple_of(align) {
            // Packed: values that are not aligned are never in registers.
            self.add(Class::Memory, offset);
            return;
        }
        for (at, class) in (offset..offset.saturating_add(size.max(1))).step_by(8).zip(classes) {
            self.add(*class, at);
        }
    }

    fn add_type<R: Reader<Offset = usize>>(
        &mut self,
        context: &Context<'_, R>,
        die: &Die<R>,
        entry: &Entry<R>,
        offset: u64,
        depth: usize,
    ) -> Result<(), Unknown> {
        if depth > MAX_DEPTH {
            return Err(Unknown);
        }
        let size = types::shape(context, Some(die)).size.ok_or(Unknown)?;
        if offset.saturating_add(size) > MAX_IN_REGISTERS {
            return Err(Unknown);
        }
        self.align = self.align.max(number(entry, gimli::DW_AT_alignment).unwrap_or(1));
        match entry.tag() {
            gimli::DW_TAG_base_type => self.add_base(context, die, entry, offset, size)?,
            gimli::DW_TAG_array_type if flag(entry, gimli::DW_AT_GNU_vector) => {
                self.add_scalar(&[Class::Sse, Class::SseUp], offset, size, size);
            }
            gimli::DW_TAG_array_type => {
                let element = context.follow(die, entry, gimli::DW_AT_type).ok_or(Unknown)?;
                let (element, element_entry) =
                    types::resolve(context, Some(&element)).map_err(|_| Unknown)?.ok_or(Unknown)?;
                let one = types::shape(context, Some(&element)).size.filter(|one| *one > 0).ok_or(Unknown)?;
                for at in (0..size).step_by(usize::try_from(one).map_err(|_| Unknown)?) {
                    self.add_type(context, &element, &element_entry, offset + at, depth + 1)?;
                }
            }
            _ if is_class(entry) => {
                for member in members(context, die)? {
                    self.add_member(context, &member, offset, depth)?;
                }
            }
            // Pointers, references, enumerations; pointers to member functions are two words.
            _ => self.add_scalar(&[Class::Integer, Class::Integer], offset, size, size.min(8)),
        }
        Ok(())
    }

    fn add_member<R: Reader<Offset = usize>>(
        &mut self,
        context: &Context<'_, R>,
        member: &Member<R>,
        offset: u64,
        depth: usize,
    ) -> Result<(), Unknown> {
        if let Some((first, bits)) = member.bits {
            // Bit fields are integers; those without a name do not count.
            if bits > 0 && member.named {
                let start = offset.saturating_mul(8).saturating_add(first);
                self.add(Class::Integer, start / 8);
                self.add(Class::Integer, start.saturating_add(bits - 1) / 8);
            }
            return Ok(());
        }
        let (die, entry) = types::resolve(context, Some(&member.ty)).map_err(|_| Unknown)?.ok_or(Unknown)?;
        let empty = types::shape(context, Some(&die)).size == Some(0);
        if empty {
            return Ok(());
        }
        self.add_type(context, &die, &entry, offset.checked_add(member.offset).ok_or(Unknown)?, depth + 1)
    }

    fn add_base<R: Reader<Offset = usize>>(
        &mut self,
        context: &Context<'_, R>,
        die: &Die<R>,
        entry: &Entry<R>,
        offset: u64,
        size: u64,
    ) -> Result<(), Unknown> {
        let encoding = match entry.attr_value(gimli::DW_AT_encoding) {
            Some(AttributeValue::Encoding(encoding)) => encoding,
            _ => return Err(Unknown),
        };
        match encoding {
            gimli::DW_ATE_complex_float => match size {
                // Two `float` share an eightbyte.
                8 => self.add_scalar(&[Class::Sse], offset, 8, 4),
                16 => self.add_scalar(&[Class::Sse, Class::Sse], offset, 16, 8),
                4 => self.add_scalar(&[Class::Sse], offset, 4, 2),
                _ => return Err(Unknown),
            },
            gimli::DW_ATE_float | gimli::DW_ATE_decimal_float if size <= 8 => {
                self.add_scalar(&[Class::Sse], offset, size, size);
            }
            // `long double`; `__float128` and `_Decimal128` are as long.
            gimli::DW_ATE_float if size == 16 && !is_quad(context, die, entry) => {
                self.add_scalar(&[Class::X87, Class::X87Up], offset, size, 16);
            }
            gimli::DW_ATE_float | gimli::DW_ATE_decimal_float if size == 16 => {
                self.add_scalar(&[Class::Sse, Class::SseUp], offset, size, 16);
            }
            gimli::DW_ATE_float | gimli::DW_ATE_decimal_float | gimli::DW_ATE_imaginary_float => return Err(Unknown),
            _ => self.add_scalar(&[Class::Integer, Class::Integer], offset, size, size.next_power_of_two().min(16)),
        }
        Ok(())
    }
}

/// `__float128`, `_Float128`: a number of 16 bytes that is not `long double`.
fn is_quad<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>, entry: &Entry<R>) -> bool {
    context.text(die, entry, gimli::DW_AT_name).is_some_and(|name| name.contains("128"))
}

/// A data member or a base class.
struct Member<R: Reader<Offset = usize>> {
    ty: Die<R>,
    /// In bytes.
    offset: u64,
    /// Of a bit field: the first bit from the start of the class, and how many there are.
    bits: Option<(u64, u64)>,
    named: bool,
}

fn members<R: Reader<Offset = usize>>(context: &Context<'_, R>, class: &Die<R>) -> Result<Vec<Member<R>>, Unknown> {
    let mut list = Vec::new();
    let mut result = Ok(());
    context.children(class, |child, entry| {
        let base = entry.tag() == gimli::DW_TAG_inheritance;
        if !base && entry.tag() != gimli::DW_TAG_member {
            return ControlFlow::Continue(());
        }
        // Static members.
        if flag(entry, gimli::DW_AT_external) || flag(entry, gimli::DW_AT_declaration) {
            return ControlFlow::Continue(());
        }
        match member(context, child, entry) {
            Ok(member) => list.push(member),
            Err(unknown) => result = Err(unknown),
        }
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    result.map(|()| list)
}

fn member<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
) -> Result<Member<R>, Unknown> {
    let ty = context.follow(die, entry, gimli::DW_AT_type).ok_or(Unknown)?;
    let offset = match entry.attr_value(gimli::DW_AT_data_member_location) {
        // The members of a union have none.
        None => 0,
        Some(AttributeValue::Exprloc(expression)) => constant_offset(die, &expression.0)?,
        Some(AttributeValue::Block(block)) => constant_offset(die, &block)?,
        Some(_) => number(entry, gimli::DW_AT_data_member_location).ok_or(Unknown)?,
    };
    let bits = number(entry, gimli::DW_AT_bit_size).map(|bits| {
        let first = match (number(entry, gimli::DW_AT_data_bit_offset), number(entry, gimli::DW_AT_bit_offset)) {
            (Some(first), _) => first,
            // DWARF 2 counts from the highest bit of the integer in which the field is kept.
            (None, Some(from_top)) => {
                let storage = number(entry, gimli::DW_AT_byte_size);
                let storage = storage.or_else(|| types::shape(context, Some(&ty)).size).unwrap_or(4);
                let low = storage.saturating_mul(8).saturating_sub(from_top).saturating_sub(bits);
                offset.saturating_mul(8).saturating_add(low)
            }
            (None, None) => offset.saturating_mul(8),
        };
        (first, bits)
    });
    Ok(Member { ty, offset, bits, named: entry.has_attr(gimli::DW_AT_name) })
}

/// DWARF 2: `DW_OP_plus_uconst 8`. Any other expression is that of a virtual base.
fn constant_offset<R: Reader<Offset = usize>>(die: &Die<R>, expression: &R) -> Result<u64, Unknown> {
    let mut input = expression.clone();
    let operation = gimli::Operation::parse(&mut input, die.unit.unit.encoding()).map_err(|_| Unknown)?;
    match operation {
        gimli::Operation::PlusConstant { value } | gimli::Operation::UnsignedConstant { value } if input.is_empty() => {
            Ok(value)
        }
        _ => Err(Unknown),
    }
}

fn align_of<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    depth: usize,
) -> Result<u64, Unknown> {
    if depth > MAX_DEPTH {
        return Err(Unknown);
    }
    let given = number(entry, gimli::DW_AT_alignment).unwrap_or(1);
    if is_class(entry) {
        let mut align = given;
        for member in members(context, die)?.iter().filter(|member| member.bits.is_none()) {
            let (ty, entry) = types::resolve(context, Some(&member.ty)).map_err(|_| Unknown)?.ok_or(Unknown)?;
            let natural = align_of(context, &ty, &entry, depth + 1)?;
            // In a packed class the members do not align it.
            if member.offset.is_multiple_of(natural) {
                align = align.max(natural);
            }
        }
        return Ok(align);
    }
    if entry.tag() == gimli::DW_TAG_array_type && !flag(entry, gimli::DW_AT_GNU_vector) {
        let element = context.follow(die, entry, gimli::DW_AT_type).ok_or(Unknown)?;
        let (element, entry) = types::resolve(context, Some(&element)).map_err(|_| Unknown)?.ok_or(Unknown)?;
        return Ok(given.max(align_of(context, &element, &entry, depth + 1)?));
    }
    let size = types::shape(context, Some(die)).size.ok_or(Unknown)?;
    let natural = if entry.tag() == gimli::DW_TAG_ptr_to_member_type { size.min(8) } else { size };
    Ok(given.max(natural.clamp(1, 16).next_power_of_two()))
}

/// Classes around one vector of 32 or 64 bytes are passed as that is.
fn has_long_vector<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    depth: usize,
) -> Result<bool, Unknown> {
    if depth > MAX_DEPTH {
        return Err(Unknown);
    }
    let list = members(context, die)?;
    let [only] = list.as_slice() else { return Ok(false) };
    let (ty, entry) = types::resolve(context, Some(&only.ty)).map_err(|_| Unknown)?.ok_or(Unknown)?;
    if is_class(&entry) {
        return has_long_vector(context, &ty, depth + 1);
    }
    Ok(flag(&entry, gimli::DW_AT_GNU_vector))
}
