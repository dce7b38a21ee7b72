use super::*;

#[test]
fn every_rule_is_documented_and_has_an_example() {
    let mut names = std::collections::BTreeSet::new();
    for rule in RULES {
        assert!(names.insert(rule.name()), "{} is there twice", rule.name());
        assert!(rule.documentation().len() > 40, "{}", rule.name());
        assert!(!rule.example().is_empty(), "{}", rule.name());
    }
}

#[test]
fn every_example_is_rewritten_and_compiles() {
    for rule in RULES {
        let rewritten = crate::rewrite::tests::rewritten(rule.example(), &[]);
        let rewritten = rewritten.unwrap_or_else(|errors| panic!("{}: {errors:#?}", rule.name()));
        assert_ne!(rewritten.text, rule.example(), "{}", rule.name());
    }
}

mod maps;
mod packets;
mod tail_calls;
