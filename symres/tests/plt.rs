//! Entries of the procedure linkage table, in the layouts of several linkers, against objdump's labels.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use symres::{Binary, PlaceKind, Reason, Role, Table};

use common::{output, search};

/// What the program calls in other files.
const CALLED: &[&str] = &["abort", "free", "malloc", "picked", "printf", "strcpy", "strlen", "write"];

/// Ways to link it, and whether objdump knows the layout.
const LAYOUTS: &[(&str, &str, bool)] = &[
    ("gcc", "-Wl,-z,lazy", true),
    ("gcc", "-Wl,-z,now", true),
    ("gcc", "-fcf-protection -Wl,-z,ibtplt", true),
    ("gcc", "-fcf-protection -Wl,-z,now -Wl,-z,ibtplt", true),
    ("gcc", "-Wl,-z,bndplt", true),
    ("gcc", "-no-pie -fno-pie -Wl,-z,lazy", true),
    ("gcc", "-Wl,-z,noseparate-code", true),
    ("gcc", "-fuse-ld=gold", true),
    ("gcc", "-fuse-ld=gold -Wl,-z,now", true),
    ("gcc", "-shared -fPIC", true),
    ("clang-19", "-fuse-ld=lld", true),
    ("clang-19", "-fuse-ld=lld -Wl,-z,now", true),
    ("clang-19", "-fuse-ld=lld -no-pie -fno-pie", true),
    ("clang-19", "-fuse-ld=lld -fcf-protection=full -Wl,-z,force-ibt", true),
    ("clang-19", "-fuse-ld=lld -Wl,-z,retpolineplt", false),
    ("clang-19", "-fuse-ld=lld -Wl,-z,retpolineplt -Wl,-z,now", false),
];

fn link(folder: &Path, compiler: &str, flags: &str) -> Result<PathBuf> {
    let path = folder.join("program");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/plt.c");
    let mut command = Command::new(compiler);
    output(command.args(["-O1", "-fno-builtin", "-o"]).arg(&path).arg(source).args(flags.split(' ')))?;
    Ok(path)
}

/// Labels of objdump: `0000000000001030 <free@plt>:`. What an IFUNC chooses it calls `*ABS*+0x11ad`.
fn labels(path: &Path) -> Result<BTreeSet<(u64, String)>> {
    let text = output(Command::new("objdump").arg("-d").arg(path))?;
    let label = |line: &str| {
        let (addr, name) = line.strip_suffix("@plt>:")?.split_once(" <")?;
        let name = if name.starts_with("*ABS*+") { "picked" } else { name };
        Some((u64::from_str_radix(addr, 16).ok()?, name.to_owned()))
    };
    Ok(text.lines().filter_map(label).collect())
}

/// The addresses of the sections whose names begin with `.plt`.
fn sections(path: &Path) -> Result<Vec<std::ops::Range<u64>>> {
    let text = output(Command::new("readelf").arg("-SW").arg(path))?;
    let range = |line: &str| {
        let fields: Vec<&str> = line.split_once("] ")?.1.split_whitespace().collect();
        let [name, _, addr, _, size, ..] = fields.as_slice() else { return None };
        let (addr, size) = (u64::from_str_radix(addr, 16).ok()?, u64::from_str_radix(size, 16).ok()?);
        (name.starts_with(".plt") || name.starts_with(".iplt")).then(|| addr..addr + size)
    };
    Ok(text.lines().filter_map(range).collect())
}

fn found(binary: &Binary, pattern: &str) -> Result<BTreeSet<(u64, String)>> {
    let answer = search(binary, pattern)?;
    let mut found = BTreeSet::new();
    for function in &answer.matches {
        assert_eq!((function.role, function.tables.as_slice()), (Role::Plt, [Table::Plt].as_slice()));
        for place in &function.places {
            assert_eq!(place.kind, PlaceKind::Plt);
            found.insert((place.addr.0, function.mangled.strip_suffix("@plt").unwrap().to_owned()));
        }
    }
    Ok(found)
}

#[test]
fn entries_are_where_objdump_has_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (compiler, flags, known) in LAYOUTS {
        let path = link(folder.path(), compiler, flags)?;
        let binary = Binary::open(&path)?;
        let all = found(&binary, "*@plt")?;
        let mut names: BTreeSet<&str> = all.iter().map(|(_, name)| name.as_str()).collect();
        names.remove("__cxa_finalize");
        names.remove("__gmon_start__");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), CALLED, "{compiler} {flags}");
        if *known {
            let listed = labels(&path)?;
            // lld has the entry of the IFUNC in `.iplt`, which objdump does not know.
            let mut compared = all.clone();
            if !listed.iter().any(|(_, name)| name == "picked") {
                compared.retain(|(_, name)| name != "picked");
            }
            assert_eq!(compared, listed, "{compiler} {flags}");
        }
        let sections = sections(&path)?;
        for (addr, name) in &all {
            assert!(sections.iter().any(|section| section.contains(addr)), "{name} at {addr:#x}: {compiler} {flags}");
            let at = search(&binary, &format!("{addr:#x}"))?.matches;
            assert_eq!(at[0].mangled, format!("{name}@plt"), "{compiler} {flags}");
        }
        let expect: BTreeSet<_> = all.iter().filter(|(_, name)| name == "write").cloned().collect();
        assert_eq!(found(&binary, "write@plt")?, expect, "{compiler} {flags}");
    }
    Ok(())
}

