//! Where the values come from that keys are made of: a thread, a process, a CPU, an object, or something else.
//!
//! As for origins, the order of statements is not regarded: a variable holds all that is ever stored in it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use crate::clang::TypeKind;
use crate::rewrite::Probe;
use crate::rewrite::tree::{DeclId, DeclKind, NodeId, NodeKind};

/// A set of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Source(u16);

impl Source {
    /// Numbers that stand in the text.
    pub(super) const CONSTANT: Self = Self(1);
    /// The id of a thread, the running one or another.
    pub(super) const THREAD: Self = Self(2);
    /// The id of a process.
    pub(super) const PROCESS: Self = Self(4);
    /// The number of the running CPU.
    pub(super) const CPU: Self = Self(8);
    /// The address of an object.
    pub(super) const OBJECT: Self = Self(16);
    /// Anything else.
    pub(super) const OTHER: Self = Self(32);
    /// The port of a socket.
    const LOCAL_PORT: Self = Self(64);
    /// The port that a socket is connected to.
    const REMOTE_PORT: Self = Self(128);
    /// The number of a queue of a network device.
    const QUEUE: Self = Self(256);

    /// Both sets.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets have something in common.
    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Without what is in the other set.
    #[must_use]
    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it names something that one CPU at a time works on, as a rule: a thread, a CPU, an object; a connection, by both
    /// of its ports, which the kernel changes under the lock of its socket (`lock_sock` and `bh_lock_sock`, include/net/sock.h);
    /// a queue, which is polled by one CPU and sent to under its lock (`HARD_TX_LOCK`, include/linux/netdevice.h).
    pub(super) fn is_serial(self) -> bool {
        let is_connection = self.has(Self::LOCAL_PORT) && self.has(Self::REMOTE_PORT);
        is_connection || self.has(Self::THREAD.or(Self::CPU).or(Self::OBJECT).or(Self::QUEUE))
    }

