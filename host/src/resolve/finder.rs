//! Single places with all that is known of them, for those who describe places and write probes.

use std::cell::OnceCell;

use symres::{Function, Machine, PatternForm, Role, UsdtProbe};

use super::places::{self, Purpose};
use super::{Asked, Miss, Missing, Resolver, open, usdt, user};
use crate::facts::RegisterReads;
use crate::kernel::{Kernel, names};

/// Looks up places by name. Binaries are opened once.
pub struct Finder<'a> {
    resolver: Resolver<'a>,
    /// The functions of the kernel that can be probed, by name; none where it does not tell.
    functions: OnceCell<Vec<String>>,
}

/// A function of a program or library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFunction {
    /// The binary, as people are shown it.
    pub shown: String,
    /// Its processor.
    pub machine: Machine,
    /// The function, with all places that are probed.
    pub function: Function,
    /// What is to be known before it is probed.
    pub notes: Vec<String>,
}

impl<'a> Finder<'a> {
    /// As for [`resolve`](super::resolve); `binary` is that of places that name none.
    pub fn new(asked: &Asked<'a>, binary: Option<&'a str>, kernel: &'a Kernel) -> Self {
        Self { resolver: Resolver::new(asked, binary, kernel), functions: OnceCell::new() }
    }

    /// Whether there is a binary for places that name none.
    pub fn knows_binary(&self) -> bool {
        self.resolver.binary.is_some() || !self.resolver.pids.is_empty()
    }

    /// The one function that is meant, for its entries or its returns. None where instructions are meant that are inside of
    /// functions: an address, a line.
    ///
    /// # Errors
    /// When there is none, when there are several, and when nothing of it can be probed, with what is there instead.
    pub fn user_function(
        &mut self,
        binary: Option<String>,
        written: &str,
        returns: bool,
    ) -> Result<Option<UserFunction>, Missing> {
        let (pid, binary) = (self.resolver.pids.first().copied(), self.resolver.named(binary));
        let Resolver { binaries, lookup, .. } = &mut self.resolver;
        let opened = binaries.entry((pid, binary.clone())).or_insert_with(|| open(pid, binary.as_deref(), lookup));
        let opened = opened.as_ref().map_err(|error| Miss::new(error.clone()))?;
        let shown = opened.shown().display().to_string();
        let (pattern, answer) = user::search(opened, written, &shown)?;
        if !matches!(pattern.form(), PatternForm::Name | PatternForm::Symbol | PatternForm::Plt(_)) {
            return Ok(None);
        }
        let purpose = Purpose { returns, reads: RegisterReads::default(), machine: opened.machine() };
        let chosen = places::choose(written, &shown, &answer.matches, purpose)?;
        let Some(function) = merged(&answer.matches) else { return Ok(None) };
        let notes = chosen.warnings.into_iter().chain(user::not_used(opened, &answer)).collect();
        Ok(Some(UserFunction { machine: opened.machine(), shown, function, notes }))
    }

    /// The USDT probe that is meant, and the file that it is in, as people are shown it.
    ///
    /// # Errors
    /// When there is none, or it cannot be probed, with what is there instead.
    pub fn usdt(
        &mut self,
        binary: Option<&str>,
        provider: Option<&str>,
        name: &str,
    ) -> Result<(String, UsdtProbe), Missing> {
        let pid = self.resolver.pids.first().copied();
        let binary = self.resolver.named(binary.map(str::to_owned));
        let found = self.resolver.find_usdt(pid, binary.as_deref(), provider, name)?;
        let first =
            found.into_iter().next().ok_or_else(|| Miss::new(format!("no file has the USDT probe `{name}`")))?;
        usdt::check(&first)?;
        Ok((first.shown, first.probe))
    }

    /// That the kernel has a function of that name which can be probed.
    ///
    /// # Errors
    /// When it has none, with the name that is most like it.
    pub fn kernel_function(&self, name: &str) -> Result<(), Missing> {
        let all = || names::functions(self.resolver.kernel, &|_| true).map(|all| all.names).unwrap_or_default();
        match self.functions.get_or_init(all).binary_search_by(|known| known.as_str().cmp(name)) {
            Ok(_) => Ok(()),
            Err(_) => Ok(self.resolver.check_function(name)?),
        }
    }
}

/// All matches as one function: its body, if it has one that all callers call, says how it is called.
fn merged(matches: &[Function]) -> Option<Function> {
    let is_whole = |function: &&Function| function.role == Role::Whole && function.body().is_some();
    let main = matches.iter().find(is_whole).or_else(|| matches.iter().find(|found| found.signature.is_some()));
    let mut merged = main.or(matches.first())?.clone();
    if merged.role == Role::Whole && merged.body().is_some() {
        return Some(merged);
    }
    let is_part = |function: &&Function| matches!(function.role, Role::Whole | Role::Copy);
    merged.places = matches.iter().filter(is_part).flat_map(|function| function.places.iter().cloned()).collect();
    Some(merged)
}
