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
