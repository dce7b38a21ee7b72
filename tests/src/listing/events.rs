//! What has no functions behind it: calls of tracepoints, hooks, iterators, and what is counted.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::btf::Types;
use super::{bpftrace, explain, name, names, notes, objects, output};

/// The rest of the names in kallsyms that begin so.
fn in_kallsyms(start: &str) -> Result<BTreeSet<String>> {
    let text = fs::read_to_string("/proc/kallsyms")?;
    let names = text.lines().filter_map(|line| line.split(' ').nth(2)?.split('\t').next()?.strip_prefix(start));
    Ok(names.map(str::to_owned).collect())
}

/// Raw tracepoints and hooks are those whose functions kallsyms has, iterators those that the kernel's types describe; bpftrace
/// lists some of these.
///
/// # Errors
/// They differ, for no known reason.
pub fn calls_agree() -> Result<()> {
    let types = Types::of_kernel()?;
    let ours = names(&objects(&["raw_tracepoint:*"])?);
    let theirs = in_kallsyms("__traceiter_")?;
    ensure!(ours == names(&objects(&["tp_btf:*"])?) && ours.len() > 100, "{} raw tracepoints", ours.len());
    let has_no_type = |name: &str| !types.typedefs.contains(&format!("btf_trace_{name}"));
    explain(
        "raw_tracepoint, kallsyms alone",
        theirs.difference(&ours),
        &[("take no programs: untyped", &has_no_type)],
    )?;
    explain("raw_tracepoint, dbcc alone", ours.difference(&theirs), &[])?;

    let ours = names(&objects(&["lsm:*"])?);
    let theirs = in_kallsyms("bpf_lsm_")?;
    let hooks = output("pahole", &["-C", "security_list_options", "/sys/kernel/btf/vmlinux"])?;
    let is_no_hook = |name: &str| !hooks.contains(&format!("(*{name})("));
    explain("lsm, kallsyms alone", theirs.difference(&ours), &[("only help hooks", &is_no_hook)])?;
    explain("lsm, dbcc alone", ours.difference(&theirs), &[])?;
    ensure!(ours.len() > 100 && !ours.iter().any(|name| is_no_hook(name)), "{} hooks", ours.len());

    let ours = names(&objects(&["iter:*"])?);
    let of_struct = types.structs.iter().filter_map(|name| name.strip_prefix("bpf_iter__"));
    let described: BTreeSet<String> =
        of_struct.filter(|kind| types.functions.contains_key(&format!("bpf_iter_{kind}"))).map(str::to_owned).collect();
    ensure!(ours == described, "{:?}", ours.symmetric_difference(&described));
    let theirs = bpftrace::listed("iter", &["iter:*"])?;
    explain("iter, bpftrace alone", theirs.difference(&ours), &[])?;
    ensure!(!theirs.is_empty(), "bpftrace lists no iterator");
    Ok(())
}

/// What is counted is what the kernel's enumerations name, by perf's names; bpftrace 0.17 only says the pattern again. Events of
/// PMUs are those of `perf list`.
///
/// # Errors
/// They differ, for no known reason.
pub fn counted_agree() -> Result<()> {
    /// The kernel's names that perf has others for.
    const OTHERS: &[(&str, &str)] = &[
        ("ref-cpu-cycles", "ref-cycles"),
        ("page-faults-min", "minor-faults"),
        ("page-faults-maj", "major-faults"),
        ("ll", "llc"),
    ];
    let types = Types::of_kernel()?;
    let of = |enumeration: &str, start: &str| -> Vec<String> {
        let constants = types.enumerations.get(enumeration).into_iter().flatten();
        let words = constants.filter_map(|name| name.strip_prefix(start)).filter(|name| *name != "MAX");
        let words = words.map(|word| word.to_lowercase().replace('_', "-"));
        words
            .map(|word| OTHERS.iter().find(|(name, _)| *name == word).map_or(word, |(_, perf)| (*perf).to_owned()))
            .collect()
    };
    for (kind, enumeration, start) in
        [("hardware", "perf_hw_id", "PERF_COUNT_HW_"), ("software", "perf_sw_ids", "PERF_COUNT_SW_")]
    {
        let listed = objects(&[&format!("{kind}:*")])?;
        let theirs: BTreeSet<String> = of(enumeration, start).into_iter().collect();
        ensure!(theirs.len() > 9, "{enumeration}: {theirs:?}");
        let known: BTreeSet<String> = listed.iter().flat_map(all_names).collect();
        explain(
            &format!("{kind}, the kernel alone"),
            theirs.difference(&known),
            &[("are written to by programs, and run none", &|name| name == "bpf-output")],
        )?;
        let is_none = |object: &&Value| !all_names(object).iter().any(|name| theirs.contains(name));
        let others: Vec<&Value> = listed.iter().filter(is_none).collect();
        ensure!(others.is_empty(), "{others:?}");
    }
    let mut caches = BTreeSet::new();
    let (operations, results) = (
        of("perf_hw_cache_op_id", "PERF_COUNT_HW_CACHE_OP_"),
        of("perf_hw_cache_op_result_id", "PERF_COUNT_HW_CACHE_RESULT_"),
    );
    for cache in of("perf_hw_cache_id", "PERF_COUNT_HW_CACHE_") {
        for operation in &operations {
            caches.extend(results.iter().map(|result| format!("{cache}:{operation}:{result}")));
        }
    }
    let ours = names(&objects(&["cache:*"])?);
    ensure!(ours.difference(&caches).next().is_none() && ours.len() == 42, "{ours:?} {caches:?}");
    let text = output("perf", &["list", "--no-desc", "pmu"])?;
    let theirs = text.lines().filter_map(|line| line.trim().strip_suffix("[Kernel PMU event]"));
    // `branches OR cpu/branches/`
    let theirs: BTreeSet<String> =
        theirs.filter_map(|line| line.split_whitespace().find(|word| word.ends_with('/')).map(str::to_owned)).collect();
    let ours = names(&objects(&["pmu:"])?);
    ensure!(ours == theirs, "{:?}", ours.symmetric_difference(&theirs));
    Ok(())
}

fn all_names(object: &Value) -> Vec<String> {
    let others = notes(object).filter_map(|note| note.strip_prefix("also "));
    name(object).into_iter().chain(others).map(str::to_owned).collect()
}
