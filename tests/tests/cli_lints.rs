//! `dbcc check`: what compiles and is probably not what was meant, and what attach points stand for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use dbcc_tests::process::{Finished, Running, run};
use dbcc_tests::{dbcc, need};
use serde_json::Value;

const COUNTS: &str = "BPF_HASH(counts, u32);
int kprobe__vfs_read(struct pt_regs *ctx)
{
    u32 pid = bpf_get_current_pid_tgid() >> 32;
    u64 zero = 0, *val = counts.lookup_or_try_init(&pid, &zero);

    if (val)
        (*val)++;
    return 0;
}
";

/// Checks a text as a file of that name in a folder of its own.
fn check(text: &str, arguments: &[&str]) -> Result<Finished> {
    let folder = tempfile::tempdir()?;
    let probe = folder.path().join("probe.c");
    fs::write(&probe, text)?;
    let mut command = dbcc::command()?;
    command.arg("check").args(arguments).arg("probe.c").current_dir(folder.path());
    run(command)
}

#[test]
fn a_lint_stands_on_the_users_line_with_what_to_write_instead() -> Result<()> {
    let finished = check(COUNTS, &[])?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    let report = finished.stdout();
    for text in [
        "warning: CPUs that do this at once lose counts of `counts`",
        " --> probe.c:8:9",
        "        (*val)++;\n  |         ^^^^^^^^",
        "`non-atomic-update`: see `dbcc check --explain non-atomic-update`",
        "write `__sync_fetch_and_add(val, 1)`",
        "probe.c: compiles, 1 lint\n",
        "bytes of stack",
    ] {
        assert!(report.contains(text), "{text:?} is not in:\n{report}");
    }
    Ok(())
}

#[test]
fn lints_are_denied_and_allowed() -> Result<()> {
    let is = |finished: Result<Finished>, code: i32, text: &str| -> Result<()> {
        let finished = finished?;
        let report = finished.stdout() + &finished.stderr();
        assert_eq!(finished.code(), Some(code), "{report}");
        assert!(report.contains(text), "{text:?} is not in:\n{report}");
        Ok(())
    };
    is(check(COUNTS, &["--deny", "all"]), 1, "error: CPUs that do this")?;
    is(check(COUNTS, &["--deny", "near-stack-limit"]), 0, "warning: CPUs that do this")?;
    is(check(COUNTS, &["--deny", "all", "--allow", "non-atomic-update"]), 0, "probe.c: compiles\n")?;
    let allowed = COUNTS.replace("(*val)++;", "(*val)++; //@ allow non-atomic-update");
    // The second time, what was found comes from the cache.
    for _ in 0..2 {
        is(check(&allowed, &["--deny", "all"]), 0, "probe.c: compiles\n")?;
        is(check(COUNTS, &["--deny", "all"]), 1, "error: CPUs that do this")?;
    }
    let unknown = COUNTS.replace("(*val)++;", "(*val)++; //@ allow non-atomic-updates");
    is(check(&unknown, &[]), 0, "there is no lint `non-atomic-updates`; did you mean `non-atomic-update`?")?;
    is(check(COUNTS, &["--deny", "nothing"]), 2, "there is no lint `nothing`")
}

#[test]
fn lints_are_explained() -> Result<()> {
    let list = dbcc::run(["check", "--explain"])?;
    assert_eq!(list.code(), Some(0), "{}", list.stderr());
    let list = list.stdout();
    let names: Vec<&str> =
        list.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split("  ").next()).collect();
    assert!(names.len() >= 7, "{list}");
    for name in names {
        let finished = dbcc::run(["check", "--explain", name])?;
        assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
        assert!(finished.stdout().starts_with(&format!("{name}: ")), "{}", finished.stdout());
    }
    let finished = dbcc::run(["check", "--explain", "nothing"])?;
    assert_eq!(finished.code(), Some(2), "{}", finished.stdout());
    Ok(())
}

#[test]
fn lints_are_data() -> Result<()> {
    let finished = check(COUNTS, &["--json"])?;
    let record: Value = serde_json::from_str(&finished.stdout())?;
    let lint = &record["lints"][0];
    assert_eq!((&lint["lint"], &lint["line"], &lint["column"]), (&"non-atomic-update".into(), &8.into(), &9.into()));
    assert_eq!(lint["severity"], "warning");
    assert!(record["programs"][0]["stack"].as_u64() > Some(0), "{record}");
    assert!(record["attach_points"].is_null(), "{record}");
    Ok(())
}

