//! The wanted types, copied into a BTF of their own.

use std::collections::{HashMap, HashSet};

use super::{Closure, Flags, Roots, is_anonymous};
use crate::bpf::btf::{Kind, NameOffset, Type, TypeId, Writer};

/// What is appended to a kernel name that the probe declares with another meaning. CO-RE ignores what follows three
/// underscores (libbpf, `bpf_core_essential_name_len`).
const RENAMED: &str = "___kernel";

/// The small BTF.
pub(super) struct Small {
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
    /// Number of types.
    pub(super) count: u32,
    /// Structs and unions that are defined.
    pub(super) records: usize,
    /// Declarations of those that are only pointed to.
    pub(super) declarations: String,
    /// What is defined or declared elsewhere.
    pub(super) hidden: Vec<TypeId>,
    /// What is to be printed, in this order, with what it needs.
    pub(super) shown: Vec<TypeId>,
}

/// What stands in the small BTF for a type that is only declared.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Declaration {
    name: NameOffset,
    union: bool,
}

/// The numbers of types in the small BTF. They are given before anything is written, because types refer to later ones.
/// The order is that of the fields.
#[derive(Default)]
struct Numbers {
    count: u32,
    /// Enums whose enumerators are declared by an enum without a tag.
    enums: Vec<(TypeId, TypeId)>,
    /// Types that are copied.
    written: Vec<TypeId>,
    /// Structs and unions that are only declared.
    declared: Vec<TypeId>,
    /// Structs and unions with a tag that are members without a name (Microsoft's extension to C, in kernels since
    /// Linux 6.19): standard C has that for those without a tag only, so each has a twin without one.
    twins: Vec<TypeId>,
    twin_of: HashMap<TypeId, TypeId>,
    /// For each type of the kernel, what it is in the small BTF.
    of: HashMap<TypeId, TypeId>,
}

impl Numbers {
    fn give(closure: &Closure<'_>, roots: &Roots) -> Self {
        let btf = closure.btf;
        let mut numbers = Self::default();
        for id in &roots.enums {
            let number = numbers.next();
            numbers.enums.push((*id, number));
        }
        let mut whole: HashMap<Declaration, TypeId> = HashMap::new();
        for id in &closure.order {
            let found = btf.get(*id);
            let whole_record = found.kind().is_record() && closure.is_whole(found);
            if !whole_record && is_declarable(found.kind()) || found.kind() == Kind::TypeTag {
                continue;
            }
            let number = numbers.next();
            numbers.of.insert(*id, number);
            numbers.written.push(*id);
            if whole_record && !is_anonymous(found) {
                whole.entry(declaration(found)).or_insert(number);
            }
        }
        for id in &closure.order {
            let found = btf.get(*id);
            if numbers.of.contains_key(id) || !is_declarable(found.kind()) {
                continue;
            }
            let number = *whole.entry(declaration(found)).or_insert_with(|| {
                numbers.declared.push(*id);
                numbers.next()
            });
            numbers.of.insert(*id, number);
        }
        numbers.give_twins(closure);
        // A type tag (`__user`, `__rcu`) says nothing to the compiler here: what it tags stands in its place.
        for id in &closure.order {
            let mut target = *id;
            for _ in 0..MAX_TAGS {
                if btf.get(target).kind() != Kind::TypeTag {
                    break;
                }
                target = btf.get(target).target();
            }
            if let (true, Some(number)) = (target != *id, numbers.of.get(&target).copied()) {
                numbers.of.insert(*id, number);
            }
        }
        numbers
    }

    fn give_twins(&mut self, closure: &Closure<'_>) {
        let mut work: Vec<TypeId> = self.written.clone();
        while let Some(id) = work.pop() {
            let found = closure.btf.get(id);
            if closure.is_registers(found) {
                continue;
            }
            for member in found.members().filter(|member| member.name == NameOffset(0)) {
                let inner = closure.btf.get(member.id);
                if inner.kind().is_record() && !is_anonymous(inner) && !self.twin_of.contains_key(&member.id) {
                    let number = self.next();
                    self.twin_of.insert(member.id, number);
                    self.twins.push(member.id);
                    work.push(member.id);
                }
            }
        }
    }

