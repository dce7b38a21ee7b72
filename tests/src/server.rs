//! Real database servers, started for a test in a temporary folder.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use crate::client::Client;
use crate::need::{self, Skip};
use crate::process::{Running, wait_until};

/// MariaDB's server as Debian installs it.
pub const MARIADBD: &str = "/usr/sbin/mariadbd";

/// The user that servers run as when the tests run as root: they refuse to run as root, and real ones do not either.
const NOBODY: u32 = 65534;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// MySQL 5.6.24 from its npm package: not stripped, with DWARF.
    Mysql56,
    /// Debian's MariaDB: stripped, with dynamic symbols.
    MariaDb,
    /// MySQL 9.7 from Debian sid: stripped, with dynamic symbols, functions begin with `endbr64`. It runs in a mount
    /// namespace where its own dynamic linker is in the place of the host's, so that `/proc/PID/exe` leads to the server
    /// as it does everywhere; its libraries are found by `LD_LIBRARY_PATH`.
    Mysql97,
}

/// What is needed to start a server.
#[derive(Debug, Clone)]
pub struct Installed {
    flavor: Flavor,
    binary: PathBuf,
    data: PathBuf,
}

impl Flavor {
    /// Looks for the server.
    ///
    /// # Errors
    /// It is not installed.
    pub fn installed(self) -> Result<Installed, Skip> {
        let (binary, data) = match self {
            Self::Mysql56 => {
                let binary = need::mysql56()?;
                let data = binary.with_file_name("data").join("mysql");
                (binary, data)
            }
            Self::MariaDb => (PathBuf::from(MARIADBD), need::mariadb_data()?),
            Self::Mysql97 => {
                // To change what is mounted.
                need::root()?;
                (need::mysql97()?, need::mysql97_data()?)
            }
        };
        Ok(Installed { flavor: self, binary, data })
    }
}

/// A server that runs and accepts connections on 127.0.0.1. Dropping it kills it (its data is not wanted), waits for it
/// and removes its folder.
#[derive(Debug)]
pub struct Server {
    process: Running,
    /// TCP port on 127.0.0.1.
    pub port: u16,
    /// Which server it is.
    pub flavor: Flavor,
    binary: PathBuf,
    /// Its own folder. After `process`, so that it is removed when the server has ended.
    folder: TempDir,
}

impl Installed {
    /// The server's binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Starts the server on a fresh copy of its data and waits until it answers.
    ///
    /// # Errors
    /// It ends, or does not answer in time; the message holds its log.
    pub fn start(&self) -> Result<Server> {
        self.start_as(|binary, _| {
            let words = if self.flavor == Flavor::Mysql97 { with_own_linker(binary)? } else { Vec::new() };
            Ok((words, binary.to_owned()))
        })
    }

