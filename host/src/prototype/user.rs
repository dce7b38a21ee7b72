//! Functions of programs and libraries, by their debug information or by their mangled names.

use symres::{Function, Location, Machine, Origin, Parameter, PlaceKind, Register, Role, Type, TypeClass};

use super::{Argument, Class, KnownFrom, Owner, Prototype, Where};

/// What a function takes and returns; none where nothing tells it: a function of C, or one whose name says no types, without
/// debug information.
pub fn user_function(function: &Function, machine: Machine) -> Option<Prototype> {
    let signature = function.signature.as_ref()?;
    let arguments = signature.parameters.iter().enumerate();
    let arguments = arguments.map(|(index, parameter)| {
        let ty = &parameter.ty;
        value(parameter.name.clone(), ty, place(function, index, parameter, machine))
    });
    let arguments = arguments.collect();
    let returns = signature.returns.as_ref().map(|ty| {
        let place = match signature.returns_in.as_ref() {
            Some(Location::Register(Register(number))) if *number == return_register(machine) => Where::Return,
            Some(location) => Where::Elsewhere(location.text(machine)),
            None => Where::Unknown,
        };
        value(None, ty, place)
    });
    let known_from = match signature.origin {
        Origin::DebugInfo => KnownFrom::Dwarf,
        Origin::Name => KnownFrom::DemangledName,
    };
    Some(Prototype { arguments, variadic: signature.variadic, returns, known_from })
}

fn value(name: Option<String>, ty: &Type, place: Where) -> Argument {
    let declared = match &name {
        Some(name) => format!("{} {name}", ty.text),
        None => ty.text.clone(),
    };
    Argument { name, ty: ty.text.clone(), declared, class: class(ty), place }
}

/// Where an argument is at every place of the function that is probed.
fn place(function: &Function, index: usize, parameter: &Parameter, machine: Machine) -> Where {
    // A body that all callers call gets it where the calling convention says. What the compiler made for itself need not.
    let mut others = function
        .places
        .iter()
        .filter(|place| !(function.role == Role::Whole && matches!(place.kind, PlaceKind::Body)))
        .filter_map(|place| place.arguments.get(index));
    let is_called = function.role == Role::Whole && function.body().is_some();
    let other = others.find(|argument| parameter.passed_in.as_ref() != Some(&argument.location));
    match (&parameter.passed_in, other) {
        // At inlined copies it may be elsewhere: a probe that reads it is not put there, which attaching tells.
        (_, Some(other)) if !is_called => of_location(&other.location, machine),
        (Some(location), _) => of_location(location, machine),
        (None, _) => Where::Unknown,
    }
}

fn of_location(location: &Location, machine: Machine) -> Where {
    match location {
        Location::Register(Register(number)) => match argument_registers(machine).iter().position(|r| r == number) {
            Some(index) => Where::Argument(index + 1),
            None => Where::Elsewhere(location.text(machine)),
        },
        Location::Memory { base: Register(base), offset } if Some(*base) == stack_pointer(machine) => {
            u64::try_from(*offset).map_or_else(|_| Where::Elsewhere(location.text(machine)), Where::Stack)
        }
        Location::OptimizedOut => Where::OptimizedOut,
        Location::Unknown => Where::Unknown,
        _ => Where::Elsewhere(location.text(machine)),
    }
}

/// The registers of integer arguments, by their numbers in DWARF (x86-64 psABI, 3.2.3 and figure 3.36; AAPCS64, 6.8.2).
fn argument_registers(machine: Machine) -> &'static [u16] {
    match machine {
        Machine::X86_64 => &[5, 4, 1, 2, 8, 9],
        Machine::AARCH64 => &[0, 1, 2, 3, 4, 5, 6, 7],
        _ => &[],
    }
}

/// `rax` and `x0`.
fn return_register(_: Machine) -> u16 {
    0
}

fn stack_pointer(machine: Machine) -> Option<u16> {
    match machine {
        Machine::X86_64 => Some(7),
        Machine::AARCH64 => Some(31),
        _ => None,
    }
}

fn class(ty: &Type) -> Class {
    let signed = match ty.class {
        TypeClass::Void => return Class::Void,
        TypeClass::Boolean => return Class::Boolean,
        TypeClass::Float => return Class::Float,
        TypeClass::CString => return Class::Text(Owner::Process),
        // A pointer to a member function has two words.
        TypeClass::Pointer if ty.size == Some(8) => return Class::Object,
        TypeClass::Aggregate => return Class::Aggregate(ty.size),
        TypeClass::Unsigned => false,
        TypeClass::Signed => true,
        // Plain `char` has a sign on x86-64 only; as a letter it does not matter.
        TypeClass::Character => ty.size == Some(1),
        _ => return Class::Unknown,
    };
    match ty.size {
        Some(size @ (1 | 2 | 4 | 8 | 16)) => Class::Integer { size, signed },
        _ => Class::Unknown,
    }
}
