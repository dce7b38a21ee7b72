//! A C++ name taken apart: `ns::Foo<int>::bar(char const*) const`.
//!
//! The same reader takes apart what the demangler writes and what people write; the text is not trusted in either case,
//! so it is read in one pass without recursion.

pub(crate) mod parameters;
pub(crate) mod rust;

use crate::demangle::{Mangling, RawName, qualified};
use crate::types::{Author, canonical};

/// What stands between two `::`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Component {
    /// `Foo`, `~Foo`, `operator==`, `operator bool`, `(anonymous namespace)`, `{lambda(int)#1}`.
    pub(crate) name: String,
    /// Template arguments.
    pub(crate) args: Option<Vec<String>>,
    /// Parameters of a function that the rest of the name is local to.
    pub(crate) scope_params: Option<Vec<String>>,
    /// Of Rust's `<Vec<T> as Iterator>` and `<impl Debug for usize>`.
    pub(crate) owner: Option<Box<Owner>>,
}

/// Whose implementation a Rust function is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The type that it is for.
    pub(crate) of: String,
    /// That type as a path; empty for references, slices, tuples.
    pub(crate) of_path: Vec<Component>,
    /// The trait that is implemented.
    pub(crate) implemented: Option<String>,
    /// That trait as a path.
    pub(crate) implemented_path: Vec<Component>,
    /// It stands behind the path of the module that has the implementation, as `<impl …>`.
    pub(crate) inherent_in_place: bool,
}

/// A whole name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name {
    /// It began with `::`.
    pub(crate) rooted: bool,
    /// From the outermost namespace to the function; never empty.
    pub(crate) components: Vec<Component>,
    /// Types of the parameters; none when there was no parameter list.
    pub(crate) params: Option<Vec<String>>,
    /// `const`, `&`, … behind the parameters, in the order written.
    pub(crate) qualifiers: Vec<String>,
    /// What was before the name, such as `non-virtual thunk to`.
    pub(crate) prefix: Option<&'static str>,
    /// It is one of Rust: no parameters are known.
    pub(crate) rust: bool,
    /// The hash that ends a name in Rust's legacy mangling.
    pub(crate) hash: Option<String>,
}

/// What demanglers put before the name of a function that is made from another.
const PREFIXES: &[(&str, &str)] = &[
    ("non-virtual thunk to ", "thunk"),
    ("virtual thunk to ", "thunk"),
    ("covariant return thunk to ", "thunk"),
    ("TLS init function for ", "TLS init function"),
    ("TLS wrapper function for ", "TLS wrapper function"),
    ("transaction clone for ", "transaction clone"),
    ("non-transaction clone for ", "transaction clone"),
    ("hidden alias for ", "hidden alias"),
    ("initializer for module ", "module initializer"),
];

/// The same of what is no function.
const OF_DATA: &[&str] = &[
    "vtable for ",
    "VTT for ",
    "construction vtable for ",
    "typeinfo for ",
    "typeinfo name for ",
    "typeinfo fn for ",
    "guard variable for ",
    "reference temporary #",
    "template parameter object for ",
];

pub(crate) const ANONYMOUS: &str = "(anonymous namespace)";

/// Takes `text` apart.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence.
pub(crate) fn parse(text: &str, author: Author) -> Result<Name, &'static str> {
    read(text, author, true)
}

