//! Patterns on programs that this test compiles, so that what must be found is known.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use symres::{Binary, Pattern, Reason, Role, Table, first_of};

use common::{body, compile, objdump, output, readelf, search, segments};

/// The ways in which servers are linked.
const BUILDS: &[(&str, &[&str])] = &[
    ("pie", &["-DWITH_LIBC", "-pie", "-fPIE"]),
    ("no-pie", &["-DWITH_LIBC", "-no-pie", "-fno-PIE"]),
    ("cet", &["-DWITH_LIBC", "-fcf-protection=full"]),
    ("library.so", &["-shared", "-fPIC"]),
    // Address and offset differ by more than whole pages.
    ("odd", &["-DWITH_LIBC", "-no-pie", "-fno-PIE", "-Wl,-Ttext-segment=0x5000000", "-Wl,-z,noseparate-code"]),
];

#[track_caller]
fn check(binary: &Binary, pattern: &str, expect: &[&str]) {
    let answer = search(binary, pattern).unwrap();
    let mut found: Vec<&str> = answer.matches.iter().map(|f| f.mangled.as_str()).collect();
    found.sort_unstable();
    let mut expect = expect.to_vec();
    expect.sort_unstable();
    assert_eq!(found, expect, "{pattern} in {}", binary.shown().display());
    assert_eq!(answer.reason.is_none(), !expect.is_empty(), "{pattern}");
}

#[test]
fn patterns_find_what_they_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, flags) in BUILDS {
        let path = compile(folder.path(), name, flags)?;
        let binary = Binary::open(&path)?;
        let both = ["_ZL16check_connectionP3THD", "_ZN2ns16check_connectionEP3THDb"];
        check(&binary, "check_connection", &both);
        check(&binary, "::check_connection", &both[..1]);
        check(&binary, "check_connection(THD*)", &both[..1]);
        check(&binary, "static int check_connection(THD *thd)", &both[..1]);
        check(&binary, "ns::check_connection", &both[1..]);
        check(&binary, "check_connection(THD*, ...)", &both);
        check(&binary, "overloaded", &["_Z10overloadedi", "_Z10overloadedPKcm"]);
        check(&binary, "overloaded(const char *, size_t)", &["_Z10overloadedPKcm"]);
        check(&binary, "hidden", &["_ZN2ns12_GLOBAL__N_16hiddenEi"]);
        check(&binary, "ns::hidden", &["_ZN2ns12_GLOBAL__N_16hiddenEi"]);
        check(&binary, "ns::(anonymous namespace)::hidden", &["_ZN2ns12_GLOBAL__N_16hiddenEi"]);
        check(&binary, "twice", &["_Z5twiceIiET_S0_", "_Z5twiceIlET_S0_"]);
        check(&binary, "twice<int>", &["_Z5twiceIiET_S0_"]);
        check(&binary, "Box::push", &["_ZN3BoxIiLj4EE4pushERKi", "_ZN3BoxIcLj4EE4pushERKc"]);
        check(&binary, "Box<char, 4>::push", &["_ZN3BoxIcLj4EE4pushERKc"]);
        check(&binary, "Box<int, ...>::push(int const&)", &["_ZN3BoxIiLj4EE4pushERKi"]);
        check(&binary, "THD::send", &["_ZN3THD4sendEi"]);
        check(&binary, "_ZN3THD4sendEi", &["_ZN3THD4sendEi"]);
        check(&binary, "_ZN3THD4s*", &["_ZN3THD4sendEi"]);
        check(&binary, "plain_c", &["plain_c"]);
        check(&binary, "plain_c*", &["plain_c", "plain_c_v2"]);
        check(&binary, "no_such_thing", &[]);
        check(&binary, "not_code", &[]);
    }
    Ok(())
}

/// A method's mangled name stands with its declaration in the class, and its code elsewhere.
#[test]
fn an_overloaded_method_is_told_by_its_parameters_in_debug_information_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("overloads.cc");
    std::fs::write(
        &source,
        "struct S { long id; int run(char const *, int) const; int run(char const *, long) const; };\n\
         int S::run(char const *, int n) const { return id + n; }\n\
         int S::run(char const *, long n) const { return id * n; }\n\
         int main(int count, char **) { S s = {count}; return s.run(0, count) + s.run(0, 1L); }\n",
    )?;
    let program = folder.path().join("overloads");
    let status = Command::new("g++").args(["-g", "-O0", "-o"]).arg(&program).arg(&source).status()?;
    assert!(status.success());
    let binary = Binary::open(&program)?;
    let (int, long) = ("_ZNK1S3runEPKci", "_ZNK1S3runEPKcl");
    check(&binary, "S::run", &[int, long]);
    check(&binary, "S::run(char const*, int)", &[int]);
    check(&binary, "run(const char *, long) const", &[long]);
    check(&binary, long, &[long]);
    Ok(())
}

