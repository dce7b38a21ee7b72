//! Whether what a program reads of the kernel's types has the size there that it was compiled for.
//!
//! CO-RE moves the offset of a field to the running kernel's. How many bytes are read stays as it was compiled: a field that
//! has another size now, or a struct that is copied as a whole and looks otherwise, would be read wrong without a word.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::bpf::btf::{Btf, Kind, NameOffset, Type, TypeId};
use crate::elf::{self, Relocation, RelocationKind};

/// How deeply members are looked into.
const MAX_DEPTH: u32 = 16;

/// The most steps of a way to a field.
const MAX_STEPS: usize = 64;

/// What may be looked at for one object: far more than a probe takes, and a moment's work.
const BUDGET: u64 = 20_000_000;

/// A field that does not fit, in words; each once. What this kernel does not have at all is for libbpf to say.
pub(super) fn misfits(object: &[u8], kernel: &Btf, copied: &[String]) -> Result<Vec<String>, elf::ElfError> {
    let (btf, relocations) = elf::relocations(object)?;
    let compare = Compare { built: &btf, kernel, left: Cell::new(BUDGET) };
    let of_size: BTreeSet<(TypeId, &str)> = relocations
        .iter()
        .filter(|one| one.kind == RelocationKind::Size)
        .map(|one| (one.root, one.access.as_str()))
        .collect();
    // A load takes its size from the relocation, and where the size is relocated too the program cares for itself.
    let fixed = |one: &&Relocation| {
        one.kind == RelocationKind::Offset && !one.is_load && !of_size.contains(&(one.root, one.access.as_str()))
    };
    let ways: BTreeSet<(TypeId, &str)> =
        relocations.iter().filter(fixed).map(|one| (one.root, one.access.as_str())).collect();
    let ways: Vec<Way> = ways.into_iter().filter_map(|(root, access)| compare.way(root, access)).collect();
    let names = ways.iter().map(|way| way.root.as_str()).chain(copied.iter().map(String::as_str));
    let names: BTreeSet<&str> = names.collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let known = records(kernel, &names);
    let candidates = |root: &str| known.get(root).map(Vec::as_slice).unwrap_or_default();

    let mut found = Vec::new();
    for way in &ways {
        let fields: Vec<TypeId> = candidates(&way.root).iter().filter_map(|id| compare.follow(way, *id)).collect();
        let fits = |id: &TypeId| compare.difference(way.field, *id, 0).is_none();
        if let Some(first) = fields.first().filter(|_| !fields.iter().any(fits)) {
            let why = compare.difference(way.field, *first, 0).unwrap_or_default();
            found.push(format!("`{}` is not as it was where the probe was built: {why}", way.text()));
        }
    }
    let own = records(&btf, &copied.iter().map(String::as_str).collect());
    for name in copied {
        let Some(built) = own.get(name.as_str()).and_then(|ids| ids.first()) else { continue };
        let here = candidates(name);
        let fits = |id: &TypeId| compare.difference(*built, *id, 0).is_none();
        if let Some(first) = here.first().filter(|_| !here.iter().any(fits)) {
            let why = compare.difference(*built, *first, 0).unwrap_or_default();
            found.push(format!("`struct {name}` is not as it was where the probe was built: {why}"));
        }
    }
    if compare.left.get() == 0 {
        found.push("it reads more of the kernel's types than can be compared".to_owned());
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// A step on the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element,
}

/// The way to a field.
#[derive(Debug)]
struct Way {
    /// Tag of the struct or union that it starts at, without what CO-RE ignores (`___new`).
    root: String,
    steps: Vec<Step>,
    /// The field's type in the object.
    field: TypeId,
}

/// The types of the object and of the kernel, side by side.
struct Compare<'b> {
    built: &'b Btf,
    kernel: &'b Btf,
    left: Cell<u64>,
}

