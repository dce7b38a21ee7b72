//! `dbcc check`: mistakes are shown on the line that the user wrote.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dbcc_tests::process::{Running, Signal, wait_until};
use dbcc_tests::{dbcc, need};

/// What a case expects: `//~ error: TEXT; TEXT` at the end of a line wants one error on that line whose message or help
/// has each TEXT.
struct Expected {
    line: usize,
    texts: Vec<String>,
}

fn expectations(path: &Path) -> Result<Vec<Expected>> {
    let text = fs::read_to_string(path)?;
    let marked = text.lines().enumerate().filter_map(|(index, line)| {
        let (_, texts) = line.split_once("//~ error:")?;
        let texts = texts.split(';').map(|text| text.trim().to_owned()).collect();
        Some(Expected { line: index + 1, texts })
    });
    Ok(marked.collect())
}

fn cases(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = fs::read_dir(need::repository().join("tests/cases").join(folder))?;
    let mut files = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

/// The errors of a text report: each begins with a line `error: …`, and says `--> FILE:LINE:COLUMN`.
fn errors(report: &str) -> Vec<String> {
    let mut errors: Vec<String> = Vec::new();
    for line in report.lines() {
        if line.starts_with("error") {
            errors.push(String::new());
        }
        if let Some(error) = errors.last_mut() {
            error.push_str(line);
            error.push('\n');
        }
    }
    errors
}

fn mistakes_are_shown(name: &str) -> Result<()> {
    let path = need::repository().join("tests/cases/errors").join(name);
    let shown = path.display().to_string();
    let finished = dbcc::run(["check", "--load", &shown])?;
    let report = finished.stdout() + &finished.stderr();
    assert_eq!(finished.code(), Some(1), "{report}");
    let (errors, expected) = (errors(&report), expectations(&path)?);
    assert_eq!(errors.len(), expected.len(), "{report}");
    for Expected { line, texts } in expected {
        let place = format!("{shown}:{line}:");
        let error =
            errors.iter().find(|error| error.contains(&place)).with_context(|| format!("no {place} in\n{report}"))?;
        for text in texts {
            assert!(error.contains(&text), "{text:?} is not in:\n{error}");
        }
        let source = fs::read_to_string(&path)?.lines().nth(line - 1).context("no such line")?.to_owned();
        assert!(error.contains(&source) && error.contains('^'), "no excerpt with a caret:\n{error}");
    }
    Ok(())
}

#[test]
fn compile_errors() -> Result<()> {
    mistakes_are_shown("compile.c")
}

#[test]
fn unknown_map_methods() -> Result<()> {
    mistakes_are_shown("map_method.c")
}

#[test]
fn unknown_fields_of_kernel_types() -> Result<()> {
    mistakes_are_shown("kernel_field.c")
}

#[test]
fn too_much_stack() -> Result<()> {
    mistakes_are_shown("stack.c")
}

#[test]
fn rejections_by_the_verifier() -> Result<()> {
    need!(need::root());
    mistakes_are_shown("verifier.c")
}

#[test]
fn every_case_of_a_mistake_has_its_test() -> Result<()> {
    let tested = ["compile.c", "kernel_field.c", "map_method.c", "stack.c", "verifier.c"];
    let names = cases("errors")?.iter().filter_map(|path| Some(path.file_name()?.to_owned())).collect::<Vec<_>>();
    assert_eq!(names, tested);
    Ok(())
}

#[test]
fn each_file_is_reported_and_one_that_fails_decides_the_exit_code() -> Result<()> {
    need!(need::root());
    let probes = ["netio.c", "mysql_conn.c"].map(|name| dbcc::probe(name).display().to_string());
    let broken = need::repository().join("tests/cases/errors/compile.c").display().to_string();
    let finished = dbcc::run(["check", "--load"].map(str::to_owned).iter().chain(&probes))?;
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
    for probe in &probes {
        assert!(finished.stdout().contains(probe.as_str()), "{}", finished.stdout());
    }
    let finished = dbcc::run(["check", "--load", &probes[0], &broken, &probes[1]])?;
    assert_eq!(finished.code(), Some(1), "{}{}", finished.stdout(), finished.stderr());
    for file in [&probes[0], &broken, &probes[1]] {
        assert!(finished.stdout().contains(file.as_str()), "{}", finished.stdout());
    }
    Ok(())
}

/// As in BCC, where what the last helper returned is the program's result; not every helper returns something.
#[test]
fn programs_that_return_nothing_are_verified() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sock:sock_send_length"));
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("probe.c");
    let submit = "u64 now = bpf_ktime_get_ns(); out.perf_submit(ctx, &now, sizeof(now));";
    for program in [format!("void f(void *ctx) {{ {submit} }}"), format!("int f(void *ctx) {{ {submit} }}")] {
        let text = format!("//@ attach tracepoint:sock:sock_send_length = f\nBPF_PERF_OUTPUT(out);\n{program}\n");
        fs::write(&file, text)?;
        for options in [&["check", "--load"][..], &["check", "--load", "--without", "ringbuf"]] {
            let finished = dbcc::run(options.iter().map(AsRef::as_ref).chain([file.as_os_str()]))?;
            assert_eq!(finished.code(), Some(0), "{program}: {}{}", finished.stdout(), finished.stderr());
        }
    }
    Ok(())
}

