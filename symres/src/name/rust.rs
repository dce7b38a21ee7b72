//! A Rust path taken apart: `<alloc::vec::Vec<T> as core::iter::Iterator>::next`, `core::ptr::drop_in_place::<u8>`.
//!
//! As with C++, the same reader takes apart what the demangler writes and what people write. It reads the text in one pass;
//! only the paths inside of `<… as …>` are read once more.

use super::{Component, Name, Owner};
use crate::types::Author;

/// Takes `text` apart.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence.
pub(crate) fn parse(text: &str, author: Author) -> Result<Name, &'static str> {
    let text = text.trim();
    let (rooted, text) = match text.strip_prefix("::") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut components = path(text, author, true)?;
    let hash = match components.last() {
        Some(last) if components.len() > 1 && is_hash(&last.name) => components.pop().map(|last| last.name),
        _ => None,
    };
    Ok(Name { rooted, components, hash, rust: true, ..Name::default() })
}

/// What the legacy mangling ends each name with.
pub(crate) fn is_hash(component: &str) -> bool {
    component.len() == 17 && component.strip_prefix('h').is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `owners`: those of `<… as …>` are wanted too.
fn path(text: &str, author: Author, owners: bool) -> Result<Vec<Component>, &'static str> {
    let mut components: Vec<Component> = Vec::new();
    for part in split(text, "::").ok_or("a bracket is not closed")? {
        let part = part.trim();
        // `drop_in_place::<u8>`
        let arguments = part.starts_with('<') && !part.starts_with("<impl ");
        match components.last_mut() {
            Some(last) if arguments && last.args.is_none() && last.owner.is_none() => {
                last.args = Some(list(part)?);
                continue;
            }
            _ => components.push(component(part, author, owners)?),
        }
    }
    Ok(components)
}

fn component(part: &str, author: Author, owners: bool) -> Result<Component, &'static str> {
    if let Some(inner) = part.strip_prefix('<') {
        let inner = inner.strip_suffix('>').ok_or("a `<` is not closed")?;
        let owner = if owners { Some(Box::new(owner(inner, author))) } else { None };
        return Ok(Component { owner, ..Component::plain(&compact(part)) });
    }
    if part.starts_with('{') {
        // `{{closure}}` is what the legacy mangling has for `{closure#0}`, `{closure#1}`, …
        return Ok(match part {
            "{{closure}}" => Component::plain("{closure}"),
            _ => Component::plain(part),
        });
    }
    let written = author == Author::Person;
    let in_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '#') || (written && c == '*');
    let len = part.find(|c| !in_name(c)).unwrap_or(part.len());
    let (name, rest) = part.split_at(len);
    if name.is_empty() {
        return Err("the name ends where one more part should be");
    }
    let rest = rest.trim();
    let mut component = Component::plain(name);
    if rest.starts_with('<') && rest.ends_with('>') {
        component.args = Some(list(rest)?);
    } else if !(rest.is_empty() || written && rest.starts_with('(') && rest.ends_with(')')) {
        return Err("it contains a character that no name has");
    }
    Ok(component)
}

/// The items between a pair of brackets.
fn list(text: &str) -> Result<Vec<String>, &'static str> {
    let inner = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).ok_or("a `<` is not closed")?;
    let items = split(inner, ",").ok_or("a bracket is not closed")?;
    Ok(items.into_iter().map(compact).filter(|item| !item.is_empty()).collect())
}

/// Of `SELF as TRAIT`, `SELF`, `impl TRAIT for SELF` and `impl SELF`.
fn owner(inner: &str, author: Author) -> Owner {
    let (of, implemented) = match inner.strip_prefix("impl ") {
        Some(implementation) => match split_once(implementation, " for ") {
            Some((implemented, of)) => (of, Some(implemented)),
            None => (implementation, None),
        },
        None => match split_once(inner, " as ") {
            Some((of, implemented)) => (of, Some(implemented)),
            None => (inner, None),
        },
    };
    // Of a reference, a slice or a tuple there is no path.
    let is_path = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '*');
    let path = |text: &str| if is_path(text) { path(text, author, false).unwrap_or_default() } else { Vec::new() };
    Owner {
        of: compact(of),
        of_path: path(of.trim()),
        implemented: implemented.map(compact),
        implemented_path: implemented.map(|text| path(text.trim())).unwrap_or_default(),
        inherent_in_place: inner.starts_with("impl "),
    }
}

