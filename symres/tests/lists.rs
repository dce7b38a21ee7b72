//! A list of a binary's functions is the same however it is searched for: by a text that its symbols must hold, or by looking at
//! every one of them, or with no more than a list shows.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use dbcc_tests::need;
use symres::{Binary, Function, Listed, Options, Origin, Pattern, Table};

use common::{output, readelf, search};

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
    let answer = binary.functions_in_brief(&ALL.parse()?)?;
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
        let found = bodies(&binary.functions_in_brief(&pattern)?.matches);
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

/// What a short list shows of a function.
fn short(function: &Function) -> Listed {
    let name = function.name.clone();
    let others = function.aliases.iter().map(|alias| alias.name.clone()).filter(|other| *other != name);
    let others: BTreeSet<String> = others.collect();
    let others = others.into_iter().collect();
    Listed { name, others, has_body: function.body().is_some(), inlined: function.inlined().count() }
}

/// Short lists show what long ones do, whether something is kept between them or not, and keep one file of all functions.
fn check_short(path: &Path, patterns: &[&str]) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let keeping = Options { index_dir: Some(folder.path().to_owned()), ..Options::default() };
    for text in patterns {
        let pattern: Pattern = text.parse()?;
        let answer = Binary::open(path)?.functions_in_brief(&pattern)?;
        let mut expected: Vec<Listed> = answer.matches.iter().map(short).collect();
        expected.sort();
        ensure!(!expected.is_empty(), "{text} means nothing: {:?}", answer.reason);
        for options in [&Options::default(), &keeping, &keeping] {
            let list = Binary::open_with(path, options)?.list(&pattern)?;
            assert_eq!(list.functions, expected, "{text} in {}", path.display());
        }
    }
    Ok(())
}

#[test]
fn short_lists_of_small_programs() -> Result<()> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let builds: &[&[&str]] = &[
        &["-gdwarf-4"],
        &["-gdwarf-5"],
        &["-g", "-flto"],
        &["-g", "-gsplit-dwarf"],
        &["-gdwarf-5", "-fdebug-types-section"],
        &[],
    ];
    for flags in builds {
        let folder = tempfile::tempdir()?;
        let program = folder.path().join("program");
        let sources = ["inlined.cc", "inlined_other.cc"].map(|name| data.join(name));
        output(Command::new("g++").args(["-w", "-O2"]).args(*flags).args(sources).arg("-o").arg(&program))?;
        check_short(&program, &[ALL, "*", "*a*", "main", "*_connection"])?;
        if !flags.is_empty() {
            check_short(&program, &["leaf", "Shape", "/^outer::/"])?;
        }
    }
    Ok(())
}

#[test]
fn short_lists_of_a_server() -> Result<()> {
    let path = dbcc_tests::need!(need::mysql56());
    check_short(&path, &["*lock*", ALL, "THD::*", "dispatch_command", "/lock_rec_.*bit/", "*operator*"])
}

/// However many there are.
#[test]
fn of_all_functions_the_parameters_are_told() -> Result<()> {
    let path = dbcc_tests::need!(need::mysql56());
    let functions = search(&Binary::open(&path)?, "*lock*")?.matches;
    let places: usize = functions.iter().map(|function| function.places.len()).sum();
    let described = functions.iter().filter(|function| function.tables.contains(&Table::Dwarf));
    let told = |function: &&Function| function.signature.as_ref().is_some_and(|told| told.origin == Origin::DebugInfo);
    let untold: Vec<&str> =
        described.filter(|function| !told(function)).map(|function| function.name.as_str()).collect();
    ensure!(places > 1000 && untold.is_empty(), "{places}: {untold:?}");
    Ok(())
}

/// A kept outline is what the next list goes by, as long as it is sound and of this file.
#[test]
fn what_is_kept_is_used() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let [program, kept] = ["program", "kept"].map(|name| folder.path().join(name));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let sources = ["inlined.cc", "inlined_other.cc"].map(|name| data.join(name));
    let compile =
        |level: &str| output(Command::new("g++").args(["-g", "-w", level]).args(&sources).arg("-o").arg(&program));
    compile("-O2")?;
    let options = Options { index_dir: Some(kept.clone()), ..Options::default() };
    let list = || -> Result<BTreeSet<String>> {
        let list = Binary::open_with(&program, &options)?.list(&ALL.parse()?)?;
        Ok(list.functions.into_iter().map(|function| function.name).collect())
    };
    let names = list()?;
    ensure!(names.contains("leaf(int)"), "{names:?}");
    let mut files = std::fs::read_dir(&kept)?;
    let file = files.next().unwrap()?.path();
    assert!(files.next().is_none());
    let made = std::fs::read(&file)?;
    // What it calls `leaf` is only in the debug information.
    let with_checksum = |mut bytes: Vec<u8>| {
        let checksum = crc32fast::hash(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        bytes
    };
    let mut other = made.clone();
    for at in made.windows(4).enumerate().filter(|(_, word)| *word == b"leaf").map(|(at, _)| at) {
        other[at] = b'L';
    }
    std::fs::write(&file, with_checksum(other.clone()))?;
    ensure!(list()?.contains("Leaf(int)"), "{:?}", list()?);
    // Damaged, cut off, or of another layout: it is made anew.
    let cut = with_checksum(made[..made.len() - 1].to_vec());
    for unsound in [other, cut, Vec::new()] {
        std::fs::write(&file, unsound)?;
        assert_eq!(list()?, names);
    }
    compile("-O0")?;
    let other = list()?;
    let whole = "Local::slow(int) const";
    ensure!(other.contains(whole) && !names.contains(whole), "{other:?}");
    Ok(())
}
