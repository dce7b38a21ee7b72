//! The layout of the table, on hand-made functions.

use symres::{
    Alias, ByteSpan, FileOffset, Inlined, KnownBy, Location, Origin, Parameter, Register, SourceLine, Table, Type,
    TypeClass, VirtAddr,
};

use super::*;

fn line(file: &str, line: u32) -> SourceLine {
    SourceLine { file: file.to_owned(), line }
}

fn place(addr: u64, size: u64, kind: PlaceKind, arguments: Vec<Location>) -> Place {
    let known = |location| Argument { location, known_by: KnownBy::DebugInfo };
    Place {
        addr: VirtAddr(addr),
        offset: FileOffset(addr - 0x40_0000),
        size: ByteSpan(size),
        kind,
        entry: Vec::new(),
        arguments: arguments.into_iter().map(known).collect(),
    }
}

fn copy(addr: u64, size: u64, callers: &[(&str, u32)], arguments: Vec<Location>) -> Place {
    let caller = |(name, number): &(&str, u32)| Caller {
        name: (*name).to_owned(),
        line: Some(line("/export/home/build/mysql-5.6.24/sql/sql_connect.cc", *number)),
    };
    let callers = callers.iter().map(caller).collect();
    place(addr, size, PlaceKind::Inlined(Inlined { callers }), arguments)
}

fn parameter(name: Option<&str>, text: &str) -> Parameter {
    let ty = Type { text: text.to_owned(), size: Some(8), class: TypeClass::Pointer };
    Parameter { name: name.map(str::to_owned), ty, artificial: false, passed_in: None }
}

pub(in crate::symbols) fn function(name: &str, mangled: &str, tables: &[Table], places: Vec<Place>) -> Function {
    Function {
        name: name.to_owned(),
        mangled: mangled.to_owned(),
        tables: tables.to_vec(),
        role: Role::Whole,
        aliases: Vec::new(),
        signature: None,
        declared: None,
        places,
    }
}

fn check_connection() -> Function {
    let register = |number| Location::Register(Register(number));
    let places = vec![
        copy(0x6c_37d3, 1183, &[("login_connection(THD*)", 752)], vec![register(3), Location::OptimizedOut]),
        copy(0x6c_4000, 90, &[("login_connection(THD*)", 752), ("handle(THD*)", 9)], vec![register(5), register(4)]),
    ];
    let signature = Signature {
        parameters: vec![parameter(Some("thd"), "THD*"), parameter(None, "NET_SERVER const*")],
        returns: Some(Type { text: "int".to_owned(), size: Some(4), class: TypeClass::Signed }),
        returns_in: Some(Location::Register(Register(0))),
        variadic: false,
        origin: Origin::DebugInfo,
    };
    Function {
        signature: Some(signature),
        declared: Some(line("/export/home/build/mysql-5.6.24/sql/sql_connect.cc", 478)),
        ..function("check_connection(THD*)", "_ZL16check_connectionP3THD", &[Table::Symtab], places)
    }
}

