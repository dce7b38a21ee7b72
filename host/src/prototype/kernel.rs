//! Functions of the kernel, its tracepoints as calls, hooks of its security modules and its iterators, by its types (BTF).

use std::collections::HashMap;

use crate::bpf::btf::{Btf, Kind, Member, NameOffset, Type, TypeId};

use super::spelling::{class, declare};
use super::{Argument, Class, KnownFrom, Owner, Prototype, Where};

/// Types by name. The kernel's names are no attack, and there are a hundred thousand of them to look up.
type ByName<'btf> = HashMap<&'btf [u8], TypeId, foldhash::fast::RandomState>;

/// The prototypes of all that the kernel's types describe: found once, in one pass over the types, and taken apart when asked
/// for.
#[derive(Debug)]
pub struct KernelPrototypes<'btf> {
    btf: &'btf Btf,
    functions: ByName<'btf>,
    /// The typedefs `btf_trace_NAME`, by NAME.
    tracepoints: ByName<'btf>,
    /// The structs `bpf_iter__KIND`, by KIND.
    iterators: ByName<'btf>,
    /// The union that has a member for each hook of the security modules (include/linux/lsm_hooks.h).
    hooks: TypeId,
}

/// What that union is called.
const HOOKS: &[u8] = b"security_list_options";

impl<'btf> KernelPrototypes<'btf> {
    /// Finds what there is.
    pub fn new(btf: &'btf Btf) -> Self {
        let (mut functions, mut tracepoints, mut iterators) = (ByName::default(), ByName::default(), ByName::default());
        let mut hooks = TypeId::VOID;
        for found in btf.types() {
            let (into, start): (&mut ByName<'_>, &[u8]) = match found.kind() {
                Kind::Function => (&mut functions, b""),
                Kind::Typedef => (&mut tracepoints, b"btf_trace_"),
                Kind::Struct => (&mut iterators, b"bpf_iter__"),
                Kind::Union if hooks == TypeId::VOID && found.name_bytes() == HOOKS => {
                    hooks = found.id();
                    continue;
                }
                _ => continue,
            };
            // Of several functions of one name the first counts, as for fentry.
            if let Some(name) = found.name_bytes().strip_prefix(start) {
                into.entry(name).or_insert(found.id());
            }
        }
        // Some structs of that name only describe parts of one.
        iterators.retain(|kind, _| functions.contains_key(joined(b"bpf_iter_", kind).as_slice()));
        Self { btf, functions, tracepoints, iterators, hooks }
    }

    /// The names of all functions, in no order.
    pub fn functions(&self) -> impl Iterator<Item = &'btf [u8]> + '_ {
        self.functions.keys().copied()
    }

    /// The names of all tracepoints that programs can be attached to as raw_tracepoint and tp_btf, in no order.
    pub fn tracepoints(&self) -> impl Iterator<Item = &'btf [u8]> + '_ {
        self.tracepoints.keys().copied()
    }

    /// The names of all iterators, in no order.
    pub fn iterators(&self) -> impl Iterator<Item = &'btf [u8]> + '_ {
        self.iterators.keys().copied()
    }

    /// The names of all hooks of the security modules that programs can be attached to, in no order: `bpf_lsm_HOOK` is the function
    /// that takes them. Others of such names (`bpf_lsm_func_proto`) only help them (kernel/bpf/bpf_lsm.c).
    pub fn hooks(&self) -> impl Iterator<Item = &'btf [u8]> + '_ {
        let members = self.btf.get(self.hooks).members();
        let names = members.map(|member| self.btf.string(member.name));
        names.filter(|name| self.functions.contains_key(joined(b"bpf_lsm_", name).as_slice()))
    }