/// Takes `text` apart; without `lists`, all lists of arguments and parameters are left empty.
fn read(text: &str, author: Author, lists: bool) -> Result<Name, &'static str> {
    let mut name = Name::default();
    let mut text = text.trim();
    for (start, prefix) in PREFIXES {
        if let Some(rest) = text.strip_prefix(start) {
            name.prefix = Some(prefix);
            text = rest;
            break;
        }
    }
    if author == Author::Demangler && OF_DATA.iter().any(|start| text.starts_with(start)) {
        return Err("it is no function");
    }
    let mut reader = Reader { text, at: 0, author, lists };
    let mut typed = false;
    loop {
        reader.spaces();
        if name.components.is_empty() {
            if typed {
                // Of the return type: `THD *f(…)`. Without one, `*` is a wildcard.
                reader.skip_declarator();
            }
            name.rooted = reader.eat("::") || name.rooted;
            reader.spaces();
        }
        let mut component = Component { name: reader.component_name()?, args: None, scope_params: None, owner: None };
        reader.tags();
        if reader.template_follows() {
            component.args = Some(reader.list(b'<')?);
            reader.tags();
        }
        reader.spaces();
        let mut params = None;
        if reader.peek() == Some(b'(') && !reader.rest().starts_with(ANONYMOUS) {
            params = Some(reader.list(b'(')?);
            reader.spaces();
        }
        let qualifiers = reader.qualifiers();
        if let Some(number) = lambda_number(&component.name) {
            let inside = params.take().unwrap_or_default().join(",").replace(' ', "");
            component.name = format!("{{lambda({inside})#{number}}}");
        }
        if reader.eat("::") {
            component.scope_params = params;
            name.components.push(component);
            continue;
        }
        reader.spaces();
        name.components.push(component);
        if reader.is_done() {
            name.params = params;
            name.qualifiers = qualifiers;
            return Ok(name);
        }
        if params.is_some() {
            return Err("something follows its parameter list");
        }
        // A return type, or `static`: the name comes behind it.
        name.components.clear();
        name.rooted = false;
        typed = true;
    }
}

/// Of what LLVM's tools call a lambda: `'lambda'`, `'lambda0'`, … stand for `{lambda()#1}`, `{lambda()#2}`, ….
fn lambda_number(name: &str) -> Option<usize> {
    match name.strip_prefix("'lambda")?.strip_suffix('\'')? {
        "" => Some(1),
        digits => digits.parse::<usize>().ok()?.checked_add(2),
    }
}

impl Name {
    /// The name that a symbol stands for; none where it is a mangled one that is unsound.
    pub(crate) fn of(raw: RawName<'_>) -> Option<Self> {
        match raw.mangling() {
            Mangling::None => Some(Self::plain(raw.base)),
            Mangling::Cpp => parse(&qualified(raw)?, Author::Demangler).ok(),
            Mangling::Rust => rust::parse(&qualified(raw)?, Author::Demangler).ok(),
        }
    }

    /// The components of the name that a symbol stands for, and what was before it: most of the time that taking names apart takes
    /// goes into their arguments and parameters.
    pub(crate) fn outline(raw: RawName<'_>) -> Option<Self> {
        match raw.mangling() {
            Mangling::Cpp => read(&qualified(raw)?, Author::Demangler, false).ok(),
            Mangling::None | Mangling::Rust => Self::of(raw),
        }
    }

    /// A name of one component, whatever characters it has.
    pub(crate) fn plain(text: &str) -> Self {
        Self { components: vec![Component::plain(text)], ..Self::default() }
    }
}

impl Component {
    fn plain(text: &str) -> Self {
        Self { name: text.to_owned(), args: None, scope_params: None, owner: None }
    }
}

