//! BTF, the type information of the kernel and of BPF objects: reading it, and printing it as C.
//!
//! Reading is done on the bytes, in safe code, because both sources matter: the kernel's 5 MB must be searched in a few
//! milliseconds, and the BTF of an object file is untrusted. Printing as C is libbpf's `btf_dump`. The format is that of
//! Documentation/bpf/btf.rst in the kernel's sources.

mod dump;
mod join;
mod kind;
mod types;
mod write;

pub use dump::{DumpError, dump_c};
pub use join::Joining;
pub use kind::Kind;
pub use types::{Array, Int, Member, Type};
pub use write::Writer;

/// Number of a type in a [`Btf`]; 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The type `void`.
    pub const VOID: Self = Self(0);
}

/// Offset of a name in the string section of a [`Btf`]; 0 is no name. In the BTF of a kernel each string occurs once, so
/// that equal names have equal offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameOffset(pub u32);

/// Why bytes are not usable BTF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BtfError {
    /// The header is short, has another magic number, or another byte order.
    #[error("not BTF: the header is not that of BTF in this machine's byte order")]
    NoHeader,
    /// A section reaches outside the data.
    #[error("damaged BTF: the {section} section reaches outside its {length} bytes")]
    Section {
        /// `type` or `string`.
        section: &'static str,
        /// Length of all data.
        length: usize,
    },
    /// A type's record is cut off.
    #[error("damaged BTF: type {id} is cut off")]
    Truncated {
        /// Number of the type.
        id: u32,
    },
    /// A kind of type that came after this program.
    #[error("BTF type {id} is of kind {kind}, which this version of dbcc does not know")]
    UnknownKind {
        /// Number of the type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
}

/// Length of the header that every version has.
const HEADER: usize = 24;
/// `BTF_MAGIC`.
const MAGIC: u16 = 0xeb9f;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(at..end)?.try_into().ok()?))
}

/// Types and their names.
#[derive(Debug, Clone)]
pub struct Btf {
    bytes: Vec<u8>,
    strings: std::ops::Range<usize>,
    /// Where each type's record starts; type 1 is the first.
    starts: Vec<u32>,
}

