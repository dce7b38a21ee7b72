//! Which functions of a probe are programs, of which kind, and how they use their context.

use crate::facts::FunctionKind;
use crate::kind::{self, Context, Kind};
use crate::source::Span;

use super::tree::{FunctionId, NodeId, NodeKind, Tree};

/// The annotation that `SEC("…")` leaves under `DBCC_PARSE`; the section's name follows.
const SECTION: &str = "dbcc:sec:";

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
        let roles: Vec<_> = tree.functions().map(|(id, _)| role(tree, id, functions, &called)).collect();
        let is_libbpf_style = roles.iter().any(|role| matches!(role, Role::Section(_)));
        Self { roles, is_libbpf_style, called }
    }

    /// The role of a function.
    pub fn of(&self, function: FunctionId) -> &Role {
        self.roles.get(function.index()).unwrap_or(&Role::Helper)
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

fn role(tree: &Tree<'_>, id: FunctionId, functions: &[FunctionKind], called: &[bool]) -> Role {
    let Some(function) = tree.function(id) else { return Role::Helper };
    if let Some(section) = function.annotations.iter().find_map(|text| text.strip_prefix(SECTION)) {
        return Role::Section(section.to_owned());
    }
    let mut uses: Vec<Use> = Vec::new();
    let mut add = |kind: &'static dyn Kind, target: String, named: bool| {
        let index = uses.iter().position(|known| known.kind.name() == kind.name()).unwrap_or_else(|| {
            uses.push(Use { kind, named_target: None, targets: Vec::new() });
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
            uses.push(Use { kind, named_target: Some(target.clone()), targets: vec![target] });
        };
        add(kind, target);
    }
    if !uses.is_empty() {
        return Role::Programs(uses);
    }
    let is_called = called.get(id.index()).copied().unwrap_or(false);
    if function.is_static || is_called { Role::Helper } else { Role::Unattached }
}

/// The kind and the target of a libbpf section: `kprobe/tcp_sendmsg`, `tp/sched/sched_switch`, `uprobe`.
pub fn of_section(section: &str) -> (Option<&'static dyn Kind>, Option<String>) {
    let section = section.strip_prefix('?').unwrap_or(section);
    let (name, rest) = section.split_once('/').unwrap_or((section, ""));
    let kind = kind::KINDS.iter().copied().find(|kind| kind.sections().contains(&name));
    let target = match kind {
        Some(kind) if kind.context() == Context::Record => rest.replacen('/', ":", 1),
        _ => rest.trim_start_matches('/').to_owned(),
    };
    (kind, (!target.is_empty()).then_some(target))
}

/// How a program of BCC's style uses its first parameter, the registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContextUse {
    /// Places where it is handed to something that takes any context: `perf_submit`, `get_stackid`, …
    pub passed: Vec<Span>,
    /// Why it must be the real registers, and where; none where arguments and return value suffice.
    pub registers_because: Option<(String, Option<Span>)>,
}

/// Methods and helpers whose first argument is the context of whatever program calls them.
const TAKES_ANY_CONTEXT: &[&str] =
    &["perf_submit", "get_stackid", "bpf_perf_event_output", "bpf_get_stackid", "bpf_get_stack"];

/// The registers that carry arguments and the return value, by the names of their fields in `struct pt_regs`
/// (x86-64: System V ABI, 3.2.3; arm64: AAPCS64, 6.8.2).
#[cfg(target_arch = "aarch64")]
const ARGUMENT_REGISTERS: &[&str] = &["regs"];
#[cfg(not(target_arch = "aarch64"))]
const ARGUMENT_REGISTERS: &[&str] = &["di", "si", "dx", "cx", "r8", "r9"];
#[cfg(target_arch = "aarch64")]
const RETURN_REGISTER: &str = "regs";
#[cfg(not(target_arch = "aarch64"))]
const RETURN_REGISTER: &str = "ax";

/// Looks at every place where a program names its context.
pub fn context_use(tree: &Tree<'_>, function: FunctionId, returns: bool) -> ContextUse {
    let mut found = ContextUse { passed: Vec::new(), registers_because: None };
    let Some(context) = tree.function(function).and_then(|function| function.parameters.first().copied()) else {
        return found;
    };
    for (id, node) in tree.nodes_of(function) {
        if node.kind == NodeKind::TooDeep && found.registers_because.is_none() {
            found.registers_because = Some(("its code is nested too deeply to be understood".to_owned(), node.span));
        }
        if node.kind != NodeKind::Variable(context) {
            continue;
        }
        match place(tree, id, returns) {
            Place::Harmless => {}
            Place::Passed => found.passed.extend(node.span),
            Place::Registers(why) => {
                if found.registers_because.is_none() {
                    found.registers_because = Some((why, node.span));
                }
            }
        }
    }
    found
}

/// What is done with a context at one place.
enum Place {
    Harmless,
    Passed,
    Registers(String),
}

fn place(tree: &Tree<'_>, mut at: NodeId, returns: bool) -> Place {
    // Up through parentheses, conversions and casts to what uses the value.
    let user = loop {
        let Some(parent) = tree.node(at).and_then(|node| node.parent) else { return Place::Harmless };
        match tree.kind(parent) {
            Some(NodeKind::Implicit | NodeKind::Paren | NodeKind::Cast) => at = parent,
            _ => break parent,
        }
    };
    let other = || Place::Registers("it uses its context other than for arguments and the return value".to_owned());
    match tree.kind(user) {
        // `(void)ctx;`
        Some(NodeKind::Statement) => Place::Harmless,
        Some(NodeKind::Member(member)) if member.arrow => {
            let register = member.name.as_str();
            let known = ARGUMENT_REGISTERS.contains(&register) || (returns && register == RETURN_REGISTER);
            if known || register.is_empty() || register == "user_regs" {
                return if is_written(tree, user) { other() } else { Place::Harmless };
            }
            Place::Registers(format!("it uses the register `{register}`"))
        }
        Some(NodeKind::Call) => {
            let first = tree.arguments(user).first() == Some(&at);
            let called = tree.kid(user, 0).map(|called| tree.bare(called));
            let name = match called.and_then(|called| tree.kind(called)) {
                Some(NodeKind::Member(member)) => member.name.as_str(),
                _ => tree.callee(user).unwrap_or_default(),
            };
            if first && TAKES_ANY_CONTEXT.contains(&name) {
                return Place::Passed;
            }
            Place::Registers(format!("it passes its context to `{name}`"))
        }
        _ => other(),
    }
}

/// Whether a member of the context is assigned to, or has its address taken.
fn is_written(tree: &Tree<'_>, member: NodeId) -> bool {
    let mut at = member;
    loop {
        let Some(parent) = tree.node(at).and_then(|node| node.parent) else { return false };
        match tree.kind(parent) {
            Some(NodeKind::Implicit | NodeKind::Paren) => at = parent,
            Some(NodeKind::Member(outer)) if !outer.arrow => at = parent,
            Some(NodeKind::Index) if tree.kid(parent, 0) == Some(at) => at = parent,
            Some(NodeKind::Assign { .. }) => return tree.kid(parent, 0) == Some(at),
            Some(NodeKind::Step | NodeKind::AddressOf) => return true,
            _ => return false,
        }
    }
}
