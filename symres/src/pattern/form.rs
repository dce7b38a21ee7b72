//! What kind of pattern a text is.

use regex_lite::{Regex, RegexBuilder};

use crate::addr::VirtAddr;

/// What a regular expression may come to when it is compiled, in bytes.
const MAX_REGEX: usize = 1 << 20;
/// No regular expression that a person writes is longer; each letter costs time with each letter of each name.
const MAX_REGEX_TEXT: usize = 1024;
/// How deeply its groups may nest.
const MAX_REGEX_DEPTH: u32 = 50;

/// A text by its grammar; what is inside of it is not looked at yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// Between slashes.
    Regex(&'a str),
    /// A number in hexadecimal, with `0x`.
    Address(VirtAddr),
    /// Behind a function's name and `+`.
    Offset { function: &'a str, offset: u64 },
    /// Behind a file's name and `:`.
    Line { file: &'a str, line: u32 },
    /// In front of `@plt`.
    Plt(&'a str),
    /// Anything else.
    Name(&'a str),
}

/// Tells the shapes apart.
///
/// # Errors
///
/// What is wrong with it, as the end of a sentence.
pub(super) fn shape(text: &str) -> Result<Shape<'_>, &'static str> {
    if let Some(inner) = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        return if inner.is_empty() { Err("its regular expression is empty") } else { Ok(Shape::Regex(inner)) };
    }
    if let Some(digits) = hexadecimal(text) {
        return match u64::from_str_radix(digits, 16) {
            Ok(addr) => Ok(Shape::Address(VirtAddr(addr))),
            Err(_) => Err("the address is too large"),
        };
    }
    if let Some((function, digits)) = text.rsplit_once('+')
        && let Some(offset) = number(digits.trim())
    {
        let function = function.trim_end();
        if function.is_empty() {
            return Err("no function stands in front of the offset");
        }
        // `operator+` with nothing behind it does not come here, and no operator is followed by a number.
        if !ends_with_operator(function) {
            return match offset {
                Some(offset) => Ok(Shape::Offset { function, offset }),
                None => Err("the offset is too large"),
            };
        }
    }
    if let Some((file, digits)) = text.rsplit_once(':')
        && !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit())
        && !file.ends_with(':')
    {
        return match digits.parse() {
            _ if file.trim().is_empty() => Err("no file stands in front of the line"),
            Ok(0) => Err("lines are counted from 1"),
            Ok(line) => Ok(Shape::Line { file, line }),
            Err(_) => Err("the line is too large"),
        };
    }
    if let Some(function) = text.strip_suffix("@plt") {
        return if function.is_empty() { Err("no function stands in front of @plt") } else { Ok(Shape::Plt(function)) };
    }
    Ok(Shape::Name(text))
}

/// The digits behind `0x`.
fn hexadecimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit())).then_some(digits)
}

/// The number that the whole of `text` is; none inside where it is too large for one.
fn number(text: &str) -> Option<Option<u64>> {
    if let Some(digits) = hexadecimal(text) {
        return Some(u64::from_str_radix(digits, 16).ok());
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())
}

/// The `+` behind `text` is the operator's own.
fn ends_with_operator(text: &str) -> bool {
    text.strip_suffix("operator")
        .is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$'))
}

/// Compiles a regular expression into bounded memory. It is compared in time linear in the name.
pub(super) fn regex(text: &str) -> Result<Regex, String> {
    if text.len() > MAX_REGEX_TEXT {
        return Err("the regular expression is too long".to_owned());
    }
    RegexBuilder::new(text)
        .size_limit(MAX_REGEX)
        .nest_limit(MAX_REGEX_DEPTH)
        .build()
        .map_err(|error| format!("the regular expression is wrong: {error}"))
}

/// Whether the source file at `path` is the one that was asked for as `asked`: the same path, or one that ends with it
/// behind a slash. `.` and `..` in either are resolved as text.
pub(super) fn is_file(asked: &str, path: &str) -> bool {
    let asked_parts = parts(asked);
    let path_parts = parts(path);
    if asked.starts_with('/') {
        return path.starts_with('/') && asked_parts == path_parts;
    }
    !asked_parts.is_empty() && path_parts.ends_with(&asked_parts)
}

fn parts(path: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_told_by_their_grammar() {
        let check = |text: &str, expect: Result<Shape<'_>, &'static str>| assert_eq!(shape(text), expect, "{text}");
        let offset = |function, offset| Ok(Shape::Offset { function, offset });
        check("/^THD::/", Ok(Shape::Regex("^THD::")));
        check("//", Err("its regular expression is empty"));
        check("0x57a8c0", Ok(Shape::Address(VirtAddr(0x57_a8c0))));
        check("0xabcdefg", Ok(Shape::Name("0xabcdefg")));
        check("0x11112222333344445", Err("the address is too large"));
        check("f+4", offset("f", 4));
        check("f(int) + 0x10", offset("f(int)", 16));
        check("f [clone .cold]+4", offset("f [clone .cold]", 4));
        check("f@plt+4", offset("f@plt", 4));
        check("f+99999999999999999999", Err("the offset is too large"));
        check("+4", Err("no function stands in front of the offset"));
        check("operator+", Ok(Shape::Name("operator+")));
        check("A::operator+(int)", Ok(Shape::Name("A::operator+(int)")));
        check("operator++0x10", offset("operator+", 16));
        check("operator+0x10", Ok(Shape::Name("operator+0x10")));
        check("my_operator+1", offset("my_operator", 1));
        check("operator++", Ok(Shape::Name("operator++")));
        check("f<(1)+2>", Ok(Shape::Name("f<(1)+2>")));
        check("sql_connect.cc:478", Ok(Shape::Line { file: "sql_connect.cc", line: 478 }));
        check("/build/sql/a.cc:1", Ok(Shape::Line { file: "/build/sql/a.cc", line: 1 }));
        check("a.cc:0", Err("lines are counted from 1"));
        check(":7", Err("no file stands in front of the line"));
        check("a.cc:99999999999", Err("the line is too large"));
        check("THD::x", Ok(Shape::Name("THD::x")));
        check("a::1", Ok(Shape::Name("a::1")));
        check("write@plt", Ok(Shape::Plt("write")));
        check("@plt", Err("no function stands in front of @plt"));
        check("memcpy@GLIBC_2.14", Ok(Shape::Name("memcpy@GLIBC_2.14")));
    }

    #[test]
    fn files_are_told_by_the_end_of_their_path() {
        let check = |asked: &str, path: &str, expect: bool| assert_eq!(is_file(asked, path), expect, "{asked} {path}");
        check("a.cc", "/build/sql/a.cc", true);
        check("sql/a.cc", "/build/sql/a.cc", true);
        check("./sql/a.cc", "/build/x/../sql/./a.cc", true);
        check("l/a.cc", "/build/sql/a.cc", false);
        check("a.cc", "/build/sql/aa.cc", false);
        check("/sql/a.cc", "/build/sql/a.cc", false);
        check("/build/sql/a.cc", "/build/sql/a.cc", true);
        check("..", "/a/b", false);
    }

    #[test]
    fn regular_expressions_are_bounded() {
        assert!(regex("a{10}").is_ok());
        assert!(regex("(((a{100}){100}){100}){100}").is_err());
        assert!(regex(&"(".repeat(5000)).is_err());
    }
}
