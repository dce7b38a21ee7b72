use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::*;
use crate::bpf::btf::{Array, Btf, Kind, TypeId, Writer};

/// Compiles C to a BPF object; none, said on standard error, where there is no clang.
fn object(text: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let (source, object) = (folder.path().join("t.c"), folder.path().join("t.o"));
    std::fs::write(&source, text).unwrap();
    let mut status = None;
    for clang in ["clang-19", "clang"] {
        let mut command = std::process::Command::new(clang);
        command.args(["-target", "bpf", "-std=gnu11", "-O2", "-g", "-w", "-c"]).arg(&source).arg("-o").arg(&object);
        status = status.or_else(|| command.status().ok());
    }
    match status {
        Some(status) => assert!(status.success()),
        None if std::env::var_os("CI").is_some() => panic!("there is no clang"),
        None => {
            eprintln!("skipped: there is no clang");
            return None;
        }
    }
    Some(std::fs::read(object).unwrap())
}

/// The bytes that the compiler laid out for a global variable.
fn bytes_of(elf: &[u8], name: &str) -> Vec<u8> {
    let file = object::File::parse(elf).unwrap();
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name)).unwrap();
    let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
    let start = usize::try_from(symbol.address()).unwrap();
    section.data().unwrap()[start..start + usize::try_from(symbol.size()).unwrap()].to_vec()
}

/// Decodes a global variable `x` of a type by the compiler's own bytes.
fn check(declarations: &str, name: &str, initialiser: &str, expect: &Value) {
    let Some(elf) = object(&format!("{declarations}\n{name} x = {initialiser};")) else { return };
    let types = Types::from_elf(&elf).unwrap();
    let decoded = types.decode(types.find(name).unwrap(), &bytes_of(&elf, "x"));
    assert_eq!((&decoded.value, &decoded.mismatch), (expect, &None), "{declarations}");

    // What is read in place is what is decoded.
    let (bytes, kind) = (bytes_of(&elf, "x"), EventType::new(String::new(), types.layout(types.find(name).unwrap())));
    if kind.is_whole(bytes.len()) {
        assert_eq!(seen(View::Struct(kind.members(&bytes).unwrap())), *expect, "{declarations}");
        let leaves: Vec<(String, Value)> = kind.paths().map(str::to_owned).zip(kind.leaves(&bytes).map(seen)).collect();
        let mut flat = Vec::new();
        flatten("", expect, &mut flat);
        assert_eq!(leaves, flat, "{declarations}");
    }
}

/// A value as it was seen, for comparison.
fn seen(view: View<'_>) -> Value {
    match view {
        View::Unsigned(number) => Value::Unsigned(number),
        View::Signed(number) => Value::Signed(number),
        View::Bool(truth) => Value::Bool(truth),
        View::Float(number) => Value::Float(number),
        View::Enum { name, value } => Value::Enum { name: name.map(str::to_owned), value },
        View::Text(bytes) => Value::Text(bytes.to_vec()),
        View::Pointer(address) => Value::Pointer(address),
        View::Struct(members) => {
            Value::Struct(members.iter().map(|(name, member)| (name.to_owned(), seen(member))).collect())
        }
        View::Array(elements) => Value::Array(elements.iter().map(seen).collect()),
        View::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
        View::PerCpu(_, cpus) => Value::PerCpu(cpus.to_vec()),
    }
}

/// The fields of a value that are no structs, those of nested structs by names such as `a.b`.
fn flatten(path: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Struct(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, field, into);
            }
        }
        _ => into.push((path.to_owned(), value.clone())),
    }
}

