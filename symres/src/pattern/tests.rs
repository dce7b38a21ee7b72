//! Each row of the table of patterns, and what is none.

use super::*;

fn matches(pattern: &str, symbol: &str) -> bool {
    pattern.parse::<Pattern>().unwrap().matches_linkage_name(symbol)
}

#[track_caller]
fn check(pattern: &str, hits: &[&str], misses: &[&str]) {
    for symbol in hits {
        assert!(matches(pattern, symbol), "`{pattern}` should match {symbol}");
    }
    for symbol in misses {
        assert!(!matches(pattern, symbol), "`{pattern}` should not match {symbol}");
    }
}

const CHECK: &str = "_ZL16check_connectionP3THD";
const ADMIN: &str = "_Z36thd_check_connection_admin_privilegeP3THD";
const SEND: &str = "_ZN3THD21send_statement_statusEv";
const DISPATCH: &str = "_Z16dispatch_command19enum_server_commandP3THDPcj";

#[test]
fn whole_components_match() {
    check("check_connection", &[CHECK, "check_connection"], &[ADMIN, "ndb_mgm_check_connection"]);
    check("::check_connection", &[CHECK], &["_ZN1A16check_connectionEv"]);
    check("send_statement_status", &[SEND], &[]);
    check("THD::send_statement_status", &[SEND], &["_ZN4XTHD21send_statement_statusEv"]);
    check("THD", &["_ZN3THDC1Ev"], &[SEND]);
    check("THD::THD", &["_ZN3THDC1Ev"], &["_ZN3THDD1Ev"]);
    check("~THD", &["_ZN3THDD1Ev"], &["_ZN3THDC1Ev"]);
}

#[test]
fn wildcards_stay_in_their_component() {
    check("THD::*", &[SEND, "_ZN1A3THD3fooEv"], &["_ZN3THD5Inner3fooEv", CHECK]);
    check("*connection*", &[CHECK, ADMIN], &[SEND]);
    check("THD::send_*", &[SEND], &["_ZN3THD4sendEv"]);
}

#[test]
fn parameters_are_compared_when_given() {
    check("dispatch_command", &[DISPATCH], &[]);
    check("dispatch_command(enum_server_command, THD*, ...)", &[DISPATCH], &[]);
    check("dispatch_command(…)", &[DISPATCH], &[]);
    check(
        "dispatch_command(enum enum_server_command command, THD *thd, char* packet, uint packet_length)",
        &[DISPATCH],
        &[],
    );
    check("dispatch_command(THD*, ...)", &[], &[DISPATCH]);
    check("dispatch_command()", &[], &[DISPATCH]);
    check("send_statement_status()", &[SEND], &[]);
    check("malloc(size_t)", &["malloc"], &["_Z6mallocv"]);
}

#[test]
fn templates_operators_and_hidden_namespaces() {
    let push = "_ZN3VecIiE4pushERKi";
    check("Vec::push", &[push], &[]);
    check("Vec<int>::push", &[push], &["_ZN3VecIlE4pushERKl"]);
    check("Vec<...>::push(const int &)", &[push], &["_ZN3VecIlE4pushERKl"]);
    check("A::operator==", &["_ZN1AeqERKS_"], &["_ZN1AneERKS_"]);
    check("A::operator*", &["_ZN1AmlERKS_"], &["_ZN1AneERKS_"]);
    check("A::operator bool", &["_ZNK1AcvbEv"], &["_ZNK1AcviEv"]);
    check("ns::f", &["_ZN2ns12_GLOBAL__N_11fEv"], &[]);
    check("ns::(anonymous namespace)::f", &["_ZN2ns12_GLOBAL__N_11fEv"], &["_ZN2ns1fEv"]);
    check("A::f() const", &["_ZNK1A1fEv"], &["_ZN1A1fEv"]);
    check("A::f()", &["_ZNK1A1fEv", "_ZN1A1fEv"], &[]);
    check("twice", &["_Z5twiceIiET_S0_"], &[]);
    check("int twice<int>(int)", &["_Z5twiceIiET_S0_"], &["_Z5twiceIlET_S0_"]);
}

#[test]
fn suffixes_and_mangled_names() {
    check("foo", &["_Z3foov.isra.0", "foo.constprop.0"], &[]);
    check("foo.part.0", &["_Z3foov.part.0"], &["_Z3foov", "_Z3foov.cold"]);
    check("foo() [clone .part.0] [clone .cold]", &["_Z3foov.part.0.cold"], &["_Z3foov.part.0"]);
    check(CHECK, &[CHECK], &[ADMIN]);
    check("_ZN3THD*", &[SEND], &[CHECK]);
    check("runtime.mallocgc", &["runtime.mallocgc"], &["runtime.malloc"]);
}

