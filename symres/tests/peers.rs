//! Inlined functions of MySQL 5.6.24: what gdb, perf and elfutils say of those that llvm-dwarfdump was asked for too.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need::{self, Skip};
use symres::{Binary, PlaceKind};

use common::dwarfdump::sampled;
use common::{output, search};

/// The server, where it and the peer are there.
fn need(peer: &str) -> Result<PathBuf, Skip> {
    for tool in [peer, "llvm-dwarfdump-19"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return Err(Skip::required(format!("{tool} is not there (run ci/setup)")));
        }
    }
    need::mysql56()
}

/// Places of the functions of a name.
#[derive(Debug, Default)]
struct Places {
    copies: BTreeSet<u64>,
    /// Address and length.
    bodies: BTreeMap<u64, u64>,
    /// File offsets of all.
    offsets: BTreeSet<u64>,
}

fn places(binary: &Binary, name: &str) -> Result<Places> {
    let mut places = Places::default();
    for function in search(binary, name)?.matches {
        for place in function.places {
            places.offsets.insert(place.offset.0);
            match place.kind {
                PlaceKind::Inlined(_) => drop(places.copies.insert(place.addr.0)),
                _ => drop(places.bodies.insert(place.addr.0, place.size.0)),
            }
        }
    }
    Ok(places)
}

/// gdb stops at every inlined copy, and somewhere behind the entry of every body.
#[test]
fn breakpoints_of_gdb() -> Result<()> {
    let server = match need("gdb") {
        Ok(server) => server,
        Err(skip) => return skip.report(),
    };
    let sample = sampled(&server)?;
    let binary = Binary::open(&server)?;
    let mut gdb = Command::new("gdb");
    gdb.args(["-nx", "-batch", "-ex", "set width 0"]);
    for name in sample.keys() {
        // One at a time, so that it is clear whose locations they are.
        gdb.args(["-ex", &format!("echo === {name}\\n"), "-ex", &format!("break {name}"), "-ex", "info breakpoints"]);
        gdb.args(["-ex", "delete"]);
    }
    let text = output(gdb.arg(&server))?;
    let mut compared = 0;
    let mut wrong = Vec::new();
    for block in text.split("=== ").skip(1) {
        let (name, block) = block.split_once('\n').context("no name")?;
        let stops: BTreeSet<u64> = block
            .split_whitespace()
            .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
            .filter(|addr| *addr > 0)
            .collect();
        if stops.is_empty() {
            // Not a name in gdb's eyes.
            continue;
        }
        let places = places(&binary, name)?;
        let in_body = |addr: &u64| {
            let body = places.bodies.range(..=*addr).next_back();
            body.is_some_and(|(start, len)| addr - start < *len)
        };
        compared += places.copies.len();
        wrong.extend(places.copies.difference(&stops).map(|addr| format!("{name}: gdb does not stop at {addr:#x}")));
        let mut others: BTreeSet<u64> =
            stops.iter().copied().filter(|addr| !places.copies.contains(addr) && !in_body(addr)).collect();
        if !others.is_empty() {
            // By that name gdb means the way to another file's function too.
            let entries = search(&binary, &format!("{name}@plt"))?.matches;
            for place in entries.iter().flat_map(|function| &function.places) {
                others.remove(&place.addr.0);
            }
        }
        let others = others.iter();
        wrong.extend(others.map(|addr| format!("{name}: gdb stops at {addr:#x} too")));
    }
    assert!(compared > 2500, "{compared} copies compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    Ok(())
}

/// Wherever perf would put a probe, there is a place.
#[test]
fn probes_of_perf() -> Result<()> {
    let server = match need("perf") {
        Ok(server) => server,
        Err(skip) => return skip.report(),
    };
    let binary = Binary::open(&server)?;
    let (mut compared, mut wrong) = (0, Vec::new());
    for name in sampled(&server)?.keys().step_by(4).map(String::as_str).chain(["check_connection"]) {
        let out = Command::new("perf").args(["probe", "-x"]).arg(&server).args(["-D", name]).output()?;
        // p:probe_mysqld/NAME FILE:OFFSET
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let offsets: BTreeSet<u64> =
            text.lines().filter_map(|line| u64::from_str_radix(line.rsplit_once(":0x")?.1.trim(), 16).ok()).collect();
        let places = places(&binary, name)?;
        compared += offsets.len();
        wrong.extend(offsets.difference(&places.offsets).map(|at| format!("{name}: perf probes {at:#x}")));
    }
    assert!(compared > 60, "{compared} probes compared");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// The lines at each address, of the innermost function first, as one of the two tools that print alike has them.
fn chains(tool: &str, server: &Path, addrs: &[u64]) -> Result<Vec<Vec<String>>> {
    let mut command = Command::new(tool);
    command.args(["-a", "-i", "-e"]).arg(server).args(addrs.iter().map(|addr| format!("{addr:#x}")));
    let mut chains: Vec<Vec<String>> = Vec::new();
    for line in output(&mut command)?.lines() {
        if line.starts_with("0x") {
            chains.push(Vec::new());
        } else if line.starts_with('/') {
            // FILE:LINE:COLUMN
            let position = line.split(':').take(2).collect::<Vec<_>>().join(":");
            chains.last_mut().context("no address")?.push(position);
        }
    }
    ensure!(chains.len() == addrs.len(), "{tool} tells of {} addresses, not {}", chains.len(), addrs.len());
    Ok(chains)
}

/// At the entry of an inlined copy: its line, and the lines of the calls that lead there.
#[test]
fn lines_at_addresses() -> Result<()> {
    let server = match need("eu-addr2line") {
        Ok(server) => server,
        Err(skip) => return skip.report(),
    };
    let sample = sampled(&server)?;
    let entries: BTreeSet<u64> = sample.values().flat_map(|known| &known.copies).map(|copy| copy.entry).collect();
    let addrs: Vec<u64> = entries.iter().copied().step_by(entries.len() / 300).collect();
    let binary = Binary::open(&server)?;
    let (mut same, mut wrong) = (0, Vec::new());
    let llvm = chains("llvm-symbolizer-19", &server, &addrs)?;
    let elfutils = chains("eu-addr2line", &server, &addrs)?;
    for ((addr, llvm), elfutils) in addrs.iter().zip(llvm).zip(elfutils) {
        let answer = search(&binary, &format!("{addr:#x}"))?;
        let place = answer.matches.first().and_then(|function| function.places.first());
        let place = place.with_context(|| format!("nothing at {addr:#x}"))?;
        let lines: Vec<String> = match &place.kind {
            PlaceKind::Inside { line, inlined, .. } => {
                let calls = inlined.iter().map(|caller| caller.line.as_ref());
                [line.as_ref()].into_iter().chain(calls).flatten().map(ToString::to_string).collect()
            }
            // The copy begins where the function does.
            _ => continue,
        };
        if lines != llvm {
            wrong.push(format!("{addr:#x}: {lines:?}, not {llvm:?}"));
        }
        // Blocks of GCC 4.1 are not always inside of those that they belong to, and elfutils goes by the addresses.
        same += usize::from(lines == elfutils);
        if lines.first() != elfutils.first() {
            wrong.push(format!("{addr:#x}: {lines:?}, not {elfutils:?}"));
        }
    }
    assert!(same > 200, "{same} of {} are the same for eu-addr2line", addrs.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    Ok(())
}
