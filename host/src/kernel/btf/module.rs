//! The types of loaded modules, where the kernel's own BTF lacks some that a probe names.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::Path;

use crate::bpf::btf::{Btf, Kind};
use crate::facts::Input;

/// Where the kernel shows the BTF of each module that is loaded, beside its own.
const FOLDER: &str = "/sys/kernel/btf";

/// The largest BTF of a module that is read, in bytes. Those of graphics drivers have some 500 kB.
const MAX_MODULE: u64 = 64 << 20;

/// The most modules that are taken in.
const MAX_MODULES: usize = 32;

/// The kernel's types with those of some modules.
#[derive(Debug)]
pub struct Joined {
    /// All of them.
    pub btf: Btf,
    /// The modules that types came from, each as the file that shows them.
    pub modules: Vec<Input>,
}

/// The kernel's types with those of the loaded modules that define a struct, union or enum of one of these tags; none where
/// no module does.
pub fn with_modules(kernel: &Btf, tags: &BTreeSet<String>) -> Option<Joined> {
    with_modules_in(Path::new(FOLDER), kernel, tags)
}

pub(super) fn with_modules_in(folder: &Path, kernel: &Btf, tags: &BTreeSet<String>) -> Option<Joined> {
    let mut missing = tags.clone();
    let mut joined: Option<Btf> = None;
    let mut modules = Vec::new();
    let mut names: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    for path in names.iter().filter(|path| !path.ends_with("vmlinux")) {
        if missing.is_empty() || modules.len() >= MAX_MODULES {
            break;
        }
        let Some(bytes) = read(path) else { continue };
        // Its names stand between NULs.
        if !bytes.split(|byte| *byte == 0).any(|text| std::str::from_utf8(text).is_ok_and(|tag| missing.contains(tag)))
        {
            continue;
        }
        // A damaged one is as good as none.
        let Ok(next) = joined.as_ref().unwrap_or(kernel).with_module(kernel, &bytes) else { continue };
        let found = defined(&next, joined.as_ref().map_or(kernel.len(), Btf::len), &missing);
        if !found.is_empty() {
            missing.retain(|tag| !found.contains(tag));
            joined = Some(next);
            modules.push(Input::new(path, &bytes));
        }
    }
    joined.map(|btf| Joined { btf, modules })
}

/// Those of the tags that the types behind the first `count` define.
fn defined(btf: &Btf, count: u32, tags: &BTreeSet<String>) -> BTreeSet<String> {
    let records = btf.types().filter(|found| found.id().0 > count && found.count() > 0);
    let records =
        records.filter(|found| matches!(found.kind(), Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64));
    records.map(|found| found.name().into_owned()).filter(|name| tags.contains(name)).collect()
}

/// The BTF of a module; none where it cannot be read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_MODULE).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
