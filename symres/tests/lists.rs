//! A list of a binary's functions is the same however it is searched for: by a text that its symbols must hold, or by looking at
//! every one of them.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use dbcc_tests::need;
use symres::{Binary, Function, Pattern, Table};

use common::{readelf, search};

/// Every function's name fits.
const ALL: &str = "/./";

/// Where the bodies of functions with a symbol are, and how many places each has.
fn bodies<'f>(functions: impl IntoIterator<Item = &'f Function>) -> BTreeMap<u64, usize> {
    let with_symbol = functions.into_iter().filter(|function| function.tables != [Table::Dwarf]);
    with_symbol.filter_map(|function| Some((function.body()?.addr.0, function.places.len()))).collect()
}

/// Compares lists with what the list of all has of the same names.
fn check(path: &Path, patterns: &[&str]) -> Result<()> {
    let binary = Binary::open(path)?;
    let answer = search(&binary, ALL)?;
    // Of programs in Rust not all copies are told: there are too many.
    let cut = answer.notes.iter().any(|note| note.contains("not all of it was read"));
    let all = answer.matches;
    let known = bodies(&all);
    for listed in readelf(path)?.into_iter().filter(|listed| !listed.name.contains('.') && listed.addr != 0) {
        let thunk = ["_ZTh", "_ZTv", "_ZTc"].iter().any(|start| listed.name.starts_with(start));
        ensure!(thunk || known.contains_key(&listed.addr), "{} is not in the list of all", listed.name);
    }
    for text in patterns {
        let pattern: Pattern = text.parse()?;
        let fits = |function: &&Function| {
            let others = function.aliases.iter().map(|alias| alias.mangled.as_str());
            std::iter::once(function.mangled.as_str()).chain(others).any(|name| pattern.matches_linkage_name(name))
        };
        let expected = bodies(all.iter().filter(fits));
        ensure!(!expected.is_empty(), "{text} means nothing");
        let found = bodies(&search(&binary, text)?.matches);
        match cut {
            true => ensure!(found.keys().eq(expected.keys()), "{text}: {found:?} and not {expected:?}"),
            false => assert_eq!(found, expected, "{text}"),
        }
    }
    Ok(())
}

/// It has tens of thousands of symbols, so that they are searched by several threads.
#[test]
fn of_a_program_in_rust() -> Result<()> {
    check(&std::env::current_exe()?, &["*lock*", "*alloc*", "core::*", "*::fmt", "symres::*::read"])
}

#[test]
fn of_a_server_in_cpp() -> Result<()> {
    let path = dbcc_tests::need!(need::mysql56());
    check(&path, &["*lock*", "THD::*", "*::lock*", "ha_*_end", "*mutex*exit*", "*operator*", "dispatch_command"])
}
