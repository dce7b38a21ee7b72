//! Where the debug information puts functions and their inlined copies: programs of many compilers, versions of DWARF and ways
//! of linking and storing, compared with llvm-dwarfdump.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need::{self, Skip};
use symres::{Binary, PlaceKind};

use common::dwarfdump::{self, Copied, Known, simple};
use common::{output, segments};

/// What becomes of a program after it is built, in a folder of its own. The debug information of the program as it was built
/// is what the result is compared with.
type After = fn(&Path, &Path) -> Result<PathBuf>;

/// A way to build the fixture.
struct Build {
    name: String,
    compiler: &'static str,
    flags: Vec<String>,
    after: After,
}

fn build(compiler: &'static str, flags: &str) -> Build {
    then("", compiler, flags, as_it_is)
}

fn then(name: &str, compiler: &'static str, flags: &str, after: After) -> Build {
    let name = format!("{compiler} {flags} {name}").trim_end().to_owned();
    Build { name, compiler, flags: flags.split_whitespace().map(str::to_owned).collect(), after }
}

fn as_it_is(_: &Path, program: &Path) -> Result<PathBuf> {
    Ok(program.to_owned())
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn compile(build: &Build, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("program");
    let mut command = Command::new(build.compiler);
    // Split units and temporary files are written to where the compiler runs.
    command.current_dir(folder).args(&build.flags).arg("-o").arg(&program);
    if build.compiler == "rustc" {
        command.args(["-Cpanic=abort", "-Clink-arg=-nostdlib"]).arg(data("inlined.rs"));
    } else {
        command.args(["-g", "-w"]).arg(data("inlined.cc")).arg(data("inlined_other.cc"));
    }
    output(&mut command)?;
    Ok(program)
}

/// Everything that the fixture is built as must be there: `ci/setup` installs it.
fn need_tools() -> Result<(), Skip> {
    for tool in
        ["g++", "clang++-19", "ld.lld-19", "ld.gold", "llvm-dwarfdump-19", "llvm-dwp-19", "dwp", "dwz", "objcopy"]
    {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(Skip::required(format!("{tool} is not there (run ci/setup)")));
        }
    }
    Ok(())
}

/// Builds all, and compares each with what llvm-dwarfdump says of it.
fn check_all(builds: &[Build]) -> Result<()> {
    if let Err(skip) = need_tools() {
        return skip.report();
    }
    let mut wrong = Vec::new();
    for build in builds {
        let folder = tempfile::tempdir()?;
        let program = compile(build, folder.path())?;
        let known = in_code(dwarfdump::dump(&program)?, &segments(&program)?);
        let copies: usize = known.values().map(|known| known.copies.len()).sum();
        ensure!(copies >= 10, "{}: {copies} inlined copies only: the oracle does not understand it", build.name);
        let subject = (build.after)(folder.path(), &program).with_context(|| build.name.clone())?;
        let binary = Binary::open(&subject)?;
        for (name, known) in &known {
            wrong.extend(differences(&binary, name, known)?.into_iter().map(|line| format!("{}: {line}", build.name)));
        }
    }
    report(&wrong);
    Ok(())
}

/// Without what the linker left out: it has addresses where no code is.
fn in_code(mut all: BTreeMap<String, Known>, segments: &[(u64, u64, u64)]) -> BTreeMap<String, Known> {
    let is_code = |addr: u64| segments.iter().any(|(start, _, len)| (*start..start + len).contains(&addr));
    for known in all.values_mut() {
        known.bodies.retain(|addr, _| is_code(*addr));
        known.copies.retain(|copy| is_code(copy.entry));
    }
    all
}

/// Fails with the first differences.
#[track_caller]
fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

/// What symres finds of a name, as the oracle puts it.
fn found(binary: &Binary, name: &str) -> Result<Known> {
    let mut known = Known::default();
    for function in &binary.functions(&name.parse()?)?.matches {
        for place in &function.places {
            match &place.kind {
                PlaceKind::Body => {
                    known.bodies.insert(place.addr.0, place.size.0);
                }
                PlaceKind::Inlined(inlined) => {
                    let caller = |caller: &symres::Caller| {
                        let line = caller
                            .line
                            .as_ref()
                            .map(|line| (line.file.rsplit('/').next().unwrap_or_default().to_owned(), line.line));
                        (last_component(&caller.name), line)
                    };
                    let callers = inlined.callers.iter().map(caller).collect();
                    known.copies.insert(Copied { entry: place.addr.0, size: place.size.0, callers });
                }
                _ => {}
            }
        }
    }
    Ok(known)
}