#[test]
fn prefilters() {
    let check = |pattern: &str, expect: Prefilter| {
        assert_eq!(pattern.parse::<Pattern>().unwrap().prefilter(), expect, "{pattern}");
    };
    check("check_connection", Prefilter::Identifier("check_connection".into()));
    check("~THD", Prefilter::Identifier("THD".into()));
    check("THD::*", Prefilter::Contains("THD".into()));
    check("THD::send_*", Prefilter::Contains("send_".into()));
    check("std::string::string", Prefilter::All);
    check("A::operator==", Prefilter::Contains("A".into()));
    check("operator==", Prefilter::All);
    check("*", Prefilter::All);
    check("std::wstring::wstring", Prefilter::All);
    check("*lambda*", Prefilter::All);
    check("connect()::{lambda}", Prefilter::Contains("connect".into()));
    check("*space*", Prefilter::All);
    check("länge", Prefilter::All);
    check("größe::of_all", Prefilter::Identifier("of_all".into()));
}

#[test]
fn classes_and_namespaces_are_in_the_symbol() {
    let check = |pattern: &str, expect: &[&str]| {
        assert_eq!(pattern.parse::<Pattern>().unwrap().scopes(), expect, "{pattern}");
    };
    check("check_connection", &[]);
    check("THD::send", &["THD"]);
    check("server::row*::get(int)", &["row", "server"]);
    check("std::vector<int>::push_back", &["vector"]);
    check("ns::(anonymous namespace)::hidden", &[]);
    check("_ZN3THD4sendEi", &[]);
}

#[test]
fn errors_name_the_pattern() {
    let message = |text: &str| text.parse::<Pattern>().unwrap_err().to_string();
    assert_eq!(message(" "), "` ` is not a function name: it is empty");
    assert_eq!(message("f(int"), "`f(int` is not a function name: a `(` is not closed");
    assert_eq!(message("a\nb"), "`a\nb` is not a function name: it contains control characters");
}

#[test]
fn regular_expressions_are_found_in_the_displayed_name() {
    check("/^THD::send/", &[SEND], &[CHECK, ADMIN]);
    check("/connection.*THD/", &[CHECK, ADMIN], &[SEND]);
    check("/^check_connection\\(THD\\*\\)$/", &[CHECK], &[ADMIN]);
    check("/(?i)CHECK_conn/", &[CHECK, "check_connection"], &[SEND]);
    check("/^_ZL16/", &[], &[CHECK]);
    check(r"/\[clone .cold\]/", &["_Z3foov.cold"], &["_Z3foov"]);
}

#[test]
fn forms_hold_what_they_ask_for() {
    let show = |text: &str| match text.parse::<Pattern>() {
        Ok(pattern) => match pattern.form() {
            PatternForm::Offset { function, offset } => format!("{:?} + {offset}", function.form()),
            PatternForm::Plt(function) => format!("plt of {} ({:?})", function, function.form()),
            form => format!("{form:?}"),
        },
        Err(error) => error.to_string(),
    };
    let check = |text: &str, expect: &str| assert_eq!(show(text), expect, "{text}");
    check("check_connection", "Name");
    check("_ZL16check_connectionP3THD", "Symbol");
    check("/x/", "Regex");
    check("0x57a8c0", "Address(VirtAddr(5744832))");
    check("0x57a8c0+0x10", "Address(VirtAddr(5744848))");
    check("THD::send(int) + 0x10", "Name + 16");
    check("_ZN3THD4sendEi+16", "Symbol + 16");
    check("/^send$/+16", "Regex + 16");
    check("write@plt", "plt of write (Name)");
    check("_ZN3THD4sendEi@plt", "plt of _ZN3THD4sendEi (Symbol)");
    check("sql/sql_connect.cc:478", "Line { file: \"sql/sql_connect.cc\", line: 478 }");
    check("f+1+2", "`f+1+2` is not a function name: it has two offsets");
    check("a.cc:1+2", "`a.cc:1+2` is not a function name: an offset is counted from a function, not a line");
    check("a.cc:1@plt", "`a.cc:1@plt` is not a function name: only a function's name can stand in front of @plt");
    check("0xffffffffffffffff+1", "`0xffffffffffffffff+1` is not a function name: the address is too large");
    assert!(show("/(/").starts_with("`/(/` is not a function name: the regular expression is wrong: "));
    let line: Pattern = "sql_connect.cc:478".parse().unwrap();
    assert!(line.matches_file("/build/sql/sql_connect.cc"));
    assert!(!"f".parse::<Pattern>().unwrap().matches_file("f"));
}