/// Takes one component apart: `push`, `twice<int>`. What cannot be taken apart is the name as a whole.
pub(crate) fn component(text: &str, author: Author) -> Component {
    let mut reader = Reader { text: text.trim(), at: 0, author, lists: true };
    let Ok(name) = reader.component_name() else { return Component::plain(text) };
    let mut component = Component { name, args: None, scope_params: None, owner: None };
    reader.tags();
    if reader.template_follows() {
        let Ok(args) = reader.list(b'<') else { return Component::plain(text) };
        component.args = Some(args);
    }
    if reader.is_done() { component } else { Component::plain(text) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    author: Author,
    /// What is in lists is wanted.
    lists: bool,
}

/// Operators, longest first.
const OPERATORS: &[&str] = &[
    "<=>", "<<=", ">>=", "->*", "()", "[]", "->", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||", "++", "--", "+=",
    "-=", "*=", "/=", "%=", "^=", "&=", "|=", "+", "-", "*", "/", "%", "^", "&", "|", "~", "!", "=", "<", ">", ",",
];

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn is_done(&self) -> bool {
        self.at >= self.text.len()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn skip_declarator(&mut self) {
        while matches!(self.peek(), Some(b'&' | b'*')) {
            self.at += 1;
            self.spaces();
        }
    }

    fn component_name(&mut self) -> Result<String, &'static str> {
        if self.eat(ANONYMOUS) {
            return Ok(ANONYMOUS.to_owned());
        }
        if self.peek() == Some(b'{') {
            let end = closing(self.text, self.at).ok_or("a brace is not closed")?;
            let name = self.text.get(self.at..end).unwrap_or_default().replace(' ', "");
            self.at = end;
            return Ok(name);
        }
        if let Some(name) = self.operator()? {
            return Ok(name);
        }
        let wildcard = self.author == Author::Person;
        let in_name = |c: char| match c {
            '*' => wildcard,
            '_' | '$' | '.' | '~' | '@' | '\'' | '#' | '-' | '?' => true,
            _ => c.is_ascii_alphanumeric() || !c.is_ascii(),
        };
        let rest = self.rest();
        let len = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
        if len == 0 {
            return Err(match rest.bytes().next() {
                None => "the name ends where one more part should be",
                Some(b'<') => "`<` stands where a name should be",
                Some(b'(') => "`(` stands where a name should be",
                Some(b')' | b'>' | b'}' | b']') => "a closing bracket has no opening one",
                Some(b':') => "a colon stands where a name should be",
                _ => "it contains a character that no name has",
            });
        }
        let name = rest.get(..len).unwrap_or_default().to_owned();
        self.at += len;
        Ok(name)
    }

    fn operator(&mut self) -> Result<Option<String>, &'static str> {
        let Some(behind) = self.rest().strip_prefix("operator") else { return Ok(None) };
        let trimmed = behind.trim_start();
        let spaced = trimmed.len() < behind.len();
        let begin = self.text.len() - trimmed.len();
        let take = |name: String, len: usize, this: &mut Self| {
            this.at = begin + len;
            Ok(Some(name))
        };
        if let Some(op) = OPERATORS.iter().find(|op| trimmed.starts_with(**op)) {
            return take(format!("operator{op}"), op.len(), self);
        }
        if let Some(literal) = trimmed.strip_prefix("\"\"") {
            let name = literal.trim_start();
            let len = name.find(['(', '<', ' ']).unwrap_or(name.len());
            let consumed = trimmed.len() - name.len() + len;
            return take(format!("operator\"\"{}", name.get(..len).unwrap_or_default()), consumed, self);
        }
        for word in ["new", "delete", "co_await"] {
            if let Some(tail) = trimmed.strip_prefix(word)
                && spaced
                && !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            {
                let array = tail.trim_start().starts_with("[]");
                let len = if array { trimmed.len() - tail.trim_start().len() + 2 } else { word.len() };
                return take(format!("operator {word}{}", if array { "[]" } else { "" }), len, self);
            }
        }
        if !spaced || trimmed.is_empty() {
            return Ok(None);
        }
        // A conversion: everything up to its parameter list is the type.
        let mut end = begin;
        while let Some(byte) = self.text.as_bytes().get(end) {
            match byte {
                b'(' => break,
                // Behind `*`, `&` and the types of the language, arguments are those of the conversion: `operator T*<T>`.
                b'<' if takes_no_args(self.text.get(begin..end).unwrap_or_default()) => break,
                b'<' => end = closing(self.text, end).ok_or("a `<` is not closed")?,
                _ => end += 1,
            }
        }
        let target = canonical(self.text.get(begin..end).unwrap_or_default(), Author::Demangler);
        self.at = end;
        Ok(Some(format!("operator {target}")))
    }

    /// `[abi:cxx11]` does not tell functions apart for people.
    fn tags(&mut self) {
        while self.rest().starts_with("[abi:") {
            match closing(self.text, self.at) {
                Some(end) => self.at = end,
                None => return,
            }
        }
    }

    fn template_follows(&mut self) -> bool {
        let behind = self.rest().trim_start();
        if behind.starts_with('<') {
            self.spaces();
            return true;
        }
        false
    }

    fn list(&mut self, open: u8) -> Result<Vec<String>, &'static str> {
        let end = closing(self.text, self.at).ok_or(if open == b'<' {
            "a `<` is not closed"
        } else {
            "a `(` is not closed"
        })?;
        let inner = self.text.get(self.at + 1..end - 1).unwrap_or_default();
        self.at = end;
        if !self.lists {
            return Ok(Vec::new());
        }
        let items: Vec<String> = split(inner).into_iter().map(|item| canonical(item, self.author)).collect();
        let none = match items.as_slice() {
            [only] => only.is_empty() || (open == b'(' && only == "void"),
            _ => false,
        };
        Ok(if none { Vec::new() } else { items })
    }

    fn qualifiers(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        loop {
            let before = self.at;
            self.spaces();
            let word = ["const", "volatile", "noexcept", "&&", "&"].into_iter().find(|word| {
                self.rest().strip_prefix(word).is_some_and(|tail| {
                    !word.starts_with(|c: char| c.is_ascii_alphabetic())
                        || !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
                })
            });
            match word {
                Some(word) => {
                    self.at += word.len();
                    if word != "noexcept" {
                        found.push(word.to_owned());
                    }
                }
                None => {
                    self.tags();
                    if self.at == before || !self.rest().starts_with(' ') {
                        return found;
                    }
                }
            }
        }
    }
}

