//! The choice of places, on hand-made functions.

use symres::{ByteSpan, Caller, FileOffset, Inlined, SourceLine, Table, VirtAddr};

use super::*;

const SHOWN: &str = "server";

fn place(at: u64, size: u64, kind: PlaceKind) -> Place {
    Place {
        addr: VirtAddr(0x1000 + at),
        offset: FileOffset(at),
        size: ByteSpan(size),
        kind,
        entry: Vec::new(),
        arguments: Vec::new(),
    }
}

fn body(at: u64) -> Place {
    place(at, 0x20, PlaceKind::Body)
}

fn copy(at: u64, into: &[&str]) -> Place {
    let callers = into.iter().map(|name| Caller { name: (*name).to_owned(), line: None }).collect();
    place(at, 0x8, PlaceKind::Inlined(Inlined { callers }))
}

fn function(name: &str, mangled: &str, role: Role, places: Vec<Place>) -> Function {
    Function {
        name: name.to_owned(),
        mangled: mangled.to_owned(),
        tables: vec![Table::Symtab],
        role,
        aliases: Vec::new(),
        signature: None,
        declared: None,
        places,
    }
}

fn at(line: u32, function: Function) -> Function {
    Function { declared: Some(SourceLine { file: "a.cc".to_owned(), line }), ..function }
}

fn whole(name: &str, places: Vec<Place>) -> Function {
    function(name, name, Role::Whole, places)
}

fn offsets(matches: &[Function], returns: bool) -> Vec<u64> {
    let chosen = choose("f", SHOWN, matches, returns).unwrap_or_else(|miss| panic!("{}", miss.message));
    chosen.places.iter().map(|place| place.offset).collect()
}

fn miss(matches: &[Function], returns: bool) -> Miss {
    choose("f", SHOWN, matches, returns).err().unwrap()
}

#[test]
fn a_body_and_all_inlined_copies_are_places_of_one_function() {
    let f = [whole("f", vec![body(0x100), copy(0x300, &["g"]), copy(0x200, &["h", "main"])])];
    let chosen = choose("f", SHOWN, &f, false).ok().unwrap();
    let shown: Vec<String> = chosen.places.iter().map(UserPlace::to_string).collect();
    assert_eq!(shown, ["+0x100", "(inlined into h) +0x200", "(inlined into g) +0x300"]);
    assert_eq!((chosen.function.as_str(), chosen.warnings.len()), ("f", 0));
}

#[test]
fn copies_that_begin_at_one_instruction_are_one_place() {
    let f = [whole("f", vec![copy(0x200, &["g"]), copy(0x200, &["g", "h"]), copy(0x208, &["g"])])];
    assert_eq!(offsets(&f, false), [0x200, 0x208]);
    let f = [whole("f", vec![body(0x100), copy(0x100, &["f"])])];
    let chosen = choose("f", SHOWN, &f, false).ok().unwrap();
    assert_eq!(chosen.places, [UserPlace::entry(0x100)], "the entry is what it is called");
}

#[test]
fn an_inlined_copy_has_no_return() {
    let f = [whole("f", vec![body(0x100), copy(0x200, &["g"]), copy(0x300, &["h"])])];
    let chosen = choose("f", SHOWN, &f, true).ok().unwrap();
    assert_eq!(chosen.places, [UserPlace::entry(0x100)]);
    assert_eq!(
        chosen.warnings,
        ["returns of `f` are seen of the function itself only: 2 inlined copies have no return"]
    );
    let f = [whole("f", vec![copy(0x200, &["inner", "g(int)"]), copy(0x300, &["h"]), copy(0x400, &["h"])])];
    let miss = miss(&f, true);
    assert_eq!(miss.message, "`f` of `server` is inlined everywhere (3 copies), and an inlined copy has no return");
    assert_eq!(
        miss.help.as_deref(),
        Some("use a uretprobe on what it is inlined into: `g(int)`, `h`; or a uprobe"),
        "the functions that hold the copies"
    );
}