fn differences(binary: &Binary, name: &str, known: &Known) -> Result<Vec<String>> {
    let mut found = found(binary, name)?;
    // llvm-dwarfdump has only numbers for the files of split units.
    let mut calls = known.copies.iter().flat_map(|copy| &copy.callers).filter_map(|(_, call)| call.as_ref());
    if calls.any(|(file, _)| file.is_empty()) {
        found.copies = found.copies.into_iter().map(without_files).collect();
    }
    let mut wrong = Vec::new();
    let bodies = |known: &Known| known.bodies.keys().copied().collect::<BTreeSet<u64>>();
    if bodies(&found) != bodies(known) {
        wrong.push(format!("bodies of {name}: {:#x?}, not {:#x?}", found.bodies.keys(), known.bodies.keys()));
    }
    for missing in known.copies.difference(&found.copies) {
        wrong.push(format!("copy of {name} is not found: {missing:x?}"));
    }
    for extra in found.copies.difference(&known.copies) {
        wrong.push(format!("no such copy of {name}: {extra:x?}"));
    }
    Ok(wrong)
}

fn without_files(mut copy: Copied) -> Copied {
    for (_, call) in &mut copy.callers {
        if let Some((file, _)) = call {
            file.clear();
        }
    }
    copy
}

/// `area` of `outer::Shape::area() const`, `mix` of `int outer::v2::mix<int, 3>(int)`.
fn last_component(name: &str) -> String {
    // As Rust's older mangling has it; DWARF has the number too.
    if name.ends_with("{{closure}}") {
        return "{closure#0}".to_owned();
    }
    // What follows are template arguments and parameters.
    if name.rfind("operator()").is_some_and(|at| !name[at..].contains("::{")) {
        return "operator()".to_owned();
    }
    let mut start = 0;
    let mut depth = 0_i32;
    let mut end = name.len();
    let is_operator = name.contains("operator");
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            b'(' if depth == 0 && !name[at..].starts_with("(anonymous") && !name[..at].ends_with("operator") => {
                // What follows is another component where this one is a scope: `f(int)::{lambda(int)#1}::operator()`.
                if !name[at..].contains(")::") || name[at..].rfind(")::").is_none() {
                    end = at;
                    break;
                }
                depth += 1;
            }
            b'<' if !is_operator => depth += 1,
            b'(' | b'{' => depth += 1,
            b'>' if !is_operator => depth -= 1,
            b')' | b'}' => depth -= 1,
            b':' if depth == 0 && name[..at].ends_with(':') => start = at + 1,
            b' ' if depth == 0 && !is_operator => start = at + 1,
            _ => {}
        }
    }
    simple(name.get(start..end).unwrap_or_default()).to_owned()
}

#[test]
fn names_are_cut_to_their_last_component() {
    for (name, last) in [
        ("leaf", "leaf"),
        ("leaf(int)", "leaf"),
        ("outer::(anonymous namespace)::hidden(int)", "hidden"),
        ("outer::Shape::area() const", "area"),
        ("int outer::v2::mix<int, 3>(int)", "mix"),
        ("with_lambda(int)::{lambda(int)#1}::operator()(int) const", "operator()"),
        ("<inlined::Shape<i32> as inlined::Area>::area", "area"),
        ("outer::Shape::~Shape()", "~Shape"),
        ("void del_ptr_zero::operator()<yaSSL::x509>(yaSSL::x509*&) const", "operator()"),
        ("inlined::rust_entry::{{closure}}", "{closure#0}"),
        ("inlined::rust_entry::{closure#0}", "{closure#0}"),
    ] {
        assert_eq!(last_component(name), last, "{name}");
    }
}

fn versions(compiler: &'static str) -> Vec<Build> {
    let mut builds = Vec::new();
    for version in 2..=5 {
        for level in 0..=3 {
            builds.push(build(compiler, &format!("-gdwarf-{version} -O{level}{}", libraries(compiler))));
        }
    }
    builds
}

/// clang++ links what g++ has installed by itself; lld is not Debian's default linker.
fn libraries(compiler: &str) -> &'static str {
    if compiler == "clang++-19" { " -Wno-everything" } else { "" }
}

#[test]
fn gcc() -> Result<()> {
    check_all(&versions("g++"))
}

#[test]
fn clang() -> Result<()> {
    check_all(&versions("clang++-19"))
}

