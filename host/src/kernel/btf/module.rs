//! The types of loaded modules, where the kernel's own BTF lacks some that a probe names.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::bpf::btf::{Btf, Joining, Kind};
use crate::facts::Input;

/// Where the kernel shows the BTF of each module that is loaded, beside its own.
const FOLDER: &str = "/sys/kernel/btf";

/// The largest BTF of a module that is read, in bytes. Those of graphics drivers have some 500 kB.
const MAX_MODULE: u64 = 64 << 20;

/// The most modules that are taken in.
const MAX_MODULES: usize = 32;
/// The most modules whose names are looked at. Hosts have one or two hundred.
const MAX_ASKED: usize = 1024;

/// The kernel's types with those of some modules.
#[derive(Debug)]
pub struct Joined {
    /// All of them.
    pub btf: Btf,
    /// The modules that types came from, each by the file that shows them.
    pub modules: Vec<PathBuf>,
    /// What these files held, where [`with_modules`] made this: objects that are compiled with these types depend on it.
    pub inputs: Vec<Input>,
    /// How many types there were before those of each module.
    starts: Vec<u32>,
}

/// The kernel's types with those of the loaded modules that define a struct, union or enum of one of these tags; none where
/// no module does.
pub fn with_modules(kernel: &Btf, tags: &BTreeSet<String>) -> Option<Joined> {
    with_modules_in(Path::new(FOLDER), kernel, tags)
}

pub(super) fn with_modules_in(folder: &Path, kernel: &Btf, tags: &BTreeSet<String>) -> Option<Joined> {
    let mut missing = tags.clone();
    let mut joined: Option<Joined> = None;
    for path in modules(folder)? {
        if missing.is_empty() || joined.as_ref().is_some_and(|joined| joined.modules.len() >= MAX_MODULES) {
            break;
        }
        let Some(bytes) = read(&path).filter(|bytes| has_name(bytes, &|name| missing.contains(name))) else { continue };
        let Some((next, before)) = join(kernel, joined.as_ref(), &bytes) else { continue };
        let found = defined(&next, before, &missing);
        if !found.is_empty() {
            missing.retain(|tag| !found.contains(tag));
            add(&mut joined, next, before, Input::new(&path, &bytes));
        }
    }
    joined
}

/// The kernel's types with those of the loaded modules that have a name for which `wanted` holds; none where no module does.
pub fn with_modules_that(kernel: &Btf, wanted: &dyn Fn(&str) -> bool) -> Option<Joined> {
    with_modules_that_in(Path::new(FOLDER), kernel, wanted)
}

pub(super) fn with_modules_that_in(folder: &Path, kernel: &Btf, wanted: &dyn Fn(&str) -> bool) -> Option<Joined> {
    let mut joining: Option<Joining> = None;
    let (mut joined, mut starts) = (Vec::new(), Vec::new());
    for path in modules(folder)?.into_iter().take(MAX_ASKED) {
        let Some(bytes) = read(&path).filter(|bytes| has_name(bytes, wanted)) else { continue };
        let all = joining.get_or_insert_with(|| Joining::new(kernel, kernel));
        let before = all.len();
        // A damaged one is as good as none.
        if all.add(&bytes).is_ok() {
            joined.push(path);
            starts.push(before);
        }
    }
    joining.map(|joining| Joined { btf: joining.finish(), modules: joined, inputs: Vec::new(), starts })
}

impl Joined {
    /// The module that a type comes from; none for one of the kernel itself.
    pub fn module_of(&self, ty: u64) -> Option<&str> {
        let index = self.starts.partition_point(|before| u64::from(*before) < ty).checked_sub(1)?;
        self.modules.get(index)?.file_name()?.to_str()
    }
}

/// The files that show the BTF of modules, sorted by name.
fn modules(folder: &Path) -> Option<Vec<PathBuf>> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| !path.ends_with("vmlinux"));
    paths.sort();
    Some(paths)
}

/// Whether one of the names fits. They stand between NULs.
fn has_name(bytes: &[u8], wanted: &dyn Fn(&str) -> bool) -> bool {
    bytes.split(|byte| *byte == 0).any(|text| !text.is_empty() && std::str::from_utf8(text).is_ok_and(wanted))
}

/// With the types of one more module, and how many there were before. A damaged one is as good as none.
fn join(kernel: &Btf, joined: Option<&Joined>, bytes: &[u8]) -> Option<(Btf, u32)> {
    let all = joined.map_or(kernel, |joined| &joined.btf);
    Some((all.with_module(kernel, bytes).ok()?, all.len()))
}

fn add(joined: &mut Option<Joined>, btf: Btf, before: u32, input: Input) {
    let known = joined.take().map(|joined| (joined.modules, joined.inputs, joined.starts));
    let (mut modules, mut inputs, mut starts) = known.unwrap_or_default();
    modules.push(input.path.clone());
    inputs.push(input);
    starts.push(before);
    *joined = Some(Joined { btf, modules, inputs, starts });
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
