//! The text of a probe.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::prototype::c::comment;
use crate::prototype::{self, snippet_named};

use super::fields::{self, Field, Fields, TEXT};
use super::place::Place;

/// The largest event that is made on the stack of a program, which has 512 bytes for everything.
const ON_STACK: u64 = 256;
/// What an event begins with: process, thread, command.
const HEADER: u64 = 24;

/// One kind of event: what is probed for it, and what it holds.
struct Group<'p> {
    /// The start of all its names.
    name: String,
    entry: Option<&'p Place>,
    exit: Option<&'p Place>,
    arguments: Fields,
    returned: Fields,
}

/// The probe `name` of these places.
pub(super) fn probe(name: &str, places: &[Place]) -> String {
    let groups = group(places);
    let mut text = head(name, &groups);
    let has_text = |group: &Group<'_>| group.arguments.has_text() || group.returned.has_text();
    if groups.iter().any(has_text) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n#define TEXT {TEXT} // so much of a text is kept");
    }
    for group in &groups {
        group.declare(&mut text);
    }
    for group in &groups {
        group.programs(&mut text);
    }
    text
}

/// The kind of the return that belongs to an entry of a kind.
fn exit_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "uprobe" => "uretprobe",
        "kprobe" => "kretprobe",
        "fentry" => "fexit",
        _ => return None,
    })
}

/// Entry and return of one function are one event.
fn group(places: &[Place]) -> Vec<Group<'_>> {
    let is_exit = |exit: &Place, entry: &Place| exit_of(entry.kind) == Some(exit.kind) && exit.target == entry.target;
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut names = BTreeSet::new();
    for place in places {
        let is_paired = places.iter().any(|entry| is_exit(place, entry));
        if is_paired {
            continue;
        }
        let is_return = matches!(place.kind, "uretprobe" | "kretprobe" | "fexit");
        let exit = if is_return { Some(place) } else { places.iter().find(|exit| is_exit(exit, place)) };
        let entry = (!is_return).then_some(place);
        // At a fexit the arguments are at hand too.
        let arguments = entry.or(exit.filter(|exit| exit.kind == "fexit")).map(fields::arguments).unwrap_or_default();
        let name = unique(&prototype::last_name(place.kind, &place.target), &mut names);
        let returned = exit.map(fields::returned).unwrap_or_default();
        groups.push(Group { name, entry, exit, arguments, returned });
    }
    groups
}

/// The name, with a number behind it if it is taken.
fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let mut candidate = name.to_owned();
    let mut number = 2;
    while !taken.insert(candidate.clone()) {
        candidate = format!("{name}_{number}");
        number += 1;
    }
    candidate
}