    /// What fields of these names hold in the structs and records of the kernel; none of those that say nothing of a key.
    fn of_field(name: &str) -> Option<Self> {
        Some(match name {
            "skc_num" | "inet_num" | "inet_sport" | "sport" => Self::LOCAL_PORT,
            "skc_dport" | "inet_dport" | "dport" => Self::REMOTE_PORT,
            "queue_mapping" => Self::QUEUE,
            _ => return None,
        })
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How deeply values are followed.
const MAX_DEPTH: usize = 64;

/// How many expressions are looked at for one answer: more than any key of a person's needs.
const MAX_STEPS: usize = 20_000;

/// What is stored in a variable: in which field, if it is one, and which value.
type Store = (Option<String>, Stored);

/// A value that is stored.
#[derive(Debug, Clone, Copy)]
enum Stored {
    /// That of an expression.
    Value(NodeId),
    /// What an expression points to.
    Behind(NodeId),
    /// What a call leaves behind a pointer that it is given.
    Unknown,
}

/// Finds out where values come from.
pub(super) struct Sources<'p, 'u> {
    probe: &'p Probe<'p, 'u>,
    stores: HashMap<DeclId, Vec<Store>>,
    /// What is asked for at the moment: a value that depends on itself adds nothing.
    open: RefCell<HashSet<(DeclId, Option<String>)>>,
    /// How many expressions may still be looked at.
    left: Cell<usize>,
}

impl<'p, 'u> Sources<'p, 'u> {
    /// Gathers what is stored where.
    pub(super) fn new(probe: &'p Probe<'p, 'u>) -> Self {
        let mut sources = Self { probe, stores: HashMap::new(), open: RefCell::default(), left: Cell::new(0) };
        for (id, node) in probe.tree.all() {
            sources.gather(id, &node.kind);
        }
        sources
    }

    fn gather(&mut self, id: NodeId, kind: &NodeKind) {
        let tree = self.probe.tree;
        match kind {
            NodeKind::Declare(decl) => {
                if let Some(value) = tree.kid(id, 0) {
                    self.stores.entry(*decl).or_default().push((None, Stored::Value(value)));
                }
            }
            NodeKind::Assign { .. } => {
                if let (Some(left), Some(value)) = (tree.kid(id, 0), tree.kid(id, 1))
                    && let Some((decl, field)) = self.place(left)
                {
                    self.stores.entry(decl).or_default().push((field, Stored::Value(value)));
                }
            }
            NodeKind::Call => self.gather_call(id),
            _ => {}
        }
    }

    fn gather_call(&mut self, call: NodeId) {
        let tree = self.probe.tree;
        let name = tree.callee(call).unwrap_or_default();
        if let Some(function) = tree.function_named(name).and_then(|function| tree.function(function)) {
            for (parameter, argument) in function.parameters.iter().zip(tree.arguments(call)) {
                self.stores.entry(*parameter).or_default().push((None, Stored::Value(*argument)));
            }
        } else if name.is_empty() || name.starts_with("bpf_map_") || name == "bpf_perf_event_output" {
            // A method or helper that reads what it is given, but for values that it gives: these are another's.
            return;
        }
        for (number, argument) in tree.arguments(call).iter().enumerate() {
            let argument = tree.bare_of_casts(*argument);
            let lvalue = match tree.kind(argument) {
                Some(NodeKind::AddressOf) => tree.kid(argument, 0),
                Some(_) if tree.node(argument).is_some_and(|node| node.ty.kind() == TypeKind::Array) => Some(argument),
                _ => None,
            };
            let Some((decl, field)) = lvalue.and_then(|lvalue| self.place(lvalue)) else { continue };
            let reads = name.starts_with("bpf_probe_read") || name == "bpf_core_read";
            let stored = match tree.arguments(call).get(2).filter(|_| reads && number == 0) {
                Some(from) => Stored::Behind(*from),
                None if reads => continue,
                None => Stored::Unknown,
            };
            self.stores.entry(decl).or_default().push((field, stored));
        }
    }

    /// The variable that an lvalue is part of, and the field of it, if it is one.
    fn place(&self, lvalue: NodeId) -> Option<(DeclId, Option<String>)> {
        let tree = self.probe.tree;
        let (mut at, mut field) = (tree.bare_of_casts(lvalue), None);
        loop {
            match tree.kind(at)? {
                NodeKind::Variable(decl) => return Some((*decl, field)),
                NodeKind::Member(member) if !member.arrow => {
                    if !member.name.is_empty() {
                        field = Some(member.name.clone());
                    }
                    at = tree.bare_of_casts(tree.kid(at, 0)?);
                }
                NodeKind::Index => at = tree.bare_of_casts(tree.kid(at, 0)?),
                _ => return None,
            }
        }
    }

    /// Where the value comes from that a pointer points to: `&key`, `key` of an array, or a variable that holds these.
    pub(super) fn behind(&self, pointer: NodeId) -> Source {
        self.left.set(MAX_STEPS);
        self.pointed(pointer, 0)
    }

    fn pointed(&self, pointer: NodeId, depth: usize) -> Source {
        let tree = self.probe.tree;
        if !self.step(depth) {
            return Source::OTHER;
        }
        let pointer = tree.bare_of_casts(pointer);
        let is_array = tree.node(pointer).is_some_and(|node| node.ty.kind() == TypeKind::Array);
        match tree.kind(pointer) {
            Some(NodeKind::AddressOf) => tree.kid(pointer, 0).map_or(Source::OTHER, |kid| self.value(kid, depth + 1)),
            Some(_) if is_array => self.value(pointer, depth + 1),
            Some(NodeKind::Variable(decl)) => {
                let stores = self.stores.get(decl).map(Vec::as_slice).unwrap_or_default();
                let values = stores.iter().map(|(_, stored)| match stored {
                    Stored::Value(value) => self.once(*decl, Some("*"), || self.pointed(*value, depth + 1)),
                    Stored::Behind(_) | Stored::Unknown => Source::OTHER,
                });
                or_other(values.fold(Source::default(), Source::or))
            }
            _ => Source::OTHER,
        }
    }

    /// Where the value of an expression comes from.
    pub(super) fn of(&self, id: NodeId) -> Source {
        self.left.set(MAX_STEPS);
        self.value(id, 0)
    }

    /// Whether one expression more may be looked at.
    fn step(&self, depth: usize) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left > 0 && depth <= MAX_DEPTH
    }

    fn value(&self, id: NodeId, depth: usize) -> Source {
        let tree = self.probe.tree;
        let Some(node) = tree.node(id).filter(|_| self.step(depth)) else { return Source::OTHER };
        let of = |number| tree.kid(id, number).map_or(Source::OTHER, |kid| self.value(kid, depth + 1));
        let unknown = if node.ty.kind() == TypeKind::Pointer { Source::OBJECT } else { Source::OTHER };
        match &node.kind {
            NodeKind::Constant | NodeKind::Text(_) | NodeKind::Unevaluated => Source::CONSTANT,
            NodeKind::Variable(decl) => self.variable(*decl, None, depth + 1),
            NodeKind::Member(member) => match (member.record.as_str(), member.name.as_str()) {
                // `tgid_pid` and the like are names of the probe's own.
                (_, "tgid") if member.arrow => Source::PROCESS,
                (_, "pid" | "tid" | "prev_pid" | "next_pid") if member.arrow && self.is_foreign(id) => Source::THREAD,
                (_, name) => match self.place(id) {
                    Some((decl, field)) => self.variable(decl, field, depth + 1),
                    None => Source::of_field(name).filter(|_| self.is_foreign(id)).unwrap_or(unknown),
                },
            },
            NodeKind::AddressOf => Source::OBJECT,
            NodeKind::Index => self.place(id).map_or(unknown, |(decl, field)| self.variable(decl, field, depth + 1)),
            NodeKind::ShiftRight => {
                let value = of(0);
                if value.has(Source::THREAD) { value.without(Source::THREAD).or(Source::PROCESS) } else { value }
            }
            NodeKind::Cast | NodeKind::Implicit | NodeKind::Paren | NodeKind::Unary | NodeKind::Step => {
                let value = of(0);
                if value == Source::OTHER { unknown } else { value }
            }
            NodeKind::Assign { .. } | NodeKind::Comma => of(1),
            NodeKind::Conditional => of(1).or(of(2)),
            NodeKind::Designated(_) | NodeKind::Block => {
                node.kids.last().map_or(Source::OTHER, |last| self.value(*last, depth + 1))
            }
            NodeKind::Arithmetic | NodeKind::Binary | NodeKind::List => {
                let values = node.kids.iter().map(|kid| self.value(*kid, depth + 1));
                values.fold(if node.kids.is_empty() { Source::CONSTANT } else { Source::default() }, Source::or)
            }
            NodeKind::Call => self.returned(id, depth + 1).unwrap_or(unknown),
            _ => unknown,
        }
    }

    /// Whether a member is read through a pointer to memory that is not the probe's own, or of a context.
    fn is_foreign(&self, member: NodeId) -> bool {
        let Some(pointer) = self.probe.tree.pointer_to(member) else { return false };
        super::map_access::maps_behind(self.probe, pointer).is_empty()
    }

    fn returned(&self, call: NodeId, depth: usize) -> Option<Source> {
        let tree = self.probe.tree;
        let name = tree.callee(call)?;
        match name {
            "bpf_get_current_pid_tgid" | "bpf_get_current_task" | "bpf_get_current_task_btf" => Some(Source::THREAD),
            "bpf_get_smp_processor_id" => Some(Source::CPU),
            "__builtin_bswap16" | "__builtin_bswap32" => {
                tree.arguments(call).first().map(|value| self.value(*value, depth + 1))
            }
            _ => {
                let function = tree.function_named(name)?;
                let returns = tree.nodes_of(function).filter(|(_, node)| node.kind == NodeKind::Return);
                let values = returns.filter_map(|(id, _)| tree.kid(id, 0));
                Some(values.map(|value| self.value(value, depth + 1)).fold(Source::default(), Source::or))
            }
        }
    }

    fn variable(&self, decl: DeclId, field: Option<String>, depth: usize) -> Source {
        let tree = self.probe.tree;
        let Some(found) = tree.decl(decl).filter(|_| self.step(depth)) else { return Source::OTHER };
        let is_pointer = found.ty.kind() == TypeKind::Pointer;
        let unknown = if is_pointer { Source::OBJECT } else { Source::OTHER };
        let stores = self.stores.get(&decl).map(Vec::as_slice).unwrap_or_default();
        let concerned = stores.iter().filter(|(of, _)| field.is_none() || of.is_none() || *of == field);
        let from = self.once(decl, field.as_deref(), || {
            let values = concerned.map(|(_, stored)| match stored {
                Stored::Value(value) => self.part(*value, field.as_deref(), depth + 1),
                Stored::Behind(from) => self.pointed(*from, depth + 1),
                Stored::Unknown => Source::OTHER,
            });
            values.fold(Source::default(), Source::or)
        });
        // What an argument of a program is, its type says.
        let is_argument = matches!(found.kind, DeclKind::Parameter(..)) && stores.is_empty();
        match from {
            _ if is_argument => unknown,
            from if is_pointer && !from.has(Source::THREAD) => Source::OBJECT,
            from => from,
        }
    }

    /// The part of a stored value that a field gets: of a list, what is written for it.
    fn part(&self, value: NodeId, field: Option<&str>, depth: usize) -> Source {
        let tree = self.probe.tree;
        let Some(node) = tree.node(value).filter(|node| node.kind == NodeKind::List) else {
            return self.value(value, depth);
        };
        let designated = node.kids.iter().find(
            |kid| matches!((tree.kind(**kid), field), (Some(NodeKind::Designated(name)), Some(field)) if name == field),
        );
        match (designated, field) {
            (Some(kid), _) => self.value(*kid, depth),
            (None, Some(_)) if node.kids.iter().all(|kid| matches!(tree.kind(*kid), Some(NodeKind::Designated(_)))) => {
                Source::CONSTANT
            }
            _ => self.value(value, depth),
        }
    }

    fn once(&self, decl: DeclId, field: Option<&str>, ask: impl FnOnce() -> Source) -> Source {
        let key = (decl, field.map(str::to_owned));
        if !self.open.borrow_mut().insert(key.clone()) {
            return Source::default();
        }
        let found = ask();
        self.open.borrow_mut().remove(&key);
        found
    }
}

fn or_other(source: Source) -> Source {
    if source.is_empty() { Source::OTHER } else { source }
}
