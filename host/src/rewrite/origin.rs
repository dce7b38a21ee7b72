//! Whose memory pointers point to: the kernel's, the traced process's, or the program's own (stack, maps, context).
//!
//! The analysis follows values through variables, fields, calls and returns without regard to the order of statements: a
//! variable that ever holds a kernel pointer is one that may. It runs to a fixed point; sets only grow, and there are
//! three bits to each, so it ends.

use std::collections::HashMap;

use super::program::{Role, Roles, is_system_call};
use super::tree::{DeclId, DeclKind, FunctionId, NodeId, NodeKind, Tree};
use crate::clang::{Type, TypeKind};
use crate::kind::{Context, Memory};

/// A set of memories; empty where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin(u8);

impl Origin {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self(0);
    /// The kernel's memory.
    pub const KERNEL: Self = Self(1);
    /// The traced process's memory.
    pub const USER: Self = Self(2);
    /// What the program may read directly: its stack, maps, its context, packets.
    pub const OWN: Self = Self(4);

    /// Both sets.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The other set where this one is empty.
    #[must_use]
    pub fn or_else(self, other: impl FnOnce() -> Self) -> Self {
        if self == Self::UNKNOWN { other() } else { self }
    }

    /// Whether the sets have something in common.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// How memory behind a pointer is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// As C does.
    Direct,
    /// `bpf_probe_read_kernel`; it reads the program's own memory as well.
    Kernel,
    /// `bpf_probe_read_user`.
    User,
    /// The pointer points to the process's memory in one case and to other memory in another.
    Conflict,
}

/// What the analysis found.
#[derive(Debug, Default)]
pub struct Origins {
    variables: HashMap<DeclId, Origin>,
    /// By the name of the struct and of the field.
    fields: HashMap<(String, String), Origin>,
    returns: HashMap<FunctionId, Origin>,
    /// The memory that arguments of the programs that run a function point to.
    reach: HashMap<FunctionId, Origin>,
    changed: bool,
}

/// How often the tree is walked at most: more than any chain of calls and assignments needs.
const MAX_ROUNDS: usize = 64;

/// How deeply expressions are followed.
const MAX_DEPTH: usize = 600;

impl Origins {
    /// Runs the analysis.
    pub fn find(tree: &Tree<'_>, roles: &Roles) -> Self {
        let mut origins = Self::default();
        origins.start(tree, roles);
        for _ in 0..MAX_ROUNDS {
            origins.changed = false;
            for (id, node) in tree.all() {
                origins.flow(tree, id, &node.kind);
            }
            if !origins.changed {
                break;
            }
        }
        origins
    }

    /// How the memory behind a pointer is read.
    pub fn access(&self, tree: &Tree<'_>, pointer: NodeId) -> Access {
        let origin = self.of(tree, pointer).or_else(|| self.by_type(tree, pointer));
        let (kernel, user, own) = (origin.has(Origin::KERNEL), origin.has(Origin::USER), origin.has(Origin::OWN));
        match (kernel, user, own) {
            (true, false, _) => Access::Kernel,
            (false, true, false) => Access::User,
            (_, true, _) => Access::Conflict,
            (false, false, _) => Access::Direct,
        }
    }

    /// Whether a pointer is known to point to no memory that the program may write.
    pub fn is_foreign(&self, tree: &Tree<'_>, pointer: NodeId) -> bool {
        let origin = self.of(tree, pointer);
        !origin.has(Origin::OWN) && (origin.has(Origin::KERNEL) || origin.has(Origin::USER))
    }

    /// What a value points to.
    pub fn of(&self, tree: &Tree<'_>, node: NodeId) -> Origin {
        self.value(tree, node, 0)
    }

    /// What programs and their arguments start from.
    fn start(&mut self, tree: &Tree<'_>, roles: &Roles) {
        for (id, function) in tree.functions() {
            match roles.of(id) {
                Role::Programs(uses) => {
                    for program in uses {
                        let bound = match program.kind.context() {
                            _ if is_system_call(&function.name, &program.targets) => Origin::USER,
                            Context::Registers { memory: Memory::User, .. } => Origin::USER,
                            Context::Registers { memory: Memory::Kernel, .. } | Context::Arguments { .. } => {
                                Origin::KERNEL
                            }
                            Context::Record => Origin::UNKNOWN,
                            Context::Opaque => Origin::OWN,
                        };
                        self.add_reach(id, reach(program.kind.context(), &program.targets));
                        for (number, parameter) in function.parameters.iter().enumerate() {
                            let annotated = tree.decl(*parameter).is_some_and(|decl| is_user(&decl.annotations));
                            let origin = match number {
                                0 => Origin::OWN,
                                _ if annotated => Origin::USER,
                                // The registers that the wrapper of a system call is handed.
                                _ if is_registers(tree, *parameter) => Origin::KERNEL,
                                _ => bound,
                            };
                            self.add_variable(*parameter, origin);
                        }
                    }
                }
                Role::Section(_) | Role::Unattached => {
                    if let Some(context) = function.parameters.first() {
                        self.add_variable(*context, Origin::OWN);
                    }
                    self.add_reach(id, Origin::OWN);
                }
                Role::Helper => {}
            }
        }
        for (index, decl) in tree.decls.iter().enumerate() {
            if is_user(&decl.annotations) {
                self.add_variable(DeclId::new(index), Origin::USER);
            }
        }
    }

