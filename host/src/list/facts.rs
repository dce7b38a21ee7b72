//! What is read once for the kinds of one query, when it is first asked for.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::query::Query;
use crate::cli::ListArgs;
use crate::kernel::names::{self, Symbols};
use crate::kernel::{Kernel, btf};
use crate::lookup::Lookup;
use crate::prototype::KernelPrototypes;

/// What kinds find their places by.
#[derive(Debug, Clone)]
pub(super) struct Facts<'f> {
    pub(super) kernel: &'f Kernel,
    joined: &'f OnceCell<Option<btf::Joined>>,
    pub(super) lookup: &'f Lookup,
    pub(super) args: &'f ListArgs,
    pub(super) query: &'f Query,
    read: Rc<Read<'f>>,
    notes: Rc<RefCell<Vec<String>>>,
}

#[derive(Debug, Default)]
struct Read<'f> {
    symbols: OnceCell<Result<Symbols, String>>,
    prototypes: OnceCell<Result<KernelPrototypes<'f>, String>>,
}

impl<'f> Facts<'f> {
    /// Nothing is read yet. `joined` is where the types of modules will be kept.
    pub(super) fn new(
        kernel: &'f Kernel,
        joined: &'f OnceCell<Option<btf::Joined>>,
        lookup: &'f Lookup,
        args: &'f ListArgs,
        query: &'f Query,
    ) -> Self {
        Self { kernel, joined, lookup, args, query, read: Rc::default(), notes: Rc::default() }
    }

    /// The kernel's functions.
    pub(super) fn symbols(&self) -> Result<&Symbols, String> {
        let symbols = self.read.symbols.get_or_init(|| {
            let symbols = names::symbols(self.kernel)?;
            symbols.notes.iter().for_each(|note| self.note(note.clone()));
            Ok(symbols)
        });
        symbols.as_ref().map_err(Clone::clone)
    }

    /// What the kernel's types say, with those of the modules that have a name which fits.
    pub(super) fn prototypes(&self) -> Result<&KernelPrototypes<'f>, String> {
        let prototypes = self.read.prototypes.get_or_init(|| {
            let kernel = self.kernel.btf().map_err(ToString::to_string)?;
            let joined = self.joined.get_or_init(|| btf::with_modules_that(kernel, &|name| self.is_wanted(name)));
            Ok(KernelPrototypes::new(joined.as_ref().map_or(kernel, |joined| &joined.btf)))
        });
        prototypes.as_ref().map_err(Clone::clone)
    }

    /// Whether a name among the types is that of something that fits.
    fn is_wanted(&self, name: &str) -> bool {
        let plain = ["btf_trace_", "bpf_iter_", "bpf_lsm_"].iter().find_map(|start| name.strip_prefix(start));
        // Which module a name is in is not known here.
        self.query.text.contains(':') || self.query.fits(plain.unwrap_or(name))
    }

    /// Something that the user should know.
    pub(super) fn note(&self, text: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    /// What is to be told.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }
}