#[test]
fn different_functions_are_never_silently_one() {
    let two = [whole("f(int)", vec![body(0x100)]), whole("f(char)", vec![body(0x200)])];
    let miss = miss(&two, false);
    assert_eq!(miss.message, "`f` is the name of 2 functions of `server`");
    assert_eq!(miss.notes, ["f(int)", "f(char)"]);
    let two = [at(1, whole("f", vec![body(0x100)])), at(9, whole("f", vec![body(0x200)]))];
    let miss = self::miss(&two, false);
    assert_eq!(miss.notes, ["f at 0x1100, a.cc:1", "f at 0x1200, a.cc:9"], "how to tell them apart");
    assert!(miss.help.unwrap().contains("address"));
}

#[test]
fn one_declaration_in_several_units_is_one_function() {
    let two = [at(1, whole("f", vec![body(0x100)])), at(1, whole("f", vec![body(0x200)]))];
    assert_eq!(offsets(&two, false), [0x100, 0x200]);
}

#[test]
fn copies_of_the_compiler_belong_to_their_function_and_pieces_do_not_count() {
    let clones = [
        whole("f", vec![body(0x100)]),
        function("f [clone .constprop.0]", "f.constprop.0", Role::Copy, vec![body(0x200)]),
        function("f [clone .cold]", "f.cold", Role::Piece, vec![body(0x300)]),
    ];
    assert_eq!(offsets(&clones, false), [0x100, 0x200]);
    assert_eq!(offsets(&clones, true), [0x100, 0x200], "each has returns");
    let only = [function("f [clone .cold]", "f.cold", Role::Piece, vec![body(0x300)])];
    assert_eq!(offsets(&only, false), [0x300], "a piece that was named is meant");
}

#[test]
fn a_copy_of_one_of_two_functions_is_no_third() {
    let clones = [
        at(1, whole("f", vec![body(0x100)])),
        at(9, whole("f", vec![body(0x200)])),
        at(9, function("f [clone .isra.0]", "f.isra.0", Role::Copy, vec![body(0x300)])),
    ];
    assert_eq!(miss(&clones, false).message, "`f` is the name of 2 functions of `server`");
}

#[test]
fn names_of_go_are_not_copies() {
    let two = [whole("main.f", vec![body(0x100)]), whole("main.g", vec![body(0x200)])];
    assert_eq!(miss(&two, false).notes.len(), 2);
}

#[test]
fn variants_of_a_constructor_are_one_function() {
    let constructor =
        |variant: &str, at| function("A::A(int)", &format!("_ZN1A{variant}Ei"), Role::Whole, vec![body(at)]);
    assert_eq!(offsets(&[constructor("C1", 0x100), constructor("C2", 0x200)], false), [0x100, 0x200]);
    let mut whole_object = constructor("C1", 0x100);
    whole_object.places.push(copy(0x108, &["A::A(int)"]));
    assert_eq!(
        offsets(&[whole_object, constructor("C2", 0x200)], false),
        [0x100, 0x200],
        "a copy in another variant is no call of its own"
    );
}

#[test]
fn a_deleting_destructor_hands_on_to_the_complete_one() {
    let destructor = |variant: &str, at| function("A::~A()", &format!("_ZN1A{variant}Ev"), Role::Whole, vec![body(at)]);
    assert_eq!(offsets(&[destructor("D0", 0x100), destructor("D1", 0x200)], false), [0x200]);
    assert_eq!(offsets(&[destructor("D0", 0x100)], false), [0x100]);
    let mut deleting = destructor("D0", 0x100);
    deleting.places.push(copy(0x108, &["A::~A()"]));
    assert_eq!(offsets(&[deleting.clone()], false), [0x108], "or holds a copy of it");
    assert_eq!(offsets(&[deleting, destructor("D1", 0x200)], false), [0x108, 0x200]);
}

#[test]
fn code_that_is_gone_is_said_to_be() {
    let miss = miss(&[whole("f", Vec::new())], false);
    assert_eq!(miss.message, "the debug information of `server` knows `f`, but no code of it is left");
    assert!(miss.help.is_some());
}

#[test]
fn a_pattern_stands_for_inlined_copies_too() {
    let functions = [
        whole("f", vec![body(0x100), copy(0x200, &["g"])]),
        function("g", "g", Role::Thunk, vec![body(0x300)]),
        whole("h", vec![body(0x200)]),
    ];
    let places = |returns| {
        let places = of_pattern(functions.iter(), returns);
        places.into_iter().map(|(_, offset)| offset).collect::<Vec<_>>()
    };
    assert_eq!(places(false), [0x100, 0x200]);
    assert_eq!(places(true), [0x100, 0x200]);
}
