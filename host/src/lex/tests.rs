use super::*;

fn words(text: &str) -> Vec<(TokenKind, String)> {
    let lexed = Lexed::new(text);
    lexed.tokens().iter().map(|token| (token.kind, lexed.spelling(token).into_owned())).collect()
}

fn check(text: &str, expect: &[(TokenKind, &str)]) {
    let expect: Vec<_> = expect.iter().map(|(kind, word)| (*kind, (*word).to_owned())).collect();
    assert_eq!(words(text), expect, "{text:?}");
}

use TokenKind::{Char, Comment, Header, Identifier, Number, Punctuation, String as Literal, Unknown};

#[test]
fn code_is_cut_into_tokens() {
    check(
        "int x=0x1fULL + 1.5e+3;",
        &[
            (Identifier, "int"),
            (Identifier, "x"),
            (Punctuation(b'='), "="),
            (Number, "0x1fULL"),
            (Punctuation(b'+'), "+"),
            (Number, "1.5e+3"),
            (Punctuation(b';'), ";"),
        ],
    );
    check(r#"L"a\"b" 'c' u8"x""#, &[(Literal, r#"L"a\"b""#), (Char, "'c'"), (Literal, r#"u8"x""#)]);
    check(
        "a/*b\n*/c//d\ne",
        &[(Identifier, "a"), (Comment, "/*b\n*/"), (Identifier, "c"), (Comment, "//d"), (Identifier, "e")],
    );
    check("数 @", &[(Identifier, "数"), (Unknown, "@")]);
}

#[test]
fn a_backslash_hides_the_line_end() {
    check("so\\\nck // a \\  \n b\nc", &[(Identifier, "sock"), (Comment, "// a  b"), (Identifier, "c")]);
    check("\"a\\\nb\" x", &[(Literal, "\"ab\""), (Identifier, "x")]);
    let lexed = Lexed::new("#define A \\\n B\nC");
    let flags: Vec<bool> = lexed.tokens().iter().map(|token| token.preprocessor).collect();
    assert_eq!(flags, [true, true, true, true, false]);
}

#[test]
fn what_is_unterminated_ends_with_its_line_or_the_text() {
    check("\"abc\nx", &[(Literal, "\"abc"), (Identifier, "x")]);
    check("'\nx", &[(Char, "'"), (Identifier, "x")]);
    check("a /* b", &[(Identifier, "a"), (Comment, "/* b")]);
    check("\"abc\\", &[(Literal, "\"abc\\")]);
    check(
        "#include <linux\nx",
        &[
            (Punctuation(b'#'), "#"),
            (Identifier, "include"),
            (Punctuation(b'<'), "<"),
            (Identifier, "linux"),
            (Identifier, "x"),
        ],
    );
}

#[test]
fn includes_are_found_only_where_they_are_included() {
    let text = "#include <linux/sched.h> // <no.h>\n # include \"my.h\"\n\"#include <no.h>\"\n// #include <no.h>\n\
                a #include <no.h>\n#define include <no.h>\n#include/**/<a-b.h>";
    let found: Vec<_> = Lexed::new(text).includes().into_iter().map(|one| (one.name, one.quoted)).collect();
    assert_eq!(found, [("linux/sched.h".to_owned(), false), ("my.h".to_owned(), true), ("a-b.h".to_owned(), false)]);
    assert_eq!(words("#include <a.h>")[2], (Header, "<a.h>".to_owned()));
}

#[test]
fn directives_are_comments_that_start_with_an_at() {
    let text = "//@ attach uprobe:mysqld:f  \nx; //@interval 1s\n/* //@ no */ \"//@ no\"\n// @ no\n//@ a \\\n b";
    let lexed = Lexed::new(text);
    let found: Vec<_> = lexed.directives();
    let texts: Vec<&str> = found.iter().map(|one| one.text.as_str()).collect();
    assert_eq!(texts, ["attach uprobe:mysqld:f", "interval 1s", "a  b"]);
    assert_eq!(&text[found[0].span.range()], "attach uprobe:mysqld:f");
    assert_eq!(&text[found[1].span.range()], "interval 1s");
}

#[test]
fn identifiers_come_from_code_and_preprocessor_lines() {
    let lexed = Lexed::new("#define N AF_INET\n/* no */ struct sock *s = \"no\"; // no");
    let found = lexed.identifiers();
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["AF_INET", "N", "define", "s", "sock", "struct"]);
}

