//! Which functions of a probe are programs, of which kind, and how they use their context.

use crate::facts::FunctionKind;
use crate::kind::{self, Kind};

use super::tree::{FunctionId, NodeKind, Tree};
use super::usdt;

/// The annotation that `SEC("…")` leaves under `DBCC_PARSE`; the section's name follows.
const SECTION: &str = "dbcc:sec:";

/// What a function that takes registers is verified as where nothing tells its kind: BCC's default, too.
const REGISTERS: &str = "kprobe";

/// What a function is.
#[derive(Clone)]
pub enum Role {
    /// Programs of BCC's style: one for each kind that the function is attached as.
    Programs(Vec<Use>),
    /// A program of libbpf's style, in the section of that name.
    Section(String),
    /// Called by others, or `static`.
    Helper,
    /// Neither attached nor called.
    Unattached,
}

/// A function as a program of one kind.
#[derive(Clone)]
pub struct Use {
    /// The kind.
    pub kind: &'static dyn Kind,
    /// The target that the function's name tells.
    pub named_target: Option<String>,
    /// All targets that are known, for what depends on them; that of the name among them.
    pub targets: Vec<String>,
    /// Nothing but the type of its context tells the kind: it is verified, and attached where that type tells the target.
    pub by_context: bool,
}

/// Whether a program is at the wrapper of a system call: the kernel function takes the registers of the process, and the
/// arguments are in these. BCC says so by the name of the function; the target says it too.
pub fn is_system_call(function: &str, targets: &[String]) -> bool {
    let wraps = |target: &String| target.starts_with("__x64_sys_") || target.starts_with("__arm64_sys_");
    function.starts_with("syscall__") || targets.iter().any(wraps)
}

impl std::fmt::Debug for Use {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Use")
            .field("kind", &self.kind.name())
            .field("named_target", &self.named_target)
            .field("targets", &self.targets)
            .finish()
    }
}

/// The roles of all functions of a tree, by [`FunctionId`].
#[derive(Default)]
pub struct Roles {
    roles: Vec<Role>,
    /// Whether any function is in a section: then the text is libbpf's style, and is passed through as it is but for
    /// prints.
    pub is_libbpf_style: bool,
    called: Vec<bool>,
}

impl Roles {
    /// Finds the role of each function.
    pub fn find(tree: &Tree<'_>, functions: &[FunctionKind]) -> Self {
        let mut called = vec![false; tree.functions.len()];
        for (_, node) in tree.all() {
            if let NodeKind::Name(name) = &node.kind
                && let Some(function) = tree.function_named(name)
                && let Some(flag) = called.get_mut(function.index())
            {
                *flag = true;
            }
        }
        let usdt = usdt::readers(tree);
        let role = |(id, _)| role(tree, id, functions, &called, usdt.contains(&id));
        let mut roles: Vec<_> = tree.functions().map(role).collect();
        let is_libbpf_style = roles.iter().any(|role| matches!(role, Role::Section(_)));
        let others = functions.iter().find(|wanted| wanted.function == FunctionKind::OTHERS);
        let others = others.and_then(|wanted| kind::by_name(&wanted.kind));
        for ((id, _), role) in tree.functions().zip(&mut roles) {
            // In libbpf's style every program has a section.
            if matches!(role, Role::Unattached) && !is_libbpf_style {
                let by_context = takes_registers(tree, id);
                let kind = if by_context { kind::by_name(REGISTERS) } else { others };
                let program = |kind| Use { kind, named_target: None, targets: Vec::new(), by_context };
                *role = kind.map_or(Role::Unattached, |kind| Role::Programs(vec![program(kind)]));
            }
        }
        Self { roles, is_libbpf_style, called }
    }

    /// All roles.
    pub fn all(&self) -> impl Iterator<Item = &Role> {
        self.roles.iter()
    }

    /// The role of a function.
    pub fn of(&self, function: FunctionId) -> &Role {
        self.roles.get(function.index()).unwrap_or(&Role::Helper)
    }

    /// Gives a function another role.
    pub fn set(&mut self, function: FunctionId, role: Role) {
        if let Some(known) = self.roles.get_mut(function.index()) {
            *known = role;
        }
    }

    /// Whether a function is called by one of the text.
    pub fn is_called(&self, function: FunctionId) -> bool {
        self.called.get(function.index()).copied().unwrap_or(false)
    }

    /// The uses of a function of BCC's style as a program; empty for others.
    pub fn uses(&self, function: FunctionId) -> &[Use] {
        match self.of(function) {
            Role::Programs(uses) => uses,
            _ => &[],
        }
    }
}

