//! How values get to where they are kept.

use super::super::tree::{DeclId, DeclKind, FunctionId, NodeId, NodeKind, Tree};
use super::super::usdt;
use super::cells::{Cell, Value};
use super::{Origin, Origins, known, record_name};
use crate::clang::{CursorKind, Type, TypeKind};

/// How deeply structs that hold structs are looked at.
const MAX_NESTED: usize = 16;

impl Origins {
    /// Lets the values of one node flow to where they are kept.
    pub(super) fn flow(&mut self, tree: &Tree<'_>, id: NodeId, kind: &NodeKind) {
        match kind {
            NodeKind::Declare(decl) => {
                if let Some(init) = tree.kid(id, 0) {
                    let value = self.value(tree, init, 0);
                    self.add_cell(Cell::Variable(*decl), &value);
                }
            }
            NodeKind::Assign { compound } => {
                if let (Some(left), Some(right)) = (tree.kid(id, 0), tree.kid(id, 1)) {
                    // What is added to a pointer is an offset.
                    let is_pointer = tree.node(left).is_some_and(|left| left.ty.kind() == TypeKind::Pointer);
                    if !(*compound && is_pointer) {
                        let value = self.value(tree, right, 0);
                        let place = self.place(tree, tree.bare(left), 0);
                        self.store(&place, &value);
                    }
                }
            }
            NodeKind::Return => {
                if let (Some(function), Some(value)) = (tree.function_of(id), tree.kid(id, 0)) {
                    let value = self.value(tree, value, 0);
                    self.changed |= self.returns.entry(function).or_default().add(&value);
                }
            }
            NodeKind::Call => self.call(tree, id),
            NodeKind::List => self.list(tree, id),
            NodeKind::Implicit => {
                if let Some((record, origin)) = self.copied(tree, id)
                    && let Some(node) = tree.node(id)
                {
                    self.add_record(node.ty, record, origin, 0);
                }
            }
            _ => {}
        }
    }

    /// Lets what variables at file scope start with flow to them.
    pub(super) fn globals(&mut self, tree: &Tree<'_>) {
        for (index, decl) in tree.decls.iter().enumerate() {
            if let (DeclKind::Global, Some(init)) = (decl.kind, decl.init) {
                let value = self.value(tree, init, 0);
                self.add_cell(Cell::Variable(DeclId::new(index)), &value);
            }
        }
    }

    fn call(&mut self, tree: &Tree<'_>, id: NodeId) {
        let called = tree.kid(id, 0).map(|called| tree.bare(called));
        let method = called.and_then(|called| match tree.kind(called)? {
            NodeKind::Member(member) => Some((member.name.as_str(), tree.variable(tree.kid(called, 0)?)?)),
            _ => None,
        });
        if let Some((name, map)) = method {
            let map = self.cells.find(&Cell::Variable(map));
            self.map(tree, id, name, &Value::cell(map));
            return;
        }
        let Some(name) = tree.callee(id) else { return };
        let argument = |number: usize| tree.arguments(id).get(number).copied();
        if let Some(function) = tree.function_named(name) {
            self.call_function(tree, id, function);
        } else if let Some(copies) = known::copies(name) {
            if let (Some(to), Some(from)) = (argument(copies.to), argument(copies.from)) {
                self.copy(tree, to, from, copies.memory);
            }
        } else if let Some(to) = usdt::destination(tree, id) {
            // Pointers among the arguments of a USDT probe are the process's.
            let to = self.value(tree, to, 0);
            self.store(&to, &Value::of(Origin::USER));
        } else if let Some((to, number)) = usdt::buffer(tree, id) {
            self.copy(tree, to, number, Origin::USER);
        } else if name.starts_with("bpf_map_")
            && let Some(map) = argument(0)
        {
            let map = self.value(tree, map, 0);
            self.map(tree, id, name, &map);
        }
    }

    /// Arguments flow to parameters, and what reaches the caller reaches the called function.
    fn call_function(&mut self, tree: &Tree<'_>, id: NodeId, called: FunctionId) {
        let Some(function) = tree.function(called) else { return };
        for (parameter, argument) in function.parameters.iter().zip(tree.arguments(id)) {
            let value = self.value(tree, *argument, 0);
            self.add_cell(Cell::Variable(*parameter), &value);
        }
        if let Some(caller) = tree.function_of(id) {
            let reach = self.reach.get(&caller).copied().unwrap_or_default();
            self.add_reach(called, reach);
            if self.untraced.contains(&caller) {
                self.changed |= self.untraced.insert(called);
            }
        }
    }

    /// A value is kept in a map, or taken from it.
    fn map(&mut self, tree: &Tree<'_>, call: NodeId, name: &str, map: &Value) {
        let argument = |number: usize| tree.arguments(call).get(number).copied();
        if let Some(value) = known::keeps(name).and_then(argument) {
            let value = self.value(tree, value, 0);
            // An entry that is in the kernel's memory, or in the process's.
            let kept = self.cells.all(value.cells()).or(&Value::of(value.origin.and(Origin::FOREIGN)));
            self.store(map, &kept);
        }
        if let Some(room) = known::gives(name).and_then(argument) {
            let room = self.value(tree, room, 0);
            let kept = self.cells.all(map.cells());
            self.store(&room, &kept);
        }
    }