#[test]
fn link_time() -> Result<()> {
    check_all(&[
        build("g++", "-O2 -flto"),
        build("g++", "-O3 -flto -gdwarf-4"),
        build("clang++-19", "-O2 -flto=thin -fuse-ld=lld-19"),
        build("clang++-19", "-O2 -flto=full -fuse-ld=lld-19"),
        build("clang++-19", "-O1 -flto=full -gdwarf-4 -fuse-ld=lld-19"),
        // Merged bodies, and functions that are not in the program but in its debug information.
        build("clang++-19", "-O2 -ffunction-sections -fuse-ld=lld-19 -Wl,--icf=all -Wl,--gc-sections"),
        build("g++", "-O1 -ffunction-sections -fuse-ld=gold -Wl,--icf=all -Wl,--gc-sections"),
        build("g++", "-O1 -gdwarf-4 -ffunction-sections -fuse-ld=bfd -Wl,--gc-sections"),
        build("g++", "-O2 -no-pie -fno-pie"),
        build("g++", "-O2 -static-pie"),
    ])
}

#[test]
fn type_units() -> Result<()> {
    check_all(&[
        build("g++", "-O2 -gdwarf-4 -fdebug-types-section"),
        build("g++", "-O2 -gdwarf-5 -fdebug-types-section"),
        build("clang++-19", "-O2 -gdwarf-4 -fdebug-types-section"),
        build("clang++-19", "-O2 -gdwarf-5 -fdebug-types-section"),
    ])
}

#[test]
fn split() -> Result<()> {
    check_all(&[
        build("g++", "-O2 -gdwarf-4 -gsplit-dwarf"),
        build("g++", "-O2 -gdwarf-5 -gsplit-dwarf"),
        build("clang++-19", "-O2 -gdwarf-4 -gsplit-dwarf"),
        build("clang++-19", "-O2 -gdwarf-5 -gsplit-dwarf"),
        then("and dwp", "g++", "-O2 -gdwarf-4 -gsplit-dwarf", packaged_by_binutils),
        then("and llvm-dwp", "g++", "-O2 -gdwarf-5 -gsplit-dwarf", packaged_by_llvm),
        then("and llvm-dwp", "clang++-19", "-O2 -gdwarf-5 -gsplit-dwarf", packaged_by_llvm),
        then("and llvm-dwp", "clang++-19", "-O2 -gdwarf-4 -gsplit-dwarf", packaged_by_llvm),
    ])
}

fn packaged_by_binutils(folder: &Path, program: &Path) -> Result<PathBuf> {
    packaged("dwp", folder, program)
}

fn packaged_by_llvm(folder: &Path, program: &Path) -> Result<PathBuf> {
    packaged("llvm-dwp-19", folder, program)
}

/// One `.dwp` file beside the program in place of the `.dwo` files.
fn packaged(tool: &str, folder: &Path, program: &Path) -> Result<PathBuf> {
    output(Command::new(tool).current_dir(folder).arg("-e").arg(program).arg("-o").arg("program.dwp"))?;
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "dwo") {
            fs::remove_file(path)?;
            removed += 1;
        }
    }
    ensure!(removed == 2, "{removed} .dwo files");
    Ok(program.to_owned())
}

#[test]
fn stored_elsewhere() -> Result<()> {
    check_all(&[
        then("and dwz", "g++", "-O2 -gdwarf-4", dwz),
        then("and dwz", "g++", "-O2 -gdwarf-5", dwz),
        then("and dwz -m", "g++", "-O2 -gdwarf-4", dwz_multifile),
        then("and dwz -m", "g++", "-O2 -gdwarf-5", dwz_multifile),
        then("and zlib", "g++", "-O2", |folder, program| compressed("zlib", folder, program)),
        then("and zlib-gnu", "g++", "-O2", |folder, program| compressed("zlib-gnu", folder, program)),
        then("and zstd", "g++", "-O2", |folder, program| compressed("zstd", folder, program)),
        build("clang++-19", "-O2 -gz=zstd -fuse-ld=lld-19 -Wl,--compress-debug-sections=zstd"),
        then("and debuglink", "g++", "-O2", linked),
        then("and a folder .debug", "clang++-19", "-O2", linked_below),
        then("and all of it", "g++", "-O2", |folder, program| {
            compressed("zstd", folder, program)?;
            linked(folder, &folder.join("compressed"))
        }),
    ])
}

fn dwz(folder: &Path, program: &Path) -> Result<PathBuf> {
    let smaller = folder.join("dwz");
    output(Command::new("dwz").arg("-o").arg(&smaller).arg(program))?;
    Ok(smaller)
}

/// What two programs have in common goes to a third file.
fn dwz_multifile(folder: &Path, program: &Path) -> Result<PathBuf> {
    let (first, second) = (folder.join("first"), folder.join("second"));
    fs::copy(program, &first)?;
    fs::copy(program, &second)?;
    output(Command::new("dwz").current_dir(folder).arg("-m").arg(folder.join("common")).arg("first").arg("second"))?;
    ensure!(folder.join("common").exists(), "dwz did not make a common file");
    Ok(first)
}

