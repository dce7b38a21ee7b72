//! Fields of packets behind the pointers of `cursor_advance`.

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::lex::{Lexed, TokenKind};
use crate::source::Span;

use super::super::origin::is_packet;
use super::super::tree::{DeclKind, Function, NodeId, NodeKind};
use super::super::{Output, Probe, slice};
use super::{Refusal, Rule};

/// The row.
pub(super) struct Packets;

impl Rule for Packets {
    fn name(&self) -> &'static str {
        "packet fields"
    }

    fn documentation(&self) -> &'static str {
        "`struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));` makes a pointer into the packet of a socket filter or of \
         tc, for the structs of `<bcc/proto.h>` and others that are marked `BPF_PACKET_HEADER`. Reading `ip->ttl` loads the \
         field, `ip->ttl = 1` stores it, in the byte order of the machine; `+=` and `++` work too, which BCC refuses. \
         `&ip->ttl` is the offset in the packet. As in BCC, what is loaded is a `u64`."
    }

    fn example(&self) -> &'static str {
        "#include <bcc/proto.h>\n\
         BPF_HASH(bytes, u32, u64);\n\
         int count(struct __sk_buff *skb)\n\
         {\n\
         \x20   u8 *cursor = 0;\n\
         \x20   struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));\n\
         \x20   struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));\n\
         \n\
         \x20   if (ethernet->type == 0x0800)\n\
         \x20       bytes.increment(ip->src, ip->tlen);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (_, function) in probe.tree.functions() {
            Walk { probe, output, function }.visit(function.body, Mode::Value);
        }
    }
}

/// What is wanted of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Its value.
    Value,
    /// Its address: nothing is loaded.
    Address,
}

/// What is done with a field: the macro of `templates/dbcc/packet.h`, its last arguments, and the node that is replaced.
struct Access<'t> {
    macro_name: &'static str,
    node: NodeId,
    /// Where what is behind the field's place starts: the end of the node, or the start of the right side.
    until: u32,
    arguments: &'t str,
    /// What closes the call at the end of the node.
    close: &'static str,
}

/// A way into a header: the pointer, the constant offset in bits, and the indexes on the way with what they count.
struct Place {
    pointer: NodeId,
    bits: u64,
    width: u64,
    indexes: Vec<(NodeId, u64)>,
}

struct Walk<'w, 'p, 'u> {
    probe: &'w Probe<'p, 'u>,
    output: &'w mut Output,
    function: &'w Function<'u>,
}

