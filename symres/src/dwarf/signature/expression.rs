//! Expressions of DWARF, evaluated with the registers left as unknowns (DWARF 5, 2.5 and 2.6).

use gimli::{AttributeValue, DieReference, Expression, Operation, Reader};

use super::die::{Context, Die, number};
use super::frame::{RegisterSum, Saved};
use super::location::{self, Instruction};
use super::operation;
use crate::elf::Machine;
use crate::location::{Location, Register};

/// Compilers write some ten operations; loops of them end here.
const MAX_OPERATIONS: u32 = 1_000;
const MAX_STACK: usize = 64;
const MAX_PIECES: usize = 64;
/// Expressions in expressions: the frame base, entry values, calls, what a removed pointer points to.
const MAX_DEPTH: usize = 6;
/// A vector register of AVX-512.
const MAX_BYTES: usize = 64;

/// What an expression says, and on what that depends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Evaluated {
    pub(super) location: Location,
    pub(super) frame: FrameUse,
}

/// Whether a place was told relative to the function's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FrameUse {
    /// It was not.
    None,
    /// Through the CFA, which is right at every instruction.
    Exact,
    /// Through a register that holds the frame only once the function has set it up.
    AfterPrologue,
}

/// A number that is not known yet: something plus an offset. Only its lowest `width` bytes are right.
#[derive(Clone, Debug)]
struct Term {
    base: Base,
    offset: i64,
    width: u64,
}

#[derive(Clone, Debug)]
enum Base {
    /// Nothing: the offset is the number.
    Number,
    /// The place at which the file is loaded.
    Image,
    /// The value of a register.
    Register(u16),
    /// What is in memory there.
    Loaded(Box<Location>),
}

/// The machine of DWARF expressions.
struct Evaluator<'e, 'a, R: Reader<Offset = usize>> {
    context: &'e Context<'a, R>,
    at: &'e Instruction<'e, R>,
    stack: Vec<Term>,
    frame: FrameUse,
    left: u32,
    /// Of a value in bytes, where it is known: bytes above it do not matter.
    size: Option<u64>,
}

/// It cannot be told beforehand, or is damaged.
struct Unclear;

/// Where a value of `size` bytes is, as an expression of an attribute of `die` has it.
pub(super) fn evaluate<R: Reader<Offset = usize>>(
    context: &Context<'_, R>,
    at: &Instruction<'_, R>,
    die: &Die<R>,
    expression: &Expression<R>,
    size: Option<u64>,
    depth: usize,
) -> Evaluated {
    let mut evaluator = Evaluator { context, at, stack: Vec::new(), frame: FrameUse::None, left: MAX_OPERATIONS, size };
    let location = evaluator
        .location(die, expression, depth)
        .unwrap_or_else(|Unclear| Location::Expression(operation::text(expression, die.unit.unit.encoding())));
    Evaluated { location, frame: evaluator.frame }
}

impl Term {
    fn number(offset: i64) -> Self {
        Self { base: Base::Number, offset, width: 8 }
    }

    fn register(register: u16, offset: i64) -> Self {
        Self { base: Base::Register(register), offset, width: 8 }
    }

    fn plus(mut self, offset: i64) -> Self {
        self.offset = self.offset.wrapping_add(offset);
        self
    }

    /// As an address: the place there.
    fn place(self) -> Result<Location, Unclear> {
        if self.width < 8 {
            return Err(Unclear);
        }
        Ok(match self.base {
            Base::Number | Base::Image => Location::Static(self.offset.cast_unsigned()),
            Base::Register(register) => Location::Memory { base: Register(register), offset: self.offset },
            Base::Loaded(pointer) => Location::Indirect { pointer, offset: self.offset },
        })
    }

    /// As the value itself, of `size` bytes.
    fn value(self, size: Option<u64>) -> Result<Location, Unclear> {
        if let Base::Number = self.base {
            return Ok(Location::Constant(i128::from(self.offset)));
        }
        if size.unwrap_or(8) > self.width {
            return Err(Unclear);
        }
        let of = match self.base {
            Base::Image | Base::Number => return Ok(Location::Address(self.offset.cast_unsigned())),
            Base::Register(register) => Location::Register(Register(register)),
            Base::Loaded(place) => *place,
        };
        Ok(if self.offset == 0 { of } else { Location::Sum { of: Box::new(of), offset: self.offset } })
    }
}

impl<R: Reader<Offset = usize>> Evaluator<'_, '_, R> {
    fn pop(&mut self) -> Result<Term, Unclear> {
        self.stack.pop().ok_or(Unclear)
    }

