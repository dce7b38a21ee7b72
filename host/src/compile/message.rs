//! Clang's messages, as `-fno-caret-diagnostics -fdiagnostics-print-source-range-info` print them.

use crate::diag::{Diagnostic, Severity, from_clang};
use crate::rewrite::Rewritten;
use crate::source::{LineColumn, Source};
use crate::template::MAIN_FILE;

/// How the BPF backend says that a frame does not fit; [`super::stack`] says it better.
pub(super) const STACK: &str = "Looks like the BPF stack limit is exceeded";

/// The note that gives the place of a message that the backend has and clang cannot find.
const UNPLACED: &str = "could not determine the original source location for ";

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
    Remark,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) level: Level,
    /// The file; none for messages of the driver.
    pub(super) file: Option<&'a str>,
    /// Line 0 where there is none.
    pub(super) at: LineColumn,
    /// Its text; further lines that belong to it are joined by line ends.
    pub(super) text: String,
}

/// Cuts what clang said into messages.
pub(super) fn parse(said: &str) -> Vec<Message<'_>> {
    let mut messages: Vec<Message<'_>> = Vec::new();
    // Whether the last message still waits for its place; a second note is that of the next message.
    let mut unplaced = false;
    for line in said.lines() {
        if let Some(message) = message(line) {
            // The backend's place is one of debug information, which clang finds again only in a main file that lies on
            // disk; else the message is at the function, and the place in a note.
            if let Some(place) = message.text.strip_prefix(UNPLACED) {
                let waits = std::mem::take(&mut unplaced);
                let last = messages.last_mut().filter(|last| waits && last.level == Level::Error);
                if let (Some(last), (Some(file), at)) = (last, file_and_place(place))
                    && at.line > 0
                {
                    // The note's text is a copy of the line's.
                    last.file = line.find(place).and_then(|start| line.get(start..start + file.len()));
                    last.at = at;
                }
                continue;
            }
            unplaced = true;
            messages.push(message);
        } else if let Some(last) = messages.last_mut().filter(|last| last.level == Level::Remark && !is_context(line)) {
            last.text.push('\n');
            last.text.push_str(line);
        }
    }
    messages
}

/// `file:line:column:{ranges}: level: text`, or `clang: level: text`.
fn message(line: &str) -> Option<Message<'_>> {
    const LEVELS: &[(&str, Level)] = &[
        (": fatal error: ", Level::Error),
        (": error: ", Level::Error),
        (": warning: ", Level::Warning),
        (": note: ", Level::Note),
        (": remark: ", Level::Remark),
    ];
    let found = LEVELS.iter().filter_map(|(word, level)| Some((line.find(word)?, word.len(), *level)));
    let (at, length, level) = found.min_by_key(|(at, _, _)| *at)?;
    let (place, text) = (line.get(..at)?, line.get(at + length..)?);
    let place = place.split(":{").next().unwrap_or(place);
    let (file, at) = file_and_place(place);
    Some(Message { level, file, at, text: text.trim_end().to_owned() })
}

/// The parts of `file:line:column`.
fn file_and_place(place: &str) -> (Option<&str>, LineColumn) {
    let mut parts = place.trim_end().rsplitn(3, ':');
    let (column, row, file) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    match (file, number(row), number(column)) {
        (Some(file), Some(line), Some(column)) => (Some(file), LineColumn { line, column }),
        _ => (None, LineColumn { line: 0, column: 0 }),
    }
}

fn is_context(line: &str) -> bool {
    line.starts_with("In file included from ")
        || line.trim().is_empty()
        || line.ends_with(" generated.")
        || line.starts_with("fix-it:")
}

/// The errors and warnings that are not about the size of the stack, with their notes.
pub(super) fn diagnostics(messages: &[Message<'_>], source: &Source, rewritten: &Rewritten) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = Vec::new();
    let mut noted = false;
    for message in messages {
        let severity = match message.level {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => {
                if let Some(last) = found.last_mut().filter(|_| noted) {
                    note(last, message, source, rewritten);
                }
                continue;
            }
            Level::Remark => continue,
        };
        noted = !super::stack::is_about_stack(message);
        if noted {
            let span = span(message, source, rewritten);
            let mut diagnostic = from_clang(severity, &message.text, span);
            if span.is_none()
                && let Some(place) = elsewhere(message)
            {
                diagnostic.notes.push(place);
            }
            found.push(diagnostic);
        }
    }
    found
}

/// Adds one of clang's notes to the message that it belongs to.
fn note(to: &mut Diagnostic, message: &Message<'_>, source: &Source, rewritten: &Rewritten) {
    // Places in templates and in generated text tell the user nothing.
    let own = from_clang(Severity::Note, &message.text, None).message;
    match span(message, source, rewritten) {
        Some(span) if to.span != Some(span) => to.labels.push((span, own)),
        Some(_) => to.notes.push(own),
        None => {}
    }
}

/// The place in the user's text; none for other files and for generated text.
pub(super) fn span(message: &Message<'_>, source: &Source, rewritten: &Rewritten) -> Option<crate::source::Span> {
    let file = message.file?;
    let file = file.strip_prefix("./").unwrap_or(file);
    if file != MAIN_FILE {
        return None;
    }
    rewritten.line_map.word_at(message.at, &rewritten.text, source)
}

/// Where a message stands that has no place in the user's text.
fn elsewhere(message: &Message<'_>) -> Option<String> {
    let file = message.file?;
    let file = file.strip_prefix("./").unwrap_or(file);
    let LineColumn { line, column } = message.at;
    Some(match file {
        MAIN_FILE => format!("in the text that dbcc generated, line {line}"),
        _ => format!("at {file}:{line}:{column}"),
    })
}
