//! What an object takes from the kernel that it was built on and CO-RE does not relocate, and whether it is the same here.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::layout;
use crate::bpf::btf::{Btf, Kind};
use crate::directive::Directives;
use crate::facts::{CompileRequest, Facts, ProgramFact};
use crate::kernel::Kernel;
use crate::kernel::btf::{Function, functions};
use crate::kernel::tracepoint::Tracepoint;
use crate::kind;
use crate::template::{Host, Needs};

/// What an object takes from the kernel that it was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ties {
    /// The architecture: registers and the names of system calls.
    machine: String,
    /// Binary logarithm of the page size, where the text asks for it.
    page_shift: Option<u32>,
    /// Versions of Linux for which the text is the same, as `LINUX_VERSION_CODE` has them: from the first up to, and not
    /// with, the second.
    versions: Option<(u32, Option<u32>)>,
    /// Names of the configuration that the text asks for, with their values where they are set.
    configuration: BTreeMap<String, Option<String>>,
    /// Fields that it may read of the records of tracepoints.
    records: Vec<Record>,
    /// Enumerators that it names, with their values.
    enumerators: BTreeMap<String, String>,
    /// Arguments of kernel functions that it reads.
    functions: Vec<Prototype>,
    /// Structs of the kernel that it holds as a whole.
    copied: Vec<String>,
}

/// The record of a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    category: String,
    name: String,
    /// By name: offset and size in bytes.
    fields: BTreeMap<String, (u32, u32)>,
}

/// A function of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Prototype {
    name: String,
    /// By number, from 0: what the argument is.
    arguments: Vec<(u32, String)>,
}

impl Ties {
    /// Finds what the object of a probe takes from the running kernel.
    ///
    /// # Errors
    /// What of the kernel cannot be read.
    pub fn of(
        request: &CompileRequest,
        facts: &Facts,
        directives: &Directives,
        kernel: &Kernel,
    ) -> Result<Self, String> {
        let needs = Needs::of(request)
            .map_err(|wrong| wrong.into_iter().map(|one| one.message).collect::<Vec<_>>().join("; "))?;
        let host = Host::running()?;
        let btf = kernel.btf().map_err(ToString::to_string)?;
        let values = host.configuration(&needs.configuration).ok_or_else(|| {
            let names: Vec<&str> = needs.configuration.iter().map(String::as_str).collect();
            format!("it asks for {}, and this kernel's configuration is not to be found", names.join(", "))
        })?;
        let values: BTreeMap<String, String> = values.into_iter().collect();
        let configuration = needs.configuration.iter().map(|name| (name.clone(), values.get(name).cloned()));
        Ok(Self {
            machine: std::env::consts::ARCH.to_owned(),
            page_shift: needs.identifiers.contains("PAGE_SHIFT").then_some(host.page_shift),
            versions: (!needs.versions.is_empty()).then(|| needs.versions.around(host.version_code)),
            configuration: configuration.collect(),
            records: records(&needs, kernel),
            enumerators: enumerators(btf, &|name| needs.identifiers.contains(name))
                .into_iter()
                .filter_map(|(name, values)| Some((name, values.into_iter().next()?.to_string())))
                .collect(),
            functions: prototypes(facts, directives, btf),
            copied: facts.copied.clone(),
        })
    }

    /// What is not as it was, in words; empty where the object can be used here.
    pub fn unmet(&self, kernel: &Kernel, object: &[u8]) -> Vec<String> {
        let mut unmet = Vec::new();
        if self.machine != std::env::consts::ARCH {
            unmet.push(format!("it was built for {}, and this is {}", self.machine, std::env::consts::ARCH));
        }
        match Host::running() {
            Ok(host) => self.host(&host, &mut unmet),
            Err(error) => unmet.push(error),
        }
        self.tracepoints(kernel, &mut unmet);
        match kernel.btf() {
            Ok(btf) => self.types(btf, object, &mut unmet),
            Err(error) => unmet.push(error.to_string()),
        }
        unmet
    }

