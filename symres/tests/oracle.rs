//! Real servers and libraries: what symres lists is what `readelf`, `nm`, `c++filt` and `objdump` list.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::need::{self, Skip};
use symres::{Binary, Outcome, Role, Table};

use common::{body, filt, names, objdump, output, readelf, search, segments, with_symbols};

fn installed(path: &str) -> Result<PathBuf, Skip> {
    let path = PathBuf::from(path);
    if path.exists() { Ok(path) } else { Err(Skip::required(format!("{} is not there", path.display()))) }
}

/// Every `step`th function is looked at closely.
fn check(path: &Path, step: usize) -> Result<()> {
    let binary = Binary::open(path)?;
    let mut listed = readelf(path)?;
    // Where the package with the debug file is installed, its names count too.
    search(&binary, "any")?;
    for file in binary.consulted().iter().filter(|c| c.outcome == Outcome::Used && c.file != path) {
        listed.extend(readelf(&file.file)?);
    }
    all_functions_are_listed(&binary, &listed)?;
    offsets_and_code(path, &binary, &listed, step)
}

fn all_functions_are_listed(binary: &Binary, listed: &[common::Listed]) -> Result<()> {
    let mut expect: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for function in listed {
        let list = expect.entry(function.addr).or_default();
        list.push(function.name.clone());
        list.sort();
        list.dedup();
    }
    let found = names(&with_symbols(&search(binary, "*")?.matches));
    // Pieces and thunks are not what `*` asks for; each is found by its own name.
    let mut left: Vec<(&u64, &Vec<String>)> = Vec::new();
    for (addr, names) in &expect {
        match found.get(addr) {
            Some(found) => assert_eq!(found, names, "{addr:#x}"),
            None => left.push((addr, names)),
        }
    }
    assert_eq!(found.len() + left.len(), expect.len(), "addresses that readelf does not list");
    for (addr, names) in left.iter().step_by(left.len() / 20 + 1) {
        let function = search(binary, &names[0])?.matches.into_iter().find(|f| body(f).addr.0 == **addr);
        let function = function.with_context(|| format!("{} is not found", names[0]))?;
        assert!(matches!(function.role, Role::Piece | Role::Thunk), "{} is {:?}", names[0], function.role);
    }
    Ok(())
}

fn offsets_and_code(path: &Path, binary: &Binary, listed: &[common::Listed], step: usize) -> Result<()> {
    let segments = segments(path)?;
    let sizes: BTreeMap<(u64, &str), u64> = listed.iter().map(|l| ((l.addr, l.name.as_str()), l.size)).collect();
    for (index, function) in with_symbols(&search(binary, "*")?.matches).iter().enumerate() {
        let addr = body(function).addr.0;
        let offset = segments
            .iter()
            .find(|(vaddr, _, size)| (*vaddr..vaddr + size).contains(&addr))
            .map(|(vaddr, offset, _)| addr - vaddr + offset);
        assert_eq!(offset, Some(body(function).offset.0), "{}", function.mangled);
        assert_eq!(sizes.get(&(addr, function.mangled.as_str())), Some(&body(function).size.0), "{}", function.mangled);
        if index % step == 0 && body(function).size.0 > 0 {
            let code = objdump(path, addr, body(function).size.0.min(8))?;
            let len = code.len().min(body(function).entry.len()).min(body(function).size.0.min(8).try_into()?);
            assert!(len > 0, "{}", function.mangled);
            assert_eq!(body(function).entry[..len], code[..len], "{}", function.mangled);
        }
    }
    Ok(())
}

#[test]
fn mysql56() -> Result<()> {
    check(&dbcc_tests::need!(need::mysql56()), 3000)
}

#[test]
fn mariadb() -> Result<()> {
    check(&dbcc_tests::need!(installed("/usr/sbin/mariadbd")), 3000)
}

#[test]
fn libc() -> Result<()> {
    let binary = Binary::find("libc.so.6")?;
    check(binary.path(), 300)
}

#[test]
fn python() -> Result<()> {
    check(&dbcc_tests::need!(installed("/usr/bin/python3")), 500)
}

/// Brackets that close at once are spelled `>>` by the one and `> >` by the other, `So` as `std::ostream` or in full.
fn respell(name: &str) -> String {
    let mut name = name.to_owned();
    while name.contains("> >") {
        name = name.replace("> >", ">>");
    }
    name.replace("std::basic_ostream<char, std::char_traits<char>>", "std::ostream")
}

#[test]
fn demangled_names_are_those_of_the_binutils() -> Result<()> {
    let path = dbcc_tests::need!(need::mysql56());
    // Only the binutils know `_GLOBAL__I_`, of compilers before 2010.
    let mut functions = with_symbols(&search(&Binary::open(&path)?, "*")?.matches);
    functions.retain(|f| !f.mangled.starts_with("_GLOBAL__"));
    assert!(functions.len() > 15_000);
    let mangled: Vec<String> = functions.iter().map(|f| f.mangled.clone()).collect();
    for (function, expect) in functions.iter().zip(filt(&mangled)?) {
        assert_eq!(respell(&function.name), respell(&expect), "{}", function.mangled);
    }
    Ok(())
}