fn split_once<'a>(text: &'a str, separator: &str) -> Option<(&'a str, &'a str)> {
    let parts = split(text, separator)?;
    let first = parts.first().copied()?;
    (parts.len() > 1).then(|| (first, text.get(first.len() + separator.len()..).unwrap_or_default()))
}

/// At the separators that are in no brackets; none where brackets do not fit.
fn split<'a>(text: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let bytes = text.as_bytes();
    let mut stack: Vec<u8> = Vec::new();
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        if stack.is_empty() && bytes.get(at..).is_some_and(|rest| rest.starts_with(separator.as_bytes())) {
            parts.push(text.get(start..at)?);
            at += separator.len();
            start = at;
            continue;
        }
        match byte {
            b'<' => stack.push(b'>'),
            b'(' => stack.push(b')'),
            b'[' => stack.push(b']'),
            b'{' => stack.push(b'}'),
            // Of `fn(A) -> B`.
            b'>' if at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'-') => {}
            b'>' | b')' | b']' | b'}' => (stack.pop() == Some(byte)).then_some(())?,
            // Text as an argument of a generic.
            b'"' => at = end_of_text(bytes, at)?,
            _ => {}
        }
        at += 1;
    }
    parts.push(text.get(start..)?);
    stack.is_empty().then_some(parts)
}

/// The quote that closes the one at `open`.
fn end_of_text(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Without the blanks that do not separate words.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = false;
    for c in text.trim().chars() {
        if c.is_whitespace() {
            blank = true;
            continue;
        }
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
        if blank && word(c) && out.ends_with(word) {
            out.push(' ');
        }
        blank = false;
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        match parse(text, Author::Person) {
            Err(why) => format!("error: {why}"),
            Ok(name) => {
                let one = |c: &Component| {
                    let args = c.args.as_ref().map_or(String::new(), |list| format!("<{}>", list.join("; ")));
                    let names = |path: &[Component]| path.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join("|");
                    let owner = c.owner.as_ref().map_or(String::new(), |o| {
                        format!(" of {} as {}", names(&o.of_path), names(&o.implemented_path))
                    });
                    format!("{}{args}{owner}", c.name)
                };
                let hash = name.hash.map_or(String::new(), |hash| format!(" #{hash}"));
                format!("{}{hash}", name.components.iter().map(one).collect::<Vec<_>>().join(" | "))
            }
        }
    }

    #[test]
    fn paths() {
        let check = |text: &str, expect: &str| assert_eq!(show(text), expect, "{text}");
        check("core::ptr::drop_in_place", "core | ptr | drop_in_place");
        check("core::ptr::drop_in_place::<Vec<u8>>", "core | ptr | drop_in_place<Vec<u8>>");
        check("alloc::vec::Vec<T,A>::push", "alloc | vec | Vec<T; A> | push");
        check(
            "<alloc::vec::Vec<T, A> as core::iter::Iterator>::next",
            "<alloc::vec::Vec<T,A>as core::iter::Iterator> of alloc|vec|Vec as core|iter|Iterator | next",
        );
        check("<[T]>::sort", "<[T]> of  as  | sort");
        check(
            "a::<impl core::fmt::Debug for usize>::fmt",
            "a | <impl core::fmt::Debug for usize> of usize as core|fmt|Debug | fmt",
        );
        check("f::{{closure}}", "f | {closure}");
        check("f::{closure#0}::{closure#1}", "f | {closure#0} | {closure#1}");
        check("f::<fn(u8) -> u8>", "f<fn(u8)->u8>");
        check("f::<\"a>::b\">::g", "f<\"a>::b\"> | g");
        check("a::f::h0123456789abcdef", "a | f #h0123456789abcdef");
        check("*::next", "* | next");
        check("f(u8)", "f");
    }

    #[test]
    fn what_is_no_path() {
        for text in ["", "a::", "a<b", "a>", "a b", "<a", "a:b", "f::<\"a"] {
            assert!(show(text).starts_with("error: "), "{text}: {}", show(text));
        }
        let deep = "a<".repeat(30_000);
        assert!(parse(&deep, Author::Demangler).is_err());
        let closed = format!("{}{}", "<".repeat(4000), ">".repeat(4000));
        let _ = parse(&closed, Author::Demangler);
    }
}