#[test]
fn the_shipped_probes_are_clean() -> Result<()> {
    let folder = fs::read_dir(need::repository().join("probes"))?;
    let files = folder.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let files: Vec<_> =
        files.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect();
    assert!(files.len() >= 2, "{files:?}");
    let mut command = dbcc::command()?;
    command.args(["check", "--deny", "all"]).args(files);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(0), "{}{}", finished.stdout(), finished.stderr());
    assert!(!finished.stdout().contains(" lint"), "{}", finished.stdout());
    Ok(())
}

/// A program with a function that has a body and two inlined copies, and one that has copies only.
const PROGRAM: &str = "#include <unistd.h>
volatile int total;
static inline __attribute__((always_inline)) void inlined(int n) { total += n; total *= 3; }
__attribute__((noinline)) void one(int n) { inlined(n); total++; }
__attribute__((noinline)) void two(int n) { inlined(n + 1); total--; }
int main(void) { one(1); two(2); write(1, \"ready\\n\", 6); pause(); return 0; }
";

const POINTS: &str = "//@ attach uprobe:on | uprobe:inlined | uprobe:one = f
int f(struct pt_regs *ctx) { return 0; }
//@ attach uretprobe:two = g
int g(struct pt_regs *ctx) { return 0; }
//@ attach uretprobe:inlined = h
int h(struct pt_regs *ctx) { return 0; }
";

fn build(folder: &Path) -> Result<std::path::PathBuf> {
    let (source, program) = (folder.join("program.c"), folder.join("program"));
    fs::write(&source, PROGRAM)?;
    let mut command = std::process::Command::new("cc");
    command.args(["-O2", "-g", "-o"]).arg(&program).arg(&source);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr());
    Ok(program)
}

#[test]
fn attach_points_are_looked_up_in_a_process_and_in_a_binary() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = build(folder.path())?;
    let mut running = Running::start(std::process::Command::new(&program))?;
    running.wait_for("the program", |line| line.text.contains("ready").then_some(()))?;
    let pid = running.pid().to_string();
    let shown = program.display().to_string();
    for target in [["--pid", &pid], ["--binary", &shown]] {
        let finished = check(POINTS, &[&["--json"], target.as_slice()].concat())?;
        // `h` cannot be attached.
        assert_eq!(finished.code(), Some(1), "{}", finished.stderr());
        let record: Value = serde_json::from_str(&finished.stdout()).with_context(|| finished.stdout())?;
        let points = record["attach_points"].as_array().context("no points")?;
        let taken: Vec<_> = points.iter().map(|point| (point["point"].as_str(), point["taken"].as_bool())).collect();
        let expected = [
            (Some("uprobe:on"), Some(false)),
            (Some("uprobe:inlined"), Some(true)),
            (Some("uprobe:one"), Some(false)),
            (Some("uretprobe:two"), Some(true)),
            (Some("uretprobe:inlined"), Some(false)),
        ];
        assert_eq!(taken, expected, "{record}");
        let counts = |index: usize| {
            (points[index]["targets"][0]["places"].as_u64(), points[index]["targets"][0]["inlined"].as_u64())
        };
        assert_eq!(counts(1), (Some(2), Some(2)), "{record}");
        assert_eq!(counts(2), (Some(1), Some(0)), "{record}");
        let missing = points[0].to_string();
        assert!(missing.contains("has no function `on`") && missing.contains("names like it: one"), "{missing}");
        assert!(points[4]["missing"].as_str().is_some_and(|text| text.contains("inlined")), "{record}");
    }
    let text = check(POINTS, &["--pid", &pid])?.stdout();
    for part in ["uprobe:inlined -> ", "(2 places, all inlined)", "uprobe:on -> nothing: ", "(not taken: "] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    Ok(())
}

#[test]
fn what_the_kernel_does_not_have_is_said_with_names_like_it() -> Result<()> {
    need!(need::root());
    let text = "int kprobe__vfs_raed(struct pt_regs *ctx) { return 0; }
//@ attach tracepoint:sched:sched_swich = f
int f(void *ctx) { return 0; }
//@ attach kprobe:vfs_read = g
int g(struct pt_regs *ctx) { return 0; }
int lsm__file_open(struct pt_regs *ctx) { return 0; }
int lsm__file_opn(struct pt_regs *ctx) { return 0; }
";
    let finished = check(text, &["--targets"])?;
    let report = finished.stdout();
    assert_eq!(finished.code(), Some(1), "{report}{}", finished.stderr());
    for part in [
        "the kernel has no function `vfs_raed`\n      note: a name like it: vfs_read\n",
        "the kernel has no tracepoint `sched:sched_swich`\n      note: a name like it: sched:sched_switch\n",
        "kprobe:vfs_read -> vfs_read\n",
        "lsm:file_open -> file_open\n",
        "the kernel's security modules have no hook `file_opn`\n      note: a name like it: file_open\n",
    ] {
        assert!(report.contains(part), "{part:?} is not in:\n{report}");
    }
    Ok(())
}
