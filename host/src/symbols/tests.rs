//! What is printed about this very program.

use serde_json::Value;

use super::*;

fn arguments(binary: &str, pattern: &str) -> SymbolsArgs {
    SymbolsArgs {
        binary: Some(binary.to_owned()),
        pattern: Some(pattern.to_owned()),
        no_cache: true,
        ..SymbolsArgs::default()
    }
}

fn printed(args: &SymbolsArgs) -> (bool, String) {
    let mut out = Vec::new();
    let found = run(args, &mut Sink::new(&mut out, None)).unwrap();
    (found, String::from_utf8(out).unwrap())
}

fn text(binary: &str, pattern: &str) -> (bool, String) {
    printed(&arguments(binary, pattern))
}

fn objects(binary: &str, pattern: &str) -> Vec<Value> {
    let (_, text) = printed(&SymbolsArgs { json: true, ..arguments(binary, pattern) });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The program that runs this test: it has a symbol table with `main`.
fn own() -> String {
    std::env::current_exe().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn text_and_json_say_the_same() {
    let (found, text) = text(&own(), "main");
    assert!(found);
    let object = objects(&own(), "main").into_iter().find(|o| o["kind"] == "symbol" && o["name"] == "main").unwrap();
    let offset = format!("{:#x}", object["offset"].as_u64().unwrap());
    let row: Vec<&str> = text.lines().find(|l| l.ends_with("  main")).unwrap().split_whitespace().collect();
    let address = format!("{:#x}", object["address"].as_u64().unwrap());
    assert_eq!(row.get(..3), Some([&*address, &*offset, &*object["size"].to_string()].as_slice()), "{text}");
    assert_eq!(row.last(), Some(&"main"));
    assert_eq!(object["places"][0]["offset"], object["offset"], "{object}");
}

#[test]
fn what_is_not_there_comes_with_reason_and_advice() {
    let (found, text) = text(&own(), "no_such_function_anywhere");
    assert!(!found);
    for part in ["no function `no_such_function_anywhere`", "  why:      ", "  to do:    ", "functions in symtab"] {
        assert!(text.contains(part), "{text}");
    }
    let object = objects(&own(), "no_such_function_anywhere").remove(0);
    assert_eq!(object["kind"], "not_found");
    assert_eq!(object["reason"], "not-there");
    assert!(object["functions"]["symtab"].as_u64().unwrap() > 100);
    assert!(object["consulted"].is_array());
}

#[test]
fn a_list_has_a_line_for_each_function_and_a_count() {
    let (found, text) = printed(&SymbolsArgs { list: true, ..arguments(&own(), "drop_in_place") });
    assert!(found);
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("0x") || line.starts_with("- ")).collect();
    let last = text.lines().last().unwrap();
    assert!(rows.len() > 5 && last.starts_with(&format!("{} functions", rows.len())), "{last}");
    let column = text.lines().find(|l| l.starts_with("ADDRESS")).and_then(|title| title.find("FUNCTION")).unwrap();
    assert!(rows.iter().all(|row| row.get(column - 2..column) == Some("  ")), "{text}");
}

#[test]
fn errors_keep_their_subject() {
    let error = |binary: &str, pattern: &str| {
        run(&arguments(binary, pattern), &mut Sink::new(&mut Vec::new(), None)).unwrap_err().to_string()
    };
    assert!(error("/no/such/file", "f").contains("`/no/such/file`"));
    assert_eq!(error(&own(), "f("), "`f(` is not a function name: a `(` is not closed");
}
