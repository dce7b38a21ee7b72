//! USDT probes: every hit of every site, with equal values whatever place they are in.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::dbcc::{self, Attached};
use dbcc_tests::need;
use dbcc_tests::sites::{Sites, check, compile, only, probe, start, start_with};
use serde_json::json;

#[test]
fn every_hit_of_every_site_has_its_values() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    for (name, flags) in
        [("pie", &["-pie", "-fPIE"][..]), ("fixed", &["-no-pie", "-fno-pie"]), ("static", &["-static"])]
    {
        let path = compile(folder.path(), name, flags)?;
        let mut sites = Sites::start(Command::new(&path))?;
        assert_eq!(sites.come_by(3)?, 0, "nobody listens, and the semaphore is down");
        let dbcc = start(Some(&path), None)?;
        assert_eq!(sites.come_by(50)?, 50, "the semaphore is up");
        check(&dbcc.interrupt()?, 50).with_context(|| name.to_owned())?;
        assert_eq!(sites.come_by(3)?, 0, "the semaphore is down again");
    }
    Ok(())
}

/// Under `--watch`, dbcc itself notes where arguments are; otherwise libbpf does.
#[test]
fn values_and_semaphores_are_the_same_for_versions_that_take_turns() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let mut sites = Sites::start(Command::new(&path))?;
    for pid in [None, Some(sites.pid())] {
        let dbcc = start_with(&["--watch"], Some(&path), pid)?;
        assert_eq!(sites.come_by(50)?, 50, "the semaphore is up");
        check(&dbcc.interrupt()?, 50)?;
        assert_eq!(sites.come_by(3)?, 0, "the semaphore is down again");
    }
    Ok(())
}

#[test]
fn a_process_is_told_from_others_and_needs_no_binary() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let (mut traced, mut other) = (Sites::start(Command::new(&path))?, Sites::start(Command::new(&path))?);
    let dbcc = start(None, Some(traced.pid()))?;
    assert_eq!((traced.come_by(20)?, other.come_by(20)?), (20, 0));
    check(&dbcc.interrupt()?, 20)
}

#[test]
fn a_process_with_another_root_is_found_by_its_id() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    compile(folder.path(), "sites", &["-static"])?;
    let mut command = Command::new("chroot");
    command.arg(folder.path()).arg("/sites");
    let mut sites = Sites::start(command)?;
    let dbcc = start(None, Some(sites.pid()))?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)
}

#[test]
fn the_probes_of_a_library_are_found_in_the_process_that_loaded_it() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let library =
        compile(folder.path(), "libsites.so", &["-shared", "-fPIC", "-Dmain=come", "-Wl,-soname,libsites.so"])?;
    let caller = folder.path().join("caller.c");
    std::fs::write(&caller, "int come(void); int main(void) { return come(); }\n")?;
    let program = folder.path().join("caller");
    let mut gcc = Command::new("gcc");
    gcc.arg("-o").arg(&program).arg(&caller).arg(&library).arg(format!("-Wl,-rpath,{}", folder.path().display()));
    assert_eq!(dbcc_tests::process::run(gcc)?.code(), Some(0));
    let mut sites = Sites::start(Command::new(&program))?;
    let dbcc = start(None, Some(sites.pid()))?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)?;
    // The same for all processes, by the library's path.
    let dbcc = start(Some(&library), None)?;
    assert_eq!(sites.come_by(20)?, 20);
    check(&dbcc.interrupt()?, 20)
}

