use std::path::Path;
use std::sync::Arc;

use super::*;

/// The libclang to test with: any that is installed where Debian puts it.
fn library() -> Arc<Library> {
    let found = (17..=30).rev().find_map(|version| {
        let names = ["libclang.so.1".to_owned(), format!("libclang-{version}.so.1")];
        let mut paths = names.iter().map(|name| format!("/usr/lib/llvm-{version}/lib/{name}"));
        paths.find(|path| Path::new(path).exists())
    });
    Library::load(Path::new(&found.expect("libclang is installed"))).expect("libclang loads")
}

fn parse(text: &str) -> Unit {
    let arguments = ["-xc", "-target", "bpf", "-nostdinc"].map(String::from);
    Unit::parse(&library(), Path::new("probe.c"), text, &arguments).expect("libclang parses")
}

fn function<'u>(unit: &'u Unit, name: &str) -> Cursor<'u> {
    let mut all = unit.root().children().into_iter();
    all.find(|c| c.kind() == CursorKind::FunctionDecl && c.spelling() == name).expect("the function is there")
}

#[test]
fn a_path_that_is_no_libclang_is_an_error_with_its_name() {
    let error = Library::load(Path::new("/nonexistent/libclang.so")).expect_err("it is not there");
    assert!(error.to_string().contains("/nonexistent/libclang.so"), "{error}");
}

#[test]
fn spans_are_those_of_the_text_with_macros_at_their_use() {
    let text = "#define TWO 2\n#define ID(x) x\nint f(int a)\n{\n\treturn ID(a) + TWO;\n}\n";
    let unit = parse(text);
    let f = function(&unit, "f");
    assert_eq!(&text[f.span().expect("in the main file").range()], "int f(int a)\n{\n\treturn ID(a) + TWO;\n}");
    let body = f.children().pop().expect("a body");
    let sum = body.children()[0].children()[0];
    assert_eq!(sum.kind(), CursorKind::BinaryOperator);
    assert_eq!(sum.binary_op(), BinaryOp::Add);
    let [left, right] = sum.children()[..] else { panic!("two operands") };
    assert_eq!(&text[left.span().expect("an argument is where it is written").range()], "a");
    assert_eq!(&text[right.span().expect("a body's token is at the use").range()], "TWO");
}

#[test]
fn every_message_is_read_with_its_place() {
    let text = "int f(void) { return nothing; }\nint g(void) { return 1 }\nint h(void) { return nix; }\n";
    let messages = parse(text).messages();
    let errors: Vec<_> = messages.iter().filter(|m| m.level >= Level::Error).collect();
    assert_eq!(errors.len(), 3, "{messages:#?}");
    assert_eq!(errors[0].place, Place::Main(21));
    assert!(errors[1].fixes.iter().any(|fix| fix.text == ";"), "{errors:?}");
    assert_eq!(errors[2].text, "use of undeclared identifier 'nix'");
}

#[test]
fn string_values_have_their_escapes_resolved() {
    let unit = parse("int p(const char *);\nint f(void) { return p(\"a\\t\\x41\" \"b\\n\"); }\n");
    let f = function(&unit, "f");
    let mut at = f.children().pop().expect("a body");
    while at.kind() != CursorKind::StringLiteral {
        at = at.children().pop().expect("a string literal is inside");
    }
    assert_eq!(at.string_value().as_deref(), Some(&b"a\tAb\n"[..]));
}

#[test]
fn a_nul_byte_in_an_argument_is_an_error() {
    let arguments = ["-D\0x".to_owned()];
    assert!(matches!(Unit::parse(&library(), Path::new("p.c"), "", &arguments), Err(ParseError::Nul(_))));
}

#[test]
fn the_definition_of_a_macro_has_its_text() {
    let unit = parse("#define ADD(a, b) ((a) + \\\n (b))\nint f(int x) { return ADD(x, 1); }\n");
    let mut all = unit.root().children().into_iter();
    let used = all.find(|c| c.kind() == CursorKind::MacroExpansion && c.spelling() == "ADD").expect("it is used");
    let definition = used.referenced().expect("it is defined");
    assert_eq!(definition.kind(), CursorKind::MacroDefinition);
    assert_eq!(definition.text().as_deref(), Some("ADD(a, b) ((a) + \\\n (b))"));
}
