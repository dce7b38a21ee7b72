//! Implicit dereferences of kernel and user pointers.

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::lex::{Lexed, TokenKind};
use crate::source::Span;

use super::super::origin::Access;
use super::super::program::Role;
use super::super::tree::{NodeId, NodeKind};
use super::super::{Output, Probe, slice};
use super::{Refusal, Rule};

/// The row.
pub(super) struct Dereference;

impl Rule for Dereference {
    fn name(&self) -> &'static str {
        "implicit dereference"
    }

    fn documentation(&self) -> &'static str {
        "`sk->__sk_common.skc_family`, `task->mm->exe_file`, `p[i]`, `*p` and bit fields behind kernel pointers become reads \
         through `bpf_probe_read_kernel`, relocated to the running kernel (CO-RE); behind user pointers, through \
         `bpf_probe_read_user`. `&p->field` and members that are arrays are addresses: nothing is read but the pointers \
         on the way. Writing through such a pointer is an error."
    }

    fn example(&self) -> &'static str {
        "int kprobe__tcp_sendmsg(struct pt_regs *ctx, struct sock *sk)\n\
         {\n\
         \x20   struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n\
         \x20   u16 family = sk->__sk_common.skc_family;\n\
         \x20   void *file = task->mm->exe_file;\n\
         \n\
         \x20   return family == 2 && file && task->comm[0] == 'm';\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (id, function) in probe.tree.functions() {
            if probe.roles.is_libbpf_style || matches!(probe.roles.of(id), Role::Section(_)) {
                continue;
            }
            Walk { probe, output }.visit(function.body, Mode::Value);
        }
    }
}

/// What is wanted of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Its value: an lvalue is read.
    Value,
    /// Its address: only what leads to it is read.
    Address,
    /// It is written to.
    Store,
}

struct Walk<'w, 'p, 'u> {
    probe: &'w Probe<'p, 'u>,
    output: &'w mut Output,
}

