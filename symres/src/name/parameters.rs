//! What a C++ symbol tells of its function's parameters.

use super::{behind_operator, closing, split};
use crate::demangle::{Mangling, RawName, qualified};

/// The parameters that a mangled name holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameParameters {
    /// Their types as `c++filt` writes them, without `this` and without the dots of a variadic function.
    pub types: Vec<String>,
    /// More arguments may follow (`...`).
    pub variadic: bool,
    /// `const`, `volatile`, `&` and `&&` behind the list, in the order of the name.
    pub qualifiers: Vec<String>,
}

/// The parameters of the C++ function that `symbol` names; none for other languages, for data, and for unsound names.
pub fn parameters_of_name(symbol: &str) -> Option<NameParameters> {
    let raw = RawName::new(symbol);
    if raw.mangling() != Mangling::Cpp {
        return None;
    }
    let text = qualified(raw)?;
    let (list, behind) = parameter_list(&text)?;
    let mut types: Vec<String> = split(list).into_iter().filter(|ty| !ty.is_empty()).map(str::to_owned).collect();
    let variadic = types.last().is_some_and(|last| last == "...");
    if variadic {
        types.pop();
    }
    if types == ["void"] {
        types.clear();
    }
    Some(NameParameters { types, variadic, qualifiers: behind.split_whitespace().map(str::to_owned).collect() })
}

/// The text in the last brackets, and what follows them.
fn parameter_list(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'(' => {
                let end = closing(text, at)?;
                let behind = text.get(end..)?.trim();
                if behind.split_whitespace().all(|word| matches!(word, "const" | "volatile" | "&" | "&&")) {
                    return Some((text.get(at + 1..end - 1)?, behind));
                }
                at = end;
            }
            b'<' | b'{' | b'[' => at = closing(text, at)?,
            b'o' => at = behind_operator(text, at)? + 1,
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_symbols() {
        let check = |symbol: &str, expect: Option<&str>| {
            let shown = parameters_of_name(symbol).map(|found| {
                let dots = if found.variadic { " ..." } else { "" };
                format!("{}{dots} | {}", found.types.join("; "), found.qualifiers.join(" "))
            });
            assert_eq!(shown.as_deref(), expect, "{symbol}");
        };
        check(
            "_Z16dispatch_command19enum_server_commandP3THDPcj",
            Some("enum_server_command; THD*; char*; unsigned int | "),
        );
        check("_ZNK1A1fEv", Some(" | const"));
        check("_ZNO1A1fEi", Some("int | &&"));
        check("_ZN1AclEi", Some("int | "));
        check("_ZN1AltERKS_", Some("A const& | "));
        check("_Z3fooPKcz", Some("char const* ... | "));
        check("_Z5twiceIiET_S0_", Some("int | "));
        check("_Z3barPFivE", Some("int (*)() | "));
        check(
            "_ZN2ns12_GLOBAL__N_11fERKSt3mapIiiSt4lessIiESaISt4pairIKiiEEE",
            Some("std::map<int, int, std::less<int>, std::allocator<std::pair<int const, int> > > const& | "),
        );
        check("_ZN1A1xE", None);
        check("malloc", None);
        check("_ZN4core3fmt5write17h0123456789abcdefE", None);
    }
}
