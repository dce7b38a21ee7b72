//! Function names as people write them, and what they match.

use std::fmt;
use std::str::FromStr;

use crate::demangle::{RawName, unversioned};
use crate::error::Error;
use crate::glob::{Glob, Item, list_matches};
use crate::name::{ANONYMOUS, Component, Name, parse};
use crate::types::Author;

/// No name that a person writes or pastes is longer.
const MAX_PATTERN: usize = 8 << 10;

/// Names that a mangled name may hold only as an abbreviation (`So` for `std::ostream`; Itanium C++ ABI, 5.1.10).
const ABBREVIATED: &[&str] = &[
    "allocator",
    "basic_string",
    "string",
    "basic_istream",
    "istream",
    "basic_ostream",
    "ostream",
    "basic_iostream",
    "iostream",
    "std",
];

/// Which functions are meant: a name as people write it, or a mangled name.
///
/// | pattern | matches |
/// |---|---|
/// | `check_connection` | every function of that name, in any class or namespace, with any parameters, and as any template instance; not `thd_check_connection_admin_privilege` |
/// | `THD::send_statement_status` | in `THD`, wherever that is |
/// | `::check_connection` | in no class and no namespace |
/// | `dispatch_command(THD*, ...)` | with a first parameter `THD*`; `...` or `…` stands for any number of parameters |
/// | `Vec<int>::push` | with these template arguments; `Vec::push` matches with any |
/// | `THD::*`, `*_lock` | `*` stands for any characters of one component |
/// | `foo.part.0`, `foo [clone .cold]` | the piece or copy that the compiler made, which `foo` alone does not match when it is a piece |
/// | `_ZL16check_connectionP3THD` | that symbol; `*` may stand in it too |
///
/// As in debuggers, a name without leading `::` is compared with the last components of the qualified name.
/// Anonymous namespaces and `std::__cxx11` may be left out. Types may be written as in sources: `const char *name` is
/// `char const*`, `uint` is `unsigned int`. C functions have no parameters in their symbol, so theirs are not compared.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    Symbol(Glob),
    Name(Box<NamePattern>),
}

#[derive(Clone, Debug)]
struct NamePattern {
    rooted: bool,
    components: Vec<ComponentPattern>,
    params: Option<Vec<Item>>,
    qualifiers: Vec<String>,
    /// Suffix that was asked for: `.part.0`.
    suffix: Option<Glob>,
    prefix: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct ComponentPattern {
    name: Glob,
    args: Option<Vec<Item>>,
    scope_params: Option<Vec<Item>>,
}

/// What a symbol's text must hold before it is worth demangling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Prefilter {
    /// Nothing is known.
    All,
    /// This text.
    Contains(String),
    /// This text as a whole identifier.
    Identifier(String),
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fail = |why| Error::Pattern { pattern: text.chars().take(200).collect(), why };
        let trimmed = text.trim().trim_end_matches([';', '{']).trim_end();
        if trimmed.is_empty() {
            return Err(fail("it is empty"));
        }
        if trimmed.len() > MAX_PATTERN {
            return Err(fail("it is too long"));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(fail("it contains control characters"));
        }
        let form = if trimmed.starts_with("_Z") && !trimmed.contains([':', '(', '<', ' ']) {
            Form::Symbol(Glob::new(trimmed, "*"))
        } else if trimmed.contains(".(") && !trimmed.contains(' ') {
            // A method in Go, whose symbols are not mangled: `net/http.(*Server).Serve`.
            Form::Symbol(Glob::new(trimmed, "\0"))
        } else {
            Form::Name(Box::new(NamePattern::new(trimmed).map_err(fail)?))
        };
        Ok(Self { text: trimmed.to_owned(), form })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// It is a mangled name.
    pub(crate) fn is_symbol(&self) -> bool {
        matches!(self.form, Form::Symbol(_))
    }

    /// The symbol itself was named, whatever it demangles to.
    pub(crate) fn matches_symbol(&self, symbol: &str) -> bool {
        let fits = |text: &str| match &self.form {
            Form::Symbol(glob) => glob.matches(text),
            Form::Name(_) => self.text == text,
        };
        fits(symbol) || fits(unversioned(symbol))
    }

