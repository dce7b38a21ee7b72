//! Which names of the kernel's BTF the probe uses, and how.

use std::collections::HashMap;

use super::super::Names;
use crate::bpf::btf::{Btf, NameOffset};

/// Types that every probe may use without naming them: those of linux/types.h.
const BASIC: &[&str] = &[
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "__u8",
    "__u16",
    "__u32",
    "__u64",
    "__s8",
    "__s16",
    "__s32",
    "__s64",
    "__le16",
    "__le32",
    "__le64",
    "__be16",
    "__be32",
    "__be64",
    "__sum16",
    "__wsum",
    "bool",
    "size_t",
    "ssize_t",
    "loff_t",
    "off_t",
    "pid_t",
    "uid_t",
    "gid_t",
    "dev_t",
    "mode_t",
    "umode_t",
    "time64_t",
    "ktime_t",
    "uint8_t",
    "uint16_t",
    "uint32_t",
    "uint64_t",
    "int8_t",
    "int16_t",
    "int32_t",
    "int64_t",
    "uintptr_t",
    "true",
    "false",
];

/// Defined by the templates, with the names that user space has, for every architecture.
const REGISTERS: &[u8] = b"pt_regs";

/// For each name of the BTF, what the probe does with it.
pub(super) struct Flags(Vec<u8>);

impl Flags {
    pub(super) const TAG: u8 = 1;
    pub(super) const ORDINARY: u8 = 2;
    pub(super) const MEMBER: u8 = 4;
    pub(super) const DECLARED_TAG: u8 = 8;
    pub(super) const DECLARED: u8 = 16;
    pub(super) const REGISTERS: u8 = 32;

    pub(super) fn new(btf: &Btf, names: &Names) -> Self {
        let mut wanted: HashMap<&[u8], u8> = HashMap::new();
        let sets = [
            (&names.tags, Self::TAG),
            (&names.identifiers, Self::ORDINARY),
            (&names.members, Self::MEMBER),
            (&names.declared_tags, Self::DECLARED_TAG),
            (&names.declared, Self::DECLARED),
        ];
        for (set, flag) in sets {
            for name in set {
                *wanted.entry(name.as_bytes()).or_default() |= flag;
            }
        }
        for name in BASIC {
            *wanted.entry(name.as_bytes()).or_default() |= Self::ORDINARY;
        }
        *wanted.entry(REGISTERS).or_default() |= Self::REGISTERS;
        // Nearly all of the kernel's 100,000 names are not wanted; length, first and last letter tell most of them apart.
        let mut shapes = vec![false; 256 * 256];
        for name in wanted.keys() {
            if let Some(shape) = shape(name).and_then(|shape| shapes.get_mut(shape)) {
                *shape = true;
            }
        }
        let mut flags = vec![0; btf.strings_len()];
        for (NameOffset(offset), text) in btf.strings() {
            let possible = shape(text).and_then(|shape| shapes.get(shape)) == Some(&true);
            let Some(found) = possible.then(|| wanted.get(text)).flatten() else { continue };
            if let Some(slot) = usize::try_from(offset).ok().and_then(|offset| flags.get_mut(offset)) {
                *slot = *found;
            }
        }
        Self(flags)
    }

    pub(super) fn has(&self, name: NameOffset, flag: u8) -> bool {
        let offset = usize::try_from(name.0).unwrap_or(usize::MAX);
        self.0.get(offset).is_some_and(|flags| flags & flag != 0)
    }
}

fn shape(name: &[u8]) -> Option<usize> {
    let (first, last) = (usize::from(*name.first()?), usize::from(*name.last()?));
    Some(first * 256 + (last + name.len() * 37) % 256)
}