    /// Lets the values of one node flow to where they are kept.
    fn flow(&mut self, tree: &Tree<'_>, id: NodeId, kind: &NodeKind) {
        match kind {
            NodeKind::Declare(decl) => {
                if let Some(init) = tree.kid(id, 0) {
                    let origin = self.of(tree, init);
                    self.add_variable(*decl, origin);
                    let record = tree.decl(*decl).map(|decl| decl.ty.unqualified().spelling());
                    self.designated(tree, init, &record.unwrap_or_default());
                }
            }
            NodeKind::Assign { .. } => {
                if let (Some(left), Some(right)) = (tree.kid(id, 0), tree.kid(id, 1)) {
                    let origin = self.of(tree, right);
                    self.store(tree, left, origin);
                }
            }
            NodeKind::Return => {
                if let (Some(function), Some(value)) = (tree.function_of(id), tree.kid(id, 0)) {
                    let origin = self.of(tree, value);
                    let known = self.returns.entry(function).or_default();
                    self.changed |= *known != known.or(origin);
                    *known = known.or(origin);
                }
            }
            NodeKind::Call => self.call(tree, id),
            _ => {}
        }
    }

    /// Arguments flow to parameters, and what reaches the caller reaches the called function.
    fn call(&mut self, tree: &Tree<'_>, id: NodeId) {
        let Some(called) = tree.callee(id).and_then(|name| tree.function_named(name)) else { return };
        let Some(function) = tree.function(called) else { return };
        for (parameter, argument) in function.parameters.iter().zip(tree.arguments(id)) {
            let origin = self.of(tree, *argument);
            self.add_variable(*parameter, origin);
        }
        if let Some(caller) = tree.function_of(id) {
            let reach = self.reach.get(&caller).copied().unwrap_or_default();
            self.add_reach(called, reach);
        }
    }

    /// `{ .field = value }`
    fn designated(&mut self, tree: &Tree<'_>, list: NodeId, record: &str) {
        if tree.kind(list) != Some(&NodeKind::List) {
            return;
        }
        for kid in tree.node(list).map(|node| node.kids.as_slice()).unwrap_or_default() {
            if let (Some(NodeKind::Designated(field)), Some(value)) = (tree.kind(*kid), tree.kid(*kid, 0)) {
                let origin = self.of(tree, value);
                self.add_field(record.to_owned(), field.clone(), origin);
            }
        }
    }

    /// A value is stored in an lvalue.
    fn store(&mut self, tree: &Tree<'_>, left: NodeId, origin: Origin) {
        let left = tree.bare(left);
        match tree.kind(left) {
            Some(NodeKind::Variable(decl)) => self.add_variable(*decl, origin),
            Some(NodeKind::Member(member)) => self.add_field(member.record.clone(), member.name.clone(), origin),
            // An element of an array: the array's elements are one.
            Some(NodeKind::Index) => {
                if let Some(base) = tree.kid(left, 0) {
                    self.store_elements(tree, base, origin);
                }
            }
            _ => {}
        }
    }

    fn store_elements(&mut self, tree: &Tree<'_>, array: NodeId, origin: Origin) {
        let array = tree.bare(array);
        if tree.node(array).is_some_and(|node| node.ty.kind() == TypeKind::Array) {
            self.store(tree, array, origin);
        }
    }

    fn add_variable(&mut self, decl: DeclId, origin: Origin) {
        let known = self.variables.entry(decl).or_default();
        self.changed |= *known != known.or(origin);
        *known = known.or(origin);
    }

    fn add_field(&mut self, record: String, field: String, origin: Origin) {
        let known = self.fields.entry((record, field)).or_default();
        self.changed |= *known != known.or(origin);
        *known = known.or(origin);
    }

    fn add_reach(&mut self, function: FunctionId, origin: Origin) {
        let known = self.reach.entry(function).or_default();
        self.changed |= *known != known.or(origin);
        *known = known.or(origin);
    }

