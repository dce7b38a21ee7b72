//! `dbcc symbols` on real servers; the oracles are `nm`, `readelf` and the bytes in the file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::process::{Finished, run};
use dbcc_tests::server::Flavor;
use dbcc_tests::{dbcc, need};
use serde_json::Value;

fn symbols(binary: &str, pattern: &str) -> Result<(Finished, Vec<Value>)> {
    let finished = dbcc::run(["symbols", "--json", binary, pattern])?;
    let records = finished.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok((finished, records))
}

fn of_kind(records: &[Value], kind: &str) -> Vec<Value> {
    records.iter().filter(|record| record["kind"] == kind).cloned().collect()
}

fn output(program: &str, arguments: &[&str], file: &Path) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments).arg(file);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "{program}: {}", finished.stderr());
    Ok(finished.stdout())
}

/// Address and size of a mangled name by `nm`.
fn by_nm(file: &Path, table: &str, mangled: &str) -> Result<(u64, u64)> {
    let listing = output("nm", &["--print-size", table], file)?;
    let line = listing.lines().find(|line| {
        let name = line.rsplit(' ').next().unwrap_or_default();
        name.split('@').next() == Some(mangled)
    });
    let words: Vec<&str> = line.with_context(|| format!("nm does not know {mangled}"))?.split(' ').collect();
    let number = |index: usize| Ok::<_, anyhow::Error>(u64::from_str_radix(words.get(index).context("no size")?, 16)?);
    Ok((number(0)?, number(1)?))
}

/// The file offset of an address by `readelf`: through the segment that is loaded there.
fn by_readelf(file: &Path, address: u64) -> Result<u64> {
    let listing = output("readelf", &["--program-headers", "--wide"], file)?;
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap_or(0);
    let mut offsets = listing.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["LOAD", offset, start, _, size, ..] = words.as_slice() else { return None };
        let (offset, start, size) = (number(offset), number(start), number(size));
        (start..start + size).contains(&address).then(|| address - start + offset)
    });
    offsets.next().context("no segment holds the address")
}

fn agrees_with_the_oracles(file: &Path, nm_table: &str, found: &Value) -> Result<()> {
    let mangled = found["mangled"].as_str().context("no mangled name")?;
    let (address, size) = by_nm(file, nm_table, mangled)?;
    assert_eq!((found["address"].as_u64(), found["size"].as_u64()), (Some(address), Some(size)));
    assert_eq!(found["offset"].as_u64(), Some(by_readelf(file, address)?));
    Ok(())
}

#[test]
fn a_function_of_mysql56_is_found_where_nm_and_readelf_say() -> Result<()> {
    let installed = need!(Flavor::Mysql56.installed());
    let file = installed.binary();
    let (finished, records) = symbols(&file.display().to_string(), "login_connection")?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let found = of_kind(&records, "symbol");
    assert_eq!(found.len(), 1, "{records:?}");
    assert_eq!(found[0]["name"], "login_connection(THD*)");
    assert_eq!(found[0]["tables"].as_array().map(Vec::len), Some(2), "symtab and dynsym: {records:?}");
    agrees_with_the_oracles(file, "--no-sort", &found[0])
}

#[test]
fn a_function_of_a_stripped_mariadb_is_found_in_its_dynamic_table() -> Result<()> {
    let installed = need!(Flavor::MariaDb.installed());
    let file = installed.binary();
    let (finished, records) = symbols(&file.display().to_string(), "login_connection(THD*)")?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let found = of_kind(&records, "symbol");
    assert_eq!(found.len(), 1, "{records:?}");
    assert_eq!(found[0]["tables"], serde_json::json!(["dynsym"]));
    agrees_with_the_oracles(file, "--dynamic", &found[0])
}

