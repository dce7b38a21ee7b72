//! From a symbol's name in the file to the names that people read.

mod cpp;
mod rust;

/// Longer names are shown as they are. Demanglers take time that grows faster than the name.
const MAX_MANGLED: usize = 8 << 10;
/// A few bytes can stand for megabytes (each substitution may double the text), so how much a symbol may come to is counted
/// by its length: those of MySQL 9.7, of LLVM and of rustc come to 28 times theirs at most, and the longest to 14,000 letters.
const MAX_GROWTH: usize = 80;
/// Short symbols may grow further.
const FREE_GROWTH: usize = 1000;
/// What no symbol comes to.
const MAX_DEMANGLED: usize = 64 << 10;

/// A symbol's name, taken apart as far as no demangling is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RawName<'a> {
    /// Without version and clone suffix.
    pub(crate) base: &'a str,
    /// `.isra.0`, `.part.3.cold`, …: what the compiler appended to a copy or a piece of a function. Empty for most.
    pub(crate) suffix: &'a str,
    mangling: Mangling,
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

/// Which language's mangling a symbol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mangling {
    /// It is the name itself.
    None,
    /// Itanium C++ ABI.
    Cpp,
    /// Rust's legacy mangling, or v0.
    Rust,
}

impl<'a> RawName<'a> {
    /// Cuts `name@VERSION` and `name.suffix` off. In a mangled name every dot starts a suffix; in others (Go, Rust and
    /// assembler use dots freely) only dots before the words that compilers append.
    pub(crate) fn new(symbol: &'a str) -> Self {
        let unversioned = unversioned(symbol);
        let (mangling, cut) = if let Some(end) = rust::end_of_symbol(unversioned) {
            (Mangling::Rust, Some(end))
        } else if unversioned.starts_with("_Z") {
            (Mangling::Cpp, end_of_cpp_symbol(unversioned))
        } else {
            let dots = memchr::memchr_iter(b'.', unversioned.as_bytes());
            let is_suffix = |at: &usize| starts_with_suffix_word(unversioned.get(at + 1..).unwrap_or_default());
            (Mangling::None, dots.filter(|at| *at > 0).find(is_suffix))
        };
        let (base, suffix) = unversioned.split_at(cut.unwrap_or(unversioned.len()));
        Self { base, suffix, mangling }
    }

    pub(crate) fn is_mangled(&self) -> bool {
        self.mangling != Mangling::None
    }

    pub(crate) fn mangling(&self) -> Mangling {
        self.mangling
    }

    /// What it demangles to may say that it is no function of the source: `vtable for …`, `virtual thunk to …`, and what else
    /// is a special name in the Itanium C++ ABI.
    pub(crate) fn may_have_prefix(&self) -> bool {
        self.base.starts_with("_ZT") || self.base.starts_with("_ZG")
    }

    /// The suffix says that this is a piece of a function and not the whole of it: probing it sees some calls only.
    pub(crate) fn is_piece(&self) -> bool {
        self.suffix
            .split('.')
            .any(|word| matches!(word, "part" | "cold" | "unlikely" | "_omp_fn" | "_omp_cpyfn" | "resolver"))
    }
}

/// Where the first dot is that is not in the name of an anonymous namespace: GCC before 4.3 named those after the file.
fn end_of_cpp_symbol(symbol: &str) -> Option<usize> {
    // Most have none.
    memchr::memchr(b'.', symbol.as_bytes())?;
    let mut named = symbol.match_indices("_GLOBAL__N_").filter_map(|(at, _)| {
        let before = symbol.get(..at)?;
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        // Digits at its front may belong to the name before.
        let from = at - digits..at;
        let len = from.filter_map(|from| before.get(from..)?.parse::<usize>().ok());
        len.into_iter().find(|len| at.checked_add(*len).is_some_and(|end| end <= symbol.len())).map(|len| at..at + len)
    });
    let mut current = named.next();
    symbol.match_indices('.').map(|(at, _)| at).find(|at| {
        while current.as_ref().is_some_and(|range| range.end <= *at) {
            current = named.next();
        }
        !current.as_ref().is_some_and(|range| range.contains(at))
    })
}

