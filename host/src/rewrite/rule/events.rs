//! The types of events, so that user space can decode them.

use crate::clang::{CursorKind, Type, TypeKind};
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
         themselves with the names of their fields. The type has to be declared at file scope."
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
        let mut found: Vec<(usize, Type<'_>)> = Vec::new();
        for call in methods::calls(probe) {
            let argument = |number: usize| tree.arguments(call.call).get(number).copied();
            let ty = match call.name {
                "perf_submit" => argument(1).and_then(|data| pointed_to(probe, data)),
                "ringbuf_output" => argument(0).and_then(|data| pointed_to(probe, data)),
                "ringbuf_reserve" => received_as(probe, call.call),
                _ => None,
            };
            found.extend(ty.map(|ty| (call.index, ty)));
        }
        for (id, _) in tree.all() {
            let Some(name) = tree.callee(id) else { continue };
            let argument = |number: usize| tree.arguments(id).get(number).copied();
            let (map, ty) = match name {
                "bpf_perf_event_output" => (argument(1), argument(3).and_then(|data| pointed_to(probe, data))),
                "bpf_ringbuf_output" => (argument(0), argument(1).and_then(|data| pointed_to(probe, data))),
                "bpf_ringbuf_reserve" => (argument(0), received_as(probe, id)),
                _ => continue,
            };
            let map = map.and_then(|map| map_index(probe, map));
            found.extend(map.zip(ty));
        }
        for (index, ty) in found {
            let carries = probe.maps.get(index).map(|map| &map.role);
            if !matches!(carries, Some(MapRole::PerfEvents(_) | MapRole::RingEvents(_))) {
                continue;
            }
            let Some(name) = file_scope_name(ty) else { continue };
            if !output.events.contains(&(index, name.clone())) {
                let number = output.events.len();
                output.behind.push_str(&format!("{name} dbcc_event_{number} SEC(\".dbcc.types\");\n"));
                output.events.push((index, name));
            }
        }
    }
}

/// What a pointer points to, by the type that it has before it is cast; none for `void`.
fn pointed_to<'u>(probe: &Probe<'_, 'u>, pointer: NodeId) -> Option<Type<'u>> {
    let node = probe.tree.node(probe.tree.bare_of_casts(pointer))?;
    let pointee = node.ty.canonical().pointee()?;
    // The name as it is written is that of the type before it was made canonical.
    let written = node.ty.pointee().unwrap_or(pointee).unqualified();
    (pointee.kind() != TypeKind::Void).then_some(written)
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
