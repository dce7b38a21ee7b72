//! From a symbol's name in the file to the names that people read.

use cpp_demangle::{DemangleOptions, DemangleWrite, ParseOptions, Symbol};

/// Longer names are shown as they are. Demanglers take time that grows faster than the name.
const MAX_MANGLED: usize = 8 << 10;
/// A few bytes can stand for megabytes (each substitution may double the text): what is longer is not demangled.
const MAX_DEMANGLED: usize = 64 << 10;
/// Names nest some ten levels deep; this is the limit of the demangler's own tests in a debug build.
const MAX_DEPTH: u32 = 96;

/// A symbol's name, taken apart as far as no demangling is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RawName<'a> {
    /// Without version and clone suffix.
    pub(crate) base: &'a str,
    /// `.isra.0`, `.part.3.cold`, …: what the compiler appended to a copy or a piece of a function. Empty for most.
    pub(crate) suffix: &'a str,
}

/// Words that compilers append, behind a dot, to the name of a function that they copied, cut or renamed.
/// GCC: `isra`, `constprop`, `part`, `cold`, `localalias`, `lto_priv`, `unlikely`, `_omp_fn`; clang: `llvm`,
/// `specialized`, `resume`, `destroy`, `cleanup`, `__uniq`; both: `resolver`, `default` and the names of processors for
/// functions in several versions.
const SUFFIX_WORDS: &[&str] = &[
    "isra",
    "constprop",
    "part",
    "cold",
    "unlikely",
    "localalias",
    "lto_priv",
    "_omp_fn",
    "_omp_cpyfn",
    "llvm",
    "specialized",
    "__uniq",
    "resume",
    "destroy",
    "cleanup",
    "actor",
    "resolver",
    "default",
    "clone",
];

impl<'a> RawName<'a> {
    /// Cuts `name@VERSION` and `name.suffix` off. In a mangled name every dot starts a suffix; in others (Go, Rust and
    /// assembler use dots freely) only dots before the words that compilers append.
    pub(crate) fn new(symbol: &'a str) -> Self {
        let unversioned = unversioned(symbol);
        let cut = if unversioned.starts_with("_Z") {
            unversioned.find('.')
        } else {
            unversioned
                .match_indices('.')
                .map(|(at, _)| at)
                .find(|&at| at > 0 && starts_with_suffix_word(unversioned.get(at + 1..).unwrap_or_default()))
        };
        let (base, suffix) = unversioned.split_at(cut.unwrap_or(unversioned.len()));
        Self { base, suffix }
    }

    pub(crate) fn is_mangled(&self) -> bool {
        self.base.starts_with("_Z")
    }

    /// The suffix says that this is a piece of a function and not the whole of it: probing it sees some calls only.
    pub(crate) fn is_piece(&self) -> bool {
        self.suffix
            .split('.')
            .any(|word| matches!(word, "part" | "cold" | "unlikely" | "_omp_fn" | "_omp_cpyfn" | "resolver"))
    }
}

/// Without `@VERSION`.
pub(crate) fn unversioned(symbol: &str) -> &str {
    match symbol.find('@') {
        Some(at) if at > 0 => symbol.get(..at).unwrap_or(symbol),
        _ => symbol,
    }
}

fn starts_with_suffix_word(text: &str) -> bool {
    SUFFIX_WORDS.iter().any(|word| text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The name as `c++filt` would show it, clone suffix included: none when it is not a mangled name.
pub(crate) fn display(name: RawName<'_>) -> Option<String> {
    let mut text = demangle(name.base, DemangleOptions::new())?;
    if let Some(encoding) = text.strip_prefix("{virtual override thunk(").and_then(|t| t.strip_suffix(")}")) {
        let function = encoding.rsplit_once(")}, ").map_or(encoding, |(_, function)| function);
        let kind = match name.base.as_bytes().get(3) {
            Some(b'v') => "virtual",
            Some(b'c') => "covariant return",
            _ => "non-virtual",
        };
        text = format!("{kind} thunk to {function}");
    }
    let mut text = literals_with_suffix(&text);
    for clone in clones(name.suffix) {
        text.push_str(" [clone ");
        text.push_str(clone);
        text.push(']');
    }
    Some(text)
}

/// The name without return type and clone suffix, for taking it apart.
pub(crate) fn qualified(name: RawName<'_>) -> Option<String> {
    demangle(name.base, DemangleOptions::new().no_return_type().hide_expression_literal_types())
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

struct Bounded(String);

impl DemangleWrite for Bounded {
    fn write_string(&mut self, s: &str) -> std::fmt::Result {
        if self.0.len() + s.len() > MAX_DEMANGLED {
            return Err(std::fmt::Error);
        }
        self.0.push_str(s);
        Ok(())
    }
}

/// Splits `.isra.0.cold` into `.isra.0` and `.cold`: a word and the numbers behind it.
fn clones(suffix: &str) -> impl Iterator<Item = &str> {
    let mut rest = suffix;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .match_indices('.')
            .map(|(at, _)| at)
            .find(|&at| at > 0 && !rest.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit));
        let (clone, tail) = rest.split_at(end.unwrap_or(rest.len()));
        rest = tail;
        Some(clone)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(symbol: &str, expect: &str) {
        let name = RawName::new(symbol);
        assert_eq!(display(name).as_deref().unwrap_or(symbol), expect);
    }

    #[test]
    fn names_read_as_in_debuggers() {
        check("_ZL16check_connectionP3THD", "check_connection(THD*)");
        check("_ZN3FooC1Ev.isra.0.cold", "Foo::Foo() [clone .isra.0] [clone .cold]");
        check(
            "_ZThn16_N10Item_param18set_out_param_infoEP10Send_field",
            "non-virtual thunk to Item_param::set_out_param_info(Send_field*)",
        );
        check("_Z3fooR6BitmapILj64EE", "foo(Bitmap<64u>&)");
        check("malloc", "malloc");
    }

    #[test]
    fn suffixes_are_told_from_names_with_dots() {
        let parts = |s| {
            let n = RawName::new(s);
            (n.base, n.suffix)
        };
        assert_eq!(parts("_Z3foov.part.0"), ("_Z3foov", ".part.0"));
        assert_eq!(parts("foo.constprop.1.cold"), ("foo", ".constprop.1.cold"));
        assert_eq!(parts("runtime.mallocgc"), ("runtime.mallocgc", ""));
        assert_eq!(parts("memcpy@@GLIBC_2.14"), ("memcpy", ""));
        assert_eq!(parts("foo.partition"), ("foo.partition", ""));
        assert!(RawName::new("foo.isra.0.cold").is_piece());
        assert!(!RawName::new("foo.isra.0").is_piece());
    }
}
