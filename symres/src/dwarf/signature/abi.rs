//! Where the calling convention of x86-64 (System V psABI 1.0, 3.2.3) puts arguments and results.

use gimli::{AttributeValue, Reader};

use super::die::{Context, Language, flag};
use super::expression::Evaluated;
use super::layout::{self, Class, Passed, Passing};
use super::location::Told;
use super::parameters::Declaration;
use crate::elf::Machine;
use crate::location::{Location, Register};
use crate::signature::TypeClass;

/// rdi, rsi, rdx, rcx, r8, r9
const INTEGER: [Register; 6] = [Register(5), Register(4), Register(1), Register(2), Register(8), Register(9)];
/// xmm0 to xmm7
const SSE: [Register; 8] =
    [Register(17), Register(18), Register(19), Register(20), Register(21), Register(22), Register(23), Register(24)];
const RAX: Register = Register(0);
const RDX: Register = Register(1);
const RBP: Register = Register(6);
const RSP: Register = Register(7);
const ST0: Register = Register(33);
const ST1: Register = Register(34);
/// Behind the return address.
const FIRST_ON_STACK: i64 = 8;
/// More bytes of arguments are not counted.
const MAX_STACK: i64 = 1 << 20;

/// Where the convention puts the arguments of one function, and its result.
pub(super) struct Convention {
    /// One for each formal; `Unknown` from the first whose type does not tell how it is passed.
    pub(super) arguments: Vec<Location>,
    pub(super) returns_in: Option<Location>,
}

impl Convention {
    /// By the types of the declaration, and by what is told of the arguments where the types are not enough.
    pub(super) fn of<R: Reader<Offset = usize>>(
        context: &Context<'_, R>,
        declared: &Declaration<R>,
        told: &[Told],
    ) -> Self {
        let known = matches!(declared.dialect.language, Language::C | Language::Cpp | Language::Rust);
        if context.machine != Machine::X86_64 || !known || !is_ordinary(declared) {
            return Self { arguments: Vec::new(), returns_in: None };
        }
        let returned = layout::passed(context, declared.return_type.as_ref(), declared.dialect, None);
        // A definition of old C does not tell how its callers pass `float`: they do not know that it is one.
        let old = declared.dialect.language == Language::C
            && !declared.chain.iter().any(|(_, entry)| flag(entry, gimli::DW_AT_prototyped));
        let mut registers = Registers::new(&returned);
        let told = told.iter().map(Some).chain(std::iter::repeat(None));
        let arguments = declared.formals.iter().zip(told).map(|(formal, told)| {
            if formal.not_passed {
                return Location::OptimizedOut;
            }
            let by_reference = told.and_then(by_reference);
            let passed = layout::passed(context, formal.type_die.as_ref(), declared.dialect, by_reference);
            let place = if declared.dialect.language == Language::Rust {
                registers.rust(&passed)
            } else {
                registers.next(&passed)
            };
            if old && formal.ty.class == TypeClass::Float && formal.ty.size == Some(4) {
                Location::Unknown
            } else {
                place
            }
        });
        let arguments = arguments.collect();
        Self { arguments, returns_in: result(&returned, declared.dialect.language) }
    }

    /// Whether the function follows the convention, seen from what the debug information says of its entry. A compiler
    /// that knows all callers of a function need not keep to it.
    pub(super) fn holds<R: Reader<Offset = usize>>(&self, declared: &Declaration<R>, told: &[Told]) -> bool {
        let contradicted = told.iter().zip(&self.arguments).any(|(told, conventional)| match (told, conventional) {
            (Told::Place(Evaluated { location: Location::Register(told), .. }), Location::Register(register)) => {
                told != register
            }
            (Told::Place(Evaluated { location: Location::Register(_), .. }), Location::Memory { .. }) => true,
            _ => false,
        });
        // GCC gives changed functions another name; LLVM removes unused parameters of internal functions silently.
        let external = declared.chain.iter().any(|(_, entry)| flag(entry, gimli::DW_AT_external));
        let removed =
            declared.dialect.llvm && !external && told.iter().any(|told| matches!(told, Told::Nowhere | Told::Part(_)));
        !contradicted && !removed
    }
}