    /// What a value points to, as far as is known at this point of the analysis.
    fn value(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Origin {
        let Some(node) = tree.node(id) else { return Origin::UNKNOWN };
        if depth > MAX_DEPTH {
            return Origin::UNKNOWN;
        }
        let kid = |number| tree.kid(id, number);
        let of = |kid: Option<NodeId>| kid.map_or(Origin::UNKNOWN, |kid| self.value(tree, kid, depth + 1));
        // An array is the address of its first element.
        let is_place =
            matches!(node.kind, NodeKind::Variable(_) | NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref);
        if is_place && node.ty.kind() == TypeKind::Array {
            return self.place(tree, id, depth + 1);
        }
        match &node.kind {
            NodeKind::Variable(decl) => self.variables.get(decl).copied().unwrap_or_default(),
            NodeKind::Text(_) => Origin::OWN,
            NodeKind::AddressOf => kid(0).map_or(Origin::UNKNOWN, |kid| self.place(tree, kid, depth + 1)),
            NodeKind::Member(_) | NodeKind::Index | NodeKind::Deref => self.loaded(tree, id, depth + 1),
            NodeKind::Cast | NodeKind::Implicit | NodeKind::Paren | NodeKind::Unary | NodeKind::Step => of(kid(0)),
            NodeKind::Arithmetic => {
                // A pointer and an offset: the offset has no origin. Of two numbers, the first that has one.
                let is_pointer = |kid: Option<NodeId>| {
                    kid.and_then(|kid| tree.node(kid))
                        .is_some_and(|node| matches!(node.ty.kind(), TypeKind::Pointer | TypeKind::Array))
                };
                match (is_pointer(kid(0)), is_pointer(kid(1))) {
                    (true, true) => Origin::UNKNOWN,
                    (true, false) => of(kid(0)),
                    (false, true) => of(kid(1)),
                    (false, false) => of(kid(0)).or_else(|| of(kid(1))),
                }
            }
            NodeKind::Binary => of(kid(0)).or_else(|| of(kid(1))),
            NodeKind::Assign { .. } | NodeKind::Comma => of(kid(1)),
            NodeKind::Conditional => of(kid(1)).or(of(kid(2))),
            NodeKind::Block => of(node.kids.last().copied()),
            NodeKind::List => {
                // An initialiser of an array of pointers, or an expression without a name (`a ?: b`).
                node.kids.iter().fold(Origin::UNKNOWN, |origin, kid| origin.or(of(Some(*kid))))
            }
            NodeKind::Call => self.returned(tree, id, depth + 1),
            _ => Origin::UNKNOWN,
        }
    }

    /// Whose memory an lvalue is in.
    fn place(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Origin {
        if depth > MAX_DEPTH {
            return Origin::UNKNOWN;
        }
        let pointer = |id| self.value(tree, id, depth + 1).or_else(|| self.by_type(tree, id));
        match (tree.kind(id), tree.kid(id, 0)) {
            (Some(NodeKind::Member(member)), Some(base)) if member.arrow => pointer(base),
            (Some(NodeKind::Member(_) | NodeKind::Paren | NodeKind::Implicit | NodeKind::Cast), Some(base)) => {
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
            (Some(NodeKind::Name(_)), _) => Origin::UNKNOWN,
            _ => Origin::OWN,
        }
    }

    /// What a value points to that is read from an lvalue (other than a whole variable).
    fn loaded(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Origin {
        let place = self.place(tree, id, depth);
        // Registers that the kernel keeps are those of the process.
        if place.has(Origin::KERNEL)
            && matches!(tree.kind(id), Some(NodeKind::Member(member)) if member.record == "struct pt_regs")
        {
            return Origin::USER;
        }
        if place.has(Origin::KERNEL) || place.has(Origin::USER) {
            // What the kernel keeps are its own pointers, and a process's are its own.
            return Origin(place.0 & !Origin::OWN.0);
        }
        let kept = match (tree.kind(id), tree.kid(id, 0)) {
            (Some(NodeKind::Member(member)), _) => {
                if let Some(origin) = of_context(&member.record) {
                    return origin.or_else(|| self.reach_of(tree, id));
                }
                self.fields.get(&(member.record.clone(), member.name.clone())).copied().unwrap_or_default()
            }
            (Some(NodeKind::Index), Some(base)) => {
                let base = tree.bare(base);
                match tree.kind(base) {
                    Some(NodeKind::Member(member)) => {
                        if let Some(origin) = of_context(&member.record) {
                            return origin.or_else(|| self.reach_of(tree, id));
                        }
                        self.fields.get(&(member.record.clone(), member.name.clone())).copied().unwrap_or_default()
                    }
                    // An array of pointers, or the arguments that fentry hands over.
                    Some(NodeKind::Variable(decl)) => match tree.decl(*decl).map(|decl| (decl.ty.kind(), decl.kind)) {
                        Some((TypeKind::Array, _)) => self.variables.get(decl).copied().unwrap_or_default(),
                        Some((_, DeclKind::Parameter(_, 0))) => self.reach_of(tree, id),
                        _ => Origin::UNKNOWN,
                    },
                    _ => Origin::UNKNOWN,
                }
            }
            _ => Origin::UNKNOWN,
        };
        kept.or_else(|| self.by_type(tree, id))
    }

    /// What a call returns.
    fn returned(&self, tree: &Tree<'_>, id: NodeId, depth: usize) -> Origin {
        let Some(called) = tree.kid(id, 0).map(|called| tree.bare(called)) else { return Origin::UNKNOWN };
        if matches!(tree.kind(called), Some(NodeKind::Member(_))) {
            // A method of a map: an entry, or room in a ring buffer.
            return Origin::OWN;
        }
        let Some(name) = tree.callee(id) else { return Origin::UNKNOWN };
        if let Some(function) = tree.function_named(name) {
            return self.returns.get(&function).copied().unwrap_or_default();
        }
        match name {
            "bpf_get_current_task"
            | "bpf_get_current_task_btf"
            | "bpf_task_pt_regs"
            | "bpf_per_cpu_ptr"
            | "bpf_this_cpu_ptr"
            | "bpf_sock_from_file" => Origin::KERNEL,
            "bpf_map_lookup_elem"
            | "bpf_map_lookup_percpu_elem"
            | "bpf_ringbuf_reserve"
            | "bpf_get_local_storage"
            | "bpf_sk_storage_get"
            | "bpf_inode_storage_get"
            | "bpf_task_storage_get"
            | "bpf_cgrp_storage_get"
            | "bpf_sk_fullsock"
            | "bpf_tcp_sock"
            | "bpf_sk_lookup_tcp"
            | "bpf_sk_lookup_udp"
            | "bpf_skc_lookup_tcp"
            | "bpf_get_listener_sock" => Origin::OWN,
            _ if name.starts_with("__builtin_preserve") || name.starts_with("__builtin_assume_aligned") => {
                tree.arguments(id).first().map_or(Origin::UNKNOWN, |first| self.value(tree, *first, depth + 1))
            }
            _ => Origin::UNKNOWN,
        }
    }

    /// What a pointer of that type points to where nothing else is known: kernel types are the kernel's; other memory
    /// is whose the program's arguments are.
    fn by_type(&self, tree: &Tree<'_>, id: NodeId) -> Origin {
        let Some(node) = tree.node(id) else { return Origin::UNKNOWN };
        if node.ty.canonical().pointee().is_some_and(is_kernel_type) {
            return Origin::KERNEL;
        }
        self.reach_of(tree, id)
    }

    fn reach_of(&self, tree: &Tree<'_>, id: NodeId) -> Origin {
        let function = tree.function_of(id);
        function.and_then(|function| self.reach.get(&function)).copied().unwrap_or_default()
    }
}

/// Whose memory pointers are in that a program finds in its context.
fn reach(context: Context, targets: &[String]) -> Origin {
    match context {
        Context::Registers { memory: Memory::User, .. } => Origin::USER,
        // The arguments of system calls are the process's.
        Context::Record if targets.iter().any(|target| target.starts_with("syscalls:")) => Origin::USER,
        Context::Registers { .. } | Context::Arguments { .. } | Context::Record => Origin::KERNEL,
        Context::Opaque => Origin::OWN,
    }
}

/// What a pointer points to that is read from a context of that type; unknown where it depends on the program, none
/// where the type is no context.
fn of_context(record: &str) -> Option<Origin> {
    match record {
        "struct pt_regs" | "struct user_pt_regs" | "struct bpf_perf_event_data" => Some(Origin::UNKNOWN),
        "struct bpf_raw_tracepoint_args" => Some(Origin::KERNEL),
        "struct __sk_buff"
        | "struct xdp_md"
        | "struct sk_msg_md"
        | "struct sk_reuseport_md"
        | "struct bpf_sock_ops"
        | "struct bpf_sockopt"
        | "struct bpf_sock_addr"
        | "struct bpf_sk_lookup" => Some(Origin::OWN),
        _ => None,
    }
}

/// Whether a type is a struct or union that a header declares: the slice of the kernel's types.
fn is_kernel_type(ty: Type<'_>) -> bool {
    ty.kind() == TypeKind::Record
        && ty.canonical().declaration().is_some_and(|declaration| declaration.span().is_none())
        && of_context(&ty.canonical().unqualified().spelling()).is_none()
}

/// Whether a variable is a pointer to registers.
fn is_registers(tree: &Tree<'_>, decl: DeclId) -> bool {
    let pointee = tree.decl(decl).and_then(|decl| decl.ty.canonical().pointee());
    pointee.is_some_and(|pointee| pointee.unqualified().spelling() == "struct pt_regs")
}

fn is_user(annotations: &[String]) -> bool {
    annotations.iter().any(|annotation| annotation == "dbcc:user")
}