/// The name in front of the parameters, of what `nm -C` prints: `Foo::bar` of `Foo::bar(int) const`. Only of names
/// without templates and lambdas, which would take a parser like the one under test.
fn plain_path(demangled: &str) -> Option<&str> {
    let special =
        demangled.contains(['<', '{', '[', '\'']) || demangled.contains("operator") || demangled.contains(" for ");
    let path = demangled.split('(').next()?;
    (!special && !demangled.contains(" to ") && !path.is_empty()).then_some(path)
}

#[test]
fn patterns_select_what_a_search_of_nm_selects() -> Result<()> {
    let path = dbcc_tests::need!(need::mysql56());
    let binary = Binary::open(&path)?;
    let text = output(Command::new("nm").arg("-C").arg(&path))?;
    let all: Vec<(u64, &str)> = text
        .lines()
        .filter_map(|line| {
            let (addr, rest) = line.split_once(' ')?;
            let (kind, name) = rest.split_once(' ')?;
            let function = matches!(kind, "t" | "T" | "w" | "W");
            function.then_some((u64::from_str_radix(addr, 16).ok()?, name))
        })
        .collect();
    let mut compared = 0;
    let mut check = |pattern: &str, fits: &dyn Fn(&str) -> bool| -> Result<()> {
        let expect: BTreeSet<u64> =
            all.iter().filter(|(_, name)| plain_path(name).is_some_and(fits)).map(|(addr, _)| *addr).collect();
        let found: BTreeSet<u64> = with_symbols(&search(&binary, pattern)?.matches)
            .iter()
            .filter(|f| plain_path(&f.name).is_some())
            .map(|f| body(f).addr.0)
            .collect();
        assert_eq!(found, expect, "{pattern}");
        compared += expect.len();
        Ok(())
    };
    for word in ["dispatch_command", "login_connection", "print", "init", "close", "val_int", "mysql_parse"] {
        let nested = format!("::{word}");
        check(word, &|path| path == word || path.ends_with(&nested))?;
        check(&nested, &|path| path == word)?;
    }
    check("THD::*", &|path| {
        path.rsplit_once("::").is_some_and(|(scope, _)| scope == "THD" || scope.ends_with("::THD"))
    })?;
    check("*connection*", &|path| path.rsplit("::").next().is_some_and(|last| last.contains("connection")))?;
    check("Item_func::print", &|path| path == "Item_func::print")?;
    assert!(compared > 500, "{compared}");
    Ok(())
}

#[test]
fn the_classic_probe_points_of_servers() -> Result<()> {
    let mysql = Binary::open(&dbcc_tests::need!(need::mysql56()))?;
    let one = |binary: &Binary, pattern: &str, expect: &str| -> Result<()> {
        let matches = search(binary, pattern)?.matches;
        assert_eq!(matches.iter().map(|f| f.mangled.as_str()).collect::<Vec<_>>(), [expect], "{pattern}");
        Ok(())
    };
    let dispatch = "_Z16dispatch_command19enum_server_commandP3THDPcj";
    one(&mysql, "dispatch_command", dispatch)?;
    one(&mysql, "dispatch_command(enum_server_command, THD*, ...)", dispatch)?;
    one(&mysql, "dispatch_command(enum enum_server_command command, THD *thd, char* packet, uint len)", dispatch)?;
    one(&mysql, "mysql_parse(THD*, char*, uint, Parser_state*)", "_Z11mysql_parseP3THDPcjP12Parser_state")?;
    // Inlined into login_connection, at the address that `perf probe` shows.
    one(&mysql, "check_connection", "check_connection")?;
    let inlined = &search(&mysql, "check_connection")?.matches[0];
    assert_eq!(inlined.tables, [Table::Dwarf]);
    let places: Vec<_> = inlined.inlined().map(|(place, inlined)| (place.addr.0, &inlined.callers[..])).collect();
    let [(0x6c_37d3, [caller])] = places[..] else { panic!("{places:?}") };
    assert_eq!(caller.name, "login_connection(THD*)");

    let maria = Binary::open(&dbcc_tests::need!(installed("/usr/sbin/mariadbd")))?;
    one(&maria, "login_connection(THD*)", "_Z16login_connectionP3THD")?;
    one(&maria, "acl_authenticate(THD*, uint)", "_Z16acl_authenticateP3THDj")?;
    one(&maria, "net_flush(NET*)", "net_flush")?;
    let gone = search(&maria, "check_connection")?;
    assert_eq!(gone.reason.as_ref().map(symres::Reason::name), Some("stripped"));
    Ok(())
}
