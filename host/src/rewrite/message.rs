//! What libclang says, as messages about the user's text.

use crate::clang::{Fix, Level, Message, Place};
use crate::diag::{Diagnostic, Severity, did_you_mean, near, near_of_many};
use crate::source::Span;
use crate::template;

use super::KernelFacts;
use super::rule::maps::{self, Map};
use super::rule::methods;
use super::slice;
use super::tree::{Expansion, Tree};

/// The start of the name of the struct that a map is while it is parsed.
const TABLE: &str = "struct dbcc_table_";

/// How a note begins that names the file by which another is included.
const INCLUDED: &str = "in file included from";

/// The most files that are named on the way to one that is included.
const MOST_INCLUDES: usize = 4;

/// All messages that concern the user, in the order of the text.
pub(super) fn diagnostics(
    messages: &[Message],
    text: &str,
    tree: &Tree<'_>,
    kernel: &dyn KernelFacts,
) -> Vec<Diagnostic> {
    let maps = maps::find(tree);
    let known = Known { text, expansions: &tree.expansions, maps: &maps, kernel };
    let mut all: Vec<_> = messages
        .iter()
        .filter(|message| message.level > Level::Note && !is_noise(message))
        .map(|message| known.diagnostic(message))
        .collect();
    all.sort_by_key(|diagnostic| diagnostic.span.map(|span| span.start));
    all.dedup();
    all
}

/// What a warning is about that only the way of parsing brings about, or that is in a header that the user cannot
/// change.
fn is_noise(message: &Message) -> bool {
    // A pointer to a struct that nobody defines is a pointer all the same; using it is an error of its own.
    let is_forward = message.option == "-Wvisibility";
    let in_header = matches!(message.place, Place::Other { .. }) && message.level < Level::Error;
    // BCC's programs declare what they do not use, and cast as they like; clang's compile of the rewritten text warns of
    // the same again.
    is_forward || in_header || message.option == "-Wunused-value" || message.option == "-Wunused-function"
}

struct Known<'k> {
    text: &'k str,
    expansions: &'k [Expansion<'k>],
    maps: &'k [Map],
    kernel: &'k dyn KernelFacts,
}

