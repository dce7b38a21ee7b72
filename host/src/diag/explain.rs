//! What clang's messages mean for a BPF program, and what to do.

use super::{Diagnostic, Severity};
use crate::source::Span;

/// A message of clang's about the probe as a message of ours: its suggestion as help, what BPF or the missing kernel
/// headers have to do with it as notes.
pub fn from_clang(severity: Severity, message: &str, span: impl Into<Option<Span>>) -> Diagnostic {
    let (message, suggestion) = match message.split_once("; did you mean ") {
        Some((message, suggestion)) => (message, Some(format!("did you mean {suggestion}"))),
        None => (message, None),
    };
    let message = backquoted(without_flag(message));
    let mut diagnostic = Diagnostic::new(severity, String::new(), span);
    diagnostic.help.extend(suggestion.map(|suggestion| backquoted(without_flag(&suggestion))));
    for rule in RULES {
        if let Some(rest) = message.strip_prefix(rule.start) {
            let subject = rest.split('`').next().unwrap_or_default();
            (rule.explain)(&mut diagnostic, subject, rest);
        }
    }
    if message.ends_with("` file not found") {
        diagnostic.notes.push(
            "a probe is compiled without the headers of the system: those of the kernel (`linux/…`, `net/…`, `bcc/…`), \
             libbpf's (`bpf/…`) and those beside the probe, in quotes, are there"
                .into(),
        );
    }
    if diagnostic.message.is_empty() {
        diagnostic.message = message;
    }
    diagnostic
}

/// How one of clang's messages is explained.
struct Rule {
    /// How the message starts, with backquotes.
    start: &'static str,
    /// Adds to the message: what is quoted first, and all of the rest.
    explain: fn(&mut Diagnostic, &str, &str),
}

const RULES: &[Rule] = &[
    Rule { start: "call to undeclared function `", explain: undeclared_function },
    Rule { start: "use of undeclared identifier `", explain: undeclared_name },
    Rule { start: "use of undeclared label `", explain: |_, _, _| {} },
    Rule { start: "unknown type name `", explain: unknown_type },
    Rule { start: "variable has incomplete type `", explain: incomplete },
    Rule { start: "incomplete definition of type `", explain: incomplete },
    Rule { start: "invalid application of `sizeof` to an incomplete type `", explain: incomplete },
    Rule { start: "field has incomplete type `", explain: incomplete },
    Rule { start: "no member named `", explain: no_member },
    Rule { start: "A call to built-in function `", explain: built_in },
    Rule { start: "Looks like the BPF stack limit is exceeded", explain: |diagnostic, _, _| stack(diagnostic) },
    Rule { start: "unsupported dynamic stack allocation", explain: |diagnostic, _, _| dynamic_stack(diagnostic) },
    Rule { start: "stack arguments are not supported", explain: |diagnostic, _, _| arguments(diagnostic) },
    Rule { start: "too many args", explain: |diagnostic, _, _| arguments(diagnostic) },
    Rule { start: "pass by value not supported", explain: |diagnostic, _, _| by_value(diagnostic) },
    Rule { start: "aggregate returns are not supported", explain: |diagnostic, _, _| by_value(diagnostic) },
    Rule { start: "only integer returns supported", explain: |diagnostic, _, _| by_value(diagnostic) },
    Rule { start: "only small returns supported", explain: |diagnostic, _, _| by_value(diagnostic) },
];

fn undeclared_function(diagnostic: &mut Diagnostic, subject: &str, _: &str) {
    diagnostic.message = format!("there is no function `{subject}`");
    let known = if subject.starts_with("bpf_") {
        "no helper of that name is known to the libbpf that dbcc was built with"
    } else {
        "a BPF program calls BPF helpers (`bpf_…`), functions of the probe, and compiler built-ins (`__builtin_…`); \
         functions of the kernel or of a C library are not there"
    };
    diagnostic.notes.push(known.into());
}

