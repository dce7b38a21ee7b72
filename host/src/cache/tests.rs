use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

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
        without_tracepoints: Vec::new(),
        // Any files will do: they are not run.
        toolchain: Toolchain { clang: "/bin/sh".into(), libclang: "/bin/ls".into(), version: 19 },
    }
}

fn compiled(elf: &[u8]) -> Compiled {
    Compiled {
        elf: elf.into(),
        text: "int x;".into(),
        file: "probe.c".into(),
        line_map: Default::default(),
        facts: Default::default(),
        warnings: vec![crate::diag::Diagnostic::warning("w", None)],
        lints: vec![crate::facts::Finding {
            lint: "l".into(),
            diagnostic: crate::diag::Diagnostic::warning("l", None),
        }],
        stacks: Vec::new(),
        inputs: Some(Vec::new()),
    }
}

/// A folder that is the user's alone, as a home is.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(cache: &Cache) -> Vec<String> {
    let entries = std::fs::read_dir(cache.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn get(cache: &Cache, request: &CompileRequest) -> Option<Compiled> {
    cache.get(&Key::of(request)?)
}

fn put(cache: &Cache, request: &CompileRequest, compiled: &Compiled) -> Result<(), CacheError> {
    cache.put(&Key::of(request).unwrap(), request, compiled)
}

fn holds(cache: &Cache, request: &CompileRequest) -> Option<Vec<u8>> {
    get(cache, request).map(|compiled| compiled.elf)
}

#[test]
fn what_was_put_is_got_and_nothing_else() {
    let home = home();
    let cache = Cache::open_in(&home.path().join(".cache")).unwrap();
    let mine = request("int a;");
    assert!(get(&cache, &mine).is_none());
    put(&cache, &mine, &compiled(b"elf of a")).unwrap();
    let found = get(&cache, &mine).unwrap();
    assert_eq!(
        (found.elf.as_slice(), found.text.as_str(), found.warnings.len()),
        (b"elf of a".as_slice(), "int x;", 1)
    );

    // Whatever the object depends on makes another entry.
    assert!(get(&cache, &request("int b;")).is_none());
    let mut other = mine.clone();
    other.defines.push(("A".into(), "1".into()));
    assert!(get(&cache, &other).is_none());
    let mut other = mine.clone();
    other.features.kprobe = true;
    assert!(get(&cache, &other).is_none());
    let mut other = mine.clone();
    other.toolchain.clang = "/bin/cat".into();
    assert!(get(&cache, &other).is_none());
    put(&cache, &mine, &compiled(b"again")).unwrap();
    assert_eq!(holds(&cache, &mine).unwrap(), b"again");
    assert_eq!(names(&cache).len(), 1);
}

#[test]
fn where_the_probe_lies_and_how_it_is_called_does_not_matter() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let mine = request("#include <linux/fs.h>\nint a;");
    put(&cache, &mine, &compiled(b"1")).unwrap();
    let mut moved = mine.clone();
    (moved.source.name, moved.source.dir) = ("/elsewhere/other.c".into(), Some("/elsewhere".into()));
    moved.source.parts = vec![crate::source::Part { start: 0, file: "x.h".into(), line: 1 }];
    assert_eq!(holds(&cache, &moved).unwrap(), b"1");
    // Unless clang is told to look there.
    let mut here = request("#define H \"x.h\"\n#include H\n");
    here.source.dir = Some(home.path().into());
    put(&cache, &here, &compiled(b"1")).unwrap();
    assert!(get(&cache, &here).is_some());
    here.source.dir = Some("/".into());
    assert!(get(&cache, &here).is_none());
}

#[test]
fn what_clang_read_must_be_the_same() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let header = home.path().join("mine.h");
    std::fs::write(&header, "int a;").unwrap();
    let (probe, mut made) = (request("int b;"), compiled(b"1"));
    made.inputs = Some(vec![Input::new(&header, b"int a;")]);
    put(&cache, &probe, &made).unwrap();
    assert!(get(&cache, &probe).is_some());
    std::fs::write(&header, "int c;").unwrap();
    assert!(get(&cache, &probe).is_none());
    std::fs::write(&header, "int a;").unwrap();
    assert!(get(&cache, &probe).is_some());
    std::fs::remove_file(&header).unwrap();
    assert!(get(&cache, &probe).is_none());
}

#[test]
fn what_may_mean_something_else_the_next_time_is_not_kept() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let (mut probe, mut made) = (request("int a;"), compiled(b"1"));
    made.inputs = None;
    assert!(matches!(put(&cache, &probe, &made), Err(CacheError::Unsettled)));
    // A clang that became another one while it compiled.
    probe.toolchain.clang = home.path().join("clang");
    std::fs::write(&probe.toolchain.clang, "1").unwrap();
    let before = Key::of(&probe).unwrap();
    std::fs::write(&probe.toolchain.clang, "22").unwrap();
    assert!(matches!(cache.put(&before, &probe, &compiled(b"1")), Err(CacheError::Unsettled)));
    assert_eq!(names(&cache), Vec::<String>::new());
}

