//! The lines that a probe of a place begins with, to be pasted into a probe file.

use std::fmt;

use super::c::{self, comment, declare, identifier};
use super::{Class, Prototype, Where};
use crate::kind;

/// The most arguments that are handed over in registers that `PT_REGS_PARMn` names.
const IN_REGISTERS: usize = 6;
/// The most arguments of a traced function of the kernel (`MAX_BPF_FUNC_ARGS` of include/linux/bpf.h).
const TRACED: usize = 12;

/// How a program for a place is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The line that attaches it; none where its name does.
    pub directive: Option<String>,
    /// The function's head, without `{`.
    pub signature: String,
}

impl fmt::Display for Snippet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(directive) = &self.directive {
            writeln!(f, "{directive}")?;
        }
        f.write_str(&self.signature)
    }
}

/// How a program for `KIND:TARGET` is written; none for a kind that has no row here. Arguments that can be bound are its
/// parameters; without a prototype it has none.
pub fn snippet(kind: &str, target: &str, prototype: Option<&Prototype>) -> Option<Snippet> {
    snippet_named(kind, target, &function_name(kind, target), prototype)
}

/// As [`snippet`], with a name for the function.
pub fn snippet_named(kind: &str, target: &str, function: &str, prototype: Option<&Prototype>) -> Option<Snippet> {
    let row = ROWS.iter().find(|row| row.kind == kind)?;
    let is_named = is_meant(kind, target, function);
    let directive = (!is_named).then(|| format!("//@ attach {kind}:{target} = {function}"));
    let mut parameters: Vec<String> = prototype.map(|prototype| parameters(prototype, row.most)).unwrap_or_default();
    parameters.extend(prototype.filter(|_| row.returned).and_then(returned));
    let signature = match row.macro_name.filter(|_| is_named) {
        Some(name) => {
            parameters.insert(0, if kind == "tracepoint" { target.replacen(':', ", ", 1) } else { target.to_owned() });
            format!("{name}({})", parameters.join(", "))
        }
        None => {
            parameters.insert(0, context(kind, target));
            format!("int {function}({})", parameters.join(", "))
        }
    };
    Some(Snippet { directive, signature })
}

/// The first parameter.
fn context(kind: &str, target: &str) -> String {
    match kind {
        "tracepoint" => format!("struct tracepoint__{} *args", identifier(&target.replacen(':', "__", 1))),
        "raw_tracepoint" => "struct bpf_raw_tracepoint_args *ctx".to_owned(),
        "iter" => format!("struct bpf_iter__{target} *ctx"),
        "fentry" | "fexit" | "lsm" | "tp_btf" => "u64 *ctx".to_owned(),
        "perf_event" => "struct bpf_perf_event_data *ctx".to_owned(),
        _ => "struct pt_regs *ctx".to_owned(),
    }
}

/// Whether a function of that name is attached to the target without a directive.
fn is_meant(kind: &str, target: &str, function: &str) -> bool {
    crate::directive::is_identifier(function)
        && kind::by_function(function).is_some_and(|(known, meant)| known.name() == kind && meant == target)
}

/// The name of a function for a place: the one that attaches it, where C can write it, else `on_NAME` by the last part of the
/// target's name.
pub fn function_name(kind: &str, target: &str) -> String {
    let row = ROWS.iter().find(|row| row.kind == kind);
    if let Some(prefix) = row.and_then(|row| row.prefix) {
        let name = format!("{prefix}{}", target.replacen(':', "__", 1));
        if is_meant(kind, target, &name) {
            return name;
        }
    }
    let end = if row.is_some_and(|row| row.is_return) { "_return" } else { "" };
    format!("on_{}{end}", last_name(kind, target))
}

/// How many arguments of a place of that kind a program has as parameters.
pub fn most_bound(kind: &str) -> usize {
    ROWS.iter().find(|row| row.kind == kind).map_or(0, |row| row.most)
}

