//! The same probe never compiles twice, whoever runs it how often, and whatever happened to what is kept.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use dbcc_tests::process::{Finished, Running, run};
use dbcc_tests::{dbcc, need};
use serde_json::Value;

/// A cache of the test's own, and a compiler that writes down each of its runs.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Result<Self> {
        let home = Self { folder: tempfile::tempdir()? };
        let script = format!("#!/bin/sh\necho \"$1\" >> {}\nexec clang-19 \"$@\"\n", home.path("runs").display());
        fs::create_dir(home.path("bin"))?;
        // By its name dbcc knows its version.
        fs::write(home.path("bin/clang-19"), script)?;
        fs::set_permissions(home.path("bin/clang-19"), fs::Permissions::from_mode(0o755))?;
        Ok(home)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder with what is kept.
    fn kept(&self) -> PathBuf {
        self.path("cache/dbcc")
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = dbcc::command()?;
        command.args(arguments).env("XDG_CACHE_HOME", self.path("cache")).env("DBCC_CLANG", self.path("bin/clang-19"));
        Ok(command)
    }

    /// Checks a probe, which must compile, and says how often a compiler was run in all.
    fn runs_after(&self, arguments: &[&str], prepare: impl FnOnce(&mut Command)) -> Result<usize> {
        let mut command = self.command(&["check"])?;
        command.args(arguments);
        prepare(&mut command);
        let finished = run(command)?;
        assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
        Ok(fs::read_to_string(self.path("runs")).unwrap_or_default().lines().count())
    }

    /// The names of entries.
    fn entries(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.kept())?.map(|entry| Ok(entry?.file_name().into_string().unwrap_or_default()));
        let mut names = entries.collect::<Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }
}

/// The dynamic linker writes for each process which files it maps into it.
#[test]
fn the_second_run_starts_and_maps_no_compiler() -> Result<()> {
    let home = Home::new()?;
    let trace = |name: &str| -> Result<(usize, String)> {
        let folder = home.path(name);
        fs::create_dir(&folder)?;
        let mut command = dbcc::command()?;
        command.args(["check", "netio"]).env("XDG_CACHE_HOME", home.path("cache"));
        let finished = run({
            command.env("LD_DEBUG", "files").env("LD_DEBUG_OUTPUT", folder.join("process"));
            command
        })?;
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        let processes = fs::read_dir(&folder)?.map(|entry| Ok(fs::read_to_string(entry?.path())?));
        let processes = processes.collect::<Result<Vec<_>>>()?;
        Ok((processes.len(), processes.concat()))
    };
    let (processes, files) = trace("first")?;
    assert!(processes >= 3 && files.contains("libclang") && files.contains("libLLVM"), "{processes}: {files}");
    let (processes, files) = trace("second")?;
    assert_eq!(processes, 1, "{files}");
    assert!(files.contains("libc.so") && !files.contains("clang") && !files.contains("LLVM"), "{files}");
    Ok(())
}

