//! `dbcc types`: layouts against pahole, and against what a program says of its own classes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc;
use dbcc_tests::need;
use dbcc_tests::process::{Finished, run};
use serde_json::Value;

/// Of so many structs of the kernel one is compared.
const EVERY: usize = 16;

fn types<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Finished> {
    let mut command = dbcc::command()?;
    command.arg("types").args(arguments);
    run(command)
}

/// The objects of `dbcc types --json`.
fn objects<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Vec<Value>> {
    let mut command = dbcc::command()?;
    command.args(["types", "--json"]).args(arguments);
    let finished = run(command)?;
    let text = finished.stdout();
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// What is compared of a struct: its size, members (name, offset, bit, size), and room in bits: in holes, at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Layout {
    size: u64,
    members: Vec<(u64, u64, u64, String)>,
    holes: u64,
    end: u64,
}

/// The structs and classes in pahole's output by name; `deep` with what is in nested ones.
fn of_pahole(text: &str, deep: bool) -> BTreeMap<String, BTreeSet<Layout>> {
    let mut all: BTreeMap<String, BTreeSet<Layout>> = BTreeMap::new();
    let mut open: Option<(String, Layout)> = None;
    for line in text.lines() {
        if let Some(head) = line.strip_suffix('{').filter(|line| !line.starts_with(char::is_whitespace)) {
            let head = head.split(" : ").next().unwrap_or(head);
            open = Some((head.trim().to_owned(), Layout::default()));
        } else if line.starts_with('}') {
            if let Some((name, mut layout)) = open.take() {
                // It tells neither size nor padding of unions.
                if name.starts_with("union") {
                    (layout.size, layout.end) = (0, 0);
                }
                layout.members.sort();
                all.entry(name).or_default().insert(layout);
            }
        } else if let Some((_, layout)) = &mut open {
            let outer = line.starts_with('\t') && !line.starts_with("\t\t");
            if outer && let Some(summary) = line.trim().strip_prefix("/* ") {
                summarize(summary, layout);
            }
            if outer || deep {
                layout.members.extend(member_of(line));
            }
        }
    }
    all
}

fn summarize(summary: &str, layout: &mut Layout) {
    for part in summary.trim_end_matches(" */").split(", ") {
        let Some((what, number)) = part.split_once(": ") else { continue };
        let number: u64 = number.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        match what {
            "size" => layout.size = number,
            "sum holes" => layout.holes += number * 8,
            "sum bit holes" => layout.holes += number,
            "padding" => layout.end += number * 8,
            "bit_padding" => layout.end += number,
            _ => {}
        }
    }
}

/// `int a:3; /* 12: 4  4 */`
fn member_of(line: &str) -> Option<(u64, u64, u64, String)> {
    let (declaration, place) = line.trim().strip_suffix("*/")?.rsplit_once("/*")?;
    let mut numbers = place.split([' ', ':']).filter(|word| !word.is_empty());
    let numbers: Vec<u64> = numbers.by_ref().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let (offset, bit, size) = match numbers.as_slice() {
        [offset, size] => (*offset, 0, *size),
        [offset, bit, size] => (*offset, *bit, *size),
        _ => return None,
    };
    let declaration = declaration.split("__attribute__").next()?.trim().trim_end_matches("*/").trim();
    if let Some((before, _)) = declaration.split_once("<ancestor>") {
        return Some((offset, bit, size, format!("base {}", before.trim().rsplit(' ').next()?)));
    }
    let declaration = declaration.trim_end_matches(';').trim();
    let name = match declaration.split_once("(*") {
        Some((_, behind)) => behind.trim_start_matches(['*', ' ']).trim_start_matches("const "),
        None => declaration.strip_prefix('}').unwrap_or(declaration).trim().rsplit([' ', '*']).next()?,
    };
    // Old compilers make names up for unions without one.
    let name = name.split([':', '[', ')']).next()?.trim();
    let name = if name.starts_with("._") { "" } else { name };
    Some((offset, bit, size, name.to_owned()))
}