#[test]
fn a_method_is_found_by_class_and_name_and_by_wildcard() -> Result<()> {
    let installed = need!(Flavor::Mysql56.installed());
    let file = installed.binary();
    let (_, records) = symbols(&file.display().to_string(), "MDL_wait::get_status")?;
    let found = of_kind(&records, "symbol");
    assert_eq!(found.len(), 1, "{records:?}");
    agrees_with_the_oracles(file, "--no-sort", &found[0])?;

    // c++filt is the oracle for what is a member of THD.
    let (_, records) = symbols(&file.display().to_string(), "THD::*")?;
    let found = of_kind(&records, "symbol");
    let listing = output("nm", &["--demangle", "--defined-only"], file)?;
    let members = listing.lines().filter(|line| {
        let (kind, name) =
            line.split_at_checked(19).map_or(("", ""), |(head, name)| (head.get(17..18).unwrap_or(""), name));
        ["t", "T", "W", "w"].contains(&kind) && name.starts_with("THD::")
    });
    let mut addresses: Vec<_> = members.filter_map(|line| u64::from_str_radix(line.get(..16)?, 16).ok()).collect();
    let mut own: Vec<_> = found.iter().filter_map(|symbol| symbol["address"].as_u64()).collect();
    for list in [&mut addresses, &mut own] {
        list.sort_unstable();
        list.dedup();
    }
    assert!(addresses.len() > 50, "nm found only {}", addresses.len());
    let missing: Vec<_> = addresses.iter().filter(|address| !own.contains(address)).collect();
    assert!(missing.is_empty(), "not found: {missing:x?}");
    Ok(())
}

#[test]
fn a_running_process_is_found_by_its_id() -> Result<()> {
    let installed = need!(Flavor::MariaDb.installed());
    let server = installed.start()?;
    let (finished, records) = symbols(&server.pid().to_string(), "login_connection")?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    agrees_with_the_oracles(installed.binary(), "--dynamic", &of_kind(&records, "symbol")[0])
}

#[test]
fn a_static_function_that_was_inlined_or_stripped_is_not_replaced_by_a_similar_one() -> Result<()> {
    let installed = need!(Flavor::MariaDb.installed());
    let path = installed.binary().display().to_string();
    let (finished, records) = symbols(&path, "check_connection")?;
    assert_eq!(finished.code(), Some(1));
    assert!(of_kind(&records, "symbol").is_empty(), "{records:?}");
    let finished = dbcc::run(["symbols", &path, "check_connection"])?;
    assert_eq!(finished.code(), Some(1));
    assert!(finished.stdout().contains("stripped"), "{}", finished.stdout());
    assert!(finished.stdout().contains("dynamic symbols"), "{}", finished.stdout());
    Ok(())
}

#[test]
fn a_binary_that_does_not_exist_or_is_none_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("text");
    fs::write(&text, "no binary")?;
    for binary in ["/no/such/file", &text.display().to_string()] {
        let finished = dbcc::run(["symbols", binary, "main"])?;
        assert!(matches!(finished.code(), Some(1 | 2)), "{:?}", finished.status);
        assert!(finished.stderr().contains(binary), "{}", finished.stderr());
    }
    Ok(())
}

#[test]
fn usdt_probes_are_listed_with_their_arguments() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = dbcc_tests::sites::compile(folder.path(), "sites", &[])?.display().to_string();
    let finished = dbcc::run(["symbols", "--usdt", &path])?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let text = finished.stdout();
    assert_eq!(text.lines().filter(|line| line.starts_with("sites:values ")).count(), 4, "{text}");
    assert!(text.contains("4@$3 -1@$-3 1@$253"), "{text}");
    let finished = dbcc::run(["symbols", "--usdt", "--json", &path, "sites:guard*"])?;
    let records: Vec<Value> = finished.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let [record] = records.as_slice() else { anyhow::bail!("{records:?}") };
    assert_eq!(
        (&record["kind"], &record["provider"], &record["name"]),
        (&"usdt".into(), &"sites".into(), &"guarded".into())
    );
    let site = &record["sites"][0];
    assert!(site["semaphore"].as_u64() > Some(0), "{record}");
    assert_eq!((&site["arguments"][0]["size"], &site["arguments"][0]["signed"]), (&8.into(), &true.into()));
    let finished = dbcc::run(["symbols", "--usdt", &path, "gaurded"])?;
    assert_eq!(finished.code(), Some(1));
    let text = finished.stdout();
    assert!(text.contains("perhaps one of these: sites:guarded"), "{text}");
    let finished = dbcc::run(["symbols", "--usdt", "/bin/true"])?;
    assert!(finished.stdout().contains("it has no USDT probes"), "{}", finished.stdout());
    Ok(())
}
