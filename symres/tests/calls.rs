//! Who calls whom: the oracle is `objdump`, which disassembles everything.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use symres::{Binary, Call, Calls, Function, PlaceKind};

/// A call or jump by `objdump`.
struct Branch {
    site: u64,
    mnemonic: String,
    target: u64,
    /// What the target is called, in angle brackets.
    label: String,
}

fn branches(file: &Path) -> Vec<Branch> {
    let output = Command::new("objdump").args(["-d", "--no-show-raw-insn"]).arg(file).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    text.lines()
        .filter_map(|line| {
            let (site, rest) = line.trim_start().split_once(":\t")?;
            let words: Vec<&str> = rest.split_whitespace().filter(|word| *word != "bnd").collect();
            let [mnemonic, target, label, ..] = words.as_slice() else { return None };
            let (site, target) = (hex(site)?, hex(target)?);
            let branch = mnemonic.starts_with('j') || mnemonic.starts_with("call");
            branch.then(|| Branch { site, mnemonic: (*mnemonic).to_owned(), target, label: (*label).to_owned() })
        })
        .collect()
}

fn sites(calls: &[Call]) -> BTreeSet<u64> {
    calls.iter().flat_map(|call| &call.sites).map(|site| site.0).collect()
}

fn functions(binary: &Binary, pattern: &str) -> Vec<Function> {
    let answer = binary.functions(&pattern.parse().unwrap()).unwrap();
    answer.matches.into_iter().filter(|f| f.body().is_some_and(|body| body.kind == PlaceKind::Body)).collect()
}

fn calls(binary: &Binary, function: &Function) -> Calls {
    binary.calls(function.body().unwrap()).unwrap()
}

/// Every call that objdump sees is found, and nothing else but jumps under a condition.
fn agrees(file: &Path, binary: &Binary, functions: &[Function]) -> usize {
    let branches = branches(file);
    let mut by_target: BTreeMap<u64, Vec<&Branch>> = BTreeMap::new();
    for branch in &branches {
        by_target.entry(branch.target).or_default().push(branch);
    }
    let mut compared = 0;
    for function in functions {
        let body = function.body().unwrap();
        let own = body.addr.0..body.addr.0 + body.size.0;
        let found = calls(binary, function);
        let names: BTreeSet<String> = std::iter::once(&function.mangled)
            .chain(function.aliases.iter().map(|alias| &alias.mangled))
            .map(|name| format!("<{name}@plt>"))
            .collect();
        let to_it = branches.iter().filter(|b| b.target == body.addr.0 || names.contains(&b.label));
        let expected: BTreeSet<u64> = to_it
            .clone()
            .filter(|b| b.mnemonic.starts_with("call") || (b.mnemonic == "jmp" && !own.contains(&b.site)))
            .map(|b| b.site)
            .collect();
        let conditional: BTreeSet<u64> = to_it.map(|b| b.site).collect();
        let callers = sites(&found.callers);
        let name = &function.name;
        assert!(callers.is_superset(&expected), "{name}: {:x?} not found", expected.difference(&callers));
        assert!(callers.is_subset(&conditional), "{name}: {:x?} are none", callers.difference(&conditional));
        let from_it: BTreeSet<u64> = branches
            .iter()
            .filter(|b| own.contains(&b.site) && b.mnemonic.starts_with("call"))
            .map(|b| b.site)
            .collect();
        let callees = sites(&found.callees);
        assert!(callees.is_superset(&from_it), "{name}: calls at {:x?}", from_it.difference(&callees));
        compared += expected.len() + from_it.len();
    }
    compared
}

fn libstdcxx() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/lib/x86_64-linux-gnu/libstdc++.so.6");
    let here = cfg!(target_arch = "x86_64") && path.exists() && Command::new("objdump").arg("-v").output().is_ok();
    if !here {
        println!("skipped: no libstdc++ for x86-64, or no objdump");
    }
    here.then_some(path)
}

#[test]
fn calls_in_a_library_are_those_that_objdump_sees() {
    let Some(file) = libstdcxx() else { return };
    let binary = Binary::open(&file).unwrap();
    let chosen: Vec<Function> = functions(&binary, "std::ostream::*").into_iter().take(40).collect();
    assert!(chosen.len() > 20, "{}", chosen.len());
    let compared = agrees(&file, &binary, &chosen);
    assert!(compared > 100, "only {compared} calls");
}

