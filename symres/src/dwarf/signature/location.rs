//! Where the arguments of a function are at an instruction: what the debug information says, and where it does not know, the
//! calling convention.

use std::cell::OnceCell;

use gimli::{AttributeValue, Expression, Reader};

use super::abi::{self, Convention};
use super::die::{Context, Die, Entry};
use super::expression::{self, COST_OF_FRAMES, Evaluated, FrameUse};
use super::frame::RegisterSum;
use super::parameters::{Declaration, Formal};
use super::types;
use super::{Site, SiteKind};
use crate::elf::Machine;
use crate::location::{Argument, KnownBy, Location};
use crate::signature::TypeClass;

/// Longer location lists are not read to their end. Those of functions of 10,000 lines have some hundred entries.
const MAX_LIST: u32 = 20_000;
/// Longer constants are not kept.
const MAX_BYTES: usize = 64;

/// An instruction, and the frame that is on the stack there.
pub(super) struct Instruction<'s, R: Reader<Offset = usize>> {
    /// The concrete function that holds it.
    pub(super) outer: &'s Die<R>,
    pub(super) pc: u64,
    outer_entry: OnceCell<Option<u64>>,
    cfa: OnceCell<Option<RegisterSum>>,
}

impl<'s, R: Reader<Offset = usize>> Instruction<'s, R> {
    pub(super) fn new(outer: &'s Die<R>, pc: u64) -> Self {
        Self { outer, pc, outer_entry: OnceCell::new(), cfa: OnceCell::new() }
    }

    /// Nothing of the function on the stack has run yet.
    pub(super) fn is_outer_entry(&self, context: &Context<'_, R>) -> bool {
        *self.outer_entry.get_or_init(|| entry_pc(context, self.outer)) == Some(self.pc)
    }

    /// The canonical frame address.
    pub(super) fn cfa(&self, context: &Context<'_, R>) -> Option<RegisterSum> {
        *self.cfa.get_or_init(|| {
            if self.is_outer_entry(context) {
                // The call has pushed the return address, or put it into a register.
                match context.machine {
                    Machine::X86_64 => return Some(RegisterSum { register: 7, offset: 8 }),
                    Machine::AARCH64 => return Some(RegisterSum { register: 31, offset: 0 }),
                    _ => {}
                }
            }
            context.spend(COST_OF_FRAMES)?;
            context.reach.frames()?.cfa(self.pc)
        })
    }
}

/// The first instruction of a concrete function.
fn entry_pc<R: Reader<Offset = usize>>(context: &Context<'_, R>, die: &Die<R>) -> Option<u64> {
    let entry = context.entry(die)?;
    let (dwarf, unit) = (&die.unit.dwarf, &die.unit.unit);
    let address = |at| dwarf.attr_address(unit, entry.attr_value(at)?).ok()?;
    if let Some(low) = address(gimli::DW_AT_low_pc).or_else(|| address(gimli::DW_AT_entry_pc)) {
        return Some(low);
    }
    Some(dwarf.die_ranges(unit, &entry).ok()?.next().ok()??.begin)
}

/// The expression of an attribute that is valid at an instruction: the attribute itself, or from the list that it refers to.
pub(super) fn at<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    die: &Die<R>,
    value: AttributeValue<R>,
    pc: u64,
) -> Option<Expression<R>> {
    match value {
        AttributeValue::Exprloc(expression) => return Some(expression),
        AttributeValue::Block(block) => return Some(Expression(block)),
        _ => {}
    }
    let mut list = die.unit.dwarf.attr_locations(&die.unit.unit, value).ok()??;
    let mut default = None;
    for _ in 0..MAX_LIST {
        context.spend(1)?;
        let entry = list.next().ok()?;
        let Some(entry) = entry else { break };
        // `DW_LLE_default_location` is for what no other entry is valid for.
        if (entry.range.begin, entry.range.end) == (0, u64::MAX) {
            default = Some(entry.data);
        } else if (entry.range.begin..entry.range.end).contains(&pc) {
            return Some(entry.data);
        }
    }
    default
}