fn undeclared_name(diagnostic: &mut Diagnostic, subject: &str, _: &str) {
    diagnostic.message = format!("there is no `{subject}`");
    if subject.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_') {
        diagnostic.notes.push(format!(
            "types and enumerators come from the running kernel's BTF, common macros from dbcc; `{subject}` is in neither"
        ));
        diagnostic.help.push(format!("give it a value with `#define {subject} …` or `-D {subject}=…`"));
    }
}

fn unknown_type(diagnostic: &mut Diagnostic, subject: &str, _: &str) {
    diagnostic.message = format!("there is no type `{subject}`");
    diagnostic.notes.push("neither the probe nor the running kernel (by its BTF) has a type of that name".into());
}

fn incomplete(diagnostic: &mut Diagnostic, subject: &str, _: &str) {
    if let Some((category, name)) =
        subject.strip_prefix("struct tracepoint__").and_then(|rest| rest.trim_end_matches([' ', '*']).split_once("__"))
    {
        diagnostic.message = format!("this kernel has no tracepoint `{category}:{name}`");
        diagnostic.notes.push(format!("`#ifdef DBCC_HAVE_TRACEPOINT__{category}__{name}` lets a probe do without it"));
        return;
    }
    diagnostic.message = format!("this kernel has no `{subject}`");
    diagnostic.notes.push("the probe only declares it, and the running kernel's BTF does not define it".into());
}

fn no_member(diagnostic: &mut Diagnostic, subject: &str, rest: &str) {
    let owner = rest.split('`').nth(2).unwrap_or_default();
    diagnostic.message = format!("`{owner}` has no member `{subject}`");
}

fn built_in(diagnostic: &mut Diagnostic, subject: &str, _: &str) {
    let float = subject.ends_with("df2")
        || subject.ends_with("sf2")
        || ["float", "fix", "__adddf", "__subdf", "__muldf", "__divdf", "sf3", "df3"]
            .iter()
            .any(|part| subject.contains(part));
    if float {
        diagnostic.message = "BPF has no floating point".into();
        diagnostic.notes.push(format!("the compiler asked for its routine `{subject}`"));
        diagnostic.help.push("calculate with integers: scale first, divide last".into());
    } else if subject.starts_with("__") && subject.contains("ti") {
        diagnostic.message = "BPF cannot multiply or divide 128-bit integers".into();
        diagnostic.notes.push(format!("the compiler asked for its routine `{subject}`"));
    } else {
        diagnostic.message = format!("BPF has no function `{subject}`");
        diagnostic.notes.push(
            "the compiler expands it in place only where the size is a constant of up to 1024 bytes, and the result of a \
             comparison is only tested for equality"
                .into(),
        );
        diagnostic.help.push("use a constant size, or a loop with a constant bound".into());
    }
}

fn stack(diagnostic: &mut Diagnostic) {
    diagnostic.message = "the stack of a BPF program has 512 bytes, and this does not fit".into();
    diagnostic.help.push(STACK_HELP.into());
}

/// What to do about a stack that is too large.
pub(crate) const STACK_HELP: &str = "move the largest of them to a per-CPU array of one element \
     (`BPF_PERCPU_ARRAY(scratch, struct …, 1);`) and use it through the pointer that `lookup` returns";

fn dynamic_stack(diagnostic: &mut Diagnostic) {
    diagnostic.message = "BPF has no stack of variable size".into();
    diagnostic.help.push("give the array a constant size".into());
}

fn arguments(diagnostic: &mut Diagnostic) {
    diagnostic.message = "a BPF function takes at most five arguments".into();
    diagnostic.help.push("make it `static inline`, or pass a pointer to a struct".into());
}

fn by_value(diagnostic: &mut Diagnostic) {
    diagnostic.message = "a BPF function takes and returns single numbers and pointers only".into();
    diagnostic.help.push("make it `static inline`, or pass a pointer to the struct".into());
}

/// The message without the `[-Wname]` that clang appends.
fn without_flag(message: &str) -> &str {
    let message = message.trim_end();
    match message.rfind(" [-W") {
        Some(at) if message.ends_with(']') => message.get(..at).unwrap_or(message),
        _ => message,
    }
}