#[test]
fn only_whole_events_of_a_fixed_size_are_read_in_place() {
    let kind = |declarations: &str| {
        let elf = object(&format!("{declarations}\nstruct t x;"))?;
        let types = Types::from_elf(&elf).unwrap();
        Some(EventType::new(String::new(), types.layout(types.find("struct t").unwrap())))
    };
    let Some(fixed) = kind("struct t { int a; char text[12]; };") else { return };
    let lengths: Vec<usize> = (0..40).filter(|length| fixed.is_whole(*length)).collect();
    assert_eq!(lengths, (16..24).collect::<Vec<_>>());
    assert_eq!(fixed.paths().collect::<Vec<_>>(), ["a", "text"]);
    let none = |kind: Option<EventType>| (0..1_000_000).all(|length| !kind.as_ref().unwrap().is_whole(length));
    assert!(none(kind("struct t { int a; char text[]; };")));
    assert!(none(kind("struct t { int a; struct { short b, c[]; } last; };")));
    // More values than one event is decoded to.
    assert!(none(kind("struct t { unsigned char a[300][300]; };")));
}

fn fields(of: &[(&str, Value)]) -> Value {
    Value::Struct(of.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn text(of: &str) -> Value {
    Value::Text(of.as_bytes().to_vec())
}

#[test]
fn every_kind_of_field_is_read_as_the_compiler_laid_it_out() {
    let declarations = "
        typedef unsigned int u32; typedef unsigned long long u64; typedef const volatile u32 cu32; typedef cu32 deep;
        typedef char name_t[8];
        enum small { NONE, ONE, TWO = 2 }; enum minus { MINUS = -7, PLUS = 7 };
        enum wide { HUGE = 0x1234567890ULL, TINY = 1 };
        struct inner { char c[4]; short s; };
        struct all {
            signed char i8; unsigned char u8; short i16; deep d; long i64; u64 u64_;
            _Bool yes, no;
            char comm[16]; name_t full; char grid[2][4]; u32 numbers[2][3]; unsigned char mac[3];
            struct inner in; struct inner pair[2];
            union { u32 as_u32; unsigned char as_bytes[4]; } u;
            struct { int x; union { int y; unsigned char z; }; };
            enum small e, unknown; enum minus m; enum wide w;
            void *p; int (*f)(void);
            float f32; double f64;
            __int128 big; unsigned __int128 ubig;
            int a : 3; unsigned b : 5; u64 c : 40; _Bool flag : 1; enum minus em : 5;
        };";
    let initialiser = "{
        -1, 255, -2, 4000000000u, -5, 18446744073709551615ULL, 1, 0, \"mysqld\", \"12345678\", {\"ab\", \"abcd\"},
        {{1, 2, 3}, {4, 5, 6}}, {1, 2, 255}, {\"in\", -3}, {{\"a\", 1}, {\"b\", 2}}, {0x01020304}, {5, {6}},
        TWO, 9, MINUS, HUGE, (void *)0x1122334455667788, 0, 1.5f, -2.25, -((__int128)1 << 100),
        (unsigned __int128)1 << 127, -3, 21, 0xabcdef0123, 1, MINUS }";
    let (un, si) = (Value::Unsigned, Value::Signed);
    let en = |name: Option<&str>, value| Value::Enum { name: name.map(str::to_owned), value };
    let array = |of: &[Value]| Value::Array(of.to_vec());
    let expect = fields(&[
        ("i8", si(-1)),
        ("u8", un(255)),
        ("i16", si(-2)),
        ("d", un(4_000_000_000)),
        ("i64", si(-5)),
        ("u64_", un(u128::from(u64::MAX))),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("comm", text("mysqld")),
        ("full", text("12345678")),
        ("grid", array(&[text("ab"), text("abcd")])),
        ("numbers", array(&[array(&[un(1), un(2), un(3)]), array(&[un(4), un(5), un(6)])])),
        ("mac", array(&[un(1), un(2), un(255)])),
        ("in", fields(&[("c", text("in")), ("s", si(-3))])),
        ("pair", array(&[fields(&[("c", text("a")), ("s", si(1))]), fields(&[("c", text("b")), ("s", si(2))])])),
        ("u", fields(&[("as_u32", un(0x0102_0304)), ("as_bytes", array(&[un(4), un(3), un(2), un(1)]))])),
        ("x", si(5)),
        ("y", si(6)),
        ("z", un(6)),
        ("e", en(Some("TWO"), 2)),
        ("unknown", en(None, 9)),
        ("m", en(Some("MINUS"), -7)),
        ("w", en(Some("HUGE"), 0x12_3456_7890)),
        ("p", Value::Pointer(0x1122_3344_5566_7788)),
        ("f", Value::Pointer(0)),
        ("f32", Value::Float(1.5)),
        ("f64", Value::Float(-2.25)),
        ("big", si(-(1 << 100))),
        ("ubig", un(1 << 127)),
        ("a", si(-3)),
        ("b", un(21)),
        ("c", un(0xab_cdef_0123)),
        ("flag", Value::Bool(true)),
        ("em", en(Some("MINUS"), -7)),
    ]);
    check(declarations, "struct all", initialiser, &expect);
}

#[test]
fn a_flexible_array_takes_what_is_there() {
    let declarations = "struct t { int n; char s[]; }; struct n { int n; int v[]; };";
    check(declarations, "struct t", "{ 1, \"query\" }", &fields(&[("n", Value::Signed(1)), ("s", text("query"))]));
    let numbers = Value::Array(vec![Value::Signed(7), Value::Signed(8)]);
    check(declarations, "struct n", "{ 2, { 7, 8 } }", &fields(&[("n", Value::Signed(2)), ("v", numbers)]));
}

#[test]
fn types_are_found_and_named_as_c_writes_them() {
    let text = "typedef unsigned long long u64; struct data_t { u64 a; const char *p; int v[3]; } d; enum e { A } e;
                struct { int (*type)[1]; struct data_t *key; u64 *value; } counts __attribute__((section(\".maps\")));
                struct { int (*type)[27]; } ring __attribute__((section(\".maps\")));";
    let Some(elf) = object(text) else { return };
    let types = Types::from_elf(&elf).unwrap();
    for name in ["struct data_t", "u64", "int", "enum e", "unsigned long long"] {
        assert_eq!(types.name_of(types.find(name).unwrap()), name);
    }
    assert_eq!(types.find("data_t"), types.find("struct data_t"));
    assert_eq!(types.find("union data_t"), None);
    let record = types.btf().get(types.find("data_t").unwrap());
    let names: Vec<String> = record.members().map(|member| types.name_of(member.id)).collect();
    assert_eq!(names, ["u64", "char *", "int[3]"]);
    let layout = types.layout(record.id());
    assert_eq!(layout.field_names().collect::<Vec<_>>(), ["a", "p", "v"]);
    let counts = MapTypes { key: types.find("struct data_t"), value: types.find("u64") };
    assert_eq!(types.map("counts"), Some(counts));
    assert_eq!(types.map("ring"), Some(MapTypes::default()));
    assert_eq!(types.map("nothing"), None);
}

#[test]
fn bytes_that_do_not_fit_are_said() {
    let Some(elf) = object("struct t { int a, b; } x;") else { return };
    let types = Types::from_elf(&elf).unwrap();
    let layout = types.layout(types.find("struct t").unwrap());
    let short = layout.decode(&[1, 0, 0, 0, 2]);
    assert_eq!(short.value, Value::Bytes(vec![1, 0, 0, 0, 2]));
    assert_eq!(short.mismatch.unwrap(), "the record has 5 bytes, but its type has 8");
    assert_eq!(layout.decode(&[0; 15]).mismatch, None, "padding of a perf sample");
    assert_eq!(layout.decode(&[0; 16]).mismatch.unwrap(), "the record has 16 bytes, but its type has only 8");
}

#[test]
fn objects_without_types_are_errors() {
    assert!(matches!(Types::from_elf(b"no elf"), Err(TypesError::Object(_))));
    let this = std::fs::read("/proc/self/exe").unwrap();
    assert!(matches!(Types::from_elf(&this), Err(TypesError::NoBtf)));
}

#[test]
fn hostile_types_decode_to_bounded_values() {
    let layout = |writer: Writer, id| Types::from_btf(Btf::parse(writer.finish()).unwrap()).layout(TypeId(id));

    // A struct that holds itself twice: without a bound, 2^n fields.
    let mut writer = Writer::new();
    let twice = [("a".to_owned(), TypeId(1), 0), ("b".to_owned(), TypeId(1), 0)];
    writer.record("s", Kind::Struct, false, 8, &twice);
    assert_eq!(layout(writer, 1).decode(&[0; 8]).value, Value::Bytes(vec![0; 8]));

    // Anonymous structs that hold themselves.
    let mut writer = Writer::new();
    writer.record("", Kind::Struct, false, 8, &[(String::new(), TypeId(1), 0), (String::new(), TypeId(1), 0)]);
    assert_eq!(layout(writer, 1).decode(&[0; 8]).value, Value::Bytes(vec![0; 8]));

    // An array of itself.
    let mut writer = Writer::new();
    let long = |element| Array { element: TypeId(element), index: TypeId(1), length: u32::MAX };
    writer.array(long(1));
    assert_eq!(layout(writer, 1).decode(&[0; 4]).value, Value::Bytes(vec![]));

    // Arrays of 2^32 elements of nothing, and of more than there is.
    let mut writer = Writer::new();
    writer.int("int", 4, 32);
    writer.record("empty", Kind::Struct, false, 0, &[]);
    writer.array(long(2));
    writer.array(long(1));
    let all = [("nothing".to_owned(), TypeId(3), 0), ("long".to_owned(), TypeId(4), 0)];
    writer.record("s", Kind::Struct, false, 4, &all);
    let expect = fields(&[("nothing", Value::Bytes(vec![])), ("long", Value::Bytes(vec![1; 4]))]);
    assert_eq!(layout(writer, 5).decode(&[1; 4]).value, expect);

    // Many fields that all show the same long array.
    let mut writer = Writer::new();
    writer.int("char1", 1, 8);
    writer.array(Array { element: TypeId(1), index: TypeId(1), length: 65_536 });
    let many: Vec<_> = (0..1000).map(|index| (format!("f{index}"), TypeId(2), 0)).collect();
    writer.record("s", Kind::Union, false, 65_536, &many);
    let Value::Struct(shown) = layout(writer, 3).decode(&vec![0; 65_536]).value else { panic!() };
    let values: usize = shown.iter().map(|(_, value)| if let Value::Array(all) = value { all.len() } else { 1 }).sum();
    assert!(values <= (1 << 16) + 1000, "{values}");

    // One array of more elements than are told apart; the rest of its bytes is kept.
    let mut writer = Writer::new();
    writer.int("char1", 1, 8);
    writer.array(Array { element: TypeId(1), index: TypeId(1), length: 1 << 20 });
    let Value::Array(shown) = layout(writer, 2).decode(&vec![0; 1 << 20]).value else { panic!() };
    assert_eq!(shown.len(), 1 << 16);
    assert_eq!(shown.last(), Some(&Value::Bytes(vec![0; (1 << 20) - (1 << 16) + 1])));

    // Fields outside the record, and bit fields wider than any number.
    let mut writer = Writer::new();
    writer.int("int", 4, 32);
    let odd = [("far".to_owned(), TypeId(1), 0x00ff_ff00), ("wide".to_owned(), TypeId(1), 255 << 24)];
    writer.record("s", Kind::Struct, true, 4, &odd);
    let expect = fields(&[("far", Value::Bytes(vec![])), ("wide", Value::Bytes(vec![]))]);
    assert_eq!(layout(writer, 2).decode(&[0; 4]).value, expect);

    // Enums and numbers of impossible sizes.
    let mut writer = Writer::new();
    writer.int("int", 3_000_000_000, 32);
    writer.enumeration("e", Kind::Enum, true, 77, &[("A".to_owned(), 1)]);
    writer.plain("f", Kind::Float, false, 3);
    let layouts: Vec<Layout> = {
        let types = Types::from_btf(Btf::parse(writer.finish()).unwrap());
        (0..5).map(|id| types.layout(TypeId(id))).collect()
    };
    for layout in layouts {
        for length in [0, 1, 3, 77, 100] {
            let _ = layout.decode(&vec![0xff; length]);
        }
    }
}
