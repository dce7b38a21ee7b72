//! `bpf_trace_printk("…")` and `bpf_printk("…")`.

use crate::clang::TypeKind;
use crate::diag::Diagnostic;
use crate::facts::PrintFact;
use crate::source::Span;

use super::super::origin::Access;
use super::super::tree::{NodeId, NodeKind};
use super::super::{Output, Probe, slice};
use super::{Refusal, Rule};

/// The name that `bpf_trace_printk` has under `DBCC_PARSE`.
const TRACE_PRINTK: &str = "dbcc_parse_trace_printk";

/// The most arguments of a print: `DBCC_PRINT_MAX_ARGS` of `templates/dbcc/print.h`.
const MAX_ARGUMENTS: usize = 12;

/// The row.
pub(super) struct Prints;

impl Rule for Prints {
    fn name(&self) -> &'static str {
        "prints"
    }

    fn documentation(&self) -> &'static str {
        "`bpf_trace_printk(\"format\", …)`, with or without the size of the format, and `bpf_printk(\"format\", …)` write \
         records to a ring buffer of this probe's own; they are formatted in user space, with up to twelve arguments. A \
         format that is no literal stays a call of the helper, whose lines go to the kernel's trace pipe. With \
         `-D DBCC_TRACE_PIPE` all do."
    }

    fn example(&self) -> &'static str {
        "int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   char comm[16];\n\
         \x20   u32 pid = bpf_get_current_pid_tgid() >> 32;\n\
         \n\
         \x20   bpf_get_current_comm(comm, sizeof(comm));\n\
         \x20   bpf_trace_printk(\"read by %s (%d)\\n\", comm, pid);\n\
         \x20   return 0;\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        for (id, _) in probe.tree.all() {
            let name = match probe.tree.callee(id) {
                Some(TRACE_PRINTK) => "bpf_trace_printk",
                Some("bpf_printk") => "bpf_printk",
                _ => continue,
            };
            if let Err(refusal) = print(probe, output, id, name) {
                output.refuse(refusal);
            }
        }
    }
}

/// What a format wants of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A number.
    Number,
    /// A string wherever its pointer points to.
    Text,
    /// A string in the kernel's memory (`%pks`).
    KernelText,
    /// A string in the process's memory (`%pus`).
    UserText,
}

fn print(probe: &Probe<'_, '_>, output: &mut Output, id: NodeId, name: &str) -> Result<(), Refusal> {
    let tree = probe.tree;
    let span = tree.span(id).ok_or_else(|| Diagnostic::error(format!("`{name}` is called in a header"), None))?;
    if !slice(probe.text, span).starts_with(name) {
        return Err(Refusal::InMacro(span, "a print"));
    }
    let arguments = tree.arguments(id);
    let Some(first) = arguments.first().copied() else {
        return Err(Diagnostic::error(format!("`{name}` wants a format"), span).into());
    };
    if probe.trace_pipe {
        let size = literal(probe, first).map(|bytes| bytes.len() + 1);
        return keep(probe, output, id, span, name, size);
    }
    let Some(bytes) = literal(probe, first) else { return leave(probe, output, id, span, name) };
    let format = String::from_utf8_lossy(&bytes).into_owned();
    let wanted = match wanted(&format) {
        Ok(wanted) => wanted,
        Err(why) => {
            output.messages.push(
                Diagnostic::warning(why, tree.span(first)).note("this line goes to the kernel's trace pipe as it is"),
            );
            return keep(probe, output, id, span, name, Some(bytes.len() + 1));
        }
    };
    // (format, arguments…) or, with `bpf_trace_printk`, (format, size of it, arguments…).
    let given = arguments.len() - 1;
    let sized = name == "bpf_trace_printk" && given == wanted.len() + 1;
    let values = arguments.get(1 + usize::from(sized)..).unwrap_or_default();
    if values.len() != wanted.len() {
        let (wants, gets) = (wanted.len(), given);
        return Err(Diagnostic::error(format!("the format wants {wants} arguments and is given {gets}"), span).into());
    }
    if values.len() > MAX_ARGUMENTS {
        return Err(Diagnostic::error(format!("a print takes at most {MAX_ARGUMENTS} arguments"), span)
            .help("write two prints")
            .into());
    }

    let mut texts = Vec::new();
    for (number, (value, wanted)) in values.iter().zip(&wanted).enumerate() {
        let Some(node) = tree.node(*value) else { continue };
        let Some(at) = node.span else { return Err(Refusal::InMacro(span, "an argument of a print")) };
        let kind = node.ty.kind();
        if matches!(kind, TypeKind::Record | TypeKind::Other) {
            return Err(Diagnostic::error(format!("a print cannot show a value of type `{}`", node.ty.spelling()), at)
                .help("print its fields")
                .into());
        }
        if *wanted != Wanted::Number {
            if !matches!(kind, TypeKind::Pointer | TypeKind::Array) {
                return Err(Diagnostic::error("`%s` wants a string", at)
                    .note(format!("this is of type `{}`", node.ty.spelling()))
                    .into());
            }
            let memory = match (wanted, probe.origins.access(tree, *value)) {
                (Wanted::UserText, _) | (Wanted::Text, Access::User) => "user",
                // The address tells.
                (Wanted::Text, Access::Any) if !probe.origins.is_untraced(tree, *value) => "any",
                // The helper reads the program's own memory too: it is the kernel's.
                _ => "kernel",
            };
            texts.push(format!("dbcc_text({}, {number}, {memory})", texts.len()));
        }
        output.edits.wrap(at, "(__u64)(", ")");
    }

    let index = output.prints.len();
    let texts_text = if texts.is_empty() { "0".to_owned() } else { texts.join(", ") };
    let head = format!("dbcc_print({index}, {}, {}, ({texts_text})", values.len(), texts.len());
    match values.first().and_then(|value| tree.span(*value)) {
        Some(value) => output.edits.replace(Span::new(span.start, value.start), span, format!("{head}, ")),
        None => output.edits.replace(span, span, format!("{head})")),
    }
    output.uses_prints = true;
    output.uses_losses = true;
    output.prints.push(PrintFact { format, span });
    Ok(())
}