#[test]
fn what_changes_the_result_is_compiled_anew_and_nothing_else_is() -> Result<()> {
    let home = Home::new()?;
    let (probe, header) = (home.path("probe.c"), home.path("mine.h"));
    fs::create_dir(home.path("other"))?;
    let text = "#include \"mine.h\"\n#ifdef COMPUTED\n#include COMPUTED\n#endif\nint f(void *ctx) { return VALUE; }\n";
    fs::write(&probe, text)?;
    fs::write(&header, "#pragma once\n#define VALUE 0\n")?;
    let probe = probe.display().to_string();
    let same = |_: &mut Command| {};

    let once = home.runs_after(&[&probe], same)?;
    assert!(once > 0);
    assert_eq!(home.runs_after(&[&probe], same)?, once);
    assert_eq!(home.runs_after(&[&probe, "-v", "--json", "--load"], same)?, once);
    assert_eq!(
        home.runs_after(&[&probe], |command| {
            command.current_dir("/").env("TMPDIR", "/var/tmp");
        })?,
        once
    );
    let environment = |command: &mut Command| {
        command.env("CPATH", "/nonexistent").env("CCC_OVERRIDE_OPTIONS", "+-DVALUE").env("LANG", "de_DE.UTF-8");
    };
    assert_eq!(home.runs_after(&[&probe], environment)?, once);
    // The file may be written again, as long as it says the same.
    fs::write(&header, "#pragma once\n#define VALUE 0\n")?;
    assert_eq!(home.runs_after(&[&probe], same)?, once);

    let mut before = once;
    let mut anew = |why: &str, arguments: &[&str], prepare: &dyn Fn(&mut Command)| -> Result<()> {
        let now = home.runs_after(arguments, prepare)?;
        assert!(now > before, "{why}: {now} runs, as before");
        assert_eq!(home.runs_after(arguments, prepare)?, now, "{why}: twice");
        before = now;
        Ok(())
    };
    anew("-D", &[&probe, "-D", "X=1"], &same)?;
    anew("its value", &[&probe, "-D", "X=2"], &same)?;
    anew("a feature", &[&probe, "--without", "ringbuf"], &same)?;
    anew("an attach point", &[&probe, "--attach", "kprobe:vfs_read=f"], &same)?;
    fs::write(&header, "#pragma once\n#define VALUE 1\n")?;
    anew("a header", &[&probe], &same)?;
    // Only clang can tell which file that is.
    fs::write(home.path("more.h"), "int more;\n")?;
    anew("a computed include", &[&probe, "-D", "COMPUTED=\"more.h\""], &same)?;
    fs::write(home.path("more.h"), "int other;\n")?;
    anew("what that file says", &[&probe, "-D", "COMPUTED=\"more.h\""], &same)?;
    fs::write(home.path("probe.c"), text.replace("return", "return 1 +"))?;
    anew("the text", &[&probe], &same)?;
    anew("the dynamic linker's path", &[&probe], &|command| {
        command.env("LD_LIBRARY_PATH", "/nonexistent");
    })?;
    let script = fs::read_to_string(home.path("bin/clang-19"))?;
    fs::write(home.path("bin/clang-19"), script + "# another build\n")?;
    anew("clang", &[&probe], &same)?;
    Ok(())
}

#[test]
fn a_probe_that_is_moved_or_copied_is_the_same_probe() -> Result<()> {
    let home = Home::new()?;
    let text = "#include \"mine.h\"\nint f(void *ctx) { int unused; return VALUE; }\n";
    let mut before = None;
    for folder in ["one", "other folder"] {
        fs::create_dir(home.path(folder))?;
        fs::write(home.path(folder).join("mine.h"), "#pragma once\n#define VALUE 0\n")?;
        let probe = home.path(folder).join(format!("{folder}.c"));
        fs::write(&probe, text)?;
        let runs = home.runs_after(&[&probe.display().to_string()], |_| {})?;
        assert_eq!(*before.get_or_insert(runs), runs);
    }
    Ok(())
}

/// Another file stands in for the kernel's types, in a mount namespace of the test's own.
#[test]
fn other_types_of_the_kernel_are_another_probe() -> Result<()> {
    need!(need::root());
    let home = Home::new()?;
    fs::copy("/sys/kernel/btf/vmlinux", home.path("types"))?;
    let other = |of: &str| -> Result<usize> {
        let mount =
            format!("mount --bind {} /sys/kernel/btf/vmlinux && exec \"$0\" check netio", home.path(of).display());
        let inner = home.command(&[])?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &mount]).arg(inner.get_program());
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let finished = run(command)?;
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        Ok(fs::read_to_string(home.path("runs"))?.lines().count())
    };
    let own = home.runs_after(&["netio"], |_| {})?;
    let once = other("types")?;
    assert!(once > own);
    assert_eq!(other("types")?, once);
    fs::copy(home.path("types"), home.path("newer"))?;
    assert!(other("newer")? > once);
    Ok(())
}

