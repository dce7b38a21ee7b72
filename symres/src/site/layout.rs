//! Where other code of a binary begins, as its symbols tell.

use std::collections::HashMap;

use crate::addr::{ByteSpan, VirtAddr};
use crate::source::{SymbolTable, Table};

/// What stands in the name of a part that the compiler moved away from its function: `f.cold`, `f.cold.3`.
const COLD: &str = ".cold";

/// The functions of a binary by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Where functions begin, sorted.
    entries: Vec<u64>,
    /// By the address of a function: its parts that are elsewhere.
    cold: HashMap<VirtAddr, Vec<(VirtAddr, ByteSpan)>>,
}

impl Layout {
    /// Reads the symbols.
    pub(crate) fn of(tables: &[(Table, SymbolTable)]) -> Self {
        let functions = || {
            let symbols = tables.iter().flat_map(|(_, table)| table.iter());
            symbols.filter(|symbol| symbol.kind.is_function())
        };
        let mut parts: HashMap<&str, Vec<(VirtAddr, ByteSpan)>> = HashMap::new();
        let mut entries = Vec::new();
        for symbol in functions() {
            entries.push(symbol.addr.0);
            if let Some((function, _)) = symbol.name.split_once(COLD) {
                let of_function = parts.entry(function).or_default();
                if !of_function.contains(&(symbol.addr, symbol.size)) {
                    of_function.push((symbol.addr, symbol.size));
                }
            }
        }
        entries.sort_unstable();
        entries.dedup();
        let mut cold: HashMap<VirtAddr, Vec<(VirtAddr, ByteSpan)>> = HashMap::new();
        if !parts.is_empty() {
            // Functions of one name in several files: whose part it is, is not told.
            for symbol in functions() {
                cold.entry(symbol.addr).or_default().extend(parts.get(symbol.name).into_iter().flatten());
            }
            cold.retain(|_, parts| !parts.is_empty());
        }
        Self { entries, cold }
    }

    /// The first entry of a function from one address to another, both included.
    pub(super) fn first_between(&self, first: VirtAddr, last: VirtAddr) -> Option<VirtAddr> {
        let at = self.entries.partition_point(|entry| *entry < first.0);
        self.entries.get(at).copied().filter(|entry| *entry <= last.0).map(VirtAddr)
    }

    /// The parts of a function that are elsewhere.
    pub(super) fn parts(&self, function: VirtAddr) -> &[(VirtAddr, ByteSpan)] {
        self.cold.get(&function).map(Vec::as_slice).unwrap_or_default()
    }
}
