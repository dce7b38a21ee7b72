//! The verifier's reasons (kernel/bpf/verifier.c, Linux 5.10 to 7.0), in words and with what to do.

/// A reason, explained.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Explained<'a> {
    /// The line of the log that says it.
    pub(super) said: &'a str,
    /// What is wrong.
    pub(super) what: String,
    /// What to do.
    pub(super) help: String,
}

/// One kind of reason.
struct Rule {
    /// All of these occur in the line.
    has: &'static [&'static str],
    /// What it means; `{}` is the part of the line that `part` finds.
    what: &'static str,
    /// What to do.
    help: &'static str,
    part: fn(&str) -> Option<String>,
}

const fn rule(has: &'static [&'static str], what: &'static str, help: &'static str) -> Rule {
    Rule { has, what, help, part: |_| None }
}

/// The helper that a line names: `bpf_x` of `bpf_x#12`.
fn helper(line: &str) -> Option<String> {
    let name = line.split_whitespace().find_map(|word| word.split_once('#'))?.0;
    Some(format!("`{name}`"))
}

/// How far an access reaches: `value_size=64 off=70 size=1`.
fn extent(line: &str) -> Option<String> {
    let value = |key: &str| {
        let rest = line.split_once(key)?.1;
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != '-').unwrap_or(rest.len());
        rest.get(..end)
    };
    let whole = value("value_size=").or_else(|| value("mem_size="))?;
    let (offset, size) = (value(" off=")?, value(" size=")?);
    Some(format!("of {whole} bytes: {size} at offset {offset}"))
}

const CHECK_NULL: &str = "test it first: `if (!value) return 0;`";
const READ: &str = "read it by `bpf_probe_read_kernel` (kernel memory) or `bpf_probe_read_user` (the process's memory); for \
                    what dbcc knows to be a kernel pointer, `->` does that by itself";
const BOUND: &str = "bound it just before: `if (index >= sizeof(array)) return 0;`, or `index &= sizeof(array) - 1;` where \
                     the size is a power of two";

