//! Names of what instructions call and refer to: helpers from the kernel's types, addresses from its symbols.

use std::collections::HashMap;
use std::io::Read as _;

use crate::bpf::btf::Kind;
use crate::insn::{Instruction, Names};
use crate::kernel::Kernel;

/// The largest list of symbols that is read.
const MAX_SYMBOLS: u64 = 256 << 20;

/// What the source field of a call says of functions of the program and of the kernel.
const CALL_FUNCTION: u8 = 1;
/// What it says of a 64-bit constant: a map, a place in a map's value.
const MAP: u8 = 1;
const MAP_VALUE: u8 = 2;

/// The helpers of the kernel by their numbers, as its `enum bpf_func_id` has them.
#[derive(Debug, Default)]
pub(super) struct Helpers(HashMap<i32, String>);

impl Helpers {
    /// Those of the running kernel; none where it does not tell its types.
    pub(super) fn of(kernel: &Kernel) -> Self {
        let Ok(btf) = kernel.btf() else { return Self::default() };
        let Some(name) = btf.find_name("bpf_func_id") else { return Self::default() };
        let found = btf.types().find(|ty| ty.kind() == Kind::Enum && ty.name_offset() == name);
        let all = found.into_iter().flat_map(|found| found.enumerators()).filter_map(|(name, number)| {
            let name = String::from_utf8_lossy(btf.string(name)).strip_prefix("BPF_FUNC_")?.to_owned();
            Some((i32::try_from(number).ok()?, format!("bpf_{name}")))
        });
        Self(all.collect())
    }
}

impl Names for Helpers {
    fn call(&self, instruction: &Instruction) -> Option<String> {
        let is_helper = instruction.src == 0;
        self.0.get(&instruction.imm).filter(|_| is_helper).cloned()
    }

    fn constant(&self, _: &Instruction) -> Option<String> {
        None
    }
}

/// The functions of the running kernel by their addresses.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    /// In the order of their addresses.
    all: Vec<(u64, String)>,
    /// What calls of helpers count from (`__bpf_call_base`, kernel/bpf/core.c).
    base: Option<u64>,
}

impl Symbols {
    /// Those that the kernel shows; none where it hides their addresses.
    pub(super) fn read() -> Self {
        let mut text = Vec::new();
        let read = std::fs::File::open("/proc/kallsyms").and_then(|file| file.take(MAX_SYMBOLS).read_to_end(&mut text));
        if read.is_err() {
            return Self::default();
        }
        let mut symbols = Self::default();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split_whitespace();
            let (Some(address), Some("t" | "T" | "w" | "W"), Some(name)) = (words.next(), words.next(), words.next())
            else {
                continue;
            };
            let Some(address) = u64::from_str_radix(address, 16).ok().filter(|address| *address > 0) else { continue };
            if name == "__bpf_call_base" {
                symbols.base = Some(address);
            }
            symbols.all.push((address, name.to_owned()));
        }
        symbols.all.sort_by_key(|(address, _)| *address);
        symbols
    }

    /// The function that begins at an address.
    pub(super) fn at(&self, address: u64) -> Option<&str> {
        let index = self.all.partition_point(|(known, _)| *known < address);
        self.all.get(index).filter(|(known, _)| *known == address).map(|(_, name)| name.as_str())
    }
}

/// Names in a program that the verifier has seen.
#[derive(Debug)]
pub(super) struct InKernel<'k> {
    pub(super) symbols: &'k Symbols,
    /// Addresses of the program's functions, and their names.
    pub(super) functions: &'k [String],
    /// The first instruction of each of them.
    pub(super) starts: &'k [u32],
}

impl Names for InKernel<'_> {
    fn call(&self, instruction: &Instruction) -> Option<String> {
        if instruction.src == CALL_FUNCTION {
            // The verifier writes the distance into the constant of what is shown.
            let at = i64::try_from(instruction.at).ok()?.checked_add(i64::from(instruction.imm))?.checked_add(1)?;
            let index = self.starts.iter().position(|start| i64::from(*start) == at)?;
            return self.functions.get(index).cloned();
        }
        let address = self.symbols.base?.checked_add_signed(i64::from(instruction.imm))?;
        self.symbols.at(address).map(str::to_owned)
    }

    fn constant(&self, instruction: &Instruction) -> Option<String> {
        let id = instruction.imm.cast_unsigned();
        match instruction.src {
            MAP => Some(format!("map[id:{id}]")),
            MAP_VALUE => Some(format!("map[id:{id}][0]+{}", instruction.high.unwrap_or(0).cast_unsigned())),
            _ => None,
        }
    }
}