    fn next(&mut self) -> TypeId {
        self.count += 1;
        TypeId(self.count)
    }
}

/// How many type tags are looked through in a row; one is usual.
const MAX_TAGS: u32 = 16;

impl Small {
    pub(super) fn build(closure: &Closure<'_>, roots: &Roots) -> Self {
        let btf = closure.btf;
        let numbers = Numbers::give(closure, roots);
        let names = unique_names(closure, roots, &numbers);
        let mut copy = Copy { closure, writer: Writer::new(), numbers: &numbers, names };
        for (id, _) in &numbers.enums {
            copy.enumerators_only(btf.get(*id));
        }
        for id in &numbers.written {
            copy.whole(btf.get(*id));
        }
        let mut declarations = String::new();
        for id in &numbers.declared {
            let found = btf.get(*id);
            let (name, union) = (copy.name_of(found, 0), declaration(found).union);
            copy.writer.plain(&name, Kind::Forward, union, 0);
            let keyword = if union { "union" } else { "struct" };
            declarations.push_str(&format!("{keyword} {};\n", Writer::clean(&name)));
        }
        for id in &numbers.twins {
            copy.record(btf.get(*id), "");
        }
        let bytes = copy.writer.finish();

        let number_of = |id: &TypeId| numbers.of.get(id).copied();
        let records: Vec<&TypeId> = numbers.written.iter().filter(|id| btf.get(**id).kind().is_record()).collect();
        let (registers, records): (Vec<&TypeId>, Vec<&TypeId>) =
            records.into_iter().partition(|id| closure.is_registers(btf.get(**id)));
        let named = records.iter().copied().filter(|id| !is_anonymous(btf.get(**id)));
        let hidden = registers.into_iter().chain(&numbers.declared).filter_map(number_of).collect();
        let roots = roots.types.iter().chain(named).filter_map(number_of);
        let shown = numbers.enums.iter().map(|(_, number)| *number).chain(roots).collect();
        Self { bytes, count: numbers.count, records: records.len(), declarations, hidden, shown }
    }
}

/// Whether a declaration can stand for a type.
fn is_declarable(kind: Kind) -> bool {
    kind.is_record() || kind == Kind::Forward
}

fn declaration(found: Type<'_>) -> Declaration {
    let union = found.kind() == Kind::Union || (found.kind() == Kind::Forward && found.flag());
    Declaration { name: found.name_offset(), union }
}

/// New names for types whose own name belongs to another type: the kernel has types of one name in different files, and
/// the name is that of the root. What is only declared shares the name of a definition of its kind.
fn unique_names(closure: &Closure<'_>, roots: &Roots, numbers: &Numbers) -> HashMap<TypeId, String> {
    let mut taken: HashMap<(NameOffset, bool), u32> = HashMap::new();
    let mut names = HashMap::new();
    let mut done: HashSet<TypeId> = HashSet::new();
    for id in roots.types.iter().chain(&numbers.written).chain(&numbers.declared) {
        let found = closure.btf.get(*id);
        let is_tag = is_declarable(found.kind()) || matches!(found.kind(), Kind::Enum | Kind::Enum64);
        if is_anonymous(found) || !(is_tag || found.kind() == Kind::Typedef) || !done.insert(*id) {
            continue;
        }
        let count = taken.entry((found.name_offset(), is_tag)).or_insert(0);
        *count += 1;
        if *count > 1 {
            names.insert(*id, format!("{}___{count}", found.name()));
        }
    }
    names
}

/// Copies types into the small BTF.
struct Copy<'a> {
    closure: &'a Closure<'a>,
    writer: Writer,
    numbers: &'a Numbers,
    /// Names of types whose own name is another's.
    names: HashMap<TypeId, String>,
}

