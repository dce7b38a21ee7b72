//! Making BTF: the few types that are to be printed as C, or a test's.

use std::collections::HashMap;

use super::{Array, HEADER, Kind, MAGIC, NameOffset, TypeId};

/// Longest name that is written; BTF names have fewer than 512 bytes, and C names are far shorter.
const MAX_NAME: usize = 200;

/// BTF under construction. Types get the ids 1, 2, … in the order in which they are added, and may refer to types that
/// are added later.
#[derive(Debug, Default)]
pub struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
    names: HashMap<String, NameOffset>,
    count: u32,
}

impl Writer {
    /// No types.
    pub fn new() -> Self {
        Self { strings: vec![0], ..Self::default() }
    }

    /// The id that the next type gets.
    pub fn next_id(&self) -> TypeId {
        TypeId(self.count + 1)
    }

    /// A name as it is written: see [`Writer::name`].
    pub fn clean(name: &str) -> String {
        let clean = name.chars().take(MAX_NAME).map(|c| if c.is_ascii_alphanumeric() || c == ' ' { c } else { '_' });
        clean.collect()
    }

    /// Where a name is, added if it is new. What is no part of a C identifier becomes `_`, and long names are cut; blanks
    /// stay, for `unsigned int`.
    pub fn name(&mut self, name: &str) -> NameOffset {
        if name.is_empty() {
            return NameOffset(0);
        }
        if let Some(offset) = self.names.get(name) {
            return *offset;
        }
        let offset = NameOffset(u32::try_from(self.strings.len()).unwrap_or(0));
        self.strings.extend_from_slice(Self::clean(name).as_bytes());
        self.strings.push(0);
        self.names.insert(name.to_owned(), offset);
        offset
    }

    /// Adds a type whose elements (see the other methods) follow. `word` is the size or the type referred to.
    fn head(&mut self, name: NameOffset, kind: Kind, flag: bool, count: usize, word: u32) -> TypeId {
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(0xffff);
        self.words(&[name.0, u32::from(flag) << 31 | kind.number() << 24 | count, word]);
        self.count += 1;
        TypeId(self.count)
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.types.extend_from_slice(&word.to_ne_bytes());
        }
    }

    /// Adds an integer; `encoding` is the word behind the type as BTF has it.
    pub fn int(&mut self, name: &str, size: u32, encoding: u32) -> TypeId {
        let name = self.name(name);
        let id = self.head(name, Kind::Int, false, 0, size);
        self.words(&[encoding]);
        id
    }

    /// Adds a type that only refers to another one, or a float or forward declaration (`word` is its size or 0).
    pub fn plain(&mut self, name: &str, kind: Kind, flag: bool, word: u32) -> TypeId {
        let name = self.name(name);
        self.head(name, kind, flag, 0, word)
    }

    /// Adds an array.
    pub fn array(&mut self, array: Array) -> TypeId {
        let id = self.head(NameOffset(0), Kind::Array, false, 0, 0);
        self.words(&[array.element.0, array.index.0, array.length]);
        id
    }

    /// Adds a struct or union; each member is its name, its type, and its offset word as BTF has it.
    pub fn record(
        &mut self,
        name: &str,
        kind: Kind,
        flag: bool,
        size: u32,
        members: &[(String, TypeId, u32)],
    ) -> TypeId {
        let name = self.name(name);
        let id = self.head(name, kind, flag, members.len(), size);
        for (name, TypeId(member), offset) in members.iter().take(0xffff) {
            let NameOffset(name) = self.name(name);
            self.words(&[name, *member, *offset]);
        }
        id
    }

    /// Adds an enum of 32 or 64 bits.
    pub fn enumeration(&mut self, name: &str, kind: Kind, flag: bool, size: u32, values: &[(String, u64)]) -> TypeId {
        let name = self.name(name);
        let id = self.head(name, kind, flag, values.len(), size);
        for (name, value) in values.iter().take(0xffff) {
            let NameOffset(name) = self.name(name);
            let low = u32::try_from(value & 0xffff_ffff).unwrap_or_default();
            self.words(&[name, low]);
            if kind == Kind::Enum64 {
                self.words(&[u32::try_from(value >> 32).unwrap_or_default()]);
            }
        }
        id
    }

    /// Adds a prototype.
    pub fn prototype(&mut self, returns: TypeId, parameters: &[(String, TypeId)]) -> TypeId {
        let id = self.head(NameOffset(0), Kind::Prototype, false, parameters.len(), returns.0);
        for (name, TypeId(parameter)) in parameters.iter().take(0xffff) {
            let NameOffset(name) = self.name(name);
            self.words(&[name, *parameter]);
        }
        id
    }

    /// The BTF.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + self.types.len() + self.strings.len());
        bytes.extend_from_slice(&MAGIC.to_ne_bytes());
        bytes.extend_from_slice(&[1, 0]);
        let length = |part: usize| u32::try_from(part).unwrap_or(u32::MAX);
        let (types, strings) = (length(self.types.len()), length(self.strings.len()));
        for word in [length(HEADER), 0, types, types, strings] {
            bytes.extend_from_slice(&word.to_ne_bytes());
        }
        bytes.extend_from_slice(&self.types);
        bytes.extend_from_slice(&self.strings);
        bytes
    }
}