fn check_declared(text: &str, tags: &[&str], ordinary: &[&str], macros: &[&str]) {
    let found = Lexed::new(text).declared();
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let expect = Declared { tags: own(tags), ordinary: own(ordinary), macros: own(macros) };
    assert_eq!(found, expect, "{text:?}");
}

#[test]
fn declared_names_are_those_of_the_text_itself() {
    check_declared("struct key_t { u32 pid; struct inner { int a; } in; };", &["inner", "key_t"], &[], &[]);
    check_declared("struct sock *f(struct sock *sk, int b) { int local = g(1); return 0; }", &[], &["f"], &[]);
    check_declared("typedef struct { int a; } pair_t, *pair_p;", &[], &["pair_p", "pair_t"], &[]);
    check_declared("enum kind { A, B = X + (1, 2), C }; enum { D };", &["kind"], &["A", "B", "C", "D"], &[]);
    check_declared("#define F(x) x\n#  define G 1\n", &[], &[], &["F", "G"]);
    check_declared("struct later;\nextern struct a b;", &[], &["b"], &[]);
    check_declared("BPF_HASH(start, pid_t, dev_t);", &[], &["start"], &[]);
    check_declared("BPF_TABLE(\"hash\", struct k, u64, table, 1024);", &[], &["table"], &[]);
    check_declared("static const char x[] = \"\"; int y = 1, z;", &[], &["x", "y", "z"], &[]);
    check_declared("TRACEPOINT_PROBE(sock, state) { return args->family; }", &[], &[], &[]);
    let libbpf = "struct { int k; } map SEC(\".maps\"); char LICENSE[] SEC(\"license\") = \"GPL\";";
    check_declared(libbpf, &[], &["LICENSE", "map"], &[]);
    check_declared("SEC(\"kprobe/f\")\nint BPF_KPROBE(on_f, int a) { return 0; }", &[], &["on_f"], &[]);
    check_declared("static int (* const bpf_x)(void *a, int (*f)(int)) = (void *)1;", &[], &["bpf_x"], &[]);
    check_declared("static __always_inline int min(int a, int b) { return a; }", &[], &["min"], &[]);
    check_declared("int y = TASK_COMM_LEN, z = (A, B) | C;", &[], &["y", "z"], &[]);
}

/// Every prefix of a text with all constructs lexes to tokens that are disjoint, in order and inside the text.
#[test]
fn every_truncation_lexes() {
    let text = "#include <a.h>\n#define X(a) \\\n a##b\n//@ x\n/* c */ struct é { enum { A, B } x[3]; };\n\
                BPF_TABLE(\"h\\\"\", (a), 'b', c);\n$x = L'\\n' + .5e-3 @ ` \\ \u{7f} }}))) \"";
    let bytes = text.as_bytes();
    for start in 0..bytes.len() {
        for end in start..=bytes.len() {
            let Some(part) = text.get(start..end) else { continue };
            let lexed = Lexed::new(part);
            let mut last = 0;
            for token in lexed.tokens() {
                assert!(token.span.start >= last && token.span.end > token.span.start, "{part:?} {token:?}");
                last = token.span.end;
            }
            assert!(usize::try_from(last).unwrap() <= part.len());
            lexed.declared();
            lexed.directives();
            lexed.includes();
            lexed.identifiers();
        }
    }
}

#[test]
fn tags_are_found_behind_attributes() {
    check_declared(
        "struct __attribute__((packed, aligned(8))) sock { int a; };\nunion __packed u { int a; };\n\
         enum __attribute__((packed)) e { ONE };\nint f(struct file x) { do { } while (0); }\n",
        &["e", "sock", "u"],
        &["ONE", "f"],
        &[],
    );
}
