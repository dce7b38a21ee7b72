//! Whose memory pointers point to: the kernel's, the traced process's, or the program's own (stack, maps, context).
//!
//! The analysis follows values through variables, fields, maps, calls and returns without regard to the order of
//! statements: a variable that ever holds a kernel pointer is one that may. What a pointer to own memory points to is
//! followed too, so that a pointer that was kept in a map, or written through a pointer, is found again. Fields are told
//! apart by struct and name, not by instance. It runs to a fixed point; sets only grow and are bounded, so it ends.

use std::collections::{HashMap, HashSet};

use super::program::{Role, Roles, is_system_call};
use super::tree::{DeclId, FunctionId, NodeId, Tree};
use crate::clang::{CursorKind, Type, TypeKind};
use crate::kind::{Context, Memory};

mod cells;
mod flow;
mod known;
mod value;

use cells::{Cells, Value};

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
    /// The kernel's memory or the process's: which, only the address tells.
    pub const FOREIGN: Self = Self(3);
    /// Any memory.
    pub const ANY: Self = Self(7);

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

    /// What is in both sets.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
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
    /// The pointer is one of the kernel's, or of the program's own.
    Kernel,
    /// The pointer is one of the process's.
    User,
    /// The pointer may be either; the address tells.
    Any,
}

/// What the analysis found.
#[derive(Debug, Default)]
pub struct Origins {
    cells: Cells,
    /// Memory that whole structs were copied from, by the name of the struct.
    records: HashMap<String, Origin>,
    returns: HashMap<FunctionId, Value>,
    /// The memory that arguments of the programs that run a function point to.
    reach: HashMap<FunctionId, Origin>,
    /// Functions that programs run that trace nothing.
    untraced: HashSet<FunctionId>,
    changed: bool,
}

/// How often the tree is walked at most: more than any chain of calls and assignments needs.
const MAX_ROUNDS: usize = 64;

/// How deeply expressions are followed.
const MAX_DEPTH: usize = 600;

impl Origins {
    /// Runs the analysis.
    pub fn find(tree: &Tree<'_>, roles: &Roles) -> Self {
        let mut origins = Self { cells: Cells::of(tree), ..Self::default() };
        origins.start(tree, roles);
        for _ in 0..MAX_ROUNDS {
            origins.changed = false;
            origins.globals(tree);
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
        // A place in a packet, which a rule of its own loads from.
        if tree.node(pointer).and_then(|node| node.ty.canonical().pointee()).is_some_and(is_packet) {
            return Access::Direct;
        }
        let origin = self.of(tree, pointer).or_else(|| self.by_type(tree, pointer));
        match (origin.has(Origin::KERNEL), origin.has(Origin::USER), origin.has(Origin::OWN)) {
            (false, false, _) => Access::Direct,
            (true, false, _) => Access::Kernel,
            (false, true, false) => Access::User,
            (_, true, _) => Access::Any,
        }
    }

    /// Whether a pointer is known to point to no memory that the program may write.
    pub fn is_foreign(&self, tree: &Tree<'_>, pointer: NodeId) -> bool {
        let origin = self.of(tree, pointer);
        !origin.has(Origin::OWN) && origin.has(Origin::FOREIGN)
    }

    /// Whether a program runs a function that traces nothing, but is handed packets, sockets and the like: it has fewer
    /// helpers.
    pub fn is_untraced(&self, tree: &Tree<'_>, node: NodeId) -> bool {
        tree.function_of(node).is_some_and(|function| self.untraced.contains(&function))
    }

    /// What a value points to.
    pub fn of(&self, tree: &Tree<'_>, node: NodeId) -> Origin {
        self.value(tree, node, 0).origin
    }

    /// The variables of the program's own that a pointer may point to; a map stands for its values.
    pub fn variables(&self, tree: &Tree<'_>, pointer: NodeId) -> Vec<DeclId> {
        let value = self.value(tree, pointer, 0);
        value.cells().iter().filter_map(|cell| self.cells.variable(*cell)).collect()
    }

    /// What programs and their arguments start from.
    fn start(&mut self, tree: &Tree<'_>, roles: &Roles) {
        for (id, function) in tree.functions() {
            match roles.of(id) {
                Role::Programs(uses) => {
                    for program in uses {
                        let context = program.kind.context();
                        self.add_reach(id, known::reach(program.kind, &program.targets));
                        if !known::traces(program.kind) {
                            self.untraced.insert(id);
                        }
                        for (number, parameter) in function.parameters.iter().enumerate() {
                            let decl = tree.decl(*parameter);
                            let pointee = decl.and_then(|decl| decl.ty.canonical().pointee());
                            let origin = match number {
                                0 => Origin::OWN,
                                _ if decl.is_some_and(|decl| known::is_user(&decl.annotations)) => Origin::USER,
                                // The registers that the wrapper of a system call is handed.
                                _ if pointee.is_some_and(known::is_registers) => Origin::KERNEL,
                                _ if is_system_call(&function.name, &program.targets) => Origin::USER,
                                _ => match context {
                                    Context::Registers { memory: Memory::User, .. } => Origin::USER,
                                    Context::Registers { memory: Memory::Kernel, .. }
                                    | Context::Arguments { .. }
                                    | Context::RawArguments => known::from_kernel(decl.map(|decl| decl.ty)),
                                    Context::Record => Origin::UNKNOWN,
                                    Context::Opaque => Origin::OWN,
                                },
                            };
                            self.add_variable(*parameter, origin);
                        }
                        self.start_context(id, function.parameters.first().copied());
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
            if known::is_user(&decl.annotations) {
                self.add_variable(DeclId::new(index), Origin::USER);
            }
        }
    }

    /// What a pointer of that type points to where nothing else is known: kernel types are the kernel's; other memory
    /// is whose the program's arguments are.
    fn by_type(&self, tree: &Tree<'_>, id: NodeId) -> Origin {
        let Some(node) = tree.node(id) else { return Origin::UNKNOWN };
        match node.ty.canonical().pointee() {
            Some(pointee) if known::is_kernel_type(pointee) => return Origin::KERNEL,
            Some(pointee) if known::is_own_context(pointee) => return Origin::OWN,
            _ => {}
        }
        self.reach_of(tree, id)
    }

    fn reach_of(&self, tree: &Tree<'_>, id: NodeId) -> Origin {
        let function = tree.function_of(id);
        function.and_then(|function| self.reach.get(&function)).copied().unwrap_or_default()
    }
}

/// The struct or union that a type is, by the name that members have it by.
fn record_name(ty: Type<'_>) -> Option<String> {
    let ty = ty.canonical();
    (ty.kind() == TypeKind::Record).then(|| ty.declaration().map(|record| record.ty().unqualified().spelling()))?
}

/// Whether a type is the header of a packet: `BPF_PACKET_HEADER` of `templates/bcc/proto.h`.
pub fn is_packet(ty: Type<'_>) -> bool {
    let declaration = ty.canonical().declaration().filter(|_| ty.kind() == TypeKind::Record);
    declaration.is_some_and(|declaration| {
        let children = declaration.children();
        children.iter().any(|child| child.kind() == CursorKind::AnnotateAttr && child.spelling() == "dbcc:packet")
    })
}
