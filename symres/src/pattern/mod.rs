//! Function names as people write them, and what they match.

mod form;
mod parts;
mod path;
mod prefilter;
mod rust;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use regex_lite::Regex;

use self::form::{Shape, is_file, shape};
pub use self::parts::NameParts;
use self::path::NamePattern;
pub(crate) use self::prefilter::Prefilter;
use crate::addr::VirtAddr;
use crate::demangle::{RawName, display, qualified, unversioned};
use crate::error::Error;
use crate::glob::Glob;
use crate::name::Name;

/// The regular expression that is found in every name.
const EVERYTHING: &str = "/./";

/// No name that a person writes or pastes is longer.
const MAX_PATTERN: usize = 8 << 10;

/// Which functions are meant, or which of their instructions.
///
/// | pattern | matches |
/// |---|---|
/// | `check_connection` | every function of that name, in any class or namespace, with any parameters, and as any template instance; not `thd_check_connection_admin_privilege` |
/// | `THD::send_statement_status` | in `THD`, wherever that is |
/// | `::check_connection` | in no class and no namespace |
/// | `dispatch_command(THD*, ...)` | with a first parameter `THD*`; `...` or `…` stands for any number of parameters |
/// | `Vec<int>::push` | with these template arguments, or with more behind them, as defaults are; `Vec::push` matches with any |
/// | `THD::*`, `*_lock` | `*` stands for any characters of one component |
/// | `f()::{lambda(int)#1}::operator()`, `f()::{lambda}`, `*lambda*` | a lambda by its place in a function; the call operator may be left out, and the parameters and number too |
/// | `foo.part.0`, `foo [clone .cold]` | the piece or copy that the compiler made, which `foo` alone does not match when it is a piece |
/// | `_ZL16check_connectionP3THD` | that symbol; `*` may stand in it too |
/// | `core::ptr::drop_in_place`, `Vec<T>::push`, `Iterator::next`, `<Vec<T> as Iterator>::next`, `f::{{closure}}` | Rust functions: with any generic arguments unless some are given, a lone capital letter standing for any; of a trait's implementations by trait or by type; paths of types may lack their front. The hash of the symbol may follow |
/// | `net/http.(*Server).Serve`, `net/http.*`, `slices.Sort[go.shape.int]` | Go functions, by their whole symbol |
/// | `/^THD::.*_lock/` | the regular expression is found in the name as it is displayed, parameters included; `^` and `$` are its ends. In time linear in the names: without back references |
/// | `0x57a8c0` | the instruction at that address of the file, whatever function it is in |
/// | `foo+0x1c`, `foo(int) + 28` | the instruction so many bytes behind the start of each function that the part in front of `+` names |
/// | `sql_connect.cc:478`, `sql/sql_connect.cc:478` | the instructions at which that line of the source begins; the path may lack its front |
/// | `write@plt` | the entry of the procedure linkage table through which the file calls `write` |
///
/// As in debuggers, a name without leading `::` is compared with the last components of the qualified name.
/// Anonymous namespaces, `std::__cxx11`, C++20's modules (`f@module`) and ABI tags may be left out. Types may be written as
/// in sources: `const char *name` is `char const*`, `uint` is `unsigned int`, `struct THD *` is `THD*`, and the standard
/// library's default arguments may be left out: `std::vector<std::string>`. Upper and lower case differ. C functions have no parameters in their symbol, so theirs are not compared.
///
/// The rows are told apart in this order: slashes at both ends; `0x` and nothing but hexadecimal digits; a number behind the
/// last `+`, unless that is the `+` of `operator+`; a decimal number behind a single `:`; `@plt` at the end; a mangled name; a
/// name.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    form: Form,
}

/// What a pattern asks for: see the table of [`Pattern`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PatternForm<'a> {
    /// Functions by their name.
    Name,
    /// Functions by their symbol.
    Symbol,
    /// Functions whose displayed name a regular expression is found in.
    Regex,
    /// The instruction at an address.
    Address(VirtAddr),
    /// An instruction inside of functions.
    Offset {
        /// The functions; itself a [`Self::Name`], [`Self::Symbol`], [`Self::Regex`] or [`Self::Plt`].
        function: &'a Pattern,
        /// Bytes from their start.
        offset: u64,
    },
    /// The code of a line.
    Line {
        /// The path of the source file, or the end of it.
        file: &'a str,
        /// Counted from 1.
        line: u32,
    },
    /// The entries of the procedure linkage table for functions: a [`Self::Name`], [`Self::Symbol`] or [`Self::Regex`].
    Plt(&'a Pattern),
}