#[test]
fn json_is_one_object_a_file() -> Result<()> {
    let probe = dbcc::probe("mysql_conn.c").display().to_string();
    let broken = need::repository().join("tests/cases/errors/compile.c").display().to_string();
    let finished = dbcc::run(["check", "--json", &probe, &broken])?;
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr());
    let stdout = finished.stdout();
    let objects: Vec<serde_json::Value> =
        stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>().with_context(|| stdout.clone())?;
    assert_eq!(objects.len(), 2, "{stdout}");
    assert!(objects[0].to_string().contains("on_connection"), "{stdout}");
    assert!(objects[1].to_string().contains("pd"), "{stdout}");
    Ok(())
}

#[test]
fn files_beside_a_probe_are_part_of_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text);
    let probe = folder.path().join("probe.c").display().to_string();
    put("probe.c", "#include \"state.h\"\n#include \"programs.c\"\n")?;
    put("state.h", "#pragma once\nstruct state { u32 parent; };\nBPF_HASH(states, u32, struct state);\n")?;
    let programs = "#include \"state.h\"\n#include <linux/sched.h>\n\
                    static u32 parent(struct task_struct *task) { return task->real_parent->tgid; }\n\
                    int kprobe__vfs_read(struct pt_regs *ctx)\n{\n\
                    u32 key = 1;\n\
                    struct state state = {.parent = parent((struct task_struct *)bpf_get_current_task())};\n\
                    states.update(&key, &state);\n\
                    return 0;\n}\n";
    put("programs.c", programs)?;
    let finished = dbcc::run(["check", &probe])?;
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
    assert!(finished.stdout().contains("kprobe__vfs_read"), "{}", finished.stdout());

    put("programs.c", &programs.replace("states.update", "states.updat"))?;
    let finished = dbcc::run(["check", &probe])?;
    let report = finished.stdout() + &finished.stderr();
    assert_eq!(finished.code(), Some(1), "{report}");
    assert!(report.contains("/programs.c:8:8") && report.contains("states.updat(&key, &state);"), "{report}");
    Ok(())
}

/// Clang gives up after two hundred of them.
#[test]
fn headers_that_include_each_other_are_named_once_each() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text);
    put("probe.c", "#include \"a.h\"\nint kprobe__f(void *ctx) { return 0; }\n")?;
    put("a.h", "#include \"b.h\"\n")?;
    put("b.h", "#include \"a.h\"\n")?;
    let finished = dbcc::run(["check".as_ref(), folder.path().join("probe.c").as_os_str()])?;
    let said = finished.stdout();
    assert_eq!(finished.code(), Some(1), "{said}");
    assert!(said.contains("error: #include nested too deeply"), "{said}");
    for name in ["a.h", "b.h"] {
        let times = |line: &&str| line.contains(&format!("/{name}:1, ")) && line.ends_with(" times");
        assert_eq!(said.lines().filter(times).count(), 1, "{said}");
    }
    assert!(said.lines().count() < 15, "{said}");
    Ok(())
}

/// A compiler that hangs ends with dbcc, however that ends, and so does what the compiler started.
#[test]
fn a_compiler_that_hangs_ends_with_dbcc() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let alive = folder.path().join("alive");
    rustix::fs::mkfifoat(rustix::fs::CWD, &alive, rustix::fs::Mode::RWXU)?;
    // Whoever holds the write end of the FIFO lives.
    let compiler = folder.path().join("compiler");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'clang version 19.1.7' && exit\nexec 3>{}\nsleep 1000 &\necho here >&3\nwait\n",
        alive.display()
    );
    fs::write(&compiler, script)?;
    fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755))?;
    let mut reader = fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(&alive)?;
    let mut read = || -> std::io::Result<Option<usize>> {
        match reader.read(&mut [0; 16]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            read => read.map(Some),
        }
    };
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut command = dbcc::command()?;
        command.args(["check", "--no-cache"]).arg(dbcc::probe("netio.c"));
        command.env("DBCC_CLANG", &compiler).env("DBCC_LIBCLANG", "/usr/lib/llvm-19/lib/libclang-19.so.1");
        let running = Running::start(command)?;
        wait_until("the compiler to run", || Ok(read()?.filter(|length| *length > 0)))?;
        running.signal(signal)?;
        wait_until("the compiler to end", || Ok(read()?.filter(|length| *length == 0)))?;
        let finished = running.finish()?;
        anyhow::ensure!(finished.code() != Some(0), "{}", finished.stderr());
    }
    Ok(())
}