/// The same of an object of dbcc's.
fn of_json(object: &Value, deep: bool) -> Layout {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let room = |gap: &Value| number(&gap["bytes"]) * 8 + number(&gap["bits"]);
    let empty = Vec::new();
    let members = object["members"].as_array().unwrap_or(&empty);
    let mut layout = Layout {
        size: number(&object["size"]),
        members: Vec::new(),
        holes: members.iter().map(|member| room(&member["unused_before"])).sum(),
        end: room(&object["padding"]),
    };
    collect(members, deep, &mut layout.members);
    layout.members.sort();
    if object["what"] == "union" {
        (layout.size, layout.end) = (0, 0);
    }
    layout
}

fn collect(members: &[Value], deep: bool, into: &mut Vec<(u64, u64, u64, String)>) {
    for member in members {
        if member["role"] == "virtual-base" {
            continue;
        }
        let number = |name: &str| member[name].as_u64().unwrap_or(0);
        let size = number("size");
        let name = match member["role"].as_str() {
            Some("base") => format!("base {}", member["type"].as_str().unwrap_or_default()),
            _ => member["name"].as_str().unwrap_or_default().to_owned(),
        };
        let (offset, bit) = match member["bits"].is_null() {
            true => (number("offset"), 0),
            false => {
                let unit = number("offset") / size.max(1) * size.max(1);
                (unit, number("bit_offset") - unit * 8)
            }
        };
        into.push((offset, bit, size, name));
        if deep && let Some(inner) = member["members"].as_array() {
            collect(inner, deep, into);
        }
    }
}

fn pahole(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("pahole");
    command.args(arguments);
    // It says on standard error what of the BTF it does not know.
    let output = command.output().context("cannot run pahole (run ci/setup)")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn structs_of_the_kernel_lie_as_pahole_says() -> Result<()> {
    let vmlinux = "/sys/kernel/btf/vmlinux";
    if !Path::new(vmlinux).exists() {
        return need::Skip::required("this kernel has no BTF").report();
    }
    let theirs = of_pahole(&pahole(&[vmlinux])?, true);
    ensure!(theirs.len() > 5000, "pahole tells of {} structs", theirs.len());
    let chosen =
        ["task_struct", "sock", "sk_buff", "tcp_sock", "page", "file", "inode", "mm_struct", "bio", "kmem_cache"];
    let mut names: BTreeSet<&str> = theirs.keys().map(String::as_str).step_by(EVERY).collect();
    let chosen = chosen.map(|name| format!("struct {name}"));
    names.extend(chosen.iter().map(String::as_str));
    names.retain(|name| name.contains(' '));
    let mut ours: BTreeMap<String, BTreeSet<Layout>> = BTreeMap::new();
    for object in objects(&names)? {
        let name = object["name"].as_str().context("a type without a name")?;
        ours.entry(name.to_owned()).or_default().insert(of_json(&object, true));
    }
    let mut compared = 0;
    for name in &names {
        let wanted = theirs.get(*name).with_context(|| format!("pahole has no `{name}`"))?;
        let found = ours.get(*name).with_context(|| format!("dbcc has no `{name}`"))?;
        assert_eq!(found, wanted, "{name}");
        compared += found.iter().map(|layout| layout.members.len()).sum::<usize>();
    }
    ensure!(compared > 5000, "only {compared} members were compared");
    eprintln!("{} structs with {compared} members are equal", names.len());
    Ok(())
}

/// Where dbcc tells more of classes than pahole.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Better {
    /// A member of a class that its unit only declares: pahole gives it no size, and a hole.
    DeclaredOnly,
    /// A member in the padding of a base class: pahole makes a hole of 64 KiB of it.
    InPadding,
}

