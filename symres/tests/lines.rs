//! Lines of the source: what symres says of them, `llvm-symbolizer` says of the same addresses.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::need;
use symres::{Answer, Binary, PlaceKind, VirtAddr};

use common::{output, search};

/// By address: the functions there, innermost first, by their simple names, each with its line.
fn symbolized(program: &Path, addrs: &BTreeSet<VirtAddr>) -> Result<BTreeMap<VirtAddr, Vec<(String, String)>>> {
    let mut command = Command::new("llvm-symbolizer-19");
    command.args(["-f", "-i", "-C", "-e"]).arg(program).args(addrs.iter().map(ToString::to_string));
    let text = output(&mut command)?;
    let name = |line: &str| {
        line.split(['(', '<']).next().unwrap_or_default().rsplit("::").next().unwrap_or_default().to_owned()
    };
    // Behind the line there is a column.
    let position = |line: &str| line.split(':').take(2).collect::<Vec<_>>().join(":");
    let chain = |block: &str| -> Vec<(String, String)> {
        let lines: Vec<&str> = block.lines().collect();
        lines.chunks(2).filter(|pair| pair.len() == 2).map(|pair| (name(pair[0]), position(pair[1]))).collect()
    };
    let chains: Vec<_> = text.trim_end().split("\n\n").map(chain).collect();
    ensure!(chains.len() == addrs.len(), "llvm-symbolizer-19 tells of {} addresses, not {}", chains.len(), addrs.len());
    Ok(addrs.iter().copied().zip(chains).collect())
}

fn compile(folder: &Path, flags: &[&str]) -> Result<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let program = folder.join("program");
    let sources = ["inlined.cc", "inlined_other.cc"].map(|name| data.join(name));
    output(Command::new(flags[0]).args(["-g", "-w"]).args(&flags[1..]).args(sources).arg("-o").arg(&program))?;
    Ok(program)
}

const BUILDS: &[&[&str]] = &[
    &["g++", "-O2"],
    &["g++", "-O1", "-gdwarf-2"],
    &["g++", "-O0", "-gdwarf-4"],
    &["clang++-19", "-O2", "-gdwarf-5"],
    &["clang++-19", "-O1", "-gdwarf-3"],
];

fn tools() -> Result<(), need::Skip> {
    let there = |tool: &&str| Command::new(tool).arg("--version").output().is_ok();
    match ["llvm-symbolizer-19", "llvm-dwarfdump-19", "clang++-19"].iter().all(there) {
        true => Ok(()),
        false => {
            Err(need::Skip::required("llvm-symbolizer-19, llvm-dwarfdump-19 or clang++-19 is not there (run ci/setup)"))
        }
    }
}

/// The rows of a line table at which to stop, as `ADDRESS LINE`.
fn stops(program: &Path) -> Result<BTreeSet<(u64, u32)>> {
    let text = output(Command::new("llvm-dwarfdump-19").arg("--debug-line").arg(program))?;
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let addr = u64::from_str_radix(fields.first()?.strip_prefix("0x")?, 16).ok()?;
        let stop = line.contains(" is_stmt") && !line.contains("end_sequence");
        stop.then_some((addr, fields.get(1)?.parse().ok()?))
    };
    Ok(text.lines().filter_map(row).collect())
}

#[test]
fn every_line_of_a_file_is_where_its_code_is() -> Result<()> {
    need!(tools());
    for flags in BUILDS {
        let folder = tempfile::tempdir()?;
        let program = compile(folder.path(), flags)?;
        let binary = Binary::open(&program)?;
        let stops = stops(&program)?;
        let mut compared = 0;
        let answers: Vec<(u32, Answer)> = (1..110)
            .map(|line| Ok((line, search(&binary, &format!("data/inlined.cc:{line}"))?)))
            .collect::<Result<_>>()?;
        let places = answers.iter().flat_map(|(_, answer)| &answer.matches).flat_map(|function| &function.places);
        let all = symbolized(&program, &places.map(|place| place.addr).collect())?;
        for (line, answer) in answers {
            for function in &answer.matches {
                for place in &function.places {
                    let PlaceKind::Inside { line: Some(found), inlined, .. } = &place.kind else {
                        panic!("{flags:?} {line}: {place:?}")
                    };
                    // The next line that has code, when this one has none.
                    assert!(found.line >= line, "{flags:?} {line}: {found}");
                    assert_eq!(found.line != line, !answer.notes.is_empty(), "{flags:?} {line}: {:?}", answer.notes);
                    assert!(stops.contains(&(place.addr.0, found.line)), "{flags:?} {line} {}", place.addr);
                    let expect = &all[&place.addr];
                    let (name, _) = expect.first().context("llvm-symbolizer-19 says nothing")?;
                    let innermost = inlined.first().map_or(function.name.as_str(), |caller| caller.name.as_str());
                    assert!(innermost.contains(name.as_str()), "{flags:?} {}: {innermost} {name}", place.addr);
                    let calls: Vec<String> =
                        inlined.iter().map(|caller| caller.line.as_ref().unwrap().to_string()).collect();
                    let expect: Vec<&String> = expect[1..].iter().map(|(_, position)| position).collect();
                    assert_eq!(calls.iter().collect::<Vec<_>>(), expect, "{flags:?} {}", place.addr);
                    compared += 1;
                }
            }
        }
        assert!(compared > 50, "{flags:?}: {compared}");
    }
    Ok(())
}

#[test]
fn the_lines_of_functions_and_copies() -> Result<()> {
    need!(tools());
    for flags in BUILDS {
        let folder = tempfile::tempdir()?;
        let program = compile(folder.path(), flags)?;
        let binary = Binary::open(&program)?;
        let mut compared = 0;
        for name in ["check_connection", "login_connection", "many", "leaf", "clamp", "countdown", "main"] {
            for function in search(&binary, name)?.matches {
                let lines = binary.lines()?.of(&function);
                let all = symbolized(&program, &lines.iter().map(|line| line.addr).collect())?;
                for line in lines {
                    let expect = &all[&line.addr];
                    let (innermost, position) = expect.first().context("llvm-symbolizer-19 says nothing")?;
                    assert_eq!(innermost, name, "{flags:?} {}", line.addr);
                    assert_eq!(*position, line.line.to_string(), "{flags:?} {}", line.addr);
                    assert!(function.places.iter().any(|place| place.addr == line.place));
                    assert_eq!(binary.file_offset(line.addr), Some(line.offset));
                    compared += 1;
                }
            }
        }
        assert!(compared > 30, "{flags:?}: {compared}");
    }
    Ok(())
}

#[test]
fn lines_that_are_not_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = compile(folder.path(), &["g++", "-O1"])?;
    let reason = |pattern: &str| -> Result<Option<&'static str>> {
        Ok(search(&Binary::open(&program)?, pattern)?.reason.map(|reason| reason.name()))
    };
    assert_eq!(reason("inlined.cc:100000")?, Some("no-code-at-line"));
    assert_eq!(reason("elsewhere.cc:1")?, Some("no-such-file"));
    output(Command::new("strip").arg(&program))?;
    assert_eq!(reason("inlined.cc:10")?, Some("no-debug-info"));
    Ok(())
}
