//! Messages as people read them, and as JSON.

use std::io::IsTerminal;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::{Diagnostic, Severity};
use crate::source::{Source, Span};

/// Longest message text that is shown, in bytes; a template's or compiler's message is never near.
const MAX_TEXT: usize = 4096;

/// Whether messages to a stream are coloured: it is a terminal that can, and `NO_COLOR` (<https://no-color.org>) is not set.
pub fn wants_color(stream: &impl IsTerminal) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stream.is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// A message with the source line it stands on, in the manner of rustc. It ends with a line end.
pub fn render(diagnostic: &Diagnostic, source: &Source, color: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let message = printable(&diagnostic.message);
    let labels: Vec<(Span, String)> =
        diagnostic.labels.iter().map(|(span, text)| (inside(*span, source), printable(text))).collect();
    let notes: Vec<String> = diagnostic.notes.iter().map(|note| printable(note)).collect();
    let help: Vec<String> = diagnostic.help.iter().map(|help| printable(help)).collect();

    // The primary place first; what stands in the same lines of the same file is shown with it.
    let mut places: Vec<(Span, Option<&str>)> = Vec::new();
    places.extend(diagnostic.span.map(|span| (inside(span, source), None)));
    places.extend(labels.iter().map(|(span, text)| (*span, Some(text.as_str()))));
    let mut elements: Vec<Element<'_>> = Vec::new();
    let argument = diagnostic.argument.as_ref().map(|argument| (printable(&argument.text), argument.span));
    if let Some((text, span)) = &argument {
        let range = inside_of(text, *span).range();
        let snippet = Snippet::source(text.as_str()).path("the command line").line_start(1);
        elements.push(snippet.annotation(AnnotationKind::Primary.span(range)).into());
    }
    while let Some((first, _)) = places.first() {
        let excerpt = source.excerpt(first.start);
        let line = usize::try_from(excerpt.line).unwrap_or(1);
        let mut snippet = Snippet::source(excerpt.text).path(excerpt.file).line_start(line);
        let here = |span: &Span| source.excerpt(span.start).start == excerpt.start;
        for (span, label) in places.iter().filter(|(span, _)| here(span)) {
            let start = span.start - excerpt.start;
            let range = inside_of(excerpt.text, Span::new(start, start.saturating_add(span.len()))).range();
            snippet = snippet.annotation(match label {
                None => AnnotationKind::Primary.span(range),
                Some(label) => AnnotationKind::Context.span(range).label(*label),
            });
        }
        elements.push(snippet.into());
        places.retain(|(span, _)| !here(span));
    }
    elements.extend(notes.iter().map(|note| Level::NOTE.message(note.as_str()).into()));
    elements.extend(help.iter().map(|help| Level::HELP.message(help.as_str()).into()));

    let title = level.primary_title(message.as_str());
    let report: &[Group<'_>] = &[title.elements(elements)];
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.decor_style(DecorStyle::Ascii).render(report) + "\n"
}

/// Several messages, in the order of the source, with a blank line between them; empty where there is none.
pub fn render_all(diagnostics: &[Diagnostic], source: &Source, color: bool) -> String {
    let mut ordered: Vec<&Diagnostic> = diagnostics.iter().collect();
    ordered.sort_by_key(|diagnostic| diagnostic.span.map_or(0, |span| span.start));
    ordered.iter().map(|diagnostic| render(diagnostic, source, color)).collect::<Vec<_>>().join("\n")
}

/// A message as `dbcc check --json` prints it. Lines and columns count from 1, columns in bytes; they are missing where
/// the message has no place in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Located<'a> {
    /// The file, as the user named it.
    pub file: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: &'a str,
    /// The place.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// The argument of the command line that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<&'a str>,
    /// More places that belong to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label<'a>>,
    /// Facts that explain it.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub notes: &'a [String],
    /// What to do.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub help: &'a [String],
}

