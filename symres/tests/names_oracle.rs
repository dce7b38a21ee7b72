//! Mangled names of real programs and of fixtures: symres shows what `c++filt` and `llvm-cxxfilt` show.
//!
//! Where it does not, the difference is of one of the classes of [`Class`], each with a bound.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need::{self, Skip};

use common::output;

/// LLVM's demangler, of the version that `ci/setup` installs.
const LLVM: &str = "llvm-cxxfilt-19";

/// How a name may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// `c++filt` shows the symbol itself: it does not know what C++20 added, and gives up on long names.
    UnknownToCxxfilt,
    /// As `llvm-cxxfilt` has it.
    AsLlvm,
    /// Only the brackets and blanks of an expression or a declarator are others.
    Brackets,
    /// A template parameter that a lambda and the function around it share, of which the demanglers make different things.
    SharedParameter,
    /// symres shows the symbol itself: names of data with dots in them, which read as clones.
    NotDemangled,
}

/// How many names of a class there may be in a thousand.
const BOUNDS: &[(Class, usize)] = &[
    (Class::UnknownToCxxfilt, 10),
    (Class::AsLlvm, 2),
    (Class::Brackets, 2),
    (Class::SharedParameter, 1),
    (Class::NotDemangled, 1),
];

/// Names of C++ in one spelling.
fn respell(name: &str) -> String {
    let mut name = name.to_owned();
    while name.contains("> >") {
        name = name.replace("> >", ">>");
    }
    for (long, short) in [
        ("std::basic_string<char, std::char_traits<char>, std::allocator<char>>", "std::string"),
        ("std::basic_istream<char, std::char_traits<char>>", "std::istream"),
        ("std::basic_ostream<char, std::char_traits<char>>", "std::ostream"),
        ("std::basic_iostream<char, std::char_traits<char>>", "std::iostream"),
    ] {
        name = name.replace(long, short);
    }
    name
}

/// Without what the demanglers spell in their own ways inside of expressions.
fn squeezed(name: &str) -> String {
    name.replace("nullptr", "decltype(nullptr)0").replace(['(', ')', ' ', '0'], "")
}

fn filter(program: &str, args: &[&str], names: &[String]) -> Result<Vec<String>> {
    let mut command = Command::new(program);
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context(program.to_owned())?;
    let mut stdin = child.stdin.take().context("no stdin")?;
    let text = names.join("\n");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let out = child.wait_with_output()?;
    writer.join().unwrap()?;
    let lines: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    ensure!(lines.len() == names.len(), "{program} shows {} names of {}", lines.len(), names.len());
    Ok(lines)
}

fn llvm() -> Result<(), Skip> {
    let found = Command::new(LLVM).arg("--version").output().is_ok_and(|out| out.status.success());
    if found { Ok(()) } else { Err(Skip::required(format!("{LLVM} is not installed"))) }
}

/// Every mangled name in a file's symbol tables, data and imports included.
fn mangled(path: &Path) -> Result<Vec<String>> {
    let mut names = BTreeSet::new();
    for args in [&["-p"][..], &["-p", "-D"]] {
        let out = Command::new("nm").args(args).arg(path).stderr(Stdio::null()).output()?;
        for line in String::from_utf8_lossy(&out.stdout).lines() {
            let name = line.rsplit(' ').next().unwrap_or_default();
            let name = name.split('@').next().unwrap_or_default();
            if name.starts_with("_Z") || name.starts_with("_R") {
                names.insert(name.to_owned());
            }
        }
    }
    Ok(names.into_iter().collect())
}

fn is_rust(symbol: &str) -> bool {
    let legacy = symbol.match_indices("17h").any(|(at, _)| {
        let hash = &symbol.as_bytes()[at + 3..];
        hash.len() >= 17
            && hash[..16].iter().all(u8::is_ascii_hexdigit)
            && hash[16] == b'E'
            && hash.get(17).is_none_or(|next| *next == b'.')
    });
    symbol.starts_with("_R") || legacy
}

/// How many names of each class there are, with one of each.
fn compare_cpp(names: &[String]) -> Result<BTreeMap<Class, Vec<String>>> {
    let gnu = filter("c++filt", &[], names)?;
    let llvm = filter(LLVM, &[], names)?;
    let mut differ: BTreeMap<Class, Vec<String>> = BTreeMap::new();
    for ((symbol, gnu), llvm) in names.iter().zip(&gnu).zip(&llvm) {
        let shown = symres::demangle(symbol);
        let (ours, theirs, llvm) = (respell(&shown), respell(gnu), respell(llvm));
        if ours == theirs {
            continue;
        }
        let class = if shown == *symbol {
            Class::NotDemangled
        } else if gnu == symbol {
            Class::UnknownToCxxfilt
        } else if ours == llvm {
            Class::AsLlvm
        } else if squeezed(&ours) == squeezed(&theirs) {
            Class::Brackets
        } else {
            Class::SharedParameter
        };
        differ.entry(class).or_default().push(format!("{symbol}\n  symres  {shown}\n  c++filt {gnu}"));
    }
    Ok(differ)
}

