//! `dbcc dump`: instruction by instruction against llvm-objdump and bpftool.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc;
use dbcc_tests::need;
use dbcc_tests::objects::case;
use dbcc_tests::process::{Finished, run};
use serde_json::Value;

fn dump(arguments: &[&str]) -> Result<Finished> {
    let mut command = dbcc::command()?;
    command.arg("dump").args(arguments);
    run(command)
}

/// The objects of `dbcc dump --json` of one kind.
fn objects(arguments: &[&str], kind: &str) -> Result<Vec<Value>> {
    let finished = dump(&[&["--json"], arguments].concat())?;
    ensure!(finished.code() == Some(0), "{arguments:?}: {}{}", finished.stdout(), finished.stderr());
    let text = finished.stdout();
    let all: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|object| object["kind"] == kind).collect())
}

/// The built-in probes and a program of libbpf's style as objects, by name.
fn all_objects(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(need::repository().join("probes"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).context("a probe without a name")?.to_owned();
        let object = folder.join(format!("{name}.bpf.o")).display().to_string();
        let built = dbcc::run(["build", &name, "-o", &object])?;
        ensure!(built.code() == Some(0), "{name}: {}{}", built.stdout(), built.stderr());
        all.insert(name, object);
    }
    let object = folder.join("foreign.o").display().to_string();
    let mut clang = Command::new("clang-19");
    clang.args(["--target=bpf", "-O2", "-g", "-c", "-o", &object]).arg(case("foreign.c"));
    ensure!(run(clang)?.code() == Some(0), "clang refuses foreign.c");
    all.insert("foreign".to_owned(), object);
    Ok(all)
}

/// An instruction in the words that both disassemblers have: numbers are decimal and 32 bits wide, registers that hold halves
/// are whole ones in loads and stores, and what a call or a constant refers to is left out.
fn plain(text: &str) -> String {
    let text = text.split('<').next().filter(|_| text.contains("goto") || text.contains("call")).unwrap_or(text);
    let mut words = Vec::new();
    let spaced = text.replace(['(', ')', '[', ']', ','], " ").replace('*', " ");
    let mut sign = 1;
    for word in spaced.split_whitespace() {
        match word {
            "+" => continue,
            "-" => sign = -1,
            "ll" | "lock" => {}
            word => {
                let word = word.strip_prefix("pc").unwrap_or(word);
                words.push(number(word, sign).unwrap_or_else(|| word.to_owned()));
                sign = 1;
            }
        }
    }
    let mut text = words.join(" ");
    if text.starts_with("call") {
        return "call".to_owned();
    }
    if ["u8", "u16", "u32", "u64", "s8", "s16", "s32"].iter().any(|size| words.iter().any(|word| word == size)) {
        text = text.replace('w', "r");
    }
    text
}

fn number(word: &str, sign: i64) -> Option<String> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    let value = match u32::try_from(value) {
        Ok(value) => i64::from(value.cast_signed()),
        Err(_) => value.cast_signed(),
    };
    Some((if negative { value.wrapping_neg() } else { value }.wrapping_mul(sign)).to_string())
}

/// Instructions of llvm-objdump by function: bytes and text; and its relocations.
type Disassembled = BTreeMap<String, (Vec<(String, String)>, Vec<(String, String)>)>;

fn of_objdump(object: &str) -> Result<Disassembled> {
    let mut command = Command::new("llvm-objdump-19");
    command.args(["-d", "-r", "--mattr=+alu32", object]);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "{}", finished.stderr());
    let mut all = Disassembled::new();
    let mut function = String::new();
    for line in finished.stdout().lines() {
        if let Some(name) = line.split_once(" <").and_then(|(_, name)| name.strip_suffix(">:")) {
            // Labels of jumps begin with `LBB`.
            if !name.starts_with("LBB") {
                name.clone_into(&mut function);
            }
        } else if let Some(at) = line.find("R_BPF_") {
            let mut words = line.get(at..).unwrap_or_default().split_whitespace();
            if let (Some(kind), Some(symbol)) = (words.next(), words.next()) {
                all.entry(function.clone()).or_default().1.push((kind.to_owned(), symbol.to_owned()));
            }
        } else if let Some((at, rest)) = line.trim().split_once(":\t")
            && at.chars().all(|letter| letter.is_ascii_hexdigit())
            && let Some((bytes, text)) = rest.split_once('\t')
        {
            let bytes: String = bytes.split_whitespace().collect();
            all.entry(function.clone()).or_default().0.push((bytes, text.trim().to_owned()));
        }
    }
    Ok(all)
}

/// All stages on the same objects: compiling them is what takes the time.
#[test]
fn each_stage_is_what_others_show_of_it() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let all = all_objects(folder.path())?;
    the_object_is_what_llvm_objdump_shows(&all)?;
    what_the_verifier_left_is_what_bpftool_shows(&all)?;
    machine_code_is_what_objdump_shows(&all, folder.path())
}