    fn host(&self, host: &Host, unmet: &mut Vec<String>) {
        if let Some(shift) = self.page_shift.filter(|shift| *shift != host.page_shift) {
            let (there, here) = (1_u64 << shift.min(63), 1_u64 << host.page_shift.min(63));
            unmet.push(format!("it uses the size of pages, which is {here} bytes here, and was {there}"));
        }
        if let Some((from, below)) = self.versions
            && (host.version_code < from || below.is_some_and(|below| host.version_code >= below))
        {
            let (range, here) = (range(from, below), version(host.version_code));
            unmet.push(format!(
                "it asks for the version of the kernel, and was built for Linux {range}; this is {here}"
            ));
        }
        let names: BTreeSet<String> = self.configuration.keys().cloned().collect();
        match host.configuration(&names) {
            None => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                unmet.push(format!(
                    "it asks for {}, and this kernel's configuration is not to be found",
                    names.join(", ")
                ));
            }
            Some(values) => {
                let values: BTreeMap<String, String> = values.into_iter().collect();
                for (name, before) in &self.configuration {
                    let now = values.get(name);
                    if now != before.as_ref() {
                        let shown = |value: Option<&String>| value.map_or("not set", String::as_str).to_owned();
                        unmet.push(format!("{name} is {} here, and was {}", shown(now), shown(before.as_ref())));
                    }
                }
            }
        }
    }

    fn tracepoints(&self, kernel: &Kernel, unmet: &mut Vec<String>) {
        // Where tracepoints cannot be read, none can be attached to, and that is said then.
        let Ok(tracefs) = kernel.tracefs() else { return };
        for record in &self.records {
            let Ok(here) = Tracepoint::read(tracefs, &record.category, &record.name) else { continue };
            for (name, place) in &record.fields {
                let found = here.fields.iter().find(|field| field.name == *name);
                let now = found.map(|field| (field.offset, field.size));
                let what = match now {
                    Some(now) if now == *place => continue,
                    Some((offset, size)) => {
                        format!("{size} bytes at {offset} here, and was {} at {}", place.1, place.0)
                    }
                    None => "not there on this kernel".to_owned(),
                };
                unmet.push(format!("the field `{name}` of tracepoint {}:{} is {what}", record.category, record.name));
            }
        }
    }

    fn types(&self, btf: &Btf, object: &[u8], unmet: &mut Vec<String>) {
        let here = match self.enumerators.is_empty() {
            true => BTreeMap::new(),
            false => enumerators(btf, &|name| self.enumerators.contains_key(name)),
        };
        for (name, before) in &self.enumerators {
            match here.get(name) {
                None => unmet.push(format!("this kernel has no enumerator `{name}`")),
                Some(values) if values.iter().any(|value| value.to_string() == *before) => {}
                Some(values) => {
                    let now: Vec<String> = values.iter().map(ToString::to_string).collect();
                    unmet.push(format!("`{name}` is {} here, and was {before}", now.join(" or ")));
                }
            }
        }
        let names: Vec<&str> = self.functions.iter().map(|function| function.name.as_str()).collect();
        let known = if names.is_empty() { BTreeMap::new() } else { functions(btf, &names) };
        for function in &self.functions {
            // One that is not in the kernel's types may be in a module; whether it can be attached to is said then.
            let Some(here) = known.get(&function.name) else { continue };
            for (number, before) in &function.arguments {
                let now = argument(btf, here, *number);
                if now.as_ref() != Some(before) {
                    let now = now.unwrap_or_else(|| "not there".to_owned());
                    let name = &function.name;
                    unmet.push(format!("argument {} of `{name}` is {now} here, and was {before}", number + 1));
                }
            }
        }
        match layout::misfits(object, btf, &self.copied) {
            Ok(misfits) => unmet.extend(misfits),
            Err(error) => unmet.push(error.to_string()),
        }
    }

    /// What a kernel must be like for which nobody would expect it, in words: `Linux from 6.10 on`.
    pub fn needs(&self) -> Vec<String> {
        let mut needs: Vec<String> =
            self.versions.map(|(from, below)| format!("Linux {}", range(from, below))).into_iter().collect();
        needs.extend(self.page_shift.map(|shift| format!("pages of {} bytes", 1_u64 << shift.min(63))));
        needs.extend(self.configuration.iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => format!("a kernel without {name}"),
        }));
        needs
    }
}

