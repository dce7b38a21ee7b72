//! An argument of the command line that a message is about.

use crate::source::Span;

/// An option with its value, as a shell has it, and the part of it that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// `--attach 'kprobe:f=g'`
    pub text: String,
    /// The part.
    pub span: Span,
}

impl Argument {
    /// The part of an option's value that `part` of its bytes are.
    pub fn new(option: &str, value: &str, part: std::ops::Range<usize>) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@+%".contains(&byte);
        let is_plain = !value.is_empty() && value.bytes().all(plain);
        let quoted = |text: Option<&str>| {
            let text = text.unwrap_or_default();
            if is_plain { text.to_owned() } else { text.replace('\'', r"'\''") }
        };
        let quote = if is_plain { "" } else { "'" };
        let before = format!("{option} {quote}{}", quoted(value.get(..part.start)));
        let inside = quoted(value.get(part.clone()));
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let span = Span::new(number(before.len()), number(before.len() + inside.len()));
        Self { text: format!("{before}{inside}{}{quote}", quoted(value.get(part.end..))), span }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_as_a_shell_has_it() {
        let check = |value: &str, part: &str, expect: &str, marked: &str| {
            let start = value.find(part).unwrap();
            let argument = Argument::new("--attach", value, start..start + part.len());
            assert_eq!(argument.text, expect);
            assert_eq!(&argument.text[argument.span.range()], marked);
        };
        check("kprobe:f=g", "kprobe:f", "--attach kprobe:f=g", "kprobe:f");
        check("uprobe:a:T::* | uprobe:b:f=g", "g", "--attach 'uprobe:a:T::* | uprobe:b:f=g'", "g");
        check("a'b=c", "a'b", r"--attach 'a'\''b=c'", r"a'\''b");
    }
}