    fn push(&mut self, term: Term) -> Result<(), Unclear> {
        if self.stack.len() >= MAX_STACK {
            return Err(Unclear);
        }
        self.stack.push(term);
        Ok(())
    }

    /// The whole expression: a place, a value, or pieces of them.
    fn location(&mut self, die: &Die<R>, expression: &Expression<R>, depth: usize) -> Result<Location, Unclear> {
        if expression.0.is_empty() {
            return Ok(Location::OptimizedOut);
        }
        let mut pieces: Vec<(Location, u64)> = Vec::new();
        let mut input = expression.0.clone();
        loop {
            let current = self.run(die, &expression.0, &mut input, depth)?;
            match current {
                // At the end: what is on the stack is an address.
                Step::End(location) if pieces.is_empty() => {
                    return match location {
                        Some(location) => Ok(location),
                        None => self.pop()?.place(),
                    };
                }
                Step::End(None) if self.stack.is_empty() => break,
                Step::End(_) => return Err(Unclear),
                Step::Piece { location, size } => {
                    let location = match location {
                        Some(location) => location,
                        None => match self.stack.pop() {
                            Some(address) => address.place()?,
                            None => Location::OptimizedOut,
                        },
                    };
                    pieces.push((location, size));
                    self.stack.clear();
                    if pieces.len() > MAX_PIECES {
                        return Err(Unclear);
                    }
                }
            }
        }
        if pieces.iter().all(|(location, _)| *location == Location::OptimizedOut) {
            return Ok(Location::OptimizedOut);
        }
        match pieces.as_slice() {
            [(location, size)] if self.size.is_some_and(|whole| *size >= whole) => Ok(location.clone()),
            _ => Ok(Location::Pieces(pieces)),
        }
    }

    /// Runs to the end of a piece or of the expression.
    fn run(&mut self, die: &Die<R>, code: &R, input: &mut R, depth: usize) -> Result<Step, Unclear> {
        let encoding = die.unit.unit.encoding();
        // Set by an operation that ends a description; only a piece may follow it.
        let mut complete: Option<Location> = None;
        while !input.is_empty() {
            self.left = self.left.checked_sub(1).ok_or(Unclear)?;
            let operation = Operation::parse(input, encoding).map_err(|_| Unclear)?;
            if complete.is_some() && !matches!(operation, Operation::Piece { .. } | Operation::Nop) {
                return Err(Unclear);
            }
            match operation {
                Operation::Piece { size_in_bits, bit_offset } => {
                    if bit_offset.unwrap_or(0) != 0 || !size_in_bits.is_multiple_of(8) {
                        return Err(Unclear);
                    }
                    return Ok(Step::Piece { location: complete, size: size_in_bits / 8 });
                }
                Operation::Register { register } => complete = Some(Location::Register(Register(register.0))),
                Operation::StackValue => {
                    // In pieces its size is the piece's.
                    let size = match Operation::<R>::parse(&mut input.clone(), encoding) {
                        Ok(Operation::Piece { size_in_bits, .. }) => Some(size_in_bits.div_ceil(8)),
                        _ => self.size,
                    };
                    complete = Some(self.pop()?.value(size)?);
                }
                Operation::ImplicitValue { data } => complete = Some(constant_bytes(&data)?),
                Operation::ImplicitPointer { value, byte_offset } => {
                    complete = Some(self.synthetic(die, value, byte_offset, depth)?);
                }
                Operation::Skip { target } => *input = jump(code, input, target)?,
                Operation::Bra { target } => match self.pop()? {
                    Term { base: Base::Number, offset, .. } => {
                        if offset != 0 {
                            *input = jump(code, input, target)?;
                        }
                    }
                    _ => return Err(Unclear),
                },
                Operation::ParameterRef { .. } => complete = Some(Location::OptimizedOut),
                other => self.step(die, other, depth)?,
            }
        }
        Ok(Step::End(complete))
    }