    /// The demangled name fits. Pieces and copies (`suffix`) are the caller's to judge, unless the pattern names one.
    pub(crate) fn matches_name(&self, name: &Name, raw: RawName<'_>) -> bool {
        match &self.form {
            Form::Symbol(_) => false,
            Form::Name(pattern) => pattern.matches(name, raw.is_mangled(), raw.suffix),
        }
    }

    /// The pattern itself asks for what is behind the dots (`foo.cold`), or for a thunk.
    pub(crate) fn names_pieces(&self) -> bool {
        match &self.form {
            Form::Symbol(_) => true,
            Form::Name(pattern) => pattern.suffix.is_some() || pattern.prefix.is_some(),
        }
    }

    /// It has more than one component.
    pub(crate) fn is_nested(&self) -> bool {
        matches!(&self.form, Form::Name(pattern) if pattern.components.len() > 1)
    }

    pub(crate) fn prefilter(&self) -> Prefilter {
        let pattern = match &self.form {
            Form::Name(pattern) => pattern,
            Form::Symbol(glob) => return Prefilter::Contains(glob.longest_piece().to_owned()),
        };
        let usable = |piece: &str| {
            !piece.is_empty()
                && !piece.contains(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' && c != '$')
                && !ABBREVIATED.iter().any(|word| word.contains(piece))
                && !piece.starts_with("operator")
        };
        let Some((last, scopes)) = pattern.components.split_last() else { return Prefilter::All };
        if let Some(name) = last.name.exact() {
            let name = name.trim_start_matches('~');
            if usable(name) {
                return Prefilter::Identifier(name.to_owned());
            }
        }
        let longest = std::iter::once(last)
            .chain(scopes)
            .map(|c| c.name.longest_piece().trim_start_matches('~'))
            .filter(|piece| usable(piece))
            .max_by_key(|piece| piece.len());
        longest.map_or(Prefilter::All, |piece| Prefilter::Contains(piece.to_owned()))
    }

    /// A wildcard pattern that lists the functions with a word of this one's name: `*connection*` for
    /// `check_connection`. None when there is no such word.
    pub fn wider(&self) -> Option<String> {
        let longest = self.last_word()?.split('_').max_by_key(|word| word.len())?;
        Some(format!("*{longest}*")).filter(|wider| longest.len() > 3 && *wider != self.text)
    }

    /// What people will have got nearly right: the last component, without wildcards.
    pub(crate) fn last_word(&self) -> Option<&str> {
        let Form::Name(pattern) = &self.form else { return None };
        let word = pattern.components.last()?.name.longest_piece();
        Some(word).filter(|w| !w.is_empty())
    }
}

impl NamePattern {
    fn new(text: &str) -> Result<Self, &'static str> {
        let (text, clone) = split_clones(text);
        let plain = text.find(['(', '<']).is_none().then(|| RawName::new(text));
        // `foo.part.0` as the symbol table writes it, `foo [clone .part.0]` as demanglers do.
        let (text, dotted) = match plain {
            Some(raw) if !raw.suffix.is_empty() => (raw.base, Some(raw.suffix.to_owned())),
            _ => (text, None),
        };
        let suffix = clone.or(dotted).map(|s| Glob::new(&s, "*"));
        let name = parse(text, Author::Person)?;
        Ok(Self {
            rooted: name.rooted,
            components: name.components.into_iter().map(ComponentPattern::new).collect(),
            params: name.params.map(items),
            qualifiers: name.qualifiers,
            suffix,
            prefix: name.prefix,
        })
    }

    fn matches(&self, name: &Name, typed: bool, suffix: &str) -> bool {
        if self.prefix.is_some() && self.prefix != name.prefix {
            return false;
        }
        if self.suffix.as_ref().is_some_and(|glob| !glob.matches(suffix)) {
            return false;
        }
        if !self.path_matches(&name.components) {
            return false;
        }
        if !typed {
            return true;
        }
        if !self.qualifiers.is_empty() && self.qualifiers != name.qualifiers {
            return false;
        }
        match (&self.params, &name.params) {
            (Some(pattern), Some(params)) => list_matches(pattern, params),
            (Some(pattern), None) => pattern.iter().all(|item| *item == Item::Rest),
            (None, _) => true,
        }
    }