/// Whether an object is told to be behind a pointer, or to be itself in registers or on the stack.
fn by_reference(told: &Told) -> Option<bool> {
    let (Told::Place(evaluated) | Told::Part(evaluated) | Told::Later(evaluated)) = told else { return None };
    match &evaluated.location {
        Location::Indirect { .. } => Some(true),
        Location::Memory { base, .. } => Some(![RSP, RBP].contains(base)),
        Location::Register(_) | Location::Pieces(_) => Some(false),
        _ => None,
    }
}

/// It does not say that it follows another convention (`DW_CC_nocall`: the compiler has changed it).
fn is_ordinary<R: Reader<Offset = usize>>(declared: &Declaration<R>) -> bool {
    /// `DW_CC_LLVM_X86_64SysV`
    const SYSTEM_V: gimli::DwCc = gimli::DwCc(0xc2);
    declared.chain.iter().all(|(_, entry)| match entry.attr_value(gimli::DW_AT_calling_convention) {
        Some(AttributeValue::CallingConvention(convention)) => {
            matches!(convention, gimli::DW_CC_normal | gimli::DW_CC_program | SYSTEM_V)
        }
        _ => true,
    })
}

/// A value of one word, as far as its place in a call matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plain {
    Integer,
    Sse,
    LongDouble,
    Unknown,
}

/// The places of values that are passed behind so many pointers, up to the first that is not known.
pub(crate) fn plain_places(pointers: usize, values: &[Plain]) -> Vec<Location> {
    let mut registers = Registers { integer: pointers, sse: 0, stack: FIRST_ON_STACK, lost: false };
    let place = |value: &Plain| {
        let (passing, size) = match value {
            Plain::Integer => (Passing::Registers(vec![Class::Integer]), 8),
            Plain::Sse => (Passing::Registers(vec![Class::Sse]), 8),
            Plain::LongDouble => (Passing::Memory, 16),
            Plain::Unknown => (Passing::Unknown, 8),
        };
        registers.next(&Passed { passing, size, align: size })
    };
    values.iter().map(place).collect()
}

/// The registers and the stack, as far as they are not taken.
struct Registers {
    integer: usize,
    sse: usize,
    stack: i64,
    /// The place of what follows is not known.
    lost: bool,
}

impl Registers {
    /// With the first taken by the pointer to where a large result goes.
    fn new(returned: &Passed) -> Self {
        let hidden = match &returned.passing {
            Passing::Reference | Passing::Memory => Some(true),
            Passing::Unknown => None,
            Passing::Empty | Passing::Registers(_) | Passing::LongComplex => Some(false),
        };
        Self { integer: usize::from(hidden == Some(true)), sse: 0, stack: FIRST_ON_STACK, lost: hidden.is_none() }
    }

    fn integer(&mut self) -> Option<Register> {
        let register = INTEGER.get(self.integer).copied();
        self.integer += usize::from(register.is_some());
        register
    }

    fn sse(&mut self) -> Option<Register> {
        let register = SSE.get(self.sse).copied();
        self.sse += usize::from(register.is_some());
        register
    }

    fn stack(&mut self, size: u64, align: u64) -> Location {
        let align = i64::try_from(align).unwrap_or(MAX_STACK).clamp(8, MAX_STACK);
        // The stack is aligned where the first argument is.
        let at = (self.stack - FIRST_ON_STACK).div_euclid(align) * align;
        let at = if at < self.stack - FIRST_ON_STACK { at + align } else { at } + FIRST_ON_STACK;
        let size = i64::try_from(size).unwrap_or(MAX_STACK).min(MAX_STACK);
        self.stack = at + (size + 7) / 8 * 8;
        if self.stack > MAX_STACK {
            self.lost = true;
        }
        Location::Memory { base: RSP, offset: at }
    }

    fn next(&mut self, passed: &Passed) -> Location {
        if self.lost {
            return Location::Unknown;
        }
        match &passed.passing {
            Passing::Empty => Location::OptimizedOut,
            Passing::Unknown => {
                self.lost = true;
                Location::Unknown
            }
            Passing::Reference => match self.integer() {
                Some(base) => Location::Memory { base, offset: 0 },
                None => Location::Indirect { pointer: Box::new(self.stack(8, 8)), offset: 0 },
            },
            Passing::Memory | Passing::LongComplex => self.stack(passed.size, passed.align),
            Passing::Registers(classes) => self.classes(classes, passed.size, passed.align),
        }
    }