#[test]
fn many_processes_at_once_do_each_others_work_and_no_harm() -> Result<()> {
    let home = Home::new()?;
    let values: Vec<String> = (0..3).map(|value| format!("V={value}")).collect();
    let check = || -> Result<Vec<Finished>> {
        // The same probe three times, and three others.
        let all = values.iter().flat_map(|value| [["netio", "-D", "V=0"], ["netio", "-D", value]]);
        let started: Vec<Running> = all
            .map(|arguments| {
                let mut command = home.command(&["check", "--json"])?;
                command.args(arguments);
                Running::start(command)
            })
            .collect::<Result<_>>()?;
        started.into_iter().map(Running::finish).collect()
    };
    let first = check()?;
    let runs = fs::read_to_string(home.path("runs"))?;
    for finished in first.iter().chain(&check()?) {
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        assert_eq!(finished.stdout(), first[0].stdout());
    }
    assert_eq!(home.entries()?.len(), 3, "{:?}", home.entries()?);
    assert_eq!(fs::read_to_string(home.path("runs"))?, runs);
    Ok(())
}

/// A bound on the size of files ends the process in the middle of the write, as `kill -9` may.
#[test]
fn a_process_that_ends_in_the_middle_of_a_write_leaves_nothing_that_is_taken_for_an_entry() -> Result<()> {
    let home = Home::new()?;
    // The text is a part of the entry, and makes it larger than all that dbcc and clang write before.
    fs::write(home.path("probe.c"), "int f(void *ctx) { return 0; }\n".to_owned() + &"// a line\n".repeat(50_000))?;
    let probe = home.path("probe.c").display().to_string();
    let runs = home.runs_after(&[&probe], |_| {})?;
    let whole = home.entries()?;
    let entry = home.kept().join(whole.first().context("nothing is kept")?);
    let size = fs::metadata(&entry)?.len();
    fs::remove_file(&entry)?;
    // Blocks have 1024 bytes.
    let script = format!("ulimit -c 0; ulimit -f {}; exec \"$0\" check {probe}", size / 1024);
    let inner = home.command(&[])?;
    let mut command = Command::new("bash");
    command.args(["-c", &script]).arg(inner.get_program());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let killed = run(command)?;
    assert_eq!(killed.signal(), Some(25), "{:?} {}", killed.status, killed.stderr());
    let left = home.entries()?;
    assert!(left.len() == 1 && left[0].starts_with(".new-"), "{left:?}");
    assert_eq!(fs::metadata(home.kept().join(&left[0]))?.len(), size / 1024 * 1024);

    let again = home.runs_after(&[&probe], |_| {})?;
    assert!(again > runs);
    assert_eq!(home.runs_after(&[&probe], |_| {})?, again);
    assert_eq!(home.entries()?, [left, whole].concat());
    Ok(())
}

#[test]
fn a_damaged_entry_is_found_and_made_anew() -> Result<()> {
    let home = Home::new()?;
    let mut runs = home.runs_after(&["netio"], |_| {})?;
    let entry = home.kept().join(&home.entries()?[0]);
    let whole = fs::read(&entry)?;
    // Magic, checksum, head, facts, last byte; cut to nothing, in the middle.
    let places = [0, 20, 60, whole.len() / 4, whole.len() - 1];
    let flipped = places.iter().map(|place| {
        let mut bytes = whole.clone();
        bytes[*place] ^= 0x10;
        bytes
    });
    let cut = [0, whole.len() / 2].map(|length| whole[..length].to_vec());
    for bytes in flipped.chain(cut) {
        fs::write(&entry, &bytes)?;
        let again = home.runs_after(&["netio"], |_| {})?;
        assert!(again > runs);
        runs = again;
        assert_eq!(fs::read(&entry)?, whole);
    }
    assert_eq!(home.runs_after(&["netio"], |_| {})?, runs);
    Ok(())
}

