//! Arguments and machines that cannot be used: one clear message each, and exit code 2.

use std::process::Command;

use anyhow::Result;
use dbcc_tests::process::{Finished, run};
use dbcc_tests::{dbcc, need};

/// Checks that `finished` failed with `code`, with one message that says all of `expected`.
fn refused(finished: &Finished, code: i32, expected: &[&str]) {
    let stderr = finished.stderr();
    assert_eq!(finished.code(), Some(code), "{stderr}");
    for text in expected {
        assert!(stderr.contains(text), "{text:?} is not in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(finished.stdout(), "");
}

/// The id of a process that has just ended.
fn nobodys_pid() -> Result<String> {
    let mut child = Command::new("true").spawn()?;
    child.wait()?;
    Ok(child.id().to_string())
}

#[test]
fn a_process_that_does_not_exist_is_named() -> Result<()> {
    let pid = nobodys_pid()?;
    refused(&dbcc::run(["netio", "--pid", &pid])?, 2, &[&pid, "no process"]);
    Ok(())
}

#[test]
fn what_is_no_process_id_is_named_with_where_ids_come_from() -> Result<()> {
    // What `--pid $(pidof NAME)` becomes where no such process runs.
    refused(&dbcc::run(["--pid", "netio"])?, 2, &["'netio' for '--pid <N>'", "pidof"]);
    refused(&dbcc::run(["check", "netio", "--pid", "mysqld"])?, 2, &["'mysqld'", "pidof"]);
    // And where several do.
    refused(&dbcc::run(["--pid", "12 13", "netio"])?, 2, &["--pid 12 --pid 13"]);
    refused(&dbcc::run(["--pid", "12", "13", "netio"])?, 2, &["`13` stands where the probe is named", "--pid before"]);
    refused(&dbcc::run(["netio", "--pid", "99999999999"])?, 2, &["at most 4194304"]);
    Ok(())
}

#[test]
fn a_command_that_is_mistyped_and_a_second_probe_are_named() -> Result<()> {
    refused(&dbcc::run(["symbls", "mysqld", "f"])?, 2, &["no command", "`symbls`; did you mean `symbols`?"]);
    refused(&dbcc::run(["netoi"])?, 2, &["`netoi`; did you mean `netio`?"]);
    refused(&dbcc::run(["netio", "mysql_conn"])?, 2, &["`mysql_conn` stands behind `netio`"]);
    Ok(())
}

#[test]
fn an_unknown_flag_is_named_with_the_nearest_one() -> Result<()> {
    refused(&dbcc::run(["netio", "--durations", "1s"])?, 2, &["--durations", "--duration"]);
    Ok(())
}

#[test]
fn a_probe_that_does_not_exist_is_named_and_the_built_in_ones_listed() -> Result<()> {
    refused(&dbcc::run(["no_such_probe"])?, 2, &["no_such_probe", "netio", "mysql_conn"]);
    refused(&dbcc::run(["./no_such_probe.c"])?, 2, &["./no_such_probe.c"]);
    Ok(())
}

#[test]
fn values_that_make_no_sense_are_refused() -> Result<()> {
    refused(&dbcc::run(["netio", "--duration", "soon"])?, 2, &["--duration", "soon"]);
    refused(&dbcc::run(["netio", "--interval", "0s"])?, 2, &["--interval"]);
    refused(&dbcc::run(["netio", "--count", "0"])?, 2, &["--count"]);
    refused(&dbcc::run(["netio", "--attach", "somewhere"])?, 2, &["--attach", "somewhere"]);
    refused(&dbcc::run(["netio", "--attach", "sonde:tcp_sendmsg=f"])?, 2, &["sonde"]);
    refused(&dbcc::run(["netio", "-D", "=3"])?, 2, &["-D", "NAME=VALUE"]);
    refused(&dbcc::run(["netio", "--debug-dir", "/no/such"])?, 2, &["'/no/such' for '--debug-dir <DIR>'", "no folder"]);
    refused(&dbcc::run(["probes", "netoi"])?, 2, &["no built-in probe `netoi`", "netio"]);
    Ok(())
}

#[test]
fn a_compiler_that_the_environment_names_must_be_there() -> Result<()> {
    for variable in ["DBCC_CLANG", "DBCC_LIBCLANG"] {
        let mut command = dbcc::command()?;
        command.env(variable, "/nonexistent/compiler").args(["check", "--no-cache", "netio"]);
        refused(&run(command)?, 2, &[variable, "/nonexistent/compiler"]);
    }
    Ok(())
}

/// One wrong argument for each subcommand, and what is said of it; a flag that does not exist is another for all of them.
const WRONG: [(&str, &[&str], &str); 15] = [
    ("symbols", &["/no/such", "f"], "`/no/such`"),
    ("list", &["/[/"], "regular expression"),
    ("types", &["--pid", "4194304", "x"], "4194304"),
    ("check", &["/no/such.c"], "the file was not read"),
    ("dump", &["/no/such.c"], "`/no/such.c`"),
    ("build", &["/no/such.c"], "`/no/such.c`"),
    ("new", &["x", "--uprobe", "/no/such:f"], "`/no/such`"),
    ("probes", &["netoi"], "`netoi`"),
    ("cache", &["clear", "everything"], "'everything'"),
    ("doctor", &["kprobe"], "'kprobe'"),
    ("ps", &["--pid", "4194304"], "4194304"),
    ("load", &["netio", "--pin", "/no/such"], "/no/such is in no file system of BPF"),
    ("run", &["/no/such"], "`/no/such`"),
    ("unpin", &["/no/such"], "/no/such"),
    ("trace", &["--regex", "["], "--regex"),
];

#[test]
fn a_wrong_argument_ends_every_subcommand_with_2() -> Result<()> {
    let help = dbcc::run(["--help"])?.stdout();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Further lines of a description are indented more.
    let named = listed.filter_map(|line| line.strip_prefix("  ")?.split_once(' ')).map(|(name, _)| name);
    let names: Vec<&str> = named.filter(|name| !name.is_empty() && *name != "help").collect();
    assert_eq!(names, WRONG.map(|(name, ..)| name), "each has a line in WRONG");
    for (name, arguments, expected) in WRONG {
        let all = [name].into_iter().chain(arguments.iter().copied());
        let finished = dbcc::run(all)?;
        let stderr = finished.stderr();
        assert_eq!(finished.code(), Some(2), "{name}: {stderr}{}", finished.stdout());
        assert!(stderr.contains(expected), "{name}: {expected:?} is not in:\n{stderr}");
        refused(&dbcc::run([name, "--no-such-flag"])?, 2, &["--no-such-flag"]);
    }
    Ok(())
}

#[test]
fn a_libclang_that_cannot_be_loaded_is_the_machine_s_fault() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let library = folder.path().join("libclang.so");
    std::fs::write(&library, "no library\n")?;
    for arguments in [&["check", "--no-cache", "netio"][..], &["build", "netio"], &["--no-cache", "netio"]] {
        let mut command = dbcc::command()?;
        command.env("DBCC_LIBCLANG", &library).args(arguments).current_dir(folder.path());
        refused(&run(command)?, 2, &["failed to load libclang", "DBCC_LIBCLANG"]);
    }
    Ok(())
}

/// The worker's stack of 1 GB does not fit.
#[test]
fn a_compiler_without_memory_is_told_from_one_that_crashed() -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 800000; exec \"$0\" check --no-cache netio"]).arg(dbcc::binary()?);
    let finished = run(command)?;
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr());
    let said = finished.stdout();
    for text in ["the compiler ran out of memory", "a limit of 781 MB of address space", "ulimit -v unlimited"] {
        assert!(said.contains(text), "{said}");
    }
    Ok(())
}