/// The bytes of a format that is a literal, or an array that is initialised with one.
fn literal(probe: &Probe<'_, '_>, id: NodeId) -> Option<Vec<u8>> {
    let tree = probe.tree;
    let id = tree.bare_of_casts(id);
    match tree.kind(id)? {
        NodeKind::Text(bytes) => Some(bytes.clone()),
        NodeKind::Variable(decl) => {
            let decl = tree.decl(*decl)?;
            let init = tree.bare(decl.init?);
            match tree.kind(init)? {
                NodeKind::Text(bytes) if decl.ty.element().is_some_and(crate::clang::Type::is_char) => {
                    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                    bytes.get(..end).map(<[u8]>::to_vec)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Leaves a print whose format is no literal to the kernel.
fn leave(probe: &Probe<'_, '_>, output: &mut Output, id: NodeId, span: Span, name: &str) -> Result<(), Refusal> {
    let format = probe.tree.arguments(id).first().and_then(|first| probe.tree.span(*first));
    output.messages.push(
        Diagnostic::warning(
            "this format is no literal, so its lines go to the kernel's trace pipe",
            format.unwrap_or(span),
        )
        .help("write the format into the call"),
    );
    keep(probe, output, id, span, name, None)
}

/// Makes a print a call of the kernel's helper; `size` is that of the format, with its NUL, where it is known.
fn keep(
    probe: &Probe<'_, '_>,
    output: &mut Output,
    id: NodeId,
    span: Span,
    name: &str,
    size: Option<usize>,
) -> Result<(), Refusal> {
    let tree = probe.tree;
    if name == "bpf_printk" {
        return Ok(());
    }
    let arguments = tree.arguments(id);
    let Some(first) = arguments.first().copied() else { return Ok(()) };
    // The size is given, by libbpf's style, if the second argument is sizeof or a number and the format an array.
    let second = arguments.get(1).map(|second| tree.bare_of_casts(*second)).and_then(|second| tree.kind(second));
    if matches!(second, Some(NodeKind::Unevaluated)) {
        return Ok(());
    }
    let bare = tree.bare_of_casts(first);
    let array = tree.node(bare).and_then(|node| (node.ty.kind() == TypeKind::Array).then(|| node.ty.size()).flatten());
    let size = size.map(|size| size.to_string()).or_else(|| array.map(|size| size.to_string()));
    match (size, tree.span(first)) {
        (Some(size), Some(first)) => {
            output.edits.close(first, format!(", {size}"));
            Ok(())
        }
        _ => Err(Diagnostic::error(format!("the size of the format of `{name}` is not known"), span)
            .help("write the format into the call")
            .into()),
    }
}

/// What a format wants, one entry an argument; or what in it cannot be formatted in user space.
fn wanted(format: &str) -> Result<Vec<Wanted>, String> {
    let mut wanted = Vec::new();
    let mut rest = format;
    while let Some((_, behind)) = rest.split_once('%') {
        let flags =
            behind.find(|c: char| !matches!(c, '-' | '+' | ' ' | '#' | '0'..='9' | '.')).unwrap_or(behind.len());
        let behind = behind.get(flags..).unwrap_or_default();
        let length = behind.find(|c: char| !matches!(c, 'l' | 'h' | 'z' | 't' | 'j')).unwrap_or(behind.len());
        let behind = behind.get(length..).unwrap_or_default();
        let mut letters = behind.chars();
        let letter = letters.next();
        rest = letters.as_str();
        match letter {
            Some('%') => {}
            Some('d' | 'i' | 'u' | 'x' | 'X' | 'o' | 'c') => wanted.push(Wanted::Number),
            Some('s') => wanted.push(Wanted::Text),
            Some('p') => {
                let suffix: String = rest.chars().take_while(char::is_ascii_alphanumeric).collect();
                let (kind, length) = match suffix.as_str() {
                    text if text.starts_with("ks") => (Wanted::KernelText, 2),
                    text if text.starts_with("us") => (Wanted::UserText, 2),
                    // Plain, hexadecimal or hashed: a number all the same.
                    text if text.starts_with('x') || text.starts_with('K') => (Wanted::Number, 1),
                    "" => (Wanted::Number, 0),
                    other => return Err(format!("only the kernel can format `%p{other}`")),
                };
                rest = rest.get(length..).unwrap_or_default();
                wanted.push(kind);
            }
            Some(other) => return Err(format!("`%{other}` is no conversion that a print knows")),
            None => return Err("the format ends within a conversion".to_owned()),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_say_what_they_want() {
        use Wanted::{KernelText, Number, Text, UserText};
        let check = |format: &str, expect: Result<Vec<Wanted>, &str>| {
            assert_eq!(wanted(format), expect.map_err(str::to_owned), "{format}");
        };
        check("plain 100%%", Ok(vec![]));
        check("%d %5u %-8lx %016llX %hhd %zu %c", Ok(vec![Number; 7]));
        check("%s and %.10s", Ok(vec![Text, Text]));
        check("%p %px%pks,%pus!", Ok(vec![Number, Number, KernelText, UserText]));
        check("%pI4", Err("only the kernel can format `%pI4`"));
        check("%f", Err("`%f` is no conversion that a print knows"));
        check("50%", Err("the format ends within a conversion"));
    }
}
