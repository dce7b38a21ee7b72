//! Pointers of the kernel that are read as the process's, and the other way round.

use crate::clang::{Type, TypeKind};
use crate::diag::Diagnostic;
use crate::rewrite::origin::Origin;
use crate::rewrite::slice;
use crate::rewrite::tree::{NodeId, NodeKind};

use super::Lint;
use super::scan::Scan;

/// The row.
pub(super) struct WrongMemory;

/// The helpers that read one kind of memory: the name, whose it reads, the helper that reads the other.
const READERS: &[(&str, Origin, &str)] = &[
    ("bpf_probe_read_kernel", Origin::KERNEL, "bpf_probe_read_user"),
    ("bpf_probe_read_kernel_str", Origin::KERNEL, "bpf_probe_read_user_str"),
    ("bpf_probe_read_user", Origin::USER, "bpf_probe_read_kernel"),
    ("bpf_probe_read_user_str", Origin::USER, "bpf_probe_read_kernel_str"),
    ("bpf_copy_from_user", Origin::USER, "bpf_probe_read_kernel"),
];

/// Structs that the kernel never lays into a process's memory: what a pointer to one points to is the kernel's, whoever
/// handed it over. (Others, such as `struct sockaddr` or `struct iovec`, the kernel takes from processes too.)
const OF_KERNEL: &[&str] = &[
    "struct task_struct",
    "struct mm_struct",
    "struct vm_area_struct",
    "struct file",
    "struct inode",
    "struct dentry",
    "struct path",
    "struct super_block",
    "struct sock",
    "struct sock_common",
    "struct socket",
    "struct inet_sock",
    "struct tcp_sock",
    "struct sk_buff",
    "struct net_device",
    "struct request",
    "struct bio",
    "struct gendisk",
    "struct page",
    "struct cred",
    "struct nsproxy",
    "struct rq",
    "struct cgroup",
];

impl Lint for WrongMemory {
    fn name(&self) -> &'static str {
        "wrong-memory"
    }

    fn summary(&self) -> &'static str {
        "a pointer of the kernel is read as one of the process, or the other way round"
    }

    fn explanation(&self) -> &'static str {
        "`bpf_probe_read_kernel` reads the kernel's memory, and `bpf_probe_read_user` that of the traced process. Handed a \
         pointer of the other kind, they fail, and leave zeroes behind: nothing is said, and all values are 0 or empty.\n\n\
         Arguments of user functions (uprobe, uretprobe, usdt) and those of system calls are pointers of the process; the \
         task, and the structs that hang on it, are the kernel's. `p->field` without a helper needs no choice: dbcc reads \
         what `p` points to.\n\n\
         Something is said only where it is known whose memory a pointer points to."
    }

    fn example(&self) -> &'static str {
        "//@ attach uprobe:/bin/true:main = on_main\n\
         int on_main(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n\
         \x20   char name[16] = {};\n\
         \x20   u32 parent = 0;\n\
         \n\
         \x20   bpf_probe_read_kernel_str(name, sizeof(name), (void *)PT_REGS_PARM1(ctx));\n\
         \x20   bpf_probe_read_user(&parent, sizeof(parent), &task->real_parent->tgid);\n\
         \x20   bpf_trace_printk(\"%d %s\\n\", parent, name);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        "//@ attach uprobe:/bin/true:main = on_main\n\
         int on_main(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n\
         \x20   char name[16] = {};\n\
         \x20   u32 parent = task->real_parent->tgid;\n\
         \n\
         \x20   bpf_probe_read_user_str(name, sizeof(name), (void *)PT_REGS_PARM1(ctx));\n\
         \x20   bpf_trace_printk(\"%d %s\\n\", parent, name);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let tree = scan.probe.tree;
        let found = tree.all().filter_map(|(call, _)| {
            let name = tree.callee(call)?;
            let (_, reads, other) = READERS.iter().find(|(reader, ..)| *reader == name)?;
            let pointer = *tree.arguments(call).get(2)?;
            let whose = whose(scan, pointer)?;
            if whose == *reads {
                return None;
            }
            let (is, read) = if whose == Origin::KERNEL {
                ("the kernel's", "the process's")
            } else {
                ("the process's", "the kernel's")
            };
            let span = tree.span(pointer).or(tree.span(call));
            let written = span.map(|span| slice(scan.probe.text, span)).unwrap_or_default();
            let message = format!("`{name}` reads {read} memory, and `{written}` points to {is}");
            Some(Diagnostic::warning(message, span).help(format!("write `{other}`")))
        });
        found.collect()
    }
}

/// Whose memory a pointer points to, where that is certain.
fn whose(scan: &Scan<'_, '_>, pointer: NodeId) -> Option<Origin> {
    let (tree, origins) = (scan.probe.tree, scan.probe.origins);
    let bare = tree.bare_of_casts(pointer);
    let known = origins.of(tree, bare);
    if known == Origin::USER {
        return Some(Origin::USER);
    }
    // The address of something in a struct, or the struct itself.
    let lvalue = match tree.kind(bare)? {
        NodeKind::AddressOf => tree.kid(bare, 0)?,
        _ => bare,
    };
    let is_array = tree.node(bare).is_some_and(|node| node.ty.kind() == TypeKind::Array);
    let base = match tree.kind(bare)? {
        NodeKind::AddressOf => tree.pointer_to(lvalue)?,
        _ if is_array => tree.pointer_to(bare)?,
        _ => bare,
    };
    let is_kernels = tree.node(base).and_then(|node| node.ty.canonical().pointee()).is_some_and(is_of_kernel);
    (is_kernels && origins.of(tree, base) == Origin::KERNEL).then_some(Origin::KERNEL)
}

fn is_of_kernel(ty: Type<'_>) -> bool {
    OF_KERNEL.contains(&ty.unqualified().spelling().as_str())
}