    /// Like [`start`](Self::start), in a mount namespace of its own, where its binary is at a path that exists nowhere
    /// else.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_hidden(&self) -> Result<Server> {
        ensure!(self.flavor != Flavor::Mysql97, "this server runs in a mount namespace already");
        self.start_as(|binary, place| {
            let folder = place.join("hidden");
            fs::create_dir(&folder)?;
            let hidden = folder.join(binary.file_name().context("the server's binary has no name")?);
            let script = r#"mount -t tmpfs hidden "$1" && cp "$2" "$1/" && shift 2 && exec "$@""#;
            let mut words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
                .map(OsString::from)
                .to_vec();
            words.extend([folder.into(), binary.into()]);
            Ok((words, hidden))
        })
    }

    /// Starts the server through the command that `wrap` makes of its binary and its folder; it also says under which
    /// path that command finds the binary.
    fn start_as(&self, wrap: impl Fn(&Path, &Path) -> Result<(Vec<OsString>, PathBuf)>) -> Result<Server> {
        let folder = tempfile::Builder::new().prefix("dbcc-server-").tempdir()?;
        let place = folder.path();
        let binary = self.reachable_binary(place)?;
        copy_folder(&self.data, &place.join("data")).context("cannot copy the server's data")?;
        let (mut words, executable) = wrap(&binary, place)?;
        // The server must not outlive a test that is killed; setpriv also changes the user and leaves the process id.
        words.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
        if rustix::process::geteuid().is_root() {
            fs::set_permissions(place, fs::Permissions::from_mode(0o755))?;
            give_to(place, NOBODY)?;
            words.extend([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")].map(OsString::from));
            words.push("--clear-groups".into());
        }
        words.push(executable.clone().into());
        let port = free_port()?;
        words.extend(self.arguments(&binary, place, port).into_iter().map(OsString::from));
        let (program, rest) = words.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(rest).current_dir(place);
        let mut process = Running::start(command).with_context(|| format!("cannot start {}", binary.display()))?;
        process.wait_for("the server's readiness", |line| line.text.contains("ready for connections").then_some(()))?;
        wait_until("an answer of the server", || Ok(Client::connect(port).ok()))?.close()?;
        Ok(Server { process, port, flavor: self.flavor, binary: executable, folder })
    }

    fn arguments(&self, binary: &Path, place: &Path, port: u16) -> Vec<String> {
        let place = place.display();
        let mut arguments = vec![
            "--no-defaults".to_owned(),
            format!("--datadir={place}/data"),
            format!("--socket={place}/socket"),
            format!("--pid-file={place}/pid"),
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--max-connections=500".to_owned(),
            // Small and quick: no test is about storage.
            "--innodb-buffer-pool-size=16M".to_owned(),
            "--innodb-flush-log-at-trx-commit=0".to_owned(),
        ];
        match self.flavor {
            Flavor::Mysql56 => {
                let server = binary.parent().unwrap_or(binary).display();
                arguments.extend(["--innodb-log-file-size=4M", "--skip-name-resolve"].map(str::to_owned));
                arguments.push(format!("--basedir={server}"));
                arguments.push(format!("--lc-messages-dir={server}/share"));
            }
            Flavor::MariaDb => {
                arguments.extend(["--innodb-log-file-size=4M", "--skip-name-resolve"].map(str::to_owned));
            }
            // Its root is root@localhost alone, which 127.0.0.1 is only where names are resolved (it asks nobody for that).
            Flavor::Mysql97 => {
                let usr = usr_of(binary).display();
                arguments.push("--innodb-redo-log-capacity=16M".to_owned());
                arguments.extend(["--mysqlx=OFF", "--secure-file-priv="].map(str::to_owned));
                arguments.push(format!("--basedir={usr}"));
                arguments.push(format!("--lc-messages-dir={usr}/share/mysql"));
            }
        }
        arguments
    }

    /// The binary, or a copy (with the files that it reads) where its own folder is closed to the server's user, as a
    /// checkout below /root is.
    fn reachable_binary(&self, place: &Path) -> Result<PathBuf> {
        let open = |folder: &Path| fs::metadata(folder).is_ok_and(|meta| meta.permissions().mode() & 0o005 == 0o005);
        if !rustix::process::geteuid().is_root() || self.binary.ancestors().all(open) {
            return Ok(self.binary.clone());
        }
        let copy = place.join("server");
        if self.flavor == Flavor::Mysql97 {
            copy_folder(usr_of(&self.binary), &copy)?;
            return Ok(copy.join("sbin/mysqld"));
        }
        let original = self.binary.parent().context("the server's binary has no folder")?;
        copy_folder(&original.join("share"), &copy.join("share"))?;
        let binary = copy.join(self.binary.file_name().context("the server's binary has no name")?);
        fs::copy(&self.binary, &binary)?;
        Ok(binary)
    }
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The binary that it runs, under the path that it has in its mount namespace.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// Its folder, which goes when the server goes.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A status variable of the whole server, such as `Bytes_sent`. Asking for it makes traffic of its own.
    ///
    /// # Errors
    /// It has no such variable, or cannot be asked.
    pub fn status(&self, variable: &str) -> Result<u64> {
        let mut client = Client::connect(self.port)?;
        let value = status(&mut client, variable)?;
        client.close()?;
        Ok(value)
    }
}

/// The folder with `sbin`, `lib` and `share` of a server that was unpacked with all that it needs.
fn usr_of(binary: &Path) -> &Path {
    binary.ancestors().nth(2).unwrap_or(binary)
}

/// The beginning of a command line whose rest runs under the dynamic linker and with the libraries that came with
/// `binary`.
fn with_own_linker(binary: &Path) -> Result<Vec<OsString>> {
    let usr = usr_of(binary);
    let linker = usr.join("lib64/ld-linux-x86-64.so.2").canonicalize().context("the server has no dynamic linker")?;
    let script =
        r#"mount --bind "$1" /lib64/ld-linux-x86-64.so.2 && export LD_LIBRARY_PATH="$2" && shift 2 && exec "$@""#;
    let mut words =
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"].map(OsString::from).to_vec();
    words.extend([linker.into(), usr.join("lib/x86_64-linux-gnu").into()]);
    Ok(words)
}

/// A status variable of the whole server, over a connection that exists.
///
/// # Errors
/// It has no such variable, or cannot be asked.
pub fn status(client: &mut Client, variable: &str) -> Result<u64> {
    let rows = client.query(&format!("show global status like '{variable}'"))?;
    let value = rows.first().and_then(|row| row.get(1)).and_then(Option::as_ref);
    let value = value.with_context(|| format!("the server has no status variable {variable}"))?;
    Ok(str::from_utf8(value)?.parse()?)
}

/// A TCP port that nobody listens on, below the range that the kernel gives to clients.
fn free_port() -> Result<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    // Tests run in processes of their own at the same time: each looks from another place on.
    let start = u16::try_from(std::process::id().wrapping_mul(37) % u32::from(COUNT))?;
    for step in 0..COUNT {
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free TCP port from {FIRST} on")
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target).with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn give_to(path: &Path, user: u32) -> Result<()> {
    chown(path, Some(user), Some(user)).with_context(|| format!("cannot change the owner of {}", path.display()))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to(&entry?.path(), user)?;
        }
    }
    Ok(())
}
