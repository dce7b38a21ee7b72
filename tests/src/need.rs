//! What a test needs of the machine, and what becomes of it where that is missing.

use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// A test cannot run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    reason: String,
    optional: bool,
}

impl Skip {
    /// Something is missing that `ci/setup` provides, or that the machine must be able to do: an error where `CI=true`.
    pub fn required(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), optional: false }
    }

    /// Something is missing that the project does without everywhere.
    pub fn optional(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), optional: true }
    }

    /// Reports the running test as skipped: on standard error, and in the file that `DBCC_SKIP_LOG` names, which
    /// `ci/test` shows at the end.
    ///
    /// # Errors
    /// Where `CI=true` and what is missing is required.
    pub fn report(self) -> Result<()> {
        let required = env::var("CI").is_ok_and(|ci| ci == "true");
        let test = std::thread::current().name().unwrap_or("unnamed test").to_owned();
        self.report_as(&test, required, env::var_os("DBCC_SKIP_LOG").map(PathBuf::from).as_deref())
    }

    fn report_as(self, test: &str, required: bool, log: Option<&Path>) -> Result<()> {
        let Self { reason, optional } = self;
        if required && !optional {
            bail!("cannot run here, and CI=true demands it: {reason}");
        }
        eprintln!("SKIPPED: {test}: {reason}");
        if let Some(log) = log {
            let mut log =
                OpenOptions::new().append(true).create(true).open(log).context("cannot open DBCC_SKIP_LOG")?;
            // One write, so that the lines of tests that run at the same time do not mix.
            log.write_all(format!("{test}: {reason}\n").as_bytes()).context("cannot write to DBCC_SKIP_LOG")?;
        }
        Ok(())
    }
}

/// The repository that these tests were built from.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Where what is fetched or made once lives: `DBCC_WORK`, or `.work` in the repository.
pub fn work_folder() -> PathBuf {
    env::var_os("DBCC_WORK").map_or_else(|| repository().join(".work"), PathBuf::from)
}

/// A file or folder of the work folder that `ci/setup` fills: the variable's value, or its place there.
fn prepared(variable: &str, place: &str, what: &str) -> Result<PathBuf, Skip> {
    let path = env::var_os(variable).map_or_else(|| work_folder().join(place), PathBuf::from);
    if path.exists() {
        Ok(path)
    } else {
        Err(Skip::required(format!("{what} is not at {} (run ci/setup, or set {variable})", path.display())))
    }
}

/// The server binary of MySQL 5.6.24.
///
/// # Errors
/// It is not there.
pub fn mysql56() -> Result<PathBuf, Skip> {
    prepared("DBCC_MYSQL56", "mysql56/server/mysqld", "MySQL 5.6.24")
}

/// The server binary of MySQL 9.7, stripped, in a folder tree with all libraries that it needs. It does not start with
/// the host's: see [`Flavor::Mysql97`](crate::server::Flavor::Mysql97).
///
/// # Errors
/// It is not there.
pub fn mysql97() -> Result<PathBuf, Skip> {
    prepared("DBCC_MYSQL97", "mysql97/usr/sbin/mysqld", "MySQL 9.7")
}

/// An initialised data folder for MySQL 9.7, to be copied.
///
/// # Errors
/// It is not there.
pub fn mysql97_data() -> Result<PathBuf, Skip> {
    prepared("DBCC_MYSQL97_DATA", "mysql97-data", "a data folder for MySQL 9.7")
}

/// The server binary of PostgreSQL 15, with `initdb` beside it.
///
/// # Errors
/// It is not there.
pub fn postgres() -> Result<PathBuf, Skip> {
    prepared("DBCC_POSTGRES", "postgres15/usr/lib/postgresql/15/bin/postgres", "PostgreSQL 15")
}

/// An initialised data folder for Debian's MariaDB, to be copied.
///
/// # Errors
/// It is not there, or the server is not.
pub fn mariadb_data() -> Result<PathBuf, Skip> {
    if !Path::new(crate::server::MARIADBD).exists() {
        return Err(Skip::required(format!("{} is not there (run ci/setup)", crate::server::MARIADBD)));
    }
    prepared("DBCC_MARIADB_DATA", "mariadb-data", "a data folder for MariaDB")
}

