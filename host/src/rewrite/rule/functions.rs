//! Functions that programs call.

use crate::diag::Diagnostic;
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
        "Functions that programs of BCC's style call are inlined always, `static` or not, unless they say `noinline`. A \
         function that is neither `static` nor called nor attached is compiled, and a warning says how to attach it."
    }

    fn example(&self) -> &'static str {
        "static int twice(int x) { return 2 * x; }\n\
         int thrice(int x) { return twice(x) + x; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx) { return thrice(1) == 3; }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (id, function) in probe.tree.functions() {
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
    output.edits.open(function.span, text);
    for (prototype, _) in &function.prototypes {
        output.edits.open(*prototype, text);
    }
}