    /// An operation on the stack.
    fn step(&mut self, die: &Die<R>, operation: Operation<R>, depth: usize) -> Result<(), Unclear> {
        let term = match operation {
            Operation::Nop => return Ok(()),
            Operation::UnsignedConstant { value } => Term::number(value.cast_signed()),
            Operation::SignedConstant { value } => Term::number(value),
            Operation::Address { address } => Term { base: Base::Image, offset: address.cast_signed(), width: 8 },
            Operation::AddressIndex { index } => {
                let address = die.unit.dwarf.address(&die.unit.unit, index).map_err(|_| Unclear)?;
                Term { base: Base::Image, offset: address.cast_signed(), width: 8 }
            }
            Operation::ConstantIndex { index } => {
                Term::number(die.unit.dwarf.address(&die.unit.unit, index).map_err(|_| Unclear)?.cast_signed())
            }
            Operation::RegisterOffset { register, offset, base_type } => {
                let mut term = Term::register(register.0, offset);
                if base_type.0 != 0 {
                    // A register of another kind and size.
                    let (size, _) = self.base_type(&die.sibling(base_type))?;
                    term.width = size;
                }
                term
            }
            Operation::FrameOffset { offset } => {
                let base = self.frame_base(depth);
                if base.is_err() {
                    self.frame = FrameUse::AfterPrologue;
                }
                base?.plus(offset)
            }
            Operation::CallFrameCFA => {
                let sum = self.cfa()?;
                Term::register(sum.register, sum.offset)
            }
            Operation::EntryValue { expression } => self.entry_value(die, expression)?,
            Operation::Call { offset } => return self.call(die, offset, depth),
            Operation::Drop => {
                self.pop()?;
                return Ok(());
            }
            Operation::Pick { index } => {
                let at = self.stack.len().checked_sub(usize::from(index) + 1).ok_or(Unclear)?;
                self.stack.get(at).cloned().ok_or(Unclear)?
            }
            Operation::Swap => {
                let (top, second) = (self.pop()?, self.pop()?);
                self.push(top)?;
                second
            }
            Operation::Rot => {
                let (top, second, third) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(top)?;
                self.push(third)?;
                second
            }
            Operation::Deref { size, space: false, .. } => {
                let place = self.pop()?.place()?;
                Term { base: Base::Loaded(Box::new(place)), offset: 0, width: u64::from(size) }
            }
            Operation::PlusConstant { value } => self.pop()?.plus(value.cast_signed()),
            Operation::Convert { base_type } => {
                let term = self.pop()?;
                self.convert(die, term, base_type.0)?
            }
            Operation::Reinterpret { .. } => self.pop()?,
            Operation::Abs | Operation::Neg | Operation::Not => {
                let Term { base: Base::Number, offset, .. } = self.pop()? else { return Err(Unclear) };
                Term::number(match operation {
                    Operation::Abs => offset.wrapping_abs(),
                    Operation::Neg => offset.wrapping_neg(),
                    _ => !offset,
                })
            }
            other => self.binary(&other)?,
        };
        self.push(term)
    }

    fn binary(&mut self, operation: &Operation<R>) -> Result<Term, Unclear> {
        let known = matches!(
            operation,
            Operation::Plus
                | Operation::Minus
                | Operation::And
                | Operation::Or
                | Operation::Xor
                | Operation::Mul
                | Operation::Shl
                | Operation::Shr
                | Operation::Shra
                | Operation::Div
                | Operation::Mod
                | Operation::Eq
                | Operation::Ne
                | Operation::Lt
                | Operation::Le
                | Operation::Gt
                | Operation::Ge
        );
        if !known {
            return Err(Unclear);
        }
        let (right, left) = (self.pop()?, self.pop()?);
        match (&left.base, &right.base) {
            (Base::Number, Base::Number) => arithmetic(operation, left.offset, right.offset).map(Term::number),
            (_, Base::Number) => match operation {
                Operation::Plus => Ok(left.plus(right.offset)),
                Operation::Minus => Ok(left.plus(right.offset.wrapping_neg())),
                Operation::And => masked(left, right.offset),
                _ => Err(Unclear),
            },
            (Base::Number, _) => match operation {
                Operation::Plus => Ok(right.plus(left.offset)),
                Operation::And => masked(right, left.offset),
                _ => Err(Unclear),
            },
            _ => Err(Unclear),
        }
    }

    /// The size of a base type in bytes, and whether its values are floating point numbers.
    fn base_type(&self, die: &Die<R>) -> Result<(u64, bool), Unclear> {
        let entry = self.context.entry(die).ok_or(Unclear)?;
        let size = number(&entry, gimli::DW_AT_byte_size).ok_or(Unclear)?;
        let integer = matches!(
            entry.attr_value(gimli::DW_AT_encoding),
            Some(AttributeValue::Encoding(
                gimli::DW_ATE_signed
                    | gimli::DW_ATE_unsigned
                    | gimli::DW_ATE_boolean
                    | gimli::DW_ATE_signed_char
                    | gimli::DW_ATE_unsigned_char
                    | gimli::DW_ATE_UTF
                    | gimli::DW_ATE_address
            ))
        );
        Ok((size, !integer))
    }