#[test]
fn bodies_resolvers_and_entries_are_told_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = Binary::open(&link(folder.path(), "gcc", "-Wl,-z,lazy")?)?;
    let import = search(&binary, "write")?;
    assert_eq!((import.matches.len(), import.reason), (0, Some(Reason::Imported)));
    assert_eq!((import.near[0].mangled.as_str(), import.near[0].role), ("write@plt", Role::Plt));
    let resolver = search(&binary, "picked")?.matches;
    assert_eq!((resolver[0].role, &resolver[0].places[0].kind), (Role::Resolver, &PlaceKind::Body));
    let entry = search(&binary, "picked@plt")?.matches;
    assert_eq!((entry[0].role, &entry[0].places[0].kind), (Role::Plt, &PlaceKind::Plt));
    let chosen = search(&binary, "chosen_one")?.matches;
    assert_eq!((chosen[0].role, &chosen[0].places[0].kind), (Role::Whole, &PlaceKind::Body));
    let own = search(&binary, "main@plt")?;
    assert_eq!((own.matches.len(), own.reason), (0, Some(Reason::NoPlt)));
    assert_eq!(own.near[0].mangled, "main");
    assert_eq!(search(&binary, "no_such_function@plt")?.reason.map(|r| r.name()), Some("not-there"));
    Ok(())
}

/// A program without dynamic linking has entries for IFUNCs, whose slots it fills itself.
#[test]
fn entries_of_a_static_program() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for flags in ["-static -no-pie -fno-pie", "-static-pie"] {
        let path = link(folder.path(), "gcc", flags)?;
        let binary = Binary::open(&path)?;
        let entries = found(&binary, "picked@plt")?;
        let sections = sections(&path)?;
        assert_eq!(entries.len(), 1, "{flags}");
        assert!(entries.iter().all(|(addr, _)| sections.iter().any(|section| section.contains(addr))), "{flags}");
    }
    Ok(())
}

#[test]
fn instructions_are_found_by_address_and_by_offset() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = link(folder.path(), "gcc", "-no-pie -fno-pie")?;
    let binary = Binary::open(&path)?;
    let main = search(&binary, "main")?.matches.remove(0);
    let start = main.places[0].addr.0;
    let size = main.places[0].size.0;
    for offset in [0, 1, size - 1] {
        for pattern in [format!("{:#x}", start + offset), format!("main+{offset}"), format!("main+{offset:#x}")] {
            let answer = search(&binary, &pattern)?;
            let [function] = answer.matches.as_slice() else { panic!("{pattern}: {answer:?}") };
            let [place] = function.places.as_slice() else { panic!("{pattern}: {answer:?}") };
            assert_eq!((function.mangled.as_str(), place.addr.0), ("main", start + offset), "{pattern}");
            assert_eq!(place.offset.0, main.places[0].offset.0 + offset, "{pattern}");
            match &place.kind {
                PlaceKind::Body => assert_eq!(offset, 0, "{pattern}"),
                PlaceKind::Inside { from_entry, .. } => assert_eq!((from_entry.0, offset > 0), (offset, true)),
                other => panic!("{pattern}: {other:?}"),
            }
        }
    }
    let reason = |pattern: &str| -> Result<Option<&str>> { Ok(search(&binary, pattern)?.reason.map(|r| r.name())) };
    assert_eq!(reason(&format!("main+{size}"))?, Some("behind-end"));
    assert_eq!(reason("0x10")?, Some("no-code"));
    assert_eq!(reason("no_such_function+4")?, Some("not-there"));

    // Without symbols the bounds of functions are still known, by the index for unwinding.
    let stripped = folder.path().join("stripped");
    output(Command::new("strip").arg("-o").arg(&stripped).arg(&path))?;
    let answer = search(&Binary::open(&stripped)?, &format!("{:#x}", start + 4))?;
    let [function] = answer.matches.as_slice() else { panic!("{answer:?}") };
    assert_eq!(
        (function.mangled.clone(), function.tables.as_slice()),
        (format!("{start:#x}"), [Table::EhFrame].as_slice())
    );
    assert!(matches!(function.places[0].kind, PlaceKind::Inside { from_entry, .. } if from_entry.0 == 4));
    Ok(())
}