#[test]
fn classes_of_a_server_lie_as_pahole_says() -> Result<()> {
    let server = need!(need::mysql56());
    let server = server.display().to_string();
    let classes = [
        "THD",
        "Item_field",
        "handler",
        "Protocol_text",
        "Field_blob",
        "List<Item>",
        "Time_zone",
        "buf_pool_t",
        "trx_t",
        "sp_head",
        "LEX",
        "Query_cache",
    ];
    // All of them: where it is asked for some, it stops at the first unit that has one.
    let all = of_pahole(&pahole(&[&server])?, false);
    let theirs: BTreeMap<&str, BTreeSet<&Layout>> = classes
        .iter()
        .map(|name| {
            let named = |(found, _): &(&String, _)| found.split_once(' ').is_some_and(|(_, found)| found == *name);
            (*name, all.iter().filter(named).flat_map(|(_, layouts)| layouts).collect())
        })
        .collect();
    let mut ours: BTreeMap<String, Vec<Layout>> = BTreeMap::new();
    for object in objects(["--binary", &server].into_iter().chain(classes))? {
        let name = object["typedef"].as_str().or(object["name"].as_str()).context("a type without a name")?.to_owned();
        ours.entry(name).or_default().push(of_json(&object, false));
    }
    let mut better: BTreeMap<Better, usize> = BTreeMap::new();
    let mut equal = 0;
    for (name, wanted) in &theirs {
        let all = ours.get(*name).with_context(|| format!("dbcc has no `{name}`"))?;
        if all.iter().any(|ours| wanted.contains(ours)) {
            equal += 1;
            continue;
        }
        let ours = all.first().context("none")?;
        let wanted = *wanted.first().with_context(|| format!("pahole has no `{name}`"))?;
        // A member without a size there has one here; the room behind it is that much smaller.
        let mut filled = 0;
        let starts: Vec<u64> = ours.members.iter().map(|member| member.0).collect();
        let mut alike = ours.clone();
        for (member, wanted) in alike.members.iter_mut().zip(&wanted.members) {
            if wanted.2 == 0 && (member.0, &member.3) == (wanted.0, &wanted.3) {
                // What lies in its padding is counted by itself.
                let next = starts.iter().copied().find(|start| *start > member.0).unwrap_or(u64::MAX);
                filled += member.2.min(next - member.0) * 8;
                member.2 = 0;
            }
        }
        alike.holes = wanted.holes;
        alike.end = wanted.end;
        assert_eq!(&alike, wanted, "{name}");
        if wanted.holes > wanted.size * 8 {
            *better.entry(Better::InPadding).or_default() += 1;
            continue;
        }
        assert_eq!(ours.holes + ours.end + filled, wanted.holes + wanted.end, "{name}");
        *better.entry(Better::DeclaredOnly).or_default() += 1;
    }
    eprintln!("{equal} classes are equal; better: {better:?}");
    ensure!(better.values().sum::<usize>() <= 6, "{better:?}");
    Ok(())
}

/// Compiles the classes of the case: the program.
fn classes(folder: &Path, compiler: &str, flags: &[&str]) -> Result<PathBuf> {
    let cases = need::repository().join("tests/cases");
    let program = folder.join("classes");
    let mut command = Command::new(compiler);
    command.args(["-g", "-O1", "-std=c++17", "-Wno-invalid-offsetof", "-o"]).arg(&program).args(flags);
    command.arg(cases.join("types.cc")).arg(cases.join("types_other.cc")).current_dir(folder);
    let finished = run(command)?;
    ensure!(finished.code() == Some(0), "{compiler} {flags:?}: {}", finished.stderr());
    Ok(program)
}