    /// The lowest bytes of an integer stay as they are when it becomes a longer or a shorter one.
    fn convert(&self, die: &Die<R>, mut term: Term, base_type: usize) -> Result<Term, Unclear> {
        let (size, float) = match base_type {
            0 => (die.unit.address_size(), false),
            offset => self.base_type(&die.sibling(gimli::UnitOffset(offset)))?,
        };
        if float {
            return Err(Unclear);
        }
        if let Base::Number = term.base {
            // The sign of the shorter type is not looked at: only numbers that it cannot change are passed on.
            let fits = size >= 8 || (0..1_i64 << (8 * size - 1)).contains(&term.offset);
            return if fits { Ok(term) } else { Err(Unclear) };
        }
        term.width = term.width.min(size);
        Ok(term)
    }

    fn cfa(&mut self) -> Result<RegisterSum, Unclear> {
        self.frame = self.frame.max(FrameUse::Exact);
        self.at.cfa(self.context).ok_or(Unclear)
    }

    /// `DW_AT_frame_base` of the function on the stack.
    fn frame_base(&mut self, depth: usize) -> Result<Term, Unclear> {
        if depth >= MAX_DEPTH {
            return Err(Unclear);
        }
        let outer = self.at.outer;
        let entry = self.context.entry(outer).ok_or(Unclear)?;
        let value = entry.attr_value(gimli::DW_AT_frame_base).ok_or(Unclear)?;
        let listed = !matches!(value, AttributeValue::Exprloc(_) | AttributeValue::Block(_));
        let expression = location::at(self.context, outer, value, self.at.pc).ok_or(Unclear)?;
        let evaluated = evaluate(self.context, self.at, outer, &expression, Some(8), depth + 1);
        let of_register = if listed { FrameUse::Exact } else { FrameUse::AfterPrologue };
        self.frame = self.frame.max(evaluated.frame);
        match evaluated.location {
            // `DW_OP_reg6`: the value of the register is the base.
            Location::Register(register) => {
                self.frame = self.frame.max(of_register);
                Ok(Term::register(register.0, 0))
            }
            // `DW_OP_breg6 16`, `DW_OP_call_frame_cfa`: the computed address is the base.
            Location::Memory { base, offset } => {
                if evaluated.frame == FrameUse::None {
                    self.frame = self.frame.max(of_register);
                }
                Ok(Term::register(base.0, offset))
            }
            _ => Err(Unclear),
        }
    }

    /// What a register held when the function was entered.
    fn entry_value(&mut self, die: &Die<R>, inner: R) -> Result<Term, Unclear> {
        let mut input = inner;
        let operation = Operation::parse(&mut input, die.unit.unit.encoding()).map_err(|_| Unclear)?;
        if !input.is_empty() {
            return Err(Unclear);
        }
        let (register, offset) = match operation {
            Operation::Register { register } => (register.0, 0),
            Operation::RegisterOffset { register, offset, base_type } if base_type.0 == 0 => (register.0, offset),
            _ => return Err(Unclear),
        };
        if self.at.is_outer_entry(self.context) {
            return Ok(Term::register(register, offset));
        }
        let machine = self.context.machine;
        if machine == Machine::X86_64 && register == STACK_POINTER_X86_64 {
            // There the return address had just been pushed.
            let cfa = self.cfa()?;
            return Ok(Term::register(cfa.register, cfa.offset.wrapping_sub(8).wrapping_add(offset)));
        }
        self.context.spend(COST_OF_FRAMES).ok_or(Unclear)?;
        let frames = self.context.reach.frames().ok_or(Unclear)?;
        match frames.saved(self.at.pc, register, callee_saved(machine, register)) {
            Saved::Kept => Ok(Term::register(register, offset)),
            Saved::Value(value) => {
                let cfa = self.cfa()?;
                Ok(Term::register(cfa.register, cfa.offset.wrapping_add(value).wrapping_add(offset)))
            }
            Saved::At(at) => {
                let cfa = self.cfa()?;
                let place = Location::Memory { base: Register(cfa.register), offset: cfa.offset.wrapping_add(at) };
                Ok(Term { base: Base::Loaded(Box::new(place)), offset, width: 8 })
            }
            Saved::Lost => Err(Unclear),
        }
    }

