//! Arguments of USDT probes.

use crate::diag::Diagnostic;
use crate::source::Span;

use super::super::program::Role;
use super::super::tree::{FunctionId, NodeId};
use super::super::{Output, Probe, slice, usdt};
use super::Rule;

/// The most arguments of a USDT probe, in `<sys/sdt.h>` and in libbpf's usdt.bpf.h.
const MOST_ARGUMENTS: usize = 12;

/// The row.
pub(super) struct Usdt;

impl Rule for Usdt {
    fn name(&self) -> &'static str {
        "USDT arguments"
    }

    fn documentation(&self) -> &'static str {
        "`bpf_usdt_readarg(N, ctx, &variable)` reads argument N, from 1, of the USDT probe that the function is attached to, \
         converted to the variable's size, and `bpf_usdt_readarg_p(N, ctx, buffer, size)` the process's memory that it points \
         to; both may stand in functions that get the context, which they may not in BCC, and return an error below 0 where \
         the probe has no such argument. The parameters behind the context are bound to the arguments (BCC binds them to \
         registers, where they are not). A function that reads them and is not attached is compiled as a program for a USDT \
         probe."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(starts, u64, u64);\n\
         int on_start(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 id = 0;\n\
         \x20   char query[64];\n\
         \n\
         \x20   bpf_usdt_readarg(2, ctx, &id);\n\
         \x20   bpf_usdt_readarg_p(1, ctx, &query, sizeof(query));\n\
         \x20   if (query[0] == 'S')\n\
         \x20       starts.increment(id);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (call, _) in probe.tree.all() {
            let Some((span, number, first)) = written_number(probe, call) else { continue };
            if !(first..first + MOST_ARGUMENTS).contains(&number) {
                let last = first + MOST_ARGUMENTS - 1;
                let message = format!("a USDT probe has no argument {number} here: they are {first} to {last}");
                output.messages.push(Diagnostic::error(message, span));
            }
        }
        let readers = usdt::readers(probe.tree);
        for id in readers {
            let Role::Programs(uses) = probe.roles.of(id) else { continue };
            let Some(function) = probe.tree.function(id) else { continue };
            let name = &function.name;
            let place = function.name_span.unwrap_or(function.span);
            if let Some(other) = uses.iter().find(|program| program.kind.name() != usdt::KIND) {
                let kind = other.kind.name();
                let message = format!("`{name}` reads arguments of a USDT probe, and is attached to a {kind}");
                let mut message = Diagnostic::error(message, place);
                let call = probe.tree.nodes_of(id).find(|(call, _)| usdt::is_use(probe.tree, *call));
                if let Some(span) = call.and_then(|(_, node)| node.span) {
                    message = message.label(span, "here");
                }
                output.messages.push(message.help(format!(
                    "attach it with `usdt:BINARY:PROVIDER:NAME={name}`, or read the arguments of a {kind} by parameters \
                     behind its context or PT_REGS_PARM1(ctx) and so on"
                )));
            } else if uses.iter().all(|program| program.targets.is_empty()) {
                let message = format!("function `{name}` is for a USDT probe, and is not attached to any");
                output.messages.push(Diagnostic::warning(message, place).help(format!(
                    "attach it with `//@ attach usdt:BINARY:PROVIDER:NAME = {name}` in the probe or `--attach \
                     usdt:BINARY:PROVIDER:NAME={name}`"
                )));
            }
        }
    }
}

/// How many arguments the probe must have that a function is attached to: as many as it has parameters for, and as the
/// numbers say that it reads itself.
pub(super) fn arguments(probe: &Probe<'_, '_>, id: FunctionId) -> Option<u32> {
    let tree = probe.tree;
    let bound = tree.function(id)?.parameters.len().saturating_sub(1);
    let numbers = tree.nodes_of(id).filter_map(|(call, _)| {
        let (_, number, first) = written_number(probe, call)?;
        number.checked_add(1)?.checked_sub(first)
    });
    u32::try_from(numbers.fold(bound, usize::max)).ok().filter(|count| *count > 0)
}

/// The number of the argument that a call reads, with its place and the number of the first one. One that is computed is
/// checked when the program runs.
fn written_number(probe: &Probe<'_, '_>, call: NodeId) -> Option<(Span, usize, usize)> {
    let (number, first) = usdt::number(probe.tree, call)?;
    let span = probe.tree.span(number)?;
    Some((span, slice(probe.text, span).trim().parse().ok()?, first))
}