/// The records of the tracepoints that a text names, as far as it names their fields.
fn records(needs: &Needs, kernel: &Kernel) -> Vec<Record> {
    let Ok(tracefs) = kernel.tracefs() else { return Vec::new() };
    let read = |name: &crate::template::TracepointName| Tracepoint::read(tracefs, &name.category, &name.name).ok();
    let found = needs.tracepoints.iter().filter_map(read).map(|tracepoint| {
        let named = |name: &str| {
            let of_dynamic_length =
                ["data_loc_", "rel_loc_"].iter().any(|start| needs.identifiers.contains(&format!("{start}{name}")));
            of_dynamic_length || needs.identifiers.contains(name)
        };
        let fields = tracepoint.fields.iter().filter(|field| named(&field.name));
        let fields = fields.map(|field| (field.name.clone(), (field.offset, field.size))).collect();
        Record { category: tracepoint.category, name: tracepoint.name, fields }
    });
    found.filter(|record| !record.fields.is_empty()).collect()
}

/// The enumerators of the kernel that are wanted, with all values that they have: several enumerations may have one of the
/// same name.
fn enumerators(btf: &Btf, wanted: &dyn Fn(&str) -> bool) -> BTreeMap<String, Vec<i128>> {
    let mut found: BTreeMap<String, Vec<i128>> = BTreeMap::new();
    for one in btf.types().filter(|one| matches!(one.kind(), Kind::Enum | Kind::Enum64)) {
        for (name, value) in one.enumerators() {
            let name = std::str::from_utf8(btf.string(name)).unwrap_or_default();
            if wanted(name) {
                let values = found.entry(name.to_owned()).or_default();
                if !values.contains(&value) {
                    values.push(value);
                }
            }
        }
    }
    found
}

/// What programs read of the arguments of the kernel's functions.
fn prototypes(facts: &Facts, directives: &Directives, btf: &Btf) -> Vec<Prototype> {
    let mut wanted: BTreeMap<String, u8> = BTreeMap::new();
    for fact in facts.programs.iter().filter(|fact| fact.reads.arguments != 0) {
        for target in targets(fact, directives) {
            *wanted.entry(target).or_default() |= fact.reads.arguments;
        }
    }
    let names: Vec<&str> = wanted.keys().map(String::as_str).collect();
    let known = if names.is_empty() { BTreeMap::new() } else { functions(btf, &names) };
    let prototypes = known.into_iter().map(|(name, function)| {
        let bits = wanted.get(&name).copied().unwrap_or_default();
        let read = (0..u8::BITS).filter(|number| bits & (1 << number) != 0);
        let arguments = read.filter_map(|number| Some((number, argument(btf, &function, number)?))).collect();
        Prototype { name, arguments }
    });
    prototypes.filter(|prototype| !prototype.arguments.is_empty()).collect()
}

/// The functions of the kernel that a program goes to.
fn targets(fact: &ProgramFact, directives: &Directives) -> Vec<String> {
    let of_kernel = |kind: &str| matches!(kind, "kprobe" | "kretprobe" | "fentry" | "fexit" | "fmod_ret");
    let given = directives.attaches.iter().filter(|attach| attach.function == fact.function);
    let points =
        given.flat_map(|attach| &attach.alternatives).map(|point| (point.kind.as_str(), point.target.as_str()));
    let named = fact.target.as_deref().map(|target| (fact.kind.as_str(), target));
    let all = points.chain(named).filter(|(kind, _)| of_kernel(kind) && kind::by_name(kind).is_some());
    all.map(|(_, target)| target.to_owned()).collect()
}

/// What an argument is, as far as reading it depends on that: the record that a pointer points to, else the size.
fn argument(btf: &Btf, function: &Function, number: u32) -> Option<String> {
    let parameter = function.parameters.get(usize::try_from(number).ok()?)?;
    let of = btf.underlying(parameter.id);
    if of.kind() != Kind::Pointer {
        return Some(format!("a value of {} bytes", btf.size_of(of.id())?));
    }
    let pointee = btf.underlying(of.target());
    Some(match pointee.kind() {
        Kind::Struct | Kind::Forward if !pointee.flag() || pointee.kind() == Kind::Struct => {
            format!("a pointer to struct {}", pointee.name())
        }
        Kind::Union | Kind::Forward => format!("a pointer to union {}", pointee.name()),
        _ => "a pointer".to_owned(),
    })
}

/// Versions from the first up to, and not with, the second, in words.
fn range(from: u32, below: Option<u32>) -> String {
    match (from, below) {
        (0, Some(below)) => format!("before {}", version(below)),
        (from, None) => format!("from {} on", version(from)),
        (from, Some(below)) => format!("from {} up to, and not with, {}", version(from), version(below)),
    }
}

fn version(code: u32) -> String {
    format!("{}.{}.{}", code >> 16, (code >> 8) & 0xff, code & 0xff)
}
