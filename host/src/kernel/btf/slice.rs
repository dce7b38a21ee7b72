//! The slice of the kernel's types that a probe needs, as C.
//!
//! The wanted types are copied into a small BTF of their own, where types that are only pointed to become forward
//! declarations and names that the probe takes for itself are changed; libbpf's `btf_dump` prints that. So libbpf never
//! walks the kernel's 100,000 types, and its recursion is over types whose depth was checked here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Names;
use crate::bpf::btf::{Btf, DumpError, Kind, NameOffset, Type, TypeId, dump_c};

mod flags;
mod small;

use flags::Flags;
use small::Small;

/// C declarations of kernel types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The declarations. They compile on their own but for `struct pt_regs`, which must be defined before where it is
    /// held by value, and have no macros. They must stand before macros that have the name of a field.
    pub text: String,
    /// How many types were taken; those that are only declared included.
    pub types: u32,
    /// The tags that the names have and the kernel does not: of types of a module, of another kernel, or mistaken.
    pub missing: BTreeSet<String>,
}

/// Why there is no slice.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SliceError {
    /// The types hold one another too deep or in a circle.
    #[error("the kernel's BTF is damaged: type {id} (`{name}`) is nested more than {MAX_DEPTH} deep or holds itself")]
    Depth {
        /// Number of the type.
        id: u32,
        /// Its name.
        name: String,
    },
    /// More types than a probe can mean.
    #[error("the probe reaches more than {MAX_TYPES} kernel types; name fewer of them")]
    TooMany,
    /// libbpf could not print them.
    #[error("cannot print the kernel's types as C: {0}")]
    Dump(#[from] DumpError),
}

/// Deepest nesting of types; the kernel's own is below 40.
const MAX_DEPTH: u32 = 256;
/// Most types in a slice; all of a kernel's have about 120,000, the largest slices of BCC's tools some thousands.
const MAX_TYPES: usize = 60_000;

/// The C text of the types that `names` ask for: structs, unions and enums by tag, typedefs and enumerators by name,
/// everything that they hold by value, and what a pointer member of one of these points to where `names` has the
/// member's name.
///
/// # Errors
/// When the BTF is damaged, or the names reach too many types.
pub fn slice(btf: &Btf, names: &Names) -> Result<Slice, SliceError> {
    let mut closure = Closure { btf, flags: Flags::new(btf, names), seen: HashMap::new(), order: Vec::new() };
    let roots = Roots::find(btf, &closure.flags);
    for id in roots.types.iter().copied() {
        closure.visit(id)?;
    }
    closure.check_depth()?;
    let small = Small::build(&closure, &roots);
    let types = small.count;
    let text = dump_c(&small.bytes, &small.hidden, &small.shown)?;
    // Declarations stand before the region of the attribute, because a struct that the probe defines later would take it
    // over from its declaration. And clang warns of a region in which there is nothing to apply an attribute to.
    let Small { declarations, .. } = small;
    let text = match small.records {
        0 => format!("{declarations}\n{text}"),
        _ => format!(
            "{declarations}\n\
             #pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)\n\n\
             {text}#pragma clang attribute pop\n"
        ),
    };
    let mut missing: BTreeSet<String> = names.tags.difference(&names.declared_tags).cloned().collect();
    missing.retain(|tag| !roots.tags.contains(tag.as_bytes()));
    Ok(Slice { text, types, missing })
}

/// The types that the names mean.
#[derive(Default)]
struct Roots {
    /// What is copied with all that it needs: enums of wanted enumerators first, then in the order of the BTF.
    types: Vec<TypeId>,
    /// Enums whose enumerators are wanted and which cannot be declared by tag: with the enumerators to declare, none
    /// for all of them.
    enums: Vec<TypeId>,
    /// The tags that were found.
    tags: BTreeSet<Vec<u8>>,
}

impl Roots {
    fn find(btf: &Btf, flags: &Flags) -> Self {
        // The kernel may have several types of one name, of different files; the first is the one of its core.
        let mut tags: BTreeMap<NameOffset, (TypeId, bool)> = BTreeMap::new();
        let mut typedefs: BTreeMap<NameOffset, TypeId> = BTreeMap::new();
        let mut enumerators: BTreeMap<NameOffset, TypeId> = BTreeMap::new();
        for found in btf.types() {
            let name = found.name_offset();
            let kind = found.kind();
            match kind {
                Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64
                    if flags.has(name, Flags::TAG) && !flags.has(name, Flags::DECLARED_TAG | Flags::REGISTERS) =>
                {
                    let full = found.count() > 0;
                    let entry = tags.entry(name).or_insert((found.id(), full));
                    if !entry.1 && full {
                        *entry = (found.id(), true);
                    }
                }
                Kind::Typedef if flags.has(name, Flags::ORDINARY) && !flags.has(name, Flags::DECLARED) => {
                    typedefs.entry(name).or_insert(found.id());
                }
                _ => {}
            }
            if matches!(kind, Kind::Enum | Kind::Enum64) {
                for (name, _) in found.enumerators() {
                    if flags.has(name, Flags::ORDINARY) && !flags.has(name, Flags::DECLARED) {
                        enumerators.entry(name).or_insert(found.id());
                    }
                }
            }
        }
        let mut roots = Self::default();
        let mut enums: Vec<TypeId> = enumerators.into_values().collect();
        enums.sort_unstable();
        enums.dedup();
        for id in enums {
            let name = btf.get(id).name_offset();
            let own_tag = name != NameOffset(0) && !flags.has(name, Flags::DECLARED_TAG);
            if own_tag { roots.types.push(id) } else { roots.enums.push(id) }
        }
        roots.tags = tags.keys().map(|name| btf.string(*name).to_vec()).collect();
        let mut others: Vec<TypeId> = tags.into_values().map(|(id, _)| id).chain(typedefs.into_values()).collect();
        others.sort_unstable();
        others.dedup();
        roots.types.extend(others);
        roots
    }
}