#[track_caller]
fn check_parts(pattern: &str, scopes: &[&str], name: &str, parameters: Option<&[&str]>, expect: bool) {
    let parameters: Option<Vec<String>> = parameters.map(|list| list.iter().map(|p| (*p).to_owned()).collect());
    let parts = NameParts { scopes, name, parameters: parameters.as_deref(), qualifiers: None };
    assert_eq!(pattern.parse::<Pattern>().unwrap().matches_parts(&parts), expect, "{pattern} on {parts:?}");
}

#[test]
fn functions_of_debug_information_match_by_their_parts() {
    let thd: Option<&[&str]> = Some(&["THD*"]);
    check_parts("check_connection", &[], "check_connection", thd, true);
    check_parts("check_connection(THD*)", &[], "check_connection", Some(&["struct THD *"]), true);
    check_parts("check_connection(int)", &[], "check_connection", thd, false);
    check_parts("check_connection(int)", &[], "check_connection", None, true);
    check_parts(CHECK, &[], "check_connection", thd, true);
    check_parts(CHECK, &["ns"], "check_connection", thd, false);
    check_parts(ADMIN, &[], "check_connection", thd, false);
    check_parts("check_connection.part.0", &[], "check_connection", thd, false);
    check_parts("ns::hidden", &["ns", ""], "hidden", Some(&[]), true);
    check_parts("Box<int, 4>::push", &["ns", "Box<int, 4u>"], "push", None, true);
    check_parts("Box<char, 4>::push", &["ns", "Box<int, 4u>"], "push", None, false);
    check_parts("Box::push", &["ns", "Box<int, 4u>"], "push", None, true);
    check_parts("twice<int>", &[], "twice<int>", None, true);
    check_parts("operator==", &["Point"], "operator==", None, true);
    check_parts("operator<<", &[], "operator<< <char>", None, true);
    check_parts("f(unsigned long)", &[], "f", Some(&["size_t"]), true);
    check_parts("f(uint)", &[], "f", Some(&["long unsigned int"]), false);
    check_parts("/^ns::f\\(int, char\\)$/", &["ns"], "f", Some(&["int", "char"]), true);
    check_parts("a.b", &[], "a.b", None, true);
    check_parts("0x10", &[], "0x10", None, false);
}

#[test]
fn words_that_debug_information_must_hold() {
    let check = |pattern: &str, expect: Option<&[&str]>| {
        let words = pattern.parse::<Pattern>().unwrap().debug_words();
        assert_eq!(words, expect.map(|list| list.iter().map(|w| (*w).to_owned()).collect()), "{pattern}");
    };
    check("THD::send(int)", Some(&["send"]));
    check("~THD", Some(&["~THD"]));
    check("twice<int>", Some(&["twice"]));
    check("A::operator==", Some(&["operator=="]));
    check("operator new[]", Some(&["operator new[]"]));
    check(CHECK, Some(&[CHECK, "check_connection"]));
    check("operator bool", None);
    check("f()::{lambda()#1}", None);
    check("f()::{lambda()#1}::operator()", Some(&["operator()"]));
    check("*_lock", None);
    check("_ZN3THD*", None);
    check("/x/", None);
}