/// A range of lines and columns; the end is behind the last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Line of the first byte.
    pub line: u32,
    /// Column of the first byte.
    pub column: u32,
    /// Line of the end.
    pub end_line: u32,
    /// Column of the end.
    pub end_column: u32,
}

/// A further place with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Label<'a> {
    /// The file, where it is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<&'a str>,
    /// The place.
    #[serde(flatten)]
    pub place: Place,
    /// Its text.
    pub text: &'a str,
}

impl<'a> Located<'a> {
    /// A message with its places as lines and columns.
    pub fn new(diagnostic: &'a Diagnostic, source: &'a Source) -> Self {
        let of = |span: Span| source.excerpt(inside(span, source).start).file;
        let file = diagnostic.span.map_or(source.name.as_str(), of);
        let labels = diagnostic.labels.iter();
        let label = |(span, text): &'a (Span, String)| {
            let other = Some(of(*span)).filter(|other| *other != file);
            Label { file: other, place: place(*span, source), text }
        };
        Self {
            file,
            severity: diagnostic.severity,
            message: &diagnostic.message,
            place: diagnostic.span.map(|span| place(span, source)),
            argument: diagnostic.argument.as_ref().map(|argument| argument.text.as_str()),
            labels: labels.map(label).collect(),
            notes: &diagnostic.notes,
            help: &diagnostic.help,
        }
    }
}

fn place(span: Span, source: &Source) -> Place {
    let span = inside(span, source);
    let (start, end) = (source.in_file(span.start), source.in_file(span.end));
    Place { line: start.line, column: start.column, end_line: end.line, end_column: end.column }
}

/// The span cut to the text, on borders of characters.
fn inside(span: Span, source: &Source) -> Span {
    inside_of(&source.text, span)
}

fn inside_of(text: &str, span: Span) -> Span {
    let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX).min(text.len());
    let start = border_before(text, offset(span.start));
    let end = (offset(span.end)..text.len()).find(|end| text.is_char_boundary(*end)).unwrap_or(text.len());
    let number = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
    Span::new(number(start), number(end))
}

/// The last border of characters up to an offset.
fn border_before(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|start| text.is_char_boundary(*start)).unwrap_or(0)
}

