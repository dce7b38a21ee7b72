//! Functions that programs call.

use crate::diag::Diagnostic;
use crate::lex::{Lexed, TokenKind};
use crate::source::Span;

use super::super::program::Role;
use super::super::tree::Function;
use super::super::{Output, Probe, slice};
use super::Rule;

/// The row.
pub(super) struct Functions;

impl Rule for Functions {
    fn name(&self) -> &'static str {
        "functions"
    }

    fn documentation(&self) -> &'static str {
        "Functions that programs of BCC's style call are inlined always, `static` or not, unless they say `noinline`; they \
         may not take any number of arguments. A \
         function that is neither `static` nor called nor attached is compiled, and a warning says how to attach it; where it \
         takes registers, `check --load` verifies it as a kprobe."
    }

    fn example(&self) -> &'static str {
        "static int twice(int x) { return 2 * x; }\n\
         int thrice(int x) { return twice(x) + x; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx) { return thrice(1) == 3; }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (id, function) in probe.tree.functions() {
            if !probe.roles.is_libbpf_style {
                possible(output, function);
            }
            match probe.roles.of(id) {
                Role::Helper if !probe.roles.is_libbpf_style => inline(probe, output, function),
                Role::Unattached if !probe.roles.is_libbpf_style => {
                    let name = &function.name;
                    output.messages.push(
                        Diagnostic::warning(
                            format!("function `{name}` is not attached to anything"),
                            function.name_span.unwrap_or(function.span),
                        )
                        .help(format!(
                            "attach it with `//@ attach KIND:TARGET = {name}` in the probe or `--attach \
                             KIND:TARGET={name}`, or name it by BCC's convention (`kprobe__tcp_sendmsg`)"
                        )),
                    );
                }
                _ => {}
            }
        }
    }
}

fn inline(probe: &Probe<'_, '_>, output: &mut Output, function: &Function<'_>) {
    let body = probe.tree.span(function.body).map_or(function.span.end, |body| body.start);
    let head = slice(probe.text, Span::new(function.span.start, body));
    // What stands in a macro's body before the name is not seen here; an attribute that is there twice does no harm.
    if head.contains("noinline") {
        return;
    }
    // libbpf's macros (BPF_PROG, BPF_USDT, …) make `____NAME`, inlined always, of the program NAME.
    if function.name.starts_with("____") && function.name_span.is_none() {
        return;
    }
    let text = if function.is_static { "__always_inline " } else { "static __always_inline " };
    for span in std::iter::once(function.span).chain(function.prototypes.iter().map(|(span, _)| *span)) {
        match external(slice(probe.text, span)) {
            Some(word) => {
                let word = Span::new(span.start + word.start, span.start + word.end);
                output.edits.replace(word, span, text.trim_end());
            }
            None => output.edits.open(span, text),
        }
    }
}

/// Where a declaration says `extern`, which a function that is inlined is not.
fn external(declaration: &str) -> Option<Span> {
    let lexed = Lexed::new(declaration);
    let head = lexed.tokens().iter().take_while(|token| token.kind != TokenKind::Punctuation(b'('));
    head.filter(|token| token.kind == TokenKind::Identifier)
        .find(|token| lexed.spelling(token) == "extern")
        .map(|token| token.span)
}

/// Refuses what BPF cannot have, before a compiler says so in its own terms.
fn possible(output: &mut Output, function: &Function<'_>) {
    let place = function.name_span.unwrap_or(function.span);
    if function.is_variadic {
        let message = format!("`{}` takes any number of arguments, which BPF does not have", function.name);
        output.messages.push(Diagnostic::error(message, place).help("make it a macro: `#define f(first, ...) …`"));
    }
}
