//! Binaries by process: by name, by id, deleted, in another mount namespace.

mod common;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use dbcc_tests::need;
use dbcc_tests::server::Flavor;
use symres::{Binary, Error, Options, Outcome, Pid, Reason, Table};

use common::{output, search};

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

#[test]
fn all_files_of_a_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join(unique("all"));
    let running = Waiting::start(&program)?;
    let all = Binary::all_of_process(running.pid(), &Options::default())?;
    assert_eq!(all.binaries[0].path(), program);
    // As the kernel lists them, in the same order.
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", running.pid()))?;
    let mut expect: Vec<&str> = vec![program.to_str().unwrap()];
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, perms, _, _, _, path] = fields.as_slice()
            && perms.contains('x')
            && path.starts_with('/')
            && !expect.contains(path)
        {
            expect.push(path);
        }
    }
    let found: Vec<&str> = all.binaries.iter().map(|binary| binary.shown().to_str().unwrap()).collect();
    assert_eq!(found, expect);
    assert!(found.len() > 1 && all.unreadable.is_empty(), "{:?}", all.unreadable);
    let defines = |binary: &&Binary| search(binary, "malloc").is_ok_and(|answer| !answer.matches.is_empty());
    assert!(all.binaries.iter().filter(defines).any(|binary| binary.shown().to_string_lossy().contains("libc.so")));
    Ok(())
}

/// A library that was replaced while it was in use, and loaded again from its path, is two files.
#[test]
fn both_files_of_a_path_of_a_process() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let libm = std::fs::canonicalize(Binary::find("libm.so.6")?.path())?;
    let paths = ["one.so", "two.so"].map(|name| folder.path().join(name));
    std::fs::copy(&libm, &paths[0])?;
    std::fs::hard_link(&paths[0], &paths[1])?;
    let script = "import ctypes, os, shutil, sys\n\
        ctypes.CDLL(sys.argv[1]); os.rename(sys.argv[1], sys.argv[1] + '.old')\n\
        shutil.copy(sys.argv[2], sys.argv[1]); ctypes.CDLL(sys.argv[1].replace('one', './one'))\n\
        os.write(1, os.read(0, 1)); os.read(0, 1)";
    let running = Waiting::of(Command::new("python3").args(["-c", script]).args(&paths))?;
    let all = Binary::all_of_process(running.pid(), &Options::default())?;
    let shown: Vec<&Path> =
        all.binaries.iter().map(Binary::shown).filter(|path| path.starts_with(folder.path())).collect();
    let old = folder.path().join("one.so.old");
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown.contains(&paths[0].as_path()) && shown.contains(&old.as_path()), "{shown:?}");
    Ok(())
}

#[test]
fn a_file_that_a_process_has_not_loaded() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let running = Waiting::start(&folder.path().join(unique("unmapped")))?;
    let libm = std::fs::canonicalize(Binary::find("libm.so.6")?.path())?;
    for name in [libm.to_str().unwrap(), "libm.so.6"] {
        let binary = Binary::in_process(running.pid(), name)?;
        let answer = search(&binary, "cosf")?;
        assert_eq!(answer.reason, Some(Reason::NotMapped { pid: running.pid() }));
        assert!(answer.matches.is_empty());
        assert_eq!(answer.near[0].name, "cosf");
    }
    // By path, what it has loaded is found as ever, under the process's name for it and under ours.
    let libc = std::fs::canonicalize(Binary::find("libc.so.6")?.path())?;
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&libc, &link)?;
    for path in [libc, link] {
        let binary = Binary::in_process(running.pid(), path.to_str().unwrap())?;
        assert_eq!(search(&binary, "malloc")?.matches.len(), 1);
    }
    let nothing = folder.path().join("nothing");
    let error = Binary::in_process(running.pid(), nothing.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, Error::NotInProcess { .. }), "{error}");
    Ok(())
}

#[test]
fn a_program_in_memory() -> Result<()> {
    let script = "import os\n\
        memory = os.memfd_create('kept-in-memory')\n\
        os.write(memory, open('/bin/cat', 'rb').read())\n\
        os.execv(f'/proc/self/fd/{memory}', ['cat'])";
    let running = Waiting::of(Command::new("python3").args(["-c", script]))?;
    let binary = Binary::of_pid(running.pid())?;
    assert_eq!(binary.shown(), Path::new("/memfd:kept-in-memory"));
    assert_eq!(binary.build_id(), Binary::open(Path::new("/bin/cat"))?.build_id());
    assert!(binary.notes()[0].contains("is a file in memory only"), "{:?}", binary.notes());
    let all = Binary::all_of_process(running.pid(), &Options::default())?;
    let of_memory = all.binaries.iter().filter(|binary| binary.shown().starts_with("/memfd:kept-in-memory"));
    assert_eq!(of_memory.count(), 1);
    Ok(())
}