    /// Memory is copied to where `to` points to.
    fn copy(&mut self, tree: &Tree<'_>, to: NodeId, from: NodeId, memory: Origin) {
        let from = self.value(tree, from, 0).or_else(|| Value::of(self.by_type(tree, from)));
        let foreign = match memory {
            Origin::UNKNOWN => from.origin.and(Origin::FOREIGN),
            // The kernel's helpers read the program's own memory too.
            Origin::KERNEL if from.origin == Origin::OWN => Origin::UNKNOWN,
            memory => memory,
        };
        let kept = self.cells.all(from.cells());
        let pointer = tree.node(tree.bare_of_casts(to)).map(|node| node.ty.canonical());
        let copied = pointer.and_then(|pointer| pointer.pointee().or_else(|| pointer.element()));
        let to = self.value(tree, to, 0);
        self.store(&to, &kept);
        if foreign == Origin::UNKNOWN {
            return;
        }
        match copied.and_then(|copied| Some((copied, record_name(copied)?))) {
            Some((copied, record)) => self.add_record(copied, record, foreign, 0),
            None => {
                let kernel = if foreign.has(Origin::KERNEL) { known::from_kernel(copied) } else { Origin::UNKNOWN };
                self.store(&to, &Value::of(kernel.or(foreign.and(Origin::USER))));
            }
        }
    }

    /// `{ a, .b = c, { d } }` as the initialiser of a struct: its parts flow to the fields.
    fn list(&mut self, tree: &Tree<'_>, list: NodeId) {
        let Some(node) = tree.node(list) else { return };
        let Some(record) = record_name(node.ty) else { return };
        // The list of a compound literal stands in one that is the literal.
        let is_outer = |kid: &NodeId| tree.kind(*kid) == Some(&NodeKind::List) && node.kids.len() == 1;
        if let Some(inner) = node.kids.first().filter(|kid| is_outer(kid))
            && tree.node(*inner).and_then(|inner| record_name(inner.ty)).as_ref() == Some(&record)
        {
            return;
        }
        let fields = fields(node.ty);
        let mut at = 0usize;
        for kid in &node.kids {
            let value = self.value(tree, *kid, 0);
            if let Some(NodeKind::Designated(name)) = tree.kind(*kid) {
                at = fields.iter().position(|(field, _)| field == name).unwrap_or(fields.len());
                self.add_cell(Cell::Field(record.clone(), name.clone()), &value);
            } else if let Some((name, ty)) = fields.get(at) {
                // Without the braces of an inner struct or array, what follows is not told apart.
                let is_list = tree.kind(*kid) == Some(&NodeKind::List);
                let flat = !is_list && matches!(ty.kind(), TypeKind::Array | TypeKind::Record);
                let several = if flat { fields.get(at..).unwrap_or_default() } else { &[] };
                self.add_cell(Cell::Field(record.clone(), name.clone()), &value);
                for (name, _) in several {
                    self.add_cell(Cell::Field(record.clone(), name.clone()), &value);
                }
                if flat {
                    continue;
                }
            }
            at = at.saturating_add(1);
        }
    }

    /// A value is stored where a pointer points to.
    fn store(&mut self, place: &Value, value: &Value) {
        for cell in place.cells() {
            self.changed |= self.cells.add(*cell, value);
        }
    }

    /// A struct was copied from foreign memory: so were the structs that it holds.
    fn add_record(&mut self, ty: Type<'_>, record: String, origin: Origin, depth: usize) {
        let known = self.records.entry(record).or_default();
        let grown = known.or(origin);
        if *known == grown || depth > MAX_NESTED {
            return;
        }
        *known = grown;
        self.changed = true;
        let anonymous = anonymous(ty).into_iter();
        for held in fields(ty).into_iter().map(|(_, field)| field.element().unwrap_or(field)).chain(anonymous) {
            if let Some(record) = record_name(held) {
                self.add_record(held, record, origin, depth + 1);
            }
        }
    }

    /// Lets a program's context hold what it is handed.
    pub(super) fn start_context(&mut self, function: FunctionId, context: Option<DeclId>) {
        let reach = self.reach.get(&function).copied().unwrap_or_default();
        self.add_cell(Cell::Context(function), &Value::of(reach));
        if let Some(context) = context {
            let cell = self.cells.find(&Cell::Context(function));
            self.add_cell(Cell::Variable(context), &Value::cell(cell));
        }
    }

    pub(super) fn add_variable(&mut self, decl: DeclId, origin: Origin) {
        self.add_cell(Cell::Variable(decl), &Value::of(origin));
    }

    fn add_cell(&mut self, cell: Cell, value: &Value) {
        let cell = self.cells.id(cell);
        self.changed |= self.cells.add(cell, value);
    }

    pub(super) fn add_reach(&mut self, function: FunctionId, origin: Origin) {
        let known = self.reach.entry(function).or_default();
        self.changed |= *known != known.or(origin);
        *known = known.or(origin);
    }
}

/// The structs and unions that a struct or union holds without a name.
fn anonymous<'u>(ty: Type<'u>) -> Vec<Type<'u>> {
    let Some(record) = ty.canonical().declaration() else { return Vec::new() };
    let records = record.children().into_iter().filter(|child| child.is_anonymous());
    records.map(|record| record.ty()).collect()
}

/// The fields of a struct or union and their types, in order.
fn fields<'u>(ty: Type<'u>) -> Vec<(String, Type<'u>)> {
    let Some(record) = ty.canonical().declaration() else { return Vec::new() };
    let fields = record.children().into_iter().filter(|child| child.kind() == CursorKind::FieldDecl);
    fields.map(|field| (field.spelling(), field.ty())).collect()
}
