//! C++ names by the Itanium C++ ABI.

use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

use super::{Bounded, MAX_MANGLED};

/// Names nest some ten levels deep; this is the limit of the demangler's own tests in a debug build.
const MAX_DEPTH: u32 = 96;

/// The name as `c++filt` would show it.
pub(super) fn display(base: &str) -> Option<String> {
    let mut text = demangle(base, DemangleOptions::new())?;
    if let Some(encoding) = text.strip_prefix("{virtual override thunk(").and_then(|t| t.strip_suffix(")}")) {
        let function = encoding.rsplit_once(")}, ").map_or(encoding, |(_, function)| function);
        let kind = match base.as_bytes().get(3) {
            Some(b'v') => "virtual",
            Some(b'c') => "covariant return",
            _ => "non-virtual",
        };
        text = format!("{kind} thunk to {function}");
    }
    Some(literals_with_suffix(&text))
}

/// The name without return type.
pub(super) fn qualified(base: &str) -> Option<String> {
    demangle(base, DemangleOptions::new().no_return_type().hide_expression_literal_types())
}

fn demangle(mangled: &str, options: DemangleOptions) -> Option<String> {
    if !mangled.starts_with("_Z") || mangled.len() > MAX_MANGLED {
        return None;
    }
    let parse = ParseOptions::default().recursion_limit(MAX_DEPTH);
    let symbol = Symbol::new_with_options(mangled.as_bytes(), &parse).ok()?;
    let mut out = Bounded(String::new());
    symbol.structured_demangle(&mut out, &options.recursion_limit(MAX_DEPTH)).ok()?;
    Some(out.0)
}

/// The demangler writes `Bitmap<(unsigned int)64>` where debuggers and `c++filt` write `Bitmap<64u>`.
fn literals_with_suffix(text: &str) -> String {
    const CASTS: &[(&str, &str)] = &[
        ("(unsigned int)", "u"),
        ("(unsigned long)", "ul"),
        ("(unsigned long long)", "ull"),
        ("(long)", "l"),
        ("(long long)", "ll"),
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('(') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let literal = CASTS.iter().find_map(|(cast, suffix)| {
            let behind = from.strip_prefix(cast)?;
            let digits = behind.len() - behind.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (digits > 0).then(|| (behind.split_at(digits), suffix))
        });
        match literal {
            Some(((digits, behind), suffix)) => {
                out.push_str(digits);
                out.push_str(suffix);
                rest = behind;
            }
            None => {
                out.push('(');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}
