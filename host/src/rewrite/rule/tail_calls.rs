//! Functions that `array.call(ctx, index)` runs.

use crate::diag::{Diagnostic, did_you_mean, near};

use super::super::program::Role;
use super::super::{Output, Probe};
use super::Rule;

/// The row.
pub(super) struct TailCalls;

impl Rule for TailCalls {
    fn name(&self) -> &'static str {
        "tail calls"
    }

    fn documentation(&self) -> &'static str {
        "`array.call(ctx, index)` runs the program that is in a `BPF_PROG_ARRAY`. A line `//@ tail_call ARRAY[INDEX] = \
         FUNCTION` puts it there before anything is attached, where BCC does that in Python. The function is a program of \
         the kind of those that call it."
    }

    fn example(&self) -> &'static str {
        "//@ tail_call steps[1] = second\n\
         BPF_PROG_ARRAY(steps, 2);\n\
         BPF_HASH(seen, u32, u64);\n\
         int second(struct pt_regs *ctx) { seen.increment(2); return 0; }\n\
         int kprobe__vfs_read(struct pt_regs *ctx) { steps.call(ctx, 1); seen.increment(1); return 0; }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for call in probe.tail_calls {
            if let Err(error) = check(probe, call) {
                output.messages.push(error);
            }
        }
    }
}

fn check(probe: &Probe<'_, '_>, call: &crate::facts::TailCall) -> Result<(), Diagnostic> {
    let (array, function) = (&call.array, &call.function);
    let suggested = |error: Diagnostic, near: Vec<&str>| match did_you_mean(&near) {
        Some(suggestion) => error.help(suggestion),
        None => error,
    };
    // In libbpf's style, by its number.
    let is_array = |kind: &str| matches!(kind, "prog" | "3");
    match probe.maps.iter().find(|map| map.name == *array) {
        Some(map) if is_array(&map.kind) => {}
        Some(map) => {
            return Err(Diagnostic::error(format!("map `{array}` ({}) holds no programs", map.kind), call.span)
                .help(format!("declare it as BPF_PROG_ARRAY({array}, SIZE)")));
        }
        None => {
            let arrays = probe.maps.iter().filter(|map| is_array(&map.kind)).map(|map| map.name.as_str());
            let error = Diagnostic::error(format!("the probe has no map `{array}`"), call.span);
            return Err(suggested(error, near(array, arrays)));
        }
    }
    let Some(id) = probe.tree.function_named(function) else {
        let names = probe.tree.functions().map(|(_, function)| function.name.as_str());
        let error = Diagnostic::error(format!("the probe has no function `{function}`"), call.span);
        return Err(suggested(error, near(function, names)));
    };
    if matches!(probe.roles.of(id), Role::Programs(_) | Role::Section(_)) {
        return Ok(());
    }
    let kinds: Vec<&str> = probe.tails.kinds_of(id).collect();
    Err(match kinds.as_slice() {
        [] => Diagnostic::error(
            format!("which kind of program `{function}` is cannot be told: no program calls `{array}`"),
            call.span,
        )
        .help(format!("call it, as in `{array}.call(ctx, INDEX);`, in a function that is attached")),
        kinds => Diagnostic::error(
            format!("`{function}` would be a program of several kinds: {}", kinds.join(", ")),
            call.span,
        )
        .note("an array holds programs of one type")
        .help("use an array and a function for each"),
    })
}
