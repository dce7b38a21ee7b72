use super::*;
use crate::bpf::testing;
use crate::kernel::Kernel;
use crate::load;

/// What changes between two texts: the lines of the plan. The first text's maps are made.
fn check(old: &str, new: &str, expect: &[&str]) {
    if !testing::ready() {
        return;
    }
    let [old, new] = [old, new].map(|text| testing::compiled(testing::compile(text), Vec::new(), &[]));
    let loaded = load::load(&old, [], &Kernel::new(), &load::Settings::default()).unwrap();
    let plan = plan(loaded.maps(), &old, &new).unwrap();
    let carried = plan.carried.iter().map(|(name, _)| format!("{} carried", plain(name)));
    let reset = plan.reset.iter().map(|reset| format!("{}: {}", reset.map, reset.why));
    let gone = plan.gone.iter().map(|name| format!("{name} gone"));
    // The map that all these objects have.
    let lines: Vec<String> = carried.chain(reset).chain(gone).filter(|line| line != "counts carried").collect();
    assert_eq!(lines, expect);
}

/// A map of a type, by its number, with a value.
fn map(map_type: u32, declarations: &str, value: &str) -> String {
    format!(
        "{declarations}\nstruct {{ __uint(type, {map_type}); __uint(max_entries, 64); __type(key, __u32); \
         __type(value, {value}); }} m SEC(\".maps\");"
    )
}

const HASH: u32 = 1;

fn check_value(old: (&str, &str), new: (&str, &str), expect: &[&str]) {
    check(&map(HASH, old.0, old.1), &map(HASH, new.0, new.1), expect);
}

#[test]
fn a_value_that_means_the_same_is_carried_over() {
    let carried = &["m carried"];
    check_value(("", "__u64"), ("typedef unsigned long long count_t;", "count_t"), carried);
    check_value(
        ("struct a { int x; char c[4]; };", "struct a"),
        ("struct b { int x; char c[4]; };", "struct b"),
        carried,
    );
    let anonymous = "struct a { struct { int x; int y; }; };";
    check_value(("struct a { int x; int y; };", "struct a"), (anonymous, "struct a"), carried);
    check_value(("enum e { A, B };", "enum e"), ("enum e { A, B, C };", "enum e"), carried);
    check_value(("struct p { int *x; };", "struct p"), ("struct p { long *x; };", "struct p"), carried);
}

#[test]
fn a_value_that_changed_is_reset_and_the_change_is_told() {
    let of = |fields: &str| format!("struct v {{ {fields} }};");
    let check = |old: &str, new: &str, expect: &str| {
        check_value((&of(old), "struct v"), (&of(new), "struct v"), &[&format!("m: {expect}")]);
    };
    check("__u64 n;", "__u64 n; __u64 max;", "value grew from 8 to 16 bytes (field `max` added)");
    check("__u64 n; __u64 max;", "__u64 n;", "value shrank from 16 to 8 bytes (field `max` removed)");
    check("int a; int b;", "int b; int a;", "value changed (field `b` moved, field `a` moved)");
    check("int a;", "unsigned a;", "value changed (field `a` is `unsigned int` now, and was `int`)");
    check("int a;", "int b;", "value changed (field `a` removed, field `b` added)");
    check("char c[8];", "char c[16];", "value grew from 8 to 16 bytes (field `c` has 16 elements now, and had 8)");
    check(
        "struct { int x; } in;",
        "struct { float x; } in;",
        "value changed (field `in.x` is `float` now, and was `int`)",
    );
    check("int a : 3; int b : 5;", "int a : 4; int b : 4;", "value changed (field `a` moved, field `b` moved)");
    check_value(
        ("enum e { A, B };", "enum e"),
        ("enum e { B, A };", "enum e"),
        &["m: value changed (`B` of it has another number)"],
    );
    check_value(
        ("", "__u64"),
        ("", "__u32"),
        &["m: value shrank from 8 to 4 bytes (it is `__u32` now, and was `__u64`)"],
    );
    check_value(("", "__u64"), ("", "__s64"), &["m: value changed (it is `__s64` now, and was `__u64`)"]);
}

#[test]
fn maps_of_another_kind_or_size_are_reset() {
    let one = map(HASH, "", "__u64");
    check(&one, &map(2, "", "__u64"), &["m: its type is array now, and was hash"]);
    check(
        &one,
        &one.replace("max_entries, 64)", "max_entries, 128)"),
        &["m: it has room for 128 entries now, and had for 64"],
    );
    check(
        &one,
        &one.replace("__type(key", "__uint(map_flags, 1); __type(key"),
        &["m: its flags are 0x1 now, and were 0x0"],
    );
    check(&one, "", &["m gone"]);
    check("", &one, &[]);
    // LRU and per-CPU maps are as others are; events and programs belong to a version.
    for kept in [2, 5, 6, 9, 10] {
        check(&map(kept, "", "__u64"), &map(kept, "", "__u64"), &["m carried"]);
    }
    let ring = "struct { __uint(type, 27); __uint(max_entries, 4096); } m SEC(\".maps\");";
    check(ring, ring, &[]);
    check(&map(3, "", "__u32"), &map(3, "", "__u32"), &[]);
}

#[test]
fn global_variables_are_carried_over_whole() {
    let one = "int hits; long limit = 5; const volatile int constant = 1;";
    check(one, one, &[".data carried", ".bss carried"]);
    check(one, &one.replace("= 1", "= 2"), &[".data carried", ".bss carried"]);
    check(one, &one.replace("= 5", "= 6"), &[".bss carried", ".data: a variable starts with another value"]);
    check(one, &one.replace("int hits;", "int hits; int more;"), &[".data carried", ".bss: variable `more` added"]);
    check(
        one,
        &one.replace("int hits", "unsigned hits"),
        &[".data carried", ".bss: variable `hits` changed (it is `unsigned int` now, and was `int`)"],
    );
    check(one, &one.replace("int hits;", ""), &[".data carried"]);
}