/// Its path does not tell its version, so it is asked, once.
#[test]
fn a_compiler_of_any_name_is_not_started_the_second_time() -> Result<()> {
    let home = Home::new()?;
    fs::rename(home.path("bin/clang-19"), home.path("bin/my-compiler"))?;
    let compiler = |command: &mut Command| {
        command.env("DBCC_CLANG", home.path("bin/my-compiler"));
    };
    let once = home.runs_after(&["netio"], compiler)?;
    assert!(once > 0);
    assert_eq!(home.runs_after(&["netio"], compiler)?, once);
    Ok(())
}

/// The records that `dbcc cache --json` prints.
fn records(home: &Home, arguments: &[&str]) -> Result<Vec<Value>> {
    let finished = run(home.command(&[&["cache", "--json"], arguments].concat())?)?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    finished.stdout().lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

#[test]
fn what_is_kept_is_shown_and_cleared() -> Result<()> {
    let home = Home::new()?;
    fs::create_dir(home.path("cache"))?;
    let of_kind = |records: &[Value], kind: &str| -> Vec<Value> {
        records.iter().filter(|record| record["kind"] == kind).cloned().collect()
    };
    let empty = records(&home, &[])?;
    assert_eq!(empty[0]["folder"], home.kept().display().to_string());
    assert_eq!(of_kind(&empty, "shelf").iter().map(|shelf| shelf["files"].clone()).collect::<Vec<_>>(), [0, 0, 0]);

    let probe = home.path("mine.c");
    fs::write(&probe, "int f(void *ctx) { return 0; }\n")?;
    let runs = home.runs_after(&["netio", &probe.display().to_string()], |_| {})?;
    let full = records(&home, &[])?;
    let files = of_kind(&full, "file");
    let mut names: Vec<&str> = files.iter().filter_map(|file| file["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, [probe.to_str().context("a name")?, "probes/netio.c"]);
    let bytes: u64 = files.iter().filter_map(|file| file["bytes"].as_u64()).sum();
    let on_disk = home.entries()?.into_iter().map(|name| Ok(fs::metadata(home.kept().join(name))?.len()));
    assert_eq!(bytes, on_disk.sum::<Result<u64>>()?);
    assert_eq!(full[0]["bytes"], bytes);
    let text = run(home.command(&["cache"])?)?.stdout();
    assert!(text.contains("probes: 2 compiled probes") && text.contains("probes/netio.c"), "{text}");

    let cleared = records(&home, &["clear", "symbols"])?;
    assert_eq!((cleared[0]["files"].as_u64(), cleared.len()), (Some(0), 1));
    assert_eq!(home.runs_after(&["netio"], |_| {})?, runs);
    let cleared = run(home.command(&["cache", "clear"])?)?.stdout();
    assert!(cleared.contains("removed 2 compiled probes") && cleared.contains("freed"), "{cleared}");
    assert_eq!(home.entries()?, Vec::<String>::new());
    assert!(home.runs_after(&["netio"], |_| {})? > runs);
    Ok(())
}

#[test]
fn nothing_is_kept_where_others_can_write_or_when_it_is_not_wanted() -> Result<()> {
    let home = Home::new()?;
    let once = home.runs_after(&["netio", "--no-cache"], |_| {})?;
    assert!(home.runs_after(&["netio", "--no-cache"], |_| {})? > once);
    assert!(!Path::new(&home.kept()).exists());
    fs::create_dir(home.path("cache"))?;
    fs::set_permissions(home.path("cache"), fs::Permissions::from_mode(0o777))?;
    let mut command = home.command(&["cache"])?;
    command.env("HOME", home.path("cache"));
    if need::root().is_ok() {
        // Root has a folder of last resort; it is shown, and not touched.
        let shown = run(command)?.stdout();
        assert!(shown.starts_with("/var/cache/dbcc"), "{shown}");
    } else {
        let refused = run(command)?;
        assert_eq!(refused.code(), Some(2));
        assert!(refused.stderr().contains("can be changed by other users"), "{}", refused.stderr());
    }
    Ok(())
}
