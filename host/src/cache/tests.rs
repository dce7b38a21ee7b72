use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::facts::{Features, Toolchain};
use crate::source::Source;

fn request(text: &str) -> CompileRequest {
    CompileRequest {
        source: Source::from_text("t.c", text),
        functions: Vec::new(),
        tail_calls: Vec::new(),
        defines: Vec::new(),
        features: Features::default(),
        // Any files will do: they are not run.
        toolchain: Toolchain { clang: "/bin/sh".into(), libclang: "/bin/ls".into(), version: 19 },
    }
}

fn compiled(elf: &[u8]) -> Compiled {
    Compiled {
        elf: elf.into(),
        text: "int x;".into(),
        line_map: Default::default(),
        facts: Default::default(),
        warnings: vec![crate::diag::Diagnostic::warning("w", None)],
    }
}

/// A folder that is the user's alone, as a home is.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(cache: &Cache) -> Vec<String> {
    let entries = std::fs::read_dir(&cache.path).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn holds(cache: &Cache, request: &CompileRequest) -> Option<Vec<u8>> {
    cache.get(request).map(|compiled| compiled.elf)
}

#[test]
fn what_was_put_is_got_and_nothing_else() {
    let home = home();
    let cache = Cache::open_in(&home.path().join(".cache")).unwrap();
    let mine = request("int a;");
    assert!(cache.get(&mine).is_none());
    cache.put(&mine, &compiled(b"elf of a")).unwrap();
    let found = cache.get(&mine).unwrap();
    assert_eq!(
        (found.elf.as_slice(), found.text.as_str(), found.warnings.len()),
        (b"elf of a".as_slice(), "int x;", 1)
    );

    // Whatever the object depends on makes another entry.
    assert!(cache.get(&request("int b;")).is_none());
    let mut other = mine.clone();
    other.defines.push(("A".into(), "1".into()));
    assert!(cache.get(&other).is_none());
    let mut other = mine.clone();
    other.features.kprobe = true;
    assert!(cache.get(&other).is_none());
    let mut other = mine.clone();
    other.toolchain.clang = "/bin/cat".into();
    assert!(cache.get(&other).is_none());
    cache.put(&mine, &compiled(b"again")).unwrap();
    assert_eq!(holds(&cache, &mine).unwrap(), b"again");
    assert_eq!(names(&cache).len(), 1);
}

#[test]
fn a_header_beside_the_probe_is_part_of_it() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let mut probe = request("#include \"mine.h\"\n");
    probe.source.dir = Some(home.path().into());
    std::fs::write(home.path().join("mine.h"), "#include \"deep.h\"").unwrap();
    std::fs::write(home.path().join("deep.h"), "int a;").unwrap();
    cache.put(&probe, &compiled(b"1")).unwrap();
    assert!(cache.get(&probe).is_some());
    std::fs::write(home.path().join("deep.h"), "int b;").unwrap();
    assert!(cache.get(&probe).is_none());
}

#[test]
fn a_clang_that_changes_or_goes_away_makes_no_hit() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let mut probe = request("int a;");
    probe.toolchain.clang = home.path().join("clang");
    std::fs::write(&probe.toolchain.clang, "1").unwrap();
    cache.put(&probe, &compiled(b"1")).unwrap();
    assert!(cache.get(&probe).is_some());
    std::fs::write(&probe.toolchain.clang, "22").unwrap();
    assert!(cache.get(&probe).is_none());
    std::fs::remove_file(&probe.toolchain.clang).unwrap();
    assert!(cache.get(&probe).is_none());
    cache.put(&probe, &compiled(b"1")).unwrap();
}

#[test]
fn damaged_and_foreign_entries_are_removed() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let probe = request("int a;");
    let refresh = || {
        cache.put(&probe, &compiled(&[7; 100])).unwrap();
        cache.path.join(&names(&cache)[0])
    };
    let whole = std::fs::read(refresh()).unwrap();
    let gone = |what: &str| {
        assert!(cache.get(&probe).is_none(), "{what}");
        assert_eq!(names(&cache), Vec::<String>::new(), "{what}");
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(refresh(), &bytes).unwrap();
        gone("changed");
        std::fs::write(refresh(), &whole[..at]).unwrap();
        gone("cut");
    }
    std::fs::set_permissions(refresh(), std::fs::Permissions::from_mode(0o666)).unwrap();
    gone("writable by others");
    // A link to a file that would do.
    let entry = refresh();
    let elsewhere = home.path().join("elsewhere");
    std::fs::rename(&entry, &elsewhere).unwrap();
    symlink(&elsewhere, &entry).unwrap();
    gone("a link");
    assert!(elsewhere.exists());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(refresh(), Some(65534), None).unwrap();
        gone("of another user");
    }
}