fn compressed(how: &str, folder: &Path, program: &Path) -> Result<PathBuf> {
    let smaller = folder.join("compressed");
    output(Command::new("objcopy").arg(format!("--compress-debug-sections={how}")).arg(program).arg(&smaller))?;
    Ok(smaller)
}

fn linked(folder: &Path, program: &Path) -> Result<PathBuf> {
    separate(folder, program, "program.debug")
}

fn linked_below(folder: &Path, program: &Path) -> Result<PathBuf> {
    fs::create_dir(folder.join(".debug"))?;
    separate(folder, program, ".debug/program.debug")
}

/// A stripped program, which names the file with its debug information.
fn separate(folder: &Path, program: &Path, debug: &str) -> Result<PathBuf> {
    let (debug, stripped) = (folder.join(debug), folder.join("stripped"));
    output(Command::new("objcopy").arg("--only-keep-debug").arg(program).arg(&debug))?;
    output(Command::new("strip").arg("-o").arg(&stripped).arg(program))?;
    output(Command::new("objcopy").arg(format!("--add-gnu-debuglink={}", debug.display())).arg(&stripped))?;
    Ok(stripped)
}

#[test]
fn rust() -> Result<()> {
    check_all(&[
        build("rustc", "-Cdebuginfo=2 -Copt-level=0 -Csymbol-mangling-version=v0"),
        build("rustc", "-Cdebuginfo=2 -Copt-level=2 -Csymbol-mangling-version=v0"),
        build("rustc", "-Cdebuginfo=2 -Copt-level=3"),
        build("rustc", "-Cdebuginfo=2 -Copt-level=s -Cdwarf-version=5 -Clto=fat"),
    ])
}

/// The oracle itself, where what it must say is plain from the source.
#[test]
fn llvm_dwarfdump_is_understood() -> Result<()> {
    if let Err(skip) = need_tools() {
        return skip.report();
    }
    let folder = tempfile::tempdir()?;
    let program = compile(&build("g++", "-O1"), folder.path())?;
    let known: BTreeMap<String, Known> = dwarfdump::dump(&program)?;
    let source = fs::read_to_string(data("inlined.cc"))?;
    let line_of = |text: &str| -> u32 {
        let at = source.lines().position(|line| line.contains(text)).unwrap();
        u32::try_from(at + 1).unwrap()
    };
    let copies = &known["check_connection"].copies;
    let mut callers: Vec<_> = copies.iter().map(|copy| copy.callers.clone()).collect();
    callers.sort();
    let file = |name: &str, line| Some((name.to_owned(), line));
    let login = |text| vec![("login_connection".to_owned(), file("inlined.cc", line_of(text)))];
    assert_eq!(
        callers[..2],
        [login("int const result = check_connection"), login("return check_connection(user + 1)")]
    );
    let others: Vec<&str> = callers[2..].iter().map(|callers| callers[0].0.as_str()).collect();
    assert_eq!(others, ["other_entry", "slow"]);
    let top = known["leaf"].copies.iter().filter(|copy| copy.callers.iter().any(|(name, _)| name == "top"));
    for copy in top {
        assert_eq!(copy.callers.last().unwrap().0, "many", "{copy:?}");
        assert!(copy.callers[0].0 == "middle" || copy.callers[0].0 == "top", "{copy:?}");
    }
    let nm = output(Command::new("nm").arg(&program))?;
    let login = nm.lines().find(|line| line.ends_with("login_connectioni")).unwrap();
    let addr = u64::from_str_radix(login.split(' ').next().unwrap(), 16)?;
    assert_eq!(known["login_connection"].bodies.keys().collect::<Vec<_>>(), [&addr]);
    Ok(())
}

/// Functions of MySQL 5.6.24 with inlined copies, of which there are thousands in 663 units, by GCC 4.1 as DWARF 2.
#[test]
fn two_hundred_functions_of_mysql() -> Result<()> {
    let server = match need_tools().and_then(|()| need::mysql56()) {
        Ok(server) => server,
        Err(skip) => return skip.report(),
    };
    let sample = dwarfdump::sampled(&server)?;
    assert_eq!(sample.len(), 200);
    let binary = Binary::open(&server)?;
    let mut wrong = Vec::new();
    let mut copies = 0;
    for (name, known) in &sample {
        copies += known.copies.len();
        wrong.extend(differences(&binary, name, known)?);
    }
    assert!(copies > 1000, "{copies} copies");
    report(&wrong);
    Ok(())
}
