use super::*;

#[test]
fn outlines_have_the_components_of_whole_names() {
    for (symbol, count, prefix) in [
        ("_ZN2ns3FooIiE3barEPKcS3_", 3, None),
        ("_ZThn16_N10Item_param18set_out_param_infoEP10Send_field", 2, Some("thunk")),
        ("_ZZN1A1fEiENKUlbE_clEb", 4, None),
        ("_ZN1AcvPT_IcEEv", 2, None),
        ("_ZSt4moveIRiEONSt16remove_referenceIT_E4typeEOS2_", 2, None),
        ("_RNvCs1234_7mycrate3foo", 2, None),
        ("main", 1, None),
    ] {
        let outline = Name::outline(RawName::new(symbol)).map(|name| (name.components.len(), name.prefix));
        assert_eq!(outline, Some((count, prefix)), "{symbol}");
        let whole = Name::of(RawName::new(symbol)).map(|name| (name.components.len(), name.prefix));
        assert_eq!(outline, whole, "{symbol}");
    }
    assert!(Name::outline(RawName::new("_ZTV1A")).is_none());
}

fn show(text: &str, author: Author) -> String {
    match parse(text, author) {
        Err(why) => format!("error: {why}"),
        Ok(name) => {
            let list = |l: &Option<Vec<String>>, o: &str, c: &str| {
                l.as_ref().map_or(String::new(), |l| format!("{o}{}{c}", l.join("; ")))
            };
            let components: Vec<String> = name
                .components
                .iter()
                .map(|c| format!("{}{}{}", c.name, list(&c.args, "<", ">"), list(&c.scope_params, "(", ")")))
                .collect();
            format!(
                "{}{}{}{}",
                if name.rooted { ":: " } else { "" },
                components.join(" | "),
                list(&name.params, " (", ")"),
                name.qualifiers.iter().map(|q| format!(" {q}")).collect::<String>(),
            )
        }
    }
}

#[test]
fn demangled_names() {
    let check = |text: &str, expect: &str| assert_eq!(show(text, Author::Demangler), expect, "{text}");
    check("check_connection(THD*)", "check_connection (THD*)");
    check("Foo::bar(char const*, int) const", "Foo | bar (char const*; int) const");
    check("Foo<A<int>, B>::operator()(int) const &", "Foo<A<int>; B> | operator() (int) const &");
    check("operator<< <char>(std::ostream&)", "operator<<<char> (std::ostream&)");
    check("Foo::operator bool() const", "Foo | operator bool () const");
    check("Foo::operator std::vector<int> const&()", "Foo | operator std::vector<int>const& ()");
    check("ns::(anonymous namespace)::f(int)", "ns | (anonymous namespace) | f (int)");
    check(
        "f(int)::{lambda(char, int)#1}::operator()(char) const",
        "f(int) | {lambda(char,int)#1} | operator() (char) const",
    );
    check("f(int) const::local::g()", "f(int) | local | g ()");
    check("x::{lambda()#2}::operator() const", "x | {lambda()#2} | operator() const");
    check("std::operator==(A const&, A const&)", "std | operator== (A const&; A const&)");
    check("f[abi:cxx11](int)", "f (int)");
    check("f<&(Foo::operator<(int))>(void (*)(int, long))", "f<&(Foo::operator<(int))> (void(*)(int,long))");
    check("g<(a>b)>()", "g<(a>b)> ()");
    check("operator new[](unsigned long)", "operator new[] (unsigned long)");
    check("operator\"\" _km(long double)", "operator\"\"_km (long double)");
    check("Foo::~Foo()", "Foo | ~Foo ()");
    check("operatorx(int)", "operatorx (int)");
}

#[test]
fn names_as_people_write_them() {
    let check = |text: &str, expect: &str| assert_eq!(show(text, Author::Person), expect, "{text}");
    check("THD::*", "THD | *");
    check("::main", ":: main");
    check("static int check_connection(THD *thd)", "check_connection (THD*)");
    check("const char *Foo::name() const", "Foo | name () const");
    check("std::vector<int> ns::f( const int * , ... )", "ns | f (int const*; ...)");
    check("dispatch_command(enum_server_command, THD*, …)", "dispatch_command (enum_server_command; THD*; ...)");
    check("f(void)", "f ()");
    check("unsigned long f()", "f ()");
    check("THD & f()", "f ()");
}

#[test]
fn what_is_no_name() {
    let check = |text: &str, expect: &str| assert_eq!(show(text, Author::Person), format!("error: {expect}"));
    check("f(int", "a `(` is not closed");
    check("A::", "the name ends where one more part should be");
    check("vector<int", "a `<` is not closed");
    check("f(int) g", "something follows its parameter list");
    check(")", "a closing bracket has no opening one");
    check("a:b", "a colon stands where a name should be");
}

#[test]
fn deep_nesting_is_only_text() {
    let deep = "a<".repeat(30_000);
    assert!(parse(&deep, Author::Demangler).is_err());
}
