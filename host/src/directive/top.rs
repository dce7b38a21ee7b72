//! Which entries of a map are printed.

use super::is_identifier;
use crate::source::Span;

/// What is written where it is not understood.
pub(super) const HELP: &str =
    "write `//@ top MAP COUNT` or `//@ top MAP COUNT by PATH`, with a PATH such as value.bytes or key.pid";

/// More entries than this are no selection.
const MOST: usize = 1_000_000;

/// So many entries of a map are printed, those with the largest numbers first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Top {
    /// Name of the map.
    pub map: String,
    /// How many entries.
    pub most: usize,
    /// Where the number is: `["value", "bytes"]`.
    pub by: Vec<String>,
    /// Where the directive stands.
    pub span: Span,
}

/// Reads `MAP COUNT [by PATH]`.
pub(super) fn top(text: &str, span: Span) -> Result<Top, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (map, most, by) = match *words.as_slice() {
        [map, most] => (map, most, "value"),
        [map, most, "by", by] => (map, most, by),
        _ => return Err(format!("`{text}` does not say which entries of which map are printed")),
    };
    if !is_identifier(map) {
        return Err(format!("`{map}` is no name of a map"));
    }
    let most = most.parse().ok().filter(|most| (1..=MOST).contains(most));
    let most = most.ok_or_else(|| format!("`{text}` names no number of entries from 1 to {MOST}"))?;
    let by: Vec<String> = by.split('.').map(str::to_owned).collect();
    let starts_well = by.first().is_some_and(|first| first == "key" || first == "value");
    if !starts_well || !by.iter().all(|part| is_identifier(part)) {
        return Err(format!("`{}` is no field; a path begins with `key` or `value`, as in value.bytes", by.join(".")));
    }
    Ok(Top { map: map.to_owned(), most, by, span })
}