#[test]
fn a_clang_that_changes_or_goes_away_makes_no_hit() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let mut probe = request("int a;");
    probe.toolchain.clang = home.path().join("clang");
    std::fs::write(&probe.toolchain.clang, "1").unwrap();
    put(&cache, &probe, &compiled(b"1")).unwrap();
    assert!(get(&cache, &probe).is_some());
    std::fs::write(&probe.toolchain.clang, "22").unwrap();
    assert!(get(&cache, &probe).is_none());
    std::fs::remove_file(&probe.toolchain.clang).unwrap();
    assert_eq!(Key::of(&probe), None);
}

#[test]
fn the_libraries_of_the_compiler_count() {
    let home = home();
    let mut probe = request("int a;");
    probe.toolchain.libclang = home.path().join("libclang-19.so.1");
    std::fs::write(&probe.toolchain.libclang, "1").unwrap();
    let mut before = Key::of(&probe).unwrap();
    for library in ["libLLVM.so.19.1", "libLLVM-19.so", "libclang-cpp.so.19.1"] {
        std::fs::write(home.path().join(library), "1").unwrap();
        let now = Key::of(&probe).unwrap();
        assert_ne!(now, before, "{library}");
        before = now;
    }
    std::fs::write(home.path().join("libLLVM-18.so"), "1").unwrap();
    assert_eq!(Key::of(&probe).unwrap(), before);
}

#[test]
fn damaged_and_foreign_entries_are_removed() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let probe = request("int a;");
    let refresh = || {
        put(&cache, &probe, &compiled(&[7; 100])).unwrap();
        cache.path().join(&names(&cache)[0])
    };
    let whole = std::fs::read(refresh()).unwrap();
    let gone = |what: &str| {
        assert!(get(&cache, &probe).is_none(), "{what}");
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
        put(&cache, probe, &compiled(&[0; 1000])).unwrap();
        let path = cache.path().join(Key::of(probe).unwrap().name());
        let time = SystemTime::now() - Duration::from_secs(1000 * (age + 1));
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    // The first is used, so the second is the oldest.
    assert!(get(&cache, &probes[0]).is_some());
    let size = std::fs::metadata(cache.path().join(&names(&cache)[0])).unwrap().len();
    cache.most = size * 4 + 10;
    put(&cache, &probes[4], &compiled(&[0; 1000])).unwrap();
    let held: Vec<bool> = probes.iter().map(|probe| get(&cache, probe).is_some()).collect();
    assert_eq!(held, [true, false, true, true, true, false]);
    let error = put(&cache, &probes[5], &compiled(&vec![0; usize::try_from(size * 5).unwrap()])).unwrap_err();
    assert!(error.to_string().contains("too large to be kept"), "{error}");
}

/// Makes a file that was used so many seconds ago.
fn file(path: &Path, bytes: usize, age: u64) {
    let file = File::create(path).unwrap();
    (&file).write_all(&vec![0; bytes]).unwrap();
    let used = SystemTime::now() - Duration::from_secs(age);
    file.set_times(std::fs::FileTimes::new().set_modified(used).set_accessed(used)).unwrap();
}

#[test]
fn what_was_never_finished_is_removed_when_it_is_old_and_counts_until_then() {
    let home = home();
    let mut cache = Cache::open_in(home.path()).unwrap();
    let (old, new) = (request("int a;"), request("int b;"));
    put(&cache, &old, &compiled(b"1")).unwrap();
    let entry = cache.path().join(&names(&cache)[0]);
    file(&cache.path().join(".new-1-0"), 1000, 7200);
    file(&cache.path().join(".new-2-0"), 1000, 10);
    File::options()
        .write(true)
        .open(&entry)
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    cache.most = 1000 + std::fs::metadata(&entry).unwrap().len();
    put(&cache, &new, &compiled(b"2")).unwrap();
    let left: Vec<String> = names(&cache).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [".new-2-0"]);
    assert!(get(&cache, &old).is_none() && get(&cache, &new).is_some());
}

