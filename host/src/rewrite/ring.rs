//! Which outputs of BCC's style become ring buffers: one buffer for all CPUs, whose reader is not woken for each event.

use crate::source::Span;

use super::Probe;
use super::program::Role;
use super::rule::{maps, methods};
use super::tree::{DeclKind, NodeKind};

/// The macro that declares an output, and the one that declares it as a ring buffer (templates/dbcc/maps.h).
pub(super) const PERF: &str = "BPF_PERF_OUTPUT";
pub(super) const RING: &str = "DBCC_RING_OUTPUT";

/// The indexes of the maps that can be ring buffers without any difference to what the probe sees: all that is done with
/// such a map is `perf_submit` of as many bytes as the compiler knows.
///
/// None where a program runs in the interrupt of a hardware counter, which may have to wait for another that is just
/// writing: there each CPU keeps a buffer of its own.
pub(super) fn find(probe: &Probe<'_, '_>) -> Vec<usize> {
    let in_interrupts = |role: &Role| match role {
        Role::Programs(uses) => uses.iter().any(|one| one.kind.name() == "perf_event"),
        Role::Section(_) | Role::Helper | Role::Unattached => false,
    };
    if probe.roles.is_libbpf_style || probe.roles.all().any(in_interrupts) {
        return Vec::new();
    }
    let maps = probe.maps.iter().enumerate();
    maps.filter(|(index, map)| {
        map.kind == "perf_output" && macro_of(probe.text, map).is_some() && only_submits(probe, *index)
    })
    .map(|(index, _)| index)
    .collect()
}

/// Where the name of the macro stands that declares an output; none where another macro or more than blanks is between.
pub(super) fn macro_of(text: &str, map: &maps::Map) -> Option<Span> {
    let before = text.get(..map.span.range().start)?.trim_end().strip_suffix('(')?.trim_end();
    let rest = before.strip_suffix(PERF)?;
    let is_name = |last: char| last.is_ascii_alphanumeric() || last == '_';
    if rest.ends_with(is_name) {
        return None;
    }
    Some(Span::new(u32::try_from(rest.len()).ok()?, u32::try_from(before.len()).ok()?))
}

/// Whether every use of a map is a call that submits as many bytes as `sizeof` says.
fn only_submits(probe: &Probe<'_, '_>, index: usize) -> bool {
    let tree = probe.tree;
    let Some(map) = probe.maps.get(index) else { return false };
    // Maps of maps name the map that their values are like.
    if probe.maps.iter().any(|other| other.inner.as_ref() == Some(&map.name)) {
        return false;
    }
    let is_map = |kind: &NodeKind| {
        let NodeKind::Variable(decl) = kind else { return false };
        tree.decl(*decl).is_some_and(|decl| decl.kind == DeclKind::Global && decl.name == map.name)
    };
    let uses = tree.all().filter(|(_, node)| is_map(&node.kind)).count();
    let is_fixed = |call: &methods::MethodCall<'_>| {
        let size = tree.arguments(call.call).get(2).map(|size| tree.bare_of_casts(*size));
        let known = matches!(size.and_then(|size| tree.kind(size)), Some(NodeKind::Unevaluated | NodeKind::Constant));
        call.name == "perf_submit" && known
    };
    let calls: Vec<_> = methods::calls(probe).filter(|call| call.index == index).collect();
    !calls.is_empty() && calls.len() == uses && calls.iter().all(is_fixed)
}