impl Walk<'_, '_, '_> {
    fn visit(&mut self, id: NodeId, mode: Mode) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        let kids = node.kids.as_slice();
        match &node.kind {
            NodeKind::TooDeep => {
                let message = Diagnostic::error("this is nested too deeply", node.span);
                self.output.messages.push(message.help("split it over several statements"));
            }
            NodeKind::Unevaluated => {}
            NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref => self.lvalue(id, mode),
            NodeKind::Paren | NodeKind::Implicit => {
                for kid in kids {
                    self.visit(*kid, mode);
                }
            }
            NodeKind::AddressOf => {
                for kid in kids {
                    self.visit(*kid, Mode::Address);
                }
            }
            NodeKind::Step => {
                for kid in kids {
                    self.visit(*kid, Mode::Store);
                }
            }
            NodeKind::Assign { .. } => {
                for (number, kid) in kids.iter().enumerate() {
                    self.visit(*kid, if number == 0 { Mode::Store } else { Mode::Value });
                }
            }
            NodeKind::Call => {
                // The name of a function or of a method is no value; and what these builtins are given is not evaluated.
                let skip = match tree.callee(id) {
                    Some("__builtin_preserve_field_info" | "__builtin_preserve_type_info") => return,
                    Some("__builtin_preserve_access_index") => 1,
                    Some("__builtin_memcpy" | "__builtin_memmove" | "memcpy" | "memmove") => {
                        self.copy(id);
                        1
                    }
                    _ => usize::from(matches!(
                        kids.first().map(|called| tree.bare(*called)).and_then(|called| tree.kind(called)),
                        Some(NodeKind::Member(_) | NodeKind::Name(_))
                    )),
                };
                for kid in kids.iter().skip(skip) {
                    self.visit(*kid, Mode::Value);
                }
            }
            _ => {
                for kid in kids {
                    self.visit(*kid, Mode::Value);
                }
            }
        }
    }

    /// A member, an element, or what a pointer points to.
    fn lvalue(&mut self, id: NodeId, mode: Mode) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        let is_address = mode == Mode::Address || matches!(node.ty.kind(), TypeKind::Array | TypeKind::Function);
        if let Some(pointer) = tree.pointer_to(id) {
            match self.probe.origins.access(tree, pointer) {
                Access::Direct => {}
                _ if mode == Mode::Store => {
                    if self.probe.origins.is_foreign(tree, pointer) {
                        let message = Diagnostic::error("a program cannot write to this memory", node.span);
                        self.output
                            .messages
                            .push(message.note("the pointer is one of the kernel's or of the process's"));
                    }
                }
                _ if is_address => {}
                access => self.read(id, pointer, access),
            }
        }
        self.inside(id);
    }

    /// Visits what leads to an lvalue.
    fn inside(&mut self, id: NodeId) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        let Some(base) = node.kids.first().copied() else { return };
        match &node.kind {
            NodeKind::Member(member) if !member.arrow => self.step(base),
            NodeKind::Index => {
                let array = tree.bare(base);
                if tree.node(array).is_some_and(|node| node.ty.kind() == TypeKind::Array) {
                    self.step(array);
                } else {
                    self.visit(base, Mode::Value);
                }
                for index in node.kids.iter().skip(1) {
                    self.visit(*index, Mode::Value);
                }
            }
            _ => self.visit(base, Mode::Value),
        }
    }

    /// The struct or array that a member or an element is part of: it is not read for itself.
    fn step(&mut self, base: NodeId) {
        let bare = self.probe.tree.bare(base);
        match self.probe.tree.kind(bare) {
            Some(NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref) => self.inside(bare),
            _ => self.visit(bare, Mode::Address),
        }
    }

    /// Makes a read of an lvalue.
    fn read(&mut self, id: NodeId, pointer: NodeId, access: Access) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        let Some(span) = node.span else {
            let message = Diagnostic::error("a pointer is read through in an included file", None);
            self.output.messages.push(message.help("move the code that reads it into the probe itself"));
            return;
        };
        if !self.is_written_out(id, span) {
            self.output.refuse(Refusal::InMacro(span, "a read through a pointer"));
            return;
        }
        let memory = self.memory(id, access);
        match &node.kind {
            NodeKind::Member(member) if member.bit_field => self.read_bits(id, pointer, span, memory),
            _ => self.output.edits.wrap(span, format!("dbcc_read{memory}("), ")"),
        }
    }

    /// How the macro ends that reads memory of that kind.
    fn memory(&self, id: NodeId, access: Access) -> &'static str {
        match access {
            Access::User => "_user",
            // Programs that trace nothing lack the helper that tells by the address.
            _ if self.probe.origins.is_untraced(self.probe.tree, id) => "_kernel",
            _ => "",
        }
    }

    /// Reads a bit field: of a kernel type, relocated; of another, at the place that the compiler has for it.
    fn read_bits(&mut self, id: NodeId, pointer: NodeId, span: Span, memory: &str) {
        let tree = self.probe.tree;
        let Some(NodeKind::Member(member)) = tree.kind(id) else { return };
        // `p->a.bits`: the pointer, and the way from it to the field; `p[1].bits`: the struct, and the field.
        let arrow = tree.span(pointer).and_then(|pointer| arrow(self.probe.text, Span::new(pointer.end, span.end)));
        let (operator, base, address) = match (arrow, last_operator(self.probe.text, span)) {
            (Some(arrow), _) => (arrow, pointer, ""),
            (None, Some(last)) => match tree.kid(id, 0) {
                Some(base) if member.arrow => (last, base, ""),
                Some(base) => (last, base, "&"),
                None => return,
            },
            (None, None) => {
                let message = Diagnostic::error("a bit field is read in a way that cannot be rewritten", span);
                self.output.messages.push(message.help("write it as `pointer->field`"));
                return;
            }
        };
        let relocated = member.of_kernel && memory != "_user";
        let (kind, place) = match (relocated, self.bits(id, base)) {
            (true, _) => ("bits", String::new()),
            (false, Some((offset, width))) if offset % 8 + width <= 64 => ("bits_at", format!(", {offset}, {width}")),
            _ => {
                let message = Diagnostic::error("this bit field lies across more than eight bytes", span);
                self.output.messages.push(message.help("read the bytes with bpf_probe_read_kernel() or _user()"));
                return;
            }
        };
        self.output.edits.wrap(span, format!("dbcc_read{memory}_{kind}({address}"), format!("{place})"));
        self.output.edits.replace(operator, span, ", ");
    }

    /// Where a bit field is in what `base` is or points to, and how wide it is, in bits.
    fn bits(&self, id: NodeId, base: NodeId) -> Option<(u64, u64)> {
        let tree = self.probe.tree;
        let base = tree.bare(base);
        let (mut at, mut offset, mut width) = (id, 0u64, None);
        while at != base {
            if let NodeKind::Member(member) = tree.kind(at)? {
                offset = offset.checked_add(member.offset?)?;
                width = width.or(member.width);
            }
            at = tree.bare(tree.kid(at, 0)?);
        }
        Some((offset, width?))
    }

    /// `__builtin_memcpy(to, from, size)`: a helper copies where `from` cannot be read directly.
    fn copy(&mut self, call: NodeId) {
        let tree = self.probe.tree;
        let &[to, from, _] = tree.arguments(call) else { return };
        if self.probe.origins.is_foreign(tree, to) {
            let message = Diagnostic::error("a program cannot write to this memory", tree.span(to));
            self.output.messages.push(message.note("the pointer is one of the kernel's or of the process's"));
            return;
        }
        let access = self.probe.origins.access(tree, from);
        if access == Access::Direct {
            return;
        }
        let Some(span) = tree.span(call) else { return };
        let name = tree.callee(call).unwrap_or_default();
        match tree.kid(call, 0).and_then(|called| tree.span(called)) {
            Some(called) if slice(self.probe.text, called) == name => {
                let memory = self.memory(call, access);
                self.output.edits.replace(called, span, format!("dbcc_copy{memory}"));
            }
            _ => self.output.refuse(Refusal::InMacro(span, "a copy of foreign memory")),
        }
    }

    /// Whether a node ends with the name of a macro behind `->` or `.`: members of the kernel's types are macros now and
    /// then, as `sk_state` is `__sk_common.skc_state`.
    fn ends_with_macro(&self, span: Span) -> bool {
        self.probe.tree.expansions.iter().filter(|expansion| expansion.span.end == span.end).any(|expansion| {
            let before = slice(self.probe.text, Span::new(span.start, expansion.span.start)).trim_end();
            before.ends_with("->") || before.ends_with('.')
        })
    }

    /// Whether the operator of a node is in the user's text, and not in the body of a macro.
    fn is_written_out(&self, id: NodeId, span: Span) -> bool {
        let text = slice(self.probe.text, span);
        match self.probe.tree.kind(id) {
            Some(NodeKind::Member(member)) => text.ends_with(member.name.as_str()) || self.ends_with_macro(span),
            Some(NodeKind::Index) => text.ends_with(']'),
            Some(NodeKind::Deref) => text.starts_with('*'),
            _ => false,
        }
    }
}

