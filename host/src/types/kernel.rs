//! The kernel's types, from its BTF and that of its modules.

use std::collections::{BTreeSet, HashMap};

use symres::layout::{Member, NamedType, Record, Role, Shape, TypeKind, TypeName, TypeNumber, Types};

use crate::bpf::btf::{Btf, Kind, NameOffset, Type, TypeId};
use crate::escape::readable;

/// BTF as the layout of types is read from it.
#[derive(Debug)]
pub(super) struct KernelTypes<'b>(pub(super) &'b Btf);

/// What a type with a name is; none for functions and what else has no objects.
fn kind_of(ty: &Type<'_>) -> Option<TypeKind> {
    Some(match ty.kind() {
        Kind::Struct => TypeKind::Struct,
        Kind::Union => TypeKind::Union,
        Kind::Enum | Kind::Enum64 => TypeKind::Enum,
        Kind::Typedef => TypeKind::Typedef,
        Kind::Int | Kind::Float => TypeKind::Base,
        _ => return None,
    })
}

fn number(id: TypeId) -> TypeNumber {
    TypeNumber(u64::from(id.0))
}

impl KernelTypes<'_> {
    fn get(&self, ty: TypeNumber) -> Type<'_> {
        self.0.get(TypeId(u32::try_from(ty.0).unwrap_or(0)))
    }

    /// Those of its types whose names fit, for each of the names, in the order of their numbers: in one pass for all of them.
    pub(super) fn find(&self, names: &[&TypeName]) -> Vec<Vec<TypeNumber>> {
        let mut exact: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, name) in names.iter().enumerate().filter(|(_, name)| !name.is_wildcard()) {
            exact.entry(name.as_str().as_bytes()).or_default().push(index);
        }
        let wildcards: Vec<usize> =
            (0..names.len()).filter(|index| names.get(*index).is_some_and(|name| name.is_wildcard())).collect();
        let fits = |index: &usize, text: &[u8]| names.get(*index).is_some_and(|n| n.fits(&readable(text)).is_some());
        let mut wanted: HashMap<NameOffset, Vec<usize>> = HashMap::new();
        for (offset, text) in self.0.strings().filter(|(_, text)| !text.is_empty()) {
            let mut who = exact.get(text).cloned().unwrap_or_default();
            who.extend(wildcards.iter().filter(|index| fits(index, text)));
            if !who.is_empty() {
                wanted.insert(offset, who);
            }
        }
        let mut found = vec![Vec::new(); names.len()];
        if wanted.is_empty() {
            return found;
        }
        for ty in self.0.types() {
            let Some(who) = wanted.get(&ty.name_offset()) else { continue };
            let Some(kind) = kind_of(&ty) else { continue };
            // An enum without values is a declaration.
            if kind == TypeKind::Enum && ty.count() == 0 {
                continue;
            }
            for index in who {
                if let (Some(name), Some(found)) = (names.get(*index), found.get_mut(*index))
                    && name.allows(kind)
                {
                    found.push(number(ty.id()));
                }
            }
        }
        found
    }

    /// What is told of a type in a list.
    pub(super) fn named(&self, ty: TypeNumber) -> Option<NamedType> {
        let found = self.get(ty);
        let kind = kind_of(&found)?;
        let size = self.0.size_of(found.id());
        Some(NamedType { name: readable(found.name_bytes()).into_owned(), kind, size, only_declared: false })
    }

    /// All names of types, for what was misspelt.
    pub(super) fn names(&self) -> Vec<String> {
        let offsets: BTreeSet<NameOffset> =
            self.0.types().filter(|ty| kind_of(ty).is_some()).map(|ty| ty.name_offset()).collect();
        offsets.into_iter().map(|offset| readable(self.0.string(offset)).into_owned()).collect()
    }

    fn name(&self, ty: &Type<'_>) -> Option<String> {
        Some(readable(ty.name_bytes()).into_owned()).filter(|name| !name.is_empty())
    }

    fn definition(&self, ty: TypeNumber) -> Option<Type<'_>> {
        let found = self.get(ty);
        if found.kind() != Kind::Forward {
            return found.kind().is_record().then_some(found);
        }
        let kind = if found.flag() { Kind::Union } else { Kind::Struct };
        // The BTF of a module may have the name a second time.
        let mut others = self.0.types().filter(|other| other.kind() == kind);
        others.find(|other| other.name_bytes() == found.name_bytes())
    }

    /// Offset and width of a member in bits. Old compilers keep those of bit fields in an integer type of its own.
    fn place(&self, member: &crate::bpf::btf::Member) -> (u64, Option<u64>) {
        let (offset, width) = (u64::from(member.bit_offset), u64::from(member.bit_width));
        if width > 0 {
            return (offset, Some(width));
        }
        let ty = self.0.underlying(member.id);
        match ty.int() {
            Some(int) if u64::from(int.bits) < u64::from(ty.size()) * 8 && int.bits > 0 => {
                (offset + u64::from(int.bit_offset), Some(u64::from(int.bits)))
            }
            _ => (offset, None),
        }
    }
}