    fn path_matches(&self, components: &[Component]) -> bool {
        let mut rest = components.iter().rev().peekable();
        // Rust's legacy mangling ends each name with a hash that nobody writes.
        if rest.peek().is_some_and(|c| is_rust_hash(&c.name)) && components.len() > 1 {
            rest.next();
        }
        for pattern in self.components.iter().rev() {
            loop {
                let Some(component) = rest.next() else { return false };
                if pattern.matches(component) {
                    break;
                }
                if !may_be_left_out(&component.name) {
                    return false;
                }
            }
        }
        !self.rooted || rest.all(|c| may_be_left_out(&c.name))
    }
}

impl ComponentPattern {
    fn new(component: Component) -> Self {
        Self {
            name: Glob::new(&component.name, if component.name.starts_with("operator") { "\0" } else { "*" }),
            args: component.args.map(items),
            scope_params: component.scope_params.map(items),
        }
    }

    fn matches(&self, component: &Component) -> bool {
        let fits = |pattern: &Option<Vec<Item>>, list: &Option<Vec<String>>| match (pattern, list) {
            (None, _) => true,
            (Some(pattern), Some(list)) => list_matches(pattern, list),
            (Some(_), None) => false,
        };
        self.name.matches(&component.name)
            && fits(&self.args, &component.args)
            && fits(&self.scope_params, &component.scope_params)
    }
}

/// `...` among parameters stands for any number of them, as does a lone `*`; inside a type it stands for any text.
fn items(list: Vec<String>) -> Vec<Item> {
    list.into_iter()
        .map(|item| match item.as_str() {
            "..." | "*" => Item::Rest,
            text => Item::One(Glob::new(text, "...")),
        })
        .collect()
}

/// Takes ` [clone .part.0] [clone .cold]` from the end: the suffix as the symbol has it.
fn split_clones(text: &str) -> (&str, Option<String>) {
    let mut name = text;
    let mut suffix = String::new();
    while let Some((before, clone)) =
        name.strip_suffix(']').and_then(|t| t.rsplit_once("[clone ")).filter(|(_, clone)| !clone.contains(']'))
    {
        suffix.insert_str(0, clone.trim());
        name = before.trim_end();
    }
    (name, Some(suffix).filter(|s| !s.is_empty()))
}

fn may_be_left_out(component: &str) -> bool {
    matches!(component, ANONYMOUS | "__cxx11" | "__1")
}