fn check_cpp(names: &[String], at_least: usize) -> Result<()> {
    assert!(names.len() >= at_least, "only {} names", names.len());
    let differ = compare_cpp(names)?;
    let counts: Vec<String> = differ.iter().map(|(class, list)| format!("{class:?} {}", list.len())).collect();
    eprintln!("{} names of C++: {}", names.len(), counts.join(", "));
    for (class, list) in &differ {
        let (_, bound) = BOUNDS.iter().find(|(bounded, _)| bounded == class).unwrap();
        let most = names.len() * bound / 1000;
        let sample = list.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(list.len() <= most, "{} names of {class:?}, {most} at most:\n{sample}", list.len());
    }
    Ok(())
}

/// Rust's names have to be the same without exception: v0 as `llvm-cxxfilt` has them, the legacy ones as `c++filt` has
/// them, without their hash.
fn check_rust(names: &[String], at_least: usize) -> Result<()> {
    assert!(names.len() >= at_least, "only {} names", names.len());
    let (v0, legacy): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| name.starts_with("_R"));
    // The suffix of a clone is ` (.llvm.1)` there.
    for (symbol, theirs) in v0.iter().zip(filter(LLVM, &[], &v0)?) {
        let shown = symres::demangle(symbol);
        let ours = shown.split(" [clone ").next().unwrap();
        let theirs = theirs.split(" (.").next().unwrap();
        assert_eq!(ours, theirs, "{symbol}");
    }
    let bare: Vec<String> = legacy.iter().map(|name| format!("{}E", &name[..name.rfind('E').unwrap()])).collect();
    for (symbol, theirs) in bare.iter().zip(filter("c++filt", &["-s", "rust"], &bare)?) {
        let theirs = match theirs.rfind("::h") {
            Some(at) if theirs.len() == at + 19 => &theirs[..at],
            _ => &theirs,
        };
        let ours = symres::demangle(symbol);
        // `größe`, which c++filt leaves as `gr$uf6$$udf$e`.
        assert!(ours == theirs || !ours.is_ascii(), "{symbol}\n  symres  {ours}\n  c++filt {theirs}");
    }
    eprintln!("{} names of Rust in v0, {} in the legacy mangling", v0.len(), legacy.len());
    Ok(())
}

fn check(path: &Path, at_least: usize) -> Result<()> {
    let (rust, cpp): (Vec<String>, Vec<String>) = mangled(path)?.into_iter().partition(|name| is_rust(name));
    if rust.len() > cpp.len() {
        check_rust(&rust, at_least)?;
        return if cpp.is_empty() { Ok(()) } else { check_cpp(&cpp, 0) };
    }
    check_cpp(&cpp, at_least)
}

fn installed(path: &str) -> Result<PathBuf, Skip> {
    let path = PathBuf::from(path);
    if path.exists() { Ok(path) } else { Err(Skip::required(format!("{} is not there", path.display()))) }
}

macro_rules! program {
    ($name:ident, $path:expr, $at_least:expr) => {
        #[test]
        fn $name() -> Result<()> {
            dbcc_tests::need!(llvm());
            check(&dbcc_tests::need!($path), $at_least)
        }
    };
}

program!(mysql56, need::mysql56(), 20_000);
program!(mysql97, need::mysql97(), 70_000);
program!(mariadb, installed("/usr/sbin/mariadbd"), 20_000);
program!(libllvm, installed("/usr/lib/llvm-19/lib/libLLVM.so.1"), 40_000);
program!(libclang, installed("/usr/lib/llvm-19/lib/libclang-cpp.so.19.1"), 40_000);
program!(libstdcxx, installed("/usr/lib/x86_64-linux-gnu/libstdc++.so.6"), 5_000);
program!(this_test, std::env::current_exe().map_err(|error| Skip::required(error.to_string())), 1_000);

/// C functions are shown as they are.
#[test]
fn postgres_and_python_have_no_mangled_names() -> Result<()> {
    let postgres = dbcc_tests::need!(need::postgres());
    for path in [postgres, dbcc_tests::need!(installed("/usr/bin/python3"))] {
        let text = output(Command::new("nm").arg("-D").arg(&path))?;
        for name in text.lines().filter_map(|line| line.rsplit(' ').next()) {
            if !name.starts_with("_Z") {
                assert_eq!(symres::demangle(name), name);
            }
        }
    }
    Ok(())
}