/// The comment that a probe begins with, and its directives.
fn head(name: &str, groups: &[Group<'_>]) -> String {
    let mut text = String::new();
    let _ = match groups {
        [one] => writeln!(text, "// {name}: {}.", one.summary()),
        _ => {
            let _ = writeln!(text, "// {name}: an event for each of these:\n//");
            groups.iter().try_for_each(|group| writeln!(text, "//   {}", group.summary()))
        }
    };
    let _ = writeln!(
        text,
        "//\n//     dbcc {name}.c              in all processes\n//     dbcc --pid N {name}.c      in one"
    );
    let places = groups.iter().flat_map(Group::places);
    let directives: Vec<String> = places
        .filter_map(|(place, function)| {
            snippet_named(place.kind, &place.target, &function, place.prototype.as_ref().ok())?.directive
        })
        .collect();
    let hidden = groups.iter().flat_map(Group::hidden).map(|map| format!("//@ hide {map}"));
    let directives: Vec<String> = directives.into_iter().chain(hidden).collect();
    if !directives.is_empty() {
        let _ = writeln!(text, "//\n{}", directives.join("\n"));
    }
    text
}

impl<'p> Group<'p> {
    /// Entry and return, each with the name of its function.
    fn places(&self) -> impl Iterator<Item = (&'p Place, String)> {
        let function = |place: &'p Place| (place, self.function(place));
        self.entry.map(function).into_iter().chain(self.exit.map(function)).collect::<Vec<_>>().into_iter()
    }

    /// The function that is attached to a place.
    fn function(&self, place: &Place) -> String {
        let name = prototype::function_name(place.kind, &place.target);
        match name.strip_prefix("on_") {
            Some(_) if self.entry.is_some() && self.exit == Some(place) => format!("on_{}_return", self.name),
            Some(_) if self.exit == Some(place) => format!("on_{}_return", self.name),
            Some(_) => format!("on_{}", self.name),
            None => name,
        }
    }

    /// Whether an event begins at the entry and ends at the return.
    fn is_timed(&self) -> bool {
        self.entry.is_some() && self.exit.is_some()
    }

    fn is_large(&self) -> bool {
        HEADER + 16 + self.arguments.size() + self.returned.size() > ON_STACK
    }

    fn hidden(&self) -> Vec<String> {
        let name = &self.name;
        let started = self.is_timed().then(|| format!("{name}_started"));
        started.into_iter().chain(self.is_large().then(|| format!("{name}_scratch"))).collect()
    }

    fn summary(&self) -> String {
        let title = self.entry.or(self.exit).map(|place| comment(&place.title)).unwrap_or_default();
        match (self.entry, self.exit) {
            (Some(_), Some(_)) => format!("each call of {title}, with how long it took"),
            (None, Some(_)) => format!("each return of {title}"),
            (Some(place), None) if matches!(place.kind, "tracepoint" | "raw_tracepoint" | "usdt") => {
                format!("each hit of {title}")
            }
            _ => format!("each call of {title}"),
        }
    }

    /// The struct of the event, and the maps.
    fn declare(&self, text: &mut String) {
        let name = &self.name;
        let _ = writeln!(text, "\nstruct {name}_event {{\n    u32 pid;\n    u32 tid;\n    char comm[TASK_COMM_LEN];");
        if self.is_timed() {
            text.push_str("    u64 elapsed_ns;\n");
        }
        for field in self.fields() {
            let note = field.comment.as_ref().map(|note| format!(" // {note}")).unwrap_or_default();
            let _ = writeln!(text, "    {};{note}", field.declaration);
        }
        for missing in self.arguments.unread.iter().chain(&self.returned.unread) {
            let _ = match missing.what.as_slice() {
                [one] if !one.contains("PT_REGS") => writeln!(text, "    // not here: {one}: {}", missing.why),
                all => {
                    let _ = writeln!(text, "    // not here: {}", missing.why);
                    all.iter().try_for_each(|one| writeln!(text, "    //   {one}"))
                }
            };
        }
        if let Some(Err(why)) = self.entry.map(|place| &place.prototype) {
            let _ = writeln!(text, "    // Its arguments are not known: {why}.");
            text.push_str("    // Name them as parameters behind ctx, integers and pointers in their order, and keep them here.\n");
        }
        text.push_str("};\n");
        let kept = match self.is_timed() {
            true => {
                let _ = writeln!(
                    text,
                    "\n// A call that is under way, by its thread. One that begins inside of it, in the same thread, takes its place.\nstruct {name}_call {{\n    u64 start;\n    struct {name}_event event;\n}};"
                );
                format!("{name}_call")
            }
            false => format!("{name}_event"),
        };
        let _ = writeln!(text, "\nBPF_PERF_OUTPUT({name}_events);");
        if self.is_timed() {
            let _ = writeln!(text, "BPF_HASH({name}_started, u32, struct {name}_call);");
        }
        if self.is_large() {
            let _ = writeln!(text, "// Larger than the stack allows with anything beside it.");
            let _ = writeln!(text, "BPF_PERCPU_ARRAY({name}_scratch, struct {kept}, 1);");
        }
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.arguments.fields.iter().chain(&self.returned.fields)
    }

    fn programs(&self, text: &mut String) {
        for (place, function) in self.places() {
            let Some(head) = snippet_named(place.kind, &place.target, &function, place.prototype.as_ref().ok()) else {
                continue;
            };
            let _ = writeln!(text, "\n{}\n{{", head.signature);
            match self.is_timed() {
                true if Some(place) == self.exit => self.end(text),
                true => self.begin(text),
                false => self.whole(place, text),
            }
            text.push_str("    return 0;\n}\n");
        }
    }

    /// Makes room for what a program fills, and fills what every event has. `before` leads from there to the event.
    fn make(&self, ty: &str, variable: &str, inner: &str, text: &mut String) -> String {
        let name = &self.name;
        let at = if self.is_large() { format!("{variable}->") } else { format!("{variable}.") };
        let event = if inner.is_empty() { at.clone() } else { format!("{at}{inner}.") };
        match self.is_large() {
            true => {
                let _ = writeln!(text, "    struct {ty} *{variable};\n    u64 pid_tgid = bpf_get_current_pid_tgid();");
                text.push_str("    u32 zero = 0;\n");
            }
            false => {
                let _ = writeln!(
                    text,
                    "    struct {ty} {variable} = {{}};\n    u64 pid_tgid = bpf_get_current_pid_tgid();"
                );
            }
        }
        if self.is_timed() {
            text.push_str("    u32 tid = pid_tgid;\n");
        }
        text.push_str("\n    if (FILTER_PID)\n        return 0;\n");
        if self.is_large() {
            let _ = writeln!(
                text,
                "    {variable} = {name}_scratch.lookup(&zero);\n    if (!{variable})\n        return 0;"
            );
        }
        let _ = writeln!(text, "    {event}pid = pid_tgid >> 32;\n    {event}tid = pid_tgid;");
        let _ = writeln!(text, "    bpf_get_current_comm(&{event}comm, sizeof({event}comm));");
        event
    }

    /// An event at one place.
    fn whole(&self, place: &Place, text: &mut String) {
        let name = &self.name;
        let event = self.make(&format!("{name}_event"), "event", "", text);
        fill(self.fields(), &event, text);
        let context = if place.kind == "tracepoint" { "args" } else { "ctx" };
        let (address, size) = if self.is_large() { ("event", "*event") } else { ("&event", "event") };
        let _ = writeln!(text, "    {name}_events.perf_submit({context}, {address}, sizeof({size}));");
    }

    /// The entry of a call that is measured.
    fn begin(&self, text: &mut String) {
        let name = &self.name;
        let event = self.make(&format!("{name}_call"), "call", "event", text);
        fill(self.arguments.fields.iter(), &event, text);
        let (start, address) = if self.is_large() { ("call->start", "call") } else { ("call.start", "&call") };
        let _ = writeln!(text, "    {start} = bpf_ktime_get_ns();\n    {name}_started.update(&tid, {address});");
    }

    /// Its return.
    fn end(&self, text: &mut String) {
        let name = &self.name;
        let _ = writeln!(text, "    u32 tid = bpf_get_current_pid_tgid();");
        let _ = writeln!(
            text,
            "    struct {name}_call *call = {name}_started.lookup(&tid);\n\n    if (!call)\n        return 0;"
        );
        text.push_str("    call->event.elapsed_ns = bpf_ktime_get_ns() - call->start;\n");
        fill(self.returned.fields.iter(), "call->event.", text);
        let _ = writeln!(text, "    {name}_events.perf_submit(ctx, &call->event, sizeof(call->event));");
        let _ = writeln!(text, "    {name}_started.delete(&tid);");
    }
}

fn fill<'f>(fields: impl Iterator<Item = &'f Field>, event: &str, text: &mut String) {
    for field in fields {
        let _ = writeln!(text, "    {}", field.read.replace('@', event));
    }
}
