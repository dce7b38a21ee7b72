//! One spelling for types that people write in many.
//!
//! A symbol's name says `char const*` and `unsigned long`; the same parameter stands as `const char *name`, `char
//! const *`, `long unsigned int` or `size_t` in sources, debuggers and memories. Both sides are brought to one form
//! and then compared as text.

/// C's names for integers, for 64-bit Linux, and those that MySQL and MariaDB add. Mangled names hold what is behind a
/// `typedef`, never the name itself, so these can only come from a person.
const TYPEDEFS: &[(&str, &str)] = &[
    ("uchar", "unsigned char"),
    ("ushort", "unsigned short"),
    ("uint", "unsigned int"),
    ("ulong", "unsigned long"),
    ("longlong", "long long"),
    ("ulonglong", "unsigned long long"),
    ("int8_t", "signed char"),
    ("int16_t", "short"),
    ("int32_t", "int"),
    ("int64_t", "long"),
    ("uint8_t", "unsigned char"),
    ("uint16_t", "unsigned short"),
    ("uint32_t", "unsigned int"),
    ("uint64_t", "unsigned long"),
    ("size_t", "unsigned long"),
    ("ssize_t", "long"),
];

/// The names that the standard library has for instances of its templates, for each letter type: `std::string` is
/// `std::basic_string<char>`.
pub(crate) const SHORT_NAMES: &[(&str, &str, &str)] = &[
    ("string", "basic_string", "char"),
    ("wstring", "basic_string", "wchar_t"),
    ("u8string", "basic_string", "char8_t"),
    ("u16string", "basic_string", "char16_t"),
    ("u32string", "basic_string", "char32_t"),
    ("string_view", "basic_string_view", "char"),
    ("wstring_view", "basic_string_view", "wchar_t"),
    ("istream", "basic_istream", "char"),
    ("wistream", "basic_istream", "wchar_t"),
    ("ostream", "basic_ostream", "char"),
    ("wostream", "basic_ostream", "wchar_t"),
    ("iostream", "basic_iostream", "char"),
    ("ios", "basic_ios", "char"),
    ("streambuf", "basic_streambuf", "char"),
    ("filebuf", "basic_filebuf", "char"),
    ("ifstream", "basic_ifstream", "char"),
    ("ofstream", "basic_ofstream", "char"),
    ("fstream", "basic_fstream", "char"),
    ("stringbuf", "basic_stringbuf", "char"),
    ("istringstream", "basic_istringstream", "char"),
    ("ostringstream", "basic_ostringstream", "char"),
    ("stringstream", "basic_stringstream", "char"),
];

/// What the standard library's templates have as their last arguments unless told otherwise.
const DEFAULT_ARGUMENTS: &[&str] =
    &["std::allocator<", "std::char_traits<", "std::less<", "std::equal_to<", "std::hash<", "std::default_delete<"];

/// Longer types are compared as they are: moving words about in them takes time that grows with the square.
const MAX_TOKENS: usize = 4096;

/// Who wrote the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Author {
    /// The demangler.
    Demangler,
    /// A person: `typedef` names, `struct` and names of parameters are understood.
    Person,
    /// A compiler, in debug information: `typedef` names and `struct` may be there, but no names of parameters.
    DebugInfo,
}

/// The one spelling of the type in `text`.
pub(crate) fn canonical(text: &str, author: Author) -> String {
    let mut tokens = tokenize(text);
    drop_modules(&mut tokens);
    if author == Author::Person {
        drop_default_value(&mut tokens);
    }
    if author != Author::Demangler {
        tokens.retain(|t| !matches!(t.as_str(), "struct" | "class" | "enum" | "union" | "typename"));
    }
    if author == Author::Person {
        drop_parameter_name(&mut tokens);
    }
    if author != Author::Demangler {
        expand_typedefs(&mut tokens);
    }
    let mut tokens = qualifiers_behind(integers(tokens));
    drop_hidden_namespaces(&mut tokens);
    short_names(join(&tokens))
}