fn is_rust_hash(component: &str) -> bool {
    component.len() == 17 && component.strip_prefix('h').is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demangle::qualified;

    fn matches(pattern: &str, symbol: &str) -> bool {
        let pattern: Pattern = pattern.parse().unwrap();
        let raw = RawName::new(symbol);
        let text = qualified(raw).unwrap_or_else(|| raw.base.to_owned());
        let name = parse(&text, Author::Demangler).unwrap();
        pattern.matches_symbol(symbol) || pattern.matches_name(&name, raw)
    }

    #[track_caller]
    fn check(pattern: &str, hits: &[&str], misses: &[&str]) {
        for symbol in hits {
            assert!(matches(pattern, symbol), "`{pattern}` should match {symbol}");
        }
        for symbol in misses {
            assert!(!matches(pattern, symbol), "`{pattern}` should not match {symbol}");
        }
    }

    const CHECK: &str = "_ZL16check_connectionP3THD";
    const ADMIN: &str = "_Z36thd_check_connection_admin_privilegeP3THD";
    const SEND: &str = "_ZN3THD21send_statement_statusEv";
    const DISPATCH: &str = "_Z16dispatch_command19enum_server_commandP3THDPcj";

    #[test]
    fn whole_components_match() {
        check("check_connection", &[CHECK, "check_connection"], &[ADMIN, "ndb_mgm_check_connection"]);
        check("::check_connection", &[CHECK], &["_ZN1A16check_connectionEv"]);
        check("send_statement_status", &[SEND], &[]);
        check("THD::send_statement_status", &[SEND], &["_ZN4XTHD21send_statement_statusEv"]);
        check("THD", &["_ZN3THDC1Ev"], &[SEND]);
        check("THD::THD", &["_ZN3THDC1Ev"], &["_ZN3THDD1Ev"]);
        check("~THD", &["_ZN3THDD1Ev"], &["_ZN3THDC1Ev"]);
    }

    #[test]
    fn wildcards_stay_in_their_component() {
        check("THD::*", &[SEND, "_ZN1A3THD3fooEv"], &["_ZN3THD5Inner3fooEv", CHECK]);
        check("*connection*", &[CHECK, ADMIN], &[SEND]);
        check("THD::send_*", &[SEND], &["_ZN3THD4sendEv"]);
    }

    #[test]
    fn parameters_are_compared_when_given() {
        check("dispatch_command", &[DISPATCH], &[]);
        check("dispatch_command(enum_server_command, THD*, ...)", &[DISPATCH], &[]);
        check("dispatch_command(…)", &[DISPATCH], &[]);
        check(
            "dispatch_command(enum enum_server_command command, THD *thd, char* packet, uint packet_length)",
            &[DISPATCH],
            &[],
        );
        check("dispatch_command(THD*, ...)", &[], &[DISPATCH]);
        check("dispatch_command()", &[], &[DISPATCH]);
        check("send_statement_status()", &[SEND], &[]);
        check("malloc(size_t)", &["malloc"], &["_Z6mallocv"]);
    }

    #[test]
    fn templates_operators_and_hidden_namespaces() {
        let push = "_ZN3VecIiE4pushERKi";
        check("Vec::push", &[push], &[]);
        check("Vec<int>::push", &[push], &["_ZN3VecIlE4pushERKl"]);
        check("Vec<...>::push(const int &)", &[push], &["_ZN3VecIlE4pushERKl"]);
        check("A::operator==", &["_ZN1AeqERKS_"], &["_ZN1AneERKS_"]);
        check("A::operator*", &["_ZN1AmlERKS_"], &["_ZN1AneERKS_"]);
        check("A::operator bool", &["_ZNK1AcvbEv"], &["_ZNK1AcviEv"]);
        check("ns::f", &["_ZN2ns12_GLOBAL__N_11fEv"], &[]);
        check("ns::(anonymous namespace)::f", &["_ZN2ns12_GLOBAL__N_11fEv"], &["_ZN2ns1fEv"]);
        check("A::f() const", &["_ZNK1A1fEv"], &["_ZN1A1fEv"]);
        check("A::f()", &["_ZNK1A1fEv", "_ZN1A1fEv"], &[]);
        check("twice", &["_Z5twiceIiET_S0_"], &[]);
        check("int twice<int>(int)", &["_Z5twiceIiET_S0_"], &["_Z5twiceIlET_S0_"]);
    }

    #[test]
    fn suffixes_and_mangled_names() {
        check("foo", &["_Z3foov.isra.0", "foo.constprop.0"], &[]);
        check("foo.part.0", &["_Z3foov.part.0"], &["_Z3foov", "_Z3foov.cold"]);
        check("foo() [clone .part.0] [clone .cold]", &["_Z3foov.part.0.cold"], &["_Z3foov.part.0"]);
        check(CHECK, &[CHECK], &[ADMIN]);
        check("_ZN3THD*", &[SEND], &[CHECK]);
        check("runtime.mallocgc", &["runtime.mallocgc"], &["runtime.malloc"]);
    }

    #[test]
    fn prefilters() {
        let check = |pattern: &str, expect: Prefilter| {
            assert_eq!(pattern.parse::<Pattern>().unwrap().prefilter(), expect, "{pattern}");
        };
        check("check_connection", Prefilter::Identifier("check_connection".into()));
        check("~THD", Prefilter::Identifier("THD".into()));
        check("THD::*", Prefilter::Contains("THD".into()));
        check("THD::send_*", Prefilter::Contains("send_".into()));
        check("std::string::string", Prefilter::All);
        check("A::operator==", Prefilter::Contains("A".into()));
        check("operator==", Prefilter::All);
        check("*", Prefilter::All);
    }

    #[test]
    fn errors_name_the_pattern() {
        let message = |text: &str| text.parse::<Pattern>().unwrap_err().to_string();
        assert_eq!(message(" "), "` ` is not a function name: it is empty");
        assert_eq!(message("f(int"), "`f(int` is not a function name: a `(` is not closed");
        assert_eq!(message("a\nb"), "`a\nb` is not a function name: it contains control characters");
    }
}