#[test]
fn each_shelf_has_a_bound_and_keeps_what_was_used_last() {
    let home = home();
    let folder = Folder::base(home.path()).unwrap();
    for (name, age) in [("a", 30), ("b", 10), ("c", 20)] {
        file(&home.path().join(name), 100, age);
        let nested = home.path().join(format!("id-{name}"));
        std::fs::create_dir(&nested).unwrap();
        file(&nested.join("debuginfo"), 100, age);
    }
    // What others keep in a folder of a debug file stays.
    file(&home.path().join("id-c/source"), 0, 5);
    let left = |nested| {
        let mut names: Vec<String> =
            folder.files(nested).unwrap().iter().map(|file| file.name.to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    folder.trim(false, 150).unwrap();
    assert_eq!(left(false), ["b"]);
    folder.trim(true, 150).unwrap();
    assert_eq!(left(true), ["id-b/debuginfo", "id-c/source"]);
    assert!(!home.path().join("id-a").exists());
}

#[test]
fn what_is_kept_is_told_and_cleared_by_kind() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let names = |contents: &Contents| -> Vec<(&str, Vec<Option<String>>)> {
        let names = |shelf: &ShelfContents| shelf.files.iter().map(|file| file.name.clone()).collect();
        contents.shelves.iter().map(|shelf| (shelf.shelf.name(), names(shelf))).collect()
    };
    let nothing = [("probes", vec![]), ("symbols", vec![]), ("debuginfod", vec![])];
    assert_eq!(names(&cache.contents().unwrap()), nothing);

    let mut probe = request("int a;");
    (probe.source.name, probe.source.dir) = ("p/my.c".into(), Some("/probes/p".into()));
    put(&cache, &probe, &compiled(b"1")).unwrap();
    file(&cache.path().join("0123"), 5, 100);
    file(&cache.shelf(Shelf::Indexes).unwrap().join("abcd-00112233.index"), 7, 1);
    let debug_files = cache.shelf(Shelf::DebugFiles).unwrap();
    std::fs::create_dir(debug_files.join("ef01")).unwrap();
    file(&debug_files.join("ef01/debuginfo"), 9, 1);
    let contents = cache.contents().unwrap();
    assert_eq!(contents.folder, cache.path());
    let some = |name: &str| Some(name.to_owned());
    let all = [
        ("probes", vec![some("/probes/p/my.c"), None]),
        ("symbols", vec![some("abcd")]),
        ("debuginfod", vec![some("ef01")]),
    ];
    assert_eq!(names(&contents), all);
    assert_eq!(contents.shelves[1].bytes(), 7);

    assert_eq!(cache.clear(Shelf::DebugFiles).unwrap().bytes(), 9);
    assert!(get(&cache, &probe).is_some() && !debug_files.join("ef01").exists());
    assert_eq!(cache.clear(Shelf::Probes).unwrap().files.len(), 2);
    assert!(get(&cache, &probe).is_none());
    cache.clear(Shelf::Indexes).unwrap();
    assert_eq!(names(&cache.contents().unwrap()), nothing);
}

#[test]
fn a_compiler_says_its_version_once() {
    use crate::toolchain::Versions as _;
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let clang = home.path().join("clang");
    std::fs::write(&clang, "1").unwrap();
    assert_eq!(cache.known(&clang), None);
    cache.learn(&clang, 19);
    assert_eq!(cache.known(&clang), Some(19));
    assert_eq!(cache.contents().unwrap().shelves[0].files[0].name.as_deref(), Some("the version of a compiler"));
    std::fs::write(&clang, "22").unwrap();
    assert_eq!(cache.known(&clang), None);
    std::fs::remove_file(&clang).unwrap();
    cache.learn(&clang, 19);
    assert_eq!((cache.known(&clang), names(&cache).len()), (None, 1));
}

#[test]
fn many_writers_and_readers_see_whole_entries() {
    let home = home();
    let cache = Cache::open_in(home.path()).unwrap();
    let probes: Vec<CompileRequest> = (0..3).map(|number| request(&format!("int a{number};"))).collect();
    std::thread::scope(|scope| {
        for worker in 0..8_u8 {
            let (cache, probes) = (&cache, &probes);
            scope.spawn(move || {
                for round in 0..30 {
                    for (which, probe) in (0_u8..).zip(probes) {
                        // As long as it is of this probe, whoever wrote it.
                        let made = compiled(&vec![which; 1000 * usize::from(worker + 1)]);
                        put(cache, probe, &made).unwrap();
                        let found = holds(cache, probe).unwrap_or_else(|| panic!("round {round}"));
                        assert!(found.len() >= 1000 && found.iter().all(|byte| *byte == which));
                    }
                }
            });
        }
    });
    assert_eq!(names(&cache).len(), 3, "{:?}", names(&cache));
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
    assert_eq!(std::fs::metadata(cache.path()).unwrap().permissions().mode() & 0o7777, 0o700);
    assert!(Cache::open_in(&home.path().join("a/b")).unwrap_err().to_string().contains("cannot make the folder"));
}

#[test]
fn indexes_have_a_folder_of_their_own_that_is_the_users_alone() {
    let home = home();
    let cache = Cache::open_in(&home.path().join(".cache")).unwrap();
    let indexes = cache.shelf(Shelf::Indexes).unwrap();
    assert_eq!(indexes, cache.path().join("symbols"));
    assert_eq!(std::fs::metadata(&indexes).unwrap().permissions().mode() & 0o7777, 0o700);
    // What is kept of probes leaves it alone.
    std::fs::write(indexes.join("index"), "i").unwrap();
    let mine = request("int a;");
    put(&cache, &mine, &compiled(b"elf")).unwrap();
    assert!(indexes.join("index").exists() && holds(&cache, &mine).is_some());

    std::fs::set_permissions(&indexes, std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = cache.shelf(Shelf::Indexes).unwrap_err().to_string();
    assert!(error.contains("symbols must belong to user") && error.contains("mode 0755"), "{error}");
    std::fs::remove_dir_all(&indexes).unwrap();
    symlink(home.path(), &indexes).unwrap();
    assert!(cache.shelf(Shelf::Indexes).is_err(), "a link may lead to anybody's folder");
}