#[test]
fn rust_functions_match_as_they_are_written() {
    // <alloc::vec::Vec<T,A> as core::iter::traits::collect::Extend<T>>::extend
    let extend = "_ZN93_$LT$alloc..vec..Vec$LT$T$C$A$GT$$u20$as$u20$core..iter..traits..collect..Extend$LT$T$GT$$GT$6extend17h0123456789abcdefE";
    check("extend", &[extend], &[]);
    check("Extend::extend", &[extend], &[]);
    check("Vec::extend", &[extend], &[]);
    check("Vec<T>::extend", &[extend], &[]);
    check("alloc::vec::Vec<T, A>::extend", &[extend], &[]);
    check("<Vec<T> as Extend>::extend", &[extend], &[]);
    check("<Vec<T> as Extend<T>>::extend", &[extend], &[]);
    check("<alloc::vec::Vec<T, A> as Extend<T>>::extend", &[extend], &[]);
    check("<Vec<T>>::extend", &[], &[extend]);
    check("<String as Extend>::extend", &[], &[extend]);
    check("String::extend", &[], &[extend]);
    check("<Vec<T> as Iterator>::extend", &[], &[extend]);
    check("extend::h0123456789abcdef", &[extend], &[]);
    check("extend::h0123456789abcdee", &[], &[extend]);
    check("core::iter::traits::collect::Extend::*", &[extend], &[]);
    // core::ptr::drop_in_place<alloc::string::String>
    let drop = "_ZN4core3ptr42drop_in_place$LT$alloc..string..String$GT$17h0123456789abcdefE.llvm.77";
    check("core::ptr::drop_in_place", &[drop], &[]);
    check("::core::ptr::drop_in_place", &[drop], &[]);
    check("drop_in_place::<String>", &[drop], &[]);
    check("drop_in_place<alloc::string::String>", &[drop], &[]);
    check("drop_in_place<Vec>", &[], &[drop]);
    check("ptr::drop_in_place<_>", &[drop], &[]);
    // alloc::slice::<impl [T]>::sort
    let sort = "_ZN5alloc5slice29_$LT$impl$u20$$u5b$T$u5d$$GT$4sort17h0123456789abcdefE";
    check("slice::sort", &[sort], &[]);
    check("<impl [T]>::sort", &[sort], &[]);
    check("sort", &[sort], &[]);
    let closure = "_ZN4core3fmt5write28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE";
    check("write::{{closure}}", &[closure], &[]);
    check("write::{closure#0}", &[closure], &[]);
    check("write", &[], &[closure]);
    check(extend, &[extend], &[drop]);
    check("/as core::.*Extend<T>>::extend$/", &[extend], &[drop]);
}

#[test]
fn rust_functions_of_the_v0_mangling() {
    // <[u8]>::copy_within::<core::ops::range::RangeInclusive<usize>>
    let within = "_RINvMNtCsgEmfK2I1SDS_4core5sliceSh11copy_withinINtNtNtB5_3ops5range14RangeInclusivejEECsfEOYDRpO4Ta_11miniz_oxide";
    check("copy_within", &[within], &[]);
    check("<[u8]>::copy_within", &[within], &[]);
    check("<[T]>::copy_within", &[], &[within]);
    check("copy_within::<RangeInclusive<usize>>", &[within], &[]);
    check("copy_within<RangeInclusive>", &[within], &[]);
    check("copy_within::<Range<usize>>", &[], &[within]);
    check(within, &[within], &[]);
    check("_RINvMNtCsgEmfK2I1SDS_4core5sliceSh11*", &[within], &[]);
    // <rustc_mir_transform::simplify::CfgSimplifier>::simplify::{closure#0}
    let closure = "_RNCNvMs0_NtCs3LGw5nGcjh2_19rustc_mir_transform8simplifyNtB7_13CfgSimplifier8simplify0B9_.cold";
    check("CfgSimplifier::simplify::{{closure}}", &[closure], &[]);
    check("simplify::{closure#0}", &[closure], &[]);
    check("simplify::{closure#1}", &[], &[closure]);
    check("<CfgSimplifier>::simplify::{closure}", &[closure], &[]);
    check("simplify", &[], &[closure]);
    check("_Read", &["_Read"], &[]);
    assert!("_RC4_key".parse::<Pattern>().is_ok_and(|pattern| !pattern.is_symbol()));
}

#[test]
fn types_may_be_spelled_as_in_sources() {
    let texts = "_Z5textsRKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEESt6vectorIS4_SaIS4_EEj";
    check("texts(const std::string &, std::vector<std::string>, unsigned)", &[texts], &[]);
    check("texts(std::string const&, ...)", &[texts], &[]);
    check("texts(const std::basic_string<char> &a, std::vector<std::string> b, uint c)", &[texts], &[]);
    check("texts(…, unsigned int)", &[texts], &[]);
    check("texts(…, std::vector<std::string>, …)", &[texts], &[]);
    check("texts(const std::wstring &, ...)", &[], &[texts]);
    check("Texts", &[], &[texts]);
    let old = "_Z3oldSsRKSt3mapISslSt4lessISsESaISt4pairIKSslEEE";
    check("old(std::string, const std::map<std::string, long> &)", &[old], &[]);
    let hidden = "_Z4takePN12_GLOBAL__N_16HiddenE";
    check("take(Hidden *)", &[hidden], &[]);
    check("take((anonymous namespace)::Hidden*)", &[hidden], &[]);
}

