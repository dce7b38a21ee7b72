use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;

const OLD: &str = "int x;\n";

/// Watches a file, and gives what is to be closed to end that.
fn watch(path: &Path) -> (Saves, OwnedFd) {
    let (stopped, stop) = rustix::pipe::pipe().unwrap();
    (Saves::new(path, include::read(path).unwrap(), stopped).unwrap(), stop)
}

/// Does something to a file, and waits for the text that is seen then.
fn after(saves: &mut Saves, save: impl FnOnce()) -> String {
    save();
    saves.wait().unwrap().unwrap().source.text
}

/// Writes a file of that name by a rename, as most editors do.
fn replace(path: &Path, text: &str) {
    let other = path.with_extension("swp");
    fs::write(&other, text).unwrap();
    fs::rename(&other, path).unwrap();
}

#[test]
fn every_way_to_save_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.c");
    fs::write(&path, OLD).unwrap();
    let (mut saves, _stop) = watch(&path);
    assert_eq!(after(&mut saves, || fs::write(&path, "in place").unwrap()), "in place");
    assert_eq!(after(&mut saves, || replace(&path, "renamed over")), "renamed over");
    let anew = || {
        fs::remove_file(&path).unwrap();
        fs::write(&path, "created").unwrap();
    };
    assert_eq!(after(&mut saves, anew), "created");
    // As vim does with `backupcopy=no`: the old one goes away under another name first.
    let vim = || {
        fs::rename(&path, path.with_extension("c~")).unwrap();
        fs::write(&path, "moved away").unwrap();
        fs::remove_file(path.with_extension("c~")).unwrap();
    };
    assert_eq!(after(&mut saves, vim), "moved away");
    let linked = || {
        fs::write(path.with_extension("new"), "linked").unwrap();
        fs::remove_file(&path).unwrap();
        fs::hard_link(path.with_extension("new"), &path).unwrap();
    };
    assert_eq!(after(&mut saves, linked), "linked");
    let whole_folder = || {
        let moved = folder.path().with_extension("moved");
        fs::rename(folder.path(), &moved).unwrap();
        fs::create_dir(folder.path()).unwrap();
        fs::write(&path, "in a new folder").unwrap();
        fs::remove_dir_all(moved).unwrap();
    };
    assert_eq!(after(&mut saves, whole_folder), "in a new folder");
}

#[test]
fn a_save_of_the_same_text_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.c");
    fs::write(&path, OLD).unwrap();
    let (mut saves, stop) = watch(&path);
    replace(&path, OLD);
    fs::write(&path, "").unwrap();
    fs::write(&path, OLD).unwrap();
    fs::write(folder.path().join("other.c"), "other").unwrap();
    assert!(saves.newer().unwrap().is_none());
    drop(stop);
    assert!(saves.wait().unwrap().is_none());
}

#[test]
fn the_latest_of_several_saves_counts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.c");
    fs::write(&path, OLD).unwrap();
    let (mut saves, _stop) = watch(&path);
    for text in ["first", "second", "third"] {
        replace(&path, text);
    }
    assert_eq!(saves.wait().unwrap().unwrap().source.text, "third");
    assert!(saves.newer().unwrap().is_none());
    replace(&path, "fourth");
    assert_eq!(saves.newer().unwrap().unwrap().source.text, "fourth");
}

#[test]
fn a_save_before_the_first_wait_is_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.c");
    fs::write(&path, OLD).unwrap();
    let seen = include::read(&path).unwrap();
    replace(&path, "early");
    let (stopped, _stop) = rustix::pipe::pipe().unwrap();
    let mut saves = Saves::new(&path, seen, stopped).unwrap();
    assert_eq!(saves.wait().unwrap().unwrap().source.text, "early");
}

#[test]
fn included_files_and_links_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    for (version, text) in [(&first, "int one;\n"), (&second, "int two;\n")] {
        fs::create_dir(version).unwrap();
        fs::write(version.join("probe.c"), "#include \"part.h\"\n#include \"late.h\"\n").unwrap();
        fs::write(version.join("part.h"), text).unwrap();
    }
    let current = folder.path().join("current");
    symlink("first", &current).unwrap();
    let path = current.join("probe.c");
    let (mut saves, _stop) = watch(&path);
    let text = after(&mut saves, || replace(&first.join("part.h"), "int changed;\n"));
    assert!(text.contains("int changed;"), "{text}");
    // A file that is included and was not there.
    let text = after(&mut saves, || fs::write(first.join("late.h"), "int late;\n").unwrap());
    assert!(text.contains("int late;"), "{text}");
    let leads_elsewhere = || {
        symlink("second", folder.path().join("next")).unwrap();
        fs::rename(folder.path().join("next"), &current).unwrap();
    };
    let text = after(&mut saves, leads_elsewhere);
    assert!(text.contains("int two;"), "{text}");
    let text = after(&mut saves, || fs::write(second.join("part.h"), "int three;\n").unwrap());
    assert!(text.contains("int three;"), "{text}");
}