/// A text for a terminal: no escape sequences and no line that overwrites another.
fn printable(text: &str) -> String {
    let shown = text.trim_end().chars().map(|character| match character {
        '\n' | '\t' => character,
        _ if character.is_control() => '\u{fffd}',
        _ => character,
    });
    let mut shown: String = shown.collect();
    if shown.len() > MAX_TEXT {
        shown.truncate(border_before(&shown, MAX_TEXT));
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(diagnostic: &Diagnostic, text: &str, expect: &str) {
        let source = Source::from_text("probes/t.c", text);
        let rendered = render(diagnostic, &source, false);
        assert_eq!(rendered.trim_end(), expect.trim_matches('\n'), "\n{rendered}");
    }

    fn span(text: &str, part: &str) -> Span {
        let start = text.find(part).unwrap();
        Span::new(u32::try_from(start).unwrap(), u32::try_from(start + part.len()).unwrap())
    }

    #[test]
    fn a_message_stands_under_its_line() {
        let text = "int f(void)\n{\n    return sk->skc_dadr;\n}\n";
        let message = Diagnostic::error("no member named `skc_dadr` in `struct sock_common`", span(text, "skc_dadr"))
            .note("the type comes from the running kernel")
            .help("did you mean `skc_daddr`?");
        check(
            &message,
            text,
            "
error: no member named `skc_dadr` in `struct sock_common`
 --> probes/t.c:3:16
  |
3 |     return sk->skc_dadr;
  |                ^^^^^^^^
  |
  = note: the type comes from the running kernel
  = help: did you mean `skc_daddr`?",
        );
    }

    #[test]
    fn columns_are_true_behind_tabs_and_wide_characters() {
        let text = "\tint 数 = 错误; // 注释\n";
        let message = Diagnostic::warning("unknown name", span(text, "错误"));
        check(
            &message,
            text,
            "
warning: unknown name
 --> probes/t.c:1:10
  |
1 |     int 数 = 错误; // 注释
  |              ^^^^",
        );
    }

    #[test]
    fn labels_stand_at_their_own_places() {
        let text = "BPF_HASH(a, u32);\n\n\nBPF_HASH(a, u64);\n";
        let second = Span::new(29, 30);
        assert_eq!(&text[second.range()], "a");
        let message = Diagnostic::error("`a` is declared twice", second).label(span(text, "a"), "first here");
        check(
            &message,
            text,
            "
error: `a` is declared twice
 --> probes/t.c:4:10
  |
1 | BPF_HASH(a, u32);
  |          - first here
...
4 | BPF_HASH(a, u64);
  |          ^",
        );
    }

    #[test]
    fn a_message_without_a_place_is_a_line() {
        check(
            &Diagnostic::error("clang was killed", None).help("try again"),
            "x",
            "error: clang was killed\n |\n = help: try again",
        );
    }

    #[test]
    fn several_lines_and_the_end_of_the_text_are_shown() {
        let text = "int f(void) {\n  return 1;\n";
        check(
            &Diagnostic::error("expected `}`", Span::new(25, 25)),
            text,
            "
error: expected `}`
 --> probes/t.c:2:12
  |
2 |   return 1;
  |            ^",
        );
        let long = Diagnostic::error("never closed", Span::new(12, 25));
        let rendered = render(&long, &Source::from_text("t.c", text), false);
        assert!(rendered.contains("int f(void) {") && rendered.contains("return 1"), "{rendered}");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        let text = "int \x1b[31mred;\r\n";
        let message = Diagnostic::error("bad \x1b]0;title\x07 text", Span::new(4, 9));
        let rendered = render(&message, &Source::from_text("a.c", text), false);
        assert!(!rendered.contains(['\x1b', '\x07', '\r']), "{rendered:?}");
    }

    #[test]
    fn no_span_panics() {
        let text = "a数\n\nb";
        let source = Source::from_text("t.c", text);
        for start in 0..10 {
            for end in 0..10 {
                let message = Diagnostic::error("x", Span { start, end }).label(Span { start: end, end: start }, "y");
                render(&message, &source, true);
                serde_json::to_string(&Located::new(&message, &source)).unwrap();
            }
        }
        render(&Diagnostic::error("x", Span { start: u32::MAX, end: 0 }), &Source::from_text("e.c", ""), false);
    }

    #[test]
    fn json_has_lines_and_columns() {
        let text = "int a;\nint b\n";
        let source = Source::from_text("t.c", text);
        let message =
            Diagnostic::error("expected `;`", span(text, "b")).help("add one").label(span(text, "a"), "as here");
        assert_eq!(
            serde_json::to_string(&Located::new(&message, &source)).unwrap(),
            "{\"file\":\"t.c\",\"severity\":\"error\",\"message\":\"expected `;`\",\"line\":2,\"column\":5,\"end_line\":2,\
             \"end_column\":6,\"labels\":[{\"line\":1,\"column\":5,\"end_line\":1,\"end_column\":6,\"text\":\"as here\"}],\
             \"help\":[\"add one\"]}"
        );
        let nowhere = Diagnostic::error("no clang", None);
        let json = serde_json::to_string(&Located::new(&nowhere, &source)).unwrap();
        assert_eq!(json, "{\"file\":\"t.c\",\"severity\":\"error\",\"message\":\"no clang\"}");
    }

    #[test]
    fn several_messages_are_in_the_order_of_the_source() {
        let source = Source::from_text("t.c", "a b");
        let messages = [Diagnostic::error("second", Span::new(2, 3)), Diagnostic::error("first", Span::new(0, 1))];
        let rendered = render_all(&messages, &source, false);
        assert!(rendered.find("first") < rendered.find("second"), "{rendered}");
        assert!(rendered.contains("\n\nerror: second"), "{rendered}");
    }
}