/// In a mount namespace where the folders of LLVM are empty.
#[test]
fn a_missing_clang_is_reported_with_how_to_install_it() -> Result<()> {
    need!(need::root());
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(r#"for folder in /usr/lib/llvm-*; do mount -t tmpfs none "$folder" || exit 99; done; exec "$@""#);
    command.arg("sh").arg(dbcc::binary()?).args(["check", "--no-cache", "netio"]);
    refused(&run(command)?, 2, &["clang", "apt install clang-19 libclang1-19"]);
    Ok(())
}

#[test]
fn a_function_that_the_binary_does_not_have_is_named_with_its_reason() -> Result<()> {
    need!(need::root());
    let probe = dbcc::case("uprobe.c");
    let attach = "uprobe:/bin/true:no_such_function=on_call";
    let finished = dbcc::run(["--attach", attach, &probe])?;
    refused(&finished, 1, &["no_such_function", "/bin/true"]);
    // Nothing is wrong with the line of the function.
    points_at(&finished, attach, "uprobe:/bin/true:no_such_function");
    let spaced = "uprobe:/bin/true:no_such_function | uprobe:/bin/true:neither=on_call";
    points_at(
        &dbcc::run(["--attach", spaced, &probe])?,
        spaced,
        "uprobe:/bin/true:no_such_function | uprobe:/bin/true:neither",
    );
    let function = "uprobe:/bin/true:main=no_function";
    points_at(&dbcc::run(["--attach", function, &probe])?, function, "no_function");
    Ok(())
}

/// Checks that a message has the argument with a part of it underlined, and no line of the probe.
fn points_at(finished: &Finished, attach: &str, part: &str) {
    let stderr = finished.stderr();
    let error = stderr.split("error: ").nth(1).unwrap_or_default();
    let lines: Vec<&str> = error.lines().collect();
    let at = lines.iter().position(|line| line.contains("--attach ") && line.contains(attach));
    let at = at.unwrap_or_else(|| panic!("{attach} is not in:\n{stderr}"));
    let line = lines.get(at).copied().unwrap_or_default();
    let start = line.find(part).unwrap_or_else(|| panic!("{part} is not in:\n{stderr}"));
    let marked = lines.get(at + 1).copied().unwrap_or_default();
    assert_eq!((marked.find('^'), marked.matches('^').count()), (Some(start), part.len()), "{stderr}");
    assert_eq!(error.matches(" --> ").count(), 1, "{stderr}");
}

#[test]
fn output_that_cannot_be_written_is_an_error_that_says_so() -> Result<()> {
    for arguments in [&["probes", "netio"][..], &["cache"], &["check", "--explain"], &["types", "sock"]] {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" > /dev/full"]).arg(dbcc::binary()?).args(arguments);
        refused(&run(command)?, 1, &["dbcc: cannot write the output: "]);
    }
    Ok(())
}