#[test]
fn classes_lie_as_the_program_itself_says() -> Result<()> {
    let ways: [(&str, &[&str]); 6] = [
        ("g++", &["-gdwarf-4"]),
        ("g++", &["-gdwarf-5"]),
        ("g++", &["-gdwarf-4", "-fdebug-types-section"]),
        ("g++", &["-gdwarf-5", "-fdebug-types-section"]),
        ("g++", &["-gdwarf-5", "-gsplit-dwarf"]),
        ("clang++-19", &["-gdwarf-5", "-fstandalone-debug"]),
    ];
    for (compiler, flags) in ways {
        let folder = tempfile::tempdir()?;
        let program = classes(folder.path(), compiler, flags)?;
        let told = run(Command::new(&program))?.stdout();
        let program = program.display().to_string();
        let mut places = 0;
        for line in told.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, member, offset, size] = words.as_slice() else { continue };
            let asked = if *member == "-" { format!("{program}:{name}") } else { format!("{program}:{name}.{member}") };
            let found = objects([&asked])?;
            let found = found.first().context("nothing")?;
            let offset: u64 = if *member == "-" { 0 } else { offset.parse()? };
            let place = if *member == "-" { 0 } else { found["offset"].as_u64().unwrap_or(u64::MAX) };
            let context = || format!("{compiler} {flags:?}: {asked}: {found}");
            ensure!((place, found["size"].as_u64()) == (offset, Some(size.parse()?)), "{}", context());
            places += 1;
        }
        assert_eq!(places, 23, "{told}");
        let virtually = types([format!("{program}:Diamond.common")])?;
        assert_eq!(virtually.code(), Some(1));
        assert!(virtually.stderr().contains("virtual base class"), "{}", virtually.stderr());
        if !flags.contains(&"-gsplit-dwarf") {
            let far = objects([format!("{program}:Points.there.found")])?;
            let far = far.first().context("nothing")?;
            assert_eq!((&far["offset"], &far["through"][0]["offset"]), (&12.into(), &8.into()), "{flags:?}: {far}");
        }
        // GCC leaves static members out of type units of DWARF 5.
        let has_statics = flags != ["-gdwarf-5", "-fdebug-types-section"];
        shows_the_rest(&program, has_statics)?;
    }
    Ok(())
}

/// What no offset tells: base classes, virtual tables, static members, bit fields, lists, and what is near.
fn shows_the_rest(program: &str, has_statics: bool) -> Result<()> {
    let of = |name: &str| -> Result<String> { Ok(types([format!("{program}:{name}")])?.stdout()) };
    let derived = of("Derived")?;
    for part in ["Derived : Base, Empty {", "<base class>", "size: 24, cache lines: 1"] {
        assert!(derived.contains(part), "{part}\n{derived}");
    }
    assert_eq!(derived.contains("static int shared;"), has_statics, "{derived}");
    let base = of("Base")?;
    assert!(base.contains("8 virtual table */") && base.contains("padding at the end: 7 bytes"), "{base}");
    let bits = of("Bits")?;
    assert!(bits.contains("second:7;") && bits.contains("/*     0: 8  4 */"), "{bits}");
    assert!(of("Node")?.contains("Node<double> {"), "an instance of a template");
    let list = of("*er")?;
    assert!(list.contains("outer::Holder") && !list.contains("Plain"), "{list}");
    let nested = types(["--expand", &format!("{program}:Holder")])?.stdout();
    assert!(nested.contains("double") && nested.contains("} inner;"), "{nested}");
    let wrong = types([format!("{program}:Plian"), format!("{program}:Plain.nubmer")])?;
    assert_eq!(wrong.code(), Some(1));
    assert!(wrong.stderr().contains("did you mean `Plain`?"), "{}", wrong.stderr());
    assert!(wrong.stderr().contains("did you mean `number`?"), "{}", wrong.stderr());
    Ok(())
}

#[test]
fn what_it_says_to_paste_compiles() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kernel = objects(["sock.sk_socket.file.f_path.dentry", "task_struct.comm[3]", "sock.sk_txtime_unused"])?;
    let program = classes(folder.path(), "g++", &[])?.display().to_string();
    let user = objects([
        format!("{program}:Points.there.found"),
        format!("{program}:Bits.second"),
        format!("{program}:outer::Holder.inner"),
    ])?;
    let mut text = String::new();
    for (index, place) in kernel.iter().chain(&user).enumerate() {
        let (parameter, expression) = (place["parameter"].as_str(), place["expression"].as_str());
        let (parameter, expression) = parameter.zip(expression).context("nothing to paste")?;
        text.push_str(&format!(
            "static __always_inline u64 read{index}({parameter}) {{ return (u64)({expression}); }}\n\
             int kprobe__vfs_read{index}(struct pt_regs *ctx) {{ bpf_trace_printk(\"%llx\", read{index}((void \
             *)PT_REGS_PARM1(ctx))); return 0; }}\n"
        ));
    }
    let probe = folder.path().join("paste.c");
    std::fs::write(&probe, &text)?;
    let checked = dbcc::run(["check", "--without", "fentry", &probe.display().to_string()])?;
    assert_eq!(checked.code(), Some(0), "{text}\n{}{}", checked.stdout(), checked.stderr());
    Ok(())
}