fn shown(functions: &[Function], details: Details, width: Option<usize>) -> String {
    let mut out = Vec::new();
    write(Machine::X86_64, functions, details, &|_| Vec::new(), &mut Sink::new(&mut out, width)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn inlined_copies_stand_under_their_function() {
    let body = function(
        "login_connection(THD*)",
        "_Z16login_connectionP3THD",
        &[Table::Symtab, Table::Dynsym],
        vec![place(0x6c_37a0, 12_345, PlaceKind::Body, Vec::new())],
    );
    insta::assert_snapshot!(shown(&[body, check_connection()], Details::default(), None), @r#"
        ADDRESS   OFFSET     SIZE  TABLE          FUNCTION
        0x6c37a0  0x2c37a0  12345  symtab,dynsym  login_connection(THD*)
                                                  _Z16login_connectionP3THD
        -         -             -  symtab         check_connection(THD*)
                                                  _ZL16check_connectionP3THD
                                                  declared at sql/sql_connect.cc:478
        0x6c37d3  0x2c37d3   1183                   inlined into login_connection(THD*) at sql/sql_connect.cc:752
        0x6c4000  0x2c4000     90                   inlined into login_connection(THD*) at sql/sql_connect.cc:752, itself into handle(THD*) at sql/sql_connect.cc:9
        "#);
}

#[test]
fn arguments_are_shown_for_each_place() {
    insta::assert_snapshot!(shown(&[check_connection()], Details { arguments: true, ..Details::default() }, None), @r#"
        ADDRESS   OFFSET    SIZE  TABLE   FUNCTION
        -         -            -  symtab  check_connection(THD*)
                                          _ZL16check_connectionP3THD
                                          declared at sql/sql_connect.cc:478
                                          returns int in rax
                                          thd  THD*
                                          #2   NET_SERVER const*
        0x6c37d3  0x2c37d3  1183            inlined into login_connection(THD*) at sql/sql_connect.cc:752
                                              thd  THD*               rbx
                                              #2   NET_SERVER const*  optimised out
        0x6c4000  0x2c4000    90            inlined into login_connection(THD*) at sql/sql_connect.cc:752, itself into handle(THD*) at sql/sql_connect.cc:9
                                              thd  THD*               rdi
                                              #2   NET_SERVER const*  rsi
        "#);
}

#[test]
fn a_narrow_terminal_gets_long_names_below() {
    let name = "std::_Rb_tree<int, std::pair<int const, std::vector<THD*> >, std::less<int> >::_M_erase(std::_Rb_tree_node<int>*)";
    let mut long = function(name, name, &[Table::Symtab], vec![place(0x57_a8c0, 77, PlaceKind::Body, Vec::new())]);
    long.aliases = vec![Alias { name: "other(int)".to_owned(), mangled: "_Z5otheri".to_owned() }];
    long.role = Role::Thunk;
    let text = shown(&[long], Details::default(), Some(80));
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    insta::assert_snapshot!(text, @r#"
        ADDRESS   OFFSET    SIZE  TABLE   FUNCTION
        0x57a8c0  0x17a8c0    77  symtab  std::_Rb_tree<int, std::pair<int const,
                                            std::vector<THD*> >, std::less<
                                            int> >::_M_erase(std::_Rb_tree_node<
                                            int>*)  (thunk)
                                          same code: other(int)
        (thunk): a wrapper that goes on to the function itself: a probe on both counts a
                 call twice
        "#);
}

#[test]
fn what_is_no_whole_function_says_what_it_is() {
    let caller = Caller { name: "g(int)".to_owned(), line: Some(line("a.cc", 9)) };
    let kind = PlaceKind::Inside { from_entry: ByteSpan(0x1c), line: Some(line("/b/a.cc", 12)), inlined: vec![caller] };
    let functions = [
        function("f", "f", &[Table::Symtab], vec![place(0x50_001c, 9, kind, Vec::new())]),
        Function {
            role: Role::Plt,
            ..function("write@plt", "write", &[Table::Plt], vec![place(0x40_1000, 16, PlaceKind::Plt, Vec::new())])
        },
        function("gone(int)", "_ZL4gonei", &[Table::Symtab], Vec::new()),
    ];
    insta::assert_snapshot!(shown(&functions, Details::default(), None), @r#"
        ADDRESS   OFFSET    SIZE  TABLE   FUNCTION
        0x50001c  0x10001c     9  symtab  f+0x1c
                                          at b/a.cc:12
                                          inlined here: g(int) at a.cc:9
        0x401000  0x1000      16  plt     write@plt  (plt)
                                          write
        -         -            -  symtab  gone(int)
                                          _ZL4gonei
                                          no code of it is left
        (plt): the way to a function of another file: only calls from this file come here
        "#);
}

#[test]
fn the_summary_counts_bodies_and_copies() {
    assert_eq!(summary(&[check_connection()]).as_deref(), Some("1 function matches: 0 bodies and 2 inlined copies"));
    let f = function("f", "f", &[Table::Symtab], vec![place(0x50_0000, 9, PlaceKind::Body, Vec::new())]);
    assert_eq!(summary(std::slice::from_ref(&f)), None);
    assert_eq!(summary(&[f.clone(), f]).as_deref(), Some("2 functions match"));
}

#[test]
fn names_cannot_steer_the_terminal() {
    let evil = function("f\u{1b}[31m\u{202e}", "g\u{7}", &[Table::Symtab], Vec::new());
    let text = shown(&[evil], Details::default(), Some(80));
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{7}']), "{text:?}");
}