/// A library that the process sees at a path where another file is here.
#[test]
fn a_library_that_has_another_files_path() -> Result<()> {
    need!(dbcc_tests::need::root());
    let folder = tempfile::tempdir()?;
    let [libm, libdl] = ["libm.so.6", "libpthread.so.0"].map(|name| Binary::find(name).unwrap().path().to_owned());
    let [path, other] = ["library.so", "other.so"].map(|name| folder.path().join(name));
    std::fs::copy(&libm, &other)?;
    std::fs::copy(&libdl, &path)?;
    let script = "mount --bind \"$2\" \"$1\" && LD_PRELOAD=\"$1\" exec cat";
    let shell = ["--mount", "sh", "-c", script, "sh"];
    let running = Waiting::of(Command::new("unshare").args(shell).args([&path, &other]))?;
    for name in ["library.so", path.to_str().unwrap()] {
        let binary = match name.contains('/') {
            true => Binary::in_process(running.pid(), name)?,
            false => {
                let all = Binary::all_of_process(running.pid(), &Options::default())?;
                all.binaries.into_iter().find(|binary| binary.shown().ends_with(name)).context("not there")?
            }
        };
        assert_eq!(binary.build_id(), Binary::open(&libm)?.build_id(), "{name}");
        assert_ne!(binary.build_id(), Binary::open(&path)?.build_id());
    }
    Ok(())
}

/// A process with a root folder of its own, in which its debug file is too.
#[test]
fn debug_files_in_the_root_of_a_process() -> Result<()> {
    need!(dbcc_tests::need::root());
    let folder = tempfile::tempdir()?;
    let [source, whole, root] = ["program.c", "whole", "root"].map(|name| folder.path().join(name));
    std::fs::write(
        &source,
        "#include <unistd.h>\n\
         static __attribute__((noinline)) int only_here(char *c) { return read(0, c, 1) == 1 && write(1, c, 1) == 1; }\n\
         int main(void) { char c; while (only_here(&c)); return 0; }",
    )?;
    output(Command::new("gcc").args(["-static", "-g", "-O1", "-Wl,--build-id", "-o"]).args([&whole, &source]))?;
    let id = Binary::open(&whole)?.build_id().context("no build ID")?;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let place = root.join(format!("usr/lib/debug/.build-id/{}/{}.debug", &hex[..2], &hex[2..]));
    std::fs::create_dir_all(place.parent().unwrap())?;
    output(Command::new("objcopy").arg("--strip-all").arg(&whole).arg(root.join("program")))?;
    let debug = root.join("debug");
    output(Command::new("objcopy").arg("--only-keep-debug").args([&whole, &debug]))?;
    let running = Waiting::of(Command::new("chroot").arg(&root).arg("/program"))?;
    let open = || Binary::of_pid(running.pid()).unwrap();
    // Links in it mean what they mean to the process: this one leads to nothing there.
    std::os::unix::fs::symlink(&debug, &place)?;
    let outside = open();
    assert!(search(&outside, "only_here")?.matches.is_empty());
    assert!(outside.consulted().iter().all(|c| c.outcome == Outcome::Missing), "{:?}", outside.consulted());
    std::fs::remove_file(&place)?;
    // This one to the debug file.
    std::os::unix::fs::symlink("/debug", &place)?;
    let inside = open();
    let answer = search(&inside, "only_here")?;
    assert_eq!(answer.matches.len(), 1, "{:?}", inside.consulted());
    assert_eq!(answer.matches[0].tables, [Table::Symtab, Table::Dwarf]);
    let used = inside.consulted().into_iter().find(|c| c.outcome == Outcome::Used).context("none used")?;
    let seen = place.strip_prefix(&root)?;
    assert_eq!(used.file, Path::new(&format!("/proc/{}/root", running.pid())).join(seen));
    // Named by the program, beside it.
    std::fs::remove_file(&place)?;
    let program = root.join("program");
    let linked = root.join("linked");
    output(Command::new("objcopy").arg("--add-gnu-debuglink").arg(&debug).args([&program, &linked]))?;
    let running = Waiting::of(Command::new("chroot").arg(&root).arg("/linked"))?;
    assert_eq!(search(&Binary::of_pid(running.pid())?, "only_here")?.matches.len(), 1);
    Ok(())
}
