//! What an object depends on, as a name.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::facts::{CompileRequest, Toolchain};
use crate::include::{asks_for_files, reads_files};
use crate::kernel::btf::VMLINUX;
use crate::kernel::release;
use crate::kernel::tracefs::Tracefs;
use crate::lex::Lexed;
use crate::source::Source;
use crate::template;

/// What tells one compilation from another, before anything is compiled: the digest of all that the object depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Of this program (which holds the templates), the compiler, libclang and their libraries, by what identifies their
    /// files; of the kernel, by its release, version, build ID, configuration and types; of the probe's text, with the folder that
    /// it includes files from if it does; of the request; of the tracepoints that the text names. Where the probe lies and how it is
    /// called is no part of it.
    ///
    /// None where one of these cannot be told, so that nothing is taken for what it is not.
    pub fn of(request: &CompileRequest) -> Option<Self> {
        let mut key = Parts(Sha256::new());
        key.add(env!("CARGO_PKG_VERSION").as_bytes());
        key.add_file(Path::new("/proc/self/exe"))?;
        key.add_toolchain(&request.toolchain)?;
        key.add_kernel()?;
        key.add(request.source.text.as_bytes());
        let said = (&request.functions, &request.tail_calls, &request.defines, request.features);
        key.add(&serde_json::to_vec(&said).ok()?);
        let lexed = Lexed::new(&request.source.text);
        if reads_files(&lexed) || asks_for_files(&lexed) {
            let dir = request.source.dir.as_ref().and_then(|dir| dir.canonicalize().ok());
            key.add(dir.unwrap_or_default().as_os_str().as_encoded_bytes());
        }
        key.add_tracepoints(request, &lexed);
        Some(Self(of_text(&request.source) + &key.finish()))
    }

    /// The name of the entry.
    pub(super) fn name(&self) -> &str {
        &self.0
    }
}

/// How the names of all that was made of a probe's text begin.
pub(super) fn of_text(source: &Source) -> String {
    let mut key = Parts(Sha256::new());
    key.add(source.text.as_bytes());
    let mut name = key.finish();
    name.truncate(16);
    name + "-"
}

/// What tells a file from every other one, and from what it was; none where it is not there.
pub(super) fn identity(path: &Path) -> Option<String> {
    let mut key = Parts(Sha256::new());
    key.add_file(path)?;
    Some(key.finish())
}

struct Parts(Sha256);

impl Parts {
    fn finish(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Adds a part with its length, so that no two sequences of parts look alike.
    fn add(&mut self, part: &[u8]) {
        self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(part);
    }

    /// Adds what tells one file from another without reading it.
    fn add_file(&mut self, path: &Path) -> Option<()> {
        let status = std::fs::metadata(path).ok()?;
        for number in [status.dev(), status.ino(), status.size()] {
            self.add(&number.to_le_bytes());
        }
        for number in [status.mtime(), status.mtime_nsec(), status.ctime(), status.ctime_nsec()] {
            self.add(&number.to_le_bytes());
        }
        Some(())
    }

    /// Adds a file that need not be there.
    fn add_if_there(&mut self, path: &Path) {
        if self.add_file(path).is_none() {
            self.add(b"none");
        }
    }

    /// Adds clang and libclang, and the libraries that packages keep beside them: most of the compiler is in these. What else the
    /// dynamic linker would take instead is told by its variables.
    fn add_toolchain(&mut self, toolchain: &Toolchain) -> Option<()> {
        let Toolchain { clang, libclang, version } = toolchain;
        self.add(&version.to_le_bytes());
        self.add_file(clang)?;
        self.add_file(libclang)?;
        let folder = libclang.parent().unwrap_or(Path::new("/"));
        for library in ["libLLVM", "libclang-cpp"] {
            for name in [format!("{library}.so.{version}.1"), format!("{library}-{version}.so")] {
                self.add_if_there(&folder.join(name));
            }
        }
        for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
            self.add(std::env::var_os(variable).unwrap_or_default().as_encoded_bytes());
        }
        Some(())
    }

    fn add_kernel(&mut self) -> Option<()> {
        for fact in ["/proc/sys/kernel/osrelease", "/proc/sys/kernel/version"] {
            self.add(&std::fs::read(fact).ok()?);
        }
        // Not every kernel has notes; its build's number and time are in the version too.
        self.add(&std::fs::read("/sys/kernel/notes").unwrap_or_default());
        let release = release();
        for configuration in
            [format!("/boot/config-{}", release.trim()), format!("/lib/modules/{}/config", release.trim())]
        {
            self.add_if_there(Path::new(&configuration));
        }
        // The kernel's own file has another inode and time after each start; one that stands in for it is told by them.
        let types = Path::new(VMLINUX);
        match rustix::fs::statfs(types) {
            Ok(system) if u64::try_from(system.f_type) == Ok(SYSFS_MAGIC) => {
                self.add(&std::fs::metadata(types).map_or(0, |types| types.size()).to_le_bytes());
            }
            _ => self.add_if_there(types),
        }
        Some(())
    }

    /// Adds the records of the tracepoints: modules bring and take them while the kernel stays the same.
    fn add_tracepoints(&mut self, request: &CompileRequest, lexed: &Lexed<'_>) {
        let mut tracepoints = template::tracepoints(lexed);
        for header in template::local_headers(lexed, request.source.dir.as_deref()) {
            tracepoints.extend(template::tracepoints(&Lexed::new(&header.text)));
        }
        if tracepoints.is_empty() {
            return;
        }
        let tracefs = Tracefs::open().ok();
        for one in tracepoints {
            let path = format!("events/{}/{}/format", one.category, one.name);
            let format = tracefs.as_ref().and_then(|tracefs| tracefs.read(&path).ok());
            self.add(format.unwrap_or_default().as_bytes());
        }
    }
}

/// `SYSFS_MAGIC` of include/uapi/linux/magic.h.
const SYSFS_MAGIC: u64 = 0x6265_6572;
