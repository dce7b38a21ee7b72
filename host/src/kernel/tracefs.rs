//! The kernel's trace file system, whether or not it is mounted.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use super::mounts::Mountable;
use crate::bpf::sys;

/// Where tracefs is found when it is mounted; the second is an automount point of a mounted debugfs
/// (Documentation/trace/ftrace.rst).
const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// `TRACEFS_MAGIC` of linux/magic.h.
const MAGIC: u64 = 0x7472_6163;

/// The largest file that is read: formats of events have some kilobytes, `kprobe_profile` a line for each probe.
const LIMIT: u64 = 16 << 20;

/// An open tracefs. Clones are the same instance.
#[derive(Debug, Clone)]
pub struct Tracefs {
    directory: Arc<OwnedFd>,
    mounted: bool,
}

impl Tracefs {
    /// Opens tracefs where it is mounted; where it is not, an instance in no mount namespace, which is gone with this
    /// value and which nobody else sees.
    ///
    /// # Errors
    /// Says that it is not mounted, and why a mount of its own was refused (`PermissionDenied` without CAP_SYS_ADMIN).
    pub fn open() -> io::Result<Self> {
        for place in PLACES {
            let Ok(directory) = File::open(place) else { continue };
            if sys::filesystem_magic(directory.as_fd()).is_ok_and(|magic| magic == MAGIC) {
                return Ok(Self { directory: Arc::new(directory.into()), mounted: true });
            }
        }
        Self::detached()
    }

    /// Opens tracefs as an instance in no mount namespace, even if it is mounted.
    fn detached() -> io::Result<Self> {
        match sys::detached_mount(c"tracefs") {
            Ok(directory) => Ok(Self { directory: Arc::new(directory), mounted: false }),
            Err(error) => Err(io::Error::new(
                error.kind(),
                match Mountable::TRACEFS.is_mounted() {
                    true => format!("this process may not read the tracefs at {}", PLACES[0]),
                    false => format!(
                        "tracefs is not mounted at {}, and the kernel refuses a mount of our own: {error}",
                        PLACES[0]
                    ),
                },
            )),
        }
    }

    /// Whether it was found mounted, as opposed to an instance of our own.
    pub fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Reads a whole file, such as `events/sock/sock_send_length/format`.
    ///
    /// # Errors
    /// The kernel's, with the path; `InvalidInput` for a path that leads outside, `InvalidData` for a file that is no
    /// UTF-8 or larger than 16 MiB.
    pub fn read(&self, path: &str) -> io::Result<String> {
        let mut text = String::new();
        let read = self.file(path, libc::O_RDONLY)?.take(LIMIT).read_to_string(&mut text);
        match read {
            Ok(length) if u64::try_from(length).is_ok_and(|length| length < LIMIT) => Ok(text),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, format!("tracefs: {path} is too large"))),
            Err(error) => Err(about("read", path, &error)),
        }
    }

    /// Opens the trace pipe, reading from which does not wait. What is read from it is gone for others.
    ///
    /// # Errors
    /// The kernel's: `EPERM` in a kernel that is locked down, `EBUSY` while somebody reads the file `trace`.
    pub fn open_pipe(&self) -> io::Result<File> {
        self.file("trace_pipe", libc::O_RDONLY | libc::O_NONBLOCK)
    }

    /// Writes one command to a file that takes commands, such as `kprobe_events`, without removing what it holds.
    ///
    /// # Errors
    /// The kernel's, with the path; `InvalidInput` for a path that leads outside.
    pub fn write_append(&self, path: &str, command: &str) -> io::Result<()> {
        // One write call: the kernel parses each call on its own.
        self.file(path, libc::O_WRONLY | libc::O_APPEND)?
            .write_all(command.as_bytes())
            .map_err(|error| about("write to", path, &error))
    }

    fn file(&self, path: &str, flags: c_int) -> io::Result<File> {
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || path.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("tracefs: no such file: {path}")));
        }
        sys::open_at(self.directory.as_fd(), path, flags).map_err(|error| about("open", path, &error))
    }
}

fn about(verb: &str, path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("failed to {verb} {path} in tracefs: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tracefs, or none with the reason printed where this process may not have it.
    fn tracefs() -> Option<Tracefs> {
        match Tracefs::open() {
            Ok(tracefs) => Some(tracefs),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("skipped: {error}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn reads_a_format_without_leaving_a_mount() {
        let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let Some(tracefs) = tracefs() else { return };
        let format = tracefs.read("events/sched/sched_switch/format").unwrap();
        assert!(format.starts_with("name: sched_switch\n"), "{format}");
        assert_eq!(before, std::fs::read_to_string("/proc/self/mountinfo").unwrap());
    }

    #[test]
    fn a_detached_instance_reads_the_same() {
        let Some(tracefs) = tracefs() else { return };
        let detached = Tracefs::detached().unwrap();
        assert!(!detached.is_mounted());
        let path = "events/sched/sched_switch/id";
        assert_eq!(detached.read(path).unwrap(), tracefs.read(path).unwrap());
    }

    #[test]
    fn a_path_stays_inside() {
        let Some(tracefs) = tracefs() else { return };
        for path in ["", "../../etc/passwd", "/etc/passwd", "events/../../x"] {
            assert_eq!(tracefs.read(path).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{path}");
        }
        let missing = tracefs.read("events/sched/no_such_event/format").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        assert!(missing.to_string().contains("events/sched/no_such_event/format"), "{missing}");
    }
}
