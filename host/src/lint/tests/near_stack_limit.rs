use super::{check, compiled, compiled_for, instructions, number};

const LINT: &str = "near-stack-limit";

fn probe(size: usize) -> String {
    format!(
        "struct data_t {{ char text[{size}]; }};\nBPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n{{\n    struct data_t data = {{}};\n\
         \x20   bpf_get_current_comm(&data.text, sizeof(data.text));\n\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n    return 0;\n}}\n"
    )
}

#[test]
fn frames_near_the_limit() {
    check(LINT, &probe(504), &["kprobe:vfs_read=kprobe__vfs_read"], &["kprobe__vfs_read"]);
    check(LINT, &probe(400), &["kprobe:vfs_read=kprobe__vfs_read"], &[]);
}

/// A program that submits what it computed field by field.
fn fields(ty: &str, count: usize) -> String {
    let each: String = (0..count).map(|field| format!("    data[{field}] = now >> {field};\n")).collect();
    format!(
        "BPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n{{\n    u64 now = bpf_ktime_get_ns();\n    {ty} data[{count}];\n{each}\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n    return 0;\n}}\n"
    )
}

/// What works with a perf buffer is not refused for what a ring buffer needs.
#[test]
fn a_ring_buffer_needs_no_more_stack_than_a_perf_buffer() {
    let of_bytes = [16, 104, 128, 136, 504].map(probe);
    let of_fields =
        [("u8", 16), ("u8", 17), ("u16", 8), ("u32", 16), ("u32", 20), ("u64", 4), ("u64", 16), ("u64", 60)];
    for text in of_bytes.into_iter().chain(of_fields.map(|(ty, count)| fields(ty, count))) {
        let frame = |ringbuf| {
            let (_, found) = compiled_for(&text, &["kprobe:vfs_read=kprobe__vfs_read"], ringbuf);
            assert_eq!(found.facts.maps[0].stamped, ringbuf);
            let form = &found.facts.programs[0].forms.last().unwrap().program;
            found.stacks.iter().find(|stack| stack.function == *form).unwrap().frame
        };
        let (perf, ring) = (frame(false), frame(true));
        assert!(ring <= perf, "{ring} bytes, and {perf} with a perf buffer: {text}");
    }
}

/// A program that calls a function, both with so much on the stack.
fn chain(size: usize) -> String {
    format!(
        "BPF_PERF_OUTPUT(events);\n\
         __attribute__((noinline)) int below(struct pt_regs *ctx)\n{{\n    char text[{size}] = {{}};\n\
         \x20   bpf_get_current_comm(&text, sizeof(text));\n    events.perf_submit(ctx, &text, sizeof(text));\n\
         \x20   return text[1];\n}}\n\
         int f(struct pt_regs *ctx)\n{{\n    char text[{size}] = {{}};\n\
         \x20   bpf_get_current_comm(&text, sizeof(text));\n    events.perf_submit(ctx, &text, sizeof(text));\n\
         \x20   return below(ctx) + text[1];\n}}\n"
    )
}

#[test]
fn frames_of_a_chain_are_added_up() {
    let attached = &["uprobe:/bin/true:main=f"];
    check(LINT, &chain(200), attached, &[]);
    check(LINT, &chain(240), attached, &["f"]);
    let (_, found) = compiled(&chain(240), attached);
    let stack = found.stacks.iter().find(|stack| stack.chain.len() == 2).unwrap();
    assert_eq!(stack.chain.last().map(String::as_str), Some("below"));
    assert_eq!(stack.total, stack.frame.next_multiple_of(32) + 256, "{stack:?}");
    let note = &found.lints[0].diagnostic.notes[0];
    assert!(note.contains("`f` 2") && note.contains("`below` 2"), "{note}");
}

/// The bytes that a function's own instructions use below the frame pointer, by the disassembler: an offset on its own, or
/// one that is added to a copy of it.
fn disassembled(elf: &[u8], function: &str) -> i64 {
    let mut copies: Vec<String> = Vec::new();
    let mut most = 0;
    for line in instructions(elf, function) {
        if let Some((_, rest)) = line.split_once("(r10 - ") {
            most = most.max(number(rest));
        } else if let Some((to, "r10")) = line.split_once(" = ") {
            copies.push(to.to_owned());
        } else if let Some((to, rest)) = line.split_once(" += -")
            && copies.iter().any(|copy| copy == to)
        {
            most = most.max(number(rest));
        }
    }
    most
}

#[test]
fn sizes_of_frames_are_those_of_the_instructions() {
    for size in [24, 200, 240] {
        let (_, found) = compiled(&chain(size), &["uprobe:/bin/true:main=f"]);
        for function in ["below", "f"] {
            let form = if function == "f" { found.facts.programs[0].forms[0].program.as_str() } else { function };
            let stack = found.stacks.iter().find(|stack| stack.function == form).unwrap();
            assert_eq!(i64::try_from(stack.frame).unwrap(), disassembled(&found.elf, form), "{form}");
        }
    }
}