/// `std::__cxx11::string` -> `std::string`, `(anonymous namespace)::Foo` -> `Foo`: people leave these out, as in names.
fn drop_hidden_namespaces(tokens: &mut Vec<String>) {
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    for token in tokens.drain(..) {
        out.push(token);
        let len = match out.as_slice() {
            [.., std, a, hidden, b]
                if std == "std" && a == "::" && b == "::" && matches!(hidden.as_str(), "__cxx11" | "__1") =>
            {
                2
            }
            [.., open, anonymous, namespace, close, colons]
                if open == "("
                    && anonymous == "anonymous"
                    && namespace == "namespace"
                    && close == ")"
                    && colons == "::" =>
            {
                5
            }
            _ => 0,
        };
        out.truncate(out.len() - len);
    }
    *tokens = out;
}

fn short_names(mut text: String) -> String {
    if !text.contains("std::basic_") {
        return text;
    }
    for (short, long, letter) in SHORT_NAMES {
        let full = format!("std::{long}<{letter}>");
        if text.contains(&full) {
            // A word that follows (`const`) stands apart.
            let parts: Vec<&str> = text.split(&full).collect();
            let mut out = String::new();
            for (at, part) in parts.into_iter().enumerate() {
                if at > 0 {
                    out.push_str("std::");
                    out.push_str(short);
                    if is_word(part) {
                        out.push(' ');
                    }
                }
                out.push_str(part);
            }
            text = out;
        }
    }
    text
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '~' || !c.is_ascii())
}

fn tokenize(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = if is_word(rest) {
            rest.char_indices()
                .skip(1)
                .find(|(_, c)| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '.'))
                .map_or(rest.len(), |(at, _)| at)
        } else if let Some(op) = ["...", "::", "&&"].iter().find(|op| rest.starts_with(**op)) {
            op.len()
        } else {
            first.len_utf8()
        };
        let (token, tail) = rest.split_at(len);
        tokens.push(match token {
            "…" => "...".to_owned(),
            _ => number(token),
        });
        rest = tail.trim_start();
    }
    tokens
}

/// `Circle@shapes.round` -> `Circle`: in which module a type is, people need not know.
fn drop_modules(tokens: &mut Vec<String>) {
    while let Some(at) = tokens.iter().position(|token| token == "@") {
        let partition = tokens.get(at + 2).is_some_and(|token| token == ":");
        let end = at + if partition { 4 } else { 2 };
        tokens.drain(at..end.min(tokens.len()));
    }
}

/// `64u` and `64` are the same template argument.
fn number(token: &str) -> String {
    if token.starts_with(|c: char| c.is_ascii_digit()) {
        token.trim_end_matches(['u', 'l', 'U', 'L']).to_owned()
    } else {
        token.to_owned()
    }
}

fn drop_default_value(tokens: &mut Vec<String>) {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "<" | "(" => depth += 1,
            ">" | ")" => depth = depth.saturating_sub(1),
            "=" if depth == 0 => {
                tokens.truncate(at);
                return;
            }
            _ => {}
        }
    }
}

/// `THD *thd` -> `THD *`: a last word that follows a whole type.
fn drop_parameter_name(tokens: &mut Vec<String>) {
    let [.., before, last] = tokens.as_slice() else { return };
    let name = is_word(last) && !is_integer_word(last) && !is_qualifier(last);
    let type_before = matches!(before.as_str(), "*" | "&" | "&&" | ">") || is_word(before);
    let only_qualifiers = tokens.iter().rev().skip(1).all(|t| is_qualifier(t));
    if name && type_before && !only_qualifiers {
        tokens.pop();
    }
}