    /// `DW_OP_call2` and its like: the location of another entry, run here.
    fn call(&mut self, die: &Die<R>, target: DieReference<usize>, depth: usize) -> Result<(), Unclear> {
        if depth >= MAX_DEPTH {
            return Err(Unclear);
        }
        let value = match target {
            DieReference::UnitRef(offset) => AttributeValue::UnitRef(offset),
            DieReference::DebugInfoRef(offset) => AttributeValue::DebugInfoRef(offset),
        };
        let target = self.context.referred(die, value).ok_or(Unclear)?;
        let entry = self.context.entry(&target).ok_or(Unclear)?;
        let Some(value) = entry.attr_value(gimli::DW_AT_location) else { return Ok(()) };
        let expression = location::at(self.context, &target, value, self.at.pc).ok_or(Unclear)?;
        let mut input = expression.0.clone();
        match self.run(&target, &expression.0, &mut input, depth + 1)? {
            Step::End(None) => Ok(()),
            _ => Err(Unclear),
        }
    }

    /// A pointer that was removed, with what it points to.
    fn synthetic(
        &mut self,
        die: &Die<R>,
        target: gimli::DebugInfoOffset<usize>,
        offset: i64,
        depth: usize,
    ) -> Result<Location, Unclear> {
        if depth >= MAX_DEPTH {
            return Err(Unclear);
        }
        let target = self.context.referred(die, AttributeValue::DebugInfoRef(target)).ok_or(Unclear)?;
        let evaluated = location::of_entry(self.context, self.at, &target, depth + 1).ok_or(Unclear)?;
        self.frame = self.frame.max(evaluated.frame);
        match evaluated.location {
            Location::Expression(_) => Err(Unclear),
            location => Ok(Location::Synthetic { target: Box::new(location), offset }),
        }
    }
}

/// Reading frame descriptions without an index takes about as long as reading this many entries.
pub(super) const COST_OF_FRAMES: u32 = 2_000;

const STACK_POINTER_X86_64: u16 = 7;

/// Registers that a function must give back as they were (x86-64 psABI, 3.2.1; AAPCS64, 6.1.1).
fn callee_saved(machine: Machine, register: u16) -> bool {
    match machine {
        Machine::X86_64 => matches!(register, 3 | 6 | 12..=15),
        Machine::AARCH64 => matches!(register, 19..=29),
        _ => false,
    }
}

enum Step {
    /// The expression is at its end.
    End(Option<Location>),
    /// A piece is. Without a location, the stack has its address.
    Piece { location: Option<Location>, size: u64 },
}

fn jump<R: Reader<Offset = usize>>(code: &R, input: &R, target: i16) -> Result<R, Unclear> {
    let at = input.offset_from(code).checked_add_signed(isize::from(target)).ok_or(Unclear)?;
    let mut input = code.clone();
    input.skip(at).map_err(|_| Unclear)?;
    Ok(input)
}

/// `x & 0xffffffff`: the bytes above are not those of the register.
fn masked(mut term: Term, mask: i64) -> Result<Term, Unclear> {
    let bytes = match mask {
        0xff => 1,
        0xffff => 2,
        0xffff_ffff => 4,
        -1 => 8,
        _ => return Err(Unclear),
    };
    term.width = term.width.min(bytes);
    Ok(term)
}

fn arithmetic<R: Reader<Offset = usize>>(operation: &Operation<R>, left: i64, right: i64) -> Result<i64, Unclear> {
    let shift = u32::try_from(right).ok().filter(|bits| *bits < 64);
    Ok(match operation {
        Operation::Plus => left.wrapping_add(right),
        Operation::Minus => left.wrapping_sub(right),
        Operation::Mul => left.wrapping_mul(right),
        Operation::And => left & right,
        Operation::Or => left | right,
        Operation::Xor => left ^ right,
        Operation::Shl => shift.map_or(0, |bits| left << bits),
        Operation::Shr => shift.map_or(0, |bits| (left.cast_unsigned() >> bits).cast_signed()),
        Operation::Shra => left >> shift.unwrap_or(63),
        Operation::Div => left.checked_div(right).ok_or(Unclear)?,
        // Of numbers without sign.
        Operation::Mod => left.cast_unsigned().checked_rem(right.cast_unsigned()).ok_or(Unclear)?.cast_signed(),
        Operation::Eq => i64::from(left == right),
        Operation::Ne => i64::from(left != right),
        Operation::Lt => i64::from(left < right),
        Operation::Le => i64::from(left <= right),
        Operation::Gt => i64::from(left > right),
        Operation::Ge => i64::from(left >= right),
        _ => return Err(Unclear),
    })
}

/// Bytes of the file as a constant.
fn constant_bytes<R: Reader<Offset = usize>>(data: &R) -> Result<Location, Unclear> {
    if data.len() > MAX_BYTES {
        return Err(Unclear);
    }
    Ok(Location::Bytes(data.to_slice().map_err(|_| Unclear)?.into_owned()))
}
