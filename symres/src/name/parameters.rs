//! What a C++ symbol tells of its function's parameters.

use crate::demangle::{RawName, parameters};

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
    let (mut types, behind) = parameters(RawName::new(symbol))?;
    let variadic = types.last().is_some_and(|last| last == "...");
    if variadic {
        types.pop();
    }
    Some(NameParameters { types, variadic, qualifiers: behind.split_whitespace().map(str::to_owned).collect() })
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
        check("_Z1fIJiRcEEvDpOT_", Some("int&&; char& | "));
        check("_Z1fIJEEvDpOT_", Some(" | "));
        check("_ZThn16_N10Item_param18set_out_param_infoEP10Send_field", Some("Send_field* | "));
        check("_ZN1AcvPT_IcEEv", Some(" | "));
        check("_ZTV1A", None);
        check("_ZN1A1xE", None);
        check("malloc", None);
        check("_ZN4core3fmt5write17h0123456789abcdefE", None);
    }
}