#[test]
fn old_entries_go_when_all_are_too_many() {
    let home = home();
    let mut cache = Cache::open_in(home.path()).unwrap();
    let probes: Vec<CompileRequest> = (0..6).map(|number| request(&format!("int a{number};"))).collect();
    for (age, probe) in (0..4_u64).rev().zip(&probes) {
        cache.put(probe, &compiled(&[0; 1000])).unwrap();
        let path = cache.path.join(key::of(probe).unwrap());
        let time = SystemTime::now() - std::time::Duration::from_secs(1000 * (age + 1));
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    // The first is used, so the second is the oldest.
    assert!(cache.get(&probes[0]).is_some());
    let size = std::fs::metadata(cache.path.join(&names(&cache)[0])).unwrap().len();
    cache.total = size * 4 + 10;
    cache.put(&probes[4], &compiled(&[0; 1000])).unwrap();
    let held: Vec<bool> = probes.iter().map(|probe| cache.get(probe).is_some()).collect();
    assert_eq!(held, [true, false, true, true, true, false]);
    let error = cache.put(&probes[5], &compiled(&vec![0; usize::try_from(size * 5).unwrap()])).unwrap_err();
    assert!(error.to_string().contains("too large to be kept"), "{error}");
}

#[test]
fn what_was_never_finished_is_removed_when_it_is_old() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    for (name, age) in [(".new-1-0", 7200), (".new-2-0", 10)] {
        let file = File::create(cache.path.join(name)).unwrap();
        file.set_modified(SystemTime::now() - std::time::Duration::from_secs(age)).unwrap();
    }
    cache.put(&request("int a;"), &compiled(b"1")).unwrap();
    let left: Vec<String> = names(&cache).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [".new-2-0"]);
}

#[test]
fn only_a_folder_of_the_users_own_is_used() {
    let check = |prepare: &dyn Fn(&Path), expect: &str| {
        let home = home();
        let base = home.path().join("base");
        std::fs::create_dir(&base).unwrap();
        prepare(&base);
        let error = Cache::open_in(&base).unwrap_err().to_string();
        assert!(error.contains(expect), "{error}");
    };
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    check(&|base| mode(base, 0o777), "can be changed by other users");
    check(
        &|base| {
            std::fs::create_dir(base.join("dbcc")).unwrap();
            mode(&base.join("dbcc"), 0o755);
        },
        "with mode 0700, not to user",
    );
    check(
        &|base| {
            std::fs::create_dir(base.join("real")).unwrap();
            symlink(base.join("real"), base.join("dbcc")).unwrap();
        },
        "cannot open the folder",
    );
    check(&|base| std::fs::write(base.join("dbcc"), "").unwrap(), "cannot open the folder");
    if rustix::process::geteuid().is_root() {
        check(&|base| std::os::unix::fs::chown(base, Some(65534), None).unwrap(), "can be changed by other users");
    }
    let home = home();
    let cache = Cache::open_in(&home.path().join("new")).unwrap();
    assert_eq!(std::fs::metadata(&cache.path).unwrap().permissions().mode() & 0o7777, 0o700);
    assert!(Cache::open_in(&home.path().join("a/b")).unwrap_err().to_string().contains("cannot make the folder"));
}

#[test]
fn indexes_have_a_folder_of_their_own_that_is_the_users_alone() {
    let home = home();
    let cache = Cache::open_in(&home.path().join(".cache")).unwrap();
    let indexes = cache.indexes().unwrap();
    assert_eq!(indexes, cache.path.join(INDEXES));
    assert_eq!(std::fs::metadata(&indexes).unwrap().permissions().mode() & 0o7777, 0o700);
    // What is kept of probes leaves it alone.
    std::fs::write(indexes.join("index"), "i").unwrap();
    let mine = request("int a;");
    cache.put(&mine, &compiled(b"elf")).unwrap();
    assert!(indexes.join("index").exists() && holds(&cache, &mine).is_some());

    std::fs::set_permissions(&indexes, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = cache.indexes().unwrap_err().to_string();
    assert!(error.contains("symbols must belong to user") && error.contains("mode 0755"), "{error}");
    std::fs::remove_dir_all(&indexes).unwrap();
    symlink(home.path(), &indexes).unwrap();
    assert!(cache.indexes().is_err(), "a link may lead to anybody's folder");
}