const FIXTURE: &str = "
static __attribute__((noinline)) int leaf(int a) { __asm__ volatile(\"\" : \"+r\"(a)); return a + 1; }
__attribute__((noinline)) int calls_twice(int a) { return leaf(a) + leaf(a + 1); }
__attribute__((noinline)) int ends_in_it(int a) { return leaf(a * 3); }
__attribute__((noinline)) int by_pointer(int (*f)(int)) { return f(1) + 1; }
__attribute__((noinline)) int itself(int a) { return a < 2 ? a : itself(a - 1) + itself(a - 2); }
int main(int argc, char **argv) { (void)argv; return calls_twice(argc) + ends_in_it(argc) + by_pointer(leaf) + itself(argc); }
";

#[test]
fn callers_and_callees_are_named() {
    if !cfg!(target_arch = "x86_64") {
        println!("skipped: not x86-64");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (source, program) = (folder.path().join("calls.c"), folder.path().join("calls"));
    std::fs::write(&source, FIXTURE).unwrap();
    let arguments = ["-O2", "-fno-ipa-icf", "-fno-ipa-ra", "-fno-ipa-cp", "-fno-ipa-sra"];
    let compiled = Command::new("gcc").args(arguments).arg(&source).arg("-o").arg(&program).status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: no gcc");
        return;
    }
    let binary = Binary::open(&program).unwrap();
    let of = |name: &str| calls(&binary, &functions(&binary, name)[0]);
    let named = |calls: &[Call]| -> Vec<(String, usize)> {
        let mut all: Vec<_> = calls.iter().map(|call| (call.name.clone().unwrap_or_default(), call.count)).collect();
        all.sort();
        all
    };
    let leaf = named(&of("leaf").callers);
    assert_eq!(leaf, [("calls_twice".to_owned(), 2), ("ends_in_it".to_owned(), 1)], "a tail call is one");
    assert_eq!(named(&of("calls_twice").callees), [("leaf".to_owned(), 2)]);
    assert_eq!((of("by_pointer").indirect, of("by_pointer").callees.len()), (1, 0));
    assert!(named(&of("itself").callers).iter().any(|(name, _)| name == "itself"), "it calls itself");
    let all = functions(&binary, "/^(leaf|calls_twice|ends_in_it|by_pointer|itself)$/");
    assert_eq!(all.len(), 5);
    agrees(&program, &binary, &all);
}

/// Compiles a source; none where the compiler is not there.
fn compiled(folder: &Path, compiler: &str, arguments: &[&str], source: &str) -> Option<PathBuf> {
    let (at, program) = (folder.join("source.cc"), folder.join("program"));
    std::fs::write(&at, source).unwrap();
    let status = Command::new(compiler).args(arguments).arg(&at).arg("-o").arg(&program).status();
    let here = cfg!(target_arch = "x86_64") && status.is_ok_and(|status| status.success());
    if !here {
        println!("skipped: no {compiler} for x86-64");
    }
    here.then_some(program)
}

const SPLIT: &str = "
extern \"C\" {
int puts(const char *);
volatile int sink;
static int partly(int a) {
  if (__builtin_expect(a == 7, 1)) return 0;
  for (int i = 0; i < a; i++) { sink += i * a; puts(\"some\"); sink *= a; puts(\"more\"); sink ^= i; puts(\"work\"); }
  for (int i = 0; i < a; i++) { sink += i * a; puts(\"that\"); sink *= a; puts(\"is\"); sink ^= i; puts(\"slow\"); }
  return sink;
}
__attribute__((noinline)) int first(int a) { return partly(a) + sink; }
__attribute__((noinline)) int second(int a) { sink++; return partly(a + 1) * 3; }
}
static inline __attribute__((always_inline)) int everywhere(int a) { sink = a; return sink + a; }
int main(int argc, char **) { return first(argc) + second(argc) + everywhere(argc); }
";

/// Which functions are offered, each with what it is to the one that is not there.
fn offered(binary: &Binary, pattern: &str) -> (String, Vec<(String, &'static str)>) {
    let answer = binary.functions(&pattern.parse().unwrap()).unwrap();
    assert!(answer.matches.is_empty(), "{pattern}: {:?}", answer.matches);
    let mut instead: Vec<_> = answer.instead.iter().map(|n| (n.name.clone(), n.relation.name())).collect();
    instead.sort();
    (answer.reason.map(|reason| reason.name().to_owned()).unwrap_or_default(), instead)
}

#[test]
fn callers_and_callees_of_what_is_left_are_offered() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-O2", "-rdynamic", "-fno-ipa-cp", "-fno-ipa-sra", "-fno-ipa-icf"];
    let Some(file) = compiled(folder.path(), "g++", &flags, SPLIT) else { return };
    let binary = Binary::open(&file).unwrap();
    let branches = branches(&file);
    // By objdump: who goes to what, by the function that holds the instruction.
    let callers_of = |label: &str| -> BTreeSet<String> {
        let sites = branches.iter().filter(|branch| branch.label == label).map(|branch| branch.site);
        let holder = |site: u64| {
            let answer = binary.functions(&format!("{site:#x}").parse().unwrap()).unwrap();
            answer.matches[0].mangled.clone()
        };
        sites.map(holder).collect()
    };
    let named = |instead: &[(String, &str)], relation: &str| -> BTreeSet<String> {
        instead.iter().filter(|(_, r)| *r == relation).map(|(name, _)| name.clone()).collect()
    };
    let part = "partly.part.0";
    let (reason, instead) = offered(&binary, "partly");
    assert_eq!(reason, "only-pieces", "{instead:?}");
    assert_eq!(named(&instead, "caller"), callers_of(&format!("<{part}>")), "callers");
    assert!(named(&instead, "callee").contains("puts@plt"), "{instead:?}");

    let (reason, instead) = offered(&binary, "puts");
    assert_eq!(reason, "imported");
    assert_eq!(named(&instead, "caller"), callers_of("<puts@plt>"));

    // What has a dynamic symbol is said to.
    let first = binary.functions(&"first@plt".parse().unwrap()).unwrap();
    assert_eq!(first.reason.as_ref().map(|reason| reason.name()), Some("no-plt"));
    assert!(first.instead.iter().any(|n| n.name == "main" && n.exported), "{:?}", first.instead);
    assert!(first.instead.iter().any(|n| n.name == part && !n.exported), "{:?}", first.instead);

    // The debug information tells what was inlined, and into whom.
    let flags = ["-O2", "-g"];
    let Some(file) = compiled(folder.path(), "g++", &flags, SPLIT) else { return };
    let (reason, instead) = offered(&Binary::open(&file).unwrap(), "everywhere+1");
    assert_eq!((reason.as_str(), instead), ("behind-end", vec![("main".to_owned(), "inlined-into")]));
}

const CONSTRUCTED: &str = "
int volatile sink;
template <class T> struct A { __attribute__((noinline)) A(T a) : x(a) { sink = a; } T x; };
template struct A<int>;
struct B : A<int> { B() : A(3) {} };
int main(int argc, char **) { A<int> a(argc); B b; return a.x + b.x; }
";

#[test]
fn a_constructor_that_goes_on_to_another_variant_tells_so() {
    let folder = tempfile::tempdir().unwrap();
    // As on systems whose linkers know no aliases.
    let flags = ["-O0", "-g", "-Xclang", "-mno-constructor-aliases"];
    let Some(file) = compiled(folder.path(), "clang++-19", &flags, CONSTRUCTED) else { return };
    let binary = Binary::open(&file).unwrap();
    let variants = functions(&binary, "A<int>::A");
    let [whole, base] =
        ["_ZN1AIiEC1Ei", "_ZN1AIiEC2Ei"].map(|symbol| variants.iter().find(|f| f.mangled == symbol).unwrap());
    let callees = |function: &Function| binary.callees(function.body().unwrap()).unwrap();
    let addresses: Vec<u64> = callees(whole).iter().map(|call| call.addr.0).collect();
    assert_eq!(addresses, [base.body().unwrap().addr.0]);
    assert!(callees(base).is_empty());
    for function in [whole, base] {
        assert_eq!(callees(function), calls(&binary, function).callees);
    }
}
