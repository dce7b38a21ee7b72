//! Which functions of a probe are programs, of which kind, and how they use their context.

use crate::facts::FunctionKind;
use crate::kind::{self, Context, Kind, Memory};

use super::tree::{FunctionId, NodeKind, Tree};
use super::usdt;

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
        let roles: Vec<_> = tree.functions().map(role).collect();
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

fn role(tree: &Tree<'_>, id: FunctionId, functions: &[FunctionKind], called: &[bool], reads_usdt: bool) -> Role {
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
    if function.is_static || is_called {
        return Role::Helper;
    }
    // What reads the arguments of a USDT probe is a program for one, whichever it will be.
    match kind::by_name(usdt::KIND).filter(|_| reads_usdt) {
        Some(kind) => Role::Programs(vec![Use { kind, named_target: None, targets: Vec::new() }]),
        None => Role::Unattached,
    }
}

/// The kind and the target of a libbpf section: `kprobe/tcp_sendmsg`, `tp/sched/sched_switch`, `uprobe`.
pub fn of_section(section: &str) -> (Option<&'static dyn Kind>, Option<String>) {
    let section = section.strip_prefix('?').unwrap_or(section);
    let (name, rest) = section.split_once('/').unwrap_or((section, ""));
    let kind = kind::KINDS.iter().copied().find(|kind| kind.sections().contains(&name));
    let target = match kind {
        Some(kind) if kind.context() == Context::Record => rest.replacen('/', ":", 1),
        // The target of a user function begins with a file, whose path may begin with a slash.
        Some(kind) if matches!(kind.context(), Context::Registers { memory: Memory::User, .. }) => rest.to_owned(),
        _ => rest.trim_start_matches('/').to_owned(),
    };
    (kind, (!target.is_empty()).then_some(target))
}
