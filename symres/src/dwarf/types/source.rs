//! The types of a program, one at a time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gimli::{AttributeValue, UnitOffset};

use super::members;
use super::search::{Home, TypeEntry};
use crate::dwarf::details::Program;
use crate::dwarf::sections::Reader;
use crate::dwarf::signature::{Context, Die, Entry, Language, flag, number, spelling, types};
use crate::elf::Machine;
use crate::layout::{Record, Shape, TypeNumber, Types};

/// More types are not looked at in one go.
const MAX_TYPES: usize = 1 << 20;
/// Enumerations have some hundred values.
const MAX_ENUMERATORS: usize = 1 << 16;
/// Functions have some ten parameters.
const MAX_PARAMETERS: usize = 256;

/// A type with a definition, and the entry of that.
pub(super) type Found<'s> = (Die<Reader<'s>>, Entry<Reader<'s>>);

/// Finds where a type is defined, by its name.
pub(super) type Find<'p> = &'p dyn Fn(&str) -> Option<TypeEntry>;

pub(super) struct Source<'p, 's> {
    program: &'p Program<'s>,
    pub(super) context: Context<'p, Reader<'s>>,
    find: Find<'p>,
    known: RefCell<Known<'s>>,
}

#[derive(Default)]
struct Known<'s> {
    dies: Vec<Die<Reader<'s>>>,
    /// By the unit (each is read once) and the offset in it.
    numbers: HashMap<(usize, usize), TypeNumber>,
    definitions: HashMap<String, Option<TypeNumber>>,
}

impl<'p, 's> Source<'p, 's> {
    /// `bytes` is the size of the debug information.
    pub(super) fn new(program: &'p Program<'s>, machine: Machine, bytes: u64, find: Find<'p>) -> Self {
        Self { program, context: Context::new(program, machine, bytes), find, known: RefCell::default() }
    }

    pub(super) fn number_of(&self, entry: &TypeEntry) -> Option<TypeNumber> {
        let die = match entry.home {
            Home::Info => self.program.main_at(entry.start.checked_add(entry.offset)?)?,
            Home::Supplementary => self.program.alt_at(entry.start.checked_add(entry.offset)?)?,
            Home::Types => self.program.type_unit_at(entry.start, UnitOffset(entry.offset))?,
        };
        Some(self.number(die))
    }

    /// The number of an entry: always the same.
    pub(super) fn number(&self, die: Die<Reader<'s>>) -> TypeNumber {
        let mut known = self.known.borrow_mut();
        let key = (Rc::as_ptr(&die.unit).addr(), die.offset.0);
        if let Some(number) = known.numbers.get(&key) {
            return *number;
        }
        if known.dies.len() >= MAX_TYPES {
            return TypeNumber::VOID;
        }
        known.dies.push(die);
        let number = TypeNumber(known.dies.len() as u64);
        known.numbers.insert(key, number);
        number
    }

    /// The number of the type that an attribute refers to; without one it is `void`.
    pub(super) fn referred(&self, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>, at: gimli::DwAt) -> TypeNumber {
        self.context.follow(die, entry, at).map_or(TypeNumber::VOID, |die| self.number(die))
    }

