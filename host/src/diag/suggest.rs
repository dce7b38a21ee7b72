//! "Did you mean …?": the names that are nearest to one that is not there.

/// The longest name that is compared.
const MAX_NAME: usize = 256;

/// The candidate that is most like a name, if any is like it: at most a third of the letters differ, swapped neighbours counting
/// once.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let like = candidates.into_iter().filter_map(|candidate| Some((difference(name, candidate, 3)?, candidate)));
    like.min().map(|(_, candidate)| candidate)
}

/// The candidates that are near enough to `name` to be meant, nearest first, at most three: those of [`nearest`], and those that
/// are the name with a prefix or suffix, as `skc_daddr` is `daddr`, or the other way round.
pub fn near<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    near_of(name, candidates, 3)
}

/// As [`near`], among so many candidates that some are near to any name: a sixth of the letters may differ.
pub fn near_of_many<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    near_of(name, candidates, 6)
}

fn near_of<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>, part: usize) -> Vec<&'a str> {
    let affixed = |candidate: &str| is_affixed(name, candidate).then_some(usize::MAX);
    let candidates = candidates.into_iter();
    let mut found: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| Some((difference(name, candidate, part).or_else(|| affixed(candidate))?, candidate)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

/// How many letters differ; none where that is more than one in `part`, or nothing.
fn difference(name: &str, candidate: &str, part: usize) -> Option<usize> {
    if [name, candidate].iter().any(|one| one.is_empty() || one.len() > MAX_NAME) || name == candidate {
        return None;
    }
    if candidate.eq_ignore_ascii_case(name) {
        return Some(0);
    }
    let length = name.chars().count();
    let allowed = (length / part).max(1);
    // Each letter that one has more is a difference; most candidates end here.
    if length.abs_diff(candidate.chars().count()) > allowed {
        return None;
    }
    Some(strsim::osa_distance(name, candidate)).filter(|distance| *distance <= allowed)
}

/// Whether one of two names is the other with more before or behind it, and `_` between.
fn is_affixed(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    short.len() >= 3
        && long.len() <= MAX_NAME
        && (long.strip_suffix(short).is_some_and(|rest| rest.ends_with('_'))
            || long.strip_prefix(short).is_some_and(|rest| rest.starts_with('_')))
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
    fn the_nearest_of_the_near_ones_is_named() {
        let check = |name: &str, candidates: &[&str], expect: Option<&str>| {
            assert_eq!(nearest(name, candidates.iter().copied()), expect, "{name}");
        };
        check("skc_dadr", &["skc_family", "skc_daddr", "skc_dport"], Some("skc_daddr"));
        check("lokup", &["lookup", "update"], Some("lookup"));
        check("PID", &["pad", "pid"], Some("pid"));
        check("xyz", &["lookup", "update"], None);
        check("daddr", &["skc_daddr"], None);
        check("pid", &["pid"], None);
        check("a", &[], None);
        check("", &["pid"], None);
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let members = ["skc_daddr", "skc_rcv_saddr", "skc_dport", "skc_family", "sk_lock"];
        let check = |name: &str, expect: &[&str]| assert_eq!(near(name, members), expect, "{name}");
        check("skc_dadr", &["skc_daddr"]);
        check("skc_fmaily", &["skc_family"]);
        check("daddr", &["skc_daddr"]);
        check("skc_port", &["skc_dport"]);
        check("pid", &[]);
        check("", &[]);
        assert_eq!(near_of_many("MAX_PID", ["MAX_PRIO", "MAX_PIDS"]), ["MAX_PIDS"]);
    }

    #[test]
    fn suggestions_read_as_a_sentence() {
        assert_eq!(did_you_mean(&[]), None);
        assert_eq!(did_you_mean(&["a"]).as_deref(), Some("did you mean `a`?"));
        assert_eq!(did_you_mean(&["a", "b", "c"]).as_deref(), Some("did you mean `a`, `b` or `c`?"));
    }
}
