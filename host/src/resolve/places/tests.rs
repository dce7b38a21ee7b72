//! The choice of places, on hand-made functions.

use symres::{
    Argument, ByteSpan, Caller, FileOffset, Inlined, KnownBy, Location, Origin, Parameter, Register, Signature,
    SourceLine, Table, Type, TypeClass, VirtAddr,
};

use super::*;
use crate::facts::RegisterReads;

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

fn purpose(returns: bool) -> Purpose {
    Purpose { returns, reads: RegisterReads::default(), machine: Machine::X86_64 }
}

fn reading(arguments: u8) -> Purpose {
    Purpose { reads: RegisterReads { arguments, ..RegisterReads::default() }, ..purpose(false) }
}

fn offsets(matches: &[Function], returns: bool) -> Vec<u64> {
    let chosen = choose("f", SHOWN, matches, purpose(returns)).unwrap_or_else(|miss| panic!("{}", miss.message));
    chosen.places.iter().map(|place| place.offset).collect()
}

fn miss(matches: &[Function], returns: bool) -> Miss {
    choose("f", SHOWN, matches, purpose(returns)).err().unwrap()
}

#[test]
fn a_body_and_all_inlined_copies_are_places_of_one_function() {
    let f = [whole("f", vec![body(0x100), copy(0x300, &["g"]), copy(0x200, &["h", "main"])])];
    let chosen = choose("f", SHOWN, &f, purpose(false)).ok().unwrap();
    let shown: Vec<String> = chosen.places.iter().map(UserPlace::to_string).collect();
    assert_eq!(shown, ["+0x100", "(inlined into h) +0x200", "(inlined into g) +0x300"]);
    assert_eq!((chosen.function.as_str(), chosen.warnings.len()), ("f", 0));
}

#[test]
fn copies_that_begin_at_one_instruction_are_one_place() {
    let f = [whole("f", vec![copy(0x200, &["g"]), copy(0x200, &["g", "h"]), copy(0x208, &["g"])])];
    assert_eq!(offsets(&f, false), [0x200, 0x208]);
    let f = [whole("f", vec![body(0x100), copy(0x100, &["f"])])];
    let chosen = choose("f", SHOWN, &f, purpose(false)).ok().unwrap();
    assert_eq!(chosen.places, [UserPlace::entry(0x100)], "the entry is what it is called");
}

#[test]
fn an_inlined_copy_has_no_return() {
    let f = [whole("f", vec![body(0x100), copy(0x200, &["g"]), copy(0x300, &["h"])])];
    let chosen = choose("f", SHOWN, &f, purpose(true)).ok().unwrap();
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
        let (places, _) = of_pattern(functions.iter(), purpose(returns));
        places.into_iter().map(|(_, offset)| offset).collect::<Vec<_>>()
    };
    assert_eq!(places(false), [0x100, 0x200]);
    assert_eq!(places(true), [0x100, 0x200]);
}

const RDI: Location = Location::Register(Register(5));
const RSI: Location = Location::Register(Register(4));
const RBX: Location = Location::Register(Register(3));

/// A function of two parameters, and copies with each of them somewhere.
fn with_arguments(has_body: bool, copies: &[(u64, [Location; 2])]) -> Function {
    let ty = || Type { text: "THD*".to_owned(), size: Some(8), class: TypeClass::Pointer };
    let parameter = |name: &str, passed_in: Location| Parameter {
        name: Some(name.to_owned()),
        ty: ty(),
        artificial: false,
        passed_in: Some(passed_in),
    };
    let signature = Signature {
        parameters: vec![parameter("thd", RDI), parameter("packet", RSI)],
        returns: None,
        returns_in: None,
        variadic: false,
        origin: Origin::DebugInfo,
    };
    let copies = copies.iter().map(|(at, locations)| {
        let known = |location: &Location| Argument { location: location.clone(), known_by: KnownBy::DebugInfo };
        Place { arguments: locations.iter().map(known).collect(), ..copy(*at, &["login"]) }
    });
    let places = has_body.then(|| body(0x100)).into_iter().chain(copies).collect();
    Function { signature: Some(signature), ..whole("f", places) }
}