impl Copy<'_> {
    fn number(&self, id: TypeId) -> TypeId {
        self.numbers.of.get(&id).copied().unwrap_or(TypeId::VOID)
    }

    fn text(&self, name: NameOffset) -> String {
        String::from_utf8_lossy(self.closure.btf.string(name)).into_owned()
    }

    /// The name of a type, or another one where it is another's or the probe's.
    fn name_of(&self, found: Type<'_>, declared: u8) -> String {
        match self.names.get(&found.id()) {
            Some(name) => name.clone(),
            None => self.free_name(found.name_offset(), declared),
        }
    }

    /// A name that the probe does not declare itself.
    fn free_name(&self, name: NameOffset, declared: u8) -> String {
        let text = self.text(name);
        if self.closure.flags.has(name, declared) { text + RENAMED } else { text }
    }

    fn whole(&mut self, found: Type<'_>) {
        let kind = found.kind();
        match kind {
            // What the registers are does not matter, because they are not printed; their size does.
            Kind::Struct if self.closure.is_registers(found) => {
                self.writer.record("pt_regs", kind, false, found.size(), &[]);
            }
            Kind::Struct | Kind::Union => {
                let name = self.name_of(found, Flags::DECLARED_TAG);
                self.record(found, &name);
            }
            Kind::Enum | Kind::Enum64 => {
                let name = self.name_of(found, Flags::DECLARED_TAG);
                let values = self.enumerators(found, |_| true);
                self.writer.enumeration(&name, kind, found.flag(), found.size(), &values);
            }
            Kind::Array => {
                if let Some(mut array) = found.array() {
                    (array.element, array.index) = (self.number(array.element), self.number(array.index));
                    self.writer.array(array);
                }
            }
            Kind::Prototype => {
                let parameters: Vec<(String, TypeId)> =
                    found.parameters().map(|(_, id)| (String::new(), self.number(id))).collect();
                let returns = self.number(found.target());
                self.writer.prototype(returns, &parameters);
            }
            Kind::Int => {
                let int = found.int();
                let encoding = int.map_or(0, |int| {
                    let bits = [(int.signed, 1), (int.char, 2), (int.bool, 4)];
                    let encoding: u32 = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
                    encoding << 24 | int.bit_offset << 16 | int.bits
                });
                self.writer.int(&found.name(), found.size(), encoding);
            }
            Kind::Float => {
                self.writer.plain(&found.name(), kind, false, found.size());
            }
            Kind::Typedef => {
                let name = self.name_of(found, Flags::DECLARED);
                let target = self.number(found.target());
                self.writer.plain(&name, kind, false, target.0);
            }
            _ => {
                let target = self.number(found.target());
                self.writer.plain("", kind, false, target.0);
            }
        }
    }

    fn record(&mut self, found: Type<'_>, name: &str) {
        let members: Vec<(String, TypeId, u32)> = found
            .members()
            .map(|member| {
                let width = if found.flag() { member.bit_width << 24 } else { 0 };
                let twin = self.numbers.twin_of.get(&member.id).filter(|_| member.name == NameOffset(0));
                let number = twin.copied().unwrap_or_else(|| self.number(member.id));
                (self.text(member.name), number, width | member.bit_offset)
            })
            .collect();
        self.writer.record(name, found.kind(), found.flag(), found.size(), &members);
    }

    /// An enum without a tag, for its enumerators.
    fn enumerators_only(&mut self, found: Type<'_>) {
        let anonymous = is_anonymous(found);
        let flags = &self.closure.flags;
        let values = self.enumerators(found, |name| anonymous || flags.has(name, Flags::ORDINARY));
        self.writer.enumeration("", found.kind(), found.flag(), found.size(), &values);
    }

    fn enumerators(&self, found: Type<'_>, wanted: impl Fn(NameOffset) -> bool) -> Vec<(String, u64)> {
        found
            .enumerators()
            .filter(|(name, _)| wanted(*name))
            .map(|(name, value)| {
                let low = value & i128::from(u64::MAX);
                (self.free_name(name, Flags::DECLARED), u64::try_from(low).unwrap_or_default())
            })
            .collect()
    }
}