impl Types for KernelTypes<'_> {
    fn shape(&self, ty: TypeNumber) -> Shape {
        let found = self.get(ty);
        let target = || number(found.target());
        let name = || self.name(&found);
        let qualified = |word| Shape::Qualified { word, of: target() };
        match found.kind() {
            Kind::Int | Kind::Float => {
                Shape::Scalar { name: name().unwrap_or_default(), size: Some(u64::from(found.size())) }
            }
            Kind::Struct => Shape::Record { kind: TypeKind::Struct, name: name(), size: Some(u64::from(found.size())) },
            Kind::Union => Shape::Record { kind: TypeKind::Union, name: name(), size: Some(u64::from(found.size())) },
            Kind::Forward => {
                let kind = if found.flag() { TypeKind::Union } else { TypeKind::Struct };
                Shape::Record { kind, name: name(), size: None }
            }
            Kind::Enum | Kind::Enum64 => Shape::Enumeration { name: name(), size: Some(u64::from(found.size())) },
            Kind::Typedef => Shape::Typedef { name: name().unwrap_or_default(), of: target() },
            Kind::Const => qualified("const"),
            Kind::Volatile => qualified("volatile"),
            Kind::Restrict => qualified("restrict"),
            Kind::TypeTag => qualified(""),
            // BPF and all kernels that run it here are 64 bit.
            Kind::Pointer => Shape::Pointer { sign: "*", to: target(), size: 8 },
            Kind::Array => found.array().map_or(Shape::Void, |array| Shape::Array {
                of: number(array.element),
                lengths: vec![Some(u64::from(array.length))],
            }),
            Kind::Prototype => {
                let mut parameters: Vec<TypeNumber> = found.parameters().map(|(_, id)| number(id)).collect();
                let variadic = parameters.last() == Some(&TypeNumber::VOID);
                if variadic {
                    parameters.pop();
                }
                Shape::Function { returns: target(), parameters, variadic }
            }
            Kind::Void | Kind::Function | Kind::Variable | Kind::DataSection | Kind::DeclTag => Shape::Void,
        }
    }

    fn record(&self, ty: TypeNumber) -> Option<Record> {
        let found = self.definition(ty)?;
        let members = found.members().map(|member| {
            let (bit_offset, bit_width) = self.place(&member);
            let name = Some(readable(self.0.string(member.name)).into_owned()).filter(|name| !name.is_empty());
            Member { name, ty: number(member.id), role: Role::Field, bit_offset: Some(bit_offset), bit_width }
        });
        Some(Record {
            kind: kind_of(&found)?,
            name: self.name(&found),
            size: u64::from(found.size()),
            members: members.collect(),
            statics: Vec::new(),
            declared: None,
            notes: Vec::new(),
        })
    }

    fn enumerators(&self, ty: TypeNumber) -> Vec<(String, i128)> {
        let found = self.get(ty);
        found.enumerators().map(|(name, value)| (readable(self.0.string(name)).into_owned(), value)).collect()
    }

    fn has_tags(&self) -> bool {
        true
    }
}