#[test]
fn the_standard_librarys_names_have_two_forms() {
    let append = "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE6appendEPKc";
    let wide = "_ZNSt7__cxx1112basic_stringIwSt11char_traitsIwESaIwEE6appendEPKw";
    let old = "_ZNSs6appendEPKc";
    check("std::string::append", &[append, old], &[wide]);
    check("std::wstring::append", &[wide], &[append, old]);
    check("std::basic_string::append", &[append, wide, old], &[]);
    check("std::basic_string<char>::append", &[append, old], &[wide]);
    check("std::__cxx11::basic_string<char, ...>::append", &[append], &[wide, old]);
    check(
        "std::string::string",
        &["_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEC1Ev", "_ZNSsC1Ev"],
        &[append],
    );
    check(
        "std::string::~string",
        &["_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEED1Ev", "_ZNSsD1Ev"],
        &[append],
    );
    check("std::ostream::flush", &["_ZNSo5flushEv"], &["_ZNSi5flushEv"]);
    check(
        "std::vector<int>::push_back",
        &["_ZNSt6vectorIiSaIiEE9push_backERKi"],
        &["_ZNSt6vectorIlSaIlEE9push_backERKl"],
    );
}

#[test]
fn defaults_among_template_arguments_may_be_left_out() {
    let push = "_ZN3BoxIiLj4ESaIiEE4pushERKi";
    check("Box<int>::push", &[push], &[]);
    check("Box<int, 4>::push", &[push], &[]);
    check("Box<int, 4, std::allocator<int>>::push", &[push], &[]);
    check("Box<int, 5>::push", &[], &[push]);
    check("Box<char>::push", &[], &[push]);
    check("Box<>::push", &[], &[push]);
}

#[test]
fn lambdas_as_people_write_them() {
    let lambda = "_ZZ1fvENKUliE_clEi";
    let second = "_ZZ1fvENKUlT_E0_clIiEEDaS_";
    check("f()::{lambda(int)#1}::operator()", &[lambda], &[second]);
    check("f::{lambda(int)#1}::operator()", &[lambda], &[second]);
    check("f()::{lambda(int)#1}", &[lambda], &[second]);
    check("f()::{lambda}", &[lambda, second], &[]);
    check("f()::{lambda(auto:1)#2}", &[second], &[lambda]);
    check("*lambda*", &[lambda, second], &["_Z1fv"]);
    check("f()::'lambda'(int)::operator()(int) const", &[lambda], &[second]);
    check("f()::'lambda0'(auto:1)", &[second], &[lambda]);
    check("f", &["_Z1fv"], &[lambda]);
}

#[test]
fn what_is_no_function_does_not_match() {
    check("THD", &[], &["_ZTV3THD", "_ZTI3THD", "_ZTS3THD", "_ZGVZ1fvE3THD"]);
    check("set_out_param_info", &["_ZThn16_N10Item_param18set_out_param_infoEP10Send_field"], &[]);
}

#[test]
fn conversions_constraints_and_new() {
    check("Point::operator char *", &["_ZN5PointcvPT_IcEEv"], &["_ZN5PointcvPiEv"]);
    check("Point::operator T*", &[], &["_ZN5PointcvPT_IcEEv"]);
    check("operator bool", &["_ZNK1AcvbEv"], &[]);
    check("A::operator new[](size_t)", &["_ZN1AnaEm"], &["_ZN1AnwEm"]);
    check("operator\"\" _km(long double)", &["_Zli3_kme"], &[]);
    check("operator\"\"_km", &["_Zli3_kme"], &[]);
    check("A::operator<=>", &["_ZNK1AssERKS_"], &["_ZNK1AltERKS_"]);
    check("operator co_await", &["_ZN1AawEv"], &[]);
    check("trailing(int)", &["_Z8trailingIiET_S0_QrqXplfp_Li1EE"], &[]);
    check("f", &["_Z1fB5cxx11i"], &[]);
    check("f[abi:cxx11](int)", &["_Z1fB5cxx11i"], &[]);
}

#[test]
fn go_functions_by_their_symbol() {
    check("net/http.(*Server).Serve", &["net/http.(*Server).Serve"], &["net/http.(*Server).Close"]);
    check("net/http.HandlerFunc.ServeHTTP", &["net/http.HandlerFunc.ServeHTTP"], &["http.HandlerFunc.ServeHTTP"]);
    check("net/http.*ServeHTTP", &["net/http.HandlerFunc.ServeHTTP"], &["net/url.Parse"]);
    check("slices.Sort[go.shape.int]", &["slices.Sort[go.shape.int]"], &["slices.Sort[go.shape.string]"]);
    check("main.main.func1", &["main.main.func1"], &["main.main"]);
    assert!("a/b<".parse::<Pattern>().is_err());
}
