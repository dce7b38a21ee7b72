//! What an expression points to.

use super::super::tree::{NodeId, NodeKind, Tree};
use super::cells::{Cell, Value};
use super::{MAX_DEPTH, Origin, Origins, known, record_name};
use crate::clang::TypeKind;

impl Origins {
    /// What a value points to, as far as is known at this point of the analysis.
    pub(super) fn value(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Value {
        let Some(node) = tree.node(id).filter(|_| depth <= MAX_DEPTH) else { return Value::default() };
        let kid = |number| tree.kid(id, number);
        let of = |kid: Option<NodeId>| kid.map(|kid| self.value(tree, kid, depth + 1)).unwrap_or_default();
        // An array is the address of its first element.
        let is_place =
            matches!(node.kind, NodeKind::Variable(_) | NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref);
        if is_place && node.ty.kind() == TypeKind::Array {
            return self.place(tree, id, depth + 1);
        }
        match &node.kind {
            NodeKind::Variable(decl) => {
                let cell = self.cells.find(&Cell::Variable(*decl));
                cell.and_then(|cell| self.cells.contents(cell)).cloned().unwrap_or_default()
            }
            NodeKind::Text(_) => Value::of(Origin::OWN),
            NodeKind::AddressOf => kid(0).map(|kid| self.place(tree, kid, depth + 1)).unwrap_or_default(),
            NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref => self.loaded(tree, id, depth + 1),
            NodeKind::Cast | NodeKind::Implicit | NodeKind::Paren | NodeKind::Unary | NodeKind::Step => of(kid(0)),
            NodeKind::Arithmetic => {
                // A pointer and an offset: the offset has no origin. Of two numbers, the first that has one.
                let is_pointer = |kid: Option<NodeId>| {
                    kid.and_then(|kid| tree.node(kid))
                        .is_some_and(|node| matches!(node.ty.kind(), TypeKind::Pointer | TypeKind::Array))
                };
                match (is_pointer(kid(0)), is_pointer(kid(1))) {
                    (true, true) => Value::default(),
                    (true, false) => of(kid(0)),
                    (false, true) => of(kid(1)),
                    (false, false) => of(kid(0)).or_else(|| of(kid(1))),
                }
            }
            NodeKind::Binary | NodeKind::ShiftRight => of(kid(0)).or_else(|| of(kid(1))),
            NodeKind::Assign { .. } | NodeKind::Comma => of(kid(1)),
            NodeKind::Conditional => of(kid(1)).or(&of(kid(2))),
            NodeKind::Block => of(node.kids.last().copied()),
            NodeKind::List => {
                // An initialiser of an array of pointers, or an expression without a name (`a ?: b`).
                node.kids.iter().fold(Value::default(), |all, kid| all.or(&of(Some(*kid))))
            }
            NodeKind::Designated(_) => of(node.kids.last().copied()),
            NodeKind::Call => self.returned(tree, id, depth + 1),
            _ => Value::default(),
        }
    }

    /// The address of an lvalue.
    pub(super) fn place(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::default();
        }
        let pointer = |id| self.value(tree, id, depth + 1).or_else(|| Value::of(self.by_type(tree, id)));
        // The field of what is there: of own memory, a place of its own.
        let field = |base: Value| match (base.origin.has(Origin::OWN), base.origin.and(Origin::FOREIGN)) {
            (false, _) => Value::of(base.origin),
            (true, foreign) => Value::cell(self.cells.of_member(id)).or(&Value::of(foreign)),
        };
        match (tree.kind(id), tree.kid(id, 0)) {
            (Some(NodeKind::Member(member)), Some(base)) if member.arrow => field(pointer(base)),
            (Some(NodeKind::Member(_)), Some(base)) => field(self.place(tree, base, depth + 1)),
            (Some(NodeKind::Paren | NodeKind::Implicit | NodeKind::Cast), Some(base)) => {
                self.place(tree, base, depth + 1)
            }
            (Some(NodeKind::Index), Some(base)) => {
                let array = tree.bare(base);
                match tree.node(array).map(|node| node.ty.kind()) {
                    Some(TypeKind::Array) => self.place(tree, array, depth + 1),
                    _ => pointer(base),
                }
            }
            (Some(NodeKind::Deref), Some(base)) => pointer(base),
            (Some(NodeKind::Variable(decl)), _) => Value::cell(self.cells.find(&Cell::Variable(*decl))),
            // A function, or something that a call returned: a struct whose fields are known by its type.
            (Some(NodeKind::Name(_)), _) => Value::default(),
            _ => Value::of(Origin::OWN),
        }
    }