#[test]
fn operators_are_names_too() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = Binary::open(&compile(folder.path(), "program", BUILDS[0].1)?)?;
    check(&binary, "ns::Point::operator==", &["_ZNK2ns5PointeqERKS0_"]);
    check(&binary, "ns::Point::operator<(const Point&) const", &[]);
    check(&binary, "ns::Point::operator<(const ns::Point &other) const", &["_ZNK2ns5PointltERKS0_"]);
    check(&binary, "Point::operator()", &["_ZN2ns5PointclEi"]);
    check(&binary, "Point::operator bool", &["_ZNK2ns5PointcvbEv"]);
    check(&binary, "operator->", &["_ZN2ns5PointptEv"]);
    let lambda = search(&binary, "with_lambda(int)::{lambda(int)#1}::operator()")?;
    assert_eq!(lambda.matches.len(), 1);
    assert!(lambda.matches[0].name.starts_with("with_lambda(int)::{lambda(int)#1}::operator()(int) const"));
    Ok(())
}

#[test]
fn offsets_lead_to_the_code() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, flags) in BUILDS {
        let path = compile(folder.path(), name, flags)?;
        let binary = Binary::open(&path)?;
        let file = std::fs::read(&path)?;
        let listed = readelf(&path)?;
        let segments = segments(&path)?;
        for pattern in ["check_connection", "plain_c", "Box<int, 4>::push", "ns::call_hidden"] {
            for function in &search(&binary, pattern)?.matches {
                let symbol = listed.iter().find(|l| l.name == function.mangled).unwrap();
                assert_eq!(
                    (symbol.addr, symbol.size),
                    (body(function).addr.0, body(function).size.0),
                    "{pattern} in {name}"
                );
                let by_segment = segments
                    .iter()
                    .find(|(vaddr, _, size)| (*vaddr..vaddr + size).contains(&symbol.addr))
                    .map(|(vaddr, offset, _)| symbol.addr - vaddr + offset);
                assert_eq!(by_segment, Some(body(function).offset.0), "{pattern} in {name}");
                let code = objdump(&path, symbol.addr, symbol.size)?;
                let at = usize::try_from(body(function).offset.0)?;
                assert!(!code.is_empty());
                assert_eq!(file[at..at + code.len()], code, "{pattern} in {name}");
                let entry = code.len().min(body(function).entry.len());
                assert_eq!(body(function).entry[..entry], code[..entry], "{pattern} in {name}");
            }
        }
    }
    Ok(())
}

#[test]
fn endbr64_is_seen() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let with = Binary::open(&compile(folder.path(), "with", &["-DWITH_LIBC", "-fcf-protection=full"])?)?;
    let without = Binary::open(&compile(folder.path(), "without", &["-DWITH_LIBC", "-fcf-protection=none"])?)?;
    assert!(body(&search(&with, "plain_c")?.matches[0]).starts_with_endbr64());
    assert!(!body(&search(&without, "plain_c")?.matches[0]).starts_with_endbr64());
    Ok(())
}

#[test]
fn pieces_copies_thunks_aliases_and_resolvers_are_told_apart() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = Binary::open(&compile(folder.path(), "program", BUILDS[0].1)?)?;
    check(&binary, "work", &["_Z4worki"]);
    let near: Vec<_> = search(&binary, "work")?.near.into_iter().map(|f| (f.name, f.role)).collect();
    assert_eq!(
        near[..2],
        [("work(int) [clone .cold]".to_owned(), Role::Piece), ("work(int) [clone .part.0]".to_owned(), Role::Piece),]
    );
    check(&binary, "work.part.0", &["_Z4worki.part.0"]);
    check(&binary, "work(int) [clone .cold]", &["_Z4worki.cold"]);
    check(&binary, "work.part.*", &["_Z4worki.part.0"]);

    let copy = search(&binary, "only_isra")?;
    assert_eq!((copy.matches.len(), copy.matches[0].role), (1, Role::Copy));
    let piece = search(&binary, "only_part")?;
    assert_eq!((piece.matches.len(), piece.reason), (0, Some(Reason::OnlyPieces)));
    assert_eq!(piece.near[0].mangled, "_Z9only_parti.part.0");

    let thunked = search(&binary, "Both::notify")?;
    assert_eq!(thunked.matches.len(), 1);
    assert_eq!(thunked.near[0].name, "non-virtual thunk to Both::notify()");
    assert_eq!(thunked.near[0].role, Role::Thunk);

    let plain = &search(&binary, "plain_c")?.matches[0];
    assert_eq!(plain.aliases.iter().map(|a| a.mangled.as_str()).collect::<Vec<_>>(), ["same_as_plain_c"]);
    assert_eq!(search(&binary, "picked")?.matches[0].role, Role::Resolver);
    Ok(())
}