/// The compiler of Rust itself: a hundred thousand names in v0.
#[test]
fn rustc() -> Result<()> {
    dbcc_tests::need!(llvm());
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let folder = Path::new(sysroot.trim()).join("lib");
    let driver = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("librustc_driver-")));
    check(&dbcc_tests::need!(driver.ok_or_else(|| Skip::optional("no librustc_driver"))), 50_000)
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Every name of the fixture that is no data of the compiler is demangled, and as `c++filt` or `llvm-cxxfilt` has it.
#[test]
fn names_of_cpp20() -> Result<()> {
    dbcc_tests::need!(llvm());
    let folder = tempfile::tempdir()?;
    for (compiler, unknown) in [("g++", 1), ("clang++-19", 17)] {
        if Command::new(compiler).arg("--version").output().is_err() {
            Skip::required(format!("{compiler} is not installed")).report()?;
            continue;
        }
        let object = folder.path().join("names20.o");
        output(Command::new(compiler).args(["-std=c++20", "-O1", "-c", "-o"]).arg(&object).arg(data("names20.cc")))?;
        let names = mangled(&object)?;
        assert!(names.len() > 150, "{compiler}: {}", names.len());
        let differ = compare_cpp(&names)?;
        for (class, list) in &differ {
            let most = match class {
                Class::UnknownToCxxfilt => unknown,
                Class::AsLlvm | Class::Brackets => 2,
                Class::SharedParameter | Class::NotDemangled => 0,
            };
            assert!(list.len() <= most, "{compiler}, {class:?}:\n{}", list.join("\n"));
        }
    }
    Ok(())
}

#[test]
fn names_of_modules() -> Result<()> {
    dbcc_tests::need!(llvm());
    let folder = tempfile::tempdir()?;
    let object = folder.path().join("module.o");
    let mut compiler = Command::new("clang++-19");
    output(compiler.args(["-std=c++20", "-x", "c++-module", "-c", "-o"]).arg(&object).arg(data("module.cc")))?;
    let names = mangled(&object)?;
    assert!(names.len() >= 5, "{names:?}");
    assert_eq!(compare_cpp(&names)?, BTreeMap::new());
    let area = names.iter().find(|name| name.contains("4area")).context("no area")?;
    assert_eq!(symres::demangle(area), "Circle@shapes.round::area()");
    for pattern in ["area", "Circle::area", "Circle@shapes.round::area", "area()"] {
        assert!(pattern.parse::<symres::Pattern>()?.matches_linkage_name(area), "{pattern}");
    }
    Ok(())
}

#[test]
fn names_of_rust() -> Result<()> {
    dbcc_tests::need!(llvm());
    let folder = tempfile::tempdir()?;
    for (mangling, start) in [("legacy", "_ZN"), ("v0", "_R")] {
        let object = folder.path().join("names.o");
        output(
            Command::new("rustc")
                // Which of them is the default, and which one is stable, depends on the version.
                .env("RUSTC_BOOTSTRAP", "1")
                .args(["--edition", "2021", "-Z", "unstable-options", "--emit", "obj", "-C", "opt-level=0", "-C"])
                .arg(format!("symbol-mangling-version={mangling}"))
                .arg("-o")
                .arg(&object)
                .arg(data("names.rs")),
        )?;
        let names: Vec<String> = mangled(&object)?.into_iter().filter(|name| is_rust(name)).collect();
        check_rust(&names, 40)?;
        let own: Vec<&String> = names.iter().filter(|name| name.starts_with(start)).collect();
        let find = |pattern: &str| -> Result<Vec<String>> {
            let pattern: symres::Pattern = pattern.parse()?;
            Ok(own
                .iter()
                .filter(|name| pattern.matches_linkage_name(name))
                .map(|name| symres::demangle(name))
                .collect())
        };
        for pattern in [
            "pointers",
            "names::pointers",
            "Square::area",
            "Shape::area",
            "<Square<u32> as Shape>::area",
            "<names::Square<u32> as names::Shape>::area",
            "Square<T>::show",
            "Square::<T>::show",
            "Matrix::first",
            "inner::generic",
            "länge",
            "größe::länge",
            "Shape::named",
            "pointers::{{closure}}",
            "From::from",
            "Display::fmt",
            "core::ptr::drop_in_place",
            "/^names::use_all$/",
        ] {
            assert!(!find(pattern)?.is_empty(), "{pattern} in {mangling}: {own:?}");
        }
        for pattern in ["Circle::area", "<Square<u64> as Shape>::area", "Shape::show", "use_al", "generic::{{closure}}"]
        {
            assert_eq!(find(pattern)?, [""; 0], "{pattern} in {mangling}");
        }
        assert_eq!(find("names::use_all")?, ["names::use_all"]);
    }
    Ok(())
}