    /// What a value points to that is read from an lvalue (other than a whole variable).
    fn loaded(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Value {
        let place = self.place(tree, id, depth);
        let ty = tree.node(id).map(|node| node.ty);
        let mut found = self.foreign_contents(tree, id, place.origin);
        found.add(&self.cells.all(place.cells()));
        if let Some(NodeKind::Member(member)) = tree.kind(id) {
            // The context of a program, unless the field is one of a copy that the kernel or the process keeps.
            if let Some(origin) = known::of_context(&member.record).filter(|_| found.is_unknown()) {
                return Value::of(origin.or_else(|| self.reach_of(tree, id)));
            }
            // A field of a copy: whose memory was copied.
            let copied = self.records.get(&member.record).copied().unwrap_or_default();
            let copied =
                if copied.has(Origin::KERNEL) { known::from_kernel(ty).or(copied.and(Origin::USER)) } else { copied };
            found.add(&Value::of(copied));
        } else if let Some(record) = self.indexed_context(tree, id) {
            return Value::of(record.or_else(|| self.reach_of(tree, id)));
        }
        found.or_else(|| Value::of(self.by_type(tree, id)))
    }

    /// What pointers that lie in the kernel's or the process's memory point to.
    fn foreign_contents(&self, tree: &Tree<'_>, id: NodeId, place: Origin) -> Value {
        let mut origin = place.and(Origin::USER);
        if place.has(Origin::KERNEL) {
            // Registers that the kernel keeps are those of the process.
            let registers =
                matches!(tree.kind(id), Some(NodeKind::Member(member)) if member.record == "struct pt_regs");
            let ty = tree.node(id).map(|node| node.ty);
            origin = origin.or(if registers { Origin::USER } else { known::from_kernel(ty) });
        }
        Value::of(origin)
    }

    /// `ctx->args[1]`: what an array in a context holds.
    fn indexed_context(&self, tree: &Tree<'_>, id: NodeId) -> Option<Origin> {
        let NodeKind::Index = tree.kind(id)? else { return None };
        match tree.kind(tree.bare(tree.kid(id, 0)?))? {
            NodeKind::Member(member) => known::of_context(&member.record),
            _ => None,
        }
    }

    /// What a call returns.
    fn returned(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Value {
        let Some(called) = tree.kid(id, 0).map(|called| tree.bare(called)) else { return Value::default() };
        if matches!(tree.kind(called), Some(NodeKind::Member(_))) {
            // A method of a map: an entry, or room in a ring buffer.
            let map = tree.kid(called, 0).and_then(|map| tree.variable(map));
            return Value::cell(map.and_then(|map| self.cells.find(&Cell::Variable(map))));
        }
        let Some(name) = tree.callee(id) else { return Value::default() };
        if let Some(function) = tree.function_named(name) {
            return self.returns.get(&function).cloned().unwrap_or_default();
        }
        if let Some(origin) = known::returned(name) {
            return Value::of(origin);
        }
        let first = || tree.arguments(id).first().map(|first| self.value(tree, *first, depth + 1));
        match name {
            "bpf_map_lookup_elem" | "bpf_map_lookup_percpu_elem" => {
                Value::of(Origin::OWN).or(&first().unwrap_or_default())
            }
            "__builtin_memcpy" | "memcpy" => first().unwrap_or_default(),
            _ if name.starts_with("__builtin_preserve") || name.starts_with("__builtin_assume_aligned") => {
                first().unwrap_or_default()
            }
            _ => Value::default(),
        }
    }

    /// Whose memory a struct is copied from where an expression is read as a whole; none for other types.
    pub(super) fn copied(&self, tree: &Tree<'_>, id: NodeId) -> Option<(String, Origin)> {
        let node = tree.node(id)?;
        let record = record_name(node.ty)?;
        let lvalue = tree.bare(id);
        if !matches!(tree.kind(lvalue)?, NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref) {
            return None;
        }
        let origin = self.place(tree, lvalue, 0).origin.and(Origin::FOREIGN);
        (origin != Origin::UNKNOWN).then_some((record, origin))
    }
}
