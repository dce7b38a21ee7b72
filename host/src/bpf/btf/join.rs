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
        let (types, strings) = sections(module)?;
        let starts = type_starts(module, types)?;
        let too_large = || BtfError::Section { section: "type", length: module.len() };
        if self.bytes.len().saturating_add(module.len()) > MAX_JOINED {
            return Err(too_large());
        }
        let mut join = Join {
            own_names: u32::try_from(kernel.strings.len()).map_err(|_| too_large())?,
            own_types: kernel.len(),
            shift: self.len().saturating_sub(kernel.len()),
            module_names: module.get(strings).unwrap_or_default(),
            names: self.bytes.get(self.strings.clone()).unwrap_or_default().to_vec(),
            known: HashMap::new(),
        };
        join.known.extend(
            self.strings()
                .filter(|(offset, _)| offset.0 >= join.own_names)
                .map(|(offset, text)| (text.to_vec(), offset)),
        );
        let mut bytes = self.bytes.clone();
        let mut all = self.starts.clone();
        for start in starts {
            let start = usize::try_from(start).map_err(|_| too_large())?;
            all.push(u32::try_from(bytes.len()).map_err(|_| too_large())?);
            join.record(module.get(start..).unwrap_or_default(), &mut bytes);
        }
        let from = bytes.len();
        bytes.extend_from_slice(&join.names);
        Ok(Self { strings: from..bytes.len(), bytes, starts: all })
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
    /// All names.
    names: Vec<u8>,
    /// The names of modules among them.
    known: HashMap<Vec<u8>, NameOffset>,
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