/// All types that the roots need.
struct Closure<'a> {
    btf: &'a Btf,
    flags: Flags,
    /// How each type is needed.
    seen: HashMap<TypeId, Need>,
    /// The same types in the order in which they were met.
    order: Vec<TypeId>,
}

/// How a type is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Need {
    /// With its definition; else a declaration will do.
    whole: bool,
    /// What it points to is needed with its definition.
    follow: bool,
}

impl Need {
    const DECLARED: Self = Self { whole: false, follow: false };
    const WHOLE: Self = Self { whole: true, follow: false };

    fn covers(self, other: Self) -> bool {
        self.whole >= other.whole && self.follow >= other.follow
    }
}

impl Closure<'_> {
    fn visit(&mut self, root: TypeId) -> Result<(), SliceError> {
        let mut work = vec![(root, Need::WHOLE)];
        while let Some((id, need)) = work.pop() {
            let found = self.btf.get(id);
            if matches!(found.kind(), Kind::Void | Kind::Function | Kind::Variable | Kind::DataSection | Kind::DeclTag)
            {
                continue; // `void`; nothing sound refers to the others
            }
            match self.seen.get_mut(&id) {
                Some(known) if known.covers(need) => continue,
                Some(known) => *known = Need { whole: known.whole | need.whole, follow: known.follow | need.follow },
                None => {
                    if self.order.len() >= MAX_TYPES {
                        return Err(SliceError::TooMany);
                    }
                    self.seen.insert(id, need);
                    self.order.push(id);
                }
            }
            self.needs_of(found, need, |id, need| work.push((id, need)));
        }
        Ok(())
    }

    /// Calls `push` for each type that `found` needs where it is needed itself as `need`.
    fn needs_of(&self, found: Type<'_>, need: Need, mut push: impl FnMut(TypeId, Need)) {
        match found.kind() {
            kind if kind == Kind::Typedef || kind.is_modifier() => push(found.target(), need),
            Kind::Pointer => {
                // A struct that the probe defines itself is declared, and the probe completes it.
                let name = self.btf.underlying(found.target()).name_offset();
                let follow = need.follow && !self.flags.has(name, Flags::DECLARED_TAG | Flags::REGISTERS);
                push(found.target(), Need { whole: follow, follow });
            }
            Kind::Array => {
                if let Some(array) = found.array() {
                    // C wants the elements of an array complete even where the array is pointed to.
                    push(array.element, Need { whole: true, follow: need.follow });
                    push(array.index, Need::DECLARED);
                }
            }
            Kind::Struct | Kind::Union if self.is_registers(found) => {}
            Kind::Struct | Kind::Union if need.whole || is_anonymous(found) => {
                for member in found.members() {
                    push(member.id, Need { whole: true, follow: self.flags.has(member.name, Flags::MEMBER) });
                }
            }
            Kind::Prototype => {
                push(found.target(), Need::DECLARED);
                for (_, id) in found.parameters() {
                    push(id, Need::DECLARED);
                }
            }
            _ => {}
        }
    }

    fn is_registers(&self, found: Type<'_>) -> bool {
        found.kind() == Kind::Struct && self.flags.has(found.name_offset(), Flags::REGISTERS)
    }

    fn is_whole(&self, found: Type<'_>) -> bool {
        is_anonymous(found) || self.seen.get(&found.id()).is_some_and(|need| need.whole)
    }

    /// Refuses types that would make libbpf recurse without a bound.
    fn check_depth(&self) -> Result<(), SliceError> {
        let mut heights = HashMap::new();
        for id in &self.order {
            self.height(*id, false, 0, &mut heights)?;
        }
        Ok(())
    }

    /// How deep libbpf recurses from a type, which it reaches through a pointer or not: a named struct or union behind
    /// a pointer is where it stops.
    fn height(
        &self,
        id: TypeId,
        through: bool,
        depth: u32,
        heights: &mut HashMap<(TypeId, bool), u32>,
    ) -> Result<u32, SliceError> {
        if id == TypeId::VOID {
            return Ok(0);
        }
        if let Some(height) = heights.get(&(id, through)) {
            return Ok(*height);
        }
        let found = self.btf.get(id);
        let too_deep = || SliceError::Depth { id: id.0, name: found.name().into_owned() };
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        let mut height = 0;
        if !found.kind().is_record() || is_anonymous(found) || (!through && self.is_whole(found)) {
            let mut children = Vec::new();
            self.needs_of(found, Need::WHOLE, |id, _| children.push(id));
            let through = match found.kind() {
                Kind::Pointer => true,
                Kind::Array | Kind::Struct | Kind::Union => false,
                _ => through,
            };
            for child in children {
                height = height.max(self.height(child, through, depth + 1, heights)? + 1);
            }
        }
        if height > MAX_DEPTH {
            return Err(too_deep());
        }
        heights.insert((id, through), height);
        Ok(height)
    }
}

fn is_anonymous(found: Type<'_>) -> bool {
    found.name_offset() == NameOffset(0)
}