/// `dispatch_command` of `mysqld:dispatch_command(THD*, …)`, `send` of `mysqld:A<int>::send`, `query__start` of a USDT probe.
pub fn last_name(kind: &str, target: &str) -> String {
    let text = match kind {
        "uprobe" | "uretprobe" => plain_name(kind::binary_and_rest(target).1),
        // The type stands before the event, and the rate behind it.
        "perf_event" => {
            let (event, _) = target.rsplit_once(':').unwrap_or((target, ""));
            event.split_once(':').map_or(event, |(_, event)| event).to_owned()
        }
        _ => target.rsplit(':').next().unwrap_or_default().to_owned(),
    };
    let name = identifier(&text);
    let name = name.trim_matches('_');
    if name.is_empty() { "probe".to_owned() } else { name.to_owned() }
}

/// The last component of a function's name as people write it, without parameters and template arguments.
fn plain_name(written: &str) -> String {
    let name = symres::demangle(written);
    let (mut depth, mut start) = (0_usize, 0_usize);
    for (at, letter) in name.char_indices() {
        match letter {
            '(' if depth == 0 => break,
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => start = at + 1,
            _ => {}
        }
    }
    let last = name.get(start..).unwrap_or_default();
    last.split(['(', '<']).next().unwrap_or_default().to_owned()
}

/// What a kind's programs look like.
struct Row {
    kind: &'static str,
    /// The start of a function's name that means the kind.
    prefix: Option<&'static str>,
    macro_name: Option<&'static str>,
    /// How many parameters can be bound.
    most: usize,
    /// Whether what is returned is the last parameter.
    returned: bool,
    /// Whether it is the return of a function.
    is_return: bool,
}

const fn row(kind: &'static str, prefix: Option<&'static str>, most: usize) -> Row {
    Row { kind, prefix, macro_name: None, most, returned: false, is_return: false }
}

const ROWS: &[Row] = &[
    row("kprobe", Some("kprobe__"), IN_REGISTERS),
    Row { is_return: true, ..row("kretprobe", Some("kretprobe__"), 0) },
    Row { macro_name: Some("KFUNC_PROBE"), ..row("fentry", Some("kfunc__vmlinux__"), TRACED) },
    Row {
        macro_name: Some("KRETFUNC_PROBE"),
        returned: true,
        is_return: true,
        ..row("fexit", Some("kretfunc__vmlinux__"), TRACED)
    },
    Row { macro_name: Some("TRACEPOINT_PROBE"), ..row("tracepoint", Some("tracepoint__"), 0) },
    row("raw_tracepoint", Some("raw_tracepoint__"), TRACED),
    row("tp_btf", Some("tp_btf__"), TRACED),
    Row { macro_name: Some("LSM_PROBE"), returned: true, ..row("lsm", Some("lsm__"), TRACED) },
    Row { macro_name: Some("BPF_ITER"), ..row("iter", Some("bpf_iter__"), 0) },
    row("uprobe", None, IN_REGISTERS),
    Row { is_return: true, ..row("uretprobe", None, 0) },
    row("usdt", None, TRACED),
    row("perf_event", None, 0),
];

/// The arguments as parameters, by their numbers; what has no type that C can hold, and gaps, are `long`.
fn parameters(prototype: &Prototype, most: usize) -> Vec<String> {
    let names = c::names(prototype);
    let mut found: Vec<String> = Vec::new();
    for (argument, name) in prototype.arguments.iter().zip(names) {
        let (Where::Argument(number) | Where::Usdt(number)) = argument.place else { continue };
        let Some((ty, differs)) = c::c_type(argument, prototype.known_from) else { continue };
        // What is out of order cannot be bound.
        if number <= found.len() || number > most {
            continue;
        }
        while found.len() + 1 < number {
            found.push(declare("long", &format!("unused{}", found.len() + 1)));
        }
        let own = if differs { format!(" /* {} */", comment(&argument.ty)) } else { String::new() };
        let halves = match argument.class.registers() {
            2 => vec![format!("{name}_low"), format!("{name}_high")],
            _ => vec![name],
        };
        found.extend(halves.iter().map(|name| format!("{}{own}", declare(&ty, name))));
    }
    found.truncate(most);
    found
}

/// What is returned as the last parameter; none where nothing is.
fn returned(prototype: &Prototype) -> Option<String> {
    let returned = prototype.returns.as_ref().filter(|returned| returned.class != Class::Void)?;
    let (ty, _) = c::c_type(returned, prototype.known_from)?;
    let taken = c::names(prototype).iter().any(|name| name == "ret");
    Some(declare(&ty, if taken { "ret_" } else { "ret" }))
}
