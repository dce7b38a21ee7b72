//! USDT probes: how many arguments, of which sizes. Their types and names stand in no note.

use symres::{UsdtArgument, UsdtProbe};

use super::{Argument, Class, KnownFrom, Prototype, Where};

/// The arguments of a USDT probe. Where its sites differ, what is true of all of them.
pub fn usdt(probe: &UsdtProbe) -> Prototype {
    let sites: Vec<Vec<UsdtArgument>> = probe.sites.iter().map(|site| site.arguments()).collect();
    let count = sites.iter().map(Vec::len).max().unwrap_or_default();
    let arguments = (0..count)
        .map(|index| {
            let there: Vec<&UsdtArgument> = sites.iter().filter_map(|site| site.get(index)).collect();
            argument(index + 1, &there)
        })
        .collect();
    Prototype { arguments, variadic: false, returns: None, known_from: KnownFrom::UsdtNote }
}

fn argument(number: usize, sites: &[&UsdtArgument]) -> Argument {
    let unreadable = sites.iter().find_map(|argument| argument.unreadable());
    let size = sites.iter().filter_map(|argument| argument.size).max().unwrap_or_default();
    let signed = sites.iter().any(|argument| argument.signed);
    let class = match (sites.iter().any(|argument| argument.float), signed, size) {
        (true, ..) => Class::Float,
        (_, false, 8) => Class::Word,
        (_, _, 1 | 2 | 4 | 8) => Class::Integer { size: size.into(), signed },
        _ => Class::Unknown,
    };
    let ty = match class {
        Class::Float => format!("f{}", u32::from(size) * 8),
        Class::Unknown => "?".to_owned(),
        _ => format!("{}{}", if signed { 's' } else { 'u' }, u32::from(size) * 8),
    };
    let place = match unreadable {
        Some(why) => Where::Elsewhere(why.to_owned()),
        None => Where::Usdt(number),
    };
    Argument { name: None, declared: format!("{ty} arg{number}"), ty, class, place }
}