/// Without `@VERSION`.
pub(crate) fn unversioned(symbol: &str) -> &str {
    match memchr::memchr(b'@', symbol.as_bytes()) {
        Some(at) if at > 0 => symbol.get(..at).unwrap_or(symbol),
        _ => symbol,
    }
}

fn starts_with_suffix_word(text: &str) -> bool {
    SUFFIX_WORDS.iter().any(|word| text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The name as `c++filt` would show it, clone suffix included: none when it is not a mangled name.
pub(crate) fn display(name: RawName<'_>) -> Option<String> {
    let mut text = match name.mangling() {
        Mangling::None => return None,
        Mangling::Cpp => cpp::display(name.base)?,
        Mangling::Rust => rust::demangle(name.base, false)?,
    };
    for clone in clones(name.suffix) {
        text.push_str(" [clone ");
        text.push_str(clone);
        text.push(']');
    }
    Some(text)
}

/// The types of the parameters of a C++ function, and the qualifiers behind them; none for whatever else there is.
pub(crate) fn parameters(name: RawName<'_>) -> Option<(Vec<String>, String)> {
    match name.mangling() {
        Mangling::Cpp => cpp::parameters(name.base),
        Mangling::None | Mangling::Rust => None,
    }
}

/// The name without return type and clone suffix, but with the hash that legacy Rust has, for taking it apart.
pub(crate) fn qualified(name: RawName<'_>) -> Option<String> {
    match name.mangling() {
        Mangling::None => None,
        Mangling::Cpp => cpp::qualified(name.base),
        Mangling::Rust => rust::demangle(name.base, true),
    }
}

/// How long the name of a symbol may be.
fn most_text(base: &str) -> usize {
    base.len().saturating_mul(MAX_GROWTH).saturating_add(FREE_GROWTH).min(MAX_DEMANGLED)
}

/// Text that is refused when it gets longer than this.
struct Bounded(String, usize);

impl std::fmt::Write for Bounded {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        if self.0.len() + s.len() > self.1 {
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
        fn parts(s: &str) -> (&str, &str) {
            let n = RawName::new(s);
            (n.base, n.suffix)
        }
        assert_eq!(parts("_Z3foov.part.0"), ("_Z3foov", ".part.0"));
        assert_eq!(parts("_ZN10_GLOBAL__N_1fEv.cold"), ("_ZN10_GLOBAL__N_1fEv", ".cold"));
        assert_eq!(parts("_ZN16_GLOBAL__N__a.cc_1fEv.part.0"), ("_ZN16_GLOBAL__N__a.cc_1fEv", ".part.0"));
        assert_eq!(parts("_ZN2x116_GLOBAL__N__a.cc_1fEv.part.0"), ("_ZN2x116_GLOBAL__N__a.cc_1fEv", ".part.0"));
        let rust = "_ZN4core3ptr33drop_in_place$LT$alloc..X$GT$17h0123456789abcdefE";
        assert_eq!(parts(&format!("{rust}.llvm.1")), (rust, ".llvm.1"));
        assert_eq!(parts("_RNvC1a1b.llvm.1"), ("_RNvC1a1b", ".llvm.1"));
        assert_eq!(parts("foo.constprop.1.cold"), ("foo", ".constprop.1.cold"));
        assert_eq!(parts("runtime.mallocgc"), ("runtime.mallocgc", ""));
        assert_eq!(parts("memcpy@@GLIBC_2.14"), ("memcpy", ""));
        assert_eq!(parts("foo.partition"), ("foo.partition", ""));
        assert!(RawName::new("foo.isra.0.cold").is_piece());
        assert!(!RawName::new("foo.isra.0").is_piece());
    }
}
