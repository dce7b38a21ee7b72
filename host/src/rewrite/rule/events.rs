//! The types of events, so that user space can decode them.

use crate::clang::{CursorKind, Type, TypeKind};
use crate::diag::Diagnostic;
use crate::facts::MapRole;

use super::super::tree::{NodeId, NodeKind};
use super::super::{Output, Probe};
use super::Rule;
use super::methods;

/// The row.
pub(super) struct Events;

impl Rule for Events {
    fn name(&self) -> &'static str {
        "event types"
    }

    fn documentation(&self) -> &'static str {
        "The type of what `perf_submit`, `ringbuf_output`, `ringbuf_reserve` and the helpers behind them hand over is kept \
         in the object's BTF (as a variable in the section `.dbcc.types`, which is not loaded), so that events print \
         themselves with the names of their fields, wherever the type is declared and whether or not it has a name."
    }

    fn example(&self) -> &'static str {
        "struct data_t { u32 pid; char comm[16]; };\n\
         BPF_PERF_OUTPUT(events);\n\
         int kprobe__vfs_read(struct pt_regs *ctx)\n\
         {\n\
         \x20   struct data_t data = {};\n\
         \n\
         \x20   data.pid = bpf_get_current_pid_tgid() >> 32;\n\
         \x20   bpf_get_current_comm(&data.comm, sizeof(data.comm));\n\
         \x20   events.perf_submit(ctx, &data, sizeof(data));\n\
         \x20   return 0;\n\
         }\n"
    }

    fn apply(&self, probe: &Probe<'_, '_>, output: &mut Output) {
        let tree = probe.tree;
        let mut found: Vec<(usize, Event<'_>)> = Vec::new();
        for call in methods::calls(probe) {
            let argument = |number: usize| tree.arguments(call.call).get(number).copied();
            let event = match call.name {
                "perf_submit" => argument(1).and_then(|data| pointed_to(probe, data)),
                "ringbuf_output" | "ringbuf_submit" => argument(0).and_then(|data| pointed_to(probe, data)),
                "ringbuf_reserve" => received_as(probe, call.call).map(|ty| Event { ty, data: None }),
                _ => None,
            };
            found.extend(event.map(|event| (call.index, event)));
        }
        for (id, _) in tree.all() {
            let Some(name) = tree.callee(id) else { continue };
            let argument = |number: usize| tree.arguments(id).get(number).copied();
            let (map, event) = match name {
                "bpf_perf_event_output" => (argument(1), argument(3).and_then(|data| pointed_to(probe, data))),
                "bpf_ringbuf_output" => (argument(0), argument(1).and_then(|data| pointed_to(probe, data))),
                "bpf_ringbuf_reserve" => (argument(0), received_as(probe, id).map(|ty| Event { ty, data: None })),
                _ => continue,
            };
            let map = map.and_then(|map| map_index(probe, map));
            found.extend(map.zip(event));
        }
        warn_of_equal_sizes(probe, output, &found);
        for (index, event) in found {
            let carries = probe.maps.get(index).map(|map| &map.role);
            if !matches!(carries, Some(MapRole::PerfEvents(_) | MapRole::RingEvents(_))) {
                continue;
            }
            let number = output.events.len();
            match (file_scope_name(event.ty), event.data.and_then(|data| tree.span(data))) {
                (Some(name), _) if output.events.contains(&(index, name.clone())) => {}
                (Some(name), _) => {
                    output.behind.push_str(&format!("{name} dbcc_event_{number} SEC(\".dbcc.types\");\n"));
                    output.events.push((index, name));
                }
                // What has no name at file scope is declared where the event is.
                (None, Some(span)) if !probe.roles.is_libbpf_style => {
                    let is_array = event.ty.kind() == TypeKind::Array;
                    let whole = event.data.and_then(|data| tree.node(data)).map(|data| data.ty.kind());
                    let (open, close) = if whole == Some(TypeKind::Array) { ("&(", ")") } else { ("", "") };
                    let kind = if is_array { "*dbcc_data" } else { "({ *dbcc_data; })" };
                    let name = format!("dbcc_event_{number}");
                    output.edits.wrap(
                        span,
                        format!("({{ __auto_type dbcc_data = {open}"),
                        format!("{close}; static typeof({kind}) {name} SEC(\".dbcc.types\"); dbcc_data; }})"),
                    );
                    output.events.push((index, name));
                }
                (None, _) => {}
            }
        }
    }
}