/// Where the value of a variable or parameter is; none where its entry says nothing about this instruction.
pub(super) fn of_entry<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    instruction: &Instruction<'_, R>,
    die: &Die<R>,
    depth: usize,
) -> Option<Evaluated> {
    let chain = context.chain(die);
    let ty = chain.iter().find_map(|(die, entry)| context.follow(die, entry, gimli::DW_AT_type));
    let shape = types::shape(context, ty.as_ref());
    chain.iter().find_map(|(die, entry)| of(context, instruction, die, entry, shape, depth))
}

fn of<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    instruction: &Instruction<'_, R>,
    die: &Die<R>,
    entry: &Entry<R>,
    shape: types::Shape,
    depth: usize,
) -> Option<Evaluated> {
    if let Some(value) = entry.attr_value(gimli::DW_AT_location) {
        let expression = at(context, die, value, instruction.pc)?;
        let mut evaluated = expression::evaluate(context, instruction, die, &expression, shape.size, depth);
        if let Location::Constant(value) = evaluated.location {
            evaluated.location = literal(value, shape);
        }
        return Some(evaluated);
    }
    let location = constant(entry, shape)?;
    Some(Evaluated { location, frame: FrameUse::None })
}

/// `DW_AT_const_value`.
fn constant<R: Reader<Offset = usize>>(entry: &Entry<R>, shape: types::Shape) -> Option<Location> {
    let attribute = entry.attr(gimli::DW_AT_const_value)?;
    let value = match attribute.value() {
        AttributeValue::Block(data) | AttributeValue::Exprloc(Expression(data)) | AttributeValue::String(data) => {
            let bytes = data.to_slice().ok().filter(|bytes| bytes.len() <= MAX_BYTES)?;
            return Some(Location::Bytes(bytes.into_owned()));
        }
        AttributeValue::Data16(value) => return Some(Location::Bytes(value.to_le_bytes().to_vec())),
        AttributeValue::Addr(address) => return Some(Location::Address(address)),
        AttributeValue::Sdata(value) => i128::from(value),
        AttributeValue::Udata(value) => i128::from(value),
        AttributeValue::Data1(value) => i128::from(value),
        AttributeValue::Data2(value) => i128::from(value),
        AttributeValue::Data4(value) => i128::from(value),
        AttributeValue::Data8(value) => i128::from(value),
        _ => return None,
    };
    Some(literal(value, shape))
}

/// A constant as its type understands its bytes.
fn literal(value: i128, shape: types::Shape) -> Location {
    let size = shape.size.and_then(|size| usize::try_from(size).ok());
    if matches!(shape.class, TypeClass::Float | TypeClass::Aggregate)
        && let Some(bytes) = size.and_then(|size| value.to_le_bytes().get(..size).map(<[u8]>::to_vec))
    {
        return Location::Bytes(bytes);
    }
    let Some(size @ 1..=8) = size else { return Location::Constant(value) };
    let bits = 8 * size;
    let low = value & ((1 << bits) - 1);
    let signed = matches!(shape.class, TypeClass::Signed | TypeClass::Character);
    Location::Constant(if signed && low >> (bits - 1) != 0 { low - (1 << bits) } else { low })
}

/// What the debug information says of the arguments, in the order of the formals.
pub(super) fn told<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    declared: &Declaration<R>,
    site: &Site<'_, R>,
) -> Vec<Told> {
    let instruction = Instruction::new(site.outer, site.pc);
    let entry = matches!(site.kind, SiteKind::Entry { .. });
    let one = |formal| told_of(context, &instruction, formal, declared);
    let told = declared.formals.iter().map(one);
    told.map(|told| if entry { told.at_entry(context.machine) } else { told }).collect()
}

