//! Whether a program finds what it reads at an inlined copy of a function. The registers of the calling convention are those
//! of a call, and there is none: an argument may be anywhere.

use symres::{Argument, Function, Location, Machine, Place};

use crate::facts::RegisterReads;

/// Why a program cannot be attached to a place: what it reads, and where that is.
///
/// # Errors
/// The reason, to stand behind the place.
pub(super) fn finds_all(
    function: &Function,
    place: &Place,
    machine: Machine,
    reads: RegisterReads,
) -> Result<(), String> {
    if reads.everything {
        return Err("what it reads of the registers cannot be followed".to_owned());
    }
    if reads.sp {
        return Err("it reads the stack, where no return address and no arguments of this function are".to_owned());
    }
    let missing: Vec<String> = (0..8)
        .filter(|bit| reads.arguments & (1 << bit) != 0)
        .filter_map(|bit| missing(function, place, machine, bit))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(missing.join(", ")) }
}

/// Where the argument is that the program reads as number `bit` + 1, if it is not where the program reads it.
fn missing(function: &Function, place: &Place, machine: Machine, bit: u16) -> Option<String> {
    let number = bit + 1;
    let Some(register) = argument_register(machine, bit) else {
        return Some(format!("argument {number} is in no register"));
    };
    let wanted = Location::Register(symres::Register(register));
    let Some(signature) = &function.signature else {
        return Some(format!("nothing tells where argument {number} is"));
    };
    let Some(index) = signature.parameters.iter().position(|parameter| parameter.passed_in.as_ref() == Some(&wanted))
    else {
        // A function with fewer arguments has nothing there wherever it is probed.
        let all_known = signature.parameters.iter().all(|parameter| parameter.passed_in.is_some());
        return (!all_known).then(|| format!("nothing tells which parameter argument {number} is"));
    };
    let parameter = signature.parameters.get(index);
    let name = parameter.and_then(|parameter| parameter.name.clone());
    let name = name.map_or_else(|| format!("argument {number}"), |name| format!("`{name}`"));
    match place.arguments.get(index) {
        Some(Argument { location, .. }) if *location == wanted => None,
        Some(Argument { location: Location::Unknown, .. }) | None => Some(format!("nothing tells where {name} is")),
        Some(Argument { location: Location::OptimizedOut, .. }) => Some(format!("{name} is optimised out")),
        Some(Argument { location: Location::Constant(value), .. }) => Some(format!("{name} is always {value}")),
        Some(Argument { location, .. }) => Some(format!("{name} is in {}", location.text(machine))),
    }
}

/// The register of `PT_REGS_PARM1` and so on, by its number in DWARF: System V ABI for x86-64, 3.2.3; AAPCS64, 6.8.
fn argument_register(machine: Machine, bit: u16) -> Option<u16> {
    match machine {
        Machine::X86_64 => [5, 4, 1, 2, 8, 9].get(usize::from(bit)).copied(),
        Machine::AARCH64 => Some(bit).filter(|bit| *bit < 8),
        _ => None,
    }
}
