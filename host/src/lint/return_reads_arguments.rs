//! Arguments that are read where they are gone.

use crate::diag::Diagnostic;
use crate::kind::{Context, Kind};
use crate::rewrite::tree::{NodeId, NodeKind};

use super::Lint;
use super::scan::{Scan, uses};

/// The row.
pub(super) struct ReturnReadsArguments;

impl Lint for ReturnReadsArguments {
    fn name(&self) -> &'static str {
        "return-reads-arguments"
    }

    fn summary(&self) -> &'static str {
        "a kretprobe or uretprobe reads arguments, which are gone at the return"
    }

    fn explanation(&self) -> &'static str {
        "When a function returns, the registers in which its arguments came hold whatever it last computed in them. \
         PT_REGS_PARM1 to 6, and parameters behind the context, then read something that looks like an argument now and \
         then, and is none.\n\n\
         Keep the arguments at the entry, in a map with the thread's id as key, and look them up at the return. Of \
         functions of the kernel, fexit (`kretfunc__F`, `KRETFUNC_PROBE`) has the arguments at the return as well; where \
         the kernel has fexit, dbcc makes it of a kretprobe too, and its arguments are right there and wrong elsewhere."
    }

    fn example(&self) -> &'static str {
        "BPF_HASH(bytes, u64);\n\
         int kretprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 file = PT_REGS_PARM1(ctx);\n\
         \n\
         \x20   bytes.increment(file, PT_REGS_RC(ctx));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn mended(&self) -> &'static str {
        "BPF_HASH(files, u64);\n\
         BPF_HASH(bytes, u64);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 thread = bpf_get_current_pid_tgid(), file = PT_REGS_PARM1(ctx);\n\
         \n\
         \x20   files.update(&thread, &file);\n\
         \x20   return 0;\n\
         }\n\
         int kretprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   u64 thread = bpf_get_current_pid_tgid(), *file = files.lookup(&thread);\n\
         \n\
         \x20   if (!file)\n\
         \x20       return 0;\n\
         \x20   bytes.increment(*file, PT_REGS_RC(ctx));\n\
         \x20   files.delete(&thread);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn look(&self, scan: &Scan<'_, '_>) -> Vec<Diagnostic> {
        let tree = scan.probe.tree;
        let mut found = Vec::new();
        for (program, function) in tree.functions() {
            let uses = uses(scan.probe, program);
            let Some((kind, _)) = uses.iter().find(|(kind, _)| returns_registers(*kind)) else { continue };
            for read in scan.probe.contexts.argument_reads(program) {
                let span = tree.span(register(scan, read)).or(tree.span(read));
                found.push(message(&function.name, kind.name(), "this reads an argument", span));
            }
            for parameter in function.parameters.get(1..).unwrap_or_default() {
                let is_used = tree.nodes_of(program).any(|(_, node)| node.kind == NodeKind::Variable(*parameter));
                if let Some(decl) = tree.decl(*parameter).filter(|_| is_used) {
                    let what = format!("`{}` is an argument", decl.name);
                    found.push(message(&function.name, kind.name(), &what, decl.name_span));
                }
            }
        }
        found
    }
}

/// Whether programs of a kind get registers at a return.
fn returns_registers(kind: &dyn Kind) -> bool {
    matches!(kind.context(), Context::Registers { returns: true, .. })
}

/// The member that is read of a context that a node names.
fn register(scan: &Scan<'_, '_>, context: NodeId) -> NodeId {
    let tree = scan.probe.tree;
    let mut at = context;
    while let Some(parent) = tree.node(at).and_then(|node| node.parent) {
        at = parent;
        if matches!(tree.kind(at), Some(NodeKind::Member(_))) {
            break;
        }
    }
    at
}

fn message(function: &str, kind: &str, what: &str, span: Option<crate::source::Span>) -> Diagnostic {
    let message = format!("{what}, and at the return that `{function}` is attached to, arguments are gone");
    let diagnostic = Diagnostic::warning(message, span)
        .help("keep it at the entry in a map with `bpf_get_current_pid_tgid()` as key, and look it up at the return");
    if kind == "kretprobe" {
        diagnostic.help("or write KRETFUNC_PROBE(…) or attach fexit, which has the arguments at the return too")
    } else {
        diagnostic
    }
}
