//! Searches by the index, and the making of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use gimli::SectionId;

use super::candidates::UnitSet;
use super::gather::names_with_code;
use super::index::{self, Index, Names};
use super::info::Information;
use super::tree::NameTest;
use super::wanted::Wanted;
use crate::debug::{Doing, Step};

impl Information<'_> {
    /// The units that the index names, where there is one, or where it is made since all units have to be read anyway.
    pub(super) fn indexed(&self, wanted: &Wanted) -> Option<UnitSet> {
        let options = self.files.options();
        let folder = options.index_dir.as_deref()?;
        let identity = self.identity()?;
        let path = index::path(folder, &identity);
        if let Some(index) = Index::read(&path, &identity, &self.main.units) {
            return Some(index.units(wanted, &self.main.units));
        }
        if *wanted != Wanted::Any {
            return None;
        }
        let indices: Vec<usize> = (0..self.main.units.len()).collect();
        let total = self.main.sections.get(SectionId::DebugInfo).len() as u64;
        let done = AtomicU64::new(0);
        let test = NameTest { wanted, strings: None };
        let names = self.each(&self.main, &indices, test, |view, index| {
            let names = match view.load(index) {
                Ok(home) => names_with_code(view, &home),
                Err(_) => HashSet::from([Vec::new()]),
            };
            let len = view.units.get(index).map_or(0, |unit| (unit.end - unit.start) as u64);
            let done = done.fetch_add(len, Ordering::Relaxed).saturating_add(len);
            if let Some(progress) = &options.progress {
                let subject = self.files.main().contents.path();
                progress.tell(&Step { doing: Doing::Indexing, subject, done, total: Some(total) });
            }
            names
        });
        if self.budget.is_spent() {
            return None;
        }
        let mut all = Names::new();
        for (unit, names) in names {
            let Ok(unit) = u32::try_from(unit) else { continue };
            for name in names {
                all.entry(name).or_default().push(unit);
            }
        }
        index::write(&path, &all, &identity, &self.main.units);
        None
    }

    /// What the index depends on: none where nothing is to be kept.
    pub(super) fn identity(&self) -> Option<String> {
        let main = self.files.main();
        let build_id: String = main.build_id().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect();
        let alt = match self.files.supplementary() {
            Some(alt) => alt.contents.version()?,
            None => String::new(),
        };
        Some(format!("{build_id} {} {alt}", main.contents.version()?))
    }
}