impl Known<'_> {
    fn diagnostic(&self, message: &Message) -> Diagnostic {
        let severity = if message.level >= Level::Error { Severity::Error } else { Severity::Warning };
        let span = self.span(message);
        let mut diagnostic = Diagnostic::new(severity, self.readable(&message.text), span);
        if let Place::Other { file, line } = &message.place {
            let name = file.rsplit_once('/').map_or(file.as_str(), |(_, name)| name);
            diagnostic = diagnostic.note(format!("in `{name}`, line {line}"));
        }
        for fix in &message.fixes {
            diagnostic = diagnostic.help(self.fix(fix));
        }
        let (includes, others): (Vec<_>, Vec<_>) =
            message.children.iter().partition(|child| child.text.starts_with(INCLUDED));
        diagnostic = self.includes(diagnostic, &includes);
        for child in others {
            diagnostic = self.child(diagnostic, child);
        }
        self.explain(diagnostic, message)
    }

    /// Adds the way to a file that is included, of which there are two hundred parts where it includes itself.
    fn includes(&self, mut diagnostic: Diagnostic, includes: &[&Message]) -> Diagnostic {
        let mut files: Vec<(&str, usize)> = Vec::new();
        for include in includes {
            if let Place::Main(offset) = include.place {
                diagnostic.labels.push((self.token(offset), "included from here".to_owned()));
                continue;
            }
            let from = include.text.strip_prefix(INCLUDED).unwrap_or_default().trim_end_matches(':').trim();
            match files.iter_mut().find(|(known, _)| *known == from) {
                Some((_, times)) => *times += 1,
                None => files.push((from, 1)),
            }
        }
        for (from, times) in files.iter().take(MOST_INCLUDES) {
            let times = if *times > 1 { format!(", {times} times") } else { String::new() };
            diagnostic = diagnostic.note(format!("included from {from}{times}"));
        }
        match files.len().checked_sub(MOST_INCLUDES) {
            Some(more @ 1..) => diagnostic.note(format!("and from {more} more files")),
            _ => diagnostic,
        }
    }

    /// A message of clang's in the style of those here, in which the types of maps are as the probe writes them.
    fn readable(&self, text: &str) -> String {
        let mut out = readable(text);
        for map in self.maps {
            for (prefix, ty) in [("dbcc_key_", &map.types.0), ("dbcc_leaf_", &map.types.1)] {
                if out.contains(prefix) && !ty.is_empty() {
                    let ty = readable(ty);
                    out = replace_word(&out, &format!("{prefix}{}", map.name), &ty);
                    for name in [ty.clone(), format!("{ty} *"), format!("const {ty} *")] {
                        out = out.replace(&format!("'{name}' (aka '{name}')"), &format!("'{name}'"));
                    }
                }
            }
        }
        out
    }

    /// At file scope a macro of BCC's that does not exist, or not with so many arguments, looks like a declaration.
    fn no_macro(&self, diagnostic: &Diagnostic) -> Option<Diagnostic> {
        let span = diagnostic.span?;
        let name = slice(self.text, span);
        let is_macro = name.starts_with("BPF_") && diagnostic.message.starts_with("type specifier missing");
        is_macro.then(|| {
            Diagnostic::error(format!("`{name}` takes other arguments, or is no macro that dbcc knows"), span)
                .help("map macros take name, key type, value type and size, as far as they have them")
        })
    }

    /// What the macro of a map is given is checked by members that cannot be if it is wrong.
    fn no_map(&self, diagnostic: &Diagnostic) -> Option<Diagnostic> {
        let member = diagnostic.message.split('\'').nth(1)?;
        let used = self.expansions.iter().find(|used| Some(used.span.start) == diagnostic.span.map(|span| span.start));
        let inside =
            |map: &&Map| used.is_some_and(|used| used.span.start <= map.span.start && map.span.end <= used.span.end);
        let map = self.maps.iter().find(inside);
        let span = map.map(|map| map.span).or(diagnostic.span)?;
        let name = map.map_or("the map", |map| map.name.as_str());
        match member {
            "dbcc_type" => {
                let kind = map.map(|map| map.kind.as_str()).unwrap_or_default();
                let error =
                    Diagnostic::error(format!("BCC has no type of maps `{kind}`, which `{name}` is to be"), span);
                let error = error.note(format!("the types are {}", maps::TYPES.join(", ")));
                Some(match did_you_mean(&near(kind, maps::TYPES.iter().copied())) {
                    Some(suggestion) => error.help(suggestion),
                    None => error,
                })
            }
            "dbcc_entries" => Some(
                Diagnostic::error(format!("the size of `{name}` is no constant that a map can have"), span)
                    .help("write a positive number, or an expression of numbers, macros and sizeof"),
            ),
            "dbcc_flags" => Some(Diagnostic::error(format!("the flags of `{name}` are no constant"), span)),
            _ => None,
        }
    }

    /// The range that clang underlines around the place, or else the token at it.
    fn span(&self, message: &Message) -> Option<Span> {
        let Place::Main(offset) = message.place else { return None };
        let token = self.token(offset);
        let around = message.ranges.iter().find(|range| range.start <= offset && offset < range.end);
        // A range over several lines is more than what is wrong.
        Some(around.copied().filter(|range| !slice(self.text, *range).contains('\n')).unwrap_or(token))
    }

    /// The identifier or the byte at an offset.
    fn token(&self, offset: u32) -> Span {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = self.text.get(start..).unwrap_or_default();
        let word = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let length = if word > 0 { word } else { rest.chars().next().map_or(0, char::len_utf8) };
        Span::new(offset, offset.saturating_add(u32::try_from(length).unwrap_or(0)))
    }

    fn fix(&self, fix: &Fix) -> String {
        let old = slice(self.text, fix.span);
        match (old.is_empty(), fix.text.is_empty()) {
            (true, _) => format!("insert `{}`", fix.text),
            (false, true) => format!("remove `{old}`"),
            (false, false) => format!("write `{}` instead of `{old}`", fix.text),
        }
    }

    /// Adds a note of clang's: a label where it has a place in the text.
    fn child(&self, mut diagnostic: Diagnostic, child: &Message) -> Diagnostic {
        match child.place {
            // Where the macro was used or what it expands to is to be seen in the text.
            _ if child.text.starts_with("expanded from") || child.text.starts_with("(skipping ") => {}
            Place::Main(offset) => diagnostic.labels.push((self.token(offset), self.readable(&child.text))),
            // Declarations in headers are the host's own.
            Place::Other { .. } if child.text.contains("declared here") || child.text.contains("passing argument") => {}
            Place::Other { .. } | Place::Nowhere => diagnostic = diagnostic.note(self.readable(&child.text)),
        }
        diagnostic
    }

    /// Rewords what concerns maps, and adds what is known of the kernel.
    fn explain(&self, diagnostic: Diagnostic, message: &Message) -> Diagnostic {
        if let Some(better) = self.no_macro(&diagnostic).or_else(|| self.no_map(&diagnostic)) {
            return better;
        }
        let quoted: Vec<&str> = message.text.split('\'').skip(1).step_by(2).collect();
        if let (Some(member), Some(record)) = (quoted.first(), quoted.get(1))
            && message.text.starts_with("no member named")
        {
            return self.no_member(diagnostic, member, record);
        }
        if let Some(name) = quoted.first() {
            if message.text.starts_with("use of undeclared identifier")
                || message.text.starts_with("call to undeclared function")
            {
                return self.undeclared(diagnostic, name);
            }
            if message.text.starts_with("unknown type name") && !message_suggests(&diagnostic) {
                return diagnostic.note(format!(
                    "`{name}` is neither declared in the probe nor in dbcc's headers nor in the kernel's BTF"
                ));
            }
            if message.text.starts_with("incomplete definition of type")
                || message.text.contains("has incomplete type")
                || message.text.contains("incomplete type")
            {
                let name = quoted.iter().rfind(|name| name.contains("struct ") || name.contains("union "));
                let name = name.copied().unwrap_or_default().trim_end_matches([' ', '*']);
                if !name.is_empty() && !self.kernel.has_type(name) {
                    return diagnostic
                        .note(format!("this kernel's BTF has no `{name}`, and the probe does not define it"));
                }
            }
            if message.text.ends_with("file not found") {
                return diagnostic
                    .help(format!("dbcc has no header `{name}`; put it beside the probe and include it in quotes"));
            }
        }
        diagnostic
    }

    fn no_member(&self, mut diagnostic: Diagnostic, member: &str, record: &str) -> Diagnostic {
        if let Some(name) = record.strip_prefix(TABLE) {
            // While it is parsed, a map is a struct; to the user it is a map.
            let map = self.maps.iter().find(|map| map.name == name);
            let kind = map.map_or("map", |map| map.kind.as_str());
            let known = methods::of(kind);
            diagnostic.message = format!("map `{name}` has no method `{member}`");
            diagnostic.help.clear();
            diagnostic.labels.clear();
            if let Some(suggestion) = did_you_mean(&near(member, known.iter().copied())) {
                diagnostic = diagnostic.help(suggestion);
            }
            return diagnostic.note(format!("methods of a map of this type ({kind}): {}", known.join(", ")));
        }
        let members = self.kernel.members(record);
        let found = near(member, members.iter().map(String::as_str));
        if message_suggests(&diagnostic) {
            return diagnostic;
        }
        if let Some(suggestion) = did_you_mean(&found) {
            diagnostic = diagnostic.help(suggestion);
        }
        if members.is_empty() { diagnostic } else { diagnostic.note(format!("as this kernel's BTF has `{record}`")) }
    }

    fn undeclared(&self, mut diagnostic: Diagnostic, name: &str) -> Diagnostic {
        // Since when a function must be declared is of no help.
        if let Some((message, _)) = diagnostic.message.split_once("; ISO C99") {
            diagnostic.message = message.to_owned();
        }
        if message_suggests(&diagnostic) {
            return diagnostic;
        }
        let maps = self.maps.iter().map(|map| map.name.as_str());
        if let Some(suggestion) = did_you_mean(&near(name, maps)) {
            return diagnostic.help(suggestion);
        }
        if let Some(header) = template::header_of(name) {
            // Where it is not seen that the text uses the name: `##` made it, or it stands for a member elsewhere.
            return diagnostic.help(format!("`#include <{header}>` has `{name}`"));
        }
        if self.kernel.has_function(name) {
            return diagnostic.note(format!(
                "`{name}` is a function of the kernel; a probe can call BPF's helpers (`bpf_…`) and functions of its own"
            ));
        }
        let is_call = diagnostic.message.starts_with("call to");
        let diagnostic =
            diagnostic.note(format!("`{name}` is neither in the probe nor in dbcc's headers nor in the kernel's BTF"));
        let enumerators = self.kernel.enumerators();
        let known = template::names().map(|name| -> &str { name }).chain(enumerators.iter().map(String::as_str));
        if let Some(suggestion) = did_you_mean(&near_of_many(name, known)) {
            return diagnostic.help(suggestion);
        }
        if is_call {
            return diagnostic.help(format!(
                "if the kernel's headers have it, write it in the probe: `static inline …` or `#define {name}(…) …`"
            ));
        }
        if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return diagnostic;
        }
        diagnostic.help(format!(
            "if it is a macro of the kernel's headers, write `#define {name} VALUE`, or give `-D {name}=VALUE`"
        ))
    }
}

