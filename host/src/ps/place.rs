//! Where programs are attached, in words.

use std::collections::BTreeMap;

use crate::bpf::btf::{Btf, TypeId};
use crate::bpf::inventory::{self, Event, LinkInfo, Place};

/// Names of functions by the numbers of their types, each set of types read once.
#[derive(Debug, Default)]
pub(super) struct Names {
    types: BTreeMap<u32, Option<Btf>>,
}

impl Names {
    /// Where a link attaches its program; empty where that is not told.
    pub(super) fn text(&mut self, link: &LinkInfo) -> String {
        match &link.place {
            Place::RawTracepoint(name) => format!("raw_tracepoint {name}"),
            Place::Traced { hook, object, function } => {
                // As users write it: fentry, fexit, tp_btf.
                let hook = match hook.as_str() {
                    "trace_raw_tp" => "tp_btf",
                    other => other.strip_prefix("trace_").unwrap_or(other),
                };
                match self.function(*object, *function) {
                    Some(name) => format!("{hook} {}", name.strip_prefix("btf_trace_").unwrap_or(&name)),
                    None if *object == 0 => hook.to_owned(),
                    None => format!("{hook} type {function} of BTF {object}"),
                }
            }
            Place::Cgroup { id, hook } => format!("{hook} of cgroup {id}"),
            Place::Iterator(name) => format!("iterator over {name}"),
            Place::Namespace { inode, hook } => format!("{hook} of network namespace {inode}"),
            Place::Interface { index, hook } => format!("{} of {}", named(hook, &link.kind), interface(*index)),
            Place::Functions { count, returns } => {
                format!("{} of {count} functions", if *returns { "kretprobe.multi" } else { "kprobe.multi" })
            }
            Place::UserFunctions { path, count, returns, pid } => {
                let kind = if *returns { "uretprobe.multi" } else { "uprobe.multi" };
                let whose = if *pid > 0 { format!(" in process {pid}") } else { String::new() };
                format!("{kind} at {count} places of {path}{whose}")
            }
            Place::Event { what, name, offset } => at(what, name, *offset),
            Place::Other => String::new(),
        }
    }

    fn function(&mut self, object: u32, function: u32) -> Option<String> {
        if object == 0 || function == 0 {
            return None;
        }
        let types = self.types.entry(object).or_insert_with(|| inventory::types(object)).as_ref()?;
        Some(types.get(TypeId(function)).name().into_owned()).filter(|name| !name.is_empty())
    }
}

/// Where an event is.
pub(super) fn event(event: &Event) -> String {
    at(event.kind.name(), &event.name, event.offset)
}

fn at(kind: &str, name: &str, offset: u64) -> String {
    if offset == 0 { format!("{kind} {name}") } else { format!("{kind} {name}+{offset:#x}") }
}

fn named<'t>(hook: &'t str, kind: &'t str) -> &'t str {
    if hook.is_empty() { kind } else { hook }
}

/// The name of a network interface of this namespace, or its number.
fn interface(index: u32) -> String {
    let folders = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let number = |entry: &std::fs::DirEntry| std::fs::read_to_string(entry.path().join("ifindex")).ok();
    let found = folders.into_iter().find(|entry| number(entry).is_some_and(|text| text.trim() == index.to_string()));
    found.map_or_else(|| format!("interface {index}"), |entry| entry.file_name().to_string_lossy().into_owned())
}