#[derive(Clone, Debug)]
enum Form {
    Symbol {
        glob: Glob,
        /// What it demangles to, for functions that have no symbol; none with wildcards in it.
        name: Option<Box<NamePattern>>,
    },
    Name(Box<NamePattern>),
    Regex(Box<Regex>),
    Address(VirtAddr),
    Offset {
        function: Box<Pattern>,
        offset: u64,
    },
    Line {
        file: String,
        line: u32,
    },
    Plt(Box<Pattern>),
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let fail = |why: String| Error::Pattern { pattern: text.chars().take(200).collect(), why };
        let trimmed = text.trim().trim_end_matches([';', '{']).trim_end();
        if trimmed.is_empty() {
            return Err(fail("it is empty".to_owned()));
        }
        if trimmed.len() > MAX_PATTERN {
            return Err(fail("it is too long".to_owned()));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(fail("it contains control characters".to_owned()));
        }
        let form = match shape(trimmed).map_err(|why| fail(why.to_owned()))? {
            Shape::Regex(inner) => Form::Regex(Box::new(form::regex(inner).map_err(fail)?)),
            Shape::Address(addr) => Form::Address(addr),
            Shape::Line { file, line } => Form::Line { file: file.trim().to_owned(), line },
            Shape::Plt(function) => Form::Plt(Box::new(of_functions(function).map_err(|why| fail(why.to_owned()))?)),
            Shape::Offset { function, offset } => match shape(function) {
                Ok(Shape::Address(addr)) => match addr.0.checked_add(offset) {
                    Some(sum) => Form::Address(VirtAddr(sum)),
                    None => return Err(fail("the address is too large".to_owned())),
                },
                // Each can be read only once more, so this does not go deeper.
                Ok(Shape::Name(_) | Shape::Regex(_) | Shape::Plt(_)) => {
                    Form::Offset { function: Box::new(function.parse()?), offset }
                }
                Ok(Shape::Line { .. }) => {
                    return Err(fail("an offset is counted from a function, not a line".to_owned()));
                }
                Ok(Shape::Offset { .. }) => return Err(fail("it has two offsets".to_owned())),
                Err(why) => return Err(fail(why.to_owned())),
            },
            Shape::Name(name) => named(name).map_err(|why| fail(why.to_owned()))?,
        };
        Ok(Self { text: trimmed.to_owned(), form })
    }
}

/// What may stand in front of `@plt`.
fn of_functions(text: &str) -> Result<Pattern, &'static str> {
    match shape(text)? {
        Shape::Name(name) => Ok(Pattern { text: name.to_owned(), form: named(name)? }),
        _ => Err("only a function's name can stand in front of @plt"),
    }
}

fn named(text: &str) -> Result<Form, &'static str> {
    if text.starts_with("_Z") && !text.contains([':', '(', '<', ' ']) {
        let name = NamePattern::of_symbol(RawName::new(text)).map(Box::new);
        return Ok(Form::Symbol { glob: Glob::new(text, "*"), name });
    }
    if text.starts_with("_R") && rust_symbol(text) {
        return Ok(Form::Symbol { glob: Glob::new(text, "*"), name: None });
    }
    if text.contains(".(") && !text.contains(' ') {
        // A method in Go, whose symbols are not mangled: `net/http.(*Server).Serve`.
        return Ok(Form::Symbol { glob: Glob::new(text, "\0"), name: None });
    }
    match NamePattern::new(text) {
        Ok(name) => Ok(Form::Name(Box::new(name))),
        // Functions in Go are named by the path of their package, and by the shapes of their type arguments.
        Err(_) if text.contains(['/', '[']) && !text.contains([' ', '(', '<']) => {
            Ok(Form::Symbol { glob: Glob::new(text, "*"), name: None })
        }
        Err(why) => Err(why),
    }
}