#[test]
fn nothing_found_comes_with_the_reason() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "program", &["-DWITH_LIBC", "-rdynamic"])?;
    let reason =
        |path: &Path, pattern: &str| -> Result<Reason> { Ok(search(&Binary::open(path)?, pattern)?.reason.unwrap()) };
    assert_eq!(reason(&path, "no_such_thing")?, Reason::NotThere { debug_info: false });
    assert_eq!(reason(&path, "puts")?, Reason::Imported);
    assert_eq!(reason(&path, "a_variable")?, Reason::NotAFunction);
    assert_eq!(reason(&path, "check_connection(int)")?, Reason::OtherSignature);
    assert_eq!(reason(&path, "Elsewhere::overloaded")?, Reason::OtherSignature);
    let debug = compile(folder.path(), "debug", &["-DWITH_LIBC", "-g"])?;
    assert_eq!(reason(&debug, "no_such_thing")?, Reason::NotThere { debug_info: true });

    let stripped = folder.path().join("stripped");
    output(Command::new("strip").arg("-o").arg(&stripped).arg(&path))?;
    let symbols = folder.path().join("program.debug");
    output(Command::new("objcopy").arg("--only-keep-debug").arg(&path).arg(&symbols))?;
    output(Command::new("objcopy").arg("--add-gnu-debuglink").arg(&symbols).arg(&stripped))?;
    // It was written down, but is not there.
    std::fs::remove_file(&symbols)?;
    let exported = readelf(&stripped)?.len();
    let expect = Reason::Stripped { exported, debug_link: Some("program.debug".to_owned()) };
    assert_eq!(reason(&stripped, "::check_connection(THD*)")?, expect);
    let found = search(&Binary::open(&stripped)?, "plain_c")?;
    assert_eq!(found.matches[0].tables, [Table::Dynsym]);

    let bare = compile(folder.path(), "bare", &["-DWITH_LIBC", "-static", "-s"])?;
    assert_eq!(reason(&bare, "main")?, Reason::NoSymbols);
    Ok(())
}

#[test]
fn near_misses_are_ordered_and_not_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = Binary::open(&compile(folder.path(), "program", BUILDS[0].1)?)?;
    let near = |pattern: &str| -> Result<Vec<String>> {
        Ok(search(&binary, pattern)?.near.into_iter().map(|f| f.name).collect())
    };
    assert_eq!(near("check_connection")?, ["thd_check_connection_admin_privilege(THD*)"]);
    assert_eq!(near("chek_conection")?[..2], ["check_connection(THD*)", "ns::check_connection(THD*, bool)"]);
    assert_eq!(near("refuse_connection")?[..1], ["check_connection(THD*)"]);
    // What was asked for is there: the others of that name are not what was meant.
    assert_eq!(near("overloaded(int)")?, [""; 0]);
    let overloaded = ["overloaded(char const*, unsigned long)", "overloaded(int)"];
    let sorted = |pattern: &str| -> Result<Vec<String>> {
        let mut names = near(pattern)?;
        names.sort();
        Ok(names)
    };
    assert_eq!(sorted("Overloaded")?, overloaded);
    assert_eq!(sorted("_Z10overloadedl")?, overloaded);
    Ok(())
}

#[test]
fn the_first_alternative_that_is_there_is_taken() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let binary = Binary::open(&compile(folder.path(), "program", BUILDS[0].1)?)?;
    let patterns =
        |list: &[&str]| -> Result<Vec<Pattern>> { Ok(list.iter().map(|p| p.parse()).collect::<Result<_, _>>()?) };
    let first = first_of(&binary, &patterns(&["no_such_thing", "THD::send", "plain_c"])?)?;
    let (index, answer) = first.found.unwrap();
    assert_eq!((index, answer.matches[0].mangled.as_str()), (1, "_ZN3THD4sendEi"));
    assert_eq!(first.missed.len(), 1);
    assert_eq!(first.missed[0].reason, Some(Reason::NotThere { debug_info: false }));
    assert!(first_of(&binary, &patterns(&["nope", "nor_this"])?)?.found.is_none());
    Ok(())
}

#[test]
fn build_id_is_that_of_the_notes() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "program", &["-DWITH_LIBC", "-Wl,--build-id=0x0123456789abcdef"])?;
    assert_eq!(Binary::open(&path)?.build_id().unwrap(), [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
    let without = compile(folder.path(), "without", &["-DWITH_LIBC", "-Wl,--build-id=none"])?;
    assert_eq!(Binary::open(&without)?.build_id(), None);
    Ok(())
}

#[test]
fn other_files_are_named_for_what_they_are() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let message = |path: &Path| Binary::open(path).unwrap_err().to_string();
    std::fs::write(path("script"), "#!/usr/bin/env bash\nmysqld\n")?;
    assert!(message(&path("script")).contains("is a script run by `/usr/bin/env bash`"));
    std::fs::write(path("text"), "hello")?;
    assert!(message(&path("text")).contains("is not an ELF file"));
    std::fs::write(path("empty"), "")?;
    assert!(message(&path("empty")).contains("is not an ELF file"));
    assert!(message(folder.path()).contains("is not a regular file"));
    assert!(message(&path("missing")).contains("No such file"));
    assert!(message(Path::new("/dev/zero")).contains("is not a regular file"));
    let object = compile(folder.path(), "object.o", &["-c"])?;
    assert!(message(&object).contains("an object file that is not linked yet"));
    // Class and byte order of the header: EI_CLASS 1 is 32-bit.
    let mut bytes = std::fs::read(compile(folder.path(), "program", BUILDS[0].1)?)?;
    bytes[4] = 1;
    std::fs::write(path("class"), &bytes)?;
    assert!(message(&path("class")).contains("a 32-bit program"));
    Ok(())
}