fn the_object_is_what_llvm_objdump_shows(all: &BTreeMap<String, String>) -> Result<()> {
    let (mut functions, mut instructions, mut relocated) = (0, 0, 0);
    for (name, object) in all {
        let theirs = of_objdump(object)?;
        for code in &objects(&["--stage", "object", object], "code")? {
            let function = code["function"].as_str().context("no name")?;
            let rows = code["instructions"].as_array().context("no instructions")?;
            // Of several variants in one object, the one that fits this kernel is shown.
            let Some((wanted, relocations)) = theirs.get(function) else { continue };
            let ours: Vec<(&str, &str)> =
                rows.iter().filter_map(|row| Some((row["bytes"].as_str()?, row["text"].as_str()?))).collect();
            let bytes = |all: &mut dyn Iterator<Item = &str>| all.collect::<String>();
            if bytes(&mut ours.iter().map(|row| row.0)) != bytes(&mut wanted.iter().map(|row| row.0.as_str())) {
                continue;
            }
            // A constant of 64 bits is two rows there, the second without a text.
            for ((_, text), (_, expect)) in ours.iter().zip(wanted) {
                assert_eq!(plain(text), plain(expect), "{name}: {function}: {text} | {expect}");
            }
            instructions += ours.len();
            functions += 1;
            let own: Vec<(String, String)> = rows
                .iter()
                .flat_map(|row| row["relocations"].as_array().into_iter().flatten())
                .filter_map(|one| Some((one["type"].as_str()?.to_owned(), one["symbol"].as_str()?.to_owned())))
                .collect();
            assert_eq!(&own, relocations, "{name}: {function}");
            relocated += own.len();
        }
    }
    eprintln!("{functions} functions with {instructions} instructions and {relocated} relocations are equal");
    ensure!(functions >= 6 && instructions > 200 && relocated > 10, "{functions} {instructions} {relocated}");
    Ok(())
}

/// Loads an object by bpftool and dumps its programs: by name, what `bpftool prog dump xlated` prints.
fn of_bpftool(object: &str) -> Result<BTreeMap<String, String>> {
    let script = format!(
        "mount -t bpf bpf /sys/fs/bpf && mkdir -p /sys/fs/bpf/dbcc && bpftool prog loadall {object} /sys/fs/bpf/dbcc/x && \
         for p in /sys/fs/bpf/dbcc/x/*; do echo \"== ${{p##*/}}\"; bpftool prog dump xlated pinned $p linum; done"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    let mut all = BTreeMap::new();
    let mut name = String::new();
    for line in finished.stdout().lines() {
        match line.strip_prefix("== ") {
            Some(program) => program.clone_into(&mut name),
            None => all.entry(name.clone()).or_insert_with(String::new).push_str(&format!("{line}\n")),
        }
    }
    Ok(all)
}

/// A text without the numbers of maps, which each load gives anew.
fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("id:") {
        out.push_str(before);
        out.push_str("id");
        rest = behind.trim_start_matches(|letter: char| letter.is_ascii_digit());
    }
    out + rest
}

/// Instructions with the number of the line that begins at each: `0: (bf) r6 = r1`, 12.
fn rows_of_bpftool(text: &str) -> Vec<(String, Option<u64>)> {
    let mut rows = Vec::new();
    let mut line_number = None;
    for line in text.lines() {
        let line = line.trim();
        if line.starts_with(';') {
            line_number = line.split("line_num:").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        } else if line.split_once(": (").is_some_and(|(at, _)| at.chars().all(|letter| letter.is_ascii_digit())) {
            rows.push((without_ids(line), line_number.take()));
        }
    }
    rows
}

fn what_the_verifier_left_is_what_bpftool_shows(all: &BTreeMap<String, String>) -> Result<()> {
    let (mut programs, mut instructions, mut lines, mut newer) = (0, 0, 0, 0);
    for (name, object) in all {
        let theirs = of_bpftool(object)?;
        let mut ours: BTreeMap<String, Vec<(String, Option<u64>)>> = BTreeMap::new();
        for code in &objects(&["--stage", "xlated", object], "code")? {
            let program = code["program"].as_str().context("no name")?.to_owned();
            for row in code["instructions"].as_array().into_iter().flatten() {
                let code = row["bytes"].as_str().and_then(|bytes| bytes.get(..2)).context("no bytes")?;
                let text = format!("{}: ({code}) {}", row["at"], row["text"].as_str().unwrap_or_default());
                ours.entry(program.clone())
                    .or_default()
                    .push((without_ids(&text), row["line"].get("line").and_then(Value::as_u64)));
            }
        }
        for (program, text) in theirs {
            let wanted = rows_of_bpftool(&text);
            // Of several variants in one object, dbcc takes the one that fits this kernel.
            let Some(ours) = ours.get(&program).filter(|ours| ours.len() == wanted.len()) else { continue };
            for (ours, wanted) in ours.iter().zip(&wanted) {
                // bpftool 7.1 does not know moves to addresses of a processor's own memory.
                let (start, is_newer) = match ours.0.split_once("&(void __percpu *)(") {
                    Some((start, rest)) => (format!("{start}{}", rest.trim_end_matches(')')), true),
                    None => (ours.0.clone(), false),
                };
                newer += usize::from(is_newer);
                assert_eq!(start, wanted.0, "{name}: {program}");
                // It leaves out lines that repeat the one before.
                if let Some(line) = wanted.1 {
                    assert_eq!(ours.1, Some(line), "{name}: {program}: {}", ours.0);
                    lines += 1;
                }
            }
            instructions += wanted.len();
            programs += 1;
        }
    }
    ensure!(newer <= 16, "{newer} instructions are written otherwise by this bpftool");
    eprintln!("{programs} programs with {instructions} instructions and {lines} lines are equal");
    ensure!(programs >= 4 && instructions > 150 && lines > 30, "{programs} {instructions} {lines}");
    Ok(())
}