/// A symbol in Rust's v0 mangling, perhaps with wildcards; C functions may begin with `_R` too.
fn rust_symbol(text: &str) -> bool {
    match text.split_once('*') {
        Some((front, _)) => front.contains(|c: char| c.is_ascii_digit()) && RawName::new(front).is_mangled(),
        None => qualified(RawName::new(text)).is_some(),
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

    /// What it asks for.
    pub fn form(&self) -> PatternForm<'_> {
        match &self.form {
            Form::Symbol { .. } => PatternForm::Symbol,
            Form::Name(_) => PatternForm::Name,
            Form::Regex(_) => PatternForm::Regex,
            Form::Address(addr) => PatternForm::Address(*addr),
            Form::Offset { function, offset } => PatternForm::Offset { function, offset: *offset },
            Form::Line { file, line } => PatternForm::Line { file, line: *line },
            Form::Plt(function) => PatternForm::Plt(function),
        }
    }

    /// The source file at `path` is the one that a [`PatternForm::Line`] asks for; never with other forms.
    pub fn matches_file(&self, path: &str) -> bool {
        matches!(&self.form, Form::Line { file, .. } if is_file(file, path))
    }

    /// It is a mangled name.
    pub(crate) fn is_symbol(&self) -> bool {
        matches!(self.form, Form::Symbol { .. })
    }

    /// It is a regular expression.
    pub(crate) fn is_regex(&self) -> bool {
        matches!(self.form, Form::Regex(_))
    }

    /// A function with this symbol or linkage name fits, as its symbol or as what that demangles to. Pieces and copies of
    /// functions fit too.
    pub fn matches_linkage_name(&self, symbol: &str) -> bool {
        if self.matches_symbol(symbol) {
            return true;
        }
        let Form::Name(pattern) = &self.form else { return false };
        let raw = RawName::new(symbol);
        let name = Name::of(raw).unwrap_or_else(|| Name::plain(raw.base));
        pattern.matches(&name, raw.is_mangled(), raw.suffix)
    }

    /// The symbol itself was named, whatever it demangles to, or the regular expression is found in what it demangles to.
    pub(crate) fn matches_symbol(&self, symbol: &str) -> bool {
        let fits = |text: &str| match &self.form {
            Form::Symbol { glob, .. } => glob.matches(text),
            Form::Name(_) => self.text == text,
            _ => false,
        };
        match &self.form {
            Form::Regex(_) if self.is_everything() => !symbol.is_empty(),
            Form::Regex(_) => match display(RawName::new(symbol)) {
                Some(name) => self.matches_displayed(&name),
                None => self.matches_displayed(symbol),
            },
            _ => fits(symbol) || fits(unversioned(symbol)),
        }
    }

    /// The regular expression is found in a name as it is displayed.
    pub(crate) fn matches_displayed(&self, name: &str) -> bool {
        match &self.form {
            Form::Regex(_) if self.is_everything() => !name.is_empty(),
            Form::Regex(regex) => regex.is_match(name),
            _ => false,
        }
    }

    /// Every name fits: whatever is displayed has a character.
    pub(crate) fn is_everything(&self) -> bool {
        self.text == EVERYTHING
    }

    /// The demangled name fits. Pieces and copies (`suffix`) are the caller's to judge, unless the pattern names one.
    pub(crate) fn matches_name(&self, name: &Name, raw: RawName<'_>) -> bool {
        match &self.form {
            Form::Name(pattern) => pattern.matches(name, raw.is_mangled(), raw.suffix),
            _ => false,
        }
    }

    /// A function fits that has no symbol and no linkage name, by what its debug information tells of it. A mangled name is
    /// compared with it as what it demangles to, a regular expression with [`NameParts::display`].
    pub fn matches_parts(&self, parts: &NameParts<'_>) -> bool {
        match &self.form {
            Form::Name(pattern) => pattern.matches_parts(parts) || (parts.scopes.is_empty() && self.text == parts.name),
            Form::Symbol { glob, name } => {
                name.as_ref().is_some_and(|pattern| pattern.matches_parts(parts))
                    || (parts.scopes.is_empty() && glob.matches(parts.name))
            }
            Form::Regex(regex) => regex.is_match(&parts.display()),
            _ => false,
        }
    }

    /// Texts one of which the debug information must hold for each function that fits, as its name or its linkage name. In
    /// a name, template arguments may follow (`<`, or ` <` behind an operator). None where nothing is known, so that every
    /// function has to be looked at.
    ///
    /// The functions of [`PatternForm::Offset`] and [`PatternForm::Plt`] are to be asked for by themselves.
    pub fn debug_words(&self) -> Option<Vec<String>> {
        match &self.form {
            Form::Name(pattern) => pattern.debug_word().map(|word| vec![word.to_owned()]),
            Form::Symbol { glob, name } => {
                let mut words = vec![glob.exact()?.to_owned()];
                if let Some(name) = name {
                    words.push(name.debug_word()?.to_owned());
                }
                Some(words)
            }
            _ => None,
        }
    }

    /// The pattern itself asks for what is behind the dots (`foo.cold`), or for a thunk.
    pub(crate) fn names_pieces(&self) -> bool {
        match &self.form {
            Form::Symbol { .. } => true,
            Form::Name(pattern) => pattern.suffix.is_some() || pattern.prefix.is_some(),
            Form::Regex(_) => self.text.contains("clone") || self.text.contains("thunk"),
            _ => false,
        }
    }

    /// Whether a mangled C++ name is that of the overload that is meant. None where the pattern names no parameters, or the
    /// name is not mangled and has none.
    pub(crate) fn is_overload(&self, linkage: &str) -> Option<bool> {
        let pattern = match &self.form {
            Form::Name(pattern) if pattern.params.is_some() || !pattern.qualifiers.is_empty() => pattern,
            Form::Symbol { name: Some(name), .. } => name,
            _ => return None,
        };
        let raw = RawName::new(linkage);
        let name = Name::of(raw).filter(|name| linkage.starts_with("_Z") && name.params.is_some())?;
        Some(pattern.matches(&name, true, raw.suffix))
    }

    /// It has more than one component.
    pub(crate) fn is_nested(&self) -> bool {
        matches!(&self.form, Form::Name(pattern) if pattern.names().len() > 1)
    }

    pub(crate) fn prefilter(&self) -> Prefilter {
        match &self.form {
            Form::Name(pattern) => Prefilter::of_names(&pattern.names()),
            Form::Symbol { glob, .. } => Prefilter::Contains(glob.longest_piece().to_owned()),
            _ => Prefilter::All,
        }
    }

    /// What a symbol's text must hold beside what [`Pattern::prefilter`] tells: of a common name in a certain class, only those of
    /// that class are worth demangling.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        match &self.form {
            Form::Name(pattern) => prefilter::scopes(&pattern.names()),
            _ => Vec::new(),
        }
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
        let word = pattern.names().first()?.longest_piece();
        Some(word).filter(|w| !w.is_empty())
    }
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
