//! What an object depends on, as a name.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::facts::CompileRequest;
use crate::kernel::tracefs::Tracefs;
use crate::lex::Lexed;
use crate::source::Source;
use crate::template;

/// A digest of: this program (which holds the templates), the compiler and libclang, by what identifies their files;
/// the kernel, by its release, version and build ID; the request, with the probe's text and the headers beside it; the
/// tracepoints that it names. None where one of these cannot be told, so that nothing is taken for what it is not.
pub(super) fn of(request: &CompileRequest) -> Option<String> {
    let mut key = Key(Sha256::new());
    key.add(env!("CARGO_PKG_VERSION").as_bytes());
    key.add_file(Path::new("/proc/self/exe"))?;
    key.add_file(&request.toolchain.clang)?;
    key.add_file(&request.toolchain.libclang)?;
    for fact in ["/proc/sys/kernel/osrelease", "/proc/sys/kernel/version"] {
        key.add(&std::fs::read(fact).ok()?);
    }
    // Not every kernel has notes; its build's number and time are in the version too.
    key.add(&std::fs::read("/sys/kernel/notes").unwrap_or_default());
    key.add(&serde_json::to_vec(request).ok()?);

    let lexed = Lexed::new(&request.source.text);
    for header in template::local_headers(&lexed, request.source.dir.as_deref()) {
        key.add(header.path.as_os_str().as_encoded_bytes());
        key.add(header.text.as_bytes());
    }
    let tracepoints = template::tracepoints(&lexed);
    if !tracepoints.is_empty() {
        // Modules bring and take tracepoints while the kernel stays the same.
        let tracefs = Tracefs::open().ok();
        for one in tracepoints {
            let format = tracefs
                .as_ref()
                .and_then(|tracefs| tracefs.read(&format!("events/{}/{}/format", one.category, one.name)).ok());
            key.add(format.unwrap_or_default().as_bytes());
        }
    }
    Some(of_text(&request.source) + &key.finish())
}

/// How the names of all that was made of a probe's text begin.
pub(super) fn of_text(source: &Source) -> String {
    let mut key = Key(Sha256::new());
    key.add(source.text.as_bytes());
    let mut name = key.finish();
    name.truncate(16);
    name + "-"
}

struct Key(Sha256);

impl Key {
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
}