impl Compare<'_> {
    /// Whether that much more may be looked at.
    fn pay(&self, cost: usize) -> bool {
        self.left.set(self.left.get().saturating_sub(u64::try_from(cost).unwrap_or(u64::MAX)));
        self.left.get() > 0
    }

    /// Reads a way through the object's types. None for what does not start at a struct, and for bit fields, which are read
    /// by relocations of their own.
    fn way(&self, root: TypeId, access: &str) -> Option<Way> {
        let btf = self.built;
        let start = btf.underlying(root);
        let tag = start.name();
        let name = tag.split("___").next().filter(|name| !name.is_empty() && start.kind().is_record())?.to_owned();
        let mut at = start;
        let mut steps = Vec::new();
        // The first number counts whole structs behind the pointer.
        for number in access.split(':').skip(1).take(MAX_STEPS) {
            let index = number.parse::<usize>().ok().filter(|index| self.pay(index.saturating_add(1)))?;
            if at.kind().is_record() {
                let member = at.members().nth(index).filter(|member| member.bit_width == 0)?;
                let name = String::from_utf8_lossy(btf.string(member.name)).into_owned();
                steps.extend((!name.is_empty()).then_some(Step::Member(name)));
                at = btf.underlying(member.id);
            } else {
                steps.push(Step::Element);
                at = btf.underlying(at.array()?.element);
            }
        }
        Some(Way { root: name, steps, field: at.id() })
    }

    /// The field's type on the same way through other types; none where it is not there, or is a bit field now.
    fn follow(&self, way: &Way, root: TypeId) -> Option<TypeId> {
        let btf = self.kernel;
        let mut at = btf.underlying(root);
        for step in &way.steps {
            at = match step {
                Step::Member(name) => btf.underlying(member(btf, at, name, 0)?.0),
                Step::Element => btf.underlying(at.array()?.element),
            };
        }
        Some(at.id())
    }

    /// How a type that was compiled differs from the kernel's in what a copy of it means; none where it does not.
    fn difference(&self, own: TypeId, theirs: TypeId, depth: u32) -> Option<String> {
        let (built, kernel) = (self.built, self.kernel);
        let (own, theirs) = (built.underlying(own), kernel.underlying(theirs));
        let size = |btf: &Btf, of: Type<'_>| btf.size_of(of.id());
        let (before, now) = (size(built, own), size(kernel, theirs));
        let of_size = || {
            let bytes = |size: Option<u64>| size.map_or_else(|| "no size".to_owned(), |size| format!("{size} bytes"));
            Some(format!("it has {} here, and had {}", bytes(now), bytes(before)))
        };
        if own.kind() == Kind::Array && theirs.kind() == Kind::Array {
            // The start of a longer array is what was asked for.
            let (first, second) = (own.array()?, theirs.array()?);
            let shorter = now < before && second.length != 0;
            return if shorter || depth > MAX_DEPTH {
                of_size().filter(|_| shorter)
            } else {
                self.difference(first.element, second.element, depth + 1)
            };
        }
        if before.is_none() || now.is_none() {
            return None;
        }
        if before != now || own.kind().is_record() != theirs.kind().is_record() {
            return of_size();
        }
        if !own.kind().is_record()
            || depth > MAX_DEPTH
            || !self.pay(usize::try_from(theirs.count()).unwrap_or(usize::MAX))
        {
            return None;
        }
        own.members().filter(|field| field.name != NameOffset(0)).find_map(|field| {
            let name = String::from_utf8_lossy(built.string(field.name)).into_owned();
            let Some((id, offset)) = member(kernel, theirs, &name, 0) else {
                return Some(format!("it has no `{name}` here"));
            };
            if offset != field.bit_offset {
                return Some(format!("its `{name}` is at another place"));
            }
            self.difference(field.id, id, depth + 1).map(|why| format!("in its `{name}`, {why}"))
        })
    }
}

impl Way {
    fn text(&self) -> String {
        self.steps.iter().fold(format!("struct {}", self.root), |text, step| match step {
            Step::Member(name) => text + "." + name,
            Step::Element => text + "[]",
        })
    }
}

/// The type of a member and its offset in bits, looked for in anonymous members too.
fn member(btf: &Btf, record: Type<'_>, name: &str, depth: u32) -> Option<(TypeId, u32)> {
    if depth > MAX_DEPTH {
        return None;
    }
    record.members().find_map(|member| {
        if member.name == NameOffset(0) {
            let inner = btf.underlying(member.id);
            let (id, offset) = self::member(btf, inner, name, depth + 1)?;
            return Some((id, member.bit_offset.checked_add(offset)?));
        }
        (btf.string(member.name) == name.as_bytes()).then_some((member.id, member.bit_offset))
    })
}

/// The structs and unions of those names.
fn records(btf: &Btf, names: &BTreeSet<&str>) -> BTreeMap<String, Vec<TypeId>> {
    let offsets: BTreeMap<NameOffset, &str> = btf
        .strings()
        .filter_map(|(offset, text)| Some((offset, *names.get(std::str::from_utf8(text).ok()?)?)))
        .collect();
    let mut found: BTreeMap<String, Vec<TypeId>> = BTreeMap::new();
    for one in btf.types().filter(|one| one.kind().is_record()) {
        if let Some(name) = offsets.get(&one.name_offset()) {
            found.entry((*name).to_owned()).or_default().push(one.id());
        }
    }
    found
}