/// The `->` that stands first in a range, blanks, comments and closing brackets aside.
fn arrow(text: &str, range: Span) -> Option<Span> {
    let lexed = Lexed::new(slice(text, range));
    let mut tokens = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
    let minus = tokens.find(|token| token.kind != TokenKind::Punctuation(b')'))?;
    let greater = tokens.next()?;
    let is_arrow = minus.kind == TokenKind::Punctuation(b'-') && greater.kind == TokenKind::Punctuation(b'>');
    is_arrow.then(|| Span::new(range.start + minus.span.start, range.start + greater.span.end))
}

/// The `.` or `->` before the last name of a member access.
fn last_operator(text: &str, node: Span) -> Option<Span> {
    let lexed = Lexed::new(slice(text, node));
    let mut tokens = lexed.tokens().iter().rev().filter(|token| token.kind != TokenKind::Comment);
    tokens
        .find(|token| token.kind != TokenKind::Punctuation(b')'))
        .filter(|name| name.kind == TokenKind::Identifier)?;
    let last = tokens.next()?;
    let start = match last.kind {
        TokenKind::Punctuation(b'.') => last.span.start,
        TokenKind::Punctuation(b'>') => {
            tokens.next().filter(|minus| minus.kind == TokenKind::Punctuation(b'-'))?.span.start
        }
        _ => return None,
    };
    Some(Span::new(node.start + start, node.start + last.span.end))
}
