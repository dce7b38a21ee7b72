//! Tracepoints, by the format of their records; system calls, by the tracepoints at their entry and exit.

use crate::kernel::tracepoint::{Field, Tracepoint};

use super::{Argument, Class, KnownFrom, Owner, Prototype, Where};

/// The first bytes of every record, which hold the fields that all have; BPF programs may not read them.
const COMMON: u32 = 8;

/// The category of the tracepoints at system calls.
pub(super) const SYSTEM_CALLS: &str = "syscalls";

/// What the record of a tracepoint has behind what all records have.
pub fn tracepoint(tracepoint: &Tracepoint) -> Prototype {
    let owner = if tracepoint.category == SYSTEM_CALLS { Owner::Process } else { Owner::Kernel };
    let fields = tracepoint.fields.iter().filter(|field| field.offset >= COMMON);
    let arguments = fields.map(|field| argument(field, owner)).collect();
    Prototype { arguments, variadic: false, returns: None, known_from: KnownFrom::TracepointFormat }
}

/// A system call: what it takes, by the tracepoint `sys_enter_NAME`, and returns, by `sys_exit_NAME` if that is given.
pub fn system_call(enter: &Tracepoint, exit: Option<&Tracepoint>) -> Prototype {
    let named = |name: &'static str| move |argument: &Argument| argument.name.as_deref() == Some(name);
    let mut prototype = tracepoint(enter);
    prototype.arguments.retain(|argument| !named("__syscall_nr")(argument));
    prototype.returns = exit.and_then(|exit| tracepoint(exit).arguments.into_iter().find(named("ret")));
    prototype
}

fn argument(field: &Field, owner: Owner) -> Argument {
    let (name, ty) = (field.name.as_str(), field.declared.as_str());
    let array = field.length.map(|_| field.elements());
    let declared = match array {
        Some(length) => format!("{ty} {name}[{length}]"),
        None => format!("{ty}{}{name}", if ty.ends_with('*') { "" } else { " " }),
    };
    let place = match field.member() {
        Some(name) => Where::Field { name, offset: field.offset, size: field.size },
        None => Where::Elsewhere("a place in the record that C cannot name".to_owned()),
    };
    Argument {
        name: Some(name.to_owned()),
        ty: array.map_or_else(|| ty.to_owned(), |length| format!("{ty}[{length}]")),
        declared,
        class: class(field, owner),
        place,
    }
}

fn class(field: &Field, owner: Owner) -> Class {
    let words = field.plain_words();
    if field.is_behind() {
        let is_text = matches!(words.as_slice(), [_, "char[]"] | [_, "char", "[]"]);
        return if is_text { Class::TextBehind } else { Class::Aggregate(None) };
    }
    if field.length.is_some() {
        return match words.as_slice() {
            ["char"] => Class::TextArray(field.size.into()),
            _ => Class::Aggregate(Some(field.size.into())),
        };
    }
    match (words.as_slice(), field.size) {
        (["char", "*"], 8) => Class::Text(owner),
        (["struct" | "union", _, "*"], 8) => Class::KernelStruct(owner),
        ([.., last], 8) if last.ends_with('*') => Class::Pointer(owner),
        (["bool"], 1) => Class::Boolean,
        (_, 1 | 2 | 4 | 8) => Class::Integer { size: field.size.into(), signed: field.is_signed() },
        (_, size) => Class::Aggregate(Some(size.into())),
    }
}