fn expand_typedefs(tokens: &mut Vec<String>) {
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        let qualified = at.checked_sub(1).and_then(|b| tokens.get(b)).is_some_and(|b| b == "::")
            || tokens.get(at + 1).is_some_and(|n| n == "::");
        match TYPEDEFS.iter().find(|(name, _)| name == token) {
            Some((_, long)) if !qualified => out.extend(long.split(' ').map(str::to_owned)),
            _ => out.push(token.clone()),
        }
    }
    *tokens = out;
}

fn is_integer_word(token: &str) -> bool {
    matches!(token, "unsigned" | "signed" | "short" | "long" | "int" | "char" | "__int128" | "double")
}

fn is_qualifier(token: &str) -> bool {
    matches!(token, "const" | "volatile" | "restrict" | "__restrict")
}

/// Each run of integer words becomes one token in the demangler's spelling. Qualifiers inside a run move behind it.
fn integers(tokens: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(tokens.len());
    let mut run: Vec<String> = Vec::new();
    let mut qualifiers: Vec<String> = Vec::new();
    for token in tokens {
        if is_integer_word(&token) {
            run.push(token);
        } else if is_qualifier(&token) && !run.is_empty() {
            qualifiers.push(token);
        } else {
            flush(&mut out, &mut run, &mut qualifiers);
            out.push(token);
        }
    }
    flush(&mut out, &mut run, &mut qualifiers);
    out
}

fn flush(out: &mut Vec<String>, run: &mut Vec<String>, qualifiers: &mut Vec<String>) {
    if !run.is_empty() {
        out.push(integer(run));
    }
    run.clear();
    out.append(qualifiers);
}

fn integer(words: &[String]) -> String {
    let has = |word: &str| words.iter().any(|w| w == word);
    let longs = words.iter().filter(|w| *w == "long").count();
    let base = if has("char") {
        return match (has("unsigned"), has("signed")) {
            (true, _) => "unsigned char",
            (_, true) => "signed char",
            _ => "char",
        }
        .to_owned();
    } else if has("__int128") {
        "__int128"
    } else if has("double") {
        return if longs > 0 { "long double" } else { "double" }.to_owned();
    } else if has("short") {
        "short"
    } else {
        match longs {
            0 => "int",
            1 => "long",
            _ => "long long",
        }
    };
    if has("unsigned") { format!("unsigned {base}") } else { base.to_owned() }
}

/// `const T*` -> `T const*`, at each place where a type begins.
fn qualifiers_behind(mut tokens: Vec<String>) -> Vec<String> {
    if tokens.len() > MAX_TOKENS {
        return tokens;
    }
    // From the back, so that what is still to be done does not move.
    for at in (0..tokens.len()).rev() {
        let begins = at
            .checked_sub(1)
            .and_then(|b| tokens.get(b))
            .is_none_or(|before| matches!(before.as_str(), "<" | "," | "(" | "...") || is_qualifier(before));
        if !begins || !tokens.get(at).is_some_and(|t| is_qualifier(t)) {
            continue;
        }
        if let Some(end) = specifier_end(&tokens, at + 1) {
            let qualifier = tokens.remove(at);
            tokens.insert(end - 1, qualifier);
        }
    }
    tokens
}

/// Behind the (qualified, templated) name of a type that begins at `at`.
fn specifier_end(tokens: &[String], mut at: usize) -> Option<usize> {
    let mut named = false;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            Some("<") if named => {
                let mut depth = 0_usize;
                loop {
                    match tokens.get(at).map(String::as_str)? {
                        "<" | "(" => depth += 1,
                        ">" | ")" => depth = depth.checked_sub(1)?,
                        _ => {}
                    }
                    at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            Some(word) if is_word(word) && !is_qualifier(word) => {
                let joined = at.checked_sub(1).and_then(|b| tokens.get(b)).is_some_and(|b| b == "::");
                if named && !joined {
                    return Some(at);
                }
                named = true;
                at += 1;
            }
            _ => return named.then_some(at),
        }
    }
}

