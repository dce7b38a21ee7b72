//! Stacks that are nearly full.

use crate::diag::Diagnostic;
use crate::facts::{Facts, StackUse};

use super::Lint;

/// The row.
pub(super) struct NearStackLimit;

/// Size of the stack, in bytes (`MAX_BPF_STACK`, include/linux/filter.h).
const LIMIT: u64 = 512;

/// So many bytes are near the limit: one more buffer, or a compiler that keeps a few registers more, and it is passed.
const NEAR: u64 = LIMIT - LIMIT / 8;

impl Lint for NearStackLimit {
    fn name(&self) -> &'static str {
        "near-stack-limit"
    }

    fn summary(&self) -> &'static str {
        "a program has less than 64 of its 512 bytes of stack left, or none"
    }

    fn explanation(&self) -> &'static str {
        "A program has 512 bytes of stack, with all functions that it calls: where they are not inlined, the verifier adds up \
         the frames along each chain of calls, each rounded up to 32 bytes. What is larger is refused. A program that is \
         near the limit is refused after a small change, or with another version of clang.\n\n\
         Keep large structs in an entry of a BPF_PERCPU_ARRAY, or hand them over with ringbuf_reserve, which takes no \
         stack. `dbcc check` shows for each program how many bytes it has on the stack."
    }

    fn example(&self) -> &'static str {
        "struct data_t { char text[456]; };\n\
         BPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct data_t data = {};\n\
         \n\
         \x20   bpf_get_current_comm(&data.text, sizeof(data.text));\n\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        "struct data_t { char text[456]; };\n\
         BPF_PERF_OUTPUT(events);\n\
         BPF_PERCPU_ARRAY(scratch, struct data_t, 1);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   int zero = 0;\n\
         \x20   struct data_t *data = scratch.lookup(&zero);\n\
         \n\
         \x20   if (!data)\n\
         \x20       return 0;\n\
         \x20   bpf_get_current_comm(&data->text, sizeof(data->text));\n\
         \x20   events.perf_submit(ctx, data, sizeof(*data));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn weigh(&self, stacks: &[StackUse], facts: &Facts) -> Vec<Diagnostic> {
        let programs = facts.programs.iter().filter_map(|program| {
            let of = |name: &str| stacks.iter().find(|stack| stack.function == name);
            let forms = program.forms.iter().filter_map(|form| of(&form.program));
            let most = forms.max_by_key(|stack| stack.total).filter(|stack| stack.total > NEAR)?;
            let name = &program.function;
            let message = if most.total > LIMIT {
                format!("`{name}` and what it calls have {} bytes on the stack, and {LIMIT} is the most", most.total)
            } else {
                format!("`{name}` has {} of {LIMIT} bytes on the stack", most.total)
            };
            let mut diagnostic = Diagnostic::warning(message, program.span);
            if let [_, _, ..] = most.chain.as_slice() {
                let frame = |name: &String| format!("`{name}` {}", of(name).map_or(0, |stack| stack.frame));
                // The program has a name of dbcc's; the user's is known.
                let first = format!("`{name}` {}", most.frame);
                let frames: Vec<String> = std::iter::once(first).chain(most.chain.iter().skip(1).map(frame)).collect();
                diagnostic = diagnostic.note(format!(
                    "these are the frames of a chain of calls, each rounded up to 32 bytes: {}",
                    frames.join(", ")
                ));
            }
            Some(diagnostic.help(
                "move its largest variable to a per-CPU array of one element (`BPF_PERCPU_ARRAY(scratch, struct …, 1);`), \
                 or hand it over with ringbuf_reserve",
            ))
        });
        programs.collect()
    }
}
