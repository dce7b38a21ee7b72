//! What is put into maps before anything is attached: what BCC's programs do in Python.

use super::is_identifier;
use crate::source::Span;

/// An entry, or all entries, of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// Name of the map.
    pub map: String,
    /// The key; none where all entries are meant.
    pub key: Option<u64>,
    /// What is put there.
    pub with: With,
    /// Where the directive stands.
    pub span: Span,
}

/// What is put into a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// A function of the probe, which `map.call` then runs.
    Function(String),
    /// What the map's type says: a number, a map, a control group, a network interface, an event.
    Text(String),
}

pub(super) const TAIL_CALL_HELP: &str = "write `//@ tail_call ARRAY[INDEX] = FUNCTION`";
pub(super) const FILL_HELP: &str = "write `//@ fill MAP[KEY] = VALUE`, or `//@ fill COUNTERS = software:cpu-clock`";

/// Reads `ARRAY[INDEX] = FUNCTION`.
pub(super) fn tail_call(text: &str, span: Span) -> Result<Fill, String> {
    let (map, key, function) = parts(text)?;
    if key.is_none() {
        return Err(format!("`{map}` has no index"));
    }
    if !is_identifier(function) {
        return Err(format!("`{function}` is no name of a C function"));
    }
    Ok(Fill { map: map.to_owned(), key, with: With::Function(function.to_owned()), span })
}

/// Reads `MAP[KEY] = VALUE` or `MAP = VALUE`.
pub(super) fn fill(text: &str, span: Span) -> Result<Fill, String> {
    let (map, key, value) = parts(text)?;
    if value.is_empty() {
        return Err(format!("nothing is put into `{map}`"));
    }
    Ok(Fill { map: map.to_owned(), key, with: With::Text(value.to_owned()), span })
}

fn parts(text: &str) -> Result<(&str, Option<u64>, &str), String> {
    let (entry, value) = text.split_once('=').ok_or_else(|| format!("`{text}` says not what is put there"))?;
    let (map, key) = match entry.trim().split_once('[') {
        None => (entry.trim(), None),
        Some((map, rest)) => {
            let key = rest.trim_end().strip_suffix(']').and_then(number);
            (map.trim_end(), Some(key.ok_or_else(|| format!("`{}` has no number in brackets", entry.trim()))?))
        }
    };
    if !is_identifier(map) {
        return Err(format!("`{map}` is no name of a map"));
    }
    Ok((map, key, value.trim()))
}

/// A number as C writes it: decimal, or hexadecimal behind `0x`; negative ones as their two's complement.
pub fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    match (text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")), text.strip_prefix('-')) {
        (Some(digits), _) => u64::from_str_radix(digits, 16).ok(),
        (_, Some(_)) => text.parse::<i64>().ok().map(i64::cast_unsigned),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_c_writes_them() {
        let span = Span::new(0, 1);
        let parsed = |text: &str| fill(text, span).map(|fill| (fill.map, fill.key, fill.with));
        let text = |text: &str| With::Text(text.to_owned());
        assert_eq!(parsed("m[0x10] = -1"), Ok(("m".to_owned(), Some(16), text("-1"))));
        assert_eq!(parsed("m [ 3 ]=/sys/fs/cgroup/a=b"), Ok(("m".to_owned(), Some(3), text("/sys/fs/cgroup/a=b"))));
        assert_eq!(parsed("m = software:cpu-clock"), Ok(("m".to_owned(), None, text("software:cpu-clock"))));
        for wrong in ["m[0]", "m[x] = 1", "m[1 = 2", "3 = 4", "m[0] ="] {
            assert!(fill(wrong, span).is_err(), "{wrong}");
        }
        for wrong in ["m = f", "m[0] = 3f", "m[0]"] {
            assert!(tail_call(wrong, span).is_err(), "{wrong}");
        }
        assert_eq!(number("-1"), Some(u64::MAX));
    }
}