    fn classes(&mut self, classes: &[Class], size: u64, align: u64) -> Location {
        let count = |wanted| classes.iter().filter(|class| **class == wanted).count();
        let (integers, vectors) = (count(Class::Integer), count(Class::Sse));
        let x87 = classes.iter().any(|class| matches!(class, Class::X87 | Class::X87Up));
        let enough = self.integer + integers <= INTEGER.len() && self.sse + vectors <= SSE.len();
        if x87 || !enough {
            if integers == 2 && align == 16 && self.integer < INTEGER.len() {
                // `__int128`: compilers have not always agreed on what becomes of the last register.
                self.lost = true;
                return Location::Unknown;
            }
            return self.stack(size, align);
        }
        let mut pieces: Vec<(Location, u64)> = Vec::new();
        let mut left = size;
        for class in classes {
            let bytes = left.min(8);
            left -= bytes;
            let register = match class {
                Class::Integer => self.integer(),
                Class::SseUp => {
                    if let Some((_, size)) = pieces.last_mut() {
                        *size += bytes;
                    }
                    continue;
                }
                _ => self.sse(),
            };
            // There are enough, see above.
            pieces.push((register.map_or(Location::Unknown, Location::Register), bytes));
        }
        one_or_pieces(pieces)
    }

    /// Rust passes the parts of a wide pointer like two arguments.
    fn rust(&mut self, passed: &Passed) -> Location {
        match &passed.passing {
            Passing::Registers(classes) if classes.len() == 2 && !self.lost => {
                let parts = [Class::Integer; 2].map(|class| (self.classes(&[class], 8, 8), 8));
                Location::Pieces(parts.to_vec())
            }
            _ => self.next(passed),
        }
    }
}

fn one_or_pieces(pieces: Vec<(Location, u64)>) -> Location {
    match <[(Location, u64); 1]>::try_from(pieces) {
        Ok([(location, _)]) => location,
        Err(pieces) => Location::Pieces(pieces),
    }
}

/// Where the result is when the function has just returned.
fn result(returned: &Passed, language: Language) -> Option<Location> {
    match &returned.passing {
        Passing::Empty | Passing::Unknown => None,
        Passing::LongComplex => {
            Some(Location::Pieces([ST0, ST1].map(|register| (Location::Register(register), 16)).to_vec()))
        }
        // The function gives back the pointer that it got.
        Passing::Reference if language == Language::Rust => None,
        Passing::Memory | Passing::Reference => Some(Location::Memory { base: RAX, offset: 0 }),
        Passing::Registers(classes) => {
            let mut integer = [RAX, RDX].into_iter();
            let mut sse = SSE.into_iter();
            let mut x87 = Some(ST0);
            let mut pieces: Vec<(Location, u64)> = Vec::new();
            let mut left = returned.size;
            for class in classes {
                let bytes = left.min(8);
                left -= bytes;
                let register = match class {
                    Class::Integer => integer.next(),
                    Class::SseUp | Class::X87Up => {
                        if let Some((_, size)) = pieces.last_mut() {
                            *size += bytes;
                        }
                        continue;
                    }
                    Class::X87 => x87.take(),
                    _ => sse.next(),
                };
                pieces.push((Location::Register(register?), bytes));
            }
            Some(one_or_pieces(pieces))
        }
    }
}

/// Whether a place at a function's entry is in the part of the stack that is not written yet, or relative to the frame
/// pointer, which is still the caller's.
pub(super) fn below_the_frame(location: &Location, machine: Machine) -> bool {
    let (stack, first, frame) = match machine {
        Machine::X86_64 => (RSP, FIRST_ON_STACK, RBP),
        Machine::AARCH64 => (Register(31), 0, Register(29)),
        _ => return false,
    };
    match location {
        Location::Memory { base, offset } => *base == frame || *base == stack && *offset < first,
        Location::Indirect { pointer: inner, .. }
        | Location::Sum { of: inner, .. }
        | Location::Synthetic { target: inner, .. } => below_the_frame(inner, machine),
        Location::Pieces(pieces) => pieces.iter().any(|(piece, _)| below_the_frame(piece, machine)),
        _ => false,
    }
}
