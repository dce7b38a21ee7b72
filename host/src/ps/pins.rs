//! Which objects are pinned, and where: the files of all mounted file systems of BPF.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::bpf::inventory::{self, ObjectId};
use crate::kernel::mounts;

/// The most files that are looked at, and how deep folders are.
const MOST_FILES: usize = 10_000;
const MOST_DEPTH: usize = 16;

/// The paths of pinned objects.
pub(super) fn all() -> BTreeMap<ObjectId, Vec<String>> {
    let mut found: BTreeMap<ObjectId, Vec<String>> = BTreeMap::new();
    let mut left = MOST_FILES;
    for place in mounts::places("bpf") {
        let mut files = Vec::new();
        below(Path::new(&place), MOST_DEPTH, &mut left, &mut files);
        for path in files {
            let id = inventory::open_pinned(&path).ok().and_then(|fd| inventory::identify(fd.as_fd()));
            if let Some(id) = id {
                found.entry(id).or_default().push(path.display().to_string());
            }
        }
    }
    found
}

fn below(folder: &Path, depth: usize, left: &mut usize, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => below(&entry.path(), depth - 1, left, files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            _ => {}
        }
    }
}