/// Puts the tokens together, and leaves the default arguments of the standard library's templates out.
fn join(tokens: &[String]) -> String {
    let mut out = String::new();
    // Where each argument of the lists that are open begins.
    let mut lists: Vec<Vec<usize>> = Vec::new();
    let mut after_word = false;
    for token in tokens {
        let word = is_word(token);
        match token.as_str() {
            "<" => lists.push(vec![out.len() + 1]),
            "," => {
                if let Some(list) = lists.last_mut() {
                    list.push(out.len() + 1);
                }
            }
            ">" if !out.ends_with('-') => {
                if let Some(list) = lists.pop() {
                    drop_default_arguments(&mut out, &list);
                }
            }
            _ => {}
        }
        if word && after_word {
            out.push(' ');
        }
        out.push_str(token);
        after_word = word;
    }
    out
}

/// `vector<T,std::allocator<T>` -> `vector<T`
fn drop_default_arguments(out: &mut String, starts: &[usize]) {
    let [first, second, ..] = *starts else { return };
    let Some(of) = out.get(first..second - 1).map(str::to_owned) else { return };
    for start in starts.iter().skip(1).rev() {
        let Some(last) = out.get(*start..) else { return };
        // Of the first argument, or of a pair of it and another one: anything else was somebody's choice.
        let default = DEFAULT_ARGUMENTS.iter().any(|default| last.starts_with(default)) && last.contains(&of);
        if !default {
            return;
        }
        out.truncate(start - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(person: &str, demangled: &str) {
        assert_eq!(canonical(person, Author::Person), canonical(demangled, Author::Demangler));
    }

    #[test]
    fn spellings_of_one_type_agree() {
        check("const char *name", "char const*");
        check("char const * const", "char const* const");
        check("long unsigned int", "unsigned long");
        check("unsigned", "unsigned int");
        check("const unsigned char *buf", "unsigned char const*");
        check("uint", "unsigned int");
        check("struct THD *thd", "THD*");
        check("const std::vector<const Foo *> &list", "std::vector<Foo const*> const&");
        check(
            "std::string const&",
            "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&",
        );
        check("Bitmap<64>", "Bitmap<64u>");
        check("bool only = false", "bool");
        check("std::map< int, long > &&", "std::map<int, long>&&");
        check("const volatile Foo &", "Foo const volatile&");
        check("std::vector<std::string>", "std::vector<std::string, std::allocator<std::string> >");
        check(
            "std::vector<std::string> const &",
            "std::vector<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >, \
             std::allocator<std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > > > const&",
        );
        check(
            "std::map<int, long>",
            "std::map<int, long, std::less<int>, std::allocator<std::pair<int const, long> > >",
        );
        check("std::basic_string<char>", "std::string");
        check("std::basic_string<char, std::char_traits<char>, std::allocator<char>> *", "std::string*");
        check("std::unique_ptr<Foo>", "std::unique_ptr<Foo, std::default_delete<Foo> >");
        check("std::ostream &", "std::basic_ostream<char, std::char_traits<char> >&");
        check("std::wstring", "std::__1::basic_string<wchar_t, std::char_traits<wchar_t>, std::allocator<wchar_t> >");
        check("Hidden *", "(anonymous namespace)::Hidden*");
        check("class Foo &", "Foo&");
        check("Circle *", "Circle@shapes.round*");
        check("Circle@shapes *", "Circle@shapes.round:part*");
    }

    #[test]
    fn types_that_differ_stay_different() {
        let differ = |a: &str, b: &str| {
            assert_ne!(canonical(a, Author::Person), canonical(b, Author::Demangler));
        };
        differ("char *", "char const*");
        differ("int", "unsigned int");
        differ("Foo const *", "Foo* const");
        differ("Foo", "Bar");
        differ("Foo", "foo");
        differ("std::vector<int>", "std::vector<int, Mine<int> >");
        differ("std::vector<int>", "std::vector<int, std::allocator<long> >");
        differ("Foo<int>", "Foo<int, char>");
        differ("std::string", "std::wstring");
    }
}