/// Where the arguments are, in the order of the formals.
pub(super) fn arguments<R: Reader<Offset = usize>>(
    declared: &Declaration<R>,
    convention: &Convention,
    site: &Site<'_, R>,
    told: Vec<Told>,
) -> Vec<Argument> {
    let SiteKind::Entry { copy } = site.kind else {
        return told.into_iter().map(Told::inside).collect();
    };
    let trusted = !copy && convention.holds(declared, &told);
    // Of what a function does not use LLVM tells its callers, if it can, that they need not pass it.
    let may_be_left_out = declared.dialect.llvm;
    let conventional = convention.arguments.iter().cloned().chain(std::iter::repeat(Location::Unknown));
    told.into_iter()
        .zip(conventional)
        .map(|(told, conventional)| {
            let left_out = may_be_left_out && matches!(told, Told::Nowhere | Told::Part(_));
            told.or_conventional((trusted && !left_out).then_some(conventional))
        })
        .collect()
}

/// Whether a place leaves some of the bytes of a value out.
fn is_partial(location: &Location, size: Option<u64>) -> bool {
    match location {
        Location::Pieces(pieces) => {
            let told = pieces.iter().filter(|(piece, _)| *piece != Location::OptimizedOut);
            let told = told.fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
            size.is_none_or(|size| told < size)
        }
        _ => false,
    }
}

/// What the debug information says of one argument at an instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// This.
    Place(Evaluated),
    /// This, for some of its bytes.
    Part(Evaluated),
    /// It has places for other instructions only.
    Elsewhere,
    /// It knows of no place at all.
    Nowhere,
    /// This, in a frame that is not set up yet.
    Later(Evaluated),
}

fn told_of<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    instruction: &Instruction<'_, R>,
    formal: &Formal<R>,
    declared: &Declaration<R>,
) -> Told {
    if formal.missing || !declared.concrete {
        return Told::Nowhere;
    }
    let shape = types::Shape { size: formal.ty.size, class: formal.ty.class };
    let found = formal.dies.iter().find_map(|(die, entry)| of(context, instruction, die, entry, shape, 0));
    match found {
        Some(evaluated) if is_partial(&evaluated.location, shape.size) => Told::Part(evaluated),
        Some(evaluated) => Told::Place(evaluated),
        None if formal.dies.iter().any(|(_, entry)| entry.has_attr(gimli::DW_AT_location)) => Told::Elsewhere,
        None => Told::Nowhere,
    }
}

impl Told {
    fn inside(self) -> Argument {
        match self {
            Told::Place(evaluated) | Told::Part(evaluated) => {
                Argument { location: evaluated.location, known_by: KnownBy::DebugInfo }
            }
            Told::Elsewhere | Told::Nowhere => {
                Argument { location: Location::OptimizedOut, known_by: KnownBy::DebugInfo }
            }
            Told::Later(_) => Argument::UNKNOWN,
        }
    }

    /// At a function's first instruction only what its caller has written can be in memory.
    fn at_entry(self, machine: Machine) -> Self {
        match self {
            Told::Place(evaluated) | Told::Part(evaluated)
                if evaluated.frame == FrameUse::AfterPrologue || abi::below_the_frame(&evaluated.location, machine) =>
            {
                Told::Later(evaluated)
            }
            other => other,
        }
    }

    fn or_conventional(self, conventional: Option<Location>) -> Argument {
        let trusted = conventional.is_some();
        let conventional = conventional.filter(|location| *location != Location::Unknown);
        match (self, conventional) {
            (Told::Place(Evaluated { location, .. }), None) => Argument { location, known_by: KnownBy::DebugInfo },
            (Told::Place(Evaluated { location, .. }), Some(_)) if !matches!(location, Location::Expression(_)) => {
                Argument { location, known_by: KnownBy::DebugInfo }
            }
            (_, Some(location)) => Argument { location, known_by: KnownBy::CallingConvention },
            (Told::Part(Evaluated { location, .. }), None) => Argument { location, known_by: KnownBy::DebugInfo },
            (Told::Elsewhere | Told::Nowhere, None) if !trusted => {
                Argument { location: Location::OptimizedOut, known_by: KnownBy::DebugInfo }
            }
            (Told::Later(_) | Told::Elsewhere | Told::Nowhere, None) => Argument::UNKNOWN,
        }
    }
}
