//! "Did you mean": the names that are nearest to one that is not there.

/// The longest name that is compared.
const MAX_NAME: usize = 128;

/// The candidates that are near enough to `name` to be meant, nearest first, at most three: few letters differ, or one
/// is the other with a prefix or suffix, as in `daddr` for `skc_daddr`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    nearest_of(name, candidates, 3)
}

/// As [`nearest`], among so many candidates that some are near to any name: fewer letters may differ.
pub fn nearest_of_many<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    nearest_of(name, candidates, 6)
}

/// The candidates of which one letter in `part` differs at most.
fn nearest_of<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, part: usize) -> Vec<&'a str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Vec::new();
    }
    let allowed = (name.len() / part).max(1);
    let mut found: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|candidate| !candidate.is_empty() && candidate.len() <= MAX_NAME && *candidate != name)
        .filter_map(|candidate| {
            // Each letter that one has more is a difference.
            let distance =
                if name.len().abs_diff(candidate.len()) <= allowed { distance(name, candidate) } else { usize::MAX };
            if distance <= allowed {
                return Some((distance, candidate));
            }
            let (short, long) = if name.len() < candidate.len() { (name, candidate) } else { (candidate, name) };
            let affix = short.len() >= 3
                && (long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'))
                    || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_')));
            affix.then_some((allowed + 1, candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// How many bytes are inserted, removed, replaced, or swapped with their neighbour, to make one name of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, j) + usize::from(x != y);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

/// The suggestions as a sentence: `` did you mean `a` or `b`? ``; none where there are none.
pub fn did_you_mean(names: &[&str]) -> Option<String> {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let (last, rest) = quoted.split_last()?;
    Some(if rest.is_empty() {
        format!("did you mean {last}?")
    } else {
        format!("did you mean {} or {last}?", rest.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let members = ["skc_daddr", "skc_rcv_saddr", "skc_dport", "skc_family", "sk_lock"];
        let check = |name: &str, expect: &[&str]| assert_eq!(nearest(name, members), expect, "{name}");
        check("skc_dadr", &["skc_daddr"]);
        check("skc_fmaily", &["skc_family"]);
        check("daddr", &["skc_daddr"]);
        check("skc_port", &["skc_dport"]);
        check("pid", &[]);
        check("", &[]);
        assert_eq!(nearest_of_many("MAX_PID", ["MAX_PRIO", "MAX_PIDS"]), ["MAX_PIDS"]);
        assert_eq!(distance("lokup", "lookup"), 1);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn suggestions_read_as_a_sentence() {
        assert_eq!(did_you_mean(&[]), None);
        assert_eq!(did_you_mean(&["a"]).as_deref(), Some("did you mean `a`?"));
        assert_eq!(did_you_mean(&["a", "b", "c"]).as_deref(), Some("did you mean `a`, `b` or `c`?"));
    }
}
