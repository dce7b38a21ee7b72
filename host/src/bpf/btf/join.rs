//! The BTF of a module behind that of the kernel.
//!
//! A module's BTF is "split" (Documentation/bpf/btf.rst, 4.4): its types are numbered behind the kernel's, and its names
//! lie behind the kernel's. With one module that is a concatenation; what further modules say is renumbered.

use std::collections::HashMap;

use super::{Btf, BtfError, Kind, NameOffset, sections, type_starts, u32_at};

/// The most bytes that kernel and modules together may have.
const MAX_JOINED: usize = 1 << 30;

impl Btf {
    /// These types, and behind them those of a module; `kernel` is the BTF that the module's is split from, with which
    /// these types start.
    ///
    /// # Errors
    /// When the module's bytes are not BTF, or are damaged, or all together are too many.
    pub fn with_module(&self, kernel: &Self, module: &[u8]) -> Result<Self, BtfError> {
        let mut joining = Joining::new(self, kernel);
        joining.add(module)?;
        Ok(joining.finish())
    }
}

/// Types to which those of modules are added, one module after the other.
#[derive(Debug)]
pub struct Joining {
    /// Length of the kernel's names.
    own_names: usize,
    /// Number of the kernel's types.
    own_types: u32,
    bytes: Vec<u8>,
    starts: Vec<u32>,
    /// All names.
    names: Vec<u8>,
    /// The names of modules among them.
    known: HashMap<Vec<u8>, NameOffset>,
}

impl Joining {
    /// Begins with `all`, which starts with the types of `kernel`.
    pub fn new(all: &Btf, kernel: &Btf) -> Self {
        let names = all.bytes.get(all.strings.clone()).unwrap_or_default().to_vec();
        let own_names = kernel.strings.len();
        let mut known = HashMap::new();
        let mut offset = own_names;
        for text in names.get(own_names..).unwrap_or_default().split(|byte| *byte == 0) {
            if let Ok(offset) = u32::try_from(offset) {
                known.insert(text.to_vec(), NameOffset(offset));
            }
            offset += text.len() + 1;
        }
        Self { own_names, own_types: kernel.len(), bytes: all.bytes.clone(), starts: all.starts.clone(), names, known }
    }

    /// How many types there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.starts.len()).unwrap_or(u32::MAX)
    }

    /// Whether there are no types.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Adds the types of a module.
    ///
    /// # Errors
    /// When its bytes are not BTF, or are damaged, or all together are too many. Nothing is added then.
    pub fn add(&mut self, module: &[u8]) -> Result<(), BtfError> {
        let (types, strings) = sections(module)?;
        let starts = type_starts(module, types)?;
        let too_large = || BtfError::Section { section: "type", length: module.len() };
        if self.bytes.len().saturating_add(self.names.len()).saturating_add(module.len()) > MAX_JOINED {
            return Err(too_large());
        }
        let mut join = Join {
            own_names: u32::try_from(self.own_names).map_err(|_| too_large())?,
            own_types: self.own_types,
            shift: self.len().saturating_sub(self.own_types),
            module_names: module.get(strings).unwrap_or_default(),
            names: &mut self.names,
            known: &mut self.known,
        };
        for start in starts {
            // Both are less than the limit.
            let (Ok(from), Ok(to)) = (usize::try_from(start), u32::try_from(self.bytes.len())) else { continue };
            self.starts.push(to);
            join.record(module.get(from..).unwrap_or_default(), &mut self.bytes);
        }
        Ok(())
    }

    /// All of them.
    pub fn finish(mut self) -> Btf {
        let from = self.bytes.len();
        self.bytes.append(&mut self.names);
        Btf { strings: from..self.bytes.len(), bytes: self.bytes, starts: self.starts }
    }
}

/// What numbers of a module become.
struct Join<'m> {
    /// Length of the kernel's names.
    own_names: u32,
    /// Number of the kernel's types.
    own_types: u32,
    /// How many types of other modules stand between the kernel's and these.
    shift: u32,
    /// The names of the module.
    module_names: &'m [u8],
    /// As in [`Joining`].
    names: &'m mut Vec<u8>,
    known: &'m mut HashMap<Vec<u8>, NameOffset>,
}

impl Join<'_> {
    /// Adds the record of a type, which `module` starts with, to `out`.
    fn record(&mut self, module: &[u8], out: &mut Vec<u8>) {
        let word = |at| u32_at(module, at).unwrap_or_default();
        let info = word(4);
        let Some(kind) = Kind::from_number((info >> 24) & 0x1f) else { return };
        let refers = !matches!(
            kind,
            Kind::Int
                | Kind::Array
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Forward
                | Kind::DataSection
                | Kind::Float
        );
        let mut push = |word: u32| out.extend_from_slice(&word.to_ne_bytes());
        push(self.name(word(0)));
        push(info);
        push(if refers { self.id(word(8)) } else { word(8) });
        // What the words behind are: names, types, others; again for each element.
        let shape: &[u8] = match kind {
            Kind::Array => b"tto",
            Kind::Struct | Kind::Union => b"nto",
            Kind::Enum => b"no",
            Kind::Enum64 => b"noo",
            Kind::Prototype => b"nt",
            Kind::DataSection => b"too",
            _ => b"o",
        };
        let words = kind.extra(usize::try_from(info & 0xffff).unwrap_or(0)) / 4;
        for (index, part) in shape.iter().cycle().take(words).enumerate() {
            let word = word(12 + index * 4);
            push(match part {
                b'n' => self.name(word),
                b't' => self.id(word),
                _ => word,
            });
        }
    }

    fn id(&self, id: u32) -> u32 {
        if id <= self.own_types { id } else { id.saturating_add(self.shift) }
    }

    fn name(&mut self, offset: u32) -> u32 {
        let Some(own) = offset.checked_sub(self.own_names) else { return offset };
        let from = usize::try_from(own).ok().and_then(|own| self.module_names.get(own..)).unwrap_or_default();
        let text = from.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.is_empty() {
            return 0;
        }
        if let Some(known) = self.known.get(text) {
            return known.0;
        }
        let Ok(offset) = u32::try_from(self.names.len()) else { return 0 };
        self.names.extend_from_slice(text);
        self.names.push(0);
        self.known.insert(text.to_vec(), NameOffset(offset));
        offset
    }
}
