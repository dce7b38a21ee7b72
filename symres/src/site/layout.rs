//! Where other code of a binary begins, as its symbols tell.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::addr::{ByteSpan, VirtAddr};
use crate::error::Error;
use crate::source::{Entry, SymbolTable, Table};

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
    pub(crate) fn of(tables: &[(Table, SymbolTable)]) -> Result<Self, Error> {
        let mut parts: HashMap<String, Vec<(VirtAddr, ByteSpan)>> = HashMap::new();
        let mut entries = Vec::new();
        for (_, table) in tables {
            let names = table.names(COLD)?;
            let entry = |entry: &Entry| {
                if entry.kind.is_function() {
                    entries.push(entry.addr.0);
                }
            };
            table.each::<()>(&names, entry, |symbol| {
                if symbol.kind.is_function()
                    && let Some((function, _)) = symbol.name.split_once(COLD)
                {
                    let of_function = parts.entry(function.to_owned()).or_default();
                    if !of_function.contains(&(symbol.addr, symbol.size)) {
                        of_function.push((symbol.addr, symbol.size));
                    }
                }
                ControlFlow::Continue(())
            })?;
        }
        entries.sort_unstable();
        entries.dedup();
        let mut cold: HashMap<VirtAddr, Vec<(VirtAddr, ByteSpan)>> = HashMap::new();
        if !parts.is_empty() {
            for (_, table) in tables {
                // Functions of one name in several files: whose part it is, is not told.
                table.each_named::<()>(&table.names("")?, |symbol| {
                    if symbol.kind.is_function()
                        && let Some(parts) = parts.get(symbol.name)
                    {
                        cold.entry(symbol.addr).or_default().extend(parts);
                    }
                    ControlFlow::Continue(())
                })?;
            }
        }
        Ok(Self { entries, cold })
    }

    /// The first entry of a function from one address to another, both included.
    pub(super) fn first_between(&self, first: VirtAddr, last: VirtAddr) -> Option<VirtAddr> {
        let at = self.entries.partition_point(|entry| *entry < first.0);
        self.entries.get(at).copied().filter(|entry| *entry <= last.0).map(VirtAddr)
    }

    /// The entries of functions behind one address and before another.
    pub(super) fn entries(&self, behind: VirtAddr, before: VirtAddr) -> &[u64] {
        let from = self.entries.partition_point(|entry| *entry <= behind.0);
        let to = self.entries.partition_point(|entry| *entry < before.0);
        self.entries.get(from..to).unwrap_or_default()
    }

    /// The parts of a function that are elsewhere.
    pub(super) fn parts(&self, function: VirtAddr) -> &[(VirtAddr, ByteSpan)] {
        self.cold.get(&function).map(Vec::as_slice).unwrap_or_default()
    }
}
