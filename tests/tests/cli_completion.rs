//! What shells offer at the Tab key, asked in the shells themselves.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::{dbcc, need, process};

/// Runs a script in a shell that finds dbcc by its name; the lines that it prints.
fn lines(shell: &str, script: &str) -> Result<Vec<String>> {
    let program = dbcc::binary()?;
    let folder = program.parent().context("no folder")?;
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shell);
    if shell == "zsh" {
        command.arg("-f");
    }
    command.args(["-c", script]).env("PATH", path).current_dir(need::repository());
    let finished = process::run(command)?;
    ensure!(finished.code() == Some(0), "{shell}: {}{}", finished.stdout(), finished.stderr());
    Ok(finished.stdout().lines().map(str::to_owned).collect())
}

/// What bash offers behind a line, whose words it takes apart as its reader does (`COMP_WORDS` of bash(1)).
fn bash(words: &[&str]) -> Result<Vec<String>> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    // A sign that ends words has no blank around it here.
    let line = words.join(" ").replace(" : ", ":").replace(" = ", "=").replace(" :", ":");
    let script = format!(
        "compopt() {{ :; }}\nsource <(COMPLETE=bash dbcc)\n\
         COMP_LINE='{line}' COMP_POINT={} COMP_WORDS=({}) COMP_CWORD={}\n\
         _dbcc dbcc\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line.len(),
        quoted.join(" "),
        words.len() - 1
    );
    lines("bash", &script)
}

fn is_installed(shell: &str) -> Result<(), need::Skip> {
    match ["/bin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(shell).exists()) {
        true => Ok(()),
        false => Err(need::Skip::optional(format!("{shell} is not installed"))),
    }
}

#[test]
fn bash_offers_options_subcommands_probes_and_files() -> Result<()> {
    assert_eq!(bash(&["dbcc", "net"])?, ["netio"]);
    assert_eq!(bash(&["dbcc", "--wat"])?, ["--watch"]);
    assert_eq!(bash(&["dbcc", "symb"])?, ["symbols"]);
    assert_eq!(bash(&["dbcc", "probes", "exec"])?, ["execsnoop"]);
    assert_eq!(bash(&["dbcc", "check", "probes/net"])?, ["probes/netio.c"]);
    assert_eq!(bash(&["dbcc", "--attach-as", "f"])?, ["fentry"]);
    ensure!(bash(&["dbcc", "--pid", ""])?.contains(&std::process::id().to_string()), "this process is not offered");
    Ok(())
}

/// bash ends words at `:` and `=` too.
#[test]
fn bash_offers_attach_points_behind_what_it_takes_for_the_ends_of_words() -> Result<()> {
    assert_eq!(bash(&["dbcc", "--attach", "kret"])?, ["kretprobe:"]);
    let behind = bash(&["dbcc", "--attach", "kprobe", ":", "vfs_rea"])?;
    ensure!(behind.contains(&"vfs_read".to_owned()), "{behind:?}");
    let behind = bash(&["dbcc", "--attach", "=", "fentry", ":", "vfs_rea"])?;
    ensure!(behind.contains(&"vfs_read".to_owned()), "{behind:?}");
    let quoted = lines(
        "bash",
        "compopt() { :; }\nsource <(COMPLETE=bash dbcc)\n\
         COMP_LINE=\"dbcc --attach 'kprobe:vfs_rea\" COMP_POINT=29 COMP_WORDS=(dbcc --attach \"'kprobe:vfs_rea\") COMP_CWORD=2\n\
         _dbcc dbcc\nprintf '%s\\n' \"${COMPREPLY[@]}\"",
    )?;
    ensure!(quoted.contains(&"kprobe:vfs_read".to_owned()), "{quoted:?}");
    Ok(())
}

/// What `dbcc list` lists, by the kinds that it has beside those of directives, and by their other names.
#[test]
fn bash_offers_what_is_listed() -> Result<()> {
    assert_eq!(bash(&["dbcc", "list", "sysc"])?, ["syscall:"]);
    for kind in ["kprobe", "k", "fentry"] {
        let behind = bash(&["dbcc", "list", kind, ":", "vfs_rea"])?;
        ensure!(behind.contains(&"vfs_read".to_owned()), "{kind}: {behind:?}");
    }
    let name = std::fs::read_to_string("/proc/self/comm")?;
    let name = name.trim_end();
    let behind = bash(&["dbcc", "list", "uprobe", ":", name])?;
    ensure!(behind.contains(&format!("{name}:")), "{name}: {behind:?}");
    Ok(())
}

#[test]
fn bash_offers_places_for_a_new_probe() -> Result<()> {
    for option in ["--kprobe", "--kretprobe", "--fentry", "--fexit"] {
        let functions = bash(&["dbcc", "new", "mine", option, "vfs_rea"])?;
        ensure!(functions.contains(&"vfs_read".to_owned()), "{option}: {functions:?}");
    }
    let name = std::fs::read_to_string("/proc/self/comm")?;
    let name = name.trim_end();
    for option in ["--uprobe", "--uretprobe", "--usdt"] {
        let programs = bash(&["dbcc", "new", "mine", option, name])?;
        ensure!(programs.contains(&format!("{name}:")), "{option}: {programs:?}");
    }
    need!(need::root());
    need!(need::tracepoint("sched:sched_process_fork"));
    let names = bash(&["dbcc", "new", "mine", "--tracepoint", "sched", ":", "sched_process_fo"])?;
    assert_eq!(names, ["sched_process_fork"]);
    Ok(())
}

#[test]
fn tracepoints_are_offered_by_category() -> Result<()> {
    need!(need::root());
    need!(need::tracepoint("sched:sched_process_fork"));
    let categories = bash(&["dbcc", "--attach", "tracepoint", ":", "sch"])?;
    ensure!(categories.contains(&"sched:".to_owned()), "{categories:?}");
    let names = bash(&["dbcc", "--attach", "tracepoint", ":", "sched", ":", "sched_process_fo"])?;
    assert_eq!(names, ["sched_process_fork"]);
    Ok(())
}

#[test]
fn fish_offers_the_same() -> Result<()> {
    need!(is_installed("fish"));
    let ask = |line: &str| lines("fish", &format!("COMPLETE=fish dbcc | source; complete -C '{line}'"));
    let probes = ask("dbcc net")?;
    ensure!(probes.iter().any(|line| line.starts_with("netio\t")), "with what it answers: {probes:?}");
    let functions = ask("dbcc --attach kprobe:vfs_rea")?;
    ensure!(functions.contains(&"kprobe:vfs_read".to_owned()), "{functions:?}");
    Ok(())
}

/// The functions of zsh's completion system run only in its line editor; here they are replaced by what prints what they
/// are given.
#[test]
fn zsh_offers_the_same() -> Result<()> {
    need!(is_installed("zsh"));
    let ask = |words: &str| {
        lines(
            "zsh",
            &format!(
                "compdef() {{ completer=$1 }}\n_describe() {{ print -rl -- ${{(P)@[-1]}} }}\nsource <(COMPLETE=zsh dbcc)\n\
                 words=({words}) CURRENT=${{#words}}\n$completer"
            ),
        )
    };
    let probes = ask("dbcc net")?;
    ensure!(probes.iter().any(|line| line.starts_with("netio:")), "with what it answers: {probes:?}");
    let functions = ask("dbcc --attach kprobe:vfs_rea")?;
    ensure!(functions.iter().any(|line| line.starts_with("kprobe\\:vfs_read")), "{functions:?}");
    Ok(())
}