    /// Whether there is a function of that name.
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.contains_key(name.as_bytes())
    }

    /// Why fentry and fexit do not trace the function of that name (kernel/bpf/btf.c, btf_distill_func_proto), where the kernel
    /// hands over what is in so many registers. None where nothing is known against it.
    pub fn untraceable(&self, name: &str, registers: usize) -> Option<String> {
        let function = self.btf.get(*self.functions.get(name.as_bytes())?);
        let prototype = self.btf.get(function.target());
        let class_of = |id: TypeId| class(self.btf, id, Owner::Either);
        if matches!(class_of(prototype.target()), Class::Aggregate(_)) {
            return Some("not traced: it returns a struct".to_owned());
        }
        let mut taken = 0;
        for (_, id) in prototype.parameters() {
            match class_of(id) {
                // `...` is a last parameter of no type.
                Class::Void => return Some("not traced: the number of its arguments is not fixed".to_owned()),
                Class::Aggregate(Some(17..)) => return Some("not traced: it takes a large struct by value".to_owned()),
                class => taken += class.registers(),
            }
        }
        (taken > registers).then(|| format!("not traced: {taken} arguments, of at most {registers}"))
    }

    /// The function of that name.
    pub fn function(&self, name: &str) -> Option<Prototype> {
        let function = self.btf.get(*self.functions.get(name.as_bytes())?);
        Some(self.of_call(self.btf.get(function.target()), 0))
    }

    /// The call of the tracepoint of that name: what a raw_tracepoint and a tp_btf are handed.
    pub fn raw_tracepoint(&self, name: &str) -> Option<Prototype> {
        let typedef = self.btf.get(*self.tracepoints.get(name.as_bytes())?);
        // The function that makes the call has names, and the typedef, which is a pointer to such a function, has not. Both
        // begin with the data of who listens (include/linux/tracepoint.h).
        let caller = self.functions.get(joined(b"__traceiter_", name.as_bytes()).as_slice());
        let prototype = match caller {
            Some(caller) => self.btf.get(self.btf.get(*caller).target()),
            None => self.btf.get(self.btf.get(typedef.target()).target()),
        };
        let mut prototype = self.of_call(prototype, 1);
        prototype.returns = None;
        Some(prototype)
    }

    /// The number of the function that takes the programs of a hook of the security modules.
    pub fn hook_id(&self, name: &str) -> Option<TypeId> {
        self.functions.get(joined(b"bpf_lsm_", name.as_bytes()).as_slice()).copied()
    }

    /// The hook of the security modules of that name.
    pub fn hook(&self, name: &str) -> Option<Prototype> {
        self.function(&format!("bpf_lsm_{name}"))
    }

    /// The iterator of that name: the fields of its context.
    pub fn iterator(&self, kind: &str) -> Option<Prototype> {
        let context = self.btf.get(*self.iterators.get(kind.as_bytes())?);
        let arguments = context.members().filter_map(|member| self.of_context(&member)).collect();
        Some(Prototype { arguments, variadic: false, returns: None, known_from: KnownFrom::Btf })
    }

    /// What a function takes behind its first `skip` parameters, and returns.
    fn of_call(&self, prototype: Type<'_>, skip: usize) -> Prototype {
        let mut parameters: Vec<(NameOffset, TypeId)> = prototype.parameters().skip(skip).collect();
        let variadic = parameters.last().is_some_and(|(_, id)| *id == TypeId::VOID);
        if variadic {
            parameters.pop();
        }
        let mut next = 1;
        let arguments = parameters
            .into_iter()
            .map(|(name, id)| {
                let mut argument = self.value(name, id, Where::Argument(next));
                match argument.class {
                    // The caller leaves it on the stack (x86-64 psABI 3.2.3, AAPCS64 6.8.2), and fentry does not have it.
                    Class::Aggregate(Some(17..)) => argument.place = Where::Elsewhere("memory".to_owned()),
                    class => next += class.registers(),
                }
                argument
            })
            .collect();
        let returns = Some(self.value(NameOffset(0), prototype.target(), Where::Return));
        Prototype { arguments, variadic, returns, known_from: KnownFrom::Btf }
    }

    /// A field of an iterator's context: a pointer, in a union of its own so that it has 8 bytes on every machine
    /// (`__bpf_md_ptr` of include/linux/bpf.h), or a number.
    fn of_context(&self, member: &Member) -> Option<Argument> {
        let inner = self.btf.unqualified(member.id);
        let (name, id) = match (member.name, inner.kind().is_record()) {
            (NameOffset(0), true) => inner.members().next().map(|member| (member.name, member.id))?,
            _ => (member.name, member.id),
        };
        let place = Where::Field {
            name: self.text(name),
            offset: member.bit_offset / 8,
            size: self.btf.size_of(id).and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
        };
        Some(self.value(name, id, place))
    }

    fn value(&self, name: NameOffset, id: TypeId, place: Where) -> Argument {
        let name = Some(self.text(name)).filter(|name| !name.is_empty());
        Argument {
            ty: declare(self.btf, id, ""),
            declared: declare(self.btf, id, name.as_deref().unwrap_or_default()),
            class: class(self.btf, id, Owner::Either),
            name,
            place,
        }
    }

    fn text(&self, name: NameOffset) -> String {
        String::from_utf8_lossy(self.btf.string(name)).into_owned()
    }
}

fn joined(start: &[u8], rest: &[u8]) -> Vec<u8> {
    [start, rest].concat()
}
