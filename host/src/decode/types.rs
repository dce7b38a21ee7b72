//! The types that a probe's object describes.

use object::{Object as _, ObjectSection as _};

use super::layout::Layout;
use super::read::Decoded;
use crate::bpf::btf::{Btf, BtfError, Kind, NameOffset, TypeId};

/// The types in the BTF of an object.
#[derive(Debug)]
pub struct Types {
    btf: Btf,
}

/// Types of the keys and values of a map; none where the map has none or the object does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MapTypes {
    /// Type of the key.
    pub key: Option<TypeId>,
    /// Type of the value.
    pub value: Option<TypeId>,
}

/// Why the types of an object cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TypesError {
    /// It is no ELF file.
    #[error("cannot read the BPF object: {0}")]
    Object(#[from] object::Error),
    /// It has no BTF.
    #[error(
        "the BPF object has no section .BTF, so that the types of its maps and events are unknown; compile it with -g"
    )]
    NoBtf,
    /// Its BTF is damaged.
    #[error("cannot use the BTF of the BPF object: {0}")]
    Btf(#[from] BtfError),
}

impl Types {
    /// The types of a BPF object file.
    ///
    /// # Errors
    /// When it is no ELF file, has no BTF, or its BTF is damaged.
    pub fn from_elf(elf: &[u8]) -> Result<Self, TypesError> {
        let file = object::File::parse(elf)?;
        let section = file.section_by_name(".BTF").ok_or(TypesError::NoBtf)?;
        Ok(Self { btf: Btf::parse(section.data()?.to_vec())? })
    }

    /// The types of raw BTF.
    pub fn from_btf(btf: Btf) -> Self {
        Self { btf }
    }

    /// A type by its C name: `struct data_t`, `enum kind`, `u64`, `unsigned int`. A name without a keyword is a typedef
    /// or a basic type, else a struct, union or enum of that tag.
    pub fn find(&self, name: &str) -> Option<TypeId> {
        let (keyword, bare) = match name.trim().split_once(char::is_whitespace) {
            Some((keyword @ ("struct" | "union" | "enum"), bare)) => (keyword, bare.trim()),
            _ => ("", name.trim()),
        };
        let offset = self.btf.find_name(bare)?;
        let wanted = |kind: Kind| match keyword {
            "struct" => kind == Kind::Struct,
            "union" => kind == Kind::Union,
            "enum" => matches!(kind, Kind::Enum | Kind::Enum64),
            _ => matches!(kind, Kind::Typedef | Kind::Int | Kind::Float),
        };
        let tagged = |kind: Kind| kind.is_record() || matches!(kind, Kind::Enum | Kind::Enum64);
        let named = || self.btf.types().filter(|found| found.name_offset() == offset);
        let found = named().find(|found| wanted(found.kind()));
        let found = found.or_else(|| named().find(|found| keyword.is_empty() && tagged(found.kind())));
        found.map(|found| found.id())
    }

    /// The type of a variable; of one inside of a function, whose name clang puts before it (`f.name`), too.
    pub fn of_variable(&self, name: &str) -> Option<TypeId> {
        let mut variables = self.btf.types().filter(|found| found.kind() == Kind::Variable);
        let is_wanted = |found: &str| found == name || found.rsplit_once('.').is_some_and(|(_, inner)| inner == name);
        variables.find(|found| is_wanted(&found.name())).map(|found| found.target())
    }

    /// The name of a type as C writes it without qualifiers: `struct data_t`, `u64`; a pointer is `T *`, an array
    /// `T[3]`. Empty for an anonymous struct, union or enum.
    pub fn name_of(&self, id: TypeId) -> String {
        self.name_bounded(id, 0)
    }

    fn name_bounded(&self, id: TypeId, depth: u32) -> String {
        let found = self.btf.unqualified(id);
        match found.kind() {
            Kind::Void => "void".to_owned(),
            Kind::Pointer if depth < 8 => format!("{} *", self.name_bounded(found.target(), depth + 1)),
            Kind::Array if depth < 8 => {
                let (element, length) = found.array().map_or((TypeId::VOID, 0), |array| (array.element, array.length));
                format!("{}[{length}]", self.name_bounded(element, depth + 1))
            }
            _ if found.name_offset() == NameOffset(0) => String::new(),
            _ => format!("{}{}", found.keyword(), found.name()),
        }
    }

    /// The layout of a type; of one that does not exist, of 0 bytes.
    pub fn layout(&self, id: TypeId) -> Layout {
        Layout::of(&self.btf, id)
    }

    /// Decodes bytes of a type. To decode many, keep its [`Types::layout`].
    pub fn decode(&self, id: TypeId, bytes: &[u8]) -> Decoded {
        self.layout(id).decode(bytes)
    }

    /// Types of key and value of a map that the object declares in the section `.maps`
    /// (`__type(key, …)` of libbpf's bpf_helpers.h); none where there is no such map.
    pub fn map(&self, name: &str) -> Option<MapTypes> {
        let maps = self.btf.types().find(|found| found.kind() == Kind::DataSection && found.name() == ".maps")?;
        let variable = maps.variables().map(|(id, ..)| self.btf.get(id)).find(|found| found.name() == name)?;
        let record = self.btf.underlying(variable.target());
        // Each is declared as a pointer to the type.
        let pointee = |field: &str| {
            let member = record.members().find(|member| self.btf.string(member.name) == field.as_bytes())?;
            let pointer = self.btf.underlying(member.id);
            (pointer.kind() == Kind::Pointer && pointer.target() != TypeId::VOID).then(|| pointer.target())
        };
        Some(MapTypes { key: pointee("key"), value: pointee("value") })
    }

    /// The BTF itself.
    pub fn btf(&self) -> &Btf {
        &self.btf
    }
}
