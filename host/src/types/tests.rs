use super::*;

fn check(word: &str, binary: Option<&str>, name: &str, steps: &[Step]) {
    let query = Query::new(word, None).unwrap();
    assert_eq!((query.binary, query.name.as_str(), query.steps.as_slice()), (binary, name, steps), "{word}");
}

fn member(name: &str) -> Step {
    Step::Member(name.to_owned())
}

#[test]
fn a_word_may_hold_a_binary_and_a_path() {
    check("sock", None, "sock", &[]);
    check("struct sock", None, "sock", &[]);
    check("mysqld:THD", Some("mysqld"), "THD", &[]);
    check("mysqld:ns::THD.lex", Some("mysqld"), "ns::THD", &[member("lex")]);
    check("/a.b/x:List<A.b>->first", Some("/a.b/x"), "List<A.b>", &[member("first")]);
    check(
        "sock.a->b[3][0x10].c",
        None,
        "sock",
        &[member("a"), member("b"), Step::Element(3), Step::Element(16), member("c")],
    );
    for (word, part) in [("sock.", "is missing"), ("sock[x]", "no index"), ("a[3", "`]` is missing"), ("", "no type")] {
        let error = format!("{:#}", Query::new(word, None).unwrap_err());
        assert!(error.contains(part), "{word}: {error}");
    }
    assert!(Query::new("tcp_*.x", None).unwrap_err().to_string().contains("wildcard"));
}

#[test]
fn bit_fields_are_told_by_the_unit_of_their_type() {
    assert_eq!(text::unit(37, 1), (4, 5));
    assert_eq!(text::unit(37, 4), (4, 5));
    assert_eq!(text::unit(70, 8), (8, 6));
    assert_eq!(text::unit(3, 0), (0, 3));
}
