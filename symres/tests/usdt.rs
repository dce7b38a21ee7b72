//! USDT probes: what symres reads is what `readelf -n` reads, and damaged notes are errors.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::need::Skip;
use dbcc_tests::process::wait_until;
use symres::{Binary, Pid, UsdtPlace, UsdtReason};

use common::output;

/// A site as `readelf -n` lists it: provider, name, address, semaphore, arguments.
type Listed = (String, String, u64, u64, String);

fn readelf_notes(binary: &Path) -> Result<Vec<Listed>> {
    let text = output(Command::new("readelf").args(["-nW"]).arg(binary))?;
    let mut sites = Vec::new();
    let mut site = Listed::default();
    for line in text.lines() {
        let line = line.trim();
        // The owner and the type of the note stand before it.
        if let Some((_, provider)) = line.split_once("Provider: ") {
            site.0 = provider.to_owned();
        } else if let Some(name) = line.strip_prefix("Name: ") {
            site.1 = name.to_owned();
        } else if line.starts_with("Location: ") {
            // Location: 0x…, Base: 0x…, Semaphore: 0x…
            let numbers = line.split(", ").filter_map(|part| part.split_once(": 0x"));
            let numbers: Vec<u64> = numbers.filter_map(|(_, hex)| u64::from_str_radix(hex, 16).ok()).collect();
            let [location, _, semaphore] = numbers[..] else { anyhow::bail!("{line}") };
            (site.2, site.3) = (location, semaphore);
        } else if let Some(arguments) = line.strip_prefix("Arguments:") {
            site.4 = arguments.trim().to_owned();
            sites.push(std::mem::take(&mut site));
        }
    }
    sites.sort();
    Ok(sites)
}

fn check(path: &Path) -> Result<()> {
    let mut found: Vec<Listed> = Vec::new();
    for probe in Binary::open(path)?.usdt()?.probes {
        for site in probe.sites {
            let semaphore = site.semaphore.map_or(0, |addr| addr.0);
            found.push((
                probe.provider.clone(),
                probe.name.clone(),
                site.addr.0,
                semaphore,
                site.arguments.trim().to_owned(),
            ));
            let offset = site.offset.context("a site outside of the code")?;
            // What stands there is a nop: 90, or a longer one (0f 1f …).
            let bytes = std::fs::read(path)?;
            let at = usize::try_from(offset.0)?;
            assert!(matches!(bytes[at..at + 2], [0x90, _] | [0x0f, 0x1f]), "{:x?} at {offset}", &bytes[at..at + 2]);
        }
    }
    found.sort();
    let listed = readelf_notes(path)?;
    assert!(!listed.is_empty(), "readelf lists nothing");
    assert_eq!(found, listed);
    Ok(())
}

fn compile(folder: &Path, name: &str, flags: &[&str]) -> Result<PathBuf> {
    let path = folder.join(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/usdt.c");
    output(Command::new("gcc").args(["-O1", "-o"]).arg(&path).arg(source).args(flags))?;
    Ok(path)
}

#[test]
fn a_program_of_each_kind_has_what_readelf_lists() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, flags) in [
        ("pie", &["-pie", "-fPIE"][..]),
        ("fixed", &["-no-pie", "-fno-pie"]),
        ("library.so", &["-shared", "-fPIC"]),
        ("stripped", &["-s"]),
        ("static", &["-static"]),
    ] {
        check(&compile(folder.path(), name, flags)?).with_context(|| name.to_owned())?;
    }
    Ok(())
}

#[test]
fn installed_programs_have_what_readelf_lists() -> Result<()> {
    let python = PathBuf::from("/usr/bin/python3.11");
    if !python.exists() {
        return Skip::optional("there is no /usr/bin/python3.11").report();
    }
    check(&python)
}

#[test]
fn sites_arguments_and_semaphores_are_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let usdt = Binary::open(&compile(folder.path(), "program", &["-no-pie", "-fno-pie"])?)?.usdt()?;
    assert_eq!(usdt.providers(), [("fixture".to_owned(), 3), ("other".to_owned(), 1)]);
    let many = usdt.find(Some("fixture"), "many").unwrap();
    assert_eq!((many.sites.len(), many.argument_forms(), many.argument_count()), (2, 2, 5));
    let sizes = |site: usize| -> Vec<(Option<u8>, bool)> {
        many.sites[site].arguments().iter().map(|argument| (argument.size, argument.signed)).collect()
    };
    let expected = [(Some(4), true), (Some(8), false), (Some(1), false), (Some(2), true), (Some(4), false)];
    assert_eq!((sizes(0), sizes(1)), (expected.to_vec(), expected.to_vec()));
    assert_eq!(many.sites[0].arguments()[4].place, UsdtPlace::Constant(77));
    assert!(matches!(many.sites[0].arguments()[0].place, UsdtPlace::Register(_)));
    assert!(matches!(many.sites[1].arguments()[1].place, UsdtPlace::Memory { offset: 16, symbol: None, .. }));
    let global = &many.sites[1].arguments()[4];
    assert!(global.unreadable().unwrap().contains("global"), "{global:?}");
    assert!(!many.has_semaphore() && usdt.find(None, "guarded").unwrap().has_semaphore());
    assert!(matches!(usdt.find(None, "plain"), Err(UsdtReason::SeveralProviders(_))));
    let float = usdt.find(Some("other"), "plain").unwrap();
    assert!(float.sites[0].arguments()[0].unreadable().unwrap().contains("floating"));
    Ok(())
}

