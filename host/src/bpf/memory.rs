//! What a start needs for a moment is not held while a probe runs.

use std::path::Path;

use procfs::ProcResult;
use procfs::process::{MMPermissions, MMapPath, MemoryMap, Process};

/// Gives memory back to the system: what was freed, by any thread, and the pages of the program's own code and tables that
/// starting went through. A page that is needed again comes from the page cache, at the price of a page fault.
pub fn give_back() {
    // Where it cannot be told what is mapped, it stays mapped.
    if let Ok(program) = std::env::current_exe() {
        let _ = give_back_mappings(&program);
    }
    give_back_freed();
}

/// Unmaps the pages of a file's mappings. The program's own mappings are there to its end, while a library may be in the
/// middle of being mapped by another thread: it is not to be named here.
fn give_back_mappings(file: &Path) -> ProcResult<()> {
    let mappings = Process::myself()?.smaps()?;
    for mapping in mappings.into_iter().filter(|mapping| is_of_file_alone(mapping, file)) {
        let (start, end) = mapping.address;
        let length = usize::try_from(end.saturating_sub(start)).unwrap_or(0);
        // SAFETY: the mapping is still there, by what file it is of. Its pages are the file's and cannot be written to, so
        // that whoever reads them next gets the same bytes (madvise(2)).
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
    Ok(())
}

/// The C library of GNU keeps what was freed (malloc_trim(3)); others need no asking.
fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number and may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Whether each page of a mapping is the same as in its file. Otherwise it has pages of its own (`Anonymous`, see
/// proc_pid_smaps(5)): relocated ones, or code with breakpoints of a debugger or uprobe, which would be gone.
fn is_of_file_alone(mapping: &MemoryMap, file: &Path) -> bool {
    let only_read = mapping.perms.contains(MMPermissions::READ | MMPermissions::PRIVATE)
        && !mapping.perms.contains(MMPermissions::WRITE);
    let none = |what: &str| mapping.extension.map.get(what) == Some(&0);
    let of_file = matches!(&mapping.pathname, MMapPath::Path(path) if path == file);
    of_file && only_read && none("Anonymous") && none("Swap") && none("Locked")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    use super::*;

    /// Memory of this process, in KiB, by the name of its line (proc_pid_status(5)).
    fn resident(what: &str) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn memory_that_a_thread_freed_goes_back() {
        // The last piece keeps the C library from giving back what lies before it by itself.
        let thread = std::thread::spawn(|| {
            let mut pieces: Vec<Vec<u8>> = (0..32_000).map(|_| vec![1; 1000]).collect();
            pieces.pop()
        });
        let last = thread.join().unwrap();
        let before = resident("RssAnon");
        give_back();
        let after = resident("RssAnon");
        assert!(before.saturating_sub(after) > 16_000, "{before} and {after} KiB");
        drop(last);
    }

    const BYTES: usize = 64 * 4096;

    /// A file mapped for itself, each page of which was read, and the first written before where it is asked.
    fn mapped(file: &std::fs::File, write: bool) -> *mut u8 {
        // SAFETY: the mapping is new, as large as the file, writable while it is written, and stays to the end of the test.
        unsafe {
            let protection = libc::PROT_READ | libc::PROT_WRITE;
            let start = libc::mmap(std::ptr::null_mut(), BYTES, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0);
            assert_ne!(start, libc::MAP_FAILED);
            let start = start.cast::<u8>();
            if write {
                start.write_volatile(2);
            }
            assert_eq!(libc::mprotect(start.cast(), BYTES, libc::PROT_READ), 0);
            for at in (1..BYTES).step_by(4096) {
                assert_eq!(start.add(at).read_volatile(), 1);
            }
            start
        }
    }

    /// Bytes of the mapping that begins at an address that are in memory.
    fn resident_at(start: *mut u8) -> u64 {
        let mappings = Process::myself().unwrap().smaps().unwrap();
        let mapping = mappings.into_iter().find(|mapping| mapping.address.0 == start as u64).unwrap();
        mapping.extension.map["Rss"]
    }

    #[test]
    fn pages_that_are_those_of_a_file_go_back_and_others_stay() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[1; BYTES]).unwrap();
        let [of_file, written] = [false, true].map(|write| mapped(file.as_file(), write));
        assert_eq!([resident_at(of_file), resident_at(written)], [BYTES as u64; 2]);
        give_back_mappings(file.path()).unwrap();
        assert_eq!([resident_at(of_file), resident_at(written)], [0, BYTES as u64]);
        // SAFETY: both mappings are still there.
        assert_eq!(unsafe { [of_file.read_volatile(), written.read_volatile()] }, [1, 2]);
    }
}
