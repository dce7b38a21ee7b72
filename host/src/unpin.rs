//! `dbcc unpin`: removes paths of pinned objects, and nothing else.

use std::fs;
use std::io::Write;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use crate::bpf::{inventory, pin};
use crate::cli::UnpinArgs;
use crate::loading::Pinned;
use crate::pipeline::Failure;

/// Unpins what is at the paths; of a folder, all that is in it, and the folder.
///
/// # Errors
/// For the first path that has no object of BPF, or cannot be removed. What was removed before stays removed.
pub fn run(args: &UnpinArgs, out: &mut dyn Write) -> Result<(), Failure> {
    for path in &args.paths {
        let kind = fs::symlink_metadata(path).map_err(|error| failed(path, "cannot look at", error))?;
        // Where the path itself is in a file system of BPF, and not what a link leads to.
        let inside = pin::is_in_bpffs(path).map_err(|error| failed(path, "cannot look at", error))?;
        if kind.is_symlink() || !inside {
            let message = format!("{} is in no file system of BPF: nothing is pinned there", path.display());
            return Err(Failure::Unusable(anyhow::anyhow!(message)));
        }
        if kind.is_dir() {
            for file in files(path)? {
                unpin(&file, args.json, out)?;
            }
            fs::remove_dir(path).map_err(|error| failed(path, "cannot remove", error))?;
        } else {
            unpin(path, args.json, out)?;
        }
    }
    Ok(())
}

/// What is in a folder. Links come first, so that what they attach is not left running by them alone.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, "cannot read", error))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort_by_key(|path| (!path.to_string_lossy().ends_with("_link"), path.clone()));
    Ok(files)
}

fn unpin(path: &Path, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let fd = inventory::open_pinned(path).map_err(|error| Failure::Run(error.into()))?;
    let what = Pinned::of(fd.as_fd());
    fs::remove_file(path).map_err(|error| failed(path, "cannot remove", error))?;
    match what {
        Some(what) if json => writeln!(out, "{}", what.json("unpinned", path))?,
        Some(what) => {
            writeln!(out, "unpinned {} from {}", what.text(), path.display())?;
            let mut link = path.as_os_str().to_owned();
            link.push("_link");
            if Path::new(&link).exists() {
                writeln!(out, "it is still attached, by {}", Path::new(&link).display())?;
            }
        }
        None => writeln!(out, "unpinned an object from {}", path.display())?,
    }
    Ok(())
}

fn failed(path: &Path, what: &str, error: std::io::Error) -> Failure {
    Failure::Unusable(anyhow::Error::new(error).context(format!("{what} {}", path.display())))
}
