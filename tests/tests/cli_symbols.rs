//! `dbcc symbols` on real servers; the oracles are `nm`, `readelf` and the bytes in the file.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::process::{Finished, run, wait_until};
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
    assert_eq!(found[0]["tables"], serde_json::json!(["symtab", "dynsym", "dwarf"]));
    agrees_with_the_oracles(file, "--no-sort", &found[0])
}

/// The functions at an address, innermost first, and the lines of their calls, by addr2line.
fn by_addr2line(file: &Path, address: u64) -> Result<Vec<(String, String)>> {
    let mut command = Command::new("addr2line");
    command.args(["--inlines", "--functions", "--exe"]).arg(file).arg(format!("{address:#x}"));
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "addr2line: {}", finished.stderr());
    let text = finished.stdout();
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines.as_chunks::<2>().0.iter().map(|[name, line]| ((*name).to_owned(), (*line).to_owned())).collect())
}

#[test]
fn an_inlined_function_is_found_where_addr2line_says() -> Result<()> {
    let installed = need!(Flavor::Mysql56.installed());
    let file = installed.binary();
    let (finished, records) = symbols(&file.display().to_string(), "check_connection")?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let found = of_kind(&records, "symbol");
    let [function] = found.as_slice() else { anyhow::bail!("{records:?}") };
    assert_eq!((&function["address"], &function["size"]), (&Value::Null, &Value::Null), "it has no body");
    assert_eq!(function["tables"], serde_json::json!(["dwarf"]));
    // It has no linkage name; gdb, too, shows its parameters.
    assert_eq!(function["name"], "check_connection(THD*)");
    let places = function["places"].as_array().context("no places")?;
    let [place] = places.as_slice() else { anyhow::bail!("{places:?}") };
    assert_eq!((&place["kind"], &place["callers"][0]["name"]), (&"inlined".into(), &"login_connection(THD*)".into()));
    let address = place["address"].as_u64().context("no address")?;
    assert_eq!(place["offset"].as_u64(), Some(by_readelf(file, address)?));
    let frames = by_addr2line(file, address)?;
    // Its first instruction may be of a function that is inlined into it in its turn.
    let [.., (inner, _), (outer, call)] = frames.as_slice() else { anyhow::bail!("{frames:?}") };
    assert!(inner.contains("check_connection") && outer.contains("login_connection"), "{frames:?}");
    let line = &place["callers"][0]["line"];
    let written = format!("{}:{}", line["file"].as_str().unwrap_or_default(), line["line"]);
    assert_eq!(call, &written, "the line of the call");

    // The table says the same for people.
    let finished = dbcc::run(["symbols", &file.display().to_string(), "check_connection"])?;
    let text = finished.stdout();
    let row = text.lines().find(|row| row.starts_with(&format!("{address:#x} "))).context("no row of the copy")?;
    let short = written.rsplit('/').take(2).collect::<Vec<_>>();
    let short = short.into_iter().rev().collect::<Vec<_>>().join("/");
    assert!(row.ends_with(&format!("  inlined into login_connection(THD*) at {short}")), "{text}");
    Ok(())
}

/// A program whose layout is known: compiled here, with a static function that is inlined twice.
fn fixture(folder: &Path) -> Result<std::path::PathBuf> {
    let (source, program) = (folder.join("fixture.cc"), folder.join("fixture"));
    fs::write(
        &source,
        "namespace bank {
struct Account { long balance; };
static inline __attribute__((always_inline)) long deposit(Account *account, long amount) {
    __asm__ volatile(\"\" : : \"r\"(account), \"r\"(amount));
    return account->balance += amount;
}
__attribute__((noinline)) long pay_in(Account *account) { return deposit(account, 7); }
__attribute__((noinline)) long transfer(Account *from, Account *to, long amount) {
    from->balance -= amount;
    return deposit(to, amount) + pay_in(from);
}
}
int main(int count, char **) { bank::Account a{count}, b{1}; return bank::transfer(&a, &b, 3) == 2; }
",
    )?;
    let mut command = Command::new("g++");
    command.args(["-g", "-O1", "-fno-ipa-icf", "-fno-ipa-sra"]).arg(&source).arg("-o").arg(&program);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "g++: {}", finished.stderr());
    Ok(program)
}

/// Numbers that depend on the compiler are shown as `N`, so that the rest of the table can be compared.
fn without_numbers(text: &str) -> String {
    let mut out = Vec::new();
    for line in text.lines() {
        let words = line.split_inclusive(' ').map(|word| match word.trim_end() {
            bare if bare.starts_with("0x") => word.replacen(bare, &"x".repeat(bare.len()), 1),
            bare if !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_digit()) => {
                word.replacen(bare, &"9".repeat(bare.len()), 1)
            }
            _ => word.to_owned(),
        });
        out.push(words.collect::<String>());
    }
    out.join("\n")
}