fn role(tree: &Tree<'_>, id: FunctionId, functions: &[FunctionKind], called: &[bool], reads_usdt: bool) -> Role {
    let Some(function) = tree.function(id) else { return Role::Helper };
    if let Some(section) = function.annotations.iter().find_map(|text| text.strip_prefix(SECTION)) {
        return Role::Section(section.to_owned());
    }
    let mut uses: Vec<Use> = Vec::new();
    let mut add = |kind: &'static dyn Kind, target: String, named: bool| {
        let index = uses.iter().position(|known| known.kind.name() == kind.name()).unwrap_or_else(|| {
            uses.push(Use { kind, named_target: None, targets: Vec::new(), by_context: false });
            uses.len() - 1
        });
        if let Some(known) = uses.get_mut(index) {
            if named {
                known.named_target = Some(target.clone());
            }
            if !known.targets.contains(&target) {
                known.targets.push(target);
            }
        }
    };
    for wanted in functions.iter().filter(|wanted| wanted.function == function.name) {
        if let Some(kind) = kind::by_name(&wanted.kind) {
            add(kind, wanted.target.clone(), false);
        }
    }
    // The name is a default: what the user asks for by other means replaces it.
    if uses.is_empty()
        && !function.is_static
        && let Some((kind, target)) = kind::by_function(&function.name)
    {
        let mut add = |kind, target: String| {
            uses.push(Use { kind, named_target: Some(target.clone()), targets: vec![target], by_context: false });
        };
        add(kind, target);
    }
    if !uses.is_empty() {
        return Role::Programs(uses);
    }
    let is_called = called.get(id.index()).copied().unwrap_or(false);
    if function.is_static || is_called {
        return Role::Helper;
    }
    // What reads the arguments of a USDT probe is a program for one, whichever it will be.
    if let Some(kind) = kind::by_name(usdt::KIND).filter(|_| reads_usdt) {
        return Role::Programs(vec![Use { kind, named_target: None, targets: Vec::new(), by_context: false }]);
    }
    match by_context(tree, id) {
        Some((kind, named_target)) => {
            let targets = named_target.iter().cloned().collect();
            Role::Programs(vec![Use { kind, named_target, targets, by_context: true }])
        }
        None => Role::Unattached,
    }
}

/// Whether the first parameter of a function is a pointer to registers, whatever follows it.
fn takes_registers(tree: &Tree<'_>, id: FunctionId) -> bool {
    let context = tree.function(id).and_then(|function| function.parameters.first());
    let pointee = context.and_then(|context| tree.decl(*context)?.ty.canonical().pointee());
    pointee.is_some_and(|pointee| pointee.unqualified().spelling() == "struct pt_regs")
}

/// The kind and the target of a libbpf section: `kprobe/tcp_sendmsg`, `tp/sched/sched_switch`, `uprobe`.
pub fn of_section(section: &str) -> (Option<&'static dyn Kind>, Option<String>) {
    kind::by_section(section).map_or((None, None), |(kind, target)| (Some(kind), target))
}

/// The kind that the type of a function's only parameter tells, and the target where it tells that too.
fn by_context(tree: &Tree<'_>, id: FunctionId) -> Option<(&'static dyn Kind, Option<String>)> {
    let function = tree.function(id)?;
    let [context] = function.parameters.as_slice() else { return None };
    let pointee = tree.decl(*context)?.ty.canonical().pointee()?.unqualified().spelling();
    let tag = pointee.strip_prefix("struct ")?;
    // Sockets see packets, traffic control acts on them; what a packet is looked at for tells which.
    if tag == "__sk_buff" && acts_on_packets(tree, id, 0) {
        return kind::by_name("tc").map(|kind| (kind, None));
    }
    kind::by_context(tag)
}

/// How deeply calls are followed for what a function does to its packet.
const MAX_CALLS: usize = 8;

/// Fields of a packet that a socket filter may not read (net/core/filter.c: sk_filter_is_valid_access).
const TRAFFIC_FIELDS: &[&str] = &["data", "data_end", "data_meta", "tc_classid", "tstamp", "wire_len", "hwtstamp"];

/// Fields of a packet that traffic control may write, and a socket filter may not.
const TRAFFIC_MARKS: &[&str] = &["mark", "priority", "tc_index", "queue_mapping", "tstamp", "tc_classid"];

/// Helpers that a packet is read with, which a socket filter has too (net/core/filter.c: sk_filter_func_proto).
const READING: &[&str] = &[
    "bpf_skb_load_bytes",
    "bpf_skb_load_bytes_relative",
    "bpf_skb_output",
    "bpf_get_socket_cookie",
    "bpf_get_socket_uid",
    "bpf_skb_get_current_pid_tgid",
];

/// Whether a function, or one that it calls, does what traffic control alone may.
fn acts_on_packets(tree: &Tree<'_>, id: FunctionId, depth: usize) -> bool {
    tree.nodes_of(id).any(|(node, found)| match &found.kind {
        NodeKind::Member(member) if member.record == "struct __sk_buff" => {
            let name = member.name.as_str();
            let is_written = found.parent.and_then(|parent| tree.kind(parent)).is_some_and(|parent| {
                matches!(parent, NodeKind::Assign { .. })
                    && found.parent.and_then(|parent| tree.kid(parent, 0)) == Some(node)
            });
            TRAFFIC_FIELDS.contains(&name) || (is_written && TRAFFIC_MARKS.contains(&name))
        }
        NodeKind::Call => tree.callee(node).is_some_and(|name| match tree.function_named(name) {
            Some(called) => called != id && depth < MAX_CALLS && acts_on_packets(tree, called, depth + 1),
            None => {
                let acts =
                    ["bpf_skb_", "bpf_l3_", "bpf_l4_", "bpf_clone_redirect", "bpf_redirect", "bpf_sk_", "bpf_skc_"];
                acts.iter().any(|start| name.starts_with(start)) && !READING.contains(&name)
            }
        }),
        _ => false,
    })
}