/// Warns where the size of an event does not tell which of several types it has.
fn warn_of_equal_sizes(probe: &Probe<'_, '_>, output: &mut Output, found: &[(usize, Event<'_>)]) {
    for (number, (index, event)) in found.iter().enumerate() {
        let Some(map) = probe.maps.get(*index) else { continue };
        // A record of a perf buffer is a length of 4 bytes and the event, padded to 8 bytes (kernel/events/core.c).
        let size = |event: &Event<'_>| match map.role {
            MapRole::PerfEvents(_) => event.ty.size().map(|size| size.saturating_add(4).next_multiple_of(8)),
            _ => event.ty.size(),
        };
        let before = found.get(..number).unwrap_or_default();
        let name_of = |event: &Event<'_>| event.ty.canonical().spelling();
        let others: Vec<&Event<'_>> =
            before.iter().filter(|(other, _)| other == index).map(|(_, other)| other).collect();
        if others.iter().any(|other| name_of(other) == name_of(event)) {
            continue;
        }
        let Some(other) = others.iter().find(|other| size(other).is_some() && size(other) == size(event)) else {
            continue;
        };
        let place = event.data.and_then(|data| probe.tree.span(data));
        let (name, one, two) = (&map.name, event.ty.spelling(), other.ty.spelling());
        output.messages.push(
            Diagnostic::warning(format!("events of `{name}` cannot be told apart: `{one}` and `{two}`"), place)
                .note(
                    "both fill records of the same size; such events are shown as what is submitted first in the text",
                )
                .help("use an output for each type, or add a field to one of them"),
        );
    }
}

/// An event.
struct Event<'u> {
    /// Its type.
    ty: Type<'u>,
    /// The pointer to it, or the array that it is; none where it is not handed over at this place.
    data: Option<NodeId>,
}

/// What a pointer points to, by the type that it has before it is cast; an array is itself. None for `void`.
fn pointed_to<'u>(probe: &Probe<'_, 'u>, pointer: NodeId) -> Option<Event<'u>> {
    let data = probe.tree.bare_of_casts(pointer);
    let node = probe.tree.node(data)?;
    if node.ty.kind() == TypeKind::Array {
        return Some(Event { ty: node.ty, data: Some(data) });
    }
    let pointee = node.ty.canonical().pointee()?;
    // The name as it is written is that of the type before it was made canonical.
    let ty = node.ty.pointee().unwrap_or(pointee).unqualified();
    (pointee.kind() != TypeKind::Void).then_some(Event { ty, data: Some(data) })
}

/// What the pointer that a call returns is made to point to: by a cast, the variable that it initialises, or the lvalue
/// that it is assigned to.
fn received_as<'u>(probe: &Probe<'_, 'u>, call: NodeId) -> Option<Type<'u>> {
    let tree = probe.tree;
    let mut at = call;
    loop {
        at = tree.node(at)?.parent?;
        let ty = match tree.kind(at)? {
            NodeKind::Implicit | NodeKind::Paren => continue,
            NodeKind::Cast => tree.node(at)?.ty,
            NodeKind::Declare(decl) => tree.decl(*decl)?.ty,
            NodeKind::Assign { .. } => tree.node(tree.kid(at, 0)?)?.ty,
            _ => return None,
        };
        let pointee = ty.canonical().pointee()?;
        return (pointee.kind() != TypeKind::Void).then(|| ty.pointee().unwrap_or(pointee).unqualified());
    }
}

/// The index of the map in `&map`.
fn map_index(probe: &Probe<'_, '_>, argument: NodeId) -> Option<usize> {
    let tree = probe.tree;
    let address = tree.bare_of_casts(argument);
    if tree.kind(address)? != &NodeKind::AddressOf {
        return None;
    }
    let decl = tree.variable(tree.kid(address, 0)?)?;
    let name = tree.decl(decl)?.name.as_str();
    probe.maps.iter().position(|map| map.name == name)
}

/// The name of a type as it can be used at file scope; none for arrays, pointers, types without a name and those that
/// are declared in a function.
fn file_scope_name(ty: Type<'_>) -> Option<String> {
    if !matches!(ty.kind(), TypeKind::Record | TypeKind::Integer) {
        return None;
    }
    if let Some(declaration) = ty.declaration() {
        if declaration.parent().is_some_and(|parent| parent.kind() == CursorKind::FunctionDecl) {
            return None;
        }
        if declaration.is_anonymous() {
            return None;
        }
    }
    let name = ty.spelling();
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ')).then_some(name)
}
