//! Binaries by process: by name, by id, deleted, in another mount namespace.

mod common;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use dbcc_tests::need;
use dbcc_tests::server::Flavor;
use symres::{Binary, Error, Pid};

use common::search;

/// A process that waits for its end: a copy of `cat` under a name that nothing else has.
struct Waiting(Child);

impl Waiting {
    fn start(program: &Path) -> Result<Self> {
        std::fs::copy("/bin/cat", program)?;
        Self::of(&mut Command::new(program))
    }

    /// Waits until it has loaded its libraries and reads: then it writes back what it was told.
    fn of(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        child.stdin.as_mut().context("no stdin")?.write_all(b"x")?;
        child.stdout.as_mut().context("no stdout")?.read_exact(&mut [0])?;
        Ok(Self(child))
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn unique(test: &str) -> String {
    format!("symres-{test}-{}", std::process::id())
}

#[test]
fn a_running_program_is_found_by_its_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = unique("named");
    let program = folder.path().join(&name);
    assert!(matches!(Binary::find(&name), Err(Error::NotFound(_))));
    let first = Waiting::start(&program)?;
    let second = Waiting::of(&mut Command::new(&program))?;
    let binary = Binary::find(&name)?;
    assert_eq!((binary.path(), binary.shown()), (program.as_path(), program.as_path()));
    assert_eq!(Binary::of_pid(first.pid())?.path(), program);
    assert_eq!(Binary::find(&second.0.id().to_string())?.path(), program);
    Ok(())
}

#[test]
fn programs_of_one_name_must_be_chosen_from() -> Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let name = unique("twice");
    let running: Vec<Waiting> = folders.iter().map(|f| Waiting::start(&f.path().join(&name))).collect::<Result<_>>()?;
    let message = Binary::find(&name).unwrap_err().to_string();
    for (folder, process) in folders.iter().zip(&running) {
        assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
        assert!(message.contains(&process.pid().to_string()), "{message}");
    }
    assert_eq!(Binary::of_pid(running[1].pid())?.path(), folders[1].path().join(&name));
    Ok(())
}

#[test]
fn a_program_that_was_replaced_on_disk_is_read_as_it_runs() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join(unique("replaced"));
    let running = Waiting::start(&program)?;
    let expect = Binary::of_pid(running.pid())?.build_id();
    assert!(expect.is_some());
    std::fs::remove_file(&program)?;
    let deleted = Binary::of_pid(running.pid())?;
    assert_eq!((deleted.build_id(), deleted.shown()), (expect.clone(), program.as_path()));
    assert!(deleted.notes()[0].contains("deleted or replaced"), "{:?}", deleted.notes());
    // An upgrade puts another file in its place.
    std::fs::copy("/usr/bin/env", &program)?;
    let replaced = Binary::of_pid(running.pid())?;
    assert_eq!(replaced.build_id(), expect);
    assert!(replaced.path().starts_with("/proc"), "{}", replaced.path().display());
    Ok(())
}

#[test]
fn libraries_of_a_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = unique("libraries");
    let running = Waiting::start(&folder.path().join(&name))?;
    for library in ["libc.so.6", "c", "libc"] {
        let libc = Binary::in_process(running.pid(), library)?;
        assert!(!search(&libc, "malloc")?.matches.is_empty());
        assert_eq!(libc.build_id(), Binary::find("libc.so.6")?.build_id());
    }
    assert_eq!(Binary::in_process(running.pid(), &name)?.path(), folder.path().join(&name));
    let message = Binary::in_process(running.pid(), "libmysqlclient.so.21").unwrap_err().to_string();
    assert!(message.contains("nor has a library of that name loaded"), "{message}");
    Ok(())
}

#[test]
fn processes_that_are_not_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join(unique("ended"));
    let running = Waiting::start(&program)?;
    let pid = running.pid();
    drop(running);
    let message = Binary::of_pid(pid).unwrap_err().to_string();
    assert_eq!(message, format!("no process {pid} with an executable: it does not exist, or has ended"));
    Ok(())
}

/// A server in its own mount namespace, whose binary has another path, or none, here.
#[test]
fn a_server_in_another_mount_namespace() -> Result<()> {
    need!(dbcc_tests::need::root());
    let server = need!(Flavor::Mysql56.installed()).start_hidden()?;
    let binary = Binary::of_pid(Pid(server.pid()))?;
    assert!(!binary.shown().exists(), "{} is visible here", binary.shown().display());
    assert!(binary.path().starts_with(format!("/proc/{}", server.pid())), "{}", binary.path().display());
    assert_eq!(search(&binary, "dispatch_command")?.matches.len(), 1);
    let libc = Binary::in_process(Pid(server.pid()), "libc.so.6")?;
    assert_eq!(search(&libc, "malloc")?.matches.len(), 1);
    Ok(())
}

/// A process whose path leads to another file here than in its own mount namespace.
#[test]
fn a_program_that_has_another_files_path() -> Result<()> {
    need!(dbcc_tests::need::root());
    let folder = tempfile::tempdir()?;
    let program = folder.path().join(unique("bound"));
    std::fs::copy("/usr/bin/env", &program)?;
    let script = "mount --bind /bin/cat \"$1\" && exec \"$1\"";
    let running = Waiting::of(Command::new("unshare").args(["--mount", "sh", "-c", script, "sh"]).arg(&program))?;
    let binary = Binary::of_pid(running.pid())?;
    assert_eq!(binary.shown(), program);
    assert_eq!(binary.build_id(), Binary::open(Path::new("/bin/cat"))?.build_id());
    assert_ne!(binary.build_id(), Binary::open(&program)?.build_id());
    Ok(())
}
