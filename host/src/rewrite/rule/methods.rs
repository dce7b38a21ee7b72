//! `map.lookup(&key)` and the other methods of maps.

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::lex::{Lexed, TokenKind};
use crate::source::Span;

use super::super::tree::{NodeId, NodeKind};
use super::super::{Output, Probe, slice};
use super::maps::Map;
use super::{Refusal, Rule};

/// The kinds of maps with keys that a program adds at will.
const TABLES: &[&str] =
    &["hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie", "histogram"];

/// A method, the kinds of maps that have it, and how many arguments it takes besides what clang has checked.
struct Method {
    name: &'static str,
    kinds: &'static [&'static str],
}

/// BCC's methods. What each becomes is the macro `dbcc_NAME` of `templates/dbcc/methods.h`.
const METHODS: &[Method] = &[
    Method {
        name: "lookup",
        kinds: &["*", "hash_of_maps", "array_of_maps", "sockmap", "sockhash", "devmap", "devmap_hash", "xskmap"],
    },
    Method { name: "lookup_or_init", kinds: &["*"] },
    Method { name: "lookup_or_try_init", kinds: &["*"] },
    Method { name: "update", kinds: &["*", "sockmap", "sockhash"] },
    Method { name: "insert", kinds: &["*"] },
    Method { name: "delete", kinds: &["*", "sockmap", "sockhash"] },
    Method { name: "increment", kinds: &["*"] },
    Method { name: "atomic_increment", kinds: &["*"] },
    Method { name: "perf_submit", kinds: &["perf_output"] },
    Method { name: "perf_submit_skb", kinds: &["perf_output"] },
    Method { name: "perf_read", kinds: &["perf_array"] },
    Method { name: "perf_counter_value", kinds: &["perf_array"] },
    Method { name: "get_stackid", kinds: &["stacktrace"] },
    Method { name: "call", kinds: &["prog"] },
    Method { name: "check_current_task", kinds: &["cgroup_array"] },
    Method { name: "push", kinds: &["queue", "stack"] },
    Method { name: "pop", kinds: &["queue", "stack"] },
    Method { name: "peek", kinds: &["queue", "stack"] },
    Method { name: "redirect_map", kinds: &["devmap", "devmap_hash", "cpumap", "xskmap"] },
    Method { name: "sock_map_update", kinds: &["sockmap"] },
    Method { name: "sock_hash_update", kinds: &["sockhash"] },
    Method { name: "msg_redirect_map", kinds: &["sockmap"] },
    Method { name: "sk_redirect_map", kinds: &["sockmap"] },
    Method { name: "msg_redirect_hash", kinds: &["sockhash"] },
    Method { name: "sk_redirect_hash", kinds: &["sockhash"] },
    Method { name: "sk_storage_get", kinds: &["sk_storage"] },
    Method { name: "sk_storage_delete", kinds: &["sk_storage"] },
    Method { name: "inode_storage_get", kinds: &["inode_storage"] },
    Method { name: "inode_storage_delete", kinds: &["inode_storage"] },
    Method { name: "task_storage_get", kinds: &["task_storage"] },
    Method { name: "task_storage_delete", kinds: &["task_storage"] },
    Method { name: "get_local_storage", kinds: &["cgroup_storage", "percpu_cgroup_storage"] },
    Method { name: "ringbuf_output", kinds: &["ringbuf"] },
    Method { name: "ringbuf_reserve", kinds: &["ringbuf"] },
    Method { name: "ringbuf_submit", kinds: &["ringbuf"] },
    Method { name: "ringbuf_discard", kinds: &["ringbuf"] },
    Method { name: "ringbuf_query", kinds: &["ringbuf"] },
];

/// The methods that a map of a kind has, by name; all methods where the kind is not known.
pub fn of(kind: &str) -> Vec<&'static str> {
    let known = METHODS.iter().any(|method| has(method, kind));
    METHODS.iter().filter(|method| !known || has(method, kind)).map(|method| method.name).collect()
}

fn has(method: &Method, kind: &str) -> bool {
    // What a map that is declared elsewhere is, the probe does not say.
    if kind == "extern" {
        return true;
    }
    method.kinds.contains(&kind) || (method.kinds.contains(&"*") && TABLES.contains(&kind))
}

/// A call of a method.
#[derive(Debug, Clone, Copy)]
pub struct MethodCall<'p> {
    /// The map.
    pub map: &'p Map,
    /// Its index among the maps.
    pub index: usize,
    /// The method's name.
    pub name: &'p str,
    /// The call.
    pub call: NodeId,
}

/// All calls of methods of maps.
pub fn calls<'p>(probe: &Probe<'p, '_>) -> impl Iterator<Item = MethodCall<'p>> {
    let (tree, maps) = (probe.tree, probe.maps);
    tree.all().filter_map(move |(call, node)| {
        if node.kind != NodeKind::Call {
            return None;
        }
        let called = tree.bare(*node.kids.first()?);
        let NodeKind::Member(member) = tree.kind(called)? else { return None };
        let decl = tree.variable(tree.kid(called, 0)?)?;
        let name = tree.decl(decl)?.name.as_str();
        let index = maps.iter().position(|map| map.has_methods && map.name == name)?;
        Some(MethodCall { map: maps.get(index)?, index, name: &member.name, call })
    })
}