/// The name of a machine instruction without the sign of its size.
fn mnemonic(text: &str) -> &str {
    let word = text.split_whitespace().find(|word| !matches!(*word, "lock" | "cs")).unwrap_or_default();
    word.trim_end_matches(['b', 'w', 'l', 'q'])
}

fn machine_code_is_what_objdump_shows(all: &BTreeMap<String, String>, folder: &Path) -> Result<()> {
    let mut compared = 0;
    for (name, object) in all {
        for code in &objects(&["--stage", "jited", object], "code")? {
            let program = code["program"].as_str().context("no name")?;
            let rows = code["instructions"].as_array().context("no instructions")?;
            let digits: String = rows.iter().filter_map(|row| row["bytes"].as_str()).collect();
            let bytes = digits
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair)?, 16).map_err(anyhow::Error::from));
            let raw = folder.join("machine");
            fs::write(&raw, bytes.collect::<Result<Vec<u8>>>()?)?;
            let mut command = Command::new("objdump");
            command.args(["-D", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn"]).arg(&raw);
            let told = run(command)?.stdout();
            let wanted = told.lines().filter_map(|line| {
                let (at, text) = line.trim().split_once(":\t")?;
                Some((u64::from_str_radix(at, 16).ok()?, text.trim()))
            });
            let wanted: Vec<(u64, &str)> = wanted.collect();
            assert_eq!(rows.len(), wanted.len(), "{name}: {program}");
            for (row, (at, text)) in rows.iter().zip(&wanted) {
                let own = row["text"].as_str().unwrap_or_default();
                assert_eq!(row["at"], *at, "{name}: {program}: {own} | {text}");
                assert_eq!(mnemonic(own), mnemonic(text), "{name}: {program} {at:#x}: {own} | {text}");
                compared += 1;
            }
        }
    }
    eprintln!("{compared} instructions of machine code are equal");
    ensure!(compared > 200, "{compared} instructions were compared");
    Ok(())
}

#[test]
fn an_overview_has_the_verifiers_figures_and_the_users_lines() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("mine.c");
    fs::write(
        &probe,
        "BPF_HASH(counts, u32, u64);\n\
         TRACEPOINT_PROBE(sched, sched_process_exit) {\n\
         \x20   struct task_struct *task = (struct task_struct *)bpf_get_current_task();\n\
         \x20   u32 pid = task->real_parent->tgid;\n\
         \x20   counts.increment(pid);\n\
         \x20   return 0;\n\
         }\n",
    )?;
    let probe = probe.display().to_string();
    let shown = dump(&[&probe])?;
    let text = shown.stdout();
    assert_eq!(shown.code(), Some(0), "{text}{}", shown.stderr());
    for part in [
        "verified: ",
        "instructions looked at of at most 1000000",
        "counts ",
        "hash, key 4 bytes, value 8 bytes",
        "; u32 pid = task->real_parent->tgid;  [mine.c:4]",
        "CO-RE  byte_off of task_struct.tgid",
        "call bpf_get_current_task#35",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let object = objects(&[&probe], "object")?;
    let verified = &object.first().context("no overview")?["programs"][0]["verified"];
    assert!(verified["instructions"].as_u64() > Some(10) && verified["stack"][0].as_u64() >= Some(4), "{verified}");
    let rewritten = dump(&[&probe, "--stage", "rewritten"])?.stdout();
    assert!(
        rewritten.contains("BPF_HASH(counts, u32, u64);") && !rewritten.contains("counts.increment(pid)"),
        "{rewritten}"
    );
    let templated = dump(&[&probe, "--stage", "templated"])?.stdout();
    assert!(templated.contains("struct task_struct {") && templated.contains("counts.increment(pid)"), "{templated}");
    let wrong = dump(&[&probe, "--program", "nothing"])?;
    assert!(wrong.code() == Some(2) && wrong.stderr().contains("there are "), "{}", wrong.stderr());
    Ok(())
}