#[test]
fn a_program_goes_where_it_finds_the_arguments_that_it_reads() {
    let copies = [(0x200, [RDI, RBX]), (0x300, [RBX, RSI]), (0x400, [Location::OptimizedOut, Location::Constant(7)])];
    let f = [with_arguments(true, &copies)];
    let offsets = |purpose| {
        let chosen = choose("f", SHOWN, &f, purpose).ok().unwrap();
        (chosen.places.iter().map(|place| place.offset).collect::<Vec<_>>(), chosen.warnings)
    };
    assert_eq!(offsets(reading(0)), (vec![0x100, 0x200, 0x300, 0x400], vec![]), "nothing is read");
    let (first, warnings) = offsets(reading(1));
    assert_eq!(first, [0x100, 0x200]);
    assert_eq!(
        warnings,
        ["2 copies of `f` are left out, where the program does not find what it reads: \
          0x1300 in login (`thd` is in rbx), 0x1400 in login (`thd` is optimised out)"]
    );
    let (second, warnings) = offsets(reading(2));
    assert_eq!(second, [0x100, 0x300]);
    assert!(warnings.concat().contains("0x1400 in login (`packet` is always 7)"), "{warnings:?}");
    assert_eq!(offsets(reading(3)).0, [0x100], "both are nowhere in their registers");
    assert_eq!(offsets(reading(4)).0.len(), 4, "it has no third argument, wherever it is probed");
}

#[test]
fn where_no_copy_has_the_arguments_the_error_says_where_they_are() {
    let f = [with_arguments(false, &[(0x200, [RBX, RSI])])];
    let miss = choose("f", SHOWN, &f, reading(1)).err().unwrap();
    assert_eq!(
        miss.message,
        "`f` of `server` is inlined everywhere (1 copy), and the program does not find what it reads there"
    );
    assert_eq!(miss.notes, ["0x1200 in login (`thd` is in rbx)"]);
    assert!(
        miss.help.as_ref().is_some_and(|help| help.contains("(`login`)") && help.contains("0x1200")),
        "{:?}",
        miss.help
    );
}

#[test]
fn what_cannot_be_known_is_not_assumed() {
    let f = [with_arguments(true, &[(0x200, [RDI, RSI])])];
    let left = |reads| {
        let chosen = choose("f", SHOWN, &f, Purpose { reads, ..purpose(false) }).ok().unwrap();
        (chosen.places.len(), chosen.warnings.concat())
    };
    let (places, warning) = left(RegisterReads::EVERYTHING);
    assert!(places == 1 && warning.contains("cannot be followed"), "{warning}");
    let (places, warning) = left(RegisterReads { sp: true, ..RegisterReads::default() });
    assert!(places == 1 && warning.contains("no return address"), "{warning}");
    assert_eq!(left(RegisterReads { ip: true, stack: true, ..RegisterReads::default() }).0, 2);
    // Nothing is known of its parameters.
    let bare = [whole("f", vec![body(0x100), copy(0x200, &["g"])])];
    let chosen = choose("f", SHOWN, &bare, reading(1)).ok().unwrap();
    assert_eq!(chosen.places, [UserPlace::entry(0x100)]);
    assert!(chosen.warnings.concat().contains("nothing tells where argument 1 is"));
}

#[test]
fn a_copy_of_the_body_is_as_good_as_its_arguments_are_in_place() {
    let mut copy = Function { role: Role::Copy, mangled: "f.isra.0".to_owned(), ..with_arguments(false, &[]) };
    let known = |location| Argument { location, known_by: KnownBy::DebugInfo };
    copy.places = vec![Place { arguments: vec![known(RSI), known(RDI)], ..body(0x200) }];
    let both = [whole("f", vec![body(0x100)]), copy];
    let places = |purpose| choose("f", SHOWN, &both, purpose).ok().unwrap();
    assert_eq!(places(reading(0)).places.len(), 2);
    let chosen = places(reading(1));
    assert_eq!(chosen.places, [UserPlace::entry(0x100)]);
    assert!(chosen.warnings.concat().contains("0x1200 (`thd` is in rsi)"), "{:?}", chosen.warnings);
}

#[test]
fn what_a_pattern_leaves_out_is_counted() {
    let functions = [with_arguments(true, &[(0x200, [RDI, RSI]), (0x300, [RBX, RSI])])];
    let (places, left_out) = of_pattern(functions.iter(), reading(1));
    assert_eq!((places.len(), left_out), (2, 1));
}