#[test]
fn the_table_has_inlined_copies_under_their_function() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = fixture(folder.path())?;
    let finished = dbcc::run(["symbols", &program.display().to_string(), "deposit"])?;
    let text = finished.stdout();
    let table: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("ADDRESS")).collect();
    let name = folder.path().file_name().context("no name")?.to_string_lossy().into_owned();
    let shown = without_numbers(&table.join("\n")).replace(&format!("{name}/"), "");
    insta::assert_snapshot!(shown, @r#"
        ADDRESS  OFFSET  SIZE  TABLE  FUNCTION
        -        -          -  dwarf  bank::deposit(bank::Account*, long)
                                      declared at fixture.cc:3
        xxxxxx   xxxxxx    99           inlined into bank::pay_in(bank::Account*) at fixture.cc:7
        xxxxxx   xxxxxx     9           inlined into bank::transfer(bank::Account*, bank::Account*, long) at fixture.cc:10

        9 function matches: 9 bodies and 9 inlined copies
        "#);

    // The same through a pipe and in a list, where each line is whole.
    let finished = dbcc::run(["symbols", "--list", &program.display().to_string(), "/bank/"])?;
    let shown = without_numbers(&finished.stdout());
    let list: Vec<&str> = shown.lines().skip_while(|line| !line.starts_with("ADDRESS")).collect();
    insta::assert_snapshot!(list.join("\n"), @r#"
        ADDRESS  OFFSET  SIZE  TABLE         FUNCTION
        -        -          -  dwarf         bank::deposit(bank::Account*, long)  (inlined 9 times)
        xxxxxx   xxxxxx    99  symtab,dwarf  bank::pay_in(bank::Account*)
        xxxxxx   xxxxxx    99  symtab,dwarf  bank::transfer(bank::Account*, bank::Account*, long)
        9 functions, 9 inlined copies (10 functions in symtab, 9 functions in dynsym)
        "#);
    Ok(())
}

#[test]
fn arguments_calls_and_sites_are_shown_where_they_are_asked_for() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = fixture(folder.path())?.display().to_string();
    let plain = dbcc::run(["symbols", &program, "transfer"])?.stdout();
    for absent in ["amount", "calls:", "probe:"] {
        assert!(!plain.contains(absent), "{plain}");
    }
    let all = dbcc::run(["symbols", "--args", "--calls", "--sites", &program, "transfer"])?.stdout();
    for part in ["to ", "Account*", "rsi", "is called by:", "main", "calls:", "pay_in", "probe: `"] {
        assert!(all.contains(part), "{part}: {all}");
    }
    let lines = dbcc::run(["symbols", "--lines", &program, "transfer"])?.stdout();
    let line = lines.lines().find(|line| line.contains("from->balance -= amount")).context("no text of the source")?;
    assert!(line.split_whitespace().nth(1).is_some_and(|word| word.starts_with("0x")), "{lines}");
    let finished = dbcc::run(["symbols", "--json", "--calls", "--sites", &program, "transfer"])?;
    let records: Vec<Value> = finished.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let function = records.first().context("nothing")?;
    assert_eq!(function["calls"]["callers"][0]["name"], "main", "{function}");
    assert!(function["places"][0]["site"]["entry"].is_string(), "{function}");
    assert_eq!(function["signature"]["parameters"][1]["name"], "to", "{function}");
    Ok(())
}

#[test]
fn a_process_is_searched_with_its_libraries() -> Result<()> {
    let mut sleeper = Command::new("sleep").arg("600").spawn()?;
    let pid = sleeper.id().to_string();
    // The dynamic linker maps it some time after the process is there.
    let mapped = wait_until("libc in the process", || {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        Ok(maps.lines().any(|line| line.contains("libc.so") && line.contains("r-xp")).then_some(()))
    });
    let found = dbcc::run(["symbols", "--json", "--pid", &pid, "nanosleep"]);
    let missed = dbcc::run(["symbols", "--pid", &pid, "no_such_function_anywhere"]);
    sleeper.kill()?;
    sleeper.wait()?;
    mapped?;
    let found = found?;
    let records: Vec<Value> = found.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let libc = |record: &Value| record["binary"].as_str().is_some_and(|path| path.contains("libc.so"));
    assert!(of_kind(&records, "symbol").iter().any(libc), "{records:?}");
    let missed = missed?;
    assert_eq!(missed.code(), Some(1));
    assert!(missed.stdout().contains("librar"), "{}", missed.stdout());
    Ok(())
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
        let stderr = finished.stderr();
        assert!(stderr.contains(binary), "{stderr}");
        // What the system says stands there once.
        assert!(stderr.matches("No such file or directory").count() <= 1, "{stderr}");
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
