//! The kernel's types, as `bpftool btf dump … format raw` tells them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::output;

const KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// What is compared of them.
#[derive(Debug, Default)]
pub struct Types {
    /// The names of parameters, `(anon)` where they have none, by function.
    pub functions: BTreeMap<String, Vec<String>>,
    /// The constants of enumerations, by name.
    pub enumerations: BTreeMap<String, Vec<String>>,
    /// The names of structs.
    pub structs: BTreeSet<String>,
    /// The names of typedefs.
    pub typedefs: BTreeSet<String>,
    /// The names of parameters, by the number of the prototype.
    prototypes: BTreeMap<String, Vec<String>>,
}

impl Types {
    /// Those of the kernel itself.
    ///
    /// # Errors
    /// bpftool tells none.
    pub fn of_kernel() -> Result<Self> {
        let types = read(&output("bpftool", &["btf", "dump", "file", KERNEL, "format", "raw"])?, &BTreeMap::new());
        ensure!(!types.functions.is_empty(), "bpftool tells no function of the kernel");
        Ok(types)
    }

    /// Those that a module adds to them.
    ///
    /// # Errors
    /// bpftool tells none.
    pub fn of_module(&self, name: &str) -> Result<Self> {
        let path = format!("/sys/kernel/btf/{name}");
        let text = output("bpftool", &["-B", KERNEL, "btf", "dump", "file", &path, "format", "raw"])?;
        let types = read(&text, &self.prototypes);
        ensure!(!types.functions.is_empty(), "bpftool tells no function of {name}");
        Ok(types)
    }
}

fn read(text: &str, base: &BTreeMap<String, Vec<String>>) -> Types {
    let (mut types, mut prototype_of) = (Types::default(), BTreeMap::new());
    let mut members: Option<&mut Vec<String>> = None;
    for line in text.lines() {
        let name = line.split('\'').nth(1).unwrap_or_default().to_owned();
        let Some((id, rest)) = line.strip_prefix('[').and_then(|line| line.split_once("] ")) else {
            if let Some(members) = &mut members {
                members.push(name);
            }
            continue;
        };
        members = None;
        match rest.split(' ').next() {
            Some("FUNC_PROTO") => members = Some(types.prototypes.entry(id.to_owned()).or_default()),
            Some("ENUM") => members = Some(types.enumerations.entry(name).or_default()),
            Some("STRUCT") => drop(types.structs.insert(name)),
            Some("TYPEDEF") => drop(types.typedefs.insert(name)),
            Some("FUNC") => {
                let prototype = rest.split("type_id=").nth(1).and_then(|rest| rest.split(' ').next());
                prototype_of.entry(name).or_insert_with(|| prototype.unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
    let of_prototype = |id: &String| types.prototypes.get(id).or_else(|| base.get(id)).cloned().unwrap_or_default();
    types.functions = prototype_of.iter().map(|(name, id)| (name.clone(), of_prototype(id))).collect();
    types
}