/// A type that is no template.
fn takes_no_args(ty: &str) -> bool {
    let ty = ty.trim_end();
    let last = ty.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    ty.ends_with(['*', '&'])
        || matches!(
            last,
            "int" | "char" | "bool" | "long" | "short" | "unsigned" | "float" | "double" | "void" | "wchar_t" | "const"
        )
}

/// Behind the bracket that closes the one at `open`.
fn closing(text: &str, open: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut stack: Vec<u8> = Vec::new();
    let mut at = open;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'(' => stack.push(b')'),
            b'[' => stack.push(b']'),
            b'{' => stack.push(b'}'),
            b'<' => stack.push(b'>'),
            b'>' => {
                // Not the end of a list: `a->b`, or "greater" in an expression in parentheses.
                let arrow = at.checked_sub(1).and_then(|b| bytes.get(b)) == Some(&b'-');
                if !arrow && stack.last() == Some(&b'>') {
                    stack.pop();
                }
            }
            b')' | b']' | b'}' => {
                // A `<` that nothing closed was "less".
                while stack.last() == Some(&b'>') {
                    stack.pop();
                }
                if stack.pop()? != byte {
                    return None;
                }
            }
            b'o' => at = behind_operator(text, at)?,
            _ => {}
        }
        at += 1;
        if stack.is_empty() {
            return Some(at);
        }
    }
    None
}

/// If an operator's name begins at `at`, its last byte; else `at`. `operator<` and its kin hold brackets.
fn behind_operator(text: &str, at: usize) -> Option<usize> {
    let word_before =
        at.checked_sub(1).and_then(|b| text.as_bytes().get(b)).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let Some(behind) = text.get(at..).and_then(|t| t.strip_prefix("operator")).filter(|_| !word_before) else {
        return Some(at);
    };
    let trimmed = behind.trim_start();
    let op = OPERATORS.iter().find(|op| trimmed.starts_with(**op));
    Some(match op {
        Some(op) => text.len() - trimmed.len() + op.len() - 1,
        None => at,
    })
}

/// At the commas that are in no brackets.
pub(crate) fn split(list: &str) -> Vec<&str> {
    let mut items = Vec::new();
    let mut start = 0;
    let mut at = 0;
    // A bracket that nothing closes ("less") would be searched for to the end again and again.
    let mut closed = true;
    while let Some(byte) = list.as_bytes().get(at) {
        match byte {
            b',' => {
                items.push(list.get(start..at).unwrap_or_default().trim());
                start = at + 1;
                at += 1;
            }
            b'(' | b'<' | b'[' | b'{' if closed => match closing(list, at) {
                Some(end) => at = end,
                None => closed = false,
            },
            _ => at += 1,
        }
    }
    items.push(list.get(start..).unwrap_or_default().trim());
    items
}

#[cfg(test)]
mod tests;