/// The rows; the first that fits is taken.
const RULES: &[Rule] = &[
    rule(
        // BPF_JMP | BPF_CALL | BPF_X, which no kernel knows.
        &["unknown opcode 8d"],
        "it calls a function through a pointer",
        "call the function by its name: `if (which) f(x); else g(x);`",
    ),
    rule(
        &["failed to resolve CO-RE relocation"],
        "the running kernel has no such field or type",
        "`bpf_core_field_exists(…)` asks for it",
    ),
    rule(
        &["invalid mem access 'map_value_or_null'"],
        "the pointer that `lookup` returned may be NULL here",
        CHECK_NULL,
    ),
    rule(
        &["invalid mem access 'ringbuf_mem_or_null'"],
        "the pointer that reserving returned may be NULL here",
        CHECK_NULL,
    ),
    rule(&["invalid mem access '", "_or_null"], "this pointer may be NULL here", CHECK_NULL),
    rule(
        &["pointer arithmetic on ", "_or_null prohibited"],
        "this pointer may be NULL here, so it cannot be calculated with",
        CHECK_NULL,
    ),
    rule(&["invalid mem access 'scalar'"], "this is read through a pointer that the kernel cannot trust", READ),
    rule(&["invalid mem access 'inv'"], "this is read through a pointer that the kernel cannot trust", READ),
    rule(&["invalid mem access 'untrusted_ptr"], "this is read through a pointer that may be stale", READ),
    rule(&["invalid mem access 'ctx'"], "the context cannot be used like this", "use its fields one by one"),
    rule(
        &["invalid indirect read from stack"],
        "bytes are passed on that were never written, such as the padding of a struct",
        "clear it first: `struct … name = {};` or `__builtin_memset(&name, 0, sizeof(name));`",
    ),
    rule(
        &["invalid read from stack"],
        "bytes of the stack are read that were never written",
        "give the variable a value first: `struct … name = {};`",
    ),
    rule(&["invalid write to stack"], "this writes outside the variable, or outside the 512 bytes of the stack", BOUND),
    rule(&["invalid stack type"], "this reaches outside the variable on the stack", BOUND),
    rule(
        &["invalid unbounded variable-offset", "stack"],
        "an array on the stack is indexed by a number without bounds",
        BOUND,
    ),
    rule(
        &["variable", "stack access prohibited"],
        "an array on the stack is indexed by a number that is not constant",
        "move the array to a per-CPU array map, or unroll the loop with `#pragma unroll`",
    ),
    rule(
        &["combined stack size of"],
        "the functions that call one another here need more than 512 bytes of stack together",
        "move the largest variables to a per-CPU array (`BPF_PERCPU_ARRAY`), or let fewer functions call one another",
    ),
    rule(
        &["R0 !read_ok"],
        "the end of the function is reached without a return value",
        "return a value on every way out",
    ),
    rule(
        &["!read_ok"],
        "a value is used that was never set on some way to here",
        "give the variable a value where it is declared, and return a value on every way out",
    ),
    rule(
        &["Unreleased reference"],
        "something that was reserved or acquired is not given back on some way out",
        "submit or discard (ring buffer), or release, before every `return`",
    ),
    Rule {
        has: &["unknown func"],
        what: "this kernel does not have the helper {}, or not for this kind of program",
        help: "see `bpftool feature probe` for the helpers of each program type",
        part: helper,
    },
    Rule {
        has: &["program of this type cannot use helper"],
        what: "this kind of program may not call {}",
        help: "attach the function by another kind, or use another helper",
        part: helper,
    },
    Rule {
        has: &["invalid func unknown#"],
        what: "this kernel does not have the helper {}, or not for this kind of program",
        help: "see `bpftool feature probe` for the helpers of each program type",
        part: helper,
    },
    rule(
        &["cannot call GPL-restricted function"],
        "the helper is only for programs under the GPL",
        "declare it: `char LICENSE[] SEC(\"license\") = \"GPL\";`",
    ),
    rule(&["back-edge from insn"], "this kernel takes no loops", "unroll it: `#pragma unroll` and a constant bound"),
    rule(
        &["infinite loop detected"],
        "the loop may never end",
        "give it a bound that the compiler can see: `for (int i = 0; i < 64; i++)`",
    ),
    rule(
        &["BPF program is too large"],
        "the program is too long to verify: more than a million instructions on all its ways",
        "use smaller bounds of loops, fewer branches in them, or `bpf_loop`",
    ),
    rule(
        &["The sequence of", "jumps is too complex"],
        "the program branches too much to verify",
        "use smaller bounds of loops, or fewer branches in them",
    ),
    Rule {
        has: &["invalid access to map value"],
        what: "this reaches outside the value of the map {}",
        help: BOUND,
        part: extent,
    },
    Rule {
        has: &["invalid access to memory"],
        what: "this reaches outside the memory that the pointer is for {}",
        help: BOUND,
        part: extent,
    },
    rule(
        &["math between", "pointer and register with unbounded min value"],
        "a pointer is moved by a number that may be anything",
        BOUND,
    ),
    rule(
        &["min value is negative"],
        "a size or an index may be negative here",
        "make it unsigned, and bound it: `if (size > sizeof(buffer)) size = sizeof(buffer);`",
    ),
    rule(&["unbounded memory access"], "a size or an index has no upper bound here", BOUND),
    rule(
        &["min value is outside of the allowed memory range"],
        "this reaches outside the memory that the pointer is for",
        BOUND,
    ),
    rule(
        &["max value is outside of the allowed memory range"],
        "this may reach outside the memory that the pointer is for",
        BOUND,
    ),
    rule(&["invalid access to packet"], "this may reach outside the packet", "compare with `data_end` first"),
    rule(&["invalid zero-sized read"], "a size may be 0 here", "test it first, or raise it to at least 1"),
    rule(
        &["invalid bpf_context access"],
        "the context has no such field for this kind of program",
        "see what the attach kind hands over",
    ),
    rule(
        &["dereference of modified ctx ptr"],
        "the context is used through a pointer that was calculated with",
        "use its fields directly: `ctx->…`",
    ),
    rule(
        &["misaligned"],
        "a number is read or written at an address that is no multiple of its size",
        "order the fields so that each is aligned, or copy by `__builtin_memcpy`",
    ),
    rule(&["should have been in"], "the program returns a value that this kind of program must not return", "return 0"),
    rule(
        &["doesn't have", "-th argument"],
        "the kernel function has fewer arguments",
        "compare with its declaration in the kernel's source",
    ),
    rule(&["leaks addr"], "an address of the kernel would be handed out", "store what it points to, not the pointer"),
    rule(
        &["expected=fp"],
        "a helper is given something that is no pointer to a variable of the program",
        "copy it to a variable first and pass that variable's address",
    ),
    rule(
        &["type=", "expected="],
        "a helper is given a pointer to the wrong kind of memory",
        "copy what it points to into a variable first and pass that variable's address",
    ),
    rule(
        &["bpf_spin_lock"],
        "a spin lock is not used as it must be",
        "unlock before every `return`, and call nothing meanwhile",
    ),
    rule(&["R0 invalid return"], "the program returns a value that this kind of program must not return", "return 0"),
];

/// The explanation of the first row that knows one of the lines.
pub(super) fn explain<'a>(reasons: &[&'a str]) -> Option<Explained<'a>> {
    let (rule, said) = RULES.iter().find_map(|rule| {
        let fits = |line: &&&str| rule.has.iter().all(|part| line.contains(part));
        Some((rule, *reasons.iter().find(fits)?))
    })?;
    let part = (rule.part)(said).unwrap_or_default();
    let what = rule.what.replace("{}", &part).trim_end().replace("  ", " ").replace(" ,", ",");
    Some(Explained { said, what, help: rule.help.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_reached() {
        for (index, rule) in RULES.iter().enumerate() {
            let line = rule.has.join(" ");
            let first = RULES.iter().position(|other| other.has.iter().all(|part| line.contains(part)));
            assert_eq!(first, Some(index), "`{line}` is taken by an earlier row");
            assert!(!rule.what.is_empty() && !rule.help.is_empty());
        }
    }

    #[test]
    fn parts_of_the_line_are_named() {
        let check = |line: &str, expect: &str| assert_eq!(explain(&["x", line]).unwrap().what, expect);
        check(
            "unknown func bpf_get_func_ip#173",
            "this kernel does not have the helper `bpf_get_func_ip`, or not for this kind of program",
        );
        check(
            "invalid access to map value, value_size=64 off=70 size=1",
            "this reaches outside the value of the map of 64 bytes: 1 at offset 70",
        );
        check("invalid access to map value", "this reaches outside the value of the map");
    }
}