    fn die(&self, ty: TypeNumber) -> Option<Found<'s>> {
        let index = usize::try_from(ty.0).ok()?.checked_sub(1)?;
        let die = self.known.borrow().dies.get(index)?.clone();
        self.context.begin();
        let entry = self.context.entry(&die)?;
        // A unit may only name the type unit that has the type.
        match self.context.follow(&die, &entry, gimli::DW_AT_signature) {
            Some(typed) => {
                let entry = self.context.entry(&typed)?;
                Some((typed, entry))
            }
            None => Some((die, entry)),
        }
    }

    /// The name with its scopes.
    fn name(&self, die: &Die<Reader<'s>>) -> String {
        spelling::text(&self.context, Some(die), die.unit.dialect().language)
    }

    fn name_if_any(&self, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Option<String> {
        let named = match self.context.text(die, entry, gimli::DW_AT_name) {
            // GCC before 4.6 makes names up: `._12`, `<anonymous struct>`.
            Some(name) => !["._", "<anonymous", "<unnamed"].iter().any(|start| name.starts_with(start)),
            None => entry.has_attr(gimli::DW_AT_specification),
        };
        named.then(|| self.name(die))
    }

    /// The definition of a type that its unit only declares.
    fn definition(&self, die: &Die<Reader<'s>>) -> Option<TypeNumber> {
        let name = self.name(die);
        if let Some(known) = self.known.borrow().definitions.get(&name) {
            return *known;
        }
        let found = (self.find)(&name).and_then(|entry| self.number_of(&entry));
        self.known.borrow_mut().definitions.insert(name, found);
        found
    }

    fn list<T>(&self, die: &Die<Reader<'s>>, most: usize, mut each: impl FnMut(&Found<'s>) -> Option<T>) -> Vec<T> {
        let mut all = Vec::new();
        self.context.children(die, |die, entry| {
            if let Some(one) = each(&(die.clone(), entry.clone())) {
                all.push(one);
            }
            if all.len() < most { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
        });
        all
    }

    fn function(&self, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Shape {
        let mut variadic = false;
        let parameters = self.list(die, MAX_PARAMETERS, |(die, entry)| match entry.tag() {
            gimli::DW_TAG_formal_parameter => Some(self.referred(die, entry, gimli::DW_AT_type)),
            gimli::DW_TAG_unspecified_parameters => {
                variadic = true;
                None
            }
            _ => None,
        });
        Shape::Function { returns: self.referred(die, entry, gimli::DW_AT_type), parameters, variadic }
    }

    fn shape_of(&self, die: &Die<Reader<'s>>, entry: &Entry<Reader<'s>>) -> Shape {
        let size = number(entry, gimli::DW_AT_byte_size);
        let target = || self.referred(die, entry, gimli::DW_AT_type);
        let pointer =
            |sign| Shape::Pointer { sign, to: target(), size: size.unwrap_or_else(|| die.unit.address_size()) };
        let qualified = |word| Shape::Qualified { word, of: target() };
        match entry.tag() {
            gimli::DW_TAG_pointer_type => pointer("*"),
            gimli::DW_TAG_reference_type => pointer("&"),
            gimli::DW_TAG_rvalue_reference_type => pointer("&&"),
            gimli::DW_TAG_const_type => qualified("const"),
            gimli::DW_TAG_volatile_type => qualified("volatile"),
            gimli::DW_TAG_restrict_type => qualified("restrict"),
            gimli::DW_TAG_atomic_type => qualified("_Atomic"),
            gimli::DW_TAG_packed_type | gimli::DW_TAG_shared_type | gimli::DW_TAG_immutable_type => qualified(""),
            gimli::DW_TAG_typedef | gimli::DW_TAG_template_alias => {
                Shape::Typedef { name: self.name(die), of: target() }
            }
            gimli::DW_TAG_array_type => Shape::Array { of: target(), lengths: types::dimensions(&self.context, die) },
            gimli::DW_TAG_subroutine_type => self.function(die, entry),
            gimli::DW_TAG_enumeration_type => {
                let size = size.or_else(|| types::shape(&self.context, Some(die)).size);
                Shape::Enumeration { name: self.name_if_any(die, entry), size }
            }
            tag => match members::kind_of(tag) {
                Some(kind) => Shape::Record { kind, name: self.name_if_any(die, entry), size },
                None => Shape::Scalar { name: self.name(die), size: types::shape(&self.context, Some(die)).size },
            },
        }
    }
}

impl Types for Source<'_, '_> {
    fn shape(&self, ty: TypeNumber) -> Shape {
        self.die(ty).map_or(Shape::Void, |(die, entry)| self.shape_of(&die, &entry))
    }

    fn record(&self, ty: TypeNumber) -> Option<Record> {
        let (mut die, mut entry) = self.die(ty)?;
        members::kind_of(entry.tag())?;
        if flag(&entry, gimli::DW_AT_declaration) {
            (die, entry) = self.die(self.definition(&die)?)?;
        }
        let kind = members::kind_of(entry.tag())?;
        let mut record = Record {
            kind,
            name: self.name_if_any(&die, &entry),
            size: number(&entry, gimli::DW_AT_byte_size)?,
            members: Vec::new(),
            statics: Vec::new(),
            declared: self.program.declared(&die, &entry),
            notes: Vec::new(),
        };
        members::read(self, &die, &mut record);
        Some(record)
    }

    fn enumerators(&self, ty: TypeNumber) -> Vec<(String, i128)> {
        let Some((die, _)) = self.die(ty) else { return Vec::new() };
        let signed = types::shape(&self.context, Some(&die)).class == crate::signature::TypeClass::Signed;
        self.list(&die, MAX_ENUMERATORS, |(die, entry)| {
            if entry.tag() != gimli::DW_TAG_enumerator {
                return None;
            }
            let name = self.context.text(die, entry, gimli::DW_AT_name)?;
            let value = entry.attr(gimli::DW_AT_const_value)?;
            let value = match value.value() {
                AttributeValue::Udata(value) => i128::from(value),
                AttributeValue::Sdata(value) => i128::from(value),
                // One to eight bytes, of which only the type tells whether they have a sign.
                _ if signed => i128::from(value.sdata_value()?),
                _ => i128::from(value.udata_value()?),
            };
            Some((name, value))
        })
    }

    fn has_tags(&self) -> bool {
        let known = self.known.borrow();
        known.dies.first().is_some_and(|die| die.unit.dialect().language == Language::C)
    }
}