#[test]
fn hundreds_of_sites_with_arguments_of_their_own_are_told_apart() -> Result<()> {
    need!(need::root());
    const SITES: u64 = 400;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("many.c");
    let sites: String =
        (0..SITES).map(|number| format!("USDT(\"many\", \"here\", \"4@%0\", \"i\"({number}));\n")).collect();
    std::fs::write(
        &source,
        format!(
            "#include <stdio.h>\n#include \"usdt.h\"\nint main(void)\n{{\nchar line[64];\nputs(\"ready\"); fflush(stdout);\n\
             while (fgets(line, 64, stdin)) {{\n{sites}puts(\"done 0\"); fflush(stdout);\n}}\nreturn 0;\n}}\n"
        ),
    )?;
    let program = folder.path().join("many");
    let mut gcc = Command::new("gcc");
    gcc.arg("-I").arg(need::repository().join("symres/tests/data")).arg("-o").arg(&program).arg(&source);
    assert_eq!(dbcc_tests::process::run(gcc)?.code(), Some(0));
    let probe = folder.path().join("probe.c");
    std::fs::write(
        &probe,
        "BPF_HASH(seen, u32, u64);\nint here(struct pt_regs *ctx, u32 site) { seen.increment(site); return 0; }\n",
    )?;
    let mut sites = Sites::start(Command::new(&program))?;
    let attach = format!("usdt:{}:many:here=here", program.display());
    let dbcc = Attached::start([probe.display().to_string().as_str(), "--interval", "1h", "--attach", &attach])?;
    sites.come_by(1)?;
    sites.come_by(1)?;
    let mut seen: Vec<(u64, u64)> = Vec::new();
    for entry in dbcc.interrupt()?.last_map("seen")? {
        seen.push((entry["key"].as_u64().context("no number")?, entry["value"].as_u64().context("no count")?));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..SITES).map(|number| (number, 2)).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn one_probe_in_a_program_and_in_its_library_is_seen_in_both() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let (library, program, source) =
        (folder.path().join("libhere.so"), folder.path().join("program"), folder.path().join("both.c"));
    std::fs::write(
        &source,
        "#include <stdio.h>\n#include \"usdt.h\"\nvoid there(long number);\n#ifdef LIBRARY\n\
         void there(long number) { USDT(\"both\", \"here\", \"-8@%0\", \"r\"(number)); }\n#else\n\
         int main(void)\n{\nchar line[64];\nputs(\"ready\"); fflush(stdout);\n\
         while (fgets(line, 64, stdin)) {\n\
         there(1); USDT(\"both\", \"here\", \"-8@%0\", \"i\"(2)); puts(\"done 0\"); fflush(stdout);\n}\nreturn 0;\n}\n#endif\n",
    )?;
    let gcc = |arguments: &[&str], to: &Path, more: &[&Path]| -> Result<()> {
        let mut gcc = Command::new("gcc");
        gcc.arg("-I").arg(need::repository().join("symres/tests/data")).args(arguments);
        gcc.arg("-o").arg(to).arg(&source).args(more);
        let finished = dbcc_tests::process::run(gcc)?;
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        Ok(())
    };
    gcc(&["-shared", "-fPIC", "-DLIBRARY", "-Wl,-soname,libhere.so"], &library, &[])?;
    let path = format!("-Wl,-rpath,{}", folder.path().display());
    gcc(&[&path], &program, &[&library])?;
    let probe = folder.path().join("probe.c");
    let text = "BPF_HASH(seen, u64, u64);\nint here(struct pt_regs *ctx, long n) { seen.increment(n); return 0; }\n";
    std::fs::write(&probe, text)?;
    let mut running = Sites::start(Command::new(&program))?;
    let (probe, pid) = (probe.display().to_string(), running.pid().to_string());
    let dbcc = Attached::start([probe.as_str(), "--interval", "1h", "--pid", &pid, "--attach", "usdt:both:here=here"])?;
    running.come_by(1)?;
    running.come_by(1)?;
    let mut seen = dbcc.interrupt()?.last_map("seen")?;
    seen.sort_by_key(|entry| entry["key"].as_u64());
    assert_eq!(seen, [json!({"key": 1, "value": 2}), json!({"key": 2, "value": 2})]);
    Ok(())
}

#[test]
fn a_section_may_name_the_probe() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let probe = folder.path().join("probe.c");
    let text = format!(
        "#include <vmlinux.h>\n#include <bpf/bpf_helpers.h>\n#include <bpf/usdt.bpf.h>\n\
         struct {{ __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 10); __type(key, __u32); __type(value, __u64); }}\n\
         sums SEC(\".maps\");\n\
         SEC(\"usdt/{}:sites:guarded\")\n\
         int BPF_USDT(on_guarded, long number)\n{{\n__u32 zero = 0; __u64 value = number;\n\
         __u64 *sum = bpf_map_lookup_elem(&sums, &zero);\n\
         if (sum) __sync_fetch_and_add(sum, number); else bpf_map_update_elem(&sums, &zero, &value, 0);\n\
         return 0;\n}}\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n",
        path.display()
    );
    std::fs::write(&probe, text)?;
    let mut sites = Sites::start(Command::new(&path))?;
    let dbcc = Attached::start([probe.display().to_string().as_str(), "--interval", "1h"])?;
    assert_eq!(sites.come_by(20)?, 20);
    assert_eq!(only(&dbcc.interrupt()?, "sums")?, json!(190));
    Ok(())
}

/// What a run that cannot start says.
fn refused(arguments: &[&str]) -> Result<String> {
    let probe = probe();
    let finished = dbcc::run([probe.as_str()].into_iter().chain(arguments.iter().copied()))?;
    assert_eq!(finished.code(), Some(1), "{}{}", finished.stdout(), finished.stderr());
    Ok(finished.stderr())
}

#[test]
fn a_probe_that_is_not_there_is_told_with_what_is() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = compile(folder.path(), "sites", &[])?;
    let sites = Sites::start(Command::new(&path))?;
    let path = path.display();
    let check = |arguments: &[&str], expected: &[&str]| -> Result<()> {
        let said = refused(arguments)?;
        for expected in expected {
            assert!(said.contains(expected), "{expected:?} is not in {said}");
        }
        Ok(())
    };
    check(
        &["--attach", &format!("usdt:{path}:sites:value=on_values")],
        &["has no USDT probe `sites:value`", "its providers are sites (3 probes)", "names like it: sites:values"],
    )?;
    check(&["--attach", &format!("usdt:{path}:site:values=on_values")], &["one of the provider sites"])?;
    check(&["--attach", "usdt:/bin/true:values=on_values"], &["it has no USDT probes"])?;
    check(&["--attach", "usdt:sites:values=on_values"], &["names no binary", "--pid N", "usdt:sites::values"])?;
    check(
        &["--attach", &format!("usdt:{path}:sites:text=on_any"), "--attach", &format!("uprobe:{path}:main=on_any")],
        &["`on_any` is attached as usdt and as uprobe", "a second function"],
    )?;
    let pid = sites.pid().to_string();
    check(&["--pid", &pid, "--attach", "usdt:nothing=on_values"], &["its executable and libraries"])?;
    check(
        &["--attach", &format!("usdt:{path}:sites:guarded=on_values")],
        &["`on_values` reads argument 9", "`sites:guarded` of", "has 1"],
    )
}