impl Walk<'_, '_, '_> {
    fn visit(&mut self, id: NodeId, mode: Mode) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        match &node.kind {
            NodeKind::Unevaluated | NodeKind::TooDeep => return,
            NodeKind::Member(_) | NodeKind::Index if mode == Mode::Value => self.load(id),
            NodeKind::Assign { .. } => return self.assign(id),
            NodeKind::Step => return self.step(id),
            _ => {}
        }
        for (number, kid) in node.kids.iter().enumerate() {
            let inner = match &node.kind {
                NodeKind::AddressOf => Mode::Address,
                NodeKind::Paren | NodeKind::Implicit => mode,
                NodeKind::Member(member) if !member.arrow => Mode::Address,
                NodeKind::Index if number == 0 => Mode::Address,
                _ => Mode::Value,
            };
            self.visit(*kid, inner);
        }
    }

    fn load(&mut self, id: NodeId) {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id) else { return };
        // An array is the address of its first element.
        if node.ty.kind() == TypeKind::Array {
            return;
        }
        let Some(span) = self.packet(id) else { return };
        let access = Access { macro_name: "dbcc_packet_load", node: id, until: span.end, arguments: "", close: "" };
        self.rewrite(id, &access);
    }

    /// `field = value`, `field += value`
    fn assign(&mut self, id: NodeId) {
        let tree = self.probe.tree;
        let (Some(left), Some(right)) = (tree.kid(id, 0), tree.kid(id, 1)) else { return };
        let field = tree.bare(left);
        if let Some(span) = self.packet(field) {
            let Some(value) = tree.span(right) else { return self.in_macro(span) };
            let operator = self.operator(span.end, value.start);
            match operator.as_deref() {
                Some("") => self.rewrite(
                    field,
                    &Access {
                        macro_name: "dbcc_packet_store",
                        node: id,
                        until: value.start,
                        arguments: ", (",
                        close: "))",
                    },
                ),
                Some(operator) => self.rewrite(
                    field,
                    &Access {
                        macro_name: "dbcc_packet_change",
                        node: id,
                        until: value.start,
                        arguments: &format!(", {operator}, ("),
                        close: "))",
                    },
                ),
                None => return self.in_macro(span),
            }
        }
        self.inside(field);
        self.visit(right, Mode::Value);
    }

    /// `field++`, `--field`
    fn step(&mut self, id: NodeId) {
        let tree = self.probe.tree;
        let Some(field) = tree.kid(id, 0).map(|kid| tree.bare(kid)) else { return };
        if let (Some(inner), Some(span)) = (self.packet(field), tree.span(id)) {
            let text = slice(self.probe.text, span);
            let (macro_name, arguments) = match (text.get(..2), text.get(text.len().saturating_sub(2)..)) {
                (Some("++"), _) => ("dbcc_packet_change", ", +, 1"),
                (Some("--"), _) => ("dbcc_packet_change", ", -, 1"),
                (_, Some("++")) => ("dbcc_packet_step", ", +"),
                (_, Some("--")) => ("dbcc_packet_step", ", -"),
                _ => return self.in_macro(inner),
            };
            self.rewrite(field, &Access { macro_name, node: id, until: span.end, arguments, close: "" });
        }
        self.inside(field);
    }

    /// Visits the pointer and the indexes that lead to a field.
    fn inside(&mut self, field: NodeId) {
        let kids = self.probe.tree.node(field).map(|node| node.kids.clone()).unwrap_or_default();
        let is_place = matches!(
            self.probe.tree.kind(field),
            Some(NodeKind::Member(member)) if !member.arrow
        );
        for (number, kid) in kids.into_iter().enumerate() {
            let is_array = number == 0 && matches!(self.probe.tree.kind(field), Some(NodeKind::Index));
            self.visit(kid, if is_place || is_array { Mode::Address } else { Mode::Value });
        }
    }

    /// The span of an expression if it is a field of a packet.
    fn packet(&mut self, id: NodeId) -> Option<Span> {
        self.root(id)?;
        let node = self.probe.tree.node(id)?;
        if node.span.is_none() {
            let message = Diagnostic::error("a field of a packet is used in an included file", None);
            self.output.messages.push(message.help("move the code that uses it into the probe itself"));
        }
        node.span
    }

    /// The member of a header that a field is or is inside of.
    fn root(&self, id: NodeId) -> Option<NodeId> {
        let tree = self.probe.tree;
        let mut at = tree.bare(id);
        loop {
            let base = tree.kid(at, 0)?;
            match tree.kind(at)? {
                NodeKind::Member(member) if member.arrow => {
                    let pointee = tree.node(base)?.ty.canonical().pointee();
                    return pointee.is_some_and(is_packet).then_some(at);
                }
                NodeKind::Member(_) | NodeKind::Index => at = tree.bare(base),
                _ => return None,
            }
        }
    }

    /// Where a field is.
    fn place(&self, id: NodeId) -> Result<Place, &'static str> {
        let tree = self.probe.tree;
        let unknown = "its place in the header is not known";
        let ty = tree.node(id).ok_or(unknown)?.ty;
        if ty.kind() != TypeKind::Integer {
            return Err("only whole numbers are");
        }
        let mut place = Place { pointer: id, bits: 0, width: 0, indexes: Vec::new() };
        let mut at = tree.bare(id);
        loop {
            let base = tree.kid(at, 0).ok_or(unknown)?;
            match tree.kind(at).ok_or(unknown)? {
                NodeKind::Member(member) => {
                    place.bits += member.offset.ok_or(unknown)?;
                    if at == tree.bare(id) {
                        place.width = member.width.unwrap_or(0);
                    }
                    if member.arrow {
                        place.pointer = base;
                        break;
                    }
                }
                NodeKind::Index => {
                    let size = tree.node(at).and_then(|node| node.ty.size()).ok_or(unknown)?;
                    place.indexes.push((tree.kid(at, 1).ok_or(unknown)?, size));
                }
                _ => return Err(unknown),
            }
            at = tree.bare(base);
        }
        if place.width == 0 {
            place.width = ty.size().unwrap_or(0).saturating_mul(8);
        }
        if place.width == 0 || place.bits % 8 + place.width > 64 {
            return Err("it has more than 64 bits");
        }
        place.indexes.reverse();
        Ok(place)
    }

    /// Makes a call of a macro of the access to a field.
    fn rewrite(&mut self, field: NodeId, access: &Access<'_>) {
        let tree = self.probe.tree;
        let (Some(whole), Some(span)) = (tree.span(access.node), tree.span(field)) else { return };
        let place = match self.place(field) {
            Ok(place) => place,
            Err(why) => {
                let message =
                    Diagnostic::error(format!("this cannot be loaded from or stored to a packet: {why}"), span);
                self.output
                    .messages
                    .push(message.help("copy it with bpf_skb_load_bytes(skb, (u64)&header->field, &own, sizeof(own))"));
                return;
            }
        };
        let Some(skb) = self.skb() else {
            self.output.messages.push(
                Diagnostic::error("fields of packets need the packet, and this function is not given it", span)
                    .note("packets are read so in socket filters and in programs of tc")
                    .help("give the function a parameter `struct __sk_buff *skb`; in XDP, read through pointers between `data` and `data_end`"),
            );
            return;
        };
        let Some(pointer) = tree.span(place.pointer).filter(|pointer| self.is_written_out(field, span, *pointer))
        else {
            return self.in_macro(span);
        };
        let edits = &mut self.output.edits;
        // What stands before the pointer: nothing, an opening bracket, or `++`.
        let start = Span::new(whole.start, pointer.start);
        let head = format!("{}({skb}, (__u64)(", access.macro_name);
        if start.is_empty() {
            edits.open(whole, head)
        } else {
            edits.replace(start, whole, head)
        };
        let mut from = pointer.end;
        for (index, size) in &place.indexes {
            let Some(index) = tree.span(*index) else { return self.in_macro(span) };
            edits.replace(Span::new(from, index.start), whole, format!(") + {size} * (__u64)("));
            from = index.end;
        }
        let tail = format!(") + {}, {}, {}{}", place.bits / 8, place.bits % 8, place.width, access.arguments);
        let tail = if access.close.is_empty() { tail + ")" } else { tail };
        edits.replace(Span::new(from, access.until), whole, tail);
        if !access.close.is_empty() {
            edits.close(whole, access.close);
        }
    }

    /// The name of the parameter that is the packet.
    fn skb(&self) -> Option<String> {
        let tree = self.probe.tree;
        let parameters = || {
            let decls = self.function.parameters.iter().filter_map(|parameter| tree.decl(*parameter));
            decls.filter(|decl| matches!(decl.kind, DeclKind::Parameter(..)))
        };
        let points_to = |name: &str| {
            parameters().find(|decl| {
                decl.ty.canonical().pointee().is_some_and(|pointee| pointee.unqualified().spelling() == name)
            })
        };
        let found = points_to("struct __sk_buff").or_else(|| points_to("void"));
        found.map(|decl| decl.name.clone()).filter(|name| !name.is_empty())
    }

    /// Whether a field stands in the user's text as it is, and not in the body of a macro.
    fn is_written_out(&self, field: NodeId, span: Span, pointer: Span) -> bool {
        let text = slice(self.probe.text, span);
        let ends = match self.probe.tree.kind(self.probe.tree.bare(field)) {
            Some(NodeKind::Member(member)) => text.trim_end_matches(')').trim_end().ends_with(member.name.as_str()),
            _ => text.trim_end_matches(')').trim_end().ends_with(']'),
        };
        ends && span.start <= pointer.start && pointer.end < span.end
    }

    /// What stands between a field and what is assigned to it, without `=`; none where that is not in the text.
    fn operator(&self, from: u32, to: u32) -> Option<String> {
        let between = self.probe.text.get(Span::new(from, to.max(from)).range())?;
        let lexed = Lexed::new(between);
        let tokens = lexed.tokens().iter().filter(|token| token.kind != TokenKind::Comment);
        let operator: String = tokens.map(|token| lexed.spelling(token).into_owned()).collect();
        operator.trim_start_matches(')').trim_end_matches('(').strip_suffix('=').map(str::to_owned)
    }

    fn in_macro(&mut self, span: Span) {
        self.output.refuse(Refusal::InMacro(span, "a field of a packet"));
    }
}