impl Btf {
    /// Reads BTF as it stands in `/sys/kernel/btf/vmlinux` and in the section `.BTF` of an object.
    ///
    /// # Errors
    /// When the bytes are not BTF of this machine's byte order, or are damaged. References to types and names that do
    /// not exist are no error here; they read as `void` and as no name.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let (types, strings) = sections(&bytes)?;
        let starts = type_starts(&bytes, types)?;
        Ok(Self { bytes, strings, starts })
    }

    /// Number of types; their ids are 1 up to and with this number.
    pub fn len(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// Whether there are no types.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// All types in the order of their ids.
    pub fn types(&self) -> impl Iterator<Item = Type<'_>> {
        (1..=self.len()).map(|id| self.get(TypeId(id)))
    }

    /// A type; `void` for an id that does not exist.
    pub fn get(&self, id: TypeId) -> Type<'_> {
        self.try_get(id).unwrap_or(Type {
            btf: self,
            id: TypeId::VOID,
            kind: Kind::Void,
            flag: false,
            count: 0,
            name: 0,
            word: 0,
            extra: &[],
        })
    }

    fn try_get(&self, id: TypeId) -> Option<Type<'_>> {
        let index = usize::try_from(id.0.checked_sub(1)?).ok()?;
        let start = usize::try_from(*self.starts.get(index)?).ok()?;
        let info = u32_at(&self.bytes, start + 4)?;
        let kind = Kind::from_number((info >> 24) & 0x1f)?;
        let count = usize::try_from(info & 0xffff).ok()?;
        let extra = self.bytes.get(start + 12..)?.get(..kind.extra(count))?;
        Some(Type {
            btf: self,
            id,
            kind,
            flag: info >> 31 != 0,
            count: info & 0xffff,
            name: u32_at(&self.bytes, start)?,
            word: u32_at(&self.bytes, start + 8)?,
            extra,
        })
    }

    /// The string at an offset, without its NUL; empty where there is none.
    pub fn string(&self, offset: NameOffset) -> &[u8] {
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let from = usize::try_from(offset.0).ok().and_then(|offset| strings.get(offset..));
        from.and_then(|from| std::ffi::CStr::from_bytes_until_nul(from).ok())
            .map(std::ffi::CStr::to_bytes)
            .unwrap_or_default()
    }

    /// All strings with their offsets.
    pub fn strings(&self) -> impl Iterator<Item = (NameOffset, &[u8])> {
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let mut at = 0;
        std::iter::from_fn(move || {
            let text = std::ffi::CStr::from_bytes_until_nul(strings.get(at..)?).ok()?.to_bytes();
            let offset = NameOffset(u32::try_from(at).ok()?);
            at += text.len() + 1;
            Some((offset, text))
        })
    }

    /// Length of the string section in bytes.
    pub fn strings_len(&self) -> usize {
        self.strings.len()
    }

    /// The offset of a name, if it occurs.
    pub fn find_name(&self, name: &str) -> Option<NameOffset> {
        if name.is_empty() {
            return None;
        }
        self.strings().find(|(_, text)| *text == name.as_bytes()).map(|(offset, _)| offset)
    }

    /// The type behind `const`, `volatile`, `restrict` and type tags; typedefs stay. A chain without end is `void`.
    pub fn unqualified(&self, id: TypeId) -> Type<'_> {
        self.resolve(id, Kind::is_modifier)
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags. A chain without end is `void`.
    pub fn underlying(&self, id: TypeId) -> Type<'_> {
        self.resolve(id, |kind| kind == Kind::Typedef || kind.is_modifier())
    }

    fn resolve(&self, mut id: TypeId, skip: impl Fn(Kind) -> bool) -> Type<'_> {
        for _ in 0..MAX_CHAIN {
            let found = self.get(id);
            if !skip(found.kind) {
                return found;
            }
            id = found.target();
        }
        self.get(TypeId::VOID)
    }

    /// The size of a type in bytes; none for `void`, functions, incomplete types, and what is damaged.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut factor) = (id, 1u64);
        for _ in 0..MAX_CHAIN {
            let found = self.underlying(id);
            match found.kind {
                Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                    return factor.checked_mul(u64::from(found.word));
                }
                // BPF and all kernels that run it here are 64 bit.
                Kind::Pointer => return factor.checked_mul(8),
                Kind::Array => {
                    let array = found.array()?;
                    factor = factor.checked_mul(u64::from(array.length))?;
                    id = array.element;
                }
                _ => return None,
            }
        }
        None
    }
}

/// Where the types and the names are.
fn sections(bytes: &[u8]) -> Result<(std::ops::Range<usize>, std::ops::Range<usize>), BtfError> {
    let magic = bytes.get(..2).and_then(|magic| magic.try_into().ok()).map(u16::from_ne_bytes);
    if magic != Some(MAGIC) || bytes.len() < HEADER {
        return Err(BtfError::NoHeader);
    }
    let field = |at| u32_at(bytes, at).and_then(|value| usize::try_from(value).ok()).ok_or(BtfError::NoHeader);
    let section = |section, offset, length| {
        let start = field(4)?.checked_add(offset);
        let end = start.and_then(|start| start.checked_add(length));
        match (start, end) {
            (Some(start), Some(end)) if end <= bytes.len() => Ok(start..end),
            _ => Err(BtfError::Section { section, length: bytes.len() }),
        }
    };
    Ok((section("type", field(8)?, field(12)?)?, section("string", field(16)?, field(20)?)?))
}

/// How many typedefs, qualifiers or array dimensions are followed in a row. Kernel BTF has chains of up to 8.
const MAX_CHAIN: usize = 64;

/// Where the record of each type starts.
fn type_starts(bytes: &[u8], types: std::ops::Range<usize>) -> Result<Vec<u32>, BtfError> {
    let mut starts = Vec::with_capacity(types.len() / 32);
    let mut at = types.start;
    while at < types.end {
        let id = u32::try_from(starts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let truncated = BtfError::Truncated { id };
        let Some(info) = u32_at(bytes, at + 4) else { return Err(truncated) };
        let kind = (info >> 24) & 0x1f;
        let Some(known) = Kind::from_number(kind) else { return Err(BtfError::UnknownKind { id, kind }) };
        let count = usize::try_from(info & 0xffff).unwrap_or(usize::MAX);
        let end = at + 12 + known.extra(count);
        if end > types.end {
            return Err(truncated);
        }
        starts.push(u32::try_from(at).map_err(|_| truncated)?);
        at = end;
    }
    Ok(starts)
}

#[cfg(test)]
mod tests;