/// Clang's 'quotes' as the backquotes of all other messages; apostrophes stay.
fn backquoted(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    let mut open = false;
    let mut before = ' ';
    for (index, character) in message.char_indices() {
        let next = message.get(index + 1..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
        let opens = !open && character == '\'' && !before.is_alphanumeric();
        let closes = open && character == '\'' && !next.is_alphanumeric();
        if opens || closes {
            open = opens;
            out.push('`');
        } else {
            out.push(character);
        }
        before = character;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(clang: &str, expect: &str) {
        let found = from_clang(Severity::Error, clang, None);
        let notes = found.notes.iter().map(|note| format!("\n  note: {note}"));
        let help = found.help.iter().map(|help| format!("\n  help: {help}"));
        assert_eq!(found.message + &notes.chain(help).collect::<String>(), expect, "{clang}");
    }

    #[test]
    fn suggestions_become_help_and_quotes_are_ours() {
        check(
            "no member named 'skc_dadr' in 'struct sock_common'; did you mean 'skc_daddr'?",
            "`struct sock_common` has no member `skc_dadr`\n  help: did you mean `skc_daddr`?",
        );
        check(
            "incompatible pointer types passing 'int *' to parameter of type 'long *' [-Wincompatible-pointer-types]",
            "incompatible pointer types passing `int *` to parameter of type `long *`",
        );
        check("the probe's 'x' isn't 'y'", "the probe's `x` isn't `y`");
        check(
            "member reference type 'struct s *' is a pointer; did you mean to use '->'?",
            "member reference type `struct s *` is a pointer\n  help: did you mean to use `->`?",
        );
    }

    #[test]
    fn what_is_not_there_is_said_with_where_it_was_looked_for() {
        check(
            "call to undeclared function 'printk'; ISO C99 and later do not support implicit function declarations \
             [-Wimplicit-function-declaration]",
            "there is no function `printk`\n  note: a BPF program calls BPF helpers (`bpf_…`), functions of the probe, and \
             compiler built-ins (`__builtin_…`); functions of the kernel or of a C library are not there",
        );
        check(
            "use of undeclared identifier 'MAX_ORDER'",
            "there is no `MAX_ORDER`\n  note: types and enumerators come from the running kernel's BTF, common macros from \
             dbcc; `MAX_ORDER` is in neither\n  help: give it a value with `#define MAX_ORDER …` or `-D MAX_ORDER=…`",
        );
        check(
            "use of undeclared identifier 'pidd'; did you mean 'pid'?",
            "there is no `pidd`\n  help: did you mean `pid`?",
        );
        check(
            "incomplete definition of type 'struct tracepoint__sock__nope'",
            "this kernel has no tracepoint `sock:nope`\n  note: `#ifdef DBCC_HAVE_TRACEPOINT__sock__nope` lets a probe do \
             without it",
        );
        let text = from_clang(Severity::Error, "'stdio.h' file not found", None);
        assert_eq!((text.message.as_str(), text.notes.len()), ("`stdio.h` file not found", 1));
        check(
            "variable has incomplete type 'struct nope'",
            "this kernel has no `struct nope`\n  note: the probe only declares it, and the running kernel's BTF does not \
             define it",
        );
    }

    #[test]
    fn what_bpf_cannot_do_is_said_with_what_it_can() {
        check(
            "A call to built-in function '__muldf3' is not supported.",
            "BPF has no floating point\n  note: the compiler asked for its routine `__muldf3`\n  help: calculate with \
             integers: scale first, divide last",
        );
        check(
            "A call to built-in function '__multi3' is not supported.",
            "BPF cannot multiply or divide 128-bit integers\n  note: the compiler asked for its routine `__multi3`",
        );
        let text = from_clang(Severity::Error, "A call to built-in function 'memset' is not supported.", None);
        assert_eq!((text.message.as_str(), text.help.len()), ("BPF has no function `memset`", 1));
        check(
            "stack arguments are not supported",
            "a BPF function takes at most five arguments\n  help: make it `static inline`, or pass a pointer to a struct",
        );
    }
}