#[test]
fn a_binary_without_probes_says_so() -> Result<()> {
    let usdt = Binary::open(Path::new("/bin/true"))?.usdt()?;
    assert_eq!(usdt.find(None, "x"), Err(UsdtReason::NoProbes));
    Ok(())
}

/// Where a section's header and its bytes are, from `readelf`: the position of `sh_addr` in the file, its offset and size.
fn section(path: &Path, name: &str) -> Result<(usize, usize, usize)> {
    let text = output(Command::new("readelf").args(["-SW"]).arg(path))?;
    let header = output(Command::new("readelf").args(["-hW"]).arg(path))?;
    let start =
        header.lines().find_map(|line| line.trim().strip_prefix("Start of section headers:")).context("no e_shoff")?;
    let start: usize = start.split_whitespace().next().context("no number")?.parse()?;
    for line in text.lines() {
        // [Nr] Name Type Address Off Size …
        let Some((number, rest)) = line.trim().trim_start_matches('[').split_once(']') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        if let [found, _, _, offset, size, ..] = fields[..]
            && found == name
        {
            let header = start + number.trim().parse::<usize>()? * 64;
            return Ok((header + 16, usize::from_str_radix(offset, 16)?, usize::from_str_radix(size, 16)?));
        }
    }
    anyhow::bail!("no section {name}")
}

#[test]
fn code_that_prelink_moved_is_found() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "program", &["-no-pie", "-fno-pie"])?;
    let before = Binary::open(&path)?.usdt()?;
    let mut bytes = std::fs::read(&path)?;
    let (addr, ..) = section(&path, ".stapsdt.base")?;
    let base = u64::from_le_bytes(bytes[addr..addr + 8].try_into()?);
    bytes[addr..addr + 8].copy_from_slice(&(base + 0x40).to_le_bytes());
    let after = Binary::from_bytes(bytes)?.usdt()?;
    for (before, after) in before.probes.iter().zip(&after.probes) {
        for (before, after) in before.sites.iter().zip(&after.sites) {
            assert_eq!(before.addr.0 + 0x40, after.addr.0);
            assert_eq!(before.semaphore.map(|addr| addr.0 + 0x40), after.semaphore.map(|addr| addr.0));
        }
    }
    Ok(())
}

#[test]
fn damaged_notes_are_errors_and_never_panics() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "program", &["-no-pie", "-fno-pie"])?;
    let good = std::fs::read(&path)?;
    let (_, offset, size) = section(&path, ".note.stapsdt")?;
    let mut errors = 0;
    for at in offset..offset + size {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            // Whatever the notes say now, it is an answer or an error.
            match Binary::from_bytes(bytes)?.usdt() {
                Ok(usdt) => usdt.probes.iter().flat_map(|probe| &probe.sites).for_each(|site| drop(site.arguments())),
                Err(error) => {
                    errors += 1;
                    assert!(error.to_string().contains("damaged"), "{error}");
                }
            }
        }
    }
    assert!(errors > 100, "only {errors} damages were noticed");
    Ok(())
}

#[test]
fn the_probes_of_a_process_are_those_of_its_files() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let library = compile(folder.path(), "library.so", &["-shared", "-fPIC"])?;
    let mut child = Command::new("sleep").arg("1000").env("LD_PRELOAD", &library).spawn()?;
    let pid = Pid(child.id());
    // The libraries are loaded a moment after the program is started.
    let found = wait_until("the library to be loaded", || {
        let found = symres::usdt_of_process(pid)?;
        let files = found.find(Some("fixture"), "guarded").ok();
        Ok(files.map(|files| files.iter().map(|(file, _)| file.shown.clone()).collect::<Vec<_>>()))
    });
    child.kill()?;
    child.wait()?;
    assert_eq!(found?, [library.canonicalize()?]);
    Ok(())
}
