//! Frames that do not fit on the stack of a BPF program: which function's, and what lies on it.
//!
//! The backend's own error names neither. Clang's `-Wframe-larger-than` gives the size, and its remarks on the layout of
//! frames (`stack-frame-layout`) the variables.

use super::message::{Level, Message, STACK, span};
use crate::diag::{Diagnostic, STACK_HELP};
use crate::lex::{Lexed, TokenKind};
use crate::rewrite::Rewritten;
use crate::source::{LineColumn, Source, Span};

/// Size of the stack, in bytes (`MAX_BPF_STACK`, include/linux/filter.h).
const STACK_SIZE: u64 = 512;
/// The most variables that are named.
const MAX_NAMED: usize = 4;

/// Whether a message is one of those that [`diagnostics`] puts into words.
pub(super) fn is_about_stack(message: &Message<'_>) -> bool {
    message.text.starts_with(STACK) || frame(message).is_some()
}

/// A frame's size and its function, from `stack frame size (920) exceeds limit (512) in 'f'`.
fn frame<'a>(message: &'a Message<'_>) -> Option<(u64, &'a str)> {
    let rest = message.text.strip_prefix("stack frame size (")?;
    let (size, rest) = rest.split_once(')')?;
    let function = rest.split('\'').nth(1)?;
    Some((size.parse().ok()?, function))
}

/// The functions that have something on the stack, and its size in bytes.
pub(super) fn frames(messages: &[Message<'_>]) -> Vec<(String, u64)> {
    let frames = messages.iter().filter_map(frame);
    frames.map(|(size, function)| (function.to_owned(), size)).collect()
}

/// A variable on a frame.
struct Variable<'a> {
    name: &'a str,
    line: u32,
    size: u64,
}

/// The variables of a function's frame, from its layout, the largest first. A slot that is shared by several counts for
/// the first.
fn variables<'a>(messages: &'a [Message<'_>], function: &str) -> Vec<Variable<'a>> {
    let head = format!("Function: {function}");
    let layout = messages.iter().filter(|message| message.level == Level::Remark).find(|message| {
        message.text.lines().map(str::trim).find(|line| !line.is_empty()).is_some_and(|first| first.trim_end() == head)
    });
    let mut found = Vec::new();
    let mut size = None;
    for line in layout.map(|message| message.text.lines()).into_iter().flatten() {
        if let Some((_, bytes)) = line.split_once(", Size: ") {
            size = bytes.trim().parse::<u64>().ok();
        } else if let (Some(bytes), Some((name, place))) = (size, line.split_once(" @ ")) {
            // The last line carries the name of the remark behind the place.
            let place = place.split(" [").next().unwrap_or_default();
            let line = place.rsplit(':').next().and_then(|line| line.trim().parse().ok());
            found.push(Variable { name: name.trim(), line: line.unwrap_or(0), size: bytes });
            size = None;
        }
    }
    found.sort_by_key(|variable| std::cmp::Reverse(variable.size));
    found
}

/// One message a function whose frame is too large.
pub(super) fn diagnostics(messages: &[Message<'_>], source: &Source, rewritten: &Rewritten) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for message in messages {
        let Some((size, function)) = frame(message).filter(|(size, _)| *size > STACK_SIZE) else { continue };
        found.push(too_large(size, function, messages, source, rewritten));
    }
    // An error without a size: better the backend's own words than none.
    let errors = messages.iter().filter(|message| message.text.starts_with(STACK));
    if found.is_empty() {
        found.extend(errors.map(|message| {
            let message_span = span(message, source, rewritten);
            crate::diag::from_clang(crate::diag::Severity::Error, &message.text, message_span)
        }));
    }
    found
}

fn too_large(
    size: u64,
    function: &str,
    messages: &[Message<'_>],
    source: &Source,
    rewritten: &Rewritten,
) -> Diagnostic {
    let variables = variables(messages, function);
    let named: Vec<String> = variables
        .iter()
        .take(MAX_NAMED)
        .map(|variable| format!("`{}` takes {}", variable.name, variable.size))
        .collect();
    let named = match named.as_slice() {
        [] => String::new(),
        [only] => format!(": {only} of them"),
        [first @ .., last] => format!(": {} and {last} of them", first.join(", ")),
    };
    let user = user_name(function, rewritten);
    let message = format!("stack of {size} bytes exceeds {STACK_SIZE}{named}");
    let places: Vec<(Span, String)> = variables
        .iter()
        .take(MAX_NAMED)
        .filter_map(|variable| Some((declaration(variable, source)?, format!("{} bytes", variable.size))))
        .collect();
    let own = name_span(user, source);
    let place = places.first().map(|(span, _)| *span).or(own);
    let mut diagnostic = Diagnostic::error(message, place).note(format!("on the stack of `{user}`")).help(STACK_HELP);
    diagnostic.labels = places;
    diagnostic
}

/// The user's function that a program was made of.
fn user_name<'a>(function: &'a str, rewritten: &'a Rewritten) -> &'a str {
    let programs = rewritten.facts.programs.iter();
    let made = programs.filter(|fact| fact.forms.iter().any(|form| form.program == function));
    made.map(|fact| fact.function.as_str()).next().unwrap_or(function)
}

/// Where a variable's name stands on the line of its declaration.
fn declaration(variable: &Variable<'_>, source: &Source) -> Option<Span> {
    let start = source.offset(LineColumn { line: variable.line, column: 1 });
    let line = source.line(variable.line);
    let lexed = Lexed::new(line);
    let tokens = lexed.tokens().iter().filter(|token| token.kind == TokenKind::Identifier);
    let mut behind_tag = false;
    let token = tokens.into_iter().find(|token| {
        let word = lexed.spelling(token);
        let is_tag = std::mem::replace(&mut behind_tag, matches!(&*word, "struct" | "union" | "enum"));
        word == variable.name && !is_tag
    })?;
    Some(Span::new(start.checked_add(token.span.start)?, start.checked_add(token.span.end)?))
}

/// Where a function's name first stands before a parenthesis.
fn name_span(function: &str, source: &Source) -> Option<Span> {
    let lexed = Lexed::new(&source.text);
    let pairs = lexed.tokens().windows(2);
    let mut named = pairs.filter_map(|pair| match pair {
        [name, open] if open.kind == TokenKind::Punctuation(b'(') && lexed.spelling(name) == function => {
            Some(name.span)
        }
        _ => None,
    });
    named.next()
}