/// The row.
pub(super) struct Methods;

impl Rule for Methods {
    fn name(&self) -> &'static str {
        "map methods"
    }

    fn documentation(&self) -> &'static str {
        "`map.lookup(&key)`, `lookup_or_init`, `lookup_or_try_init`, `update`, `insert`, `delete`, `increment`, \
         `perf_submit`, `get_stackid`, `ringbuf_output` and the other methods of BCC's maps become calls of helpers; \
         their arguments are checked against the map's types. `increment` adds atomically, which BCC's does not. \
         `lookup_or_init` returns 0 from the function where the map is full, as in BCC; that is counted and shown."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(calls, u32, u64);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   u64 zero = 0, *count = calls.lookup_or_try_init(&pid, &zero);\n\
         \n\
         \x20   if (!count)\n\
         \x20       return 0;\n\
         \x20   calls.increment(pid);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for call in calls(probe) {
            if let Err(refusal) = edit(probe, output, call) {
                output.refuse(refusal);
            }
        }
    }
}

fn edit(probe: &Probe<'_, '_>, output: &mut Output, call: MethodCall<'_>) -> Result<(), Refusal> {
    let tree = probe.tree;
    let MethodCall { map, index, name, .. } = call;
    let span =
        tree.span(call.call).ok_or_else(|| Diagnostic::error(format!("`{name}` is called in a macro"), map.span))?;
    // `m.lookup (`: the map, a point, the method, a bracket, in the user's own text.
    let head = head(slice(probe.text, span), name).ok_or(Refusal::InMacro(span, "the call of a map's method"))?;
    let method_span = Span::new(span.start + head.method.start, span.start + head.method.end);
    let Some(method) = METHODS.iter().find(|method| method.name == name) else {
        return Err(Diagnostic::error(format!("`{name}` is no method of a map"), method_span).into());
    };
    if !has(method, &map.kind) {
        return Err(Diagnostic::error(
            format!("map `{}` ({}) has no method `{name}`", map.name, map.kind),
            method_span,
        )
        .note(format!("methods of a map of this type: {}", of(&map.kind).join(", ")))
        .into());
    }
    let returns_nothing = tree
        .function_of(call.call)
        .and_then(|function| tree.function(function)?.result)
        .is_some_and(|result| result.kind() == TypeKind::Void);
    let suffix = match name {
        "lookup_or_init" if returns_nothing => "_void",
        "lookup" if map.inner.is_some() => "_inner",
        "perf_submit" if map.stamped => "_ring",
        _ => "",
    };
    let loss = Map::loss(index);
    let object = slice(probe.text, Span::new(span.start, span.start + head.object_end));
    let text = format!("dbcc_{name}{suffix}({object}, {loss}, ");
    output.edits.replace(Span::new(span.start, span.start + head.open_end), span, text);
    for argument in tree.arguments(call.call) {
        // A comma inside of braces would separate arguments of the macro.
        if let Some(argument) = tree.span(*argument).filter(|span| has_bare_comma(slice(probe.text, *span))) {
            output.edits.wrap(argument, "(", ")");
        }
    }
    if COUNTS_LOSSES.contains(&name) || map.stamped {
        output.uses_losses = true;
    }
    Ok(())
}

/// Methods that count what fails in `dbcc_losses`.
const COUNTS_LOSSES: &[&str] = &[
    "lookup_or_init",
    "lookup_or_try_init",
    "update",
    "insert",
    "increment",
    "atomic_increment",
    "ringbuf_output",
    "ringbuf_reserve",
    "push",
];

/// Whether a text has a comma that no round brackets are around.
fn has_bare_comma(text: &str) -> bool {
    let mut depth = 0usize;
    Lexed::new(text).tokens().iter().any(|token| {
        match token.kind {
            TokenKind::Punctuation(b'(') => depth += 1,
            TokenKind::Punctuation(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.kind == TokenKind::Punctuation(b',')
    })
}

/// Offsets in the text of a call.
struct Head {
    object_end: u32,
    method: Span,
    open_end: u32,
}

/// Takes `map.method(` apart; none where the text is not that.
fn head(text: &str, method: &str) -> Option<Head> {
    // Comments may stand anywhere.
    let lexed = Lexed::new(text);
    let mut tokens = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
    let mut object_end = None;
    let mut before: Option<Span> = None;
    loop {
        let token = tokens.next()?;
        match token.kind {
            TokenKind::Punctuation(b'.') => object_end = before.map(|span| span.end),
            TokenKind::Identifier if object_end.is_some() && slice(text, token.span) == method => {
                let open = tokens.next()?;
                if open.kind != TokenKind::Punctuation(b'(') {
                    return None;
                }
                // What stands between the bracket and the first argument is replaced with it.
                let blanks = text.get(open.span.range().end..)?.bytes().take_while(|byte| *byte == b' ').count();
                let open_end = open.span.end + u32::try_from(blanks).ok()?;
                return Some(Head { object_end: object_end?, method: token.span, open_end });
            }
            TokenKind::Identifier | TokenKind::Punctuation(b'(' | b')') => object_end = None,
            _ => return None,
        }
        before = Some(token.span);
    }
}