/// Replaces a name where it stands for itself.
fn replace_word(text: &str, name: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(name) {
        let inside = behind.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        out.push_str(before);
        out.push_str(if inside { name } else { by });
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Whether clang itself has a suggestion.
fn message_suggests(diagnostic: &Diagnostic) -> bool {
    diagnostic.message.contains("did you mean")
}

/// A message of clang's in the style of those here: it starts in lower case, and names neither the private folder that
/// the text is parsed in nor the `typeof` that map macros put around types.
fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(" at /") {
        // `(unnamed struct at /…/probe.c:5:29)`
        out.push_str(before);
        let (place, end) = behind.split_once(')').map_or((behind, ""), |(place, end)| (place, end));
        let line = place.rsplit(':').nth(1).unwrap_or_default();
        if !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit()) && behind.len() > end.len() {
            out.push_str(&format!(" of line {line})"));
        } else {
            out.push_str(" at /");
            out.push_str(behind.strip_suffix(end).unwrap_or(behind));
        }
        rest = end;
    }
    out.push_str(rest);
    while let Some((before, behind)) = out.split_once("typeof(") {
        let Some((ty, end)) = behind.split_once(')') else { break };
        out = format!("{before}{ty}{end}");
    }
    let mut letters = out.chars();
    match letters.next() {
        // Not where it is a name or an abbreviation.
        Some(first) if letters.clone().next().is_some_and(|second| second.is_ascii_lowercase()) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_what_the_user_knows() {
        let check = |text: &str, expect: &str| assert_eq!(readable(text), expect);
        check("Too few arguments", "too few arguments");
        check("ISO C99 and later", "ISO C99 and later");
        check(
            "passing 'struct (unnamed struct at /tmp/x/probe.c:5:29) *' to 'typeof(u32) *'",
            "passing 'struct (unnamed struct of line 5) *' to 'u32 *'",
        );
        check("look at /dev/null for it", "look at /dev/null for it");
        check("typeof(", "typeof(");
    }
}