/// The folder of a guest that `ci/vm/run` can boot.
///
/// # Errors
/// It has not been made.
pub fn vm_guest() -> Result<PathBuf, Skip> {
    prepared("DBCC_VM_GUEST", "guests/6.1", "the VM's guest")
}

/// One of the published programs that the project must be able to run as they are. They are not part of it.
///
/// # Errors
/// The folder is not there.
pub fn acceptance(file: &str) -> Result<PathBuf, Skip> {
    let folder =
        env::var_os("DBCC_ACCEPTANCE").map_or_else(|| repository().join("../shared/acceptance"), PathBuf::from);
    let path = folder.join(file);
    path.canonicalize().map_err(|error| {
        let place = path.display();
        Skip::optional(format!(
            "{place}: {error} (the published programs are not part of the project; DBCC_ACCEPTANCE)"
        ))
    })
}

/// Whether the tests run as root, which loading programs and changing users asks for.
///
/// # Errors
/// They do not.
pub fn root() -> Result<(), Skip> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(Skip::required("must run as root")) }
}

/// BCC, its tools, and the kernel headers that it needs.
///
/// # Errors
/// One of Debian's packages is not installed.
pub fn bcc_tools() -> Result<(), Skip> {
    let packages = [
        ("bpfcc-tools", "/usr/sbin/opensnoop-bpfcc"),
        ("python3-bpfcc", "/usr/lib/python3/dist-packages/bcc/__init__.py"),
    ];
    match packages.iter().find(|(_, file)| !Path::new(file).exists()) {
        Some((package, _)) => Err(Skip::required(format!("the package {package} is not installed (run ci/setup)"))),
        None => Ok(()),
    }
}

/// Whether this runs inside a guest of `ci/vm/run`.
pub fn in_guest() -> bool {
    env::var_os("DBCC_IN_GUEST").is_some()
}

/// Whether the kernel has a tracepoint, such as `sock:sock_send_length`.
///
/// # Errors
/// It has not, or tracefs is not mounted where it can be looked up.
pub fn tracepoint(name: &str) -> Result<(), Skip> {
    let path = name.replace(':', "/");
    let found = tracefs().map(|tracefs| tracefs.join("events").join(path).exists());
    match found {
        Some(true) => Ok(()),
        Some(false) => Err(Skip::required(format!("the kernel has no tracepoint {name}"))),
        // Without tracefs in sight dbcc mounts it for itself; BTF answers as well: each tracepoint has a typedef.
        None => {
            let event = name.rsplit(':').next().unwrap_or(name);
            let btf = fs::read("/sys/kernel/btf/vmlinux").unwrap_or_default();
            let call = event.strip_prefix("sys_enter_").or_else(|| event.strip_prefix("sys_exit_"));
            // Those of system calls have none of their own; the calls are functions.
            let wanted = match call.filter(|_| name.starts_with("syscalls:")) {
                Some(call) => format!("_sys_{call}\0"),
                None => format!("\0btf_trace_{event}\0"),
            };
            if btf.windows(wanted.len()).any(|window| window == wanted.as_bytes()) {
                Ok(())
            } else {
                Err(Skip::required(format!("the kernel has no tracepoint {name}")))
            }
        }
    }
}

/// Where tracefs is mounted, if it is.
fn tracefs() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        (kind == "tracefs").then(|| PathBuf::from(place))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_logged_and_fails_only_where_ci_demands_what_is_required() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        Skip::optional("one").report_as("a", true, Some(&log)).unwrap();
        Skip::required("two").report_as("b", false, Some(&log)).unwrap();
        let error = Skip::required("three").report_as("c", true, Some(&log)).unwrap_err();
        assert!(error.to_string().contains("three"), "{error}");
        assert_eq!(fs::read_to_string(log).unwrap(), "a: one\nb: two\n");
    }

    #[test]
    fn something_missing_names_the_place_and_the_remedy() {
        let skip = prepared("DBCC_NO_SUCH_VARIABLE", "no/such/file", "a thing").unwrap_err();
        assert!(skip.reason.contains("no/such/file"), "{}", skip.reason);
        assert!(skip.reason.contains("ci/setup"), "{}", skip.reason);
        assert!(!skip.optional);
    }
}
